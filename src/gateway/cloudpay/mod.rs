//! Tencent's cloud pay (微信云支付). Source: its HTTPS API manual; where that is silent or wrong,
//! the rules here are those that its own clients follow.

mod authen;
mod envelope;
mod pss;
mod reports;
mod states;
mod uploads;
mod wire;

pub(crate) use authen::hex;
pub use pss::SigningKey;

use serde_json::value::RawValue;

use self::authen::AuthenKey;
use super::{
    Answer, Call, Gateway, OrderFacts, OrderKey, RefundKey, Traits, Verdict, evidence, no_amount,
    other_order, printable, same_amount, says_no_such_number,
};
use crate::config::Merchant;
use crate::http::{HttpRequest, HttpResponse};
use crate::model::{Evidence, Marks, OrderState, Payment, Platform, Refund, Report, TradeType};
use crate::object::Object;
use crate::telemetry::Upload;
use crate::text::{Text, text};

/// How far this gateway's answers reach.
pub(crate) const TRAITS: Traits = Traits {
    resends: true,
    reverses: true,
    unpaid_is_final: true,
    one_refund_at_a_time: false,
};

/// The cloud-pay gateway for one merchant.
pub(crate) struct CloudPay {
    merchant: Merchant,
    key: AuthenKey,
}

impl CloudPay {
    pub(crate) fn new(merchant: Merchant) -> Self {
        let key = AuthenKey::new(merchant.authen_key.reveal());
        Self { merchant, key }
    }
}

impl Gateway for CloudPay {
    fn traits(&self) -> Traits {
        TRAITS
    }

    fn offers(&self, _: &Call<'_>) -> bool {
        true
    }

    fn ping_path(&self) -> &'static str {
        "/cpay/ping"
    }

    fn encode(&self, call: &Call<'_>) -> Result<HttpRequest, Text> {
        let merchant = &self.merchant;
        let (path, content, signed) = match call {
            Call::Pay(payment) => {
                let path = match payment.trade_type() {
                    TradeType::MicroPay => "/cpay/micro_pay",
                    TradeType::ScanCode => "/cpay/scan_code_pay",
                };
                (path, wire::pay(merchant, payment)?, false)
            }
            Call::QueryOrder(key) => ("/cpay/query_order", wire::order(merchant, key)?, false),
            Call::CloseOrder(key) => ("/cpay/close_order", wire::order(merchant, key)?, false),
            Call::Reverse(key) => (
                "/cpay/reverse",
                wire::order(merchant, key)?,
                merchant.sign_reverse,
            ),
            Call::Refund(refund) => ("/cpay/refund", wire::refund(merchant, refund)?, true),
            Call::QueryRefund(key) => (
                "/cpay/query_refund_order",
                wire::query_refund(merchant, key)?,
                false,
            ),
            Call::QueryRefunds(key) => (
                "/cpay/query_refund_order",
                wire::query_refunds(merchant, key)?,
                false,
            ),
            Call::Report(report) => {
                let path = match report {
                    Report::Shops { .. } => "/cpay/query_sub_mch_shop_info",
                    Report::SubMerchant => "/cpay/sdk_query_sub_mch_info",
                    Report::Orders { .. } => "/cpay/client_order_detail",
                    Report::Sums { .. } => "/cpay/query_order_list_overview",
                };
                (path, reports::content(merchant, report)?, false)
            }
            Call::Upload(upload) => {
                let path = match upload {
                    Upload::Calls { .. } => "/cpay/upload_client_monitor_info",
                    Upload::Machine(_) => "/cpay/upload_client_conf_info",
                };
                (path, uploads::content(merchant, upload)?, false)
            }
        };
        let body = match &merchant.private_key {
            Some(key) if signed => envelope::signed(&content, key)?,
            _ => envelope::authenticated(&content, &self.key)?,
        };
        Ok(HttpRequest { path, body })
    }

    fn marks(&self, payment: &Payment) -> Marks {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Marks {
            device_id: text(&self.merchant.device_id),
            machine_no: text(&self.merchant.machine_no),
            payment_code: payment
                .code
                .as_ref()
                .and_then(|code| Marks::of_code(code.reveal())),
            // Alipay has no place for it.
            tag: payment
                .tag
                .clone()
                .filter(|_| payment.platform == Platform::WeChat && payment.own_attach().is_none()),
            ..Marks::default()
        }
    }

    fn decode(&self, call: &Call<'_>, response: &HttpResponse) -> Answer {
        self.judge(call, response)
            .unwrap_or_else(|reason| Answer::untrusted(response, reason))
    }

    fn open_notification(&self, body: &[u8]) -> Option<Result<String, Text>> {
        Some(envelope::open_request(body, &self.key))
    }

    fn answer_notification(&self, status: i32, description: &str) -> Option<Result<Vec<u8>, Text>> {
        Some(envelope::answer(status, description, &self.key))
    }
}

impl CloudPay {
    /// "Trusting a response", rule by rule. `Err`: the answer is thrown away.
    fn judge(&self, call: &Call<'_>, response: &HttpResponse) -> Result<Answer, Text> {
        let http = response.status;
        if http != 200 {
            return Err(text!("HTTP 状态 {http}", "HTTP status {http}"));
        }
        let opened = envelope::open(&response.body, &self.key)?;
        let content = Object::parse(&opened.content)
            .ok_or_else(|| text!("应答内容不是 JSON 对象", "the content is not a JSON object"))?;
        let status = content
            .integer("status")
            .ok_or_else(|| text!("应答没有 status", "the answer has no status"))?;
        let description = description(call, &content, status);
        let evidence = evidence(response, opened.authentic, content.integer("log_id"));
        let verdict = match (status, opened.authentic) {
            (3, _) | (103, true) => Verdict::Busy(description),
            (101, false) => Verdict::RefusedUnsigned(description),
            (_, false) => {
                return Err(text!(
                    "状态 {status} 的应答没有认证码",
                    "an answer of status {status} without authentication"
                ));
            }
            (0, true) => success(call, &content, &evidence)?,
            (101 | 102 | 104, true) => refusal(call, &content, status, description),
            (_, true) => {
                return Err(text!("未知状态 {status}", "unknown status {status}"));
            }
        };
        Ok(Answer { verdict, evidence })
    }
}

/// An authentic refusal. 407 is re-entry only in the answer to a payment; "no such order" is the
/// only refusal of a query that says something about the order.
fn refusal(call: &Call<'_>, content: &Object<'_>, status: i64, description: Text) -> Verdict {
    let missing = says_no_such_number(description.pick(crate::text::Language::Zh));
    match call {
        Call::Pay(_) if status == 104 && content.integer("internal_status") == Some(407) => {
            Verdict::Reentry(description)
        }
        Call::QueryOrder(_) | Call::QueryRefund(_) | Call::QueryRefunds(_)
            if status == 104 && missing =>
        {
            Verdict::NotFound
        }
        _ => Verdict::Refused(description),
    }
}

/// An authentic status 0: what it says, after checking that it answers our question.
fn success(call: &Call<'_>, content: &Object<'_>, evidence: &Evidence) -> Result<Verdict, Text> {
    match call {
        Call::Pay(payment) => {
            let key = OrderKey::of(payment);
            let part = part(content, wire::pay_key(payment.trade_type()))?;
            match payment.trade_type() {
                TradeType::MicroPay => order(&key, &part),
                TradeType::ScanCode => code_ready(&key, &part),
            }
        }
        Call::QueryOrder(key) => order(key, &part(content, "query_order")?),
        Call::CloseOrder(_) | Call::Reverse(_) => Ok(Verdict::Done),
        Call::Refund(request) => {
            let part = part(content, "refund")?;
            let raw = part.raw("refund_order_content").ok_or_else(no_content)?;
            refund(&RefundKey::of(request), raw, evidence)
        }
        Call::QueryRefund(key) => {
            let refunds = refund_list(content)?;
            if refunds.is_empty() {
                return Ok(Verdict::NotFound);
            }
            let ours = refunds.into_iter().find(|raw| {
                Object::parse(raw.get()).and_then(|refund| refund.text("out_refund_no"))
                    == Some(key.refund_no.clone())
            });
            refund(key, ours.ok_or_else(other_order)?, evidence)
        }
        Call::QueryRefunds(key) => {
            let mut known = Vec::new();
            for raw in refund_list(content)? {
                let key = RefundKey {
                    trade_no: Some(key.trade_no.clone()),
                    refund_no: Object::parse(raw.get())
                        .and_then(|refund| refund.text("out_refund_no"))
                        .ok_or_else(no_content)?,
                    platform: key.platform,
                    refund_fee: None,
                };
                if let Verdict::Refund(refund) = refund(&key, raw, evidence)? {
                    known.push(*refund);
                }
            }
            Ok(Verdict::Refunds(known))
        }
        Call::Report(report) => {
            let key = match report {
                Report::Shops { .. } => "query_shop_info",
                Report::SubMerchant => "query_sub_mch_info",
                Report::Orders { .. } => "order_detail_query",
                Report::Sums { .. } => "query_order_list_overview",
            };
            words(content, key)
        }
        Call::Upload(Upload::Calls { .. }) => words(content, "upload_client_monitor_info"),
        Call::Upload(Upload::Machine(_)) => words(content, "upload_client_conf_info"),
    }
}

fn part<'a>(content: &Object<'a>, key: &str) -> Result<Object<'a>, Text> {
    content
        .object(key)
        .ok_or_else(|| text!("应答没有 {key}", "the answer has no {key}"))
}

/// What was asked for, in the gateway's own words.
fn words(content: &Object<'_>, key: &str) -> Result<Verdict, Text> {
    content
        .raw(key)
        .map(|words| Verdict::Report(words.to_owned()))
        .ok_or_else(|| text!("应答没有 {key}", "the answer has no {key}"))
}

/// The refunds in an answer: a list, or the only one of them.
fn refund_list<'a>(content: &Object<'a>) -> Result<Vec<&'a RawValue>, Text> {
    let part = part(content, "query_refund_order")?;
    match part.raw("refund_order_content") {
        None => Ok(Vec::new()),
        Some(one) if one.get().starts_with('{') => Ok(vec![one]),
        Some(list) => serde_json::from_str(list.get())
            .map_err(|error| text!("退款列表：{error}", "the list of refunds: {error}")),
    }
}

fn no_content() -> Text {
    text!("应答没有订单信息", "the answer has no order content")
}

/// An order's state, bound to the order and the amount that were asked for.
fn order(key: &OrderKey, part: &Object<'_>) -> Result<Verdict, Text> {
    let raw = part.raw("order_content").ok_or_else(no_content)?;
    let content = Object::parse(raw.get()).ok_or_else(no_content)?;
    if content.text("out_trade_no").as_deref() != Some(&key.trade_no) {
        return Err(other_order());
    }
    let total_fee = content.integer("total_fee");
    let other_amount = same_amount(total_fee, key.total_fee).err();
    let account = part.object("pay_mch_key");
    let platform = key
        .platform
        .or_else(|| told_platform(account.as_ref(), &content));
    let trade_type = key.trade_type.or_else(|| {
        content
            .integer("trade_type")
            .and_then(TradeType::from_number)
    });
    let extension = platform.and_then(|platform| {
        content.object(match platform {
            Platform::WeChat => "wxpay_order_content_ext",
            Platform::Alipay => "alipay_order_content_ext",
        })
    });
    let number = extension
        .as_ref()
        .and_then(|extension| extension.integer("current_trade_state"));
    let state = match (platform, number) {
        (Some(platform), Some(number)) => {
            // Of an order that nobody knows the kind of, "waiting" is as good as "paying".
            let trade_type = trade_type.unwrap_or(TradeType::MicroPay);
            states::order_state(platform, trade_type, number)
        }
        _ => OrderState::Unknown,
    };
    if state == OrderState::Paid && total_fee.is_none() {
        return Err(no_amount());
    }
    let client = part.object("order_client");
    let of_client = |key| client.as_ref().and_then(|client| client.text(key));
    let marks = Marks {
        device_id: of_client("device_id"),
        machine_no: of_client("machine_no"),
        payment_code: content
            .text("author_code")
            .and_then(|code| Marks::of_code(&code)),
        tag: extension
            .as_ref()
            .and_then(|extension| extension.text("attach")),
        ..Marks::default()
    };
    Ok(Verdict::Order(Box::new(OrderFacts {
        state,
        other_amount,
        total_fee,
        transaction_id: content.text("transaction_id"),
        time_end: content.integer("time_end").filter(|time| *time > 0),
        code_url: content.text("code_url"),
        message: extension
            .and_then(|extension| extension.text("trade_state_desc"))
            .map(|words| Text::verbatim(printable(&words))),
        marks,
        platform,
        trade_type,
        updated: content.integer("last_update_time"),
        content: Some(raw.to_owned()),
        mch_key: part.raw("pay_mch_key").map(ToOwned::to_owned),
    })))
}

/// The platform of an order that was asked for without one.
fn told_platform(account: Option<&Object<'_>>, content: &Object<'_>) -> Option<Platform> {
    let told = account.and_then(|account| account.integer("pay_platform"));
    let has = |extension| content.raw(extension).is_some();
    match told.and_then(Platform::from_number) {
        Some(platform) => Some(platform),
        None if has("wxpay_order_content_ext") => Some(Platform::WeChat),
        None if has("alipay_order_content_ext") => Some(Platform::Alipay),
        None => None,
    }
}

/// The answer to scan_code_pay: a code for the order just sent. It needn't name the order, but
/// where it does, it must be ours.
fn code_ready(key: &OrderKey, part: &Object<'_>) -> Result<Verdict, Text> {
    let named = part
        .object("order_content")
        .and_then(|content| content.text("out_trade_no"))
        .or_else(|| part.text("out_trade_no"));
    if named.is_some_and(|named| named != key.trade_no) {
        return Err(other_order());
    }
    let code_url = part
        .text("code_url")
        .ok_or_else(|| text!("应答没有 code_url", "the answer has no code_url"))?;
    Ok(Verdict::Order(Box::new(OrderFacts {
        code_url: Some(code_url),
        ..OrderFacts::of(OrderState::CodeReady)
    })))
}

/// A refund's state, bound to the refund and the order that were asked for.
fn refund(key: &RefundKey, raw: &RawValue, evidence: &Evidence) -> Result<Verdict, Text> {
    let content = Object::parse(raw.get()).ok_or_else(no_content)?;
    if content.text("out_refund_no").as_deref() != Some(&key.refund_no) {
        return Err(other_order());
    }
    let trade_no = content.text("out_trade_no");
    if let (Some(answered), Some(asked)) = (&trade_no, &key.trade_no)
        && answered != asked
    {
        return Err(other_order());
    }
    let refund_fee = content.integer("refund_fee");
    same_amount(refund_fee, key.refund_fee)?;
    let number = |platform| match platform {
        Platform::WeChat => content
            .object("wxpay_refund_order_content_ext")
            .and_then(|extension| extension.integer("state")),
        Platform::Alipay => content
            .object("alipay_refund_order_content_ext")
            .and_then(|extension| extension.integer("refund_status")),
    };
    let told = [Platform::WeChat, Platform::Alipay]
        .into_iter()
        .find(|platform| {
            key.platform.is_none_or(|asked| asked == *platform) && number(*platform).is_some()
        });
    let platform = told.or(key.platform).unwrap_or(Platform::WeChat);
    let Some(state) = states::refund_state(platform, number(platform).unwrap_or(0)) else {
        return Ok(Verdict::NotFound);
    };
    Ok(Verdict::Refund(Box::new(Refund {
        refund_no: key.refund_no.clone(),
        trade_no: trade_no
            .or_else(|| key.trade_no.clone())
            .unwrap_or_default(),
        refund_id: content.text("refund_id"),
        state,
        refund_fee,
        evidence: evidence.clone(),
        content: Some(raw.to_owned()),
    })))
}

/// What the gateway says of its status.
fn description(call: &Call<'_>, content: &Object<'_>, status: i64) -> Text {
    match content.text("description") {
        Some(words) => super::description(call, &words),
        None => text!("网关状态 {status}", "gateway status {status}"),
    }
}

#[cfg(fuzzing)]
impl CloudPay {
    /// An authentic envelope around any content; `name` is what the content is called in it.
    pub(crate) fn seal(&self, name: &str, content: &str) -> Vec<u8> {
        let code = self.key.code(content.as_bytes());
        let authen = serde_json::json!({"a": {"authen_type": 1, "authen_code": code}});
        serde_json::json!({name: content, "authen_info": authen})
            .to_string()
            .into_bytes()
    }
}

#[cfg(test)]
mod tests;
