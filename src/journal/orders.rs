//! Orders in the journal.

use std::time::Duration;

use rusqlite::Error::QueryReturnedNoRows;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::value::RawValue;

use super::{Journal, Ticket};
use crate::model::{
    Evidence, Marks, Order, OrderState, Origin, Payment, Platform, Refunds, Source, TradeType,
};
use crate::object::Object;

/// An order as the journal has it.
#[derive(Clone, Debug)]
pub(crate) struct StoredOrder {
    pub(crate) order: Order,
    pub(crate) trade_type: TradeType,
    pub(crate) platform: Platform,
    pub(crate) sub_platform: i64,
    pub(crate) total_fee: i64,
    /// First two and last four digits of the payment code.
    pub(crate) payment_code: Option<String>,
    pub(crate) content_digest: Vec<u8>,
    pub(crate) created_ms: i64,
    /// When its state became final.
    pub(crate) final_ms: Option<i64>,
    /// A late payment is looked for until then.
    pub(crate) watch_until_ms: Option<i64>,
    /// Whether the register was told its final state.
    pub(crate) told: bool,
    /// What is known beside what the register sees.
    pub(crate) origin: Origin,
}

impl StoredOrder {
    /// How long ago it was accepted; zero when the clock was set back since.
    pub(crate) fn age(&self, now_ms: i64) -> Duration {
        since(self.created_ms, now_ms)
    }

    /// How long its state has been final; zero when it isn't, or when the clock was set back.
    pub(crate) fn final_for(&self, now_ms: i64) -> Duration {
        self.final_ms
            .map_or(Duration::ZERO, |final_ms| since(final_ms, now_ms))
    }
}

fn since(then_ms: i64, now_ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(now_ms - then_ms).unwrap_or(0))
}

/// What became of an order offered to the journal.
pub(crate) enum Accepted {
    /// It is new, and now durable.
    New,
    /// The journal has had an order under this number.
    Known(Box<StoredOrder>),
}

/// The columns, in the order that [`stored`] reads them.
const COLUMNS: &str = "out_trade_no, trade_type, pay_platform, sub_pay_platform, total_fee, \
     payment_code, content_sha256, state, code_url, transaction_id, time_end, message, \
     order_content, evidence_source, evidence_authentic, evidence_time_ms, evidence_domain, \
     evidence_log_id, watch_until_ms, late, recovered, created_ms, final_ms, told, reopened, \
     reason, ours, domain, device_id, machine_no, mark, words_sha256, accepted_gateway_ms, \
     time_expire, provisional, was_paid, reversed_at, number_used, \
     (SELECT coalesce(sum(refund_fee), 0) FROM refunds \
      WHERE refunds.out_trade_no = orders.out_trade_no \
          AND refunds.state IN ('processing', 'success', 'manual')), \
     EXISTS (SELECT 1 FROM refunds \
      WHERE refunds.out_trade_no = orders.out_trade_no AND refunds.state = 'unknown')";

/// Such an order has not been told either: the index of those finds it.
const OPEN: &str = "(state = 'paying' OR state = 'code_ready' OR state = 'unknown')";

/// Keys of `order_content` that hold the payment code or say who the customer is.
const PRIVATE_KEYS: [&str; 7] = [
    "author_code",
    "open_id",
    "sub_open_id",
    "user_id",
    "buyer_logon_id",
    "buyer_user_id",
    "buyer_id",
];

impl Journal {
    /// Writes a new order, unless its number is taken. `code` is the keyed digest of its payment
    /// code; those of the orders in `dead` are wiped.
    pub(crate) fn accept(
        &self,
        payment: &Payment,
        origin: &Origin,
        code: Option<[u8; 32]>,
        dead: Vec<String>,
    ) -> Ticket<Accepted> {
        let trade_no = payment.trade_no.clone();
        let trade_type = payment.trade_type().number();
        let platform = payment.platform.number();
        let sub_platform = payment.sub_platform;
        let total_fee = payment.total_fee;
        let masked = payment.code.as_ref().map(|code| code.masked());
        let digest = payment.content_digest();
        let now = crate::clock::now_ms();
        let origin = origin.clone();
        self.submit(move |db| {
            wipe(db, &dead)?;
            let marks = &origin.marks;
            let inserted = db
                .prepare_cached(
                    "INSERT INTO orders (out_trade_no, trade_type, pay_platform, sub_pay_platform,
                         total_fee, payment_code, content_sha256, state, message, created_ms,
                         late, recovered, told, domain, device_id, machine_no, mark,
                         words_sha256, accepted_gateway_ms, time_expire, code_hmac)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'paying', '', ?8, 0, 0, 0,
                         ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
                     ON CONFLICT (out_trade_no) DO NOTHING",
                )?
                .execute(params![
                    trade_no,
                    trade_type,
                    platform,
                    sub_platform,
                    total_fee,
                    masked,
                    digest,
                    now,
                    origin.domain,
                    marks.device_id,
                    marks.machine_no,
                    marks.tag,
                    marks.words,
                    marks.made_ms,
                    origin.time_expire,
                    code
                ])?;
            if inserted == 0 {
                let known = find(db, &trade_no)?.ok_or(QueryReturnedNoRows)?;
                return Ok(Accepted::Known(Box::new(known)));
            }
            Ok(Accepted::New)
        })
    }

    /// Writes where an order stands now. A state that the gateway proved needs no fsync of its own:
    /// after a power cut the order is asked about again, and the answer is the same. Not so a
    /// re-entry (asked again, the gateway tells of the other payment) and a QR code (told once).
    pub(crate) fn record(
        &self,
        order: &Order,
        origin: &Origin,
        watch_until_ms: Option<i64>,
    ) -> Ticket<()> {
        let proven = order
            .evidence
            .as_ref()
            .is_some_and(|evidence| evidence.source == Source::Gateway);
        let again = match order.state {
            OrderState::Reentry => false,
            state => proven && (state.is_final() || state == OrderState::Paying),
        };
        let (order, origin) = (order.clone(), origin.clone());
        let work = move |db: &Connection| update(db, &order, &origin, watch_until_ms);
        if again {
            self.submit_unsynced(work)
        } else {
            self.submit(work)
        }
    }

    /// Writes to which domain a payment goes now, before it does: the one before it can't have it.
    pub(crate) fn record_domain(&self, trade_no: &str, domain: &str) -> Ticket<()> {
        let (trade_no, domain) = (trade_no.to_owned(), domain.to_owned());
        self.submit(move |db| {
            db.prepare_cached("UPDATE orders SET domain = ?2 WHERE out_trade_no = ?1")?
                .execute([trade_no, domain])
                .map(drop)
        })
    }

    /// The order with this number.
    pub(crate) fn find_order(&self, trade_no: &str) -> Ticket<Option<StoredOrder>> {
        let trade_no = trade_no.to_owned();
        self.submit_unsynced(move |db| find(db, &trade_no))
    }

    /// At start: marks what an earlier process left unfinished or untold, and gives the orders
    /// that have to be asked about: those without a final state, and those whose watch was not
    /// over, by whatever clock.
    pub(crate) fn recover(&self) -> Ticket<Vec<StoredOrder>> {
        self.submit(move |db| {
            db.execute(
                "UPDATE orders SET recovered = 1, to_show = 1 WHERE told = 0",
                [],
            )?;
            let mut orders = select(db, &format!("told = 0 AND {OPEN} ORDER BY created_ms"), [])?;
            let watched = format!("watch_until_ms IS NOT NULL AND NOT (told = 0 AND {OPEN})");
            orders.extend(select(db, &watched, [])?);
            Ok(orders)
        })
    }

    /// Orders without a final state; those that were recovered, reopened or paid late and that the
    /// register has not asked for since; and those with a refund whose result isn't known. Without
    /// their `order_content`.
    pub(crate) fn pending(&self) -> Ticket<Vec<StoredOrder>> {
        self.submit_unsynced(move |db| {
            let mut orders = select(
                db,
                &format!(
                    "told = 0 AND {OPEN} OR to_show = 1 OR out_trade_no IN
                         (SELECT out_trade_no FROM refunds WHERE state = 'unknown')
                     ORDER BY created_ms"
                ),
                [],
            )?;
            for stored in &mut orders {
                stored.order.content = None;
            }
            Ok(orders)
        })
    }

    /// Notes that the register knows an order's final state; `asked`: because it asked for it.
    pub(crate) fn told(&self, trade_no: &str, asked: bool) {
        let trade_no = trade_no.to_owned();
        self.submit_lazily(move |db| {
            db.prepare_cached(&format!(
                "UPDATE orders SET told = 1, to_show = CASE WHEN ?2 THEN 0 ELSE to_show END
                 WHERE out_trade_no = ?1 AND (told = 0 OR to_show = 1) AND NOT {OPEN}"
            ))?
            .execute(params![trade_no, asked])
            .map(drop)
        });
    }

    /// The next order number, made of a second, which never goes back, whatever the clock does,
    /// and of random characters. `None`: there is an order or a refund under it.
    pub(crate) fn next_number(
        &self,
        number: impl FnOnce(i64) -> String + Send + 'static,
    ) -> Ticket<Option<String>> {
        let now = crate::clock::now_ms() / 1000;
        self.submit(move |db| {
            let second: i64 = db
                .prepare_cached("SELECT number_second FROM journal")?
                .query_row([], |row| row.get(0))?;
            let second = second.max(now);
            db.prepare_cached("UPDATE journal SET number_second = ?1")?
                .execute([second])?;
            let number = number(second);
            let taken: bool = db
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM orders WHERE out_trade_no = ?1)
                         OR EXISTS (SELECT 1 FROM refunds WHERE out_refund_no = ?1)",
                )?
                .query_row([&number], |row| row.get(0))?;
            Ok(Some(number).filter(|_| !taken))
        })
    }

    /// The payment codes, by their keyed digests, of orders that an earlier process accepted.
    pub(crate) fn codes(&self) -> Ticket<Vec<([u8; 32], String)>> {
        self.submit_unsynced(move |db| {
            db.prepare("SELECT code_hmac, out_trade_no FROM orders WHERE code_hmac IS NOT NULL")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })
    }

    /// Wipes the digests of payment codes that are dead.
    pub(crate) fn wipe_codes(&self, of: Vec<String>) -> Ticket<()> {
        self.submit(move |db| wipe(db, &of))
    }
}

fn wipe(db: &Connection, of: &[String]) -> rusqlite::Result<()> {
    if of.is_empty() {
        return Ok(());
    }
    let mut statement =
        db.prepare_cached("UPDATE orders SET code_hmac = NULL WHERE out_trade_no = ?1")?;
    for trade_no in of {
        statement.execute([trade_no])?;
    }
    Ok(())
}

fn find(db: &Connection, trade_no: &str) -> rusqlite::Result<Option<StoredOrder>> {
    db.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM orders WHERE out_trade_no = ?1"
    ))?
    .query_row([trade_no], stored)
    .optional()
}

fn select(
    db: &Connection,
    condition: &str,
    values: impl rusqlite::Params,
) -> rusqlite::Result<Vec<StoredOrder>> {
    db.prepare(&format!("SELECT {COLUMNS} FROM orders WHERE {condition}"))?
        .query_map(values, stored)?
        .collect()
}

fn update(
    db: &Connection,
    order: &Order,
    origin: &Origin,
    watch_until_ms: Option<i64>,
) -> rusqlite::Result<()> {
    let content = order.content.as_deref().map(without_private);
    let evidence = order.evidence.as_ref();
    let final_ms = order.state.is_final().then(crate::clock::now_ms);
    // Naming `told` has its index written anew: not where it stays as it is.
    let told = if order.late || order.reopened || final_ms.is_none() {
        ", told = CASE WHEN late < ?15 OR ?13 IS NULL THEN 0 ELSE told END,
           to_show = CASE WHEN late < ?15 OR reopened < ?16 THEN 1 ELSE to_show END"
    } else {
        ""
    };
    db.prepare_cached(&format!(
        "UPDATE orders SET state = ?2, code_url = coalesce(?3, code_url),
             transaction_id = coalesce(?4, transaction_id), time_end = coalesce(?5, time_end),
             message = ?6, order_content = coalesce(?7, order_content),
             evidence_source = ?8, evidence_authentic = ?9, evidence_time_ms = ?10,
             evidence_domain = ?11, evidence_log_id = ?12,
             final_ms = ?13, watch_until_ms = ?14, late = ?15, reopened = ?16,
             reason = ?17, ours = ?18, provisional = ?19, was_paid = ?20,
             accepted_gateway_ms = ?21, reversed_at = ?22, number_used = ?23,
             code_hmac = CASE WHEN ?13 IS NULL THEN code_hmac END {told}
         WHERE out_trade_no = ?1",
    ))?
    .execute(params![
        order.trade_no,
        order.state.name(),
        order.code_url,
        order.transaction_id,
        order.time_end,
        order.message,
        content,
        evidence.map(|evidence| evidence.source.name()),
        evidence.map(|evidence| evidence.authenticated),
        evidence.map(|evidence| evidence.time_ms),
        evidence.map(|evidence| &evidence.domain),
        evidence.and_then(|evidence| evidence.log_id),
        final_ms,
        watch_until_ms,
        order.late,
        order.reopened,
        order.reason,
        origin.ours,
        origin.provisional,
        origin.was_paid,
        origin.marks.made_ms,
        origin.reversed_at,
        origin.number_used,
    ])?;
    // What becomes of a reverse or close with the order.
    let take_back = match order.state {
        OrderState::Reversed | OrderState::Closed => {
            "UPDATE take_backs SET state = 'done' WHERE out_trade_no = ?1"
        }
        // The customer has paid after all, and can get it back.
        OrderState::Paid if order.late => "DELETE FROM take_backs WHERE out_trade_no = ?1",
        _ => return Ok(()),
    };
    db.prepare_cached(take_back)?
        .execute([&order.trade_no])
        .map(drop)
}

fn stored(row: &Row<'_>) -> rusqlite::Result<StoredOrder> {
    let trade_type = TradeType::from_number(row.get(1)?).ok_or_else(|| wrong(1))?;
    let platform = Platform::from_number(row.get(2)?).ok_or_else(|| wrong(2))?;
    let total_fee = row.get(4)?;
    let state: String = row.get(7)?;
    let content: Option<String> = row.get(12)?;
    let source: Option<String> = row.get(13)?;
    let evidence = match source {
        None => None,
        Some(source) => Some(Evidence {
            source: if source == Source::Gateway.name() {
                Source::Gateway
            } else {
                Source::Journal
            },
            authenticated: row.get(14)?,
            time_ms: row.get(15)?,
            gateway_ms: None,
            domain: row.get(16)?,
            log_id: row.get(17)?,
        }),
    };
    Ok(StoredOrder {
        order: Order {
            trade_no: row.get(0)?,
            platform: Some(platform),
            trade_type: Some(trade_type),
            state: OrderState::from_name(&state).ok_or_else(|| wrong(7))?,
            total_fee: Some(total_fee),
            code_url: row.get(8)?,
            transaction_id: row.get(9)?,
            time_end: row.get(10)?,
            message: row.get(11)?,
            recovered: row.get(20)?,
            late: row.get(19)?,
            reopened: row.get(24)?,
            reason: row.get(25)?,
            refunds: Some(Refunds {
                fee: row.get(38)?,
                unknown: row.get(39)?,
            }),
            evidence,
            content: content.and_then(|content| RawValue::from_string(content).ok()),
            mch_key: None,
        },
        trade_type,
        platform,
        sub_platform: row.get(3)?,
        total_fee,
        payment_code: row.get(5)?,
        content_digest: row.get(6)?,
        created_ms: row.get(21)?,
        final_ms: row.get(22)?,
        watch_until_ms: row.get(18)?,
        told: row.get(23)?,
        origin: Origin {
            marks: Marks {
                device_id: row.get(28)?,
                machine_no: row.get(29)?,
                payment_code: row
                    .get::<_, Option<String>>(5)?
                    .and_then(|code| Marks::of_code(&code)),
                tag: row.get(30)?,
                words: row.get(31)?,
                made_ms: row.get(32)?,
            },
            ours: row.get(26)?,
            domain: row.get(27)?,
            time_expire: row.get(33)?,
            provisional: row.get(34)?,
            was_paid: row.get(35)?,
            reversed_at: row.get(36)?,
            number_used: row.get(37)?,
        },
    })
}

fn wrong(column: usize) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(
        column,
        rusqlite::types::Type::Text,
        "a value this library never writes".into(),
    )
}

/// The gateway's words without the payment code and the customer's identity
/// (`lifecycle.md`, invariant 7). Words that can't be read are not kept at all.
pub(super) fn without_private(content: &RawValue) -> Option<String> {
    let mut kept = Vec::with_capacity(content.get().len());
    keep(content.get(), &mut kept, 0)?;
    String::from_utf8(kept).ok()
}

/// No order's content is nested like this.
const MAX_DEPTH: usize = 32;

/// Copies a JSON text without its private keys; what has none stays as it was written.
fn keep(text: &str, kept: &mut Vec<u8>, depth: usize) -> Option<()> {
    if depth > MAX_DEPTH {
        return None;
    }
    match text.as_bytes().first()? {
        b'{' => {
            kept.push(b'{');
            for (key, value) in Object::parse(text)?.entries() {
                if !PRIVATE_KEYS.contains(&key) {
                    if !kept.ends_with(b"{") {
                        kept.push(b',');
                    }
                    serde_json::to_writer(&mut *kept, key).ok()?;
                    kept.push(b':');
                    keep(value.get(), kept, depth + 1)?;
                }
            }
            kept.push(b'}');
        }
        b'[' => {
            kept.push(b'[');
            for value in serde_json::from_str::<Vec<&RawValue>>(text).ok()? {
                if !kept.ends_with(b"[") {
                    kept.push(b',');
                }
                keep(value.get(), kept, depth + 1)?;
            }
            kept.push(b']');
        }
        _ => kept.extend_from_slice(text.as_bytes()),
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(text: &str) -> Option<String> {
        without_private(&RawValue::from_string(text.to_owned()).unwrap())
    }

    #[test]
    fn private_keys_are_left_out_wherever_they_are() {
        let text = r#"{"open_id":"o", "a":[{"author_code":"1","b":1.50}, [], {"user\u005fid":"u"}],
            "sub_open_id":"s", "c":{}, "text":"{\"open_id\":1}"}"#;
        let expected = r#"{"a":[{"b":1.50},[],{}],"c":{},"text":"{\"open_id\":1}"}"#;
        assert_eq!(kept(text).as_deref(), Some(expected));
    }

    #[test]
    fn endless_nesting_is_not_kept() {
        let deep = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(kept(&deep(30)), Some(deep(30)));
        assert_eq!(kept(&deep(100_000)), None);
    }
}
