//! A register's desk: a sandbox, and a client that signs for its test merchant.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cloudpay_sandbox::{Options, Sandbox};
use ring::hmac;
use serde_json::{Value, json};

/// A sandbox and a client for it.
pub(crate) struct Desk {
    pub(crate) sandbox: Sandbox,
    agent: ureq::Agent,
}

/// What came back.
#[derive(Debug)]
pub(crate) enum Got {
    /// HTTP 200 with an envelope.
    Answer(Answer),
    /// Another HTTP status, or no JSON.
    Odd(u16, String),
    /// No answer, or half of one.
    Broken(#[expect(dead_code, reason = "read in the messages of failed tests")] String),
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) content: Value,
    /// The code is there and right, or there and wrong, or not there.
    pub(crate) signed: Option<bool>,
    /// `response_content` came as an object.
    pub(crate) object: bool,
}

impl Got {
    /// The answer; anything else fails the test.
    pub(crate) fn answer(self) -> Answer {
        match self {
            Self::Answer(answer) => answer,
            other => panic!("no answer: {other:?}"),
        }
    }

    /// An answer with a right code.
    pub(crate) fn authentic(self) -> Answer {
        let answer = self.answer();
        assert_eq!(answer.signed, Some(true), "{answer:?}");
        answer
    }

    pub(crate) fn is_broken(&self) -> bool {
        matches!(self, Self::Broken(_))
    }
}

impl Answer {
    pub(crate) fn status(&self) -> i64 {
        self.content["status"].as_i64().unwrap()
    }

    pub(crate) fn internal(&self) -> i64 {
        self.content["internal_status"].as_i64().unwrap()
    }

    pub(crate) fn description(&self) -> &str {
        self.content["description"].as_str().unwrap()
    }

    /// `current_trade_state`, of either platform.
    pub(crate) fn state(&self) -> i64 {
        let body = ["micro_pay", "query_order"]
            .iter()
            .find_map(|k| self.content.get(*k))
            .expect("an order");
        let order = &body["order_content"];
        let ext = ["wxpay_order_content_ext", "alipay_order_content_ext"]
            .iter()
            .find_map(|k| order.get(*k));
        ext.expect("an order")["current_trade_state"]
            .as_i64()
            .unwrap()
    }
}

/// Quick delays, so that nothing waits.
pub(crate) fn quick() -> Options {
    Options {
        slow_ms: 1,
        late_ms: 0,
        late_fail_ms: 0,
        refund_ms: 3_600_000,
        callback_retry_ms: 1,
        ..Options::default()
    }
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self::with(quick())
    }

    pub(crate) fn with(options: Options) -> Self {
        let sandbox = Sandbox::start(options).unwrap();
        let agent = agent(&sandbox);
        Self { sandbox, agent }
    }

    /// Posts bytes as they are.
    pub(crate) fn post(&self, url: &str, media: &str, body: &[u8]) -> Got {
        let sent = self
            .agent
            .post(url)
            .header("content-type", media)
            .send(body);
        let mut response = match sent {
            Ok(response) => response,
            Err(e) => return Got::Broken(e.to_string()),
        };
        let status = response.status().as_u16();
        match response.body_mut().read_to_string() {
            Err(e) => Got::Broken(e.to_string()),
            Ok(text) => match serde_json::from_str::<Value>(&text) {
                Ok(outer) if status == 200 => Got::Answer(open(&text, &outer)),
                _ => Got::Odd(status, text),
            },
        }
    }

    /// Posts an envelope to an interface.
    pub(crate) fn envelope(&self, interface: &str, envelope: &Value) -> Got {
        let url = format!("{}/cpay/{interface}", self.sandbox.url());
        self.post(&url, "application/json", envelope.to_string().as_bytes())
    }

    /// Posts a signed content to an interface.
    pub(crate) fn call(&self, interface: &str, content: &Value) -> Got {
        self.envelope(interface, &sealed(&content.to_string()))
    }

    /// Queries a WeChat order.
    pub(crate) fn query(&self, no: &str) -> Answer {
        self.call("query_order", &about(no)).authentic()
    }

    /// The control interface.
    pub(crate) fn get(&self, path: &str) -> Value {
        let mut response = self
            .agent
            .get(format!("{}{path}", self.sandbox.control_url()))
            .call()
            .unwrap();
        serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap()
    }

    /// The control interface: HTTP status and answer.
    pub(crate) fn control(&self, path: &str, body: &Value) -> (u16, Value) {
        let url = format!("{}{path}", self.sandbox.control_url());
        let mut response = self
            .agent
            .post(url)
            .send(body.to_string().as_bytes())
            .unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        (
            response.status().as_u16(),
            serde_json::from_str(&text).unwrap(),
        )
    }

    /// A page for a person.
    pub(crate) fn page(&self, url: &str) -> String {
        let mut response = self.agent.get(url).call().unwrap();
        response.body_mut().read_to_string().unwrap()
    }

    /// Presses a button of a page.
    pub(crate) fn press(&self, url: &str) {
        let pressed = self.agent.post(url).send_empty().unwrap();
        assert_eq!(pressed.status().as_u16(), 200);
    }

    /// The control interface: clears something.
    pub(crate) fn delete(&self, path: &str) {
        let url = format!("{}{path}", self.sandbox.control_url());
        assert_eq!(
            self.agent.delete(url).call().unwrap().status().as_u16(),
            200
        );
    }

    /// A number's page in the ledger.
    pub(crate) fn ledger(&self, no: &str) -> Value {
        self.get(&format!("/sandbox/ledger/{no}"))
    }
}

/// A client that trusts the sandbox's CA and nothing else.
pub(crate) fn agent(sandbox: &Sandbox) -> ureq::Agent {
    let pem = std::fs::read(sandbox.ca_file()).unwrap();
    let root = ureq::tls::Certificate::from_pem(&pem).unwrap();
    let tls = ureq::tls::TlsConfig::builder()
        .root_certs(ureq::tls::RootCerts::new_with_certs(&[root]))
        .build();
    ureq::Agent::config_builder()
        .tls_config(tls)
        .http_status_as_error(false)
        .proxy(None)
        .timeout_global(Some(Duration::from_secs(30)))
        .build()
        .new_agent()
}

/// HMAC-SHA256 in upper-case hex.
pub(crate) fn code(text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"sandbox0only0worthless0test0key0");
    hmac::sign(&key, text.as_bytes())
        .as_ref()
        .iter()
        .map(|b| format!("{b:02X}"))
        .collect()
}

/// The envelope around a text, authenticated by code.
pub(crate) fn sealed(text: &str) -> Value {
    json!({ "request_content": text, "authen_info": { "a": { "authen_type": 1, "authen_code": code(text) } } })
}

/// The envelope around a text, signed by the openssl program with a salt of this length.
pub(crate) fn signed(text: &str, salt: &str) -> Value {
    let key = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/testdata/merchant-test-private.pem"
    );
    let salt = format!("rsa_pss_saltlen:{salt}");
    let mut openssl = Command::new("openssl")
        .args([
            "dgst",
            "-sha256",
            "-sigopt",
            "rsa_padding_mode:pss",
            "-sigopt",
            &salt,
            "-sign",
            key,
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the openssl program");
    openssl
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let out = openssl.wait_with_output().unwrap();
    assert!(out.status.success());
    json!({ "request_content": text, "authen_info": { "s": { "sign_type": 1, "sign": STANDARD.encode(out.stdout) } } })
}

fn open(text: &str, outer: &Value) -> Answer {
    let carried = &outer["response_content"];
    // As an object, the signed bytes are those on the wire.
    let bytes = match carried {
        Value::String(text) => text.clone(),
        _ => {
            let rest = text.strip_prefix("{\"response_content\":").unwrap();
            rest[..rest.rfind(",\"authen_info\"").unwrap_or(rest.len() - 1)].to_owned()
        }
    };
    Answer {
        content: serde_json::from_str(&bytes).unwrap(),
        signed: outer
            .get("authen_info")
            .map(|info| info["a"]["authen_code"].as_str().unwrap() == code(&bytes)),
        object: !carried.is_string(),
    }
}

/// `pay_mch_key` of the test merchant.
pub(crate) fn mch_key(platform: i64) -> Value {
    json!({
        "pay_platform": platform,
        "sub_pay_platform": platform * 100,
        "out_mch_id": "sz01SANDBOXmch000001",
        "out_sub_mch_id": "sz01SANDBOXsub000001",
        "out_shop_id": "sz01SANDBOXshp000001",
    })
}

/// `order_client` of the register "824".
pub(crate) fn client() -> Value {
    json!({
        "device_id": "824",
        "staff_id": "1206",
        "terminal_type": 4,
        "machine_no": "32-62-A8-14-B3-C0",
        "sdk_version": "1.0.0",
        "spbill_create_ip": "10.0.0.1",
    })
}

const NONCE: &str = "E94C00688C3F429CA2B0B396BF823548";

/// A WeChat micro_pay of 100 fen by a code that ends in a scenario.
pub(crate) fn micro(no: &str, scenario: &str) -> Value {
    json!({
        "pay_mch_key": mch_key(1),
        "pay_content": {
            "out_trade_no": no,
            "author_code": format!("134520273825387{scenario}"),
            "total_fee": 100,
            "fee_type": "CNY",
            "body": "生活用品",
        },
        "order_client": client(),
        "nonce_str": NONCE,
    })
}

/// The same with Alipay.
pub(crate) fn micro_alipay(no: &str, scenario: &str) -> Value {
    let mut content = micro(no, scenario);
    content["pay_mch_key"] = mch_key(2);
    content["pay_content"]["author_code"] = format!("282129340414399{scenario}").into();
    content
}

/// A WeChat scan_code_pay of 100 fen with a scenario, or none.
pub(crate) fn scan(no: &str, scenario: &str) -> Value {
    let attach = if scenario.is_empty() {
        "table 7".to_owned()
    } else {
        format!("sandbox:{scenario}")
    };
    json!({
        "pay_mch_key": mch_key(1),
        "pay_content": {
            "out_trade_no": no,
            "total_fee": 100,
            "fee_type": "CNY",
            "body": "生活用品",
            "wxpay_pay_content_ext": { "attach": attach, "product_id": "p1" },
        },
        "order_client": client(),
        "nonce_str": NONCE,
    })
}

/// The content of query_order, close_order and reverse for a WeChat order; without a trade_type.
pub(crate) fn about(no: &str) -> Value {
    json!({
        "pay_mch_key": mch_key(1),
        "order_client": client(),
        "out_trade_no": no,
        "nonce_str": NONCE,
    })
}

/// The same by the number alone: platform and trade type are 0, or not there.
pub(crate) fn bare(no: &str, zero: bool) -> Value {
    let mut content = about(no);
    let key = content["pay_mch_key"].as_object_mut().unwrap();
    for name in ["pay_platform", "sub_pay_platform"] {
        key.remove(name);
        if zero {
            key.insert(name.to_owned(), 0.into());
        }
    }
    if zero {
        content["trade_type"] = 0.into();
    }
    content
}

/// The content of close_order.
pub(crate) fn closing(no: &str, trade_type: i64) -> Value {
    let mut content = about(no);
    content["trade_type"] = trade_type.into();
    content
}

/// A refund of a WeChat order of 100 fen.
pub(crate) fn refund(no: &str, refund_no: &str, fee: i64) -> Value {
    json!({
        "pay_mch_key": mch_key(1),
        "refund_content": {
            "out_trade_no": no,
            "out_refund_no": refund_no,
            "total_fee": 100,
            "refund_fee": fee,
            "refund_fee_type": "CNY",
        },
        "order_client": client(),
        "nonce_str": NONCE,
    })
}
