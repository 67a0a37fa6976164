//! The engine: takes accepted payments to their end. Workers exchange with the gateway when it is
//! time, the journal keeps every outcome, [`step`] decides.

mod agenda;
mod housekeeping;
mod notify;
mod pool;
mod recover;
mod step;
mod sync;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use self::agenda::{Agenda, Due, Duty};
use self::housekeeping::Bells;
pub use self::notify::Callback;
use self::notify::Notifier;
pub(crate) use self::pool::on_callback_thread;
pub(crate) use self::step::Heard;
use self::step::{Rules, Step, Task, Track};
pub(crate) use self::sync::Outcome;
pub use self::sync::Refunded;
use crate::condition::Condition;
use crate::config::{Config, GatewayConfig};
use crate::gateway::cloudpay::{CloudPay, hex};
use crate::gateway::epay123::Epay123;
use crate::gateway::{Call, Gateway, OrderKey};
use crate::http::{Failover, Http, HttpRequest, HttpResponse, SendError};
use crate::journal::{Accepted, Journal, StoredOrder, Ticket};
use crate::lock;
use crate::model::{
    CodeKey, Marks, Order, OrderState, Origin, Payment, PendingOrder, RefundRequest, Refunds,
    TradeType,
};
use crate::telemetry::{Monitor, Upload};
use crate::text::{Text, text};

/// Payments accepted and not yet sent. More than any register can scan; a bound all the same.
const MAX_UNSENT: usize = 65_536;

/// What calls and the callback get to end in, once connections are cut.
const AFTER_CUT: Duration = Duration::from_secs(1);

/// The turn in which a payment is first sent. Every turn that is planned later is another one.
const FIRST_TURN: u64 = 0;

/// Takes payments from acceptance to a proven end.
pub(crate) struct Engine {
    rules: Rules,
    gateway: Box<dyn Gateway>,
    http: Http,
    journal: Journal,
    monitor: Monitor,
    /// Rung when enough monitor results wait.
    monitor_full: Sender<()>,
    /// Orders that something may still happen to by itself.
    live: Mutex<HashMap<String, Arc<Live>>>,
    /// Counts the cancels: what was asked before one of an order that isn't in `live` may be
    /// answered out of date.
    cancels: AtomicU64,
    codes: Mutex<Codes>,
    code_key: CodeKey,
    /// The gateway's clock: what its last `Date` said, and when that was.
    gateway_clock: Mutex<Option<(i64, Instant)>>,
    unsent: AtomicUsize,
    sendings: Sendings,
    agenda: Agenda,
    /// Dropped when the library stops.
    stop: Mutex<Option<Sender<()>>>,
    /// Disconnected when the library stops.
    stopped: Receiver<()>,
    stopping: AtomicBool,
    threads: Mutex<Vec<JoinHandle<()>>>,
    notifier: Notifier,
    /// Calls of the register that are under way.
    calls: Mutex<usize>,
    call_ended: Condition,
}

/// An order under way.
pub(crate) struct Live {
    key: OrderKey,
    inner: Mutex<Inner>,
    /// Something changed: the state, or who is busy.
    changed: Condition,
}

struct Inner {
    track: Track,
    /// The payment and its signed bytes, as long as they may be needed.
    payment: Option<Box<(Payment, Option<HttpRequest>)>>,
    /// The task that is due next.
    task: Task,
    /// Counts the times the order was scheduled; older turns are void.
    turn: u64,
    /// A payment, a reverse or a worker's query is on its way: nobody else starts one.
    busy: bool,
    /// The payment code's digest, to release when the order is final.
    code: Option<[u8; 32]>,
    /// The journal could not be written: it is tried again with the next step.
    unrecorded: bool,
    /// Writes of this order that the journal has not finished: its state is not told yet.
    writing: u32,
    /// The order was announced, and the journal has not decided yet.
    announced: bool,
    /// The order was announced but not accepted: whoever holds it looks again.
    void: bool,
}

impl Live {
    fn new(key: OrderKey, track: Track) -> Self {
        Self {
            key,
            inner: Mutex::new(Inner {
                track,
                payment: None,
                task: Task::Query,
                turn: FIRST_TURN,
                busy: false,
                code: None,
                unrecorded: false,
                writing: 0,
                announced: false,
                void: false,
            }),
            changed: Condition::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }

    /// Waits for a change, at most until `deadline`.
    fn wait<'a>(
        &'a self,
        inner: MutexGuard<'a, Inner>,
        deadline: Instant,
    ) -> MutexGuard<'a, Inner> {
        self.changed.wait_until(inner, deadline)
    }
}

/// Why a payment was not accepted.
pub(crate) enum NotAccepted {
    /// Refused: nothing was stored or sent.
    Refused(Text),
    /// The library is stopping.
    Stopping,
}

impl Engine {
    /// Opens the journal, starts the threads, and takes up what an earlier process left.
    pub(crate) fn start(config: &Config) -> Result<Arc<Self>, Text> {
        let (gateway, merchant, secret): (Box<dyn Gateway>, _, _) = match &config.gateway {
            GatewayConfig::CloudPay => (
                Box::new(CloudPay::new(config.merchant.clone())),
                format!("cloudpay {}", config.merchant.out_sub_mch_id),
                config.merchant.authen_key.reveal(),
            ),
            GatewayConfig::Epay123(keys) => (
                Box::new(Epay123::new(keys, &config.merchant)),
                format!("epay123 {}", keys.mch_no),
                keys.app_secret.reveal(),
            ),
        };
        let journal = Journal::open(config.journal_path.as_deref(), &merchant)?;
        let (stop, stop_line) = bounded(0);
        let (domain_bell, domain_failed) = bounded(1);
        let (monitor_bell, monitor_full) = bounded(1);
        let engine = Arc::new(Self {
            rules: Rules {
                micro_pay: config.micro_pay_polling,
                scan_code_pay: config.scan_code_pay_polling,
                submit_window: config.submit_window,
                on_timeout: config.on_timeout,
                reverse_after: config.reverse_after,
                request_timeout: config.request_timeout,
                language: config.language,
                gateway: gateway.traits(),
            },
            gateway,
            http: Http::new(config, domain_bell),
            journal,
            monitor: Monitor::default(),
            monitor_full: monitor_bell,
            live: Mutex::default(),
            cancels: AtomicU64::new(0),
            codes: Mutex::default(),
            code_key: CodeKey::new(secret),
            gateway_clock: Mutex::default(),
            unsent: AtomicUsize::new(0),
            sendings: Sendings::new(config.request_timeout),
            agenda: Agenda::default(),
            stop: Mutex::new(Some(stop)),
            stopped: stop_line.clone(),
            stopping: AtomicBool::new(false),
            threads: Mutex::default(),
            notifier: Notifier::start()?,
            calls: Mutex::default(),
            call_ended: Condition::default(),
        });
        let bells = Bells {
            stop: stop_line,
            domain_failed,
            monitor_full,
        };
        let started = engine
            .start_threads(config, bells)
            .and_then(|()| engine.recover());
        match started {
            Ok(()) => Ok(engine),
            Err(reason) => {
                let _ = engine.stop(Duration::ZERO);
                Err(reason)
            }
        }
    }

    fn start_threads(self: &Arc<Self>, config: &Config, bells: Bells) -> Result<(), Text> {
        let keep = |thread| lock(&self.threads).push(thread);
        for index in 0..config.worker_threads {
            let duty = if index == 0 && config.worker_threads > 1 {
                Duty::PaymentsOnly
            } else {
                Duty::Everything
            };
            keep(pool::worker(self, duty)?);
        }
        let (probe, monitor) = (config.probe, self.monitored(config));
        if probe || monitor {
            let engine = Arc::clone(self);
            keep(pool::spawn("housekeeping", move || {
                housekeeping::run(&engine, &bells, probe, monitor);
            })?);
        }
        Ok(())
    }

    fn monitored(&self, config: &Config) -> bool {
        let upload = Upload::Machine(serde_json::Value::Null);
        config.monitor && self.gateway.offers(&Call::Upload(&upload))
    }

    /// Accepts a payment: after `Ok` it is in the journal and will be taken to its end. Blocks
    /// for one commit of the journal.
    pub(crate) fn pay(self: &Arc<Self>, mut payment: Payment) -> Result<(), NotAccepted> {
        if self.stopping.load(Ordering::Acquire) {
            return Err(NotAccepted::Stopping);
        }
        let slot = self.reserve()?;
        payment.tag = Some(random_tag().map_err(NotAccepted::Refused)?);
        let origin = Origin {
            marks: Marks {
                made_ms: self.gateway_now(),
                ..self.gateway.marks(&payment)
            },
            domain: self.http.candidates().into_iter().next(),
            time_expire: payment.time_expire,
            ..Origin::default()
        };
        let code = payment
            .code
            .as_ref()
            .map(|code| code.digest(&self.code_key));
        let announced = self.announce(&payment, &origin, code);
        match self.offer(&payment, &origin, code)? {
            Accepted::New => {
                // Kept until a worker takes the payment up.
                std::mem::forget(slot);
                self.launch(Arc::clone(&announced.live), payment);
                Ok(())
            }
            Accepted::Known(known) => same_or_refused(&payment, &known),
        }
    }

    /// Offers an order to the journal. A code that nothing is paid with is free again.
    fn offer(
        &self,
        payment: &Payment,
        origin: &Origin,
        code: Option<[u8; 32]>,
    ) -> Result<Accepted, NotAccepted> {
        let claimed = self.claim_code(code, &payment.trade_no)?;
        let dead = lock(&self.codes).dead(Instant::now());
        let accepted = self.journal.accept(payment, origin, code, dead).wait();
        if claimed && !matches!(accepted, Ok(Accepted::New)) {
            self.release_code(code);
        }
        accepted.map_err(NotAccepted::Refused)
    }

    /// A place among the payments that wait to be sent.
    fn reserve(&self) -> Result<Slot<'_>, NotAccepted> {
        let slot = Slot(&self.unsent);
        if self.unsent.fetch_add(1, Ordering::AcqRel) >= MAX_UNSENT {
            return Err(NotAccepted::Refused(text!(
                "待发送的支付已达 {MAX_UNSENT} 笔，请稍后再试",
                "{MAX_UNSENT} payments are waiting to be sent; try again later"
            )));
        }
        Ok(slot)
    }

    /// A payment code is good for one payment: the second order with it is a double scan. Says
    /// whether this call is the first with it.
    fn claim_code(&self, code: Option<[u8; 32]>, trade_no: &str) -> Result<bool, NotAccepted> {
        let Some(code) = code else { return Ok(false) };
        match lock(&self.codes).orders.entry(code) {
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(trade_no.to_owned());
                Ok(true)
            }
            std::collections::hash_map::Entry::Occupied(entry) if entry.get() == trade_no => {
                Ok(false)
            }
            std::collections::hash_map::Entry::Occupied(entry) => {
                let first = entry.get();
                Err(NotAccepted::Refused(text!(
                    "author_code：该付款码已用于订单 {first}，其结果尚未确定；请先查询该订单",
                    "author_code: this payment code is in use by order {first}, whose result isn't known yet; look at that order first"
                )))
            }
        }
    }

    fn release_code(&self, code: Option<[u8; 32]>) {
        if let Some(code) = code {
            lock(&self.codes).orders.remove(&code);
        }
    }

    /// Makes an order known to the engine before the journal has it, so that nobody takes it for
    /// an earlier process's. It is busy: nobody acts on it yet. Calls with the same number come one
    /// after the other.
    fn announce(
        &self,
        payment: &Payment,
        origin: &Origin,
        code: Option<[u8; 32]>,
    ) -> Announced<'_> {
        let key = OrderKey::of(payment);
        let mut order = Order::unknown(&payment.trade_no);
        order.platform = Some(payment.platform);
        order.trade_type = Some(payment.trade_type());
        order.total_fee = Some(payment.total_fee);
        order.state = OrderState::Paying;
        order.refunds = Some(Refunds::default());
        let now = Instant::now();
        let track = Track::accepted(order, origin.clone(), payment.trade_type(), now);
        let live = Live::new(key, track);
        {
            let mut inner = live.lock();
            inner.task = Task::Pay;
            inner.busy = true;
            inner.code = code;
            inner.announced = true;
        }
        let live = Arc::new(live);
        while let Some(other) = self.announced_before(&live) {
            let mut inner = other.lock();
            while inner.announced {
                inner = other.changed.wait(inner);
            }
        }
        Announced { engine: self, live }
    }

    /// Another call's order under the same number that the journal has not decided about. Without
    /// one, this order is known now, unless one under way has its number.
    fn announced_before(&self, live: &Arc<Live>) -> Option<Arc<Live>> {
        let mut orders = lock(&self.live);
        let known = list(&mut orders, live);
        let undecided = !Arc::ptr_eq(known, live) && known.lock().announced;
        undecided.then(|| Arc::clone(known))
    }

    /// Hands an accepted payment to the workers.
    fn launch(&self, live: Arc<Live>, payment: Payment) {
        lock(&self.live).insert(live.key.trade_no.clone(), Arc::clone(&live));
        if payment.code.is_some() {
            lock(&self.codes)
                .accepted
                .push_back((Instant::now(), payment.trade_no.clone()));
        }
        {
            let mut inner = live.lock();
            inner.payment = Some(Box::new((payment, None)));
            inner.busy = false;
            inner.announced = false;
        }
        live.changed.notify_all();
        self.agenda.add_payment(Due {
            at: Instant::now(),
            turn: FIRST_TURN,
            live,
        });
    }

    /// A worker's turn with an order.
    fn work(self: &Arc<Self>, live: &Arc<Live>, turn: u64) {
        if turn == FIRST_TURN {
            // No longer in the queue, whatever became of it there.
            drop(Slot(&self.unsent));
        }
        let (task, epoch) = {
            let mut inner = live.lock();
            // An older turn is void; whoever is busy with the order schedules it again.
            if inner.turn != turn || inner.busy {
                return;
            }
            inner.busy = true;
            (inner.task, inner.track.epoch())
        };
        let asked = Instant::now();
        let may_go = task != Task::TakeBack || self.may_take_back(live);
        let heard = may_go.then(|| self.exchange(live, task));
        let now = Instant::now();
        let mut inner = live.lock();
        let step = match heard {
            None => inner.track.keep(&self.rules, now),
            // A register's query was the last in time, and the order is to be taken back: this
            // answer is no fresh one.
            Some(_) if task == Task::Query && inner.track.epoch() != epoch => {
                inner.track.wait_for_the_gate(&self.rules, now)
            }
            Some(heard) => inner.track.hear(task, asked, heard, &self.rules, now),
        };
        inner.busy = false;
        self.follow(live, inner, &step);
    }

    /// Exchanges with the gateway for a task of this order.
    fn exchange(&self, live: &Live, task: Task) -> Heard {
        match task {
            Task::Pay => self.exchange_payment(live),
            Task::Query => self.ask_about(live),
            Task::TakeBack => {
                let call = match live.key.trade_type {
                    Some(TradeType::MicroPay) if self.rules.gateway.reverses => {
                        Call::Reverse(&live.key)
                    }
                    _ => Call::CloseOrder(&live.key),
                };
                self.sendings.note(&live.key.trade_no);
                self.ask(&call, Failover::NotSent)
            }
        }
    }

    /// Asks for an order, first of all the domain that may have taken the payment.
    fn ask_about(&self, live: &Live) -> Heard {
        let (domain, openly) = {
            let inner = live.lock();
            (inner.track.origin.domain.clone(), inner.track.ask_openly())
        };
        let mut key = live.key.clone();
        if openly {
            key = key.of_any_kind();
        }
        self.ask_first(&Call::QueryOrder(&key), Failover::Any, domain.as_deref())
    }

    /// Sends a payment: signed once, the same bytes every time. Where it may have arrived before, it
    /// goes to that domain alone.
    fn exchange_payment(&self, live: &Live) -> Heard {
        let taken = live.lock().payment.take();
        let Some(mut kept) = taken else {
            return Heard::Lost(text!(
                "内部错误：支付请求已不在内存中",
                "internal error: the payment's bytes are gone"
            ));
        };
        let (payment, request) = &mut *kept;
        let call = Call::Pay(payment);
        let request = match request {
            Some(request) => request,
            None => match self.gateway.encode(&call) {
                Ok(encoded) => request.insert(encoded),
                Err(reason) => {
                    live.lock().payment = Some(kept);
                    return Heard::NotSent(reason);
                }
            },
        };
        let heard = self.send_payment(live, &call, request);
        live.lock().payment = Some(kept);
        heard
    }

    fn send_payment(&self, live: &Live, call: &Call<'_>, request: &HttpRequest) -> Heard {
        let (mut written, again) = {
            let inner = live.lock();
            (inner.track.origin.domain.clone(), inner.track.resending())
        };
        let domains = match (again, &written) {
            (true, Some(domain)) => vec![domain.clone()],
            _ => self.http.candidates(),
        };
        self.send_to_one(call, request, domains, |domain| {
            if written.as_deref() != Some(domain) {
                let noted = self.journal.record_domain(&live.key.trade_no, domain);
                noted.wait()?;
                written = Some(domain.to_owned());
            }
            live.lock().track.sending(domain, Instant::now());
            Ok(())
        })
    }

    /// Tries the domains one after the other, as long as nothing was sent. `note` has each of them
    /// written down before it is tried: only the last one can say later that there is no such thing.
    fn send_to_one(
        &self,
        call: &Call<'_>,
        request: &HttpRequest,
        domains: Vec<String>,
        mut note: impl FnMut(&str) -> Result<(), Text>,
    ) -> Heard {
        let mut heard = Heard::NotSent(text!("没有可用域名", "no domain"));
        let began = Instant::now();
        for domain in domains {
            if let Err(reason) = note(&domain) {
                heard = Heard::NotSent(reason);
                break;
            }
            let answer = self.http.post_to(&domain, request);
            heard = self.judge(call, answer, began, &domain);
            if !matches!(heard, Heard::NotSent(_)) {
                break;
            }
        }
        crate::telemetry::log_exchange(call, &heard, began.elapsed());
        heard
    }

    /// Sends a refund. Where it may have arrived before, it goes to that domain alone.
    fn exchange_refund(&self, refund: &RefundRequest, known: Option<&str>) -> Heard {
        let call = Call::Refund(refund);
        let request = match self.gateway.encode(&call) {
            Ok(request) => request,
            Err(reason) => return Heard::NotSent(reason),
        };
        let domains = match known {
            Some(domain) => vec![domain.to_owned()],
            None => self.http.candidates(),
        };
        self.send_to_one(&call, &request, domains, |domain| {
            self.journal
                .record_refund_domain(&refund.refund_no, domain)
                .wait()
        })
    }

    /// Encodes, sends and judges a call.
    fn ask(&self, call: &Call<'_>, failover: Failover) -> Heard {
        self.ask_first(call, failover, None)
    }

    /// The same, first of all to a certain domain.
    fn ask_first(&self, call: &Call<'_>, failover: Failover, first: Option<&str>) -> Heard {
        match self.gateway.encode(call) {
            Ok(request) => self.send(call, &request, failover, first),
            Err(reason) => Heard::NotSent(reason),
        }
    }

    fn send(
        &self,
        call: &Call<'_>,
        request: &HttpRequest,
        failover: Failover,
        first: Option<&str>,
    ) -> Heard {
        let began = Instant::now();
        let answer = self.http.post(request, failover, first, |domain, error| {
            self.note(call, &Heard::from(error.clone()), domain, began);
        });
        let heard = match answer {
            Ok(response) => {
                let domain = response.domain.clone();
                self.judge(call, Ok(response), began, &domain)
            }
            // Every domain was noted.
            Err(error) => Heard::from(error),
        };
        crate::telemetry::log_exchange(call, &heard, began.elapsed());
        heard
    }

    /// What came of an exchange with this domain; the monitor is told.
    fn judge(
        &self,
        call: &Call<'_>,
        answer: Result<HttpResponse, SendError>,
        began: Instant,
        domain: &str,
    ) -> Heard {
        let heard = match answer {
            Ok(response) => {
                let answer = self.gateway.decode(call, &response);
                if let Some(date_ms) = response.date_ms
                    && answer.evidence.authenticated
                {
                    *lock(&self.gateway_clock) = Some((date_ms, Instant::now()));
                }
                Heard::Answer(answer)
            }
            Err(error) => Heard::from(error),
        };
        self.note(call, &heard, domain, began);
        heard
    }

    fn note(&self, call: &Call<'_>, heard: &Heard, domain: &str, began: Instant) {
        if self.monitor.note(call, heard, domain, began.elapsed()) {
            let _ = self.monitor_full.try_send(());
        }
    }

    /// What the gateway's clock says now, in ms since 1970, where it has ever been heard.
    fn gateway_now(&self) -> Option<i64> {
        let (date_ms, then) = (*lock(&self.gateway_clock))?;
        Some(date_ms + i64::try_from(then.elapsed().as_millis()).ok()?)
    }

    /// A call that is neither logged nor monitored: the monitor's own.
    fn ask_quietly(&self, call: &Call<'_>, failover: Failover) -> Heard {
        let request = match self.gateway.encode(call) {
            Ok(request) => request,
            Err(reason) => return Heard::NotSent(reason),
        };
        match self.http.post(&request, failover, None, |_, _| {}) {
            Ok(response) => Heard::Answer(self.gateway.decode(call, &response)),
            Err(error) => Heard::from(error),
        }
    }

    /// Carries out a step of the state machine: has the journal keep it, tells those who wait, and
    /// schedules what comes next.
    fn follow(
        self: &Arc<Self>,
        live: &Arc<Live>,
        mut inner: MutexGuard<'_, Inner>,
        step: &Step,
    ) -> Order {
        let now = Instant::now();
        let order = inner.track.order.clone();
        if !inner.track.keeps_request(now) {
            inner.payment = None;
        }
        let written = (step.changed || inner.unrecorded).then(|| self.write(&order, &inner.track));
        inner.writing += u32::from(written.is_some());
        if order.state.is_final() {
            let code = inner.code.take();
            self.release_code(code);
        }
        if !inner.busy {
            match step.next {
                Some((at, task)) => self.plan(live, &mut inner, at, task),
                // Nothing is due any more, whatever waits in a queue.
                None => inner.turn = inner.turn.wrapping_add(1),
            }
        }
        let retire = inner.track.at_rest();
        drop(inner);
        if written.is_none() {
            live.changed.notify_all();
        }
        // In the journal before the register hears of it; but a journal that can't be written takes
        // nothing away from the running process.
        let kept = written.is_none_or(|ticket| {
            let kept = ticket.wait().is_ok();
            let mut inner = live.lock();
            inner.unrecorded = !kept;
            inner.writing -= 1;
            drop(inner);
            live.changed.notify_all();
            kept
        });
        if step.news {
            crate::telemetry::log_verdict(&order);
            self.notifier.tell(&order);
        }
        if retire && kept {
            self.retire(live);
        }
        order
    }

    fn write(&self, order: &Order, track: &Track) -> Ticket<()> {
        self.journal
            .record(order, &track.origin, track.watch_until_ms())
    }

    /// Puts the order on the schedule; a payment that is due now goes straight to the workers.
    fn plan(&self, live: &Arc<Live>, inner: &mut Inner, at: Instant, task: Task) {
        inner.turn = inner.turn.wrapping_add(1);
        inner.task = task;
        let due = Due {
            at,
            turn: inner.turn,
            live: Arc::clone(live),
        };
        if task == Task::Pay && at <= Instant::now() {
            self.agenda.add_payment(due);
        } else {
            self.agenda.add_timed(due);
        }
    }

    /// Forgets an order that nothing happens to any more, unless somebody acts on it, or the journal
    /// lacks its result.
    fn retire(&self, live: &Arc<Live>) {
        let mut orders = lock(&self.live);
        let inner = live.lock();
        if inner.track.at_rest() && !inner.busy && !inner.unrecorded {
            forget(&mut orders, live);
        }
    }

    /// Makes an order known to the engine, unless one under its number is. `None` when it was
    /// withdrawn: the journal says what there is.
    fn enlist(&self, live: &Arc<Live>) -> Option<Arc<Live>> {
        let mut orders = lock(&self.live);
        if live.lock().void {
            return None;
        }
        Some(Arc::clone(list(&mut orders, live)))
    }

    fn find_live(&self, trade_no: &str) -> Option<Arc<Live>> {
        lock(&self.live).get(trade_no).cloned()
    }

    /// Sets or clears the callback. After clearing, no call of it is under way.
    pub(crate) fn set_callback(&self, callback: Option<Callback>) {
        self.notifier.set(callback);
    }

    /// The journal's list of orders the register should look at.
    pub(crate) fn pending(&self) -> Result<Vec<PendingOrder>, Text> {
        let orders = self.journal.pending().wait()?;
        let pending = orders.into_iter().map(|stored| {
            let mut order = stored.order;
            if let Some(live) = self.find_live(&order.trade_no) {
                let refunds = order.refunds;
                order = live.lock().track.order.clone();
                order.content = None;
                order.mch_key = None;
                order.refunds = refunds;
            }
            PendingOrder {
                why: match order.state.is_final() {
                    _ if order.late => "late",
                    false if order.reopened => "reopened",
                    false => "unknown",
                    true if !stored.told || order.recovered => "untold",
                    true => "refund_open",
                },
                since_ms: stored.final_ms.unwrap_or(stored.created_ms),
                order,
            }
        });
        Ok(pending.collect())
    }

    /// Lets an order under way know what the journal knows of its refunds now.
    fn renew_refunds(&self, trade_no: &str) {
        if let Some(live) = self.find_live(trade_no)
            && let Ok(Some(stored)) = self.journal.find_order(trade_no).wait()
        {
            live.lock().track.order.refunds = stored.order.refunds;
        }
    }

    /// An order number that nobody has had: see [`Journal::next_number`].
    pub(crate) fn next_number(
        &self,
        number: impl FnOnce(i64) -> String + Send + 'static,
    ) -> Result<Option<String>, Text> {
        self.journal.next_number(number).wait()
    }

    /// Notes that the register has been told an order's final state; `asked`: because it asked.
    pub(crate) fn told(&self, order: &Order, asked: bool) {
        if order.state.is_final() {
            self.journal.told(&order.trade_no, asked);
        }
    }

    /// Does a call of the register, and lets [`Engine::stop`] wait for its end.
    pub(crate) fn call<T>(&self, body: impl FnOnce() -> T) -> T {
        struct Ended<'a>(&'a Engine);
        impl Drop for Ended<'_> {
            fn drop(&mut self) {
                let mut calls = lock(&self.0.calls);
                *calls = calls.saturating_sub(1);
                self.0.call_ended.notify_all();
            }
        }
        *lock(&self.calls) += 1;
        let _ended = Ended(self);
        body()
    }

    /// Stops: no new work; exchanges under way may end until `timeout`, then they are cut. Every
    /// thread is joined and the journal closed. A second time there is nothing left to do.
    pub(crate) fn stop(&self, timeout: Duration) -> Result<(), Text> {
        let deadline = Instant::now() + timeout;
        if self.stopping.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        drop(lock(&self.stop).take());
        self.agenda.close();
        for live in lock(&self.live).values() {
            // Under the order's lock: whoever looked before this waits by now.
            let _inner = live.lock();
            live.changed.notify_all();
        }
        let threads = std::mem::take(&mut *lock(&self.threads));
        let (running, all_ended) = bounded::<()>(0);
        // A thread joins the others, so that the wait for them can have an end.
        let joiner = pool::spawn("join", move || {
            for thread in threads {
                // A panic was already reported where it happened.
                let _ = thread.join();
            }
            drop(running);
        })?;
        let late = all_ended.recv_deadline(deadline) == Err(RecvTimeoutError::Timeout);
        if !self.wait_for_calls(deadline) || late {
            tracing::warn!("requests still under way are cut");
        }
        self.http.cut();
        let _ = joiner.join();
        self.wait_for_calls(Instant::now() + AFTER_CUT);
        let stopped = self.notifier.stop(deadline.max(Instant::now() + AFTER_CUT));
        let dead = lock(&self.codes).dead(Instant::now());
        // The next start wipes what this one can't.
        let _ = self.journal.wipe_codes(dead).wait();
        self.journal.close();
        lock(&self.live).clear();
        *lock(&self.codes) = Codes::default();
        stopped
    }

    /// Waits until no call of the register is under way; says whether that came in time.
    fn wait_for_calls(&self, deadline: Instant) -> bool {
        let mut calls = lock(&self.calls);
        while *calls > 0 {
            if deadline <= Instant::now() {
                return false;
            }
            calls = self.call_ended.wait_until(calls, deadline);
        }
        true
    }

    /// Lets time pass; says at once when the library stops.
    fn pause_until(&self, then: Instant) -> Result<(), Stopping> {
        match self.stopped.recv_deadline(then) {
            Err(RecvTimeoutError::Timeout) => Ok(()),
            _ => Err(Stopping),
        }
    }

    /// Whether the library is stopping.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

/// The library is stopping.
struct Stopping;

/// Puts an order among those that the engine knows, unless there is one under its number; gives the
/// one that is there now.
fn list<'a>(orders: &'a mut HashMap<String, Arc<Live>>, live: &Arc<Live>) -> &'a Arc<Live> {
    orders
        .entry(live.key.trade_no.clone())
        .or_insert_with(|| Arc::clone(live))
}

/// Takes an order out of those that the engine knows.
fn forget(orders: &mut HashMap<String, Arc<Live>>, live: &Arc<Live>) {
    let number = &live.key.trade_no;
    if orders
        .get(number)
        .is_some_and(|known| Arc::ptr_eq(known, live))
    {
        orders.remove(number);
    }
}

/// An order that was announced. Withdrawn when dropped, unless it was launched.
struct Announced<'a> {
    engine: &'a Engine,
    live: Arc<Live>,
}

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        let mut orders = lock(&self.engine.live);
        let mut inner = self.live.lock();
        if !inner.announced {
            return;
        }
        // Both at once: whoever looks again doesn't find it again.
        forget(&mut orders, &self.live);
        inner.announced = false;
        inner.void = true;
        drop((inner, orders));
        self.live.changed.notify_all();
    }
}

/// Payment codes, by their keyed digests.
#[derive(Default)]
struct Codes {
    /// Those of orders without a final state.
    orders: HashMap<[u8; 32], String>,
    /// Orders whose code's digest is in the journal, and since when it is alive.
    accepted: VecDeque<(Instant, String)>,
}

impl Codes {
    /// The orders whose code is dead by now: its digest needn't be kept.
    fn dead(&mut self, now: Instant) -> Vec<String> {
        let alive = |at: &Instant| now.saturating_duration_since(*at) < step::CODE_DEAD;
        let count = self
            .accepted
            .iter()
            .take_while(|(at, _)| !alive(at))
            .count();
        self.accepted.drain(..count).map(|(_, no)| no).collect()
    }
}

/// When refunds and reverses were last sent. Until such a sending is over, its absence at the
/// gateway proves nothing. By the monotonic clock; what an earlier process sent counts from the
/// start of this one.
struct Sendings {
    started: Instant,
    over_after: Duration,
    last: Mutex<HashMap<String, Instant>>,
}

impl Sendings {
    fn new(request_timeout: Duration) -> Self {
        Self {
            started: Instant::now(),
            over_after: step::CODE_DEAD + request_timeout,
            last: Mutex::default(),
        }
    }

    /// This number is about to be sent.
    fn note(&self, number: &str) {
        let now = Instant::now();
        let mut last = lock(&self.last);
        last.retain(|_, sent| now.duration_since(*sent) < self.over_after);
        last.insert(number.to_owned(), now);
    }

    /// When it was last sent, or may have been.
    fn last(&self, number: &str) -> Instant {
        let sent = lock(&self.last).get(number).copied();
        sent.unwrap_or(self.started)
    }

    /// Whether a sending at that time is over.
    fn is_over(&self, sent: Instant) -> bool {
        sent.elapsed() >= self.over_after
    }
}

/// 16 hex characters from the operating system's random source.
fn random_tag() -> Result<String, Text> {
    Ok(hex(&crate::random::bytes::<8>()?).to_ascii_lowercase())
}

/// A place among the unsent payments; given back when dropped.
struct Slot<'a>(&'a AtomicUsize);

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The same number again: the same order, or another one under a number that is taken
/// (`lifecycle.md`, invariant 3).
fn same_or_refused(payment: &Payment, known: &StoredOrder) -> Result<(), NotAccepted> {
    let code = payment.code.as_ref().map(|code| code.masked());
    if known.content_digest == payment.content_digest() && known.payment_code == code {
        return Ok(());
    }
    let number = &payment.trade_no;
    let fee = known.total_fee;
    Err(NotAccepted::Refused(text!(
        "out_trade_no：{number} 已用于另一笔支付（{fee} 分），内容不同；请使用新单号",
        "out_trade_no: {number} already stands for another payment ({fee} fen) with other content; use a new number"
    )))
}
