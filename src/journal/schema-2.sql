/* Whose order it is, what its absence proves, and what the register has been told. */

ALTER TABLE orders RENAME COLUMN reported TO told;
ALTER TABLE orders ADD COLUMN to_show INTEGER NOT NULL DEFAULT 0 /* 1: recovered, late or reopened, and not asked for since */;
ALTER TABLE orders ADD COLUMN reopened INTEGER NOT NULL DEFAULT 0 /* 1: told as failed, and found under way after that */;
ALTER TABLE orders ADD COLUMN provisional INTEGER NOT NULL DEFAULT 0 /* 1: failed because there was no such order, and for no better reason */;
ALTER TABLE orders ADD COLUMN was_paid INTEGER NOT NULL DEFAULT 0 /* 1: has ever been proven paid */;
ALTER TABLE orders ADD COLUMN reversed_at INTEGER /* when the end of a paid order was proven, seconds since 1970, gateway's clock */;
ALTER TABLE orders ADD COLUMN reason TEXT /* why the gateway refused it, in its own words */;
ALTER TABLE orders ADD COLUMN ours INTEGER NOT NULL DEFAULT 0 /* 1: proven to be this register's own order */;
ALTER TABLE orders ADD COLUMN number_used INTEGER NOT NULL DEFAULT 0 /* 1: refused because there is an order under its number */;
ALTER TABLE orders ADD COLUMN domain TEXT /* the domain that may have taken the payment */;
ALTER TABLE orders ADD COLUMN device_id TEXT /* what was sent with it, by which it is recognised: */;
ALTER TABLE orders ADD COLUMN machine_no TEXT;
ALTER TABLE orders ADD COLUMN mark TEXT /* random characters in place of the register's attach */;
ALTER TABLE orders ADD COLUMN words_sha256 BLOB /* of subject, body, extParam and clientIp (epay123) */;
ALTER TABLE orders ADD COLUMN accepted_gateway_ms INTEGER /* when it was accepted, by the gateway's clock */;
ALTER TABLE orders ADD COLUMN time_expire INTEGER /* when its QR code ends, seconds since 1970 */;
ALTER TABLE orders ADD COLUMN code_hmac BLOB /* HMAC-SHA256 of the payment code, wiped after 65 s */;

UPDATE orders SET was_paid = 1 WHERE time_end IS NOT NULL OR state IN ('paid', 'refunded');
/* Only the answer to its own sending shows the code of an order that nobody has paid yet. */
UPDATE orders SET ours = 1 WHERE code_url IS NOT NULL;
UPDATE orders SET provisional = 1 WHERE state = 'failed' AND evidence_source = 'gateway' AND
    message IN ('支付请求未到达网关，未向顾客收款', '平台没有这笔交易，未向顾客收款',
        'the payment never reached the gateway, the customer was not charged',
        'the platform has no such payment, the customer was not charged');
UPDATE orders SET to_show = 1 WHERE told = 0 AND (recovered = 1 OR late = 1);

CREATE INDEX orders_to_show ON orders (created_ms) WHERE to_show = 1;

CREATE TABLE take_backs (
    out_trade_no    TEXT    NOT NULL PRIMARY KEY,
    state           TEXT    NOT NULL CHECK (state = 'under_way' OR state = 'done'),
    begun_ms        INTEGER NOT NULL
) STRICT;

INSERT INTO take_backs
    SELECT out_trade_no, CASE state WHEN 'unknown' THEN 'under_way' ELSE 'done' END, created_ms
    FROM orders
    WHERE (state = 'reversed' OR was_paid = 1 AND state IN ('closed', 'unknown'))
        AND NOT EXISTS (SELECT 1 FROM refunds WHERE refunds.out_trade_no = orders.out_trade_no
            AND refunds.state NOT IN ('refused', 'failed', 'closed'));

ALTER TABLE refunds ADD COLUMN domain TEXT /* the domain that may have taken it */;
