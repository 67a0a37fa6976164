//! The gateway's books: every number it was ever asked about, and what its customers were charged.
//!
//! Nothing here knows a protocol. A protocol asks for a step and renders the order it gets back; what has to happen outside
//! (a notification, a timer) is left in the outbox.

use std::collections::HashMap;

use serde::Serialize;

use crate::clock::now_ms;
use crate::order::{Course, Entry, NewOrder, Order, Refund, State, What};

/// How long an order that nobody pays stays open.
const OPEN_MS: u64 = 2 * 60 * 60 * 1000;

/// Something that happened, or will, and that others have to know.
#[derive(Debug)]
pub(crate) enum Event {
    /// This order was charged.
    Paid(String),
    /// This refund of this order succeeded.
    Refunded(String, String),
    /// Settle this order at this time (unix ms).
    Wake(String, u64),
}

/// What a number was asked for.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    /// SHA-256 of the signed text of each pay request that was authentic.
    pub(crate) pay_requests: Vec<[u8; 32]>,
    pub(crate) queries: u64,
    pub(crate) undo_requests: Vec<UndoRequest>,
    pub(crate) refund_requests: u64,
}

impl Traffic {
    /// How many close or reverse requests there were.
    pub(crate) fn undos(&self, what: Undo) -> usize {
        self.undo_requests.iter().filter(|r| r.what == what).count()
    }
}

/// Which request undoes an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Undo {
    Close,
    Reverse,
}

/// A request to close or reverse, whatever became of it, and who sent it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct UndoRequest {
    pub(crate) at_ms: u64,
    pub(crate) what: Undo,
    /// Empty at epay123, whose close names no terminal.
    pub(crate) device_id: Box<str>,
    pub(crate) listener: usize,
    /// The order's state when it came; `none` when there was no order.
    pub(crate) found: &'static str,
}

/// A number: its traffic, and its order when one was made.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) traffic: Traffic,
    pub(crate) order: Option<Box<Order>>,
}

/// The books.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    records: HashMap<Box<str>, Record>,
    /// Order numbers as they were made; the position is the order's `seq`.
    made: Vec<Box<str>>,
    /// Which order a refund number belongs to.
    refunds: HashMap<Box<str>, Box<str>>,
    /// Which order a payment code paid, while `strict_codes` is on.
    codes: HashMap<Box<str>, Box<str>>,
    /// Refund numbers as they were accepted; the position is the refund's `seq`.
    refunds_made: Vec<Box<str>>,
    outbox: Vec<Event>,
}

/// What a close or a reverse came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Undone {
    /// It is closed or reversed now, or was already.
    Done,
    /// No such order.
    Unknown,
    /// It is not this terminal's order.
    OtherDevice,
    /// Its state doesn't allow it; the state.
    NotNow(&'static str),
}

/// What a refund request came to.
#[derive(Debug)]
pub(crate) enum Refunded {
    /// Accepted now, or already before.
    Accepted,
    /// No such order.
    Unknown,
    /// The order is not paid.
    NotPaid(&'static str),
    /// `total_fee` is not the order's.
    OtherTotal(u64),
    /// More than is left, which is this.
    TooMuch(u64),
    /// The refund number belongs to another refund.
    OtherRefund,
}

impl Ledger {
    /// Takes what has happened since the last call.
    pub(crate) fn take_outbox(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.outbox)
    }

    /// The traffic of a number.
    pub(crate) fn traffic(&mut self, no: &str) -> &mut Traffic {
        if !self.records.contains_key(no) {
            self.records.insert(no.into(), Record::default());
        }
        &mut self.records.entry(no.into()).or_default().traffic
    }

    /// Keeps who asked for an order to be closed or reversed.
    pub(crate) fn note_undo(&mut self, no: &str, what: Undo, device: &str, listener: usize) {
        let found = self.order(no).map_or("none", |o| o.state_name());
        self.traffic(no).undo_requests.push(UndoRequest {
            at_ms: now_ms(),
            what,
            device_id: device.into(),
            listener,
            found,
        });
    }

    /// The record of a number, brought up to date.
    pub(crate) fn record(&mut self, no: &str) -> Option<&Record> {
        self.settle(no);
        self.records.get(no)
    }

    /// The order with this number, brought up to date.
    pub(crate) fn order(&mut self, no: &str) -> Option<&Order> {
        self.settle(no);
        self.records.get(no)?.order.as_deref()
    }

    /// The order with this sequence number.
    pub(crate) fn by_seq(&mut self, seq: u64) -> Option<&Order> {
        let no = self.made.get(usize::try_from(seq).ok()?)?.clone();
        self.order(&no)
    }

    /// Every number that was ever asked about.
    pub(crate) fn numbers(&self) -> Vec<Box<str>> {
        let mut numbers: Vec<_> = self.records.keys().cloned().collect();
        numbers.sort();
        numbers
    }

    /// The order numbers, newest first.
    pub(crate) fn newest(&self) -> impl Iterator<Item = &Box<str>> {
        self.made.iter().rev()
    }

    /// Makes an order, and shows it as it is at this moment. The number must be free.
    pub(crate) fn place(&mut self, new: NewOrder<'_>, late_fail_ms: u64) -> &Order {
        let now = now_ms();
        let seq = self.made.len() as u64;
        let mut order = Order {
            no: new.no.into(),
            seq,
            protocol: new.protocol,
            kind: new.kind,
            platform: new.platform,
            total_fee: new.total_fee,
            state: State::Waiting,
            course: new.course,
            content: new.content,
            device: new.device.into(),
            listener: new.listener,
            origin: new.origin.into(),
            created_ms: now,
            updated_ms: now,
            expires_ms: new.expires_ms.unwrap_or(now + OPEN_MS),
            late_ms: None,
            polls: 0,
            entries: Vec::new(),
            refunds: Vec::new(),
        };
        match new.course {
            Course::PaidAt(0) => charge(&mut order, now, &mut self.outbox),
            Course::NoMoney => order.state = State::Failed,
            Course::LateAfterFailure => {
                order.state = State::Failed;
                order.late_ms = Some(now + late_fail_ms);
                self.outbox
                    .push(Event::Wake(new.no.into(), now + late_fail_ms));
            }
            _ => {}
        }
        self.made.push(new.no.into());
        let record = self.records.entry(new.no.into()).or_default();
        record.order.insert(Box::new(order))
    }

    /// A query of this order: what waits may move on by it.
    pub(crate) fn poll(&mut self, no: &str) -> Option<&Order> {
        self.settle(no);
        let order = self.records.get_mut(no)?.order.as_deref_mut()?;
        order.polls = order.polls.saturating_add(1);
        if order.state == State::Waiting {
            match order.course {
                Course::PaidAt(n) if order.polls >= n => charge(order, now_ms(), &mut self.outbox),
                Course::StopsAt(n) if order.polls >= n => change(order, State::Stopped),
                _ => {}
            }
        }
        Some(order)
    }

    /// A person pays a waiting order. `false`: there is none.
    pub(crate) fn pay(&mut self, no: &str) -> bool {
        self.settle(no);
        match self.waiting(no) {
            Some(order) => {
                let mut events = Vec::new();
                charge(order, now_ms(), &mut events);
                self.outbox.append(&mut events);
                true
            }
            None => false,
        }
    }

    /// A person says no to a waiting order. `false`: there is none.
    pub(crate) fn decline(&mut self, no: &str) -> bool {
        self.settle(no);
        self.waiting(no)
            .map(|order| change(order, State::Stopped))
            .is_some()
    }

    /// Closes an unpaid order.
    pub(crate) fn close(&mut self, no: &str, device: &str, late_ms: u64) -> Undone {
        self.settle(no);
        let Some(order) = self
            .records
            .get_mut(no)
            .and_then(|r| r.order.as_deref_mut())
        else {
            return Undone::Unknown;
        };
        if *order.device != *device {
            return Undone::OtherDevice;
        }
        match order.state {
            State::Closed => Undone::Done,
            State::Waiting => {
                undo(order, State::Closed, late_ms, &mut self.outbox);
                Undone::Done
            }
            _ => Undone::NotNow(order.state_name()),
        }
    }

    /// Reverses an order: what was paid goes back, what was not can't be paid any more.
    pub(crate) fn reverse(&mut self, no: &str, device: &str, late_ms: u64) -> Undone {
        self.settle(no);
        let Some(order) = self
            .records
            .get_mut(no)
            .and_then(|r| r.order.as_deref_mut())
        else {
            return Undone::Unknown;
        };
        if *order.device != *device {
            return Undone::OtherDevice;
        }
        match order.state {
            State::Reversed => Undone::Done,
            State::Paid if !order.refunds.is_empty() => Undone::NotNow("refunded"),
            State::Paid => {
                order.entries.push(Entry {
                    at_ms: now_ms(),
                    what: What::Reverse,
                    amount: order.total_fee,
                });
                change(order, State::Reversed);
                Undone::Done
            }
            State::Waiting | State::Stopped | State::Failed => {
                undo(order, State::Reversed, late_ms, &mut self.outbox);
                Undone::Done
            }
            State::Closed => Undone::NotNow("closed"),
        }
    }

    /// Accepts a refund, or finds the one it repeats.
    pub(crate) fn refund(
        &mut self,
        no: &str,
        refund_no: &str,
        total: u64,
        fee: u64,
        origin: &str,
        wait_ms: u64,
    ) -> Refunded {
        self.settle(no);
        let owner = self.refunds.get(refund_no).cloned();
        let Some(order) = self
            .records
            .get_mut(no)
            .and_then(|r| r.order.as_deref_mut())
        else {
            return Refunded::Unknown;
        };
        if let Some(owner) = owner {
            let same = *owner == *no
                && order.total_fee == total
                && order
                    .refunds
                    .iter()
                    .any(|r| *r.no == *refund_no && r.fee == fee);
            return if same {
                Refunded::Accepted
            } else {
                Refunded::OtherRefund
            };
        }
        if order.total_fee != total {
            return Refunded::OtherTotal(order.total_fee);
        }
        if order.state != State::Paid {
            return Refunded::NotPaid(order.state_name());
        }
        let left = order.total_fee.saturating_sub(order.refund_sum());
        if fee > left {
            return Refunded::TooMuch(left);
        }
        let now = now_ms();
        order.refunds.push(Refund {
            no: refund_no.into(),
            seq: self.refunds_made.len() as u64,
            fee,
            origin: origin.into(),
            created_ms: now,
            done_ms: None,
            due_ms: now + wait_ms,
            queries: 0,
        });
        order.updated_ms = now;
        self.refunds_made.push(refund_no.into());
        self.refunds.insert(refund_no.into(), no.into());
        self.outbox.push(Event::Wake(no.into(), now + wait_ms));
        Refunded::Accepted
    }

    /// A query of an order's refunds: a processed one succeeds at its second query.
    pub(crate) fn poll_refunds(&mut self, no: &str, refund_no: Option<&str>) -> Option<&Order> {
        self.settle(no);
        let order = self.records.get_mut(no)?.order.as_deref_mut()?;
        for at in 0..order.refunds.len() {
            let Some(refund) = order.refunds.get_mut(at) else {
                continue;
            };
            if refund_no.is_some_and(|wanted| wanted != &*refund.no) {
                continue;
            }
            refund.queries = refund.queries.saturating_add(1);
            if refund.done_ms.is_none() && refund.queries >= 2 {
                finish_refund(order, at, now_ms(), &mut self.outbox);
            }
        }
        Some(order)
    }

    /// Which order a refund number belongs to.
    pub(crate) fn order_of_refund(&self, refund_no: &str) -> Option<String> {
        self.refunds.get(refund_no).map(|no| String::from(&**no))
    }

    /// The number of the refund with this sequence number.
    pub(crate) fn refund_by_seq(&self, seq: u64) -> Option<String> {
        let no = self.refunds_made.get(usize::try_from(seq).ok()?)?;
        Some(no.to_string())
    }

    /// Which other order this payment code has paid; remembers it for this one when there is none.
    pub(crate) fn code_owner(&mut self, code: &str, no: &str) -> Option<String> {
        match self.codes.get(code) {
            Some(owner) if **owner != *no => Some(String::from(&**owner)),
            Some(_) => None,
            None => {
                self.codes.insert(code.into(), no.into());
                None
            }
        }
    }

    /// Does what is due by now: late charges, refunds, and the end of orders that nobody paid.
    pub(crate) fn settle(&mut self, no: &str) {
        let Some(order) = self
            .records
            .get_mut(no)
            .and_then(|r| r.order.as_deref_mut())
        else {
            return;
        };
        let now = now_ms();
        if let Some(at) = order.late_ms.filter(|at| *at <= now) {
            order.late_ms = None;
            charge(order, at, &mut self.outbox);
        }
        if order.state == State::Waiting && order.expires_ms <= now {
            change(order, State::Closed);
        }
        for at in 0..order.refunds.len() {
            let due = order
                .refunds
                .get(at)
                .filter(|r| r.done_ms.is_none() && r.due_ms <= now)
                .map(|r| r.due_ms);
            if let Some(due) = due {
                finish_refund(order, at, due, &mut self.outbox);
            }
        }
    }

    fn waiting(&mut self, no: &str) -> Option<&mut Order> {
        let order = self.records.get_mut(no)?.order.as_deref_mut()?;
        (order.state == State::Waiting).then_some(order)
    }
}

fn change(order: &mut Order, state: State) {
    order.state = state;
    order.updated_ms = now_ms();
}

fn charge(order: &mut Order, at_ms: u64, outbox: &mut Vec<Event>) {
    order.entries.push(Entry {
        at_ms,
        what: What::Charge,
        amount: order.total_fee,
    });
    order.state = State::Paid;
    order.updated_ms = at_ms;
    outbox.push(Event::Paid(order.no.to_string()));
}

fn undo(order: &mut Order, state: State, late_ms: u64, outbox: &mut Vec<Event>) {
    change(order, state);
    if order.course == Course::LateAfterUndo {
        order.course = Course::Waits;
        order.late_ms = Some(order.updated_ms + late_ms);
        outbox.push(Event::Wake(
            order.no.to_string(),
            order.updated_ms + late_ms,
        ));
    }
}

fn finish_refund(order: &mut Order, at: usize, at_ms: u64, outbox: &mut Vec<Event>) {
    let Some(refund) = order.refunds.get_mut(at) else {
        return;
    };
    refund.done_ms = Some(at_ms);
    let (no, fee) = (refund.no.to_string(), refund.fee);
    order.entries.push(Entry {
        at_ms,
        what: What::Refund,
        amount: fee,
    });
    order.updated_ms = at_ms;
    outbox.push(Event::Refunded(order.no.to_string(), no));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::{Kind, Platform, Protocol};

    fn place(ledger: &mut Ledger, no: &str, course: Course, expires_ms: Option<u64>) {
        let new = NewOrder {
            no,
            protocol: Protocol::CloudPay,
            kind: Kind::ScanCodePay,
            platform: Platform::Wxpay,
            total_fee: 100,
            course,
            content: [0; 32],
            device: "1",
            listener: 0,
            origin: "",
            expires_ms,
        };
        ledger.place(new, 0);
    }

    #[test]
    fn an_order_that_nobody_paid_in_time_is_closed_and_can_not_be_paid() {
        let mut ledger = Ledger::default();
        place(&mut ledger, "a", Course::PaidAt(1), Some(now_ms()));
        place(&mut ledger, "b", Course::PaidAt(1), None);
        assert_eq!(ledger.poll("a").unwrap().state, State::Closed);
        assert!(!ledger.pay("a"));
        assert_eq!(ledger.order("a").unwrap().net(), 0);
        assert_eq!(ledger.poll("b").unwrap().state, State::Paid);
    }

    #[test]
    fn nothing_is_charged_twice() {
        let mut ledger = Ledger::default();
        place(&mut ledger, "a", Course::PaidAt(1), None);
        for _ in 0..3 {
            ledger.poll("a");
            ledger.pay("a");
        }
        assert_eq!(ledger.order("a").unwrap().entries.len(), 1);
        assert_eq!(ledger.take_outbox().len(), 1);
    }
}
