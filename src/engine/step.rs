//! The life of one payment as a state machine (`lifecycle.md`). Pure: it is told what was heard
//! and what time it is, and says what to do next and when. Everything that decides whether money
//! moved is decided here.

use std::time::{Duration, Instant};

use crate::clock;
use crate::config::{OnTimeout, Polling};
use crate::gateway::{Answer, OrderFacts, Traits, Verdict};
use crate::http::SendError;
use crate::model::{Evidence, Maker, Order, OrderState, Origin, Source, TradeType};
use crate::text::{Language, Text, text};

/// The first poll comes this long after the payment was sent…
const FIRST_POLL: Duration = Duration::from_secs(2);
/// …then one every so often, while a customer types a password…
const EAGER_POLL: Duration = Duration::from_secs(3);
/// …until then.
const EAGER_TIME: Duration = Duration::from_secs(45);
/// After status 3 or 103.
const BUSY_WAIT: Duration = Duration::from_secs(3);
/// Two "no such order" closer together than this count as one: the payment may be on its way.
const MISSING_GAP: Duration = Duration::from_millis(1_500);
/// A payment code older than this is not sent again.
const CODE_LIFE: Duration = Duration::from_secs(60);
/// A payment code that was accepted so long ago can't be paid with any more.
pub(super) const CODE_DEAD: Duration = Duration::from_secs(65);
/// A sending whose answer never came is over so long after the request's time-out.
const SENDING_OVER: Duration = Duration::from_secs(5);
/// How long a QR code can be paid that has no end of its own.
const SHOWN_LIFE: Duration = Duration::from_secs(2 * 3600);
/// No QR code is paid after this.
const LONGEST_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);
/// How long an order that ended without payment is looked at while it is called "under way".
const UNDER_WAY: Duration = Duration::from_secs(24 * 3600);
/// Backoff of a payment that could not be sent: doubling, up to the last.
const RETRY: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];
/// Slow reconciliation: ten times a minute apart, then every ten minutes for a day.
const SLOW: Duration = Duration::from_secs(60);
const SLOW_COUNT: u32 = 10;
const SLOWER: Duration = Duration::from_secs(600);
const SLOWER_COUNT: u32 = 144;
/// Between a reverse and the next look, and before it is tried again.
const TAKE_BACK_WAIT: Duration = Duration::from_secs(2);
/// Reverses in a row before slow reconciliation takes over.
const TAKE_BACK_TRIES: u32 = 3;
/// An "unpaid" that may be a channel's time-out is asked for again after this.
pub(super) const CONFIRM_WAIT: Duration = Duration::from_secs(5);
/// Such an order is looked at, after the times of [`WATCH`], this often…
const LONG_WATCH: Duration = Duration::from_secs(600);
/// …until this long after it was accepted.
const LONG_WATCH_END: Duration = Duration::from_secs(2 * 3600 + 15 * 60);
/// When an order that ended without payment is looked at again.
const WATCH: [Duration; 5] = [
    Duration::from_secs(5),
    Duration::from_secs(15),
    Duration::from_secs(30),
    Duration::from_secs(60),
    Duration::from_secs(90),
];

/// The configured part of the rules.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) micro_pay: Polling,
    pub(crate) scan_code_pay: Polling,
    pub(crate) submit_window: Duration,
    pub(crate) on_timeout: OnTimeout,
    pub(crate) reverse_after: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) language: Language,
    pub(crate) gateway: Traits,
}

impl Rules {
    fn polling(&self, trade_type: TradeType) -> Polling {
        match trade_type {
            TradeType::MicroPay => self.micro_pay,
            TradeType::ScanCode => self.scan_code_pay,
        }
    }
}

/// What to exchange with the gateway next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Send the payment (again the same bytes, if it was sent before).
    Pay,
    /// Ask for the order.
    Query,
    /// Reverse a micro_pay, close a scan_code_pay.
    TakeBack,
}

/// What came of an exchange.
#[derive(Debug)]
pub(crate) enum Heard {
    /// An answer, judged.
    Answer(Answer),
    /// Nothing was sent.
    NotSent(Text),
    /// Something was sent, or may have been; no answer.
    Lost(Text),
}

impl From<SendError> for Heard {
    fn from(error: SendError) -> Self {
        match error {
            SendError::NotSent(reason) => Self::NotSent(reason),
            SendError::Lost(reason) => Self::Lost(reason),
        }
    }
}

/// Who wants an order taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// The register: also a paid order.
    Register,
    /// `on_timeout: "reverse"`: never a paid one.
    Timeout,
}

/// What follows from what was heard.
#[derive(Debug, Default)]
pub(crate) struct Step {
    /// The next exchange and when it is due; `None`: the order is at rest.
    pub(crate) next: Option<(Instant, Task)>,
    /// The journal has to know.
    pub(crate) changed: bool,
    /// The register has to know: a final state, a QR code, a late payment.
    pub(crate) news: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not sent yet.
    Submit,
    /// Sent, but never arrived: the same bytes are due to be sent again, once.
    Resend,
    /// Sent; polled within the window.
    Poll,
    /// Out of the window; polled slowly.
    Reconcile,
    /// The fresh query before a reverse.
    CheckBefore(Asker),
    /// The reverse itself.
    TakeBack(Asker),
    /// The query after it, which alone proves anything.
    CheckAfter(Asker),
    /// Ended without payment; a late one is looked for.
    Watch,
    /// Nothing to do.
    Rest,
}

/// One order under way.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) order: Order,
    pub(crate) origin: Origin,
    trade_type: TradeType,
    stage: Stage,
    /// When it was accepted; after a restart, when it was taken up again.
    accepted: Instant,
    /// Whether this process accepted it.
    accepted_here: bool,
    /// When a byte of the last pay request may have left.
    last_pay: Option<Instant>,
    /// When that request was over. The gateway may have had it only then.
    pay_over: Option<Instant>,
    /// Whether the payment's bytes are at hand.
    resendable: bool,
    resent: bool,
    /// Whether the gateway has ever known the order: then "no such order" proves nothing, unless
    /// it was taken back.
    seen: bool,
    /// Whether the gateway has done a reverse or a close.
    taken_back: bool,
    /// Counts the sendings and the attempts to take it back: what was asked before the last of
    /// them may be answered out of date.
    epoch: u32,
    /// Authentic "no such order" in a row, and when the last one counted.
    missing: u32,
    missing_at: Option<Instant>,
    /// Those of them that came when neither sending nor code could come to anything any more.
    gone: u32,
    /// A query of an order that isn't proven ours was refused.
    query_refused: bool,
    /// A refusal that one more query has to confirm.
    refusal: Option<Text>,
    /// The gateway's words to the last reverse or close that it refused.
    take_back_refusal: Option<Text>,
    /// A reverse or close of this order was sent, and its result isn't known.
    take_back_lost: bool,
    /// A QR code that came with the answer to a second sending: the order's, once that is ours.
    unproven_code: Option<String>,
    /// When what is heard was asked.
    asked: Instant,
    tries: u32,
    /// Since when an order that was paid and then reversed has been called paid again.
    paid_again: Option<Instant>,
    window_end: Instant,
    /// Since when the gateway has said, without interruption, that it isn't paid and won't be.
    unpaid_since: Option<Instant>,
    watch_from: Instant,
    watch_until: Instant,
    watch_until_ms: Option<i64>,
    /// Whether the last answer about an order that ended without payment said "under way".
    under_way: bool,
    /// After a restart: nothing has been heard of it yet.
    unheard: bool,
}

impl Track {
    /// A payment just accepted: to be sent now.
    pub(crate) fn accepted(
        order: Order,
        origin: Origin,
        trade_type: TradeType,
        now: Instant,
    ) -> Self {
        Self {
            seen: order
                .evidence
                .as_ref()
                .is_some_and(|evidence| evidence.source == Source::Gateway),
            order,
            origin,
            trade_type,
            stage: Stage::Submit,
            accepted: now,
            accepted_here: true,
            last_pay: None,
            pay_over: None,
            resendable: true,
            resent: false,
            taken_back: false,
            epoch: 0,
            missing: 0,
            missing_at: None,
            gone: 0,
            query_refused: false,
            refusal: None,
            take_back_refusal: None,
            take_back_lost: false,
            unproven_code: None,
            asked: now,
            tries: 0,
            paid_again: None,
            window_end: now,
            unpaid_since: None,
            watch_from: now,
            watch_until: now,
            watch_until_ms: None,
            under_way: false,
            unheard: false,
        }
    }

    /// An order at rest, final or not, as the journal or only the register knows it. `final_for`
    /// is how long it has been final: the payment was sent before that. Zero where the result is
    /// unknown: then it may have been sent by another process just now.
    pub(crate) fn resting(
        order: Order,
        origin: Origin,
        trade_type: TradeType,
        final_for: Duration,
        now: Instant,
    ) -> Self {
        let mut track = Self::accepted(order, origin, trade_type, now);
        track.stage = Stage::Rest;
        track.accepted_here = false;
        track.resendable = false;
        track.last_pay = Some(now.checked_sub(final_for).unwrap_or(now));
        track
    }

    /// Takes up an order that an earlier process left without a final state: asked about at
    /// once, never sent again. `age` is how long ago it was accepted, by the wall clock.
    pub(crate) fn recover(&mut self, age: Duration, rules: &Rules, now: Instant) -> Step {
        let window = rules.polling(self.trade_type).window();
        self.stage = Stage::Poll;
        self.window_end = now + window.saturating_sub(age);
        Step {
            next: Some((now, Task::Query)),
            ..Step::default()
        }
    }

    /// Takes up the watch over an order that ended without payment, for what is left of it. Where
    /// nothing is left, it is asked about once.
    pub(crate) fn resume_watch(&mut self, left: Duration, now: Instant) -> Step {
        self.watch(now, now + left.min(UNDER_WAY));
        self.unheard = true;
        Step {
            next: Some((now, Task::Query)),
            ..Step::default()
        }
    }

    /// Whether the payment is due to be sent a second time.
    pub(crate) fn resending(&self) -> bool {
        self.stage == Stage::Resend
    }

    /// Whether the payment has not left this machine yet.
    pub(crate) fn unsent(&self) -> bool {
        self.stage == Stage::Submit && self.last_pay.is_none()
    }

    /// Whether anything is still going to happen by itself.
    pub(crate) fn at_rest(&self) -> bool {
        self.stage == Stage::Rest
    }

    /// Whether the payment's bytes may still be needed.
    pub(crate) fn keeps_request(&self, now: Instant) -> bool {
        matches!(self.stage, Stage::Submit | Stage::Resend)
            || self.resendable && !self.resent && now.duration_since(self.accepted) < CODE_LIFE
    }

    /// Whether a reverse or close, with its queries, is going on.
    pub(crate) fn taking_back(&self) -> bool {
        matches!(
            self.stage,
            Stage::CheckBefore(_) | Stage::TakeBack(_) | Stage::CheckAfter(_)
        )
    }

    /// Whether an order that was paid and then reversed is called paid again, and nobody knows yet
    /// whether that is old news.
    pub(crate) fn in_doubt(&self) -> bool {
        self.paid_again.is_some()
    }

    /// Answers to queries of another epoch are out of date.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Until when the journal should have a late payment looked for, in ms since 1970.
    pub(crate) fn watch_until_ms(&self) -> Option<i64> {
        self.watch_until_ms
    }

    /// A reverse or close of an earlier call, or process, has no result.
    pub(crate) fn lost_a_take_back(&mut self) {
        self.take_back_lost = true;
    }

    /// What the gateway said to the reverse or close that it refused.
    pub(crate) fn take_back_refusal(&self) -> Option<&Text> {
        self.take_back_refusal.as_ref()
    }

    /// Notes that the pay request is about to be written to this domain.
    pub(crate) fn sending(&mut self, domain: &str, now: Instant) {
        self.origin.domain = Some(domain.to_owned());
        // Pessimistic on purpose: `hear` takes it back when nothing was sent.
        self.last_pay = Some(now);
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// What came of the exchange for `task` that began at `asked`.
    pub(crate) fn hear(
        &mut self,
        task: Task,
        asked: Instant,
        heard: Heard,
        rules: &Rules,
        now: Instant,
    ) -> Step {
        self.asked = asked;
        if let Heard::Answer(answer) = &heard {
            self.date(&answer.evidence, now);
        }
        match task {
            Task::Pay => {
                self.pay_over = Some(now);
                self.hear_pay(heard, rules, now)
            }
            Task::Query => self.hear_query(heard, rules, now),
            Task::TakeBack => self.hear_take_back(heard, rules, now),
        }
    }

    /// Starts taking the order back. The first thing due is the fresh query, not before the
    /// gate has passed since the last pay request.
    pub(crate) fn take_back(&mut self, asker: Asker, rules: &Rules, now: Instant) -> Step {
        if self.unsent() {
            let reason = text!(
                "已取消：尚未发送，未向顾客收款",
                "cancelled before it was sent: the customer was not charged"
            );
            return self.failed_unsent(reason, rules);
        }
        self.stage = Stage::CheckBefore(asker);
        self.epoch = self.epoch.wrapping_add(1);
        // Nobody sends what somebody wants back.
        self.resendable = false;
        self.tries = 0;
        self.found();
        self.take_back_refusal = None;
        self.wait_for_the_gate(rules, now)
    }

    /// The order was accepted when the gateway's clock said this.
    fn date(&mut self, evidence: &Evidence, now: Instant) {
        let dated = self.origin.marks.made_ms.is_some();
        if !self.accepted_here || dated || !evidence.authenticated {
            return;
        }
        let since = i64::try_from(now.duration_since(self.accepted).as_millis()).unwrap_or(0);
        self.origin.marks.made_ms = evidence.gateway_ms.map(|date| date - since);
    }

    /// Whatever was missed of the order so far doesn't count.
    fn found(&mut self) {
        self.missing = 0;
        self.missing_at = None;
        self.gone = 0;
    }

    /// What is due when it has begun to be taken back: the fresh query, once the gate has passed.
    pub(crate) fn wait_for_the_gate(&self, rules: &Rules, now: Instant) -> Step {
        let gate = match (self.trade_type, self.last_pay.max(self.pay_over)) {
            (TradeType::MicroPay, Some(sent)) => sent + rules.reverse_after,
            _ => now,
        };
        Step {
            next: Some((gate.max(now), Task::Query)),
            ..Step::default()
        }
    }

    /// Gives up taking the order back, and goes on asking what became of it.
    pub(crate) fn abandon_take_back(&mut self, rules: &Rules, now: Instant) -> Step {
        if self.order.state.is_final() {
            return self.keep_watching(now);
        }
        self.stage = Stage::Poll;
        self.poll_again(rules, now, None)
    }

    /// It may not be taken back, because money of it goes back already: it is only asked about.
    pub(crate) fn keep(&mut self, rules: &Rules, now: Instant) -> Step {
        if self.order.state.is_final() {
            return self.keep_watching(now);
        }
        self.stage = Stage::Reconcile;
        self.tries = 0;
        self.poll_again(rules, now, None)
    }

    fn hear_pay(&mut self, heard: Heard, rules: &Rules, now: Instant) -> Step {
        let Answer { verdict, evidence } = match heard {
            Heard::Answer(answer) => answer,
            Heard::NotSent(reason) if !self.resent => return self.not_sent(reason, rules, now),
            // The first try may have been sent: that the second wasn't proves nothing.
            Heard::NotSent(reason) | Heard::Lost(reason) => {
                return self.sent_without_result(&reason, None, rules, now);
            }
        };
        // The answer to the only sending is about this payment.
        let only = !self.resent;
        match verdict {
            Verdict::Order(facts) if facts.state != OrderState::NotFound => {
                self.enter_window(rules, now);
                let another = self.origin.marks.maker(&facts.marks) == Maker::Another;
                self.origin.ours |= only && !another && facts.other_amount.is_none();
                self.hear_order(*facts, evidence, rules, now)
            }
            Verdict::Reentry(description) if only => {
                let message = join(&reentry(), &description);
                self.finish(OrderState::Reentry, &message, evidence, rules, now)
            }
            Verdict::Refused(description) if only => {
                self.origin.ours = true;
                self.refused(description, evidence, rules, now)
            }
            Verdict::AskAgain => {
                self.seen = true;
                self.origin.ours |= only;
                let mut step = self.query_now(rules, now);
                step.changed = true;
                step
            }
            // Unsigned: one query has to confirm it.
            Verdict::RefusedUnsigned(description) if only => {
                // Whose the order is that may be found all the same, only the order tells.
                self.refusal = Some(description);
                self.found();
                self.query_now(rules, now)
            }
            // Only the order itself tells whose it is. And that a second sending was refused proves
            // nothing about the first.
            Verdict::NumberUsed(_)
            | Verdict::Reentry(_)
            | Verdict::RefusedUnsigned(_)
            | Verdict::Refused(_) => {
                self.origin.number_used = only;
                let mut step = self.query_now(rules, now);
                step.changed = only;
                step
            }
            Verdict::Busy(reason) => self.sent_without_result(&reason, Some(BUSY_WAIT), rules, now),
            other => self.sent_without_result(&other.reason(), None, rules, now),
        }
    }

    /// It was sent, and has to be asked about at once.
    fn query_now(&mut self, rules: &Rules, now: Instant) -> Step {
        self.enter_window(rules, now);
        Step {
            next: Some((now, Task::Query)),
            ..Step::default()
        }
    }

    /// No domain could be connected to: again, until the window ends; then it failed for sure.
    fn not_sent(&mut self, reason: Text, rules: &Rules, now: Instant) -> Step {
        self.last_pay = None;
        let retry = RETRY
            .get(usize::try_from(self.tries).unwrap_or(usize::MAX))
            .copied()
            .unwrap_or(Duration::from_secs(4));
        self.tries = self.tries.saturating_add(1);
        if now + retry >= self.accepted + rules.submit_window {
            let failed = text!(
                "未能发送，未向顾客收款",
                "not sent, the customer was not charged"
            );
            return self.failed_unsent(join(&failed, &reason), rules);
        }
        self.order.message = reason.pick(rules.language).to_owned();
        Step {
            next: Some((now + retry, Task::Pay)),
            ..Step::default()
        }
    }

    fn failed_unsent(&mut self, reason: Text, rules: &Rules) -> Step {
        self.order.state = OrderState::Failed;
        self.order.message = reason.pick(rules.language).to_owned();
        self.order.evidence = Some(own_evidence());
        self.stage = Stage::Rest;
        Step {
            next: None,
            changed: true,
            news: true,
        }
    }

    fn sent_without_result(
        &mut self,
        reason: &Text,
        wait: Option<Duration>,
        rules: &Rules,
        now: Instant,
    ) -> Step {
        self.enter_window(rules, now);
        self.order.message = reason.pick(rules.language).to_owned();
        self.poll_again(rules, now, Some(wait.unwrap_or(FIRST_POLL)))
    }

    /// The poll window opens with the first sending and is not prolonged by a second.
    fn enter_window(&mut self, rules: &Rules, now: Instant) {
        if self.stage == Stage::Submit {
            let sent = self.last_pay.unwrap_or(now);
            self.window_end = sent + rules.polling(self.trade_type).window();
        }
        self.stage = Stage::Poll;
    }

    fn hear_query(&mut self, heard: Heard, rules: &Rules, now: Instant) -> Step {
        let (verdict, evidence) = match heard {
            Heard::Answer(Answer { verdict, evidence }) => (verdict, evidence),
            Heard::NotSent(reason) | Heard::Lost(reason) => {
                return self.nothing_learnt(&reason, None, rules, now);
            }
        };
        match verdict {
            Verdict::Order(facts) => self.hear_order(*facts, evidence, rules, now),
            Verdict::NotFound => self.not_found(false, evidence, rules, now),
            Verdict::RefusedUnsigned(description) => match self.refusal.take() {
                Some(refusal) if rules.gateway.unpaid_is_final && self.took_it(&evidence) => {
                    self.refused(refusal, evidence, rules, now)
                }
                refusal => {
                    self.refusal = refusal;
                    self.nothing_learnt(&description, None, rules, now)
                }
            },
            Verdict::Refused(reason) => {
                self.query_refused = !self.origin.ours;
                self.nothing_learnt(&reason, None, rules, now)
            }
            Verdict::Busy(reason) => self.nothing_learnt(&reason, Some(BUSY_WAIT), rules, now),
            other => self.nothing_learnt(&other.reason(), None, rules, now),
        }
    }

    /// Whether to ask without saying of which platform and kind the order is: the one under this
    /// number may be another register's, of another platform.
    pub(crate) fn ask_openly(&self) -> bool {
        self.query_refused && !self.origin.ours
    }

    /// An authentic answer about an order under this number: whose is it?
    fn hear_order(
        &mut self,
        facts: OrderFacts,
        evidence: Evidence,
        rules: &Rules,
        now: Instant,
    ) -> Step {
        let maker = match self.origin.marks.maker(&facts.marks) {
            Maker::Unproven if self.origin.ours => Maker::Us,
            maker => maker,
        };
        match (maker, facts.state) {
            (Maker::Another, _) => self.anothers(evidence, rules, now),
            (Maker::Unproven, state) if self.origin.number_used && !state.is_unpaid() => {
                self.anothers(evidence, rules, now)
            }
            _ if let Some(reason) = &facts.other_amount => {
                self.nothing_learnt(reason, None, rules, now)
            }
            // The gateway has it, the platform doesn't: for a QR code that nobody has scanned yet
            // that is so by nature.
            (_, OrderState::NotFound) => {
                let void = self.order.state != OrderState::CodeReady;
                self.not_found(void, evidence, rules, now)
            }
            (Maker::Unproven, state) if !state.is_unpaid() => {
                self.unproven_code = facts.code_url.or(self.unproven_code.take());
                self.unproven(rules, now)
            }
            _ => {
                let proven = maker == Maker::Us && !self.origin.ours;
                self.origin.ours |= proven;
                self.arrived();
                let mut step = self.learn(facts, evidence, rules, now);
                step.changed |= proven;
                step
            }
        }
    }

    /// There is an order: there is nothing left to send.
    fn arrived(&mut self) {
        self.found();
        self.resendable = false;
        if self.stage == Stage::Resend {
            self.stage = Stage::Poll;
        }
    }

    /// The order under this number is another register's.
    fn anothers(&mut self, evidence: Evidence, rules: &Rules, now: Instant) -> Step {
        tracing::warn!(
            out_trade_no = %self.order.trade_no,
            "the order under this number was made by another register"
        );
        // The gateway has answered our own sending of a payment code: that stands against it, and
        // nobody can tell.
        let answered = self.origin.ours && self.trade_type == TradeType::MicroPay;
        if answered || self.order.state.is_final() {
            return self.nothing_learnt(&reentry(), None, rules, now);
        }
        self.finish(OrderState::Reentry, &reentry(), evidence, rules, now)
    }

    /// There is an order under this number, and nothing tells whose. It is not told as paid, its QR
    /// code is not shown, and it is not taken back.
    fn unproven(&mut self, rules: &Rules, now: Instant) -> Step {
        self.arrived();
        self.seen = true;
        let reason = text!(
            "网关有此单号的订单，但不能证明是本机的",
            "there is an order under this number, but nothing proves that it is this register's"
        );
        // The gateway's signed refusal would have proven it ours.
        if self.order.state == OrderState::Failed {
            return self.reopen(OrderState::Unknown, reason, rules, now);
        }
        let before = self.order.state;
        if !before.is_final() {
            self.order.state = OrderState::Unknown;
        }
        let mut step = self.nothing_learnt(&reason, None, rules, now);
        step.changed |= self.order.state != before;
        step
    }

    /// What had failed for want of an order is not over after all.
    fn reopen(&mut self, state: OrderState, reason: Text, rules: &Rules, now: Instant) -> Step {
        self.order.state = state;
        self.order.reopened = true;
        self.order.message = reason.pick(rules.language).to_owned();
        self.origin.provisional = false;
        self.watch_until_ms = None;
        let mut step = if self.taking_back() {
            self.nothing_learnt(&reason, None, rules, now)
        } else {
            self.stage = Stage::Poll;
            self.tries = 0;
            self.window_end = now + rules.polling(self.trade_type).window();
            self.poll_again(rules, now, None)
        };
        step.changed = true;
        step.news = true;
        step
    }

    /// Whether an answer comes from the domain that may have taken the payment: it alone can say
    /// that there is none.
    fn took_it(&self, evidence: &Evidence) -> bool {
        self.origin
            .domain
            .as_ref()
            .is_none_or(|domain| *domain == evidence.domain)
    }

    /// From when on nothing can come of the payment that isn't there by now: the code is dead, and
    /// the last sending is over.
    fn settled_at(&self, rules: &Rules) -> Instant {
        let sent = self.last_pay.unwrap_or(self.accepted);
        let sending_over = sent + rules.request_timeout + SENDING_OVER;
        match self.trade_type {
            TradeType::MicroPay => sending_over.max(self.accepted + CODE_DEAD),
            // Nobody has ever seen the code.
            TradeType::ScanCode if self.order.code_url.is_none() => self.accepted,
            TradeType::ScanCode => sending_over.max(self.accepted + self.shown_life()),
        }
    }

    /// How long a QR code that was shown can be paid. Without the gateway's clock a short life is
    /// not believed.
    fn shown_life(&self) -> Duration {
        let Some(end) = self.origin.time_expire else {
            return SHOWN_LIFE;
        };
        let life = |from_ms: i64| {
            let ms = end.saturating_mul(1000).saturating_sub(from_ms);
            Duration::from_millis(u64::try_from(ms).unwrap_or(0)).min(LONGEST_LIFE)
        };
        match self.origin.marks.made_ms {
            Some(made_ms) => life(made_ms),
            None => life(clock::now_ms()).max(SHOWN_LIFE),
        }
    }

    /// An authentic "no such order". A single one may overtake the payment; two in a row mean that
    /// it had not arrived. That it never will is only certain when neither sending nor code can come
    /// to anything any more. Of an order that the gateway has known they mean nothing, unless it is
    /// `void` at the platform, or was taken back; of one that was paid they never do.
    fn not_found(&mut self, void: bool, evidence: Evidence, rules: &Rules, now: Instant) -> Step {
        let known = self.origin.was_paid || self.seen && !void && !self.taken_back;
        if known
            && self.origin.ours
            && self.order.state == OrderState::CodeReady
            && let Some(step) = self.go_on_taking_back(self.order.state, rules, now, false)
        {
            // A code that nobody has scanned can be closed all the same.
            return step;
        }
        let unsent = matches!(self.stage, Stage::Submit | Stage::Resend);
        if known || unsent || self.order.state.is_final() {
            // What an authentic answer has proven, the absence of another doesn't undo.
            let reason = text!("网关查无此订单", "the gateway finds no such order");
            return self.nothing_learnt(&reason, None, rules, now);
        }
        if !self.took_it(&evidence) {
            let domain = self.origin.domain.as_deref().unwrap_or_default();
            let reason = text!(
                "只有接收支付请求的 {domain} 能说没有此订单",
                "only {domain}, which took the payment, can say that there is no such order"
            );
            return self.nothing_learnt(&reason, None, rules, now);
        }
        if let Some(refusal) = self.refusal.take() {
            return self.refused(refusal, evidence, rules, now);
        }
        if self.stage == Stage::Rest {
            // Taken up again: it is asked about until that is certain.
            self.stage = Stage::Reconcile;
            self.tries = 0;
        }
        let apart = self
            .missing_at
            .or(self.last_pay)
            .is_none_or(|last| self.asked.saturating_duration_since(last) >= MISSING_GAP);
        let settled_at = self.settled_at(rules);
        if apart {
            self.missing = self.missing.saturating_add(1);
            let gone = self.asked >= settled_at;
            self.gone = self.gone.saturating_add(u32::from(gone));
            self.missing_at = Some(self.asked);
        }
        if self.missing >= 2
            && !self.seen
            && rules.gateway.resends
            && self.stage == Stage::Poll
            && self.keeps_request(now)
        {
            self.stage = Stage::Resend;
            self.resent = true;
            self.found();
            return Step {
                next: Some((now, Task::Pay)),
                ..Step::default()
            };
        }
        if self.gone < 2 {
            return self.wait_for_absence(settled_at, rules, now);
        }
        let reason = if self.seen {
            text!(
                "平台没有这笔交易，未向顾客收款",
                "the platform has no such payment, the customer was not charged"
            )
        } else {
            text!(
                "支付请求未到达网关，未向顾客收款",
                "the payment never reached the gateway, the customer was not charged"
            )
        };
        self.origin.provisional = true;
        self.finish(OrderState::Failed, &reason, evidence, rules, now)
    }

    /// There is no such order yet, and nobody can say that there won't be: asked again in the usual
    /// rhythm, and as soon as it can be said.
    fn wait_for_absence(&mut self, settled_at: Instant, rules: &Rules, now: Instant) -> Step {
        let left = settled_at.saturating_duration_since(now).as_secs() + 1;
        let reason = text!(
            "网关还没有此订单，支付请求可能仍在途中；最多 {left} 秒后有定论，在此之前不要交付商品，也不要再次收款",
            "the gateway has no such order yet, and the payment may still be on its way; certain in {left} s at most: until then no goods and no second payment"
        );
        let soon = self.missing < 2 || self.gone > 0;
        let mut step = self.nothing_learnt(&reason, soon.then_some(FIRST_POLL), rules, now);
        if let Some((at, Task::Query)) = &mut step.next
            && matches!(self.stage, Stage::Poll | Stage::Reconcile)
        {
            if self.gone > 0 {
                *at = now + FIRST_POLL;
            } else if now < settled_at {
                *at = (*at).min(settled_at);
            }
        }
        step
    }

    fn hear_take_back(&mut self, heard: Heard, rules: &Rules, now: Instant) -> Step {
        self.take_back_lost |= matches!(
            heard,
            Heard::Lost(_)
                | Heard::Answer(Answer {
                    verdict: Verdict::Busy(_) | Verdict::Untrusted(_),
                    ..
                })
        );
        let Stage::TakeBack(asker) = self.stage else {
            return self.poll_again(rules, now, None);
        };
        self.stage = Stage::CheckAfter(asker);
        self.tries = self.tries.saturating_add(1);
        let wait = match heard {
            Heard::Answer(Answer {
                verdict: Verdict::Refused(reason) | Verdict::RefusedUnsigned(reason),
                ..
            }) => {
                // Of one that may be on its way it says nothing.
                self.take_back_refusal = Some(reason).filter(|_| !self.take_back_lost);
                Duration::ZERO
            }
            Heard::Answer(Answer {
                verdict: Verdict::Done,
                ..
            }) => {
                self.take_back_refusal = None;
                self.taken_back = true;
                Duration::ZERO
            }
            _ => TAKE_BACK_WAIT,
        };
        Step {
            next: Some((now + wait, Task::Query)),
            ..Step::default()
        }
    }

    /// An authentic answer about this order.
    fn learn(
        &mut self,
        facts: OrderFacts,
        evidence: Evidence,
        rules: &Rules,
        now: Instant,
    ) -> Step {
        let before = self.order.state;
        let first_seen = !std::mem::replace(&mut self.seen, true);
        self.unheard = false;
        if let Some(step) = self.old_news(&facts, now) {
            return step;
        }
        if before.is_unpaid() {
            self.under_way = !facts.state.is_final();
        }
        // What is said for good takes the place of what was missing.
        let provisional = self.origin.provisional;
        self.origin.provisional &= facts.state.is_unpaid() && !rules.gateway.unpaid_is_final;
        let reopened = provisional && before == OrderState::Failed && !facts.state.is_final();
        if let Some(at) = self.confirm_at(facts.state, rules, now) {
            if self.stage == Stage::Rest {
                // Taken up again for that.
                self.stage = Stage::Reconcile;
            }
            return Step {
                next: Some((at, Task::Query)),
                ..Step::default()
            };
        }
        let state = match merge(before, facts.state) {
            _ if reopened => facts.state,
            // "Under way" after the window is what nobody knows the end of.
            OrderState::Paying if self.stage == Stage::Reconcile => OrderState::Unknown,
            state => state,
        };
        let had_code = self.order.code_url.is_some();
        if facts.state == state || !before.is_final() {
            self.refusal = None;
            if is_taken_back(state) {
                self.origin.reversed_at = facts.updated;
            }
            self.order.transaction_id = facts.transaction_id.or(self.order.transaction_id.take());
            self.order.time_end = facts.time_end.or(self.order.time_end);
            self.order.code_url = facts
                .code_url
                .or(self.order.code_url.take())
                .or(self.unproven_code.take());
            self.order.total_fee = self.order.total_fee.or(facts.total_fee);
            // Thousands may be waiting: only a final answer's words are kept.
            self.order.content = facts.content.filter(|_| state.is_final());
            self.order.mch_key = facts.mch_key.filter(|_| state.is_final());
            self.order.platform = self.order.platform.or(facts.platform);
            self.order.evidence = Some(evidence);
            self.say(state, facts.message, rules);
        } else {
            tracing::warn!(
                out_trade_no = %self.order.trade_no,
                known = before.name(),
                answered = facts.state.name(),
                "an answer contradicts a proven state; the state stays"
            );
        }
        self.order.state = state;
        self.origin.was_paid |= state == OrderState::Paid;
        let ended = before.is_final() || self.order.reopened;
        if state == OrderState::Paid && ended && before != OrderState::Paid {
            self.order.late = true;
        }
        if reopened && !self.taking_back() {
            let reason = text!(
                "网关又有了此订单，正在支付中",
                "the gateway has the order after all, and it is under way"
            );
            return self.reopen(state, reason, rules, now);
        }
        self.order.reopened |= reopened;
        let changed = state != before || had_code != self.order.code_url.is_some() || first_seen;
        if let Some(mut step) = self.go_on_taking_back(state, rules, now, changed) {
            step.news |= reopened;
            return step;
        }
        if !state.is_final() {
            let mut step = self.poll_again(rules, now, None);
            step.changed |= changed;
            let has_code = self.order.code_url.is_some();
            step.news |= state == OrderState::CodeReady && has_code && !had_code;
            return step;
        }
        if before.is_final() && state == before {
            let mut step = self.keep_watching(now);
            step.changed |= provisional && !self.origin.provisional;
            return step;
        }
        self.end(rules, now)
    }

    /// What a final answer says goes after what was said when it was refused, never in its place.
    fn say(&mut self, state: OrderState, said: Option<Text>, rules: &Rules) {
        let said = said.map(|said| said.pick(rules.language).to_owned());
        if state == OrderState::Failed && self.order.reason.is_none() {
            self.order.reason.clone_from(&said);
        }
        self.order.message = match (&self.order.reason, said.unwrap_or_default()) {
            (Some(reason), said) if state == OrderState::Failed => with_note(reason, &said),
            (_, said) => said,
        };
    }

    /// After a proven reverse of a paid order, "paid" is old news: it is asked for again before
    /// anything is told. `None`: it isn't, or it has been confirmed.
    fn old_news(&mut self, facts: &OrderFacts, now: Instant) -> Option<Step> {
        let reversed = is_taken_back(self.order.state) && self.origin.was_paid;
        if !reversed || facts.state != OrderState::Paid {
            self.paid_again = None;
            return None;
        }
        let said_before = facts.updated.zip(self.origin.reversed_at);
        if said_before.is_some_and(|(said, reversed)| said < reversed) {
            return Some(self.keep_watching(now));
        }
        let at = *self.paid_again.get_or_insert(now) + CONFIRM_WAIT;
        if at <= self.asked {
            self.paid_again = None;
            return None;
        }
        if self.stage == Stage::Rest {
            // Taken up again for that.
            let [.., last] = WATCH;
            self.watch(now, now + last);
        }
        Some(Step {
            next: Some((at, Task::Query)),
            ..Step::default()
        })
    }

    /// When an "unpaid" that may be a channel's time-out has to be asked for again.
    fn confirm_at(&mut self, said: OrderState, rules: &Rules, now: Instant) -> Option<Instant> {
        // What is known to be paid is not over by one answer either.
        let over = self.order.state.is_final() && self.order.state != OrderState::Paid;
        if rules.gateway.unpaid_is_final || !said.is_unpaid() || over {
            self.unpaid_since = None;
            return None;
        }
        let since = *self.unpaid_since.get_or_insert(now);
        let at = since + CONFIRM_WAIT;
        (at > self.asked).then(|| at.max(now))
    }

    /// Whether an order that is being taken back goes on being taken back.
    fn go_on_taking_back(
        &mut self,
        state: OrderState,
        rules: &Rules,
        now: Instant,
        changed: bool,
    ) -> Option<Step> {
        let again = |track: &mut Self, asker, at| {
            track.stage = Stage::TakeBack(asker);
            let reopened = state.is_final();
            if reopened {
                // From here on "paid" may be over: whoever starts again has to ask.
                track.order.state = OrderState::Unknown;
                let message = text!("正在撤单", "it is being reversed");
                message
                    .pick(rules.language)
                    .clone_into(&mut track.order.message);
            }
            Step {
                next: Some((at, Task::TakeBack)),
                changed: changed || reopened,
                news: false,
            }
        };
        let may_go = |track: &Self, asker| match state {
            // A register may take back a paid micro_pay; a paid QR order is refunded instead.
            OrderState::Paid => {
                asker == Asker::Register
                    && track.trade_type == TradeType::MicroPay
                    && rules.gateway.reverses
            }
            OrderState::Paying | OrderState::CodeReady | OrderState::Unknown => {
                asker == Asker::Register || !track.origin.was_paid
            }
            _ => false,
        };
        match self.stage {
            // What was paid is not taken back by itself, whatever an answer says.
            Stage::CheckBefore(Asker::Timeout) | Stage::CheckAfter(Asker::Timeout)
                if self.origin.was_paid && !state.is_final() =>
            {
                self.stage = Stage::Reconcile;
                let mut step = self.poll_again(rules, now, None);
                step.changed |= changed;
                Some(step)
            }
            Stage::CheckBefore(asker) if may_go(self, asker) => Some(again(self, asker, now)),
            Stage::CheckAfter(asker) if may_go(self, asker) => {
                let refused = self.take_back_refusal.is_some() && state == OrderState::Paid;
                if refused {
                    self.stage = Stage::Rest;
                    return Some(Step {
                        next: None,
                        changed,
                        news: changed,
                    });
                }
                if self.tries >= TAKE_BACK_TRIES {
                    if state.is_final() {
                        // A reverse that was not refused may still be done.
                        self.order.state = OrderState::Unknown;
                    }
                    self.stage = Stage::Reconcile;
                    self.tries = 0;
                    let mut step = self.poll_again(rules, now, None);
                    step.changed = true;
                    return Some(step);
                }
                Some(again(self, asker, now + TAKE_BACK_WAIT))
            }
            _ => None,
        }
    }

    /// Refused, in these words.
    fn refused(
        &mut self,
        description: Text,
        evidence: Evidence,
        rules: &Rules,
        now: Instant,
    ) -> Step {
        if !self.order.state.is_final() {
            self.order.reason = Some(description.pick(rules.language).to_owned());
        }
        self.finish(OrderState::Failed, &description, evidence, rules, now)
    }

    fn finish(
        &mut self,
        state: OrderState,
        message: &Text,
        evidence: Evidence,
        rules: &Rules,
        now: Instant,
    ) -> Step {
        if self.order.state.is_final() {
            return self.keep_watching(now);
        }
        self.order.state = state;
        self.order.message = message.pick(rules.language).to_owned();
        self.order.evidence = Some(evidence);
        self.end(rules, now)
    }

    /// A final state was reached. One without payment is watched, where something was sent.
    fn end(&mut self, rules: &Rules, now: Instant) -> Step {
        self.resendable = false;
        let next = if self.order.state.is_unpaid() && self.last_pay.is_some() {
            let [first, .., last] = WATCH;
            let until = if rules.gateway.unpaid_is_final {
                now + last
            } else {
                (self.accepted + LONG_WATCH_END).max(now + last)
            };
            self.watch(now, until);
            Some((now + first, Task::Query))
        } else {
            self.stage = Stage::Rest;
            self.watch_until_ms = None;
            None
        };
        Step {
            next,
            changed: true,
            news: true,
        }
    }

    /// Looks for a late payment until then.
    fn watch(&mut self, now: Instant, until: Instant) {
        self.stage = Stage::Watch;
        self.watch_from = now;
        self.watch_until = until;
        let left = i64::try_from((until - now).as_millis()).unwrap_or(0);
        self.watch_until_ms = Some(clock::now_ms() + left);
    }

    fn keep_watching(&mut self, now: Instant) -> Step {
        if self.watch_until_ms.is_none() {
            self.stage = Stage::Rest;
            return Step::default();
        }
        // Also after somebody tried to take it back: that proves nothing about what comes late.
        self.stage = Stage::Watch;
        let rhythm = if self.under_way { SLOW } else { LONG_WATCH };
        let next = WATCH
            .iter()
            .map(|after| self.watch_from + *after)
            .find(|at| *at > now)
            .unwrap_or(now + rhythm);
        let [.., last] = WATCH;
        let until = if self.under_way {
            self.watch_until.max(self.watch_from + UNDER_WAY)
        } else if self.unheard {
            self.watch_until.max(self.watch_from + last)
        } else {
            self.watch_until
        };
        match Some(next).filter(|at| *at <= until) {
            Some(at) => Step {
                next: Some((at, Task::Query)),
                ..Step::default()
            },
            None => {
                self.stage = Stage::Rest;
                self.watch_until_ms = None;
                Step {
                    changed: true,
                    ..Step::default()
                }
            }
        }
    }

    /// The exchange proved nothing: the same stage again, later.
    fn nothing_learnt(
        &mut self,
        reason: &Text,
        wait: Option<Duration>,
        rules: &Rules,
        now: Instant,
    ) -> Step {
        match self.stage {
            Stage::Rest => Step::default(),
            Stage::Watch => self.keep_watching(now),
            Stage::Submit | Stage::Resend => Step {
                next: Some((now, Task::Pay)),
                ..Step::default()
            },
            Stage::CheckBefore(_) | Stage::CheckAfter(_) | Stage::TakeBack(_) => {
                self.tries = self.tries.saturating_add(1);
                if self.tries > TAKE_BACK_TRIES.saturating_mul(2) {
                    self.stage = Stage::Reconcile;
                    self.tries = 0;
                    return self.poll_again(rules, now, None);
                }
                Step {
                    next: Some((now + wait.unwrap_or(TAKE_BACK_WAIT), Task::Query)),
                    ..Step::default()
                }
            }
            Stage::Poll | Stage::Reconcile => {
                self.order.message = reason.pick(rules.language).to_owned();
                self.poll_again(rules, now, wait)
            }
        }
    }

    /// When to ask next. `wait` overrides the rhythm, within the window.
    fn poll_again(&mut self, rules: &Rules, now: Instant, wait: Option<Duration>) -> Step {
        if self.stage == Stage::Rest {
            return Step::default();
        }
        if self.stage == Stage::Poll && now < self.window_end {
            let interval = rules.polling(self.trade_type).interval;
            let since = now.duration_since(self.last_pay.unwrap_or(self.accepted));
            let rhythm = if since < EAGER_TIME {
                until_eager_poll(since)
            } else {
                interval
            };
            let wait = wait.unwrap_or(rhythm).min(interval);
            return Step {
                next: Some(((now + wait).min(self.window_end), Task::Query)),
                ..Step::default()
            };
        }
        if self.stage == Stage::Poll {
            self.tries = 0;
            if rules.on_timeout == OnTimeout::Reverse && !self.order.state.is_final() {
                return self.take_back(Asker::Timeout, rules, now);
            }
            self.stage = Stage::Reconcile;
        }
        let changed = self.order.state == OrderState::Paying;
        if changed {
            self.order.state = OrderState::Unknown;
        }
        let wait = match self.tries {
            tries if tries < SLOW_COUNT => Some(SLOW),
            tries if tries < SLOW_COUNT + SLOWER_COUNT => Some(SLOWER),
            _ => None,
        };
        self.tries = self.tries.saturating_add(1);
        if wait.is_none() {
            self.stage = Stage::Rest;
        }
        Step {
            next: wait.map(|wait| (now + wait, Task::Query)),
            changed,
            news: false,
        }
    }
}

/// How long until the next eager poll of a payment that was sent so long ago. Slow answers don't
/// slow the rhythm down.
fn until_eager_poll(since: Duration) -> Duration {
    match since.checked_sub(FIRST_POLL) {
        None => FIRST_POLL - since,
        Some(past) => {
            let over = past.as_nanos() % EAGER_POLL.as_nanos();
            EAGER_POLL - Duration::from_nanos(u64::try_from(over).unwrap_or(0))
        }
    }
}

/// What an order's state becomes when an authentic answer says `new`. What was proven stays
/// proven: only money that came late, or went back, changes a final state.
fn merge(known: OrderState, new: OrderState) -> OrderState {
    use OrderState::{Closed, Failed, Paid, Reentry, Refunded, Reversed};
    match (known, new) {
        (Reentry, _) => Reentry,
        (Paid, Refunded | Reversed | Closed) => new,
        (Failed | Closed | Reversed, Paid | Refunded) => new,
        (known, _) if known.is_final() => known,
        (OrderState::CodeReady, OrderState::Paying | OrderState::Unknown) => OrderState::CodeReady,
        (_, new) => new,
    }
}

/// The evidence for what this machine knows by itself.
fn own_evidence() -> Evidence {
    Evidence {
        source: Source::Journal,
        authenticated: false,
        time_ms: clock::now_ms(),
        gateway_ms: None,
        domain: String::new(),
        log_id: None,
    }
}

/// How a reverse ends; Alipay says closed.
fn is_taken_back(state: OrderState) -> bool {
    matches!(state, OrderState::Reversed | OrderState::Closed)
}

/// What is said of a number that is another payment's.
fn reentry() -> Text {
    text!(
        "订单号已被另一笔支付使用，切勿撤单",
        "this order number belongs to another payment: never cancel it"
    )
}

/// A reason, and what was found out later.
pub(super) fn with_note(reason: &str, note: &str) -> String {
    if note.is_empty() || note == reason {
        return reason.to_owned();
    }
    format!("{reason}（{note}）")
}

fn join(first: &Text, second: &Text) -> Text {
    Text::new(
        format!(
            "{}（{}）",
            first.pick(Language::Zh),
            second.pick(Language::Zh)
        ),
        format!(
            "{} ({})",
            first.pick(Language::En),
            second.pick(Language::En)
        ),
    )
}

#[cfg(test)]
mod table;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Marks, Platform};

    pub(super) fn rules() -> Rules {
        let polling = Polling {
            count: 25,
            interval: Duration::from_secs(6),
        };
        Rules {
            micro_pay: polling,
            scan_code_pay: polling,
            submit_window: Duration::from_secs(30),
            on_timeout: OnTimeout::Leave,
            reverse_after: Duration::from_secs(15),
            request_timeout: Duration::from_secs(10),
            language: Language::En,
            gateway: crate::gateway::cloudpay::TRAITS,
        }
    }

    /// The rules for a gateway whose answers reach less far.
    fn careful_rules() -> Rules {
        Rules {
            gateway: crate::gateway::epay123::TRAITS,
            ..rules()
        }
    }

    pub(super) const GATEWAY: &str = "https://gateway";

    /// What is sent with a payment here, and handed back.
    pub(super) fn marks() -> Marks {
        Marks {
            tag: Some("0123456789abcdef".to_owned()),
            ..Marks::default()
        }
    }

    pub(super) fn reason() -> Text {
        Text::verbatim("words")
    }

    pub(super) fn answer(verdict: Verdict) -> Heard {
        Heard::Answer(Answer {
            verdict,
            evidence: Evidence {
                source: Source::Gateway,
                authenticated: true,
                time_ms: 1,
                gateway_ms: None,
                domain: GATEWAY.to_owned(),
                log_id: None,
            },
        })
    }

    /// An order of ours.
    pub(super) fn state(state: OrderState) -> Heard {
        marked(state, marks())
    }

    /// An order of another register's.
    pub(super) fn of_another(state: OrderState) -> Heard {
        let tag = Some("fedcba9876543210".to_owned());
        marked(state, Marks { tag, ..marks() })
    }

    /// One of ours, by its mark, but of another amount.
    pub(super) fn of_another_amount(state: OrderState) -> Heard {
        let Heard::Answer(mut answer) = marked(state, marks()) else {
            return Heard::Lost(reason());
        };
        if let Verdict::Order(facts) = &mut answer.verdict {
            facts.other_amount = Some(reason());
        }
        Heard::Answer(answer)
    }

    /// An order that nothing tells of whose it is.
    pub(super) fn unmarked(state: OrderState) -> Heard {
        marked(state, Marks::default())
    }

    fn marked(state: OrderState, marks: Marks) -> Heard {
        answer(Verdict::Order(Box::new(OrderFacts {
            state,
            other_amount: None,
            total_fee: Some(1),
            transaction_id: None,
            time_end: None,
            code_url: (state == OrderState::CodeReady).then(|| "weixin://".to_owned()),
            message: None,
            marks,
            platform: None,
            trade_type: None,
            updated: None,
            content: None,
            mch_key: None,
        })))
    }

    /// A payment, its rules, and a clock that is set by hand.
    pub(super) struct Life {
        pub(super) track: Track,
        pub(super) rules: Rules,
        start: Instant,
        pub(super) now: Instant,
    }

    impl Life {
        pub(super) fn new(trade_type: TradeType, rules: Rules) -> Self {
            let now = Instant::now();
            let mut order = Order::unknown("1");
            order.platform = Some(Platform::WeChat);
            order.state = OrderState::Paying;
            let origin = Origin {
                marks: marks(),
                ..Origin::default()
            };
            Self {
                track: Track::accepted(order, origin, trade_type, now),
                rules,
                start: now,
                now,
            }
        }

        pub(super) fn at(&mut self, seconds: f64) -> &mut Self {
            self.now = self.start + Duration::from_secs_f64(seconds);
            self
        }

        /// Hears something for a task; gives the next task and when, in seconds from the start.
        pub(super) fn hear(&mut self, task: Task, heard: Heard) -> Option<(f64, Task)> {
            if task == Task::Pay {
                self.track.sending(GATEWAY, self.now);
            }
            let step = self
                .track
                .hear(task, self.now, heard, &self.rules, self.now);
            step.next
                .map(|(at, task)| ((at - self.start).as_secs_f64(), task))
        }

        pub(super) fn state(&self) -> OrderState {
            self.track.order.state
        }

        /// Answers every query alike until nothing more is due; gives the times of the queries.
        fn queries(&mut self, mut next: Option<(f64, Task)>, heard: fn() -> Heard) -> Vec<f64> {
            let mut times = Vec::new();
            while let Some((at, Task::Query)) = next {
                times.push(at);
                next = self.at(at).hear(Task::Query, heard());
            }
            assert_eq!(next, None);
            times
        }
    }

    #[test]
    fn polls_are_eager_then_regular_then_slow_then_over() {
        let mut life = Life::new(TradeType::MicroPay, rules());
        let next = life.hear(Task::Pay, state(OrderState::Paying));
        let times = life.queries(next, || state(OrderState::Paying));
        let window: Vec<f64> = times.iter().copied().filter(|at| *at <= 150.0).collect();
        let mut expected: Vec<f64> = (0..15).map(|n| 2.0 + 3.0 * f64::from(n)).collect();
        expected.extend((0..17).map(|n| 47.0 + 6.0 * f64::from(n)));
        expected.push(149.0);
        expected.push(150.0);
        assert_eq!(window, expected);
        let slow: Vec<f64> = times.into_iter().filter(|at| *at > 150.0).collect();
        assert_eq!(slow.len(), 10 + 144);
        assert_eq!(slow[0], 210.0);
        assert_eq!(slow[9], 750.0);
        assert_eq!(slow[10], 1350.0);
        assert_eq!(life.state(), OrderState::Unknown);
        assert!(life.track.at_rest());
    }

    #[test]
    fn slow_answers_do_not_slow_the_polls_down() {
        let mut life = Life::new(TradeType::MicroPay, rules());
        let paying = || state(OrderState::Paying);
        assert_eq!(life.hear(Task::Pay, paying()), Some((2.0, Task::Query)));
        // When the answer to a poll came, and when the next poll is due.
        for (answered, due) in [(2.25, 5.0), (7.75, 8.0), (8.0, 11.0), (14.5, 17.0)] {
            let next = life.at(answered).hear(Task::Query, paying());
            assert_eq!(next, Some((due, Task::Query)));
        }
    }

    #[test]
    fn a_shorter_interval_is_respected() {
        let mut rules = rules();
        rules.micro_pay.interval = Duration::from_secs(1);
        let mut life = Life::new(TradeType::MicroPay, rules);
        assert_eq!(
            life.hear(Task::Pay, Heard::Lost(reason())),
            Some((1.0, Task::Query))
        );
        let next = life.at(1.0).hear(Task::Query, state(OrderState::Paying));
        assert_eq!(next, Some((2.0, Task::Query)));
    }

    #[test]
    fn what_never_left_is_tried_until_the_window_ends_and_then_failed() {
        let mut life = Life::new(TradeType::MicroPay, rules());
        let mut next = life.hear(Task::Pay, Heard::NotSent(reason()));
        let mut times = Vec::new();
        while let Some((at, Task::Pay)) = next {
            times.push(at);
            next = life.at(at).hear(Task::Pay, Heard::NotSent(reason()));
        }
        assert_eq!(times[..5], [0.5, 1.5, 3.5, 7.5, 11.5]);
        assert!(times.iter().all(|at| *at < 30.0));
        assert_eq!(life.state(), OrderState::Failed);
        assert!(
            life.track.at_rest(),
            "nothing was sent: there is nothing to watch for"
        );
    }

    /// Invariant 4: one "no such order" may overtake the payment.
    #[test]
    fn one_missing_order_proves_nothing_and_two_send_it_again_once() {
        let mut life = Life::new(TradeType::MicroPay, rules());
        assert_eq!(
            life.hear(Task::Pay, Heard::Lost(reason())),
            Some((2.0, Task::Query))
        );
        let next = life.at(2.0).hear(Task::Query, answer(Verdict::NotFound));
        assert_eq!(next, Some((4.0, Task::Query)));
        // A register that asks at the same moment doesn't make it two.
        life.at(2.1).hear(Task::Query, answer(Verdict::NotFound));
        assert_eq!(life.state(), OrderState::Paying);
        let next = life.at(4.0).hear(Task::Query, answer(Verdict::NotFound));
        assert_eq!(next, Some((4.0, Task::Pay)));
        // The second sending is lost too: it isn't sent a third time.
        life.hear(Task::Pay, Heard::Lost(reason()));
        life.at(6.0).hear(Task::Query, answer(Verdict::NotFound));
        life.at(8.0).hear(Task::Query, answer(Verdict::NotFound));
        assert_eq!(life.state(), OrderState::Paying);
        // The code is dead now.
        life.at(65.0).hear(Task::Query, answer(Verdict::NotFound));
        let next = life.at(67.0).hear(Task::Query, answer(Verdict::NotFound));
        assert_eq!(life.state(), OrderState::Failed);
        // Failed, and watched all the same: it was sent.
        assert_eq!(next, Some((72.0, Task::Query)));
    }

    /// However often it is said before: the request may be in a queue, and the code is alive.
    #[test]
    fn absence_proves_nothing_while_the_code_is_alive() {
        for rules in [rules(), careful_rules()] {
            let resends = rules.gateway.resends;
            let mut life = Life::new(TradeType::MicroPay, rules);
            let mut next = life.hear(Task::Pay, Heard::Lost(reason()));
            let mut resent = false;
            while let Some((at, task)) = next
                && life.state() != OrderState::Failed
            {
                life.at(at);
                next = match task {
                    Task::Query => life.hear(task, answer(Verdict::NotFound)),
                    Task::Pay => {
                        resent = true;
                        life.hear(task, Heard::Lost(reason()))
                    }
                    Task::TakeBack => panic!("nothing is known of it"),
                };
            }
            assert_eq!(resent, resends);
            let end = (life.now - life.start).as_secs_f64();
            assert!((67.0..=69.0).contains(&end), "failed at {end} s");
            assert!(life.track.origin.provisional);
        }
    }

    /// The gate for absence counts from the last sending, too, and anew after a restart.
    #[test]
    fn absence_waits_for_the_last_sending_and_for_a_restart() {
        let mut life = Life::new(TradeType::MicroPay, rules());
        life.at(55.0).hear(Task::Pay, Heard::Lost(reason()));
        for at in [57.0, 66.0, 69.0] {
            life.at(at).hear(Task::Query, answer(Verdict::NotFound));
            if at == 57.0 {
                continue;
            }
            assert_eq!(life.state(), OrderState::Paying, "{at}");
        }
        let (order, origin) = (life.track.order.clone(), life.track.origin.clone());
        life.track = Track::resting(
            order,
            origin,
            TradeType::MicroPay,
            Duration::ZERO,
            life.at(1_000.0).now,
        );
        life.track.recover(Duration::ZERO, &life.rules, life.now);
        for at in [1_000.0, 1_030.0, 1_064.0, 1_066.0] {
            life.at(at).hear(Task::Query, answer(Verdict::NotFound));
            assert_eq!(life.state(), OrderState::Paying, "{at}");
        }
        life.at(1_068.0)
            .hear(Task::Query, answer(Verdict::NotFound));
        assert_eq!(life.state(), OrderState::Failed);
    }

    /// A QR code that was shown can be paid for hours; one that nobody has seen can't.
    #[test]
    fn absence_of_a_qr_order_waits_for_the_end_of_its_code() {
        let fails_at = |shown: bool, expire: Option<i64>| {
            let mut life = Life::new(TradeType::ScanCode, careful_rules());
            life.track.origin.marks.made_ms = Some(1_000_000);
            life.track.origin.time_expire = expire;
            life.hear(Task::Pay, Heard::Lost(reason()));
            if shown {
                life.track.order.code_url = Some("weixin://".to_owned());
            }
            let mut at = 2.0;
            while life.state() != OrderState::Failed {
                life.at(at).hear(Task::Query, answer(Verdict::NotFound));
                at += 100.0;
            }
            at - 100.0
        };
        assert_eq!(fails_at(false, None), 102.0);
        assert_eq!(fails_at(true, None), 7_302.0);
        assert_eq!(fails_at(true, Some(1_000 + 900)), 1_002.0);
        assert_eq!(fails_at(true, Some(1_000 + 20_000)), 20_102.0);
    }

    /// Whoever else is asked knows less than the domain that may have taken the payment.
    #[test]
    fn only_the_domain_that_took_it_can_say_that_there_is_none() {
        let elsewhere = |verdict| {
            let Heard::Answer(mut answer) = answer(verdict) else {
                panic!("an answer");
            };
            answer.evidence.domain = "https://another".to_owned();
            Heard::Answer(answer)
        };
        let refused = || elsewhere(Verdict::RefusedUnsigned(reason()));
        for heard in [
            Heard::Lost(reason()),
            answer(Verdict::RefusedUnsigned(reason())),
        ] {
            let mut life = Life::new(TradeType::MicroPay, rules());
            life.hear(Task::Pay, heard);
            for at in [5.0, 30.0, 70.0, 75.0, 80.0] {
                life.at(at).hear(Task::Query, elsewhere(Verdict::NotFound));
                life.hear(Task::Query, refused());
                assert_eq!(life.state(), OrderState::Paying, "{at}");
            }
        }
    }

    /// What had failed for want of an order is open again when there is one.
    #[test]
    fn a_failure_by_absence_is_provisional() {
        let failed = || {
            let mut life = Life::new(TradeType::MicroPay, careful_rules());
            life.hear(Task::Pay, Heard::Lost(reason()));
            life.at(66.0).hear(Task::Query, answer(Verdict::NotFound));
            life.at(68.0).hear(Task::Query, answer(Verdict::NotFound));
            assert_eq!(life.state(), OrderState::Failed);
            life
        };
        let mut life = failed();
        life.at(80.0);
        let paying = state(OrderState::Paying);
        let step = life
            .track
            .hear(Task::Query, life.now, paying, &life.rules, life.now);
        assert!(step.news && step.changed && life.track.order.reopened);
        assert_eq!(life.state(), OrderState::Paying);
        life.at(90.0).hear(Task::Query, state(OrderState::Paid));
        assert!(life.state() == OrderState::Paid && life.track.order.late);
        // A refusal of the gateway's is no absence.
        let mut life = Life::new(TradeType::MicroPay, rules());
        life.hear(Task::Pay, answer(Verdict::Refused(reason())));
        life.at(80.0).hear(Task::Query, state(OrderState::Paying));
        assert_eq!(life.state(), OrderState::Failed);
        // Nothing is reversed whose order nobody has seen, and nothing is over.
        let mut life = failed();
        life.track.take_back(Asker::Register, &life.rules, life.now);
        for at in [84.0, 86.0, 88.0] {
            let next = life.at(at).hear(Task::Query, answer(Verdict::NotFound));
            assert!(matches!(next, Some((_, Task::Query))), "{next:?}");
        }
        let next = life.at(90.0).hear(Task::Query, state(OrderState::Paying));
        assert_eq!(next, Some((90.0, Task::TakeBack)));
    }

    /// As long as an ended order is called "under way", somebody looks at it: for a day at most.
    #[test]
    fn the_watch_goes_on_while_the_order_is_under_way() {
        let mut life = Life::new(TradeType::MicroPay, rules());
        let next = life.hear(Task::Pay, answer(Verdict::Refused(reason())));
        let times = life.queries(next, || state(OrderState::Paying));
        let last = times.last().copied().unwrap_or_default();
        assert!((86_000.0..=86_400.0).contains(&last), "{last}");
        assert_eq!(life.state(), OrderState::Failed);
        let mut life = Life::new(TradeType::MicroPay, rules());
        let next = life.hear(Task::Pay, answer(Verdict::Refused(reason())));
        assert_eq!(next, Some((5.0, Task::Query)));
        for at in [5.0, 15.0, 30.0, 60.0, 90.0, 150.0] {
            let next = life.at(at).hear(Task::Query, state(OrderState::Paying));
            assert!(next.is_some(), "{at}");
        }
        let next = life.at(210.0).hear(Task::Query, state(OrderState::Failed));
        assert_eq!(next, None);
    }

    /// Whoever made it: it is not what was sold.
    #[test]
    fn an_order_of_another_amount_proves_nothing() {
        let mut life = Life::new(TradeType::MicroPay, rules());
        life.hear(Task::Pay, of_another_amount(OrderState::Paid));
        assert!(!life.track.origin.ours);
        let said = of_another_amount(OrderState::Paid);
        life.at(2.0).hear(Task::Query, said);
        assert_eq!(life.state(), OrderState::Paying);
        let mut theirs = of_another(OrderState::Paid);
        if let Heard::Answer(Answer {
            verdict: Verdict::Order(facts),
            ..
        }) = &mut theirs
        {
            facts.other_amount = Some(reason());
        }
        life.at(5.0).hear(Task::Query, theirs);
        assert_eq!(life.state(), OrderState::Reentry);
    }

    /// An order of another register's is neither paid nor shown nor taken back here; nor is one of
    /// which nobody knows whose it is.
    #[test]
    fn another_registers_order_is_not_ours() {
        for said in [OrderState::Paid, OrderState::Paying, OrderState::CodeReady] {
            let mut life = Life::new(TradeType::ScanCode, rules());
            life.hear(Task::Pay, Heard::Lost(reason()));
            let next = life.at(2.0).hear(Task::Query, of_another(said));
            assert_eq!(
                (life.state(), next),
                (OrderState::Reentry, None),
                "{said:?}"
            );
            let mut life = Life::new(TradeType::ScanCode, rules());
            life.hear(Task::Pay, Heard::Lost(reason()));
            life.at(2.0).hear(Task::Query, unmarked(said));
            assert_eq!(life.state(), OrderState::Unknown, "{said:?}");
            assert_eq!(life.track.order.code_url, None);
            life.track.take_back(Asker::Register, &life.rules, life.now);
            let next = life.at(20.0).hear(Task::Query, unmarked(said));
            assert!(matches!(next, Some((_, Task::Query))), "{next:?}");
            // With a mark it is ours after all.
            life.at(22.0).hear(Task::Query, state(OrderState::Closed));
            assert_eq!(life.state(), OrderState::Closed);
            // The answer to the only sending is about ours, marked or not.
            let mut life = Life::new(TradeType::ScanCode, rules());
            life.hear(Task::Pay, unmarked(said));
            assert_eq!(life.state(), said);
        }
        // That nothing is charged under this number may be told whosever it is.
        let mut life = Life::new(TradeType::MicroPay, rules());
        life.hear(Task::Pay, Heard::Lost(reason()));
        life.at(2.0).hear(Task::Query, unmarked(OrderState::Closed));
        assert_eq!(life.state(), OrderState::Closed);
    }

    #[test]
    fn a_used_number_is_a_reentry_unless_the_order_is_ours() {
        for (said, expected) in [
            (unmarked(OrderState::Paid), OrderState::Reentry),
            (of_another(OrderState::Paying), OrderState::Reentry),
            (state(OrderState::Paid), OrderState::Paid),
            (answer(Verdict::NotFound), OrderState::Paying),
            (Heard::Lost(reason()), OrderState::Paying),
        ] {
            let mut life = Life::new(TradeType::MicroPay, careful_rules());
            let next = life.hear(Task::Pay, answer(Verdict::NumberUsed(reason())));
            assert_eq!(next, Some((0.0, Task::Query)));
            life.at(0.1).hear(Task::Query, said);
            assert_eq!(life.state(), expected);
        }
    }

    /// One answer that lags doesn't undo a proven reverse.
    #[test]
    fn after_a_proven_reverse_paid_is_old_news() {
        let reversed = || {
            let mut life = Life::new(TradeType::MicroPay, rules());
            life.hear(Task::Pay, state(OrderState::Paid));
            life.track.take_back(Asker::Register, &life.rules, life.now);
            life.at(15.0).hear(Task::Query, state(OrderState::Paid));
            life.hear(Task::TakeBack, answer(Verdict::Done));
            life.hear(Task::Query, state(OrderState::Reversed));
            assert_eq!(life.state(), OrderState::Reversed);
            life
        };
        let mut life = reversed();
        let next = life.at(20.0).hear(Task::Query, state(OrderState::Paid));
        assert_eq!(next, Some((25.0, Task::Query)));
        assert!(life.track.in_doubt() && life.state() == OrderState::Reversed);
        life.at(25.0).hear(Task::Query, state(OrderState::Reversed));
        assert!(!life.track.in_doubt() && life.state() == OrderState::Reversed);
        // Said again after that, and five seconds later: it is so.
        let mut life = reversed();
        life.at(20.0).hear(Task::Query, state(OrderState::Paid));
        life.at(22.0).hear(Task::Query, state(OrderState::Paid));
        assert_eq!(life.state(), OrderState::Reversed);
        life.at(25.0).hear(Task::Query, state(OrderState::Paid));
        assert!(life.state() == OrderState::Paid && life.track.order.late);
    }

    /// What the gateway said when it refused stays, whatever a later query finds.
    #[test]
    fn the_reason_of_a_refusal_is_kept() {
        let mut life = Life::new(TradeType::MicroPay, rules());
        life.hear(Task::Pay, answer(Verdict::Refused(reason())));
        life.at(5.0).hear(Task::Query, answer(Verdict::NotFound));
        assert_eq!(life.track.order.message, "words");
        life.at(15.0).hear(Task::Query, state(OrderState::Failed));
        assert_eq!(life.track.order.message, "words");
    }

    #[test]
    fn an_old_code_is_not_sent_again() {
        let mut life = Life::new(TradeType::MicroPay, rules());
        life.hear(Task::Pay, Heard::Lost(reason()));
        life.at(58.0).hear(Task::Query, answer(Verdict::NotFound));
        let next = life.at(61.0).hear(Task::Query, answer(Verdict::NotFound));
        assert!(matches!(next, Some((_, Task::Query))), "{next:?}");
        assert_eq!(life.state(), OrderState::Paying);
    }

    #[test]
    fn an_order_that_was_seen_is_not_missing() {
        let mut life = Life::new(TradeType::MicroPay, rules());
        life.hear(Task::Pay, Heard::Lost(reason()));
        life.at(2.0).hear(Task::Query, answer(Verdict::NotFound));
        life.at(5.0).hear(Task::Query, state(OrderState::Paying));
        // However often it is said, and whoever had said otherwise: a query, the answer to the
        // payment, or a QR code that can still be scanned.
        let mut answered = Life::new(TradeType::MicroPay, rules());
        answered.hear(Task::Pay, state(OrderState::Paying));
        let mut shown = Life::new(TradeType::ScanCode, rules());
        shown.hear(Task::Pay, state(OrderState::CodeReady));
        for (mut life, known) in [
            (life, OrderState::Paying),
            (answered, OrderState::Paying),
            (shown, OrderState::CodeReady),
        ] {
            for at in [8.0, 11.0, 14.0] {
                let next = life.at(at).hear(Task::Query, answer(Verdict::NotFound));
                assert!(matches!(next, Some((_, Task::Query))), "{next:?}");
            }
            assert_eq!(life.state(), known);
        }
    }

    /// What the platform has no payment for, or what was closed, ends also when it was known.
    #[test]
    fn an_order_that_was_seen_may_be_void_or_closed() {
        let void = || state(OrderState::NotFound);
        let mut life = Life::new(TradeType::MicroPay, rules());
        life.hear(Task::Pay, state(OrderState::Paying));
        life.at(2.0).hear(Task::Query, void());
        life.at(66.0).hear(Task::Query, void());
        assert_eq!(life.state(), OrderState::Paying);
        life.at(69.0).hear(Task::Query, void());
        assert_eq!(life.state(), OrderState::Failed);
        // A QR code that nobody has scanned is nothing to the platform, until it is closed.
        let mut life = Life::new(TradeType::ScanCode, rules());
        life.hear(Task::Pay, state(OrderState::CodeReady));
        for at in [2.0, 5.0, 8.0] {
            life.at(at).hear(Task::Query, void());
        }
        assert_eq!(life.state(), OrderState::CodeReady);
        for missing in [void, || answer(Verdict::NotFound)] {
            life.track.take_back(Asker::Register, &life.rules, life.now);
            let next = life.hear(Task::Query, missing());
            assert!(matches!(next, Some((_, Task::TakeBack))), "{next:?}");
        }
        life.hear(Task::TakeBack, answer(Verdict::Done));
        life.at(7_200.0)
            .hear(Task::Query, answer(Verdict::NotFound));
        life.at(7_210.0)
            .hear(Task::Query, answer(Verdict::NotFound));
        assert_eq!(life.state(), OrderState::Failed);
    }

    /// What was paid is not over because the gateway loses sight of it while it is reversed.
    #[test]
    fn what_was_paid_is_never_missing() {
        for missing in [|| state(OrderState::NotFound), || answer(Verdict::NotFound)] {
            let mut life = Life::new(TradeType::MicroPay, rules());
            life.hear(Task::Pay, state(OrderState::Paid));
            life.track.take_back(Asker::Register, &life.rules, life.now);
            life.at(15.0).hear(Task::Query, state(OrderState::Paid));
            life.hear(Task::TakeBack, answer(Verdict::Done));
            for at in [15.0, 17.0, 19.0, 21.0] {
                life.at(at).hear(Task::Query, missing());
            }
            assert_eq!(life.state(), OrderState::Unknown);
            life.hear(Task::Query, state(OrderState::Reversed));
            assert_eq!(life.state(), OrderState::Reversed);
        }
    }

    /// A restart has to know it, too.
    #[test]
    fn that_an_order_was_seen_is_written_once() {
        let mut life = Life::new(TradeType::MicroPay, rules());
        let mut hear = |task| {
            let step = life.track.hear(
                task,
                life.now,
                state(OrderState::Paying),
                &life.rules,
                life.now,
            );
            step.changed
        };
        assert!(hear(Task::Pay));
        assert!(!hear(Task::Query));
        let (known, origin) = (life.track.order.clone(), life.track.origin.clone());
        let mut life = Life::new(TradeType::MicroPay, rules());
        life.track = Track::resting(known, origin, TradeType::MicroPay, Duration::ZERO, life.now);
        life.track.recover(Duration::ZERO, &life.rules, life.now);
        for at in [0.0, 2.0, 4.0] {
            life.at(at).hear(Task::Query, answer(Verdict::NotFound));
        }
        assert_eq!(life.state(), OrderState::Paying);
    }

    /// Where any failure is called a refusal, a second one proves nothing.
    #[test]
    fn a_refused_query_confirms_no_refusal_at_a_careful_gateway() {
        let refused = || answer(Verdict::RefusedUnsigned(reason()));
        let mut life = Life::new(TradeType::MicroPay, careful_rules());
        life.hear(Task::Pay, refused());
        for at in [0.1, 2.0, 5.0] {
            let next = life.at(at).hear(Task::Query, refused());
            assert!(matches!(next, Some((_, Task::Query))), "{next:?}");
        }
        assert_eq!(life.state(), OrderState::Paying);
        life.at(8.0).hear(Task::Query, answer(Verdict::NotFound));
        assert_eq!(life.state(), OrderState::Failed);
    }

    #[test]
    fn what_was_to_be_taken_back_is_not_sent_again() {
        let mut life = Life::new(TradeType::MicroPay, rules());
        life.hear(Task::Pay, Heard::Lost(reason()));
        life.track.take_back(Asker::Register, &life.rules, life.now);
        life.at(20.0);
        life.track.abandon_take_back(&life.rules, life.now);
        life.at(22.0).hear(Task::Query, answer(Verdict::NotFound));
        let next = life.at(24.0).hear(Task::Query, answer(Verdict::NotFound));
        assert!(!matches!(next, Some((_, Task::Pay))), "{next:?}");
    }

    /// What is asked before a sending or a reverse may be answered after it.
    #[test]
    fn a_sending_and_a_reverse_begin_another_epoch() {
        let mut life = Life::new(TradeType::MicroPay, rules());
        let accepted = life.track.epoch();
        life.hear(Task::Pay, Heard::Lost(reason()));
        let sent = life.track.epoch();
        life.track.take_back(Asker::Register, &life.rules, life.now);
        let taken_back = life.track.epoch();
        assert!(accepted != sent && sent != taken_back);
        life.at(15.0).hear(Task::Query, state(OrderState::Paying));
        life.hear(Task::TakeBack, answer(Verdict::Done));
        life.hear(Task::Query, state(OrderState::Reversed));
        assert_eq!(life.track.epoch(), taken_back);
    }

    #[test]
    fn an_unsigned_refusal_is_confirmed_by_one_query() {
        let refused = || answer(Verdict::RefusedUnsigned(reason()));
        for (second, expected) in [
            (refused(), OrderState::Failed),
            (answer(Verdict::NotFound), OrderState::Failed),
            (state(OrderState::Paid), OrderState::Paid),
            (state(OrderState::Paying), OrderState::Paying),
            (Heard::Lost(reason()), OrderState::Paying),
        ] {
            let mut life = Life::new(TradeType::MicroPay, rules());
            assert_eq!(life.hear(Task::Pay, refused()), Some((0.0, Task::Query)));
            life.at(0.1).hear(Task::Query, second);
            assert_eq!(life.state(), expected);
        }
        // To a query of a payment that was not refused it says nothing.
        let mut life = Life::new(TradeType::MicroPay, rules());
        life.hear(Task::Pay, Heard::Lost(reason()));
        life.at(2.0).hear(Task::Query, refused());
        life.at(5.0).hear(Task::Query, refused());
        assert_eq!(life.state(), OrderState::Paying);
    }

    #[test]
    fn nothing_unproven_ends_an_order() {
        for heard in [
            || Heard::Lost(reason()),
            || Heard::NotSent(reason()),
            || answer(Verdict::Busy(reason())),
            || answer(Verdict::Untrusted(reason())),
            || answer(Verdict::Refused(reason())),
            || answer(Verdict::Done),
        ] {
            let mut life = Life::new(TradeType::MicroPay, rules());
            let next = life.hear(Task::Pay, Heard::Lost(reason()));
            life.queries(next, heard);
            assert_eq!(life.state(), OrderState::Unknown);
        }
    }

    /// Invariant 5, and the gate of the guarded reverse.
    #[test]
    fn a_timed_out_order_is_reversed_after_the_gate_and_a_fresh_query() {
        let mut rules = rules();
        rules.on_timeout = OnTimeout::Reverse;
        rules.micro_pay.count = 1;
        let paying = || state(OrderState::Paying);
        let start = |rules: &Rules| {
            let mut life = Life::new(TradeType::MicroPay, rules.clone());
            let mut next = life.hear(Task::Pay, paying());
            while let Some((at, Task::Query)) = next
                && at < 15.0
            {
                next = life.at(at).hear(Task::Query, paying());
            }
            assert_eq!(next, Some((15.0, Task::Query)), "the gate");
            life.at(15.0);
            life
        };
        let mut life = start(&rules);
        assert_eq!(
            life.hear(Task::Query, paying()),
            Some((15.0, Task::TakeBack))
        );
        let next = life.hear(Task::TakeBack, answer(Verdict::Done));
        assert_eq!(next, Some((15.0, Task::Query)));
        assert_eq!(
            life.state(),
            OrderState::Paying,
            "the answer to a reverse proves nothing"
        );
        life.hear(Task::Query, state(OrderState::Reversed));
        assert_eq!(life.state(), OrderState::Reversed);
        // A payment at the last moment wins.
        let mut life = start(&rules);
        life.hear(Task::Query, state(OrderState::Paid));
        assert_eq!(life.state(), OrderState::Paid);
        assert!(life.track.at_rest());
        // Without an authentic query nothing is reversed.
        let mut life = start(&rules);
        let mut next = life.hear(Task::Query, Heard::Lost(reason()));
        for _ in 0..50 {
            let Some((at, task)) = next else { break };
            assert_eq!(task, Task::Query);
            next = life.at(at).hear(task, Heard::Lost(reason()));
        }
    }

    /// A request that took its time may have arrived only at its end.
    #[test]
    fn the_gate_counts_from_the_end_of_the_pay_request() {
        let mut life = Life::new(TradeType::MicroPay, rules());
        life.track.sending(GATEWAY, life.now);
        life.at(8.0);
        let lost = Heard::Lost(reason());
        life.track
            .hear(Task::Pay, life.now, lost, &life.rules, life.now);
        let step = life.track.take_back(Asker::Register, &life.rules, life.now);
        let gate = life.start + Duration::from_secs(8 + 15);
        assert_eq!(step.next, Some((gate, Task::Query)));
    }

    /// A crash after the reverse must not leave "paid" behind: the order is open before it is sent.
    #[test]
    fn a_paid_order_is_open_while_it_is_reversed() {
        let mut life = Life::new(TradeType::MicroPay, rules());
        life.hear(Task::Pay, state(OrderState::Paid));
        life.track.take_back(Asker::Register, &life.rules, life.now);
        life.at(15.0);
        let Heard::Answer(paid) = state(OrderState::Paid) else {
            panic!("an answer");
        };
        let step = life.track.hear(
            Task::Query,
            life.now,
            Heard::Answer(paid),
            &life.rules,
            life.now,
        );
        assert_eq!(step.next, Some((life.now, Task::TakeBack)));
        assert!(step.changed, "the journal hears of it before it is sent");
        assert_eq!(life.state(), OrderState::Unknown);
        // Refused: it is paid all the same.
        life.hear(Task::TakeBack, answer(Verdict::Refused(reason())));
        life.hear(Task::Query, state(OrderState::Paid));
        assert_eq!(life.state(), OrderState::Paid);
        assert!(!life.track.order.late);
    }

    #[test]
    fn a_reversed_order_is_watched_and_a_late_payment_wins() {
        let mut life = Life::new(TradeType::MicroPay, rules());
        life.hear(Task::Pay, state(OrderState::Paying));
        life.track.take_back(Asker::Register, &life.rules, life.now);
        life.at(15.0).hear(Task::Query, state(OrderState::Paying));
        life.hear(Task::TakeBack, answer(Verdict::Done));
        let next = life.hear(Task::Query, state(OrderState::Reversed));
        let times = life.queries(next, || state(OrderState::Reversed));
        let after: Vec<f64> = times.iter().map(|at| at - 15.0).collect();
        assert_eq!(after, [5.0, 15.0, 30.0, 60.0, 90.0]);
        assert!(life.track.at_rest());
        life.hear(Task::Query, state(OrderState::Paid));
        assert_eq!(life.state(), OrderState::Paid);
        assert!(life.track.order.late);
    }

    #[test]
    fn a_failed_order_is_watched_on_after_a_cancel() {
        let mut life = Life::new(TradeType::MicroPay, rules());
        life.hear(Task::Pay, state(OrderState::Failed));
        life.track.take_back(Asker::Register, &life.rules, life.now);
        let next = life.at(15.0).hear(Task::Query, state(OrderState::Failed));
        let times = life.queries(next, || state(OrderState::Failed));
        assert_eq!(times, [30.0, 60.0, 90.0]);
        assert!(life.track.at_rest());
    }

    #[test]
    fn an_unpaid_that_may_be_a_time_out_is_confirmed_and_watched_for_hours() {
        let mut life = Life::new(TradeType::MicroPay, careful_rules());
        life.hear(Task::Pay, state(OrderState::Paying));
        let next = life.at(2.0).hear(Task::Query, state(OrderState::Failed));
        assert_eq!(next, Some((7.0, Task::Query)));
        assert_eq!(life.state(), OrderState::Paying);
        // Asked by the register in between, it is still not certain.
        life.at(4.0).hear(Task::Query, state(OrderState::Failed));
        assert_eq!(life.state(), OrderState::Paying);
        let next = life.at(7.0).hear(Task::Query, state(OrderState::Failed));
        assert_eq!(life.state(), OrderState::Failed);
        let times = life.queries(next, || state(OrderState::Failed));
        assert_eq!(times[..5], [12.0, 22.0, 37.0, 67.0, 97.0]);
        assert_eq!(times[5], 697.0);
        assert!(
            times
                .last()
                .is_some_and(|last| (7_400.0..=8_100.0).contains(last))
        );
        life.hear(Task::Query, state(OrderState::Paid));
        assert!(life.track.order.late);
        // An unpaid that is taken back in between counts from its return.
        let mut life = Life::new(TradeType::MicroPay, careful_rules());
        life.hear(Task::Pay, state(OrderState::Paying));
        life.at(2.0).hear(Task::Query, state(OrderState::Failed));
        life.at(5.0).hear(Task::Query, state(OrderState::Paying));
        life.at(8.0).hear(Task::Query, state(OrderState::Failed));
        assert_eq!(life.state(), OrderState::Paying);
    }

    #[test]
    fn a_gateway_that_takes_a_number_once_gets_it_once() {
        let mut life = Life::new(TradeType::MicroPay, careful_rules());
        life.hear(Task::Pay, Heard::Lost(reason()));
        for at in [2.0, 4.0, 66.0] {
            let next = life.at(at).hear(Task::Query, answer(Verdict::NotFound));
            assert!(matches!(next, Some((_, Task::Query))), "{next:?}");
        }
        life.at(68.0).hear(Task::Query, answer(Verdict::NotFound));
        assert_eq!(life.state(), OrderState::Failed);
    }

    #[test]
    fn what_is_proven_stays_proven() {
        use OrderState::*;
        for known in [Paid, Failed, Closed, Reversed, Refunded, Reentry] {
            for new in OrderState::ALL {
                let expected = match (known, new) {
                    (Paid, Refunded | Reversed | Closed) => new,
                    (Failed | Closed | Reversed, Paid | Refunded) => new,
                    _ => known,
                };
                assert_eq!(merge(known, new), expected, "{known:?} {new:?}");
            }
        }
    }
}
