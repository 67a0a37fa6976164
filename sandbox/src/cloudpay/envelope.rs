//! The outer JSON of requests and answers, and their authentication.

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::clock::{hex_upper, log_id};
use crate::merchant::Merchant;
use crate::reply::Reply;
use crate::scenario::Spoil;

/// A request whose authentication is right.
#[derive(Debug)]
pub(crate) struct Call {
    /// `request_content`, as it was signed.
    pub(crate) text: String,
    /// The same, read.
    pub(crate) content: Value,
    /// `a` or `s`.
    pub(crate) auth: &'static str,
    /// The listener that it came by.
    pub(crate) listener: usize,
}

/// What is answered, before it is sealed.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: i64,
    pub(crate) internal: i64,
    pub(crate) description: String,
    /// Without it the answer has no `authen_info`.
    pub(crate) signed: bool,
    /// The interface's own part.
    pub(crate) body: Value,
}

impl Answer {
    /// Status 0.
    pub(crate) fn done(body: Value) -> Self {
        Self {
            status: 0,
            internal: 0,
            description: "操作成功。".to_owned(),
            signed: true,
            body,
        }
    }

    /// A signed refusal.
    pub(crate) fn refused(status: i64, why: impl Into<String>) -> Self {
        let body = json!({ "nonce_str": crate::clock::nonce() });
        Self {
            status,
            internal: status,
            description: why.into(),
            signed: true,
            body,
        }
    }

    /// 101: nobody knows who asks, so nothing is signed.
    pub(crate) fn stranger(why: impl Into<String>) -> Self {
        Self {
            internal: 7,
            signed: false,
            ..Self::refused(101, why)
        }
    }

    /// 3: the result is unknown. Never signed.
    pub(crate) fn busy() -> Self {
        Self {
            signed: false,
            ..Self::refused(3, "系统内部错误，结果未知 (internal error, result unknown)")
        }
    }
}

/// Which of the merchant's secrets may authenticate a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accepts {
    /// Only `a`.
    Code,
    /// `a` or `s`.
    CodeOrSign,
}

/// Opens a request: the outer JSON, who asks, and whether the authentication is right. The refusal is always a 101.
pub(crate) fn open(
    app: &App,
    listener: usize,
    headers: &HeaderMap,
    body: &[u8],
    accepts: Accepts,
) -> Result<Call, Box<Answer>> {
    let refuse = |why: String| Err(Box::new(Answer::stranger(why)));
    let media = headers
        .get(header::CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    if !media.eq_ignore_ascii_case("application/json") {
        return refuse(format!(
            "content-type: 必须是 application/json (must be application/json, is {media:?})"
        ));
    }
    let Ok(Value::Object(mut outer)) = serde_json::from_slice::<Value>(body) else {
        return refuse("请求不是 JSON 对象 (the request is not a JSON object)".to_owned());
    };
    let text = match outer.remove("request_content") {
        Some(Value::String(text)) => text,
        Some(_) => return refuse("request_content: 必须是字符串 (must be a string)".to_owned()),
        None => return refuse("request_content: 缺少 (missing)".to_owned()),
    };
    let Ok(content @ Value::Object(_)) = serde_json::from_str::<Value>(&text) else {
        return refuse("request_content: 不是 JSON 对象 (not a JSON object)".to_owned());
    };
    // The key is the merchant's, so it must be known whose.
    if let Err(why) = known_merchant(&app.merchant, &content) {
        return refuse(why);
    }
    let Some(Value::Object(info)) = outer.get("authen_info") else {
        return refuse("authen_info: 缺少 (missing)".to_owned());
    };
    match authenticate(app, info, &text, accepts) {
        Ok(auth) => Ok(Call {
            text,
            content,
            auth,
            listener,
        }),
        Err(why) => refuse(why),
    }
}

fn known_merchant(merchant: &Merchant, content: &Value) -> Result<(), String> {
    let owner = content.get("pay_mch_key").unwrap_or(content);
    match owner.get("out_sub_mch_id") {
        Some(Value::String(id)) if id == merchant.out_sub_mch_id => {}
        Some(_) => return Err("out_sub_mch_id: 未知的子商户 (unknown sub-merchant)".to_owned()),
        None => return Err("out_sub_mch_id: 缺少 (missing)".to_owned()),
    }
    match owner.get("out_mch_id") {
        Some(Value::String(id)) if id == merchant.out_mch_id => Ok(()),
        Some(_) => Err("out_mch_id: 未知的服务商 (unknown merchant)".to_owned()),
        // Some interfaces don't ask for it; where it is required the field check says so.
        None => Ok(()),
    }
}

fn authenticate(
    app: &App,
    info: &Map<String, Value>,
    text: &str,
    accepts: Accepts,
) -> Result<&'static str, String> {
    match (info.get("a"), info.get("s")) {
        (Some(a), None) => {
            if a.get("authen_type").and_then(Value::as_i64) != Some(1) {
                return Err(
                    "authen_info.a.authen_type: 必须是数字 1 (must be the number 1, HMAC-SHA256)"
                        .to_owned(),
                );
            }
            let Some(code) = a.get("authen_code").and_then(Value::as_str) else {
                return Err("authen_info.a.authen_code: 缺少 (missing)".to_owned());
            };
            if !code_is_right(app.merchant.authen_key, text, code) {
                return Err("authen_info.a.authen_code: 认证码错误 (wrong authen_code)".to_owned());
            }
            Ok("a")
        }
        (None, Some(s)) if accepts == Accepts::CodeOrSign => {
            if s.get("sign_type").and_then(Value::as_i64) != Some(1) {
                return Err(
                    "authen_info.s.sign_type: 必须是数字 1 (must be the number 1)".to_owned(),
                );
            }
            let Some(sign) = s.get("sign").and_then(Value::as_str) else {
                return Err("authen_info.s.sign: 缺少 (missing)".to_owned());
            };
            if !app.public_key.verifies(text.as_bytes(), sign) {
                return Err("authen_info.s.sign: 签名错误 (wrong signature; the salt must have the maximum length)".to_owned());
            }
            Ok("s")
        }
        (Some(_), Some(_)) => Err("authen_info: a 与 s 只能有一个 (a or s, not both)".to_owned()),
        (None, Some(_)) => {
            Err("authen_info.s: 此接口使用认证码 a (this interface takes a)".to_owned())
        }
        (None, None) => Err("authen_info.a: 缺少 (missing)".to_owned()),
    }
}

/// HMAC-SHA256 as upper-case hex.
pub(crate) fn authen_code(key: &str, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    hex_upper(hmac::sign(&key, text.as_bytes()).as_ref())
}

/// Whether this is the text's code, in either case; compared in constant time.
pub(crate) fn code_is_right(key: &str, text: &str, code: &str) -> bool {
    let digits: Option<Vec<u8>> = code
        .chars()
        .map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok()))
        .collect();
    let Some(digits) = digits.filter(|d| d.len() == 64) else {
        return false;
    };
    let tag: Vec<u8> = digits
        .chunks_exact(2)
        .map(|pair| pair.iter().fold(0, |n, d| n << 4 | d))
        .collect();
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    hmac::verify(&key, text.as_bytes(), &tag).is_ok()
}

/// Seals an answer, and spoils it as told.
pub(crate) fn seal(key: &str, part: &str, mut answer: Answer, spoil: Spoil) -> Reply {
    match spoil {
        Spoil::Cut => return Reply::Cut,
        Spoil::Html502 => return Reply::BadGateway,
        Spoil::Garbage => return Reply::Garbage,
        Spoil::Status3 => answer = Answer::busy(),
        Spoil::NoAuth => answer.signed = false,
        Spoil::OtherOrder => super::render::make_another(&mut answer.body),
        Spoil::None | Spoil::Slow | Spoil::BadAuth | Spoil::HalfBody | Spoil::Object => {}
    }
    let mut content = Map::new();
    content.insert("status".into(), answer.status.into());
    content.insert("description".into(), answer.description.into());
    content.insert("log_id".into(), log_id().into());
    content.insert("internal_status".into(), answer.internal.into());
    if answer.signed || answer.status == 0 {
        content.insert(part.into(), answer.body);
    }
    let text = Value::Object(content).to_string();
    let wire = wrap(key, "response_content", &text, answer.signed, spoil);
    if spoil == Spoil::HalfBody {
        Reply::Half(wire)
    } else {
        Reply::Json(wire)
    }
}

/// The outer JSON around a signed text.
pub(crate) fn wrap(key: &str, name: &str, text: &str, signed: bool, spoil: Spoil) -> String {
    // As an object the bytes on the wire are the signed ones; as a string they are escaped once more.
    let carried = if spoil == Spoil::Object {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    };
    if !signed {
        return format!("{{\"{name}\":{carried}}}");
    }
    let code = match spoil {
        Spoil::BadAuth => authen_code("not the merchant's key", text),
        _ => authen_code(key, text),
    };
    format!(
        "{{\"{name}\":{carried},\"authen_info\":{{\"a\":{{\"authen_type\":1,\"authen_code\":\"{code}\"}}}}}}"
    )
}

/// Whether a base64 text is a gzip that unpacks to JSON, and that JSON. The size is bounded.
pub(crate) fn unpack(packed: &str) -> Option<Value> {
    use std::io::Read;
    let bytes = STANDARD.decode(packed).ok()?;
    let mut text = String::new();
    flate2::read::GzDecoder::new(&*bytes)
        .take(16 << 20)
        .read_to_string(&mut text)
        .ok()?;
    serde_json::from_str(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_codes_are_right_in_either_case() {
        let all: Value =
            serde_json::from_str(include_str!("../../../tests/vectors/authen_code.json")).unwrap();
        for vector in all["vectors"].as_array().unwrap() {
            let text = |key: &str| vector[key].as_str().unwrap();
            let code = text("authen_code");
            assert_eq!(authen_code(text("key"), text("message")), code);
            assert!(code_is_right(
                text("key"),
                text("message"),
                &code.to_lowercase()
            ));
            assert!(!code_is_right(text("key"), text("message"), &code[..62]));
            assert!(!code_is_right("another key", text("message"), code));
        }
    }
}
