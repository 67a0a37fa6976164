//! The epay123 gateway, built on the public Jeepay protocol. Its refusals are never signed, its
//! create answers name no amount, and a number is taken once: what an answer proves is less than
//! with cloud pay, and the rules here say how much less.

mod sign;
mod wire;

use serde::Deserialize;
use serde_json::value::RawValue;

use self::sign::AppSecret;
use super::{
    Answer, Call, Gateway, OrderFacts, OrderKey, RefundKey, Traits, Verdict, evidence,
    says_no_such_number,
};
use crate::config::{EpayKeys, Merchant};
use crate::http::{HttpRequest, HttpResponse};
use crate::model::{Evidence, Marks, OrderState, Payment, Platform, Refund, RefundState};
use crate::object::Object;
use crate::text::{Text, text};

/// How far this gateway's answers reach.
pub(crate) const TRAITS: Traits = Traits {
    resends: false,
    reverses: false,
    unpaid_is_final: false,
    one_refund_at_a_time: true,
};

/// The epay123 gateway for one application.
pub(crate) struct Epay123 {
    mch_no: String,
    app_id: String,
    secret: AppSecret,
    client_ip: String,
}

impl Epay123 {
    pub(crate) fn new(keys: &EpayKeys, merchant: &Merchant) -> Self {
        Self {
            mch_no: keys.mch_no.clone(),
            app_id: keys.app_id.clone(),
            secret: AppSecret::new(keys.app_secret.reveal()),
            client_ip: merchant.spbill_create_ip.clone(),
        }
    }
}

/// An answer's envelope. `data` stays text: its fields are signed as they were written.
#[derive(Deserialize)]
struct Envelope<'a> {
    code: i64,
    #[serde(default)]
    msg: Option<String>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    sign: Option<String>,
}

impl Gateway for Epay123 {
    fn traits(&self) -> Traits {
        TRAITS
    }

    fn ping_path(&self) -> &'static str {
        "/"
    }

    fn offers(&self, call: &Call<'_>) -> bool {
        !matches!(
            call,
            Call::Report(_) | Call::Reverse(_) | Call::QueryRefunds(_) | Call::Upload(_)
        )
    }

    fn encode(&self, call: &Call<'_>) -> Result<HttpRequest, Text> {
        let (path, mut fields) = match call {
            Call::Pay(payment) => ("/api/pay/unifiedOrder", self.pay(payment)),
            Call::QueryOrder(key) => ("/api/pay/query", self.order(key)),
            Call::CloseOrder(key) => ("/api/pay/close", self.order(key)),
            Call::Refund(refund) => ("/api/refund/refundOrder", self.refund(refund)),
            Call::QueryRefund(key) => ("/api/refund/query", self.query_refund(key)),
            Call::Reverse(_) | Call::QueryRefunds(_) | Call::Report(_) | Call::Upload(_) => {
                return Err(not_offered());
            }
        };
        let written: Vec<(String, String)> = fields
            .iter()
            .map(|(key, value)| {
                let text = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                (key.clone(), text)
            })
            .collect();
        let sign = self.secret.sign(
            written
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str())),
        );
        fields.insert("sign".to_owned(), sign.into());
        let body = serde_json::to_vec(&fields)
            .map_err(|error| text!("内部错误：{error}", "internal error: {error}"))?;
        Ok(HttpRequest { path, body })
    }

    fn marks(&self, payment: &Payment) -> Marks {
        self.sent_marks(payment)
    }

    fn decode(&self, call: &Call<'_>, response: &HttpResponse) -> Answer {
        self.judge(call, response)
            .unwrap_or_else(|reason| Answer::untrusted(response, reason))
    }
}

/// What the gateway has no interface for.
pub(crate) fn not_offered() -> Text {
    text!(
        "epay123 网关不提供此功能",
        "the epay123 gateway does not offer this"
    )
}

impl Epay123 {
    fn judge(&self, call: &Call<'_>, response: &HttpResponse) -> Result<Answer, Text> {
        let http = response.status;
        if http != 200 {
            return Err(text!("HTTP 状态 {http}", "HTTP status {http}"));
        }
        let envelope: Envelope<'_> = serde_json::from_slice(&response.body).map_err(|error| {
            text!(
                "应答不是协议的 JSON：{error}",
                "the answer is not the protocol's JSON: {error}"
            )
        })?;
        if !matches!(envelope.code, 0 | 200) {
            return Ok(Answer {
                verdict: refusal(call, &envelope),
                evidence: evidence(response, false, None),
            });
        }
        let data = envelope.data.map_or("{}", RawValue::get);
        let data = Object::parse(data)
            .ok_or_else(|| text!("应答的 data 不是对象", "the answer's data is no object"))?;
        let pairs = data.written();
        let pairs = pairs
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()));
        if !self
            .secret
            .verify(pairs, &envelope.sign.unwrap_or_default())
        {
            return Err(text!(
                "应答的签名缺失或错误",
                "the answer's signature is missing or wrong"
            ));
        }
        let evidence = evidence(response, true, None);
        let verdict = success(call, &data, envelope.data, &evidence)?;
        Ok(Answer { verdict, evidence })
    }
}

/// A refusal. None is signed: what it proves depends on what was asked.
fn refusal(call: &Call<'_>, envelope: &Envelope<'_>) -> Verdict {
    let code = envelope.code;
    let words = match envelope.msg.as_deref().filter(|words| !words.is_empty()) {
        Some(words) => super::description(call, words),
        None => text!("网关返回码 {code}", "gateway code {code}"),
    };
    let said = |what: fn(&str) -> bool| envelope.msg.as_deref().is_some_and(what);
    match call {
        Call::QueryOrder(_) | Call::QueryRefund(_) if said(says_no_such_number) => {
            Verdict::NotFound
        }
        // The number is there already: only a query can tell with what.
        Call::Pay(_) if said(|words| words.contains("已存在")) => Verdict::NumberUsed(words),
        // The gateway's own failure: it doesn't know either.
        _ if code == SYSTEM_ERROR || said(|words| words.contains("系统异常")) => {
            Verdict::Busy(words)
        }
        _ => Verdict::RefusedUnsigned(words),
    }
}

/// The code of older versions for a failure of the gateway itself; newer ones say 系统异常.
const SYSTEM_ERROR: i64 = 10;

fn success(
    call: &Call<'_>,
    data: &Object<'_>,
    raw: Option<&RawValue>,
    evidence: &Evidence,
) -> Result<Verdict, Text> {
    match call {
        Call::Pay(payment) => created(&OrderKey::of(payment), data),
        Call::QueryOrder(key) => order(key, data, raw),
        Call::CloseOrder(_) | Call::Reverse(_) => Ok(Verdict::Done),
        Call::Refund(request) => refund(&RefundKey::of(request), data, raw, evidence),
        Call::QueryRefund(key) => refund(key, data, raw, evidence),
        Call::QueryRefunds(_) | Call::Report(_) | Call::Upload(_) => Err(not_offered()),
    }
}

/// The answer to a new order. It names no amount: that it is paid has to be asked again.
fn created(key: &OrderKey, data: &Object<'_>) -> Result<Verdict, Text> {
    if data.text("mchOrderNo").as_deref() != Some(&key.trade_no) {
        return Err(super::other_order());
    }
    let code_url = match data.text("payDataType").as_deref() {
        Some("codeUrl") => data.text("payData"),
        _ => None,
    };
    match data.integer("orderState") {
        Some(0 | 1) if code_url.is_some() => Ok(Verdict::Order(Box::new(OrderFacts {
            code_url,
            ..OrderFacts::of(OrderState::CodeReady)
        }))),
        Some(0 | 1) => Ok(Verdict::Order(Box::new(OrderFacts::of(OrderState::Paying)))),
        _ => Ok(Verdict::AskAgain),
    }
}

fn order(key: &OrderKey, data: &Object<'_>, raw: Option<&RawValue>) -> Result<Verdict, Text> {
    if data.text("mchOrderNo").as_deref() != Some(&key.trade_no) {
        return Err(super::other_order());
    }
    let total_fee = data.integer("amount");
    let other_amount = super::same_amount(total_fee, key.total_fee).err();
    let state = match data.integer("state") {
        Some(0 | 1) => OrderState::Paying,
        Some(2) => OrderState::Paid,
        Some(3) => OrderState::Failed,
        Some(4) => OrderState::Reversed,
        Some(5) => OrderState::Refunded,
        Some(6) => OrderState::Closed,
        _ => OrderState::Unknown,
    };
    if matches!(state, OrderState::Paid | OrderState::Refunded) && total_fee.is_none() {
        return Err(super::no_amount());
    }
    let message = data.text("errMsg").map(|words| super::printable(&words));
    Ok(Verdict::Order(Box::new(OrderFacts {
        other_amount,
        total_fee,
        transaction_id: data
            .text("channelOrderNo")
            .or_else(|| data.text("payOrderId")),
        time_end: data.integer("successTime").map(|ms| ms / 1000),
        message: message.map(Text::verbatim),
        marks: wire::told_marks(data),
        platform: told_platform(data),
        content: raw.map(ToOwned::to_owned),
        ..OrderFacts::of(state)
    })))
}

/// Whose customer pays: `ifCode` is the channel's name.
fn told_platform(data: &Object<'_>) -> Option<Platform> {
    let channel = data.text("ifCode")?;
    match channel.get(..2)? {
        "wx" => Some(Platform::WeChat),
        "al" => Some(Platform::Alipay),
        _ => None,
    }
}

fn refund(
    key: &RefundKey,
    data: &Object<'_>,
    raw: Option<&RawValue>,
    evidence: &Evidence,
) -> Result<Verdict, Text> {
    if data.text("mchRefundNo").as_deref() != Some(&key.refund_no) {
        return Err(super::other_order());
    }
    let answered = data.integer("refundAmount");
    super::same_amount(answered, key.refund_fee)?;
    let state = match data.integer("state") {
        Some(0 | 1) => RefundState::Processing,
        Some(2) => RefundState::Success,
        Some(3) => RefundState::Failed,
        Some(4) => RefundState::Closed,
        _ => RefundState::Unknown,
    };
    Ok(Verdict::Refund(Box::new(Refund {
        refund_no: key.refund_no.clone(),
        trade_no: key.trade_no.clone().unwrap_or_default(),
        refund_id: data.text("refundOrderId"),
        state,
        refund_fee: answered,
        evidence: evidence.clone(),
        content: raw.map(ToOwned::to_owned),
    })))
}

#[cfg(fuzzing)]
impl Epay123 {
    /// An authentic answer around `data`, where that is an object.
    pub(crate) fn seal(&self, data: &str) -> Option<String> {
        let pairs = Object::parse(data)?.written();
        let pairs = pairs
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()));
        let sign = self.secret.sign(pairs);
        Some(format!(
            r#"{{"code":0,"msg":"SUCCESS","data":{data},"sign":"{sign}"}}"#
        ))
    }
}
