//! What a gateway is to the engine: a pure translation between calls and HTTP. No threads, no
//! sockets, no journal here.

pub(crate) mod cloudpay;
pub(crate) mod epay123;

use serde_json::value::RawValue;

use crate::http::{HttpRequest, HttpResponse};
use crate::model::{
    Evidence, Marks, OrderState, Payment, Platform, Refund, RefundRequest, Report, Source,
    TradeType,
};
use crate::telemetry::Upload;
use crate::text::{Text, text};

/// Translates calls into requests and answers into what they prove.
pub(crate) trait Gateway: Send + Sync {
    /// The path whose GET tells whether a domain can be used.
    fn ping_path(&self) -> &'static str;

    /// How far its answers reach.
    fn traits(&self) -> Traits;

    /// Whether the gateway has an interface for a call.
    fn offers(&self, call: &Call<'_>) -> bool;

    /// The request for a call, authenticated.
    fn encode(&self, call: &Call<'_>) -> Result<HttpRequest, Text>;

    /// What a payment is sent with by which its order can be recognised.
    fn marks(&self, payment: &Payment) -> Marks;

    /// What an answer to that call proves. Never more than that.
    fn decode(&self, call: &Call<'_>, response: &HttpResponse) -> Answer;

    /// The content of a payment or refund notification, once its authentication was checked.
    /// `None`: this gateway sends none.
    fn open_notification(&self, _body: &[u8]) -> Option<Result<String, Text>> {
        None
    }

    /// The authenticated answer to a notification: ASCII only, to be sent as it is. `None` as
    /// before.
    fn answer_notification(
        &self,
        _status: i32,
        _description: &str,
    ) -> Option<Result<Vec<u8>, Text>> {
        None
    }
}

/// What the engine has to know of a gateway.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traits {
    /// The same bytes again are the same order: a payment that never arrived may be sent again.
    pub(crate) resends: bool,
    /// A micro_pay can be reversed, also when it is paid. Otherwise it can only be closed.
    pub(crate) reverses: bool,
    /// "Failed" or "closed" is said once and for all. Otherwise a channel's time-out may be
    /// behind it: it is asked for twice, and a late payment is looked for much longer. And a query
    /// that is refused, for whatever reason, confirms no refused payment or refund.
    pub(crate) unpaid_is_final: bool,
    /// While a refund's result is unknown, another one of the same order has to wait.
    pub(crate) one_refund_at_a_time: bool,
}

/// An order as a gateway needs to know it. An answer has to name this order and this amount.
#[derive(Clone, Debug)]
pub(crate) struct OrderKey {
    pub(crate) trade_no: String,
    /// `None` for orders that the journal doesn't know, unless the register says it.
    pub(crate) platform: Option<Platform>,
    /// `None` as before.
    pub(crate) sub_platform: Option<i64>,
    /// `None` as before.
    pub(crate) trade_type: Option<TradeType>,
    /// `None` for orders that the journal doesn't know.
    pub(crate) total_fee: Option<i64>,
}

impl OrderKey {
    /// The same without what only its maker knows.
    pub(crate) fn of_any_kind(self) -> Self {
        Self {
            platform: None,
            sub_platform: None,
            trade_type: None,
            ..self
        }
    }

    pub(crate) fn of(payment: &Payment) -> Self {
        Self {
            trade_no: payment.trade_no.clone(),
            platform: Some(payment.platform),
            sub_platform: Some(payment.sub_platform),
            trade_type: Some(payment.trade_type()),
            total_fee: Some(payment.total_fee),
        }
    }
}

/// A refund as a gateway needs to know it.
#[derive(Clone, Debug)]
pub(crate) struct RefundKey {
    pub(crate) trade_no: Option<String>,
    pub(crate) refund_no: String,
    pub(crate) platform: Option<Platform>,
    /// The refund's amount; `None` for refunds that the journal doesn't know.
    pub(crate) refund_fee: Option<i64>,
}

impl RefundKey {
    pub(crate) fn of(request: &RefundRequest) -> Self {
        Self {
            trade_no: Some(request.trade_no.clone()),
            refund_no: request.refund_no.clone(),
            platform: request.platform,
            refund_fee: Some(request.refund_fee),
        }
    }
}

/// What is asked of the gateway.
pub(crate) enum Call<'a> {
    Pay(&'a Payment),
    QueryOrder(&'a OrderKey),
    CloseOrder(&'a OrderKey),
    Reverse(&'a OrderKey),
    Refund(&'a RefundRequest),
    QueryRefund(&'a RefundKey),
    /// Every refund of an order.
    QueryRefunds(&'a OrderKey),
    Report(&'a Report),
    Upload(&'a Upload),
}

impl Call<'_> {
    /// For the log.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Call::Pay(payment) => match payment.trade_type() {
                TradeType::MicroPay => "micro_pay",
                TradeType::ScanCode => "scan_code_pay",
            },
            Call::QueryOrder(_) => "query_order",
            Call::CloseOrder(_) => "close_order",
            Call::Reverse(_) => "reverse",
            Call::Refund(_) => "refund",
            Call::QueryRefund(_) | Call::QueryRefunds(_) => "query_refund",
            Call::Upload(_) => "upload",
            Call::Report(Report::Shops { .. }) => "query_shop_info",
            Call::Report(Report::SubMerchant) => "query_sub_mch_info",
            Call::Report(Report::Orders { .. }) => "order_detail",
            Call::Report(Report::Sums { .. }) => "order_stat",
        }
    }

    /// The order or refund number, for the log.
    pub(crate) fn number(&self) -> &str {
        match self {
            Call::Pay(payment) => &payment.trade_no,
            Call::QueryOrder(key)
            | Call::CloseOrder(key)
            | Call::Reverse(key)
            | Call::QueryRefunds(key) => &key.trade_no,
            Call::Refund(refund) => &refund.refund_no,
            Call::QueryRefund(key) => &key.refund_no,
            Call::Report(_) | Call::Upload(_) => "",
        }
    }
}

/// An answer, judged.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) verdict: Verdict,
    pub(crate) evidence: Evidence,
}

/// What an answer proves.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// Authentic, and about this order.
    Order(Box<OrderFacts>),
    /// Authentic, and about this refund.
    Refund(Box<Refund>),
    /// Authentic: every refund of the order.
    Refunds(Vec<Refund>),
    /// Authentic: what was asked for, in the gateway's own words.
    Report(Box<RawValue>),
    /// Authentic, but not about the amount: the order has to be asked for.
    AskAgain,
    /// Authentic: the call worked, and that is all the answer says (close, reverse).
    Done,
    /// Authentic: there is no such order, or no such refund.
    NotFound,
    /// Authentic: refused.
    Refused(Text),
    /// Authentic: the order number belongs to another payment.
    Reentry(Text),
    /// Refused, by an answer that is unsigned by design: very likely true.
    RefusedUnsigned(Text),
    /// The same, because there is an order under this number. Whose, only the order tells.
    NumberUsed(Text),
    /// The gateway itself doesn't know; ask again in a few seconds.
    Busy(Text),
    /// The answer was thrown away: it proves nothing.
    Untrusted(Text),
}

impl Verdict {
    /// Why this verdict is not the one that was hoped for.
    pub(crate) fn reason(&self) -> Text {
        match self {
            Self::Refused(reason)
            | Self::RefusedUnsigned(reason)
            | Self::NumberUsed(reason)
            | Self::Reentry(reason)
            | Self::Busy(reason)
            | Self::Untrusted(reason) => reason.clone(),
            Self::NotFound => text!("网关查无此单", "the gateway finds no such number"),
            Self::Order(_)
            | Self::Refund(_)
            | Self::Refunds(_)
            | Self::Report(_)
            | Self::AskAgain
            | Self::Done => {
                text!("应答与请求不符", "the answer doesn't fit the request")
            }
        }
    }
}

/// What an authentic answer says of an order.
#[derive(Debug)]
pub(crate) struct OrderFacts {
    pub(crate) state: OrderState,
    /// It is of another amount than was asked about: it proves nothing but that there is an order.
    pub(crate) other_amount: Option<Text>,
    pub(crate) total_fee: Option<i64>,
    pub(crate) transaction_id: Option<String>,
    pub(crate) time_end: Option<i64>,
    pub(crate) code_url: Option<String>,
    /// A description of the state, for people.
    pub(crate) message: Option<Text>,
    /// What the answer tells of who made it.
    pub(crate) marks: Marks,
    /// Whose customer pays, where the answer says so.
    pub(crate) platform: Option<Platform>,
    /// How it is paid, where the answer says so.
    pub(crate) trade_type: Option<TradeType>,
    /// When it last changed, in seconds since 1970 by the gateway's clock.
    pub(crate) updated: Option<i64>,
    /// The gateway's own `order_content`.
    pub(crate) content: Option<Box<RawValue>>,
    /// The gateway's own `pay_mch_key`.
    pub(crate) mch_key: Option<Box<RawValue>>,
}

impl OrderFacts {
    /// A state, and nothing else.
    fn of(state: OrderState) -> Self {
        Self {
            state,
            other_amount: None,
            total_fee: None,
            transaction_id: None,
            time_end: None,
            code_url: None,
            message: None,
            marks: Marks::default(),
            platform: None,
            trade_type: None,
            updated: None,
            content: None,
            mch_key: None,
        }
    }
}

impl Answer {
    /// An answer that proves nothing.
    pub(crate) fn untrusted(response: &HttpResponse, reason: Text) -> Self {
        Self {
            verdict: Verdict::Untrusted(reason),
            evidence: evidence(response, false, None),
        }
    }
}

/// The evidence that this answer is, as of now.
pub(crate) fn evidence(
    response: &HttpResponse,
    authenticated: bool,
    log_id: Option<i64>,
) -> Evidence {
    Evidence {
        source: Source::Gateway,
        authenticated,
        time_ms: crate::clock::now_ms(),
        gateway_ms: response.date_ms,
        domain: response.domain.clone(),
        log_id,
    }
}

/// The longest description that is kept, in characters (the protocol's `String(255)`).
const MAX_DESCRIPTION: usize = 255;

/// A gateway's words as one line of bounded length: they go into logs and messages.
fn printable(words: &str) -> String {
    words
        .chars()
        .take(MAX_DESCRIPTION)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// A gateway's description. A payment code that it repeats is masked again.
fn description(call: &Call<'_>, words: &str) -> Text {
    let words = match call {
        Call::Pay(Payment {
            code: Some(code), ..
        }) => words.replace(code.reveal(), &code.masked()),
        _ => words.to_owned(),
    };
    Text::verbatim(printable(&words))
}

/// Whether a refusal says that there is no such order or refund, and not that something else is
/// missing: the merchant, the shop, the application.
fn says_no_such_number(words: &str) -> bool {
    const NUMBERS: [&str; 9] = [
        "单",
        "单号",
        "单信息",
        "单记录",
        "交易",
        "交易记录",
        "退款",
        "退款记录",
        "支付记录",
    ];
    let mut missing: Vec<&str> = words.split("不存在").collect();
    missing.pop();
    let is_number = |what: &&str| {
        // The number itself may stand in between.
        let mark = |c: char| !c.is_alphanumeric();
        let what = what.trim_end_matches(mark);
        let bare = what.trim_end_matches(|c: char| c.is_ascii_alphanumeric());
        let number = what.strip_prefix(bare).unwrap_or_default();
        let what = match number.contains(|c: char| c.is_ascii_digit()) {
            true => bare.trim_end_matches(mark),
            false => what,
        };
        NUMBERS.iter().any(|end| what.ends_with(end))
    };
    !missing.is_empty() && missing.iter().all(is_number)
}

/// An answer about another order or refund is thrown away.
fn other_order() -> Text {
    text!("应答属于另一笔订单", "the answer is about another order")
}

/// Paid is believed only with an amount.
fn no_amount() -> Text {
    text!(
        "应答没有金额，不能证明已支付",
        "the answer names no amount, so it doesn't prove a payment"
    )
}

/// An answer about another amount is thrown away.
fn same_amount(answered: Option<i64>, asked: Option<i64>) -> Result<(), Text> {
    match (answered, asked) {
        (Some(answered), Some(asked)) if answered != asked => Err(text!(
            "应答金额 {answered} 不是所请求的 {asked}",
            "the answer's amount {answered} is not the {asked} that was asked for"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_number_is_no_such_order() {
        for words in [
            "订单不存在",
            "order: 该订单号 不存在。",
            "退款单不存在 (no such refund)",
            "订单信息不存在",
            "商户订单号 [sz0100A1] 不存在",
            "订单记录不存在",
            "交易不存在",
            "支付订单不存在，退款单不存在",
        ] {
            assert!(says_no_such_number(words), "{words}");
        }
        for words in [
            "商户信息不存在或商户状态不可用",
            "商户应用不存在或应用状态不可用",
            "门店不存在",
            "查询订单：sub_mch_id 不存在",
            "订单所属门店不存在",
            "订单不存在或商户不存在",
            "不存在",
            "订单已存在",
            "订单不可用",
        ] {
            assert!(!says_no_such_number(words), "{words}");
        }
    }
}
