//! What a register waits for: query, wait, cancel, close, refund. They run on the register's
//! thread, through the same state machine as everything else.

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;

use super::recover::live_from;
use super::step::{Asker, CONFIRM_WAIT, Heard, Step, Task, Track, with_note};
use super::{Engine, Inner, Live, Stopping, list};
use crate::config::Merchant;
use crate::gateway::epay123;
use crate::gateway::{Call, OrderFacts, OrderKey, RefundKey, Verdict};
use crate::http::Failover;
use crate::journal::{BegunRefund, BegunTakeBack};
use crate::lock;
use crate::model::{
    Order, OrderState, Origin, Platform, Refund, RefundRequest, RefundState, Report, Source,
    TradeType,
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
    fn of(mut order: Order) -> Self {
        // Alipay calls what was refunded in full closed.
        if order.state == OrderState::Closed
            && order.platform == Some(Platform::Alipay)
            && order.refunded().1 == "full"
        {
            order.state = OrderState::Refunded;
        }
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

/// What a register that asks for refunds gets.
#[derive(Clone, Debug)]
pub enum Refunded {
    /// The refund whose number it gave.
    One(Box<Refund>),
    /// All of the order's.
    All(String, Vec<Refund>),
}

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
            if reached && inner.writing == 0 && !inner.track.in_doubt() {
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
        Ok(Found::Stranger(OrderKey {
            trade_no: asked.trade_no.clone(),
            platform: asked.platform,
            sub_platform: asked.platform.map(Platform::sub_number),
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
        let asked = Instant::now();
        let heard = self.ask_about(live);
        let (reason, refused, mut shown) = match &heard {
            Heard::NotSent(reason) | Heard::Lost(reason) => (Some(reason.clone()), false, None),
            Heard::Answer(answer) => match &answer.verdict {
                Verdict::Order(facts) => match &facts.other_amount {
                    Some(reason) => (Some(reason.clone()), false, None),
                    None => (
                        None,
                        false,
                        Some((facts.content.clone(), facts.mch_key.clone())),
                    ),
                },
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
                .hear(Task::Query, asked, heard, &self.rules, Instant::now());
            if !inner.track.at_rest() {
                list(&mut orders, live);
            }
            drop(orders);
            let (in_doubt, ours) = (inner.track.in_doubt(), inner.track.origin.ours);
            let order = self.follow(live, inner, &step);
            if in_doubt || !self.is_written(live) {
                return undecided(&order);
            }
            // Of an order that may be another register's nothing is shown.
            shown = shown.filter(|_| ours);
            order
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
                let note = note.pick(self.rules.language);
                order.message = match order.message.as_str() {
                    "" => note.to_owned(),
                    known => with_note(known, note),
                };
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

    /// Waits until everything that is known of an order is in the journal; says whether it is.
    fn is_written(&self, live: &Live) -> bool {
        let deadline = Instant::now() + self.rules.request_timeout;
        let mut inner = live.lock();
        while inner.writing > 0 && Instant::now() < deadline && !self.is_stopping() {
            inner = live.wait(inner, deadline);
        }
        inner.writing == 0
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
        order.platform = key.platform;
        order.trade_type = key.trade_type;
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
        merchant: &Merchant,
    ) -> Result<(), Error> {
        let deadline = Instant::now() + self.rules.reverse_after + request_timeout * 4;
        let mut live = match self.locate(asked, wanted).map_err(Error::into_refusal)? {
            Found::Ours(live) => live,
            Found::Stranger(key) => self.adopt_stranger(key, merchant)?,
        };
        if let Some(wanted) = wanted
            && live.key.trade_type.is_some_and(|kind| kind != wanted)
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
                match self.begin_take_back(&live.key.trade_no) {
                    Ok(new) => self.take_back(&live, new, deadline),
                    Err(refused) => {
                        live.lock().busy = false;
                        live.changed.notify_all();
                        Err(refused)
                    }
                }
            }
            Ok(false) => Ok(()),
            Err(refused) => Err(refused),
        };
        self.retire(&live);
        if done.is_ok() {
            // Who asked for the end of an order knows of it.
            self.journal.told(&live.key.trade_no, true);
        }
        done
    }

    /// Writes that an order is about to be taken back: no refund of it begins from now on. Says
    /// whether that is new; refuses where money of it goes back already.
    fn begin_take_back(&self, trade_no: &str) -> Result<bool, Error> {
        match self.journal.begin_take_back(trade_no).wait() {
            Ok(BegunTakeBack::Send { new }) => Ok(new),
            Ok(BegunTakeBack::Refunded { refund_no, fee }) => Err(Error::refused(text!(
                "订单 {trade_no} 已有退款（{refund_no} 等共 {fee} 分），不能撤单；剩余金额请用退款",
                "order {trade_no} has refunds ({refund_no}, {fee} fen in all) and is not reversed; refund what is left"
            ))),
            Err(reason) => Err(Error::unknown(reason)),
        }
    }

    /// The same for an order whose time is over.
    pub(super) fn may_take_back(&self, live: &Live) -> bool {
        match self.begin_take_back(&live.key.trade_no) {
            Ok(_) => true,
            Err(error) => {
                tracing::warn!(reason = %error.message, "not taken back");
                false
            }
        }
    }

    /// An order that the journal doesn't know may be taken back only when the gateway says,
    /// authentically, that this very register made it (`lifecycle.md`, invariant 5).
    fn adopt_stranger(&self, key: OrderKey, merchant: &Merchant) -> Result<Arc<Live>, Error> {
        let heard = self.ask(&Call::QueryOrder(&key), Failover::Any);
        let answer = match heard {
            Heard::NotSent(reason) | Heard::Lost(reason) => return Err(Error::unknown(reason)),
            Heard::Answer(answer) => answer,
        };
        match answer.verdict {
            Verdict::Order(facts) if made_here(&facts, merchant) => {
                let mut order = Order::unknown(&key.trade_no);
                order.evidence = Some(answer.evidence);
                let trade_type = key.trade_type.or(facts.trade_type).ok_or_else(|| {
                    Error::refused(text!(
                        "trade_type：网关没有说明该订单的交易类型，此项必填",
                        "trade_type: required, because the gateway doesn't say of which kind the order is"
                    ))
                })?;
                let key = OrderKey {
                    platform: key.platform.or(facts.platform),
                    trade_type: Some(trade_type),
                    ..key
                };
                let origin = Origin {
                    marks: facts.marks.clone(),
                    ours: true,
                    was_paid: facts.state == OrderState::Paid,
                    ..Origin::default()
                };
                show_facts(&mut order, *facts, self);
                let now = Instant::now();
                let track = Track::resting(order, origin, trade_type, Duration::ZERO, now);
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
                OrderState::Reversed | OrderState::Closed if inner.track.in_doubt() => {
                    return Err(Error::unknown(text!(
                        "该订单撤单后又被称为已支付，正在核实；请再查询",
                        "after its reverse the order is called paid again, which is being checked: query again"
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
    fn take_back(
        self: &Arc<Self>,
        live: &Arc<Live>,
        new: bool,
        deadline: Instant,
    ) -> Result<(), Error> {
        let mut step = {
            let mut inner = live.lock();
            if !new {
                inner.track.lost_a_take_back();
            }
            inner
                .track
                .take_back(Asker::Register, &self.rules, Instant::now())
        };
        // What an earlier call sent stays under way, whatever this one does.
        let mut sent = !new;
        loop {
            let mut inner = live.lock();
            let due = step.next.filter(|_| inner.track.taking_back());
            let Some((at, task)) = due else {
                let refusal = inner.track.take_back_refusal().cloned();
                let provisional = inner.track.origin.provisional;
                let sent = sent && refusal.is_none();
                let order = self.end_take_back(live, inner, &step, sent);
                return taken_back(&order, provisional, self.reversible(live), refusal);
            };
            while Instant::now() < at && at <= deadline && !self.is_stopping() {
                inner = live.wait(inner, at);
            }
            if at > deadline || self.is_stopping() || Instant::now() > deadline {
                let abandoned = inner.track.abandon_take_back(&self.rules, Instant::now());
                let provisional = inner.track.origin.provisional;
                let order = self.end_take_back(live, inner, &abandoned, sent);
                return taken_back(&order, provisional, self.reversible(live), None);
            }
            if task == Task::TakeBack && inner.unrecorded {
                // Nothing is reversed that a restart would believe paid.
                let abandoned = inner.track.abandon_take_back(&self.rules, Instant::now());
                self.end_take_back(live, inner, &abandoned, sent);
                return Err(Error::unknown(text!(
                    "流水库写入失败，没有撤单，请查询后再撤",
                    "the journal can't be written: nothing was reversed; query, then cancel again"
                )));
            }
            drop(inner);
            if task == Task::TakeBack
                && let Err(refused) = self.begin_take_back(&live.key.trade_no)
            {
                // A refund has begun meanwhile, or the journal can't say that none has.
                let mut inner = live.lock();
                let kept = inner.track.keep(&self.rules, Instant::now());
                inner.busy = false;
                self.follow(live, inner, &kept);
                return Err(refused);
            }
            let asked = Instant::now();
            let heard = self.exchange(live, task);
            sent |= task == Task::TakeBack && !matches!(heard, Heard::NotSent(_));
            let mut inner = live.lock();
            step = inner
                .track
                .hear(task, asked, heard, &self.rules, Instant::now());
            if inner.track.taking_back() && (step.changed || step.news) {
                self.follow(live, inner, &step);
            }
        }
    }

    /// Ends a register's reverse or close, and writes that nothing can come of it where it was not
    /// `sent`. One that was sent and isn't proven stays under way.
    fn end_take_back(
        self: &Arc<Self>,
        live: &Arc<Live>,
        inner: MutexGuard<'_, Inner>,
        step: &Step,
        sent: bool,
    ) -> Order {
        let over = !sent
            && !matches!(
                inner.track.order.state,
                OrderState::Reversed | OrderState::Closed
            );
        drop(inner);
        if over {
            // While the order is still claimed: the next cancel's note is another one.
            let _ = self.journal.forget_take_back(&live.key.trade_no).wait();
        }
        let mut inner = live.lock();
        inner.busy = false;
        self.follow(live, inner, step)
    }

    /// Whether a paid order of this kind can be taken back, and not only refunded.
    fn reversible(&self, live: &Live) -> bool {
        live.key.trade_type == Some(TradeType::MicroPay) && self.rules.gateway.reverses
    }

    /// Asks for a refund. Blocks for at most twice the request timeout times the domains; after a
    /// reverse without a result for four times that and 5 s.
    pub(crate) fn refund(&self, asked: RefundAsked) -> Result<(), Error> {
        let known = self.known_order(&asked.trade_no)?;
        if let Some((order, ours)) = &known {
            check_refundable(order, *ours, &asked)?;
        }
        let platform = asked
            .platform
            .or_else(|| known.and_then(|(order, _)| order.platform));
        let request = asked.on(platform);
        let (attempt, domain) = self.begin_refund(&request)?;
        let asked = self.send_refund(&request, attempt, domain.as_deref());
        self.renew_refunds(&request.trade_no);
        asked
    }

    fn send_refund(
        &self,
        request: &RefundRequest,
        attempt: Option<i64>,
        domain: Option<&str>,
    ) -> Result<(), Error> {
        let before = self.sendings.last(&request.refund_no);
        self.sendings.note(&request.refund_no);
        let answer = match self.exchange_refund(request, domain) {
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
                if matches!(refund.state, RefundState::Failed | RefundState::Closed) {
                    return Err(Error::refused(text!("退款失败", "the refund failed")));
                }
                Ok(())
            }
            // Nothing can have come of this number before.
            Verdict::Refused(reason) if attempt.is_some() => {
                Err(self.refused_refund(request, reason))
            }
            Verdict::Refused(reason) | Verdict::RefusedUnsigned(reason) => {
                let before = attempt.is_none().then_some(before);
                self.confirm_refused_refund(request, reason, before)
            }
            Verdict::NotFound => Err(Error::unknown(answer.verdict.reason())),
            other => Err(not_answered(&other)),
        }
    }

    /// Has the journal note a refund before it is sent: the same number never stands for two, and
    /// refunds and a reverse of one order exclude each other. Gives the number of the attempt when
    /// nothing can have come of those before, and the domain of the one before.
    fn begin_refund(
        &self,
        request: &RefundRequest,
    ) -> Result<(Option<i64>, Option<String>), Error> {
        let alone = self.rules.gateway.one_refund_at_a_time;
        let order = &request.trade_no;
        let mut asked_again = false;
        loop {
            let begun = self.journal.begin_refund(request, alone).wait();
            return match begun.map_err(Error::refused)? {
                BegunRefund::Send { attempt, domain } => Ok((attempt, domain)),
                BegunRefund::Taken {
                    trade_no,
                    refund_fee,
                } => {
                    let number = &request.refund_no;
                    Err(Error::refused(text!(
                        "out_refund_no：{number} 已用于订单 {trade_no} 的退款（{refund_fee} 分），内容不同；请使用新的退款单号",
                        "out_refund_no: {number} already stands for a refund of order {trade_no} ({refund_fee} fen) with other content; use a new number"
                    )))
                }
                BegunRefund::MustWait { refund_no: other } => Err(Error::refused(text!(
                    "out_trade_no：该订单的退款 {other} 结果未知；请先用该单号再次退款，或一分钟后查询",
                    "out_trade_no: the result of this order's refund {other} isn't known; ask for that refund again, or query it after a minute"
                ))),
                BegunRefund::TooMuch { left } => {
                    let fee = request.refund_fee;
                    Err(Error::refused(text!(
                        "refund_fee：订单 {order} 可退金额还剩 {left} 分（已含结果未知的退款），请求退款 {fee} 分",
                        "refund_fee: {left} fen of order {order} are left to refund, counting refunds without a result; asked for {fee}"
                    )))
                }
                BegunRefund::TakenBack { proven: true } => Err(Error::refused(text!(
                    "订单 {order} 已撤单或关单，款项已退回或未收，不能退款",
                    "order {order} was reversed or closed: there is nothing to refund"
                ))),
                BegunRefund::TakenBack { proven: false } => {
                    if !asked_again && self.reverse_came_to_nothing(request) {
                        asked_again = true;
                        continue;
                    }
                    Err(Error::refused(text!(
                        "订单 {order} 的撤单结果未知，不能退款；请先查询该订单",
                        "the result of reversing order {order} isn't known, so it is not refunded: query the order first"
                    )))
                }
            };
        }
    }

    /// Whether a reverse whose result wasn't known has come to nothing: it was sent long ago, and
    /// the gateway says that the order is paid.
    fn reverse_came_to_nothing(&self, request: &RefundRequest) -> bool {
        let being_taken_back = self.find_live(&request.trade_no).is_some_and(|live| {
            let inner = live.lock();
            inner.busy || inner.track.taking_back()
        });
        if being_taken_back || !self.sendings.is_over(self.sendings.last(&request.trade_no)) {
            return false;
        }
        let key = OrderKey {
            trade_no: request.trade_no.clone(),
            platform: request.platform,
            sub_platform: request.platform.map(Platform::sub_number),
            trade_type: None,
            total_fee: Some(request.total_fee),
        };
        let paid = || match self.ask(&Call::QueryOrder(&key), Failover::Any) {
            Heard::Answer(answer) => {
                matches!(answer.verdict, Verdict::Order(facts)
                    if facts.state == OrderState::Paid && facts.other_amount.is_none())
            }
            Heard::NotSent(_) | Heard::Lost(_) => false,
        };
        // One answer may lag behind.
        paid()
            && self.pause_until(Instant::now() + CONFIRM_WAIT).is_ok()
            && paid()
            && self
                .journal
                .forget_take_back(&request.trade_no)
                .wait()
                .is_ok()
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

    /// A refusal that nothing vouches for, or of a second sending: the refund itself is asked for,
    /// and only what is said of it counts. It may be the same one, made by an earlier call whose
    /// answer was lost; `before` is when that was sent.
    fn confirm_refused_refund(
        &self,
        request: &RefundRequest,
        reason: Text,
        before: Option<Instant>,
    ) -> Result<(), Error> {
        let key = RefundKey::of(request);
        let (heard, took_it) = self.ask_about_refund(&key);
        let answer = match heard {
            Heard::Answer(answer) => answer,
            Heard::NotSent(why) | Heard::Lost(why) => return Err(Error::unknown(why)),
        };
        match answer.verdict {
            Verdict::Refund(refund) => {
                let _ = self.journal.record_refund(&refund).wait();
                match refund.state {
                    RefundState::Failed | RefundState::Closed => Err(Error::refused(reason)),
                    _ => Ok(()),
                }
            }
            // The sending before may be on its way for a while.
            Verdict::NotFound
                if took_it && before.is_none_or(|sent| self.sendings.is_over(sent)) =>
            {
                Err(self.refused_refund(request, reason))
            }
            Verdict::NotFound => {
                let why = reason.pick(self.rules.language);
                Err(Error::unknown(text!(
                    "网关拒绝了重复的请求（{why}），第一次请求的结果未知；请稍后用同一退款单号再试，或查询退款",
                    "the gateway refused the repeated request ({why}), the first one's result isn't known; try again later with the same number, or query the refund"
                )))
            }
            other => Err(Error::unknown(other.reason())),
        }
    }

    /// Asks about a refund, or about all of an order. Blocks for at most the request timeout times
    /// the domains.
    pub(crate) fn query_refund(&self, asked: RefundQuery) -> Result<Refunded, Error> {
        match (asked.trade_no, asked.refund_no) {
            (Some(trade_no), None) => self.query_refunds(trade_no, asked.platform),
            (trade_no, refund_no) => {
                let refund_no = refund_no.unwrap_or_default();
                let refund = self.query_one_refund(trade_no, refund_no, asked.platform)?;
                Ok(Refunded::One(Box::new(refund)))
            }
        }
    }

    fn query_one_refund(
        &self,
        trade_no: Option<String>,
        refund_no: String,
        platform: Option<Platform>,
    ) -> Result<Refund, Error> {
        let stored = self
            .journal
            .known_refund(&refund_no)
            .wait()
            .map_err(Error::internal)?;
        let refund_fee = stored.as_ref().map(|(_, fee)| *fee);
        let trade_no = trade_no.or(stored.map(|(trade_no, _)| trade_no));
        let platform = match (&trade_no, platform) {
            (Some(trade_no), None) => self
                .known_order(trade_no)?
                .and_then(|(order, _)| order.platform),
            (_, platform) => platform,
        };
        let key = RefundKey {
            trade_no,
            refund_no,
            platform,
            refund_fee,
        };
        let (heard, took_it) = self.ask_about_refund(&key);
        let answer = match heard {
            Heard::Answer(answer) => answer,
            Heard::NotSent(reason) | Heard::Lost(reason) => return Err(Error::unknown(reason)),
        };
        match answer.verdict {
            Verdict::Refund(refund) => {
                let _ = self.journal.record_refund(&refund).wait();
                Ok(*refund)
            }
            Verdict::NotFound if !took_it => Err(Error::unknown(Verdict::NotFound.reason())),
            other => {
                let sent = self.sendings.last(&key.refund_no);
                if matches!(other, Verdict::NotFound) && self.sendings.is_over(sent) {
                    let _ = self.journal.record_missing_refund(&key.refund_no).wait();
                }
                Err(not_answered(&other))
            }
        }
    }

    /// Asks about a refund, first of all the domain that may have taken it; says whether the answer
    /// is that one's, which alone can say that there is none.
    fn ask_about_refund(&self, key: &RefundKey) -> (Heard, bool) {
        let domain = self.journal.refund_domain(&key.refund_no).wait();
        let domain = domain.ok().flatten();
        let call = Call::QueryRefund(key);
        let heard = self.ask_first(&call, Failover::Any, domain.as_deref());
        let took_it = match (&heard, &domain) {
            (Heard::Answer(answer), Some(domain)) => answer.evidence.domain == *domain,
            _ => true,
        };
        (heard, took_it)
    }

    /// Every refund of an order: the gateway's list, where it has one, and what else the journal
    /// knows.
    fn query_refunds(
        &self,
        trade_no: String,
        platform: Option<Platform>,
    ) -> Result<Refunded, Error> {
        let known = self.known_order(&trade_no)?;
        let platform = platform.or_else(|| known.and_then(|(order, _)| order.platform));
        let stored = || {
            self.journal
                .refunds_of(&trade_no)
                .wait()
                .map_err(Error::internal)
        };
        let key = OrderKey {
            trade_no: trade_no.clone(),
            platform,
            sub_platform: platform.map(Platform::sub_number),
            trade_type: None,
            total_fee: None,
        };
        let call = Call::QueryRefunds(&key);
        if !self.gateway.offers(&call) {
            return self.query_known_refunds(trade_no.clone(), platform, stored()?);
        }
        let mut told = match self.ask(&call, Failover::Any) {
            Heard::NotSent(reason) | Heard::Lost(reason) => return Err(Error::unknown(reason)),
            Heard::Answer(answer) => match answer.verdict {
                Verdict::Refunds(mut refunds) => {
                    let mut known = HashSet::new();
                    refunds.retain(|refund| known.insert(refund.refund_no.clone()));
                    refunds
                }
                Verdict::NotFound => Vec::new(),
                other => return Err(not_answered(&other)),
            },
        };
        for kept in stored()? {
            match told
                .iter()
                .find(|refund| refund.refund_no == kept.refund_no)
            {
                // About another amount: not the refund that this register asked for.
                Some(refund) if refund.refund_fee != kept.refund_fee => {
                    return Err(Error::unknown(text!(
                        "网关的退款金额与本机记录不符",
                        "the gateway's amount of a refund is not the journal's"
                    )));
                }
                Some(refund) => {
                    let _ = self.journal.record_refund(refund).wait();
                }
                None => told.push(kept),
            }
        }
        Ok(Refunded::All(trade_no, told))
    }

    /// Where the gateway has no list: the journal's refunds, the newest without a result asked
    /// about; or the one that has the order's number.
    fn query_known_refunds(
        &self,
        trade_no: String,
        platform: Option<Platform>,
        mut refunds: Vec<Refund>,
    ) -> Result<Refunded, Error> {
        let open = |refund: &&mut Refund| {
            matches!(refund.state, RefundState::Unknown | RefundState::Processing)
        };
        let ask = |refund_no: &str| {
            self.query_one_refund(Some(trade_no.clone()), refund_no.to_owned(), platform)
        };
        if refunds.is_empty() {
            refunds.extend(match ask(&trade_no) {
                Ok(refund) => Some(refund),
                Err(error) if error.code == Code::REFUSED => None,
                Err(error) => return Err(error),
            });
        } else if let Some(refund) = refunds.iter_mut().rev().find(open)
            && let Ok(now) = ask(&refund.refund_no)
        {
            *refund = now;
        }
        Ok(Refunded::All(trade_no, refunds))
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

    /// The order as this register knows it, and whether it is proven to be its own.
    fn known_order(&self, trade_no: &str) -> Result<Option<(Order, bool)>, Error> {
        if let Some(live) = self.find_live(trade_no) {
            let inner = live.lock();
            return Ok(Some((inner.track.order.clone(), inner.track.origin.ours)));
        }
        let stored = self
            .journal
            .find_order(trade_no)
            .wait()
            .map_err(Error::internal)?;
        Ok(stored.map(|stored| (stored.order, stored.origin.ours)))
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

/// An order that is or may be another register's, or of another amount, is not refunded.
fn check_refundable(order: &Order, ours: bool, asked: &RefundAsked) -> Result<(), Error> {
    if !order.state.is_final() && !ours {
        let number = &order.trade_no;
        return Err(Error::unknown(text!(
            "订单 {number} 结果未知，不能证明是本机的订单，没有退款；请先查询该订单",
            "the result of order {number} isn't known, and nothing proves that it is this register's: not refunded; query the order first"
        )));
    }
    if order.state == OrderState::Reentry {
        return Err(Error::refused(text!(
            "该单号属于另一笔支付，不能退款",
            "this number belongs to another payment: it is not refunded"
        )));
    }
    match order.total_fee {
        Some(fee) if fee != asked.total_fee => {
            let given = asked.total_fee;
            Err(Error::refused(text!(
                "total_fee：订单金额为 {fee}，得到 {given}",
                "total_fee: the order's amount is {fee}, got {given}"
            )))
        }
        _ => Ok(()),
    }
}

/// Whether an order that the journal doesn't know was made by this register on this machine.
fn made_here(facts: &OrderFacts, merchant: &Merchant) -> bool {
    facts.marks.device_id.as_deref() == Some(merchant.device_id.as_str())
        && facts.marks.machine_no.as_deref() == Some(merchant.machine_no.as_str())
}

/// What a register is told at the end of a cancel or close.
fn taken_back(
    order: &Order,
    provisional: bool,
    reversible: bool,
    refusal: Option<Text>,
) -> Result<(), Error> {
    match order.state {
        OrderState::Reentry => Err(Error::new(
            Code::REENTRY,
            text!(
                "该单号属于另一笔支付，不能撤销",
                "this number belongs to another payment: it is not cancelled"
            ),
        )),
        // That there was no such order proves nothing for good.
        OrderState::Failed if provisional => Err(Error::unknown(text!(
            "网关仍查无此订单，撤单没有得到证明；请稍后再查询",
            "the gateway still has no such order, so nothing proves that it is reversed; query again later"
        ))),
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
    order.platform = order.platform.or(facts.platform);
    order.trade_type = order.trade_type.or(facts.trade_type);
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
