//! The library as Rust sees it. Requests are the JSON texts of the C ABI.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::value::RawValue;

use crate::clock;
use crate::config::{Config, Parsed};
use crate::download;
use crate::engine::{Callback, Engine, NotAccepted, Outcome, Refunded};
use crate::fields::Fields;
use crate::lock;
use crate::model::{
    MAX_TRADE_NO, Order, OrderState, Payment, PendingOrder, Platform, Report, TradeType,
};
use crate::random;
use crate::request;
use crate::telemetry::Log;
use crate::text::{Text, text};

/// A return code of the C ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub i32);

impl Code {
    /// Done, accepted, paid, answered.
    pub const OK: Self = Self(0);
    /// Refused, not accepted, payment failed.
    pub const REFUSED: Self = Self(-1);
    /// Not known yet.
    pub const UNKNOWN: Self = Self(-2);
    /// An error that says nothing about the payment.
    pub const ERROR: Self = Self(-3);
    /// Refunded, reversed or closed.
    pub const TAKEN_BACK: Self = Self(-4);
    /// The QR code is ready.
    pub const CODE_READY: Self = Self(-5);
    /// The number belongs to another payment.
    pub const REENTRY: Self = Self(-6);
    /// No such order.
    pub const NOT_FOUND: Self = Self(-7);
    /// The caller's buffer is missing or too small.
    pub const BUFFER: Self = Self(-8);

    pub(crate) fn of(state: OrderState) -> Self {
        Self(state.code())
    }
}

/// Why a call did not do what was asked.
#[derive(Clone, Debug)]
pub struct Error {
    /// What the C ABI returns.
    pub code: Code,
    /// The reason, in both languages.
    pub message: Text,
}

impl Error {
    pub(crate) fn new(code: Code, message: Text) -> Self {
        Self { code, message }
    }

    pub(crate) fn refused(message: Text) -> Self {
        Self::new(Code::REFUSED, message)
    }

    pub(crate) fn unknown(message: Text) -> Self {
        Self::new(Code::UNKNOWN, message)
    }

    pub(crate) fn internal(message: Text) -> Self {
        Self::new(Code::ERROR, message)
    }

    /// The same, where a request that can't be carried out is -1.
    pub(crate) fn into_refusal(self) -> Self {
        Self::refused(self.message)
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.message, self.code.0)
    }
}

impl std::error::Error for Error {}

/// An order and what the C ABI returns for it.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The return code.
    pub code: Code,
    /// The order.
    pub order: Order,
    /// Why the code isn't 0; empty after success.
    pub message: String,
}

/// Digits of an order number that tell the time.
const STAMP_DIGITS: usize = 12;

/// Letters and digits of an order number that are random.
const RANDOM_DIGITS: usize = 10;

/// A running library: one merchant, one journal, one pool of workers.
pub struct Sdk {
    config: Config,
    engine: Arc<Engine>,
    log: Log,
    /// Unknown keys that were already logged.
    unknown_keys: Mutex<BTreeSet<String>>,
}

impl Sdk {
    /// Starts the library; see `cloud_pay_init`.
    ///
    /// # Errors
    /// When the journal can't be opened or a thread can't be started.
    pub fn start(parsed: Parsed) -> Result<Self, Error> {
        let Parsed {
            config,
            unknown_keys,
        } = parsed;
        let log = Log::open(&config).map_err(Error::refused)?;
        let engine = log.scope(|| {
            tracing::info!(
                version = env!("CARGO_PKG_VERSION"),
                out_sub_mch_id = %config.merchant.out_sub_mch_id,
                device_id = %config.merchant.device_id,
                "cloudpay starts"
            );
            Engine::start(&config).map_err(Error::refused)
        })?;
        let sdk = Self {
            config,
            engine,
            log,
            unknown_keys: Mutex::default(),
        };
        sdk.note_unknown(unknown_keys.into_iter());
        Ok(sdk)
    }

    /// The configuration it runs with.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// 刷卡支付: accepts a payment with the customer's code. Blocks for one commit of the journal.
    ///
    /// # Errors
    /// Code -1: not accepted, nothing was stored or sent.
    pub fn micro_pay(&self, json: &str) -> Result<Platform, Error> {
        self.pay(json, request::micro_pay)
    }

    /// 扫码支付: orders a QR code. Blocks for one commit of the journal.
    ///
    /// # Errors
    /// Code -1: not accepted, nothing was stored or sent.
    pub fn scan_code_pay(&self, json: &str) -> Result<Platform, Error> {
        self.pay(json, request::scan_code_pay)
    }

    fn pay(
        &self,
        json: &str,
        read: fn(&mut Fields, &crate::config::Merchant) -> Result<Payment, Text>,
    ) -> Result<Platform, Error> {
        self.call(|| {
            let payment = self.read(json, read).map_err(Error::refused)?;
            let platform = payment.platform;
            match self.engine.pay(payment) {
                Ok(()) => Ok(platform),
                Err(NotAccepted::Refused(reason)) => Err(Error::refused(reason)),
                Err(NotAccepted::Stopping) => Err(stopping()),
            }
        })
    }

    /// The state of an order, asked of the gateway. Blocks for at most the request timeout times
    /// the domains.
    ///
    /// # Errors
    /// Code -3: the request or this machine is at fault; says nothing about the payment.
    pub fn query_order(&self, json: &str) -> Result<Reply, Error> {
        self.call(|| {
            let asked = self
                .read(json, request::order_query)
                .map_err(Error::internal)?;
            self.reply(self.engine.query(&asked)?)
        })
    }

    /// Waits until an order is final or `timeout` is over. Orders that the library doesn't ask for
    /// by itself are asked for here; the last query may begin just before the time is over.
    ///
    /// # Errors
    /// As for [`Sdk::query_order`].
    pub fn wait_order(&self, json: &str, timeout: Duration) -> Result<Reply, Error> {
        self.call(|| {
            let asked = self
                .read(json, request::order_query)
                .map_err(Error::internal)?;
            let timeout = timeout.min(request::MAX_WAIT);
            self.reply(self.engine.wait(&asked, timeout)?)
        })
    }

    fn reply(&self, outcome: Outcome) -> Result<Reply, Error> {
        let Outcome {
            code,
            order,
            reason,
        } = outcome;
        let language = self.config.language;
        let message = match reason {
            Some(reason) => reason.pick(language).to_owned(),
            None if code == Code::OK => String::new(),
            None if order.refunded().1 == "partial" => {
                partly_refunded(&order).pick(language).to_owned()
            }
            None if !order.message.is_empty() => order.message.clone(),
            None => state_in_words(order.state).pick(language).to_owned(),
        };
        Ok(Reply {
            code,
            order,
            message,
        })
    }

    /// Notes that the register has been given an order: until then a final one is listed by
    /// [`Sdk::pending_orders`] after a restart.
    pub fn told(&self, order: &Order) {
        self.engine.told(order, true);
    }

    /// Reverses (trade type 1) or closes (2) an order. Blocks for at most `reverse_after_ms` plus
    /// four request timeouts and the request timeout times the domains.
    ///
    /// # Errors
    /// -1 refused, -2 unknown, -6 the number belongs to another payment.
    pub fn cancel_order(&self, json: &str) -> Result<(), Error> {
        self.take_back(json, None)
    }

    /// Closes a QR order. Blocks as [`Sdk::cancel_order`].
    ///
    /// # Errors
    /// As for [`Sdk::cancel_order`].
    pub fn close_order(&self, json: &str) -> Result<(), Error> {
        self.take_back(json, Some(TradeType::ScanCode))
    }

    fn take_back(&self, json: &str, wanted: Option<TradeType>) -> Result<(), Error> {
        self.call(|| {
            let asked = self
                .read(json, request::order_query)
                .map_err(Error::refused)?;
            self.engine.cancel(
                &asked,
                wanted.or(asked.trade_type),
                self.config.request_timeout,
                &self.config.merchant,
            )
        })
    }

    /// Asks for a refund. Blocks for at most twice the request timeout times the domains; after a
    /// reverse without a result for four times that and 5 s.
    ///
    /// # Errors
    /// -1 refused, -2 unknown: the same call again is safe.
    pub fn refund(&self, json: &str) -> Result<(), Error> {
        self.call(|| {
            let asked = self.read(json, request::refund).map_err(Error::refused)?;
            self.engine.refund(asked)
        })
    }

    /// Asks about a refund, or, without its number, about all refunds of an order. Blocks for at most the request timeout times the domains.
    ///
    /// # Errors
    /// -1 the gateway refused or knows no such refund, -2 unknown, -3 the request is at fault.
    pub fn query_refund(&self, json: &str) -> Result<Refunded, Error> {
        self.call(|| {
            let asked = self
                .read(json, request::refund_query)
                .map_err(Error::internal)?;
            self.engine.query_refund(asked)
        })
    }

    /// Orders without a final result, and those that ended without the register having heard of
    /// it: what to show after a power cut.
    ///
    /// # Errors
    /// -3 when the journal can't be read.
    pub fn pending_orders(&self) -> Result<Vec<PendingOrder>, Error> {
        self.call(|| self.engine.pending().map_err(Error::internal))
    }

    /// An order number that nobody else makes and that never goes back: prefix, `YYMMDDhhmmss` in
    /// China's time, ten random letters and digits. Blocks for one commit of the journal.
    ///
    /// # Errors
    /// -3 when the prefix leaves no room or the journal can't be written.
    pub fn next_trade_no(&self) -> Result<String, Error> {
        self.call(|| {
            let prefixes = &self.config.merchant.order_prefixes;
            let prefix = prefixes.first().map_or("", String::as_str);
            let room = MAX_TRADE_NO - STAMP_DIGITS - RANDOM_DIGITS;
            let length = prefix.chars().count();
            if length > room {
                return Err(Error::internal(text!(
                    "trade_conf.order_prefix：最多 {room} 个字符才能生成单号，得到 {length} 个",
                    "trade_conf.order_prefix: at most {room} characters leave room for a number, got {length}"
                )));
            }
            loop {
                let letters = random::letters(RANDOM_DIGITS).map_err(Error::internal)?;
                let prefix = prefix.to_owned();
                let number = move |second| format!("{prefix}{}{letters}", clock::stamp(second));
                if let Some(number) = self.engine.next_number(number).map_err(Error::internal)? {
                    return Ok(number);
                }
            }
        })
    }

    /// 门店查询: the merchant's shops, in the gateway's own words. Blocks for at most the request
    /// timeout times the domains.
    ///
    /// # Errors
    /// -1 the gateway refused, -2 unknown, -3 the request is at fault.
    pub fn query_shop_info(&self, json: &str) -> Result<Box<RawValue>, Error> {
        self.report(json, request::shops)
    }

    /// The sub-merchant with its order prefix, in the gateway's own words. Blocks as
    /// [`Sdk::query_shop_info`].
    ///
    /// # Errors
    /// As for [`Sdk::query_shop_info`].
    pub fn query_sub_mch_info(&self, json: &str) -> Result<Box<RawValue>, Error> {
        self.report(json, request::sub_merchant)
    }

    /// 交易统计: sums over orders and refunds, in the gateway's own words. Blocks as
    /// [`Sdk::query_shop_info`].
    ///
    /// # Errors
    /// As for [`Sdk::query_shop_info`].
    pub fn order_stat(&self, json: &str) -> Result<Box<RawValue>, Error> {
        self.report(json, request::sums)
    }

    /// 交易明细: a page of orders and refunds in the gateway's own words; or, with `save_to`, all
    /// of a period into a file, one JSON object a line. Blocks as [`Sdk::query_shop_info`], for
    /// each page.
    ///
    /// # Errors
    /// As for [`Sdk::query_shop_info`]; -3 also when the file can't be written. A file is there
    /// only when it is complete.
    pub fn order_detail(&self, json: &str) -> Result<Box<RawValue>, Error> {
        self.call(|| {
            let asked = self.read(json, request::detail).map_err(Error::internal)?;
            match &asked.save_to {
                None => self.engine.report(&Report::Orders {
                    scope: asked.scope,
                    page: asked.page,
                }),
                Some(path) => download::save(&self.engine, &asked, Path::new(path)),
            }
        })
    }

    fn report(
        &self,
        json: &str,
        read: fn(&mut Fields, &crate::config::Merchant) -> Result<Report, Text>,
    ) -> Result<Box<RawValue>, Error> {
        self.call(|| {
            let report = self.read(json, read).map_err(Error::internal)?;
            self.engine.report(&report)
        })
    }

    /// Checks that a payment or refund notification is the gateway's, and gives its content.
    /// `body` is the HTTP body as it came. No network.
    ///
    /// # Errors
    /// -1 it is not to be believed.
    pub fn verify_notify(&self, body: &[u8]) -> Result<String, Error> {
        self.call(|| self.engine.open_notification(body))
    }

    /// The answer to a notification: the HTTP body to send, as it is. No network.
    ///
    /// # Errors
    /// -3 when this gateway has no notifications.
    pub fn notify_reply(&self, status: i32, description: &str) -> Result<Vec<u8>, Error> {
        self.call(|| self.engine.answer_notification(status, description))
    }

    /// Sets or clears the callback for news: an order became final, its QR code is ready, or a
    /// late payment came in. It runs on a thread of the library. After clearing, no call is
    /// under way (unless it is the callback that clears).
    pub fn set_callback(&self, callback: Option<Callback>) {
        // What a callback was given counts as told.
        let engine = Arc::downgrade(&self.engine);
        let told = callback.map(|callback| -> Callback {
            Box::new(move |order| {
                callback(order);
                if let Some(engine) = engine.upgrade() {
                    engine.told(order, false);
                }
            })
        });
        self.engine.set_callback(told);
    }

    /// Stops; see `cloud_pay_fini`. Later calls fail.
    ///
    /// # Errors
    /// -3 when the register's callback never returned.
    pub fn stop(&self) -> Result<(), Error> {
        let stopped = self.log.scope(|| {
            let stopped = self.engine.stop(self.config.fini_timeout);
            match &stopped {
                Ok(()) => tracing::info!("cloudpay ends"),
                Err(reason) => tracing::error!(%reason, "cloudpay ends"),
            }
            stopped
        });
        self.log.flush();
        stopped.map_err(Error::internal)
    }

    /// A call of the register: with the log in force, and known to [`Sdk::stop`].
    fn call<T>(&self, body: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        self.log.scope(|| {
            self.engine.call(|| {
                if self.engine.is_stopping() {
                    return Err(stopping());
                }
                body()
            })
        })
    }

    /// Parses a request and reads it; logs keys that mean nothing to us.
    fn read<T>(
        &self,
        json: &str,
        read: fn(&mut Fields, &crate::config::Merchant) -> Result<T, Text>,
    ) -> Result<T, Text> {
        let mut fields = Fields::parse(json)?;
        let value = read(&mut fields, &self.config.merchant)?;
        self.note_unknown(fields.unknown());
        Ok(value)
    }

    fn note_unknown(&self, keys: impl Iterator<Item = String>) {
        /// A register that makes keys up shouldn't fill the memory with them.
        const MOST: usize = 1000;
        for key in keys {
            let mut known = lock(&self.unknown_keys);
            if known.len() < MOST && known.insert(key.clone()) {
                self.log
                    .scope(|| tracing::warn!(key = ?key, "this key means nothing to cloudpay"));
            }
        }
    }
}

/// A library that is let go stops.
impl Drop for Sdk {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

fn stopping() -> Error {
    Error::internal(text!("程序库正在停止", "the library is stopping"))
}

/// Not a reason to charge the customer again.
fn partly_refunded(order: &Order) -> Text {
    let (back, _) = order.refunded();
    let back = back.unwrap_or(0);
    let kept = order.total_fee.unwrap_or(0) - back;
    let (back, kept) = (yuan(back), yuan(kept));
    text!(
        "该订单已部分退款 {back} 元，实收 {kept} 元；不能撤单，剩余金额请用退款",
        "{back} yuan of the order were refunded and {kept} are kept; it can't be reversed: refund what is left"
    )
}

/// An amount for people.
fn yuan(fen: i64) -> String {
    format!("{}.{:02}", fen / 100, fen % 100)
}

/// What a code means when nobody said more.
fn state_in_words(state: OrderState) -> Text {
    match state {
        OrderState::Paid => text!("已支付", "paid"),
        OrderState::Paying => text!("支付中，请继续查询", "under way: query again"),
        OrderState::Unknown => text!("结果未知，请继续查询", "not known: query again"),
        OrderState::CodeReady => text!("等待顾客扫码支付", "waiting for the customer to pay"),
        OrderState::Failed => text!("支付失败", "the payment failed"),
        OrderState::Closed => text!("订单已关闭", "the order is closed"),
        OrderState::Reversed => text!("订单已撤销", "the order was reversed"),
        OrderState::Refunded => text!("订单已退款", "the order was refunded"),
        OrderState::Reentry => text!(
            "订单号属于另一笔支付，切勿撤单",
            "the number belongs to another payment: never cancel it"
        ),
        OrderState::NotFound => text!("没有这笔订单", "there is no such order"),
    }
}
