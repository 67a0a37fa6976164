//! The envelope of the cloud-pay protocol: content as a string, authentication beside it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::authen::AuthenKey;
use super::pss::SigningKey;
use crate::charset::Charset;
use crate::text::{Text, text};

#[derive(Serialize)]
struct Request<'a> {
    request_content: &'a str,
    authen_info: RequestAuthen,
}

#[derive(Serialize)]
struct RequestAuthen {
    #[serde(skip_serializing_if = "Option::is_none")]
    a: Option<Authen>,
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<Signature>,
}

#[derive(Serialize)]
struct Authen {
    authen_type: i32,
    authen_code: String,
}

#[derive(Serialize)]
struct Signature {
    sign_type: i32,
    sign: String,
}

/// Wraps a content with an authentication code (`a`).
pub(super) fn authenticated(content: &str, key: &AuthenKey) -> Result<Vec<u8>, Text> {
    let a = Authen {
        authen_type: 1,
        authen_code: key.code(content.as_bytes()),
    };
    wrap(
        content,
        RequestAuthen {
            a: Some(a),
            s: None,
        },
    )
}

/// Wraps a content with a signature (`s`).
pub(super) fn signed(content: &str, key: &SigningKey) -> Result<Vec<u8>, Text> {
    let s = Signature {
        sign_type: 1,
        sign: key.sign(content.as_bytes())?,
    };
    wrap(
        content,
        RequestAuthen {
            a: None,
            s: Some(s),
        },
    )
}

fn wrap(request_content: &str, authen_info: RequestAuthen) -> Result<Vec<u8>, Text> {
    let request = Request {
        request_content,
        authen_info,
    };
    to_json(&request).map(String::into_bytes)
}

#[derive(Deserialize)]
struct Response<Content> {
    response_content: Content,
    #[serde(default)]
    authen_info: Option<ResponseAuthen>,
}

#[derive(Deserialize)]
struct ResponseAuthen {
    #[serde(default)]
    a: Option<ResponseCode>,
}

#[derive(Deserialize)]
struct ResponseCode {
    authen_code: String,
}

/// An opened envelope.
pub(super) struct Opened {
    /// The content's text, exactly as it was authenticated.
    pub(super) content: String,
    /// Whether an authentication code was there, and right. A wrong one never gets here.
    pub(super) authentic: bool,
}

/// Opens an answer. The bytes that are verified are the ones that are read: the string after the
/// outer JSON's unescaping, or, where the gateway sends an object, its bytes as they came.
pub(super) fn open(body: &[u8], key: &AuthenKey) -> Result<Opened, Text> {
    let malformed = |error: serde_json::Error| {
        text!(
            "应答不是协议的 JSON：{error}",
            "the answer is not the protocol's JSON: {error}"
        )
    };
    let (content, authen_info) = match serde_json::from_slice::<Response<String>>(body) {
        Ok(response) => (response.response_content, response.authen_info),
        // JSON, but the content is no string.
        Err(error) if error.is_data() => {
            let response: Response<&RawValue> = serde_json::from_slice(body).map_err(malformed)?;
            (
                exact_text(response.response_content).map_err(malformed)?,
                response.authen_info,
            )
        }
        Err(error) => return Err(malformed(error)),
    };
    let authentic = match authen_info.and_then(|info| info.a) {
        None => false,
        Some(code) if key.verify(content.as_bytes(), &code.authen_code) => true,
        Some(_) => {
            return Err(text!(
                "应答的认证码错误",
                "the answer's authentication code is wrong"
            ));
        }
    };
    Ok(Opened { content, authentic })
}

#[derive(Deserialize)]
struct Notification<'a> {
    #[serde(borrow)]
    request_content: &'a RawValue,
    authen_info: ResponseAuthen,
}

/// Opens what the gateway sent by itself: a request, which is authentic or refused.
pub(super) fn open_request(body: &[u8], key: &AuthenKey) -> Result<String, Text> {
    let malformed = |error: serde_json::Error| {
        text!(
            "通知不是协议的 JSON：{error}",
            "the notification is not the protocol's JSON: {error}"
        )
    };
    let request: Notification<'_> = serde_json::from_slice(body).map_err(malformed)?;
    let content = exact_text(request.request_content).map_err(malformed)?;
    match request.authen_info.a {
        Some(code) if key.verify(content.as_bytes(), &code.authen_code) => Ok(content),
        _ => Err(text!(
            "通知的认证码缺失或错误，不可采信",
            "the notification's authentication code is missing or wrong: don't believe it"
        )),
    }
}

#[derive(Serialize)]
struct AnswerEnvelope<'a> {
    response_content: &'a str,
    authen_info: RequestAuthen,
}

#[derive(Serialize)]
struct AnswerContent<'a> {
    status: i32,
    description: &'a str,
}

/// The answer to a notification. All of it is ASCII: no character set on its way to the gateway
/// can change the bytes that were authenticated.
pub(super) fn answer(status: i32, description: &str, key: &AuthenKey) -> Result<Vec<u8>, Text> {
    let content = to_json(&AnswerContent {
        status,
        description,
    })?;
    let content = Charset::Utf8.encode_json(&content, true);
    let a = Authen {
        authen_type: 1,
        authen_code: key.code(&content),
    };
    let response_content = String::from_utf8_lossy(&content);
    let envelope = AnswerEnvelope {
        response_content: &response_content,
        authen_info: RequestAuthen {
            a: Some(a),
            s: None,
        },
    };
    to_json(&envelope).map(String::into_bytes)
}

fn to_json<T: Serialize>(value: &T) -> Result<String, Text> {
    serde_json::to_string(value)
        .map_err(|error| text!("内部错误：{error}", "internal error: {error}"))
}

/// The text that an authentication code is about: a string after unescaping, or an object's bytes
/// as they came.
fn exact_text(raw: &RawValue) -> serde_json::Result<String> {
    let raw = raw.get();
    if raw.starts_with('"') {
        serde_json::from_str(raw)
    } else {
        Ok(raw.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> AuthenKey {
        AuthenKey::new("zPfq0mUHTtGzV8OAUgRrbCT8P5TwAx8w")
    }

    #[test]
    fn the_exact_bytes_are_verified() {
        // The content and its code are those of the published vectors.
        let content = r#"{"status":0,"description":"\u64CD\u4F5C\u6210\u529F\u3002","log_id":1167366844,"internal_status":0}"#;
        let code = "741C13D7A9C8EAB458976A06347CE0E16EA511E31F6079828A6CD3FC2B0494E4";
        let string = serde_json::to_string(content).unwrap();
        for raw in [string.as_str(), content] {
            let body = format!(
                r#"{{"response_content":{raw},"authen_info":{{"a":{{"authen_type":1,"authen_code":"{code}"}}}}}}"#
            );
            let opened = open(body.as_bytes(), &key()).unwrap();
            assert!(opened.authentic);
            assert_eq!(opened.content, content);
        }
        // One more space, and it is another content.
        let body = format!(
            r#"{{"response_content":{} ,"authen_info":{{"a":{{"authen_code":"{code}"}}}}}}"#,
            content.replace(":0,", ": 0,")
        );
        assert!(open(body.as_bytes(), &key()).is_err());
    }

    #[test]
    fn no_code_is_not_authentic_and_a_wrong_one_is_refused() {
        let plain = br#"{"response_content":"{}"}"#;
        assert!(!open(plain, &key()).unwrap().authentic);
        for wrong in [
            r#"{"response_content":"{}","authen_info":{"a":{"authen_code":""}}}"#,
            r#"{"response_content":"{}","authen_info":{"a":{"authen_code":"00"}}}"#,
            r#"{"response_content":"{}","authen_info":{"a":{}}}"#,
            r#"{"response_content":"{}","response_content":"{}"}"#,
            r#"{"authen_info":{}}"#,
            "[]",
            "",
            "<html>",
        ] {
            assert!(open(wrong.as_bytes(), &key()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_request_carries_its_content_as_a_string() {
        let body = authenticated(r#"{"a":"中\n"}"#, &key()).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let content = value["request_content"].as_str().unwrap();
        assert_eq!(content, r#"{"a":"中\n"}"#);
        let code = value["authen_info"]["a"]["authen_code"].as_str().unwrap();
        assert!(key().verify(content.as_bytes(), code));
        assert_eq!(value["authen_info"]["a"]["authen_type"], 1);
        assert!(value["authen_info"].get("s").is_none());
    }
}
