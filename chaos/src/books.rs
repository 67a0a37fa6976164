//! The books: every journal against the gateway's ledger, order by order.

use std::collections::BTreeMap;

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;

use crate::till::{Till, Told};
use crate::weather::Weather;

/// How often each rule was broken, and what is no breach but has to be known.
#[derive(Default)]
pub struct Books {
    pub orders: usize,
    pub paid: usize,
    pub not_paid: usize,
    /// No verdict at the end. A library that always says so would break no rule.
    pub unknown: usize,
    /// Reported as not paid, charged later, and surfaced.
    pub late: usize,
    pub refunds: usize,
    pub reverses: usize,
    /// Rule, order, and the facts.
    pub breaches: Vec<(&'static str, String, String)>,
}

/// The rules, in the order of the table.
pub const RULES: [&str; 10] = [
    "charged twice",
    "one number, other content",
    "reported paid, not charged",
    "reported failed, but charged",
    "forgotten",
    "sent, though refused",
    "re-entry cancelled",
    "refunds don't add up",
    "reversed too soon or unasked",
    "late and silent",
];

/// What a journal says of an order.
struct Row {
    state: String,
    late: bool,
    /// Listed by `pending_orders` until the register asks for it.
    to_show: bool,
}

impl Books {
    /// Compares one till's journal with the ledger.
    pub fn compare(&mut self, till: &Till, ledger: &Value, weather: &Weather) {
        let journal =
            Connection::open_with_flags(&till.journal, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        let rows = rows(&journal);
        let refunds = refunds(&journal);
        let gate = till.conf["common_conf"]["reverse_after_ms"]
            .as_u64()
            .unwrap();
        for (number, told) in till.told.lock().unwrap().iter() {
            self.orders += 1;
            let entry = &ledger["orders"][number];
            let row = rows.get(number);
            let facts = format!(
                "scenario {}, verdicts {:?}, cancelled {}, journal {}, ledger {entry}",
                told.scenario,
                told.verdicts,
                told.cancelled,
                row.map_or("nothing", |row| row.state.as_str()),
            );
            let mut breach =
                |rule: &'static str| self.breaches.push((rule, number.clone(), facts.clone()));
            judge(told, row, entry, &mut breach);
            judge_refunds(told, refunds.get(number), entry, &mut breach);
            self.reverses += judge_reverses(number, gate, weather, &mut breach);
            self.refunds += told.refunds.len();
            match row.map(|row| row.state.as_str()) {
                Some("paid" | "refunded") => self.paid += 1,
                Some("failed" | "closed" | "reversed" | "reentry") => self.not_paid += 1,
                Some(_) => self.unknown += 1,
                None => {}
            }
            self.late += usize::from(row.is_some_and(|row| row.late));
        }
    }
}

fn judge(told: &Told, row: Option<&Row>, entry: &Value, breach: &mut impl FnMut(&'static str)) {
    let of = |key: &str| entry[key].as_i64().unwrap_or(0);
    let (charges, net) = (of("charges"), of("net"));
    if charges > 1 {
        breach("charged twice");
    }
    let bodies = entry["request_bodies_sha256"].as_array();
    if bodies.is_some_and(|bodies| bodies.iter().any(|body| body != &bodies[0])) {
        breach("one number, other content");
    }
    if told.refused && of("pay_requests") > 0 {
        breach("sent, though refused");
    }
    let Some(row) = row else {
        if told.accepted || of("pay_requests") > 0 {
            breach("forgotten");
        }
        return;
    };
    let ended_paid = matches!(row.state.as_str(), "paid" | "refunded");
    let ended_unpaid = matches!(
        row.state.as_str(),
        "failed" | "closed" | "reversed" | "reentry"
    );
    if charges == 0 && (ended_paid || told.verdicts.contains(&0)) {
        breach("reported paid, not charged");
    }
    if row.state == "paid" && of("reversed") > 0 {
        breach("reported paid, not charged");
    }
    let denied = told.verdicts.iter().any(|code| [-1, -4].contains(code)) || told.cancelled;
    if net > 0 && ended_unpaid {
        breach("reported failed, but charged");
    } else if net > 0 && denied {
        // It came late: the register has been told since, or finds it in its list.
        if !row.to_show && !told.verdicts.contains(&0) {
            breach("late and silent");
        }
    }
    if row.state == "reentry" && of("reverse_requests") + of("close_requests") > 0 {
        breach("re-entry cancelled");
    }
}

fn judge_refunds(
    told: &Told,
    refunds: Option<&BTreeMap<String, (String, i64)>>,
    entry: &Value,
    breach: &mut impl FnMut(&'static str),
) {
    let nothing = BTreeMap::new();
    let refunds = refunds.unwrap_or(&nothing);
    let sum = |states: &[&str]| -> i64 {
        refunds
            .values()
            .filter(|(state, _)| states.contains(&state.as_str()))
            .map(|(_, fee)| fee)
            .sum()
    };
    let given = entry["refunded"].as_i64().unwrap_or(0);
    let (certain, open) = (sum(&["success"]), sum(&["unknown", "processing"]));
    let asked: u64 = told.refunds.values().sum();
    if given < certain || given > certain + open || given > i64::try_from(asked).unwrap() {
        breach("refunds don't add up");
    }
}

/// Every reverse came after the gate, and after a query that followed the payment.
fn judge_reverses(
    number: &str,
    gate: u64,
    weather: &Weather,
    breach: &mut impl FnMut(&'static str),
) -> usize {
    let mut reverses = 0;
    let (mut paid, mut queried) = (None, false);
    for (at, path) in weather.seen(number) {
        match path.as_str() {
            "/cpay/micro_pay" => (paid, queried) = (Some(at), false),
            "/cpay/query_order" => queried = true,
            "/cpay/reverse" => {
                reverses += 1;
                if !queried || paid.is_some_and(|paid| at < paid + gate) {
                    breach("reversed too soon or unasked");
                }
            }
            _ => {}
        }
    }
    reverses
}

fn rows(journal: &Connection) -> BTreeMap<String, Row> {
    let mut query = journal
        .prepare("SELECT out_trade_no, state, late, to_show FROM orders")
        .unwrap();
    let rows = query.query_map([], |row| {
        let order = Row {
            state: row.get(1)?,
            late: row.get(2)?,
            to_show: row.get(3)?,
        };
        Ok((row.get(0)?, order))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// State and amount of every refund, by order and refund number.
fn refunds(journal: &Connection) -> BTreeMap<String, BTreeMap<String, (String, i64)>> {
    let mut query = journal
        .prepare("SELECT out_trade_no, out_refund_no, state, refund_fee FROM refunds")
        .unwrap();
    let mut refunds: BTreeMap<String, BTreeMap<_, _>> = BTreeMap::new();
    let rows = query.query_map([], |row| {
        Ok((row.get(0)?, row.get(1)?, (row.get(2)?, row.get(3)?)))
    });
    for row in rows.unwrap() {
        let (number, refund_no, refund): (String, String, _) = row.unwrap();
        refunds.entry(number).or_default().insert(refund_no, refund);
    }
    refunds
}
