//! Orders in the journal.

use std::time::Duration;

use rusqlite::Error::QueryReturnedNoRows;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::value::RawValue;

use super::{Journal, Ticket};
use crate::model::{Evidence, Order, OrderState, Payment, Platform, Source, TradeType};
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
     evidence_log_id, watch_until_ms, late, recovered, created_ms, final_ms";

/// Such an order has not been reported either: the index of those finds it.
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
    /// Writes a new order, unless its number is taken.
    pub(crate) fn accept(&self, payment: &Payment) -> Ticket<Accepted> {
        let trade_no = payment.trade_no.clone();
        let trade_type = payment.trade_type().number();
        let platform = payment.platform.number();
        let sub_platform = payment.sub_platform;
        let total_fee = payment.total_fee;
        let code = payment.code.as_ref().map(|code| code.masked());
        let digest = payment.content_digest();
        let now = crate::clock::now_ms();
        self.submit(move |db| {
            let inserted = db
                .prepare_cached(
                    "INSERT INTO orders (out_trade_no, trade_type, pay_platform, sub_pay_platform,
                         total_fee, payment_code, content_sha256, state, message, created_ms,
                         late, recovered, reported)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'paying', '', ?8, 0, 0, 0)
                     ON CONFLICT (out_trade_no) DO NOTHING",
                )?
                .execute(params![
                    trade_no,
                    trade_type,
                    platform,
                    sub_platform,
                    total_fee,
                    code,
                    digest,
                    now
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
    pub(crate) fn record(&self, order: &Order, watch_until_ms: Option<i64>) -> Ticket<()> {
        let proven = order
            .evidence
            .as_ref()
            .is_some_and(|evidence| evidence.source == Source::Gateway);
        let again = match order.state {
            OrderState::Reentry => false,
            state => proven && (state.is_final() || state == OrderState::Paying),
        };
        let order = order.clone();
        let work = move |db: &Connection| update(db, &order, watch_until_ms);
        if again {
            self.submit_unsynced(work)
        } else {
            self.submit(work)
        }
    }

    /// The order with this number.
    pub(crate) fn find_order(&self, trade_no: &str) -> Ticket<Option<StoredOrder>> {
        let trade_no = trade_no.to_owned();
        self.submit_unsynced(move |db| find(db, &trade_no))
    }

    /// At start: marks what an earlier process left unfinished or untold, and gives the orders
    /// that have to be asked about: those without a final state, and those still watched.
    pub(crate) fn recover(&self) -> Ticket<Vec<StoredOrder>> {
        let now = crate::clock::now_ms();
        self.submit(move |db| {
            db.execute("UPDATE orders SET recovered = 1 WHERE reported = 0", [])?;
            let mut orders = select(
                db,
                &format!("reported = 0 AND {OPEN} ORDER BY created_ms"),
                [],
            )?;
            orders.extend(select(db, "watch_until_ms > ?1", [now])?);
            Ok(orders)
        })
    }

    /// Orders without a final state, recovered ones and late ones that the register has not been
    /// told about. Without their `order_content`.
    pub(crate) fn pending(&self) -> Ticket<Vec<StoredOrder>> {
        self.submit_unsynced(move |db| {
            let mut orders = select(
                db,
                &format!(
                    "reported = 0 AND ({OPEN} OR recovered = 1 OR late = 1) ORDER BY created_ms"
                ),
                [],
            )?;
            for stored in &mut orders {
                stored.order.content = None;
            }
            Ok(orders)
        })
    }

    /// Notes that the register knows an order's final state.
    pub(crate) fn reported(&self, trade_no: &str) {
        let trade_no = trade_no.to_owned();
        self.submit_lazily(move |db| {
            db.prepare_cached(&format!(
                "UPDATE orders SET reported = 1
                 WHERE out_trade_no = ?1 AND reported = 0 AND NOT {OPEN}"
            ))?
            .execute([trade_no])
            .map(drop)
        });
    }

    /// The next order number's second and counter: never the same, never back, whatever the
    /// clock does.
    pub(crate) fn next_number(&self, counters_per_second: i64) -> Ticket<(i64, i64)> {
        let now = crate::clock::now_ms() / 1000;
        self.submit(move |db| {
            let (second, counter): (i64, i64) = db
                .prepare_cached("SELECT number_second, number_counter FROM journal")?
                .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let (second, counter) = if now > second {
                (now, 0)
            } else if counter + 1 < counters_per_second {
                (second, counter + 1)
            } else {
                (second + 1, 0)
            };
            db.prepare_cached("UPDATE journal SET number_second = ?1, number_counter = ?2")?
                .execute([second, counter])?;
            Ok((second, counter))
        })
    }
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

fn update(db: &Connection, order: &Order, watch_until_ms: Option<i64>) -> rusqlite::Result<()> {
    let content = order.content.as_deref().map(without_private);
    let evidence = order.evidence.as_ref();
    let final_ms = order.state.is_final().then(crate::clock::now_ms);
    // Naming `reported` has its index written anew: not where it stays as it is.
    let reported = if order.late || final_ms.is_none() {
        ", reported = CASE WHEN late < ?15 OR ?13 IS NULL THEN 0 ELSE reported END"
    } else {
        ""
    };
    db.prepare_cached(&format!(
        "UPDATE orders SET state = ?2, code_url = coalesce(?3, code_url),
             transaction_id = coalesce(?4, transaction_id), time_end = coalesce(?5, time_end),
             message = ?6, order_content = coalesce(?7, order_content),
             evidence_source = ?8, evidence_authentic = ?9, evidence_time_ms = ?10,
             evidence_domain = ?11, evidence_log_id = ?12,
             final_ms = ?13, watch_until_ms = ?14, late = ?15 {reported}
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
    ])
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
