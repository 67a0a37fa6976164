//! What a register waits for: query, wait, cancel, close, refund. They run on the register's
//! thread, through the same state machine as everything else.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::value::RawValue;

use super::recover::live_from;
use super::step::{Asker, CONFIRM_WAIT, Heard, Task, Track};
use super::{Engine, Live, Stopping, list};
use crate::gateway::epay123;
use crate::gateway::{Call, OrderFacts, OrderKey, RefundKey, Verdict};
use crate::http::Failover;
use crate::journal::BegunRefund;
use crate::lock;
use crate::model::{
    Order, OrderState, Platform, Refund, RefundRequest, RefundState, Report, Source, TradeType,
};
use crate::request::{OrderQuery, RefundAsked, RefundQuery};
use crate::sdk::{Code, Error};
use crate::text::{Text, text};

/// An order and what to return for it.
pub(crate) struct Outcome {
    pub(crate) code: Code,
    pub(crate) order: Order,
    /// Why the code isn't the state's own, or isn't 0.
    pub(crate) reason: Option<Text>,
}

impl Outcome {
    fn of(order: Order) -> Self {
        Self {
            code: Code::of(order.state),
            order,
            reason: None,
        }
    }

    fn because(order: Order, reason: Text) -> Self {
        Self {
            reason: Some(reason),
            ..Self::of(order)
        }
    }
}

/// The gateway has no interface for it.
fn not_offered() -> Error {
    Error::internal(epay123::not_offered())
}

fn under_way() -> Error {
    Error::unknown(text!(
        "支付请求正在途中，请先查询再撤销",
        "the payment is under way: query it, then cancel again"
    ))
}

/// An order that is being taken back, or that was acted on while it was asked for.
fn undecided(order: &Order) -> Outcome {
    let mut order = order.clone();
    order.state = OrderState::Unknown;
    let reason = text!(
        "正在撤单或重新发送，请再查询",
        "it is being taken back or sent again: query again"
    );
    Outcome::because(order, reason)
}

/// How often an order is asked for that the engine doesn't ask for by itself.
const ASK_AGAIN: Duration = Duration::from_secs(3);

/// A refund that was asked about.
pub(crate) type Refunded = Result<Refund, Error>;

/// Where an order was found.
enum Found {
    /// In the engine or in the journal.
    Ours(Arc<Live>),
    /// Nowhere: only the gateway may know it.
    Stranger(OrderKey),
}

impl Engine {
    /// Asks the gateway for an order. Blocks for at most the request timeout times the domains;
    /// for an order that only an epay123 gateway knows, twice that and 5 s.
    pub(crate) fn query(self: &Arc<Self>, asked: &OrderQuery) -> Result<Outcome, Error> {
        match self.locate(asked, asked.trade_type)? {
            Found::Ours(live) => Ok(self.query_ours(&live)),
            Found::Stranger(key) => Ok(self.query_stranger(&key)),
        }
    }

    /// Waits until an order is final, or until its QR code is ready when that was asked for. What
    /// the engine doesn't ask for by itself is asked for here: the last query may begin just before
    /// the deadline; with a deadline that is over there is none.
    pub(crate) fn wait(
        self: &Arc<Self>,
        asked: &OrderQuery,
        timeout: Duration,
    ) -> Result<Outcome, Error> {
        let deadline = Instant::now() + timeout;
        let mut last = None;
        loop {
            if let Some(live) = self.find_live(&asked.trade_no) {
                match self.wait_for(&live, asked, deadline) {
                    Some(outcome) => return Ok(outcome),
                    None => continue,
                }
            }
            // The same one again: it counts what it has heard.
            let found = match last.take() {
                Some(found) => found,
                None => self.locate(asked, asked.trade_type)?,
            };
            let known = match &found {
                Found::Ours(live) => live.lock().track.order.clone(),
                Found::Stranger(key) => Order::unknown(&key.trade_no),
            };
            if known.state.is_final() || Instant::now() >= deadline {
                return Ok(Outcome::of(known));
            }
            let outcome = match &found {
                Found::Ours(live) => self.query_ours(live),
                Found::Stranger(key) => self.query_stranger(key),
            };
            let open = outcome.code == Code::UNKNOWN
                || outcome.code == Code::CODE_READY && !asked.until_code;
            let again = deadline.min(Instant::now() + ASK_AGAIN);
            if !open || self.pause_until(again).is_err() || again == deadline {
                return Ok(outcome);
            }
            last = Some(found);
        }
    }

    /// Waits for an order that the engine knows. `None` when it was withdrawn.
    fn wait_for(&self, live: &Live, asked: &OrderQuery, deadline: Instant) -> Option<Outcome> {
        let mut inner = live.lock();
        loop {
            let state = inner.track.order.state;
            let reached = state.is_final() || asked.until_code && state == OrderState::CodeReady;
            let over = self.is_stopping() || Instant::now() >= deadline;
            // What is final is in the journal before the register hears of it.
            if reached && inner.writing == 0 {
                return Some(Outcome::of(inner.track.order.clone()));
            }
            if over {
                let mut order = inner.track.order.clone();
                if state.is_final() {
                    order.state = OrderState::Unknown;
                }
                return Some(Outcome::of(order));
            }
            if inner.void {
                return None;
            }
            inner = live.wait(inner, deadline);
        }
    }

    fn locate(&self, asked: &OrderQuery, trade_type: Option<TradeType>) -> Result<Found, Error> {
        if let Some(live) = self.find_live(&asked.trade_no) {
            return Ok(Found::Ours(live));
        }
        let stored = self
            .journal
            .find_order(&asked.trade_no)
            .wait()
            .map_err(Error::internal)?;
        if let Some(stored) = stored {
            let live = live_from(stored, crate::clock::now_ms(), Instant::now());
            return Ok(Found::Ours(Arc::new(live)));
        }
        let unknown = |key: &str| {
            let number = &asked.trade_no;
            Error::internal(text!(
                "{key}：本机没有订单 {number} 的记录，此项必填",
                "{key}: required, because this register's journal has no order {number}"
            ))
        };
        let platform = asked.platform.ok_or_else(|| unknown("pay_platform"))?;
        let trade_type = trade_type.ok_or_else(|| unknown("trade_type"))?;
        Ok(Found::Stranger(OrderKey {
            trade_no: asked.trade_no.clone(),
            platform,
            sub_platform: platform.sub_number(),
            trade_type,
            total_fee: None,
        }))
    }

    fn query_ours(self: &Arc<Self>, live: &Arc<Live>) -> Outcome {
        let cancels = self.cancels.load(Ordering::Acquire);
        let epoch = {
            let inner = live.lock();
            let order = &inner.track.order;
            let own_verdict = order.state.is_final()
                && order
                    .evidence
                    .as_ref()
                    .is_some_and(|evidence| evidence.source == Source::Journal);
            // Nobody but this machine knows a payment that was never sent; a re-entry's answer
            // would be about somebody else's payment.
            if own_verdict || order.state == OrderState::Reentry {
                return Outcome::of(order.clone());
            }
            if inner.track.taking_back() {
                return undecided(order);
            }
            if inner.track.unsent() || inner.busy && inner.task == Task::Pay {
                let reason = text!("支付请求正在发送", "the payment is being sent");
                return Outcome::because(order.clone(), reason);
            }
            inner.track.epoch()
        };
        let heard = self.ask(&Call::QueryOrder(&live.key), Failover::Any);
        let (reason, refused, shown) = match &heard {
            Heard::NotSent(reason) | Heard::Lost(reason) => (Some(reason.clone()), false, None),
            Heard::Answer(answer) => match &answer.verdict {
                Verdict::Order(facts) => (
                    None,
                    false,
                    Some((facts.content.clone(), facts.mch_key.clone())),
                ),
                Verdict::Refused(reason) | Verdict::RefusedUnsigned(reason) => {
                    (Some(reason.clone()), true, None)
                }
                other => (Some(other.reason()), false, None),
            },
        };
        let mut order = {
            let mut orders = lock(&self.live);
            let mut inner = live.lock();
            let current = match orders.get(&live.key.trade_no) {
                Some(known) => Arc::ptr_eq(known, live),
                None => self.cancels.load(Ordering::Acquire) == cancels,
            };
            if !current || inner.track.epoch() != epoch {
                // Sent again or taken back meanwhile: what was true before proves nothing now.
                return undecided(&inner.track.order);
            }
            let step = inner
                .track
                .hear(Task::Query, heard, &self.rules, Instant::now());
            if !inner.track.at_rest() {
                list(&mut orders, live);
            }
            drop(orders);
            self.follow(live, inner, &step)
        };
        if let Some((content, mch_key)) = shown {
            order.content = content.or(order.content);
            order.mch_key = mch_key.or(order.mch_key);
        }
        match reason {
            None => Outcome::of(order),
            Some(reason) if order.state.is_final() => {
                let why = reason.pick(self.rules.language);
                let note = text!(
                    "网关未给出结果，此为本机记录：{why}",
                    "from this register's journal, the gateway gave no result: {why}"
                );
                order.message = note.pick(self.rules.language).to_owned();
                Outcome::of(order)
            }
            // A refusal to answer says nothing about the payment.
            Some(reason) if refused => Outcome {
                code: Code::ERROR,
                order,
                reason: Some(reason),
            },
            Some(reason) => Outcome::because(order, reason),
        }
    }

    /// An order that neither engine nor journal knows: the gateway's word, and nothing kept. An
    /// "unpaid" that may be a channel's time-out is asked for twice.
    fn query_stranger(&self, key: &OrderKey) -> Outcome {
        let first = self.ask_for_stranger(key);
        if self.rules.gateway.unpaid_is_final || !first.order.state.is_unpaid() {
            return first;
        }
        match self.pause_until(Instant::now() + CONFIRM_WAIT) {
            Ok(()) => self.ask_for_stranger(key),
            Err(Stopping) => {
                let order = Order::unknown(&key.trade_no);
                Outcome::because(order, text!("程序库正在停止", "the library is stopping"))
            }
        }
    }

    fn ask_for_stranger(&self, key: &OrderKey) -> Outcome {
        let mut order = Order::unknown(&key.trade_no);
        order.platform = Some(key.platform);
        order.trade_type = Some(key.trade_type);
        match self.ask(&Call::QueryOrder(key), Failover::Any) {
            Heard::NotSent(reason) | Heard::Lost(reason) => Outcome::because(order, reason),
            Heard::Answer(answer) => {
                order.evidence = Some(answer.evidence);
                match answer.verdict {
                    Verdict::Order(facts) => {
                        show_facts(&mut order, *facts, self);
                        Outcome::of(order)
                    }
                    Verdict::NotFound => {
                        order.state = OrderState::NotFound;
                        Outcome::because(order, text!("没有这笔订单", "there is no such order"))
                    }
                    Verdict::Refused(reason) | Verdict::RefusedUnsigned(reason) => Outcome {
                        code: Code::ERROR,
                        order,
                        reason: Some(reason),
                    },
                    other => Outcome::because(order, other.reason()),
                }
            }
        }
    }

    /// Takes an order back: reverses a micro_pay, closes a scan_code_pay. Blocks for at most the
    /// reverse gate plus four request timeouts, and a query that began before that was over.
    pub(crate) fn cancel(
        self: &Arc<Self>,
        asked: &OrderQuery,
        wanted: Option<TradeType>,
        request_timeout: Duration,
        device_id: &str,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + self.rules.reverse_after + request_timeout * 4;
        let mut live = match self.locate(asked, wanted).map_err(Error::into_refusal)? {
            Found::Ours(live) => live,
            Found::Stranger(key) => self.adopt_stranger(key, device_id)?,
        };
        if let Some(wanted) = wanted
            && live.key.trade_type != wanted
        {
            return Err(Error::refused(match wanted {
                TradeType::ScanCode => text!(
                    "trade_type：这是刷卡支付订单，请用 cancel_order（trade_type 1）撤单",
                    "trade_type: this is a micro_pay order; reverse it with cancel_order, trade_type 1"
                ),
                TradeType::MicroPay => text!(
                    "trade_type：这是扫码支付订单，请用 trade_type 2 关单",
                    "trade_type: this is a scan_code_pay order; close it with trade_type 2"
                ),
            }));
        }
        let done = match self.claim(&mut live, deadline) {
            Ok(true) => {
                self.cancels.fetch_add(1, Ordering::AcqRel);
                self.take_back(&live, deadline)
            }
            Ok(false) => Ok(()),
            Err(refused) => Err(refused),
        };
        self.retire(&live);
        if done.is_ok() {
            // Who asked for the end of an order knows of it.
            self.journal.reported(&live.key.trade_no);
        }
        done
    }

    /// An order that the journal doesn't know may be taken back only when the gateway says,
    /// authentically, that this very register made it (`lifecycle.md`, invariant 5).
    fn adopt_stranger(&self, key: OrderKey, device_id: &str) -> Result<Arc<Live>, Error> {
        let heard = self.ask(&Call::QueryOrder(&key), Failover::Any);
        let answer = match heard {
            Heard::NotSent(reason) | Heard::Lost(reason) => return Err(Error::unknown(reason)),
            Heard::Answer(answer) => answer,
        };
        match answer.verdict {
            Verdict::Order(facts) if facts.device_id.as_deref() == Some(device_id) => {
                let mut order = Order::unknown(&key.trade_no);
                order.evidence = Some(answer.evidence);
                show_facts(&mut order, *facts, self);
                let track = Track::resting(order, key.trade_type, Duration::ZERO, Instant::now());
                Ok(Arc::new(Live::new(key, track)))
            }
            Verdict::Order(_) => Err(Error::refused(text!(
                "该订单不是本收银机的订单，不能撤销或关闭",
                "this register did not make that order: it is not cancelled or closed"
            ))),
            other => Err(not_answered(&other)),
        }
    }

    /// Makes this thread the only one to act on the order, and the order known to all meanwhile: two
    /// threads never take it back at once. Says whether there is anything to do; refuses where
    /// nothing may be done.
    fn claim(&self, live: &mut Arc<Live>, deadline: Instant) -> Result<bool, Error> {
        loop {
            *live = self.enlist(live).ok_or_else(under_way)?;
            if !self.make_busy(live, deadline)? {
                return Ok(false);
            }
            // It may have come to rest, and left, while this thread waited.
            if self
                .enlist(live)
                .is_some_and(|known| Arc::ptr_eq(&known, live))
            {
                return Ok(true);
            }
            live.lock().busy = false;
            live.changed.notify_all();
        }
    }

    fn make_busy(&self, live: &Live, deadline: Instant) -> Result<bool, Error> {
        let mut inner = live.lock();
        loop {
            match inner.track.order.state {
                OrderState::Reentry => {
                    return Err(Error::new(
                        Code::REENTRY,
                        text!(
                            "该单号属于另一笔支付，不能撤销",
                            "this number belongs to another payment: it is not cancelled"
                        ),
                    ));
                }
                OrderState::Refunded => {
                    return Err(Error::refused(text!(
                        "该订单已退款",
                        "the order was already refunded"
                    )));
                }
                OrderState::Reversed | OrderState::Closed => return Ok(false),
                _ => {}
            }
            if !inner.busy {
                inner.busy = true;
                return Ok(true);
            }
            if inner.void || self.is_stopping() || Instant::now() >= deadline {
                return Err(under_way());
            }
            inner = live.wait(inner, deadline);
        }
    }

    /// Runs the guarded reverse to its end, or to the deadline. The order is claimed.
    fn take_back(self: &Arc<Self>, live: &Arc<Live>, deadline: Instant) -> Result<(), Error> {
        let mut step = {
            let mut inner = live.lock();
            inner
                .track
                .take_back(Asker::Register, &self.rules, Instant::now())
        };
        loop {
            let mut inner = live.lock();
            let due = step.next.filter(|_| inner.track.taking_back());
            let Some((at, task)) = due else {
                inner.busy = false;
                let refusal = inner.track.take_back_refusal().cloned();
                let order = self.follow(live, inner, &step);
                return taken_back(&order, self.reversible(live), refusal);
            };
            while Instant::now() < at && at <= deadline && !self.is_stopping() {
                inner = live.wait(inner, at);
            }
            if at > deadline || self.is_stopping() || Instant::now() > deadline {
                let abandoned = inner.track.abandon_take_back(&self.rules, Instant::now());
                inner.busy = false;
                let order = self.follow(live, inner, &abandoned);
                return taken_back(&order, self.reversible(live), None);
            }
            if task == Task::TakeBack && inner.unrecorded {
                // Nothing is reversed that a restart would believe paid.
                let abandoned = inner.track.abandon_take_back(&self.rules, Instant::now());
                inner.busy = false;
                self.follow(live, inner, &abandoned);
                return Err(Error::unknown(text!(
                    "流水库写入失败，没有撤单，请查询后再撤",
                    "the journal can't be written: nothing was reversed; query, then cancel again"
                )));
            }
            drop(inner);
            let heard = self.exchange(live, task);
            let mut inner = live.lock();
            step = inner.track.hear(task, heard, &self.rules, Instant::now());
            if inner.track.taking_back() && (step.changed || step.news) {
                self.follow(live, inner, &step);
            }
        }
    }

    /// Whether a paid order of this kind can be taken back, and not only refunded.
    fn reversible(&self, live: &Live) -> bool {
        live.key.trade_type == TradeType::MicroPay && self.rules.gateway.reverses
    }

    /// Asks for a refund. Blocks for at most twice the request timeout times the
    /// domains.
    pub(crate) fn refund(&self, asked: RefundAsked) -> Result<(), Error> {
        let known = self.known_order(&asked.trade_no)?;
        if let Some(order) = &known {
            if order.state == OrderState::Reentry {
                return Err(Error::refused(text!(
                    "该单号属于另一笔支付，不能退款",
                    "this number belongs to another payment: it is not refunded"
                )));
            }
            if let Some(fee) = order.total_fee
                && fee != asked.total_fee
            {
                let given = asked.total_fee;
                return Err(Error::refused(text!(
                    "total_fee：订单金额为 {fee}，得到 {given}",
                    "total_fee: the order's amount is {fee}, got {given}"
                )));
            }
        }
        let platform = platform_of(asked.platform, known.as_ref())
            .ok_or_else(|| Error::refused(missing_platform(&asked.trade_no)))?;
        let request = asked.on(platform);
        // In the journal before it is sent: the same number never stands for two refunds.
        let alone = self.rules.gateway.one_refund_at_a_time;
        let attempt = match self.journal.begin_refund(&request, alone).wait() {
            Err(reason) => return Err(Error::refused(reason)),
            Ok(BegunRefund::Taken {
                trade_no,
                refund_fee,
            }) => {
                let number = &request.refund_no;
                return Err(Error::refused(text!(
                    "out_refund_no：{number} 已用于订单 {trade_no} 的退款（{refund_fee} 分），内容不同；请使用新的退款单号",
                    "out_refund_no: {number} already stands for a refund of order {trade_no} ({refund_fee} fen) with other content; use a new number"
                )));
            }
            Ok(BegunRefund::MustWait { refund_no: other }) => {
                return Err(Error::refused(text!(
                    "out_trade_no：该订单的退款 {other} 结果未知；请先用该单号再次退款，或一分钟后查询",
                    "out_trade_no: the result of this order's refund {other} isn't known; ask for that refund again, or query it after a minute"
                )));
            }
            Ok(BegunRefund::Send { attempt }) => attempt,
        };
        let answer = match self.ask(&Call::Refund(&request), Failover::NotSent) {
            Heard::Answer(answer) => answer,
            Heard::NotSent(reason) => {
                if let Some(attempt) = attempt {
                    let number = &request.refund_no;
                    let _ = self.journal.record_unsent_refund(number, attempt).wait();
                }
                return Err(Error::unknown(reason));
            }
            Heard::Lost(reason) => return Err(Error::unknown(reason)),
        };
        match answer.verdict {
            Verdict::Refund(refund) => {
                // What the gateway knows is not lost with the note of it.
                let _ = self.journal.record_refund(&refund).wait();
                if refund.state == RefundState::Failed {
                    return Err(Error::refused(text!("退款失败", "the refund failed")));
                }
                Ok(())
            }
            Verdict::Refused(reason) => Err(self.refused_refund(&request, reason)),
            Verdict::NotFound => Err(Error::unknown(answer.verdict.reason())),
            Verdict::RefusedUnsigned(reason) => self.confirm_refused_refund(&request, reason),
            other => Err(not_answered(&other)),
        }
    }

    /// Notes that a refund was refused.
    fn refused_refund(&self, request: &RefundRequest, reason: Text) -> Error {
        let words = reason.pick(self.rules.language);
        // What the gateway knows is not lost with the note of it.
        let _ = self
            .journal
            .record_refused_refund(&request.refund_no, words)
            .wait();
        Error::refused(reason)
    }

    /// Nothing vouches for an unsigned refusal: the refund itself is asked for. It may be the
    /// same one, made by an earlier call whose answer was lost.
    fn confirm_refused_refund(&self, request: &RefundRequest, reason: Text) -> Result<(), Error> {
        let key = RefundKey {
            trade_no: Some(request.trade_no.clone()),
            refund_no: request.refund_no.clone(),
            platform: request.platform,
        };
        let answer = match self.ask(&Call::QueryRefund(&key), Failover::Any) {
            Heard::Answer(answer) => answer,
            Heard::NotSent(why) | Heard::Lost(why) => return Err(Error::unknown(why)),
        };
        match answer.verdict {
            Verdict::Refund(refund) if refund.refund_fee == Some(request.refund_fee) => {
                let _ = self.journal.record_refund(&refund).wait();
                match refund.state {
                    RefundState::Failed | RefundState::Closed => Err(Error::refused(reason)),
                    _ => Ok(()),
                }
            }
            Verdict::RefusedUnsigned(why) if !self.rules.gateway.unpaid_is_final => {
                Err(Error::unknown(why))
            }
            Verdict::NotFound | Verdict::Refused(_) | Verdict::RefusedUnsigned(_) => {
                Err(self.refused_refund(request, reason))
            }
            other => Err(Error::unknown(other.reason())),
        }
    }

    /// Asks about a refund. Blocks for at most the request timeout times the domains.
    pub(crate) fn query_refund(&self, asked: RefundQuery) -> Refunded {
        let trade_no = match (&asked.trade_no, &asked.refund_no) {
            (None, Some(refund_no)) => self
                .journal
                .order_of_refund(refund_no)
                .wait()
                .map_err(Error::internal)?,
            (trade_no, _) => trade_no.clone(),
        };
        let refund_no = asked
            .refund_no
            .or_else(|| trade_no.clone())
            .unwrap_or_default();
        let known = match &trade_no {
            Some(trade_no) => self.known_order(trade_no)?,
            None => None,
        };
        let platform = platform_of(asked.platform, known.as_ref())
            .ok_or_else(|| Error::internal(missing_platform(&refund_no)))?;
        let key = RefundKey {
            trade_no,
            refund_no,
            platform,
        };
        let answer = match self.ask(&Call::QueryRefund(&key), Failover::Any) {
            Heard::Answer(answer) => answer,
            Heard::NotSent(reason) | Heard::Lost(reason) => return Err(Error::unknown(reason)),
        };
        match answer.verdict {
            Verdict::Refund(refund) => {
                let _ = self.journal.record_refund(&refund).wait();
                Ok(*refund)
            }
            other => {
                if matches!(other, Verdict::NotFound) {
                    let _ = self.journal.record_missing_refund(&key.refund_no).wait();
                }
                Err(not_answered(&other))
            }
        }
    }

    /// Asks about the merchant: shops, lists, sums. Blocks for at most the request timeout times
    /// the domains.
    pub(crate) fn report(&self, report: &Report) -> Result<Box<RawValue>, Error> {
        let call = Call::Report(report);
        if !self.gateway.offers(&call) {
            return Err(not_offered());
        }
        match self.ask(&call, Failover::Any) {
            Heard::NotSent(reason) | Heard::Lost(reason) => Err(Error::unknown(reason)),
            Heard::Answer(answer) => match answer.verdict {
                Verdict::Report(words) => Ok(words),
                other => Err(not_answered(&other)),
            },
        }
    }

    /// The content of a notification of the gateway's, once it is proven to be one.
    pub(crate) fn open_notification(&self, body: &[u8]) -> Result<String, Error> {
        let opened = self.gateway.open_notification(body);
        opened.ok_or_else(not_offered)?.map_err(Error::refused)
    }

    /// The answer to a notification.
    pub(crate) fn answer_notification(
        &self,
        status: i32,
        description: &str,
    ) -> Result<Vec<u8>, Error> {
        let answer = self.gateway.answer_notification(status, description);
        answer.ok_or_else(not_offered)?.map_err(Error::internal)
    }

    fn known_order(&self, trade_no: &str) -> Result<Option<Order>, Error> {
        if let Some(live) = self.find_live(trade_no) {
            return Ok(Some(live.lock().track.order.clone()));
        }
        let stored = self
            .journal
            .find_order(trade_no)
            .wait()
            .map_err(Error::internal)?;
        Ok(stored.map(|stored| stored.order))
    }
}

/// A verdict that doesn't answer the question: refused, or nobody knows.
fn not_answered(verdict: &Verdict) -> Error {
    match verdict {
        Verdict::NotFound | Verdict::Refused(_) | Verdict::RefusedUnsigned(_) => {
            Error::refused(verdict.reason())
        }
        _ => Error::unknown(verdict.reason()),
    }
}

/// What a register is told at the end of a cancel or close.
fn taken_back(order: &Order, reversible: bool, refusal: Option<Text>) -> Result<(), Error> {
    match order.state {
        // Nothing was or will be charged: there is nothing left to take back.
        OrderState::Reversed | OrderState::Closed | OrderState::Failed => Ok(()),
        OrderState::Refunded => Err(Error::refused(text!(
            "该订单已退款",
            "the order was already refunded"
        ))),
        OrderState::Paid if !reversible => Err(Error::refused(text!(
            "该订单已支付，不能撤销或关闭；请退款",
            "the order is paid and can't be closed: refund it instead"
        ))),
        _ => Err(match refusal {
            Some(reason) => Error::refused(reason),
            None => Error::unknown(text!(
                "结果未知：请先查询，再撤销",
                "the result is unknown: query the order, then cancel again"
            )),
        }),
    }
}

fn show_facts(order: &mut Order, facts: OrderFacts, engine: &Engine) {
    order.state = facts.state;
    order.total_fee = facts.total_fee;
    order.transaction_id = facts.transaction_id;
    order.time_end = facts.time_end;
    order.code_url = facts.code_url;
    order.content = facts.content;
    order.mch_key = facts.mch_key;
    if let Some(message) = facts.message {
        order.message = message.pick(engine.rules.language).to_owned();
    }
}

fn platform_of(given: Option<Platform>, known: Option<&Order>) -> Option<Platform> {
    given.or_else(|| known.and_then(|order| order.platform))
}

fn missing_platform(number: &str) -> Text {
    text!(
        "pay_platform：本机没有 {number} 的记录，此项必填",
        "pay_platform: required, because this register's journal knows nothing of {number}"
    )
}
