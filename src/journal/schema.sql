-- The journal of cloudpay: every payment and refund this register asked for.
-- Amounts are in fen (1/100 yuan), times ending in _ms in milliseconds since 1970 (UTC).
-- Payment codes, keys and the customer's identity are never written here.

CREATE TABLE journal (
    merchant        TEXT    NOT NULL,  -- gateway and sub-merchant this journal belongs to
    number_second   INTEGER NOT NULL,  -- second of the last order number given out
    number_counter  INTEGER NOT NULL   -- its counter within that second
) STRICT;

CREATE TABLE orders (
    out_trade_no        TEXT    NOT NULL PRIMARY KEY,
    trade_type          INTEGER NOT NULL,  -- 1 micro_pay, 2 scan_code_pay
    pay_platform        INTEGER NOT NULL,  -- 1 WeChat, 2 Alipay
    sub_pay_platform    INTEGER NOT NULL,
    total_fee           INTEGER NOT NULL,
    payment_code        TEXT,              -- first two and last four digits only
    content_sha256      BLOB    NOT NULL,  -- of everything asked for but the payment code
    state               TEXT    NOT NULL CHECK (state = 'paying' OR state = 'code_ready' OR
                            state = 'unknown' OR state = 'paid' OR state = 'failed' OR
                            state = 'closed' OR state = 'reversed' OR state = 'refunded' OR
                            state = 'reentry'),  -- with IN, SQLite builds a table for each check
    code_url            TEXT,
    transaction_id      TEXT,              -- WeChat's or Alipay's number
    time_end            INTEGER,           -- when it was paid, seconds since 1970, gateway's clock
    message             TEXT    NOT NULL,
    order_content       TEXT,              -- the gateway's last authenticated words, JSON
    evidence_source     TEXT,              -- who said so: gateway or journal
    evidence_authentic  INTEGER,           -- 1: the answer carried the right authentication code
    evidence_time_ms    INTEGER,
    evidence_domain     TEXT,
    evidence_log_id     INTEGER,
    created_ms          INTEGER NOT NULL,
    final_ms            INTEGER,           -- when the state became final
    watch_until_ms      INTEGER,           -- a late payment is looked for until then
    late                INTEGER NOT NULL,  -- 1: paid after it had been reported as not paid
    recovered           INTEGER NOT NULL,  -- 1: an earlier process left it unfinished or untold
    reported            INTEGER NOT NULL   -- 1: the register was told the final state
) STRICT;

CREATE INDEX orders_unreported ON orders (created_ms) WHERE reported = 0;
CREATE INDEX orders_watched ON orders (watch_until_ms) WHERE watch_until_ms IS NOT NULL;
CREATE INDEX orders_final ON orders (final_ms) WHERE final_ms IS NOT NULL;

CREATE TABLE refunds (
    out_refund_no       TEXT    NOT NULL PRIMARY KEY,
    out_trade_no        TEXT    NOT NULL,
    pay_platform        INTEGER NOT NULL,
    total_fee           INTEGER NOT NULL,
    refund_fee          INTEGER NOT NULL,
    content_sha256      BLOB    NOT NULL,
    state               TEXT    NOT NULL CHECK (state = 'unknown' OR state = 'refused' OR
                            state = 'processing' OR state = 'success' OR state = 'failed' OR
                            state = 'manual' OR state = 'closed'),
    refund_id           TEXT,
    message             TEXT    NOT NULL,
    refund_content      TEXT,              -- the gateway's last authenticated words, JSON
    evidence_time_ms    INTEGER,
    evidence_domain     TEXT,
    evidence_log_id     INTEGER,
    created_ms          INTEGER NOT NULL,
    updated_ms          INTEGER NOT NULL
) STRICT;

CREATE INDEX refunds_of_order ON refunds (out_trade_no);
CREATE INDEX refunds_updated ON refunds (updated_ms);
