//! The examples that the manual prints: what they ask is what we ask, and what they answer means
//! what it says.

use serde_json::{Value, json};

use super::*;
use crate::config::Config;
use crate::model::{Payment, PaymentCode};

const KEY: &str = "zPfq0mUHTtGzV8OAUgRrbCT8P5TwAx8w";

fn example(name: &str, part: &str) -> Value {
    let file = include_str!("../../../tests/examples/cloudpay.json");
    let file: Value = serde_json::from_str(file).unwrap();
    file[name][part].clone()
}

fn gateway(staff_id: &str, device_id: &str) -> CloudPay {
    let conf = json!({
        "common_conf": {"journal_path": ":memory:", "log_path": "off"},
        "trade_conf": {
            "out_mch_id": "sz01lXKA6DKGjNzr2l4B", "out_sub_mch_id": "sz01KzuCUOmw8yjtPite",
            "out_shop_id": "sz011biKxOguirmBqiFR", "device_id": device_id, "staff_id": staff_id,
            "authen_key": KEY, "machine_no": "1111", "spbill_create_ip": "90.0.00.0",
        }
    });
    let parsed = Config::parse(conf.to_string().as_bytes()).unwrap();
    CloudPay::new(parsed.config.merchant)
}

fn payment() -> Payment {
    Payment {
        trade_no: "sz010002cz11566803216".to_owned(),
        code: Some(PaymentCode::new("134520273825387649")),
        platform: Platform::WeChat,
        sub_platform: 100,
        total_fee: 1,
        body: Some("body".to_owned()),
        attach: None,
        goods_tag: None,
        limit_pay: None,
        product_id: None,
        detail: None,
        remark: None,
        client_flow_id: None,
        time_expire: None,
        alipay: Default::default(),
        staff_id: None,
        tag: None,
    }
}

/// A content in an authenticated envelope, as the gateway would send it.
fn sealed(content: &Value) -> HttpResponse {
    let content = content.to_string();
    let code = AuthenKey::new(KEY).code(content.as_bytes());
    let body = json!({
        "response_content": content,
        "authen_info": {"a": {"authen_type": 1, "authen_code": code}},
    });
    HttpResponse {
        status: 200,
        body: body.to_string().into_bytes(),
        domain: "https://pay.qcloud.com".to_owned(),
        date_ms: None,
    }
}

fn judged(call: &Call<'_>, content: &Value) -> Verdict {
    gateway("1206", "824")
        .decode(call, &sealed(content))
        .verdict
}

/// What we ask, with what differs from machine to machine made equal.
fn asked(gateway: &CloudPay, call: &Call<'_>, like: &Value) -> Value {
    let request = gateway.encode(call).unwrap();
    let request: Value = serde_json::from_slice(&request.body).unwrap();
    let content = request["request_content"].as_str().unwrap();
    let mut content: Value = serde_json::from_str(content).unwrap();
    assert_eq!(content["nonce_str"].as_str().unwrap().len(), 32);
    content["nonce_str"] = like["nonce_str"].clone();
    for key in ["terminal_type", "sdk_version"] {
        assert!(!content["order_client"][key].is_null());
        content["order_client"][key] = like["order_client"][key].clone();
    }
    content
}

#[test]
fn the_manuals_requests_are_ours() {
    let micro_pay = example("micro_pay", "request_content");
    assert_eq!(
        asked(&gateway("1206", "824"), &Call::Pay(&payment()), &micro_pay),
        micro_pay
    );
    let key = OrderKey::of(&payment());
    for (name, call) in [
        ("query_order", Call::QueryOrder(&key)),
        ("close_order", Call::CloseOrder(&key)),
    ] {
        let like = example(name, "request_content");
        assert_eq!(
            asked(&gateway("1192", "12345"), &call, &like),
            like,
            "{name}"
        );
    }
}

#[test]
fn the_manuals_answers_mean_what_they_say() {
    let payment = payment();
    let key = OrderKey::of(&payment);
    for (name, call) in [
        ("micro_pay", Call::Pay(&payment)),
        ("query_order", Call::QueryOrder(&key)),
    ] {
        let content = example(name, "response_content");
        let Verdict::Order(facts) = judged(&call, &content) else {
            panic!("{name}");
        };
        assert_eq!(facts.state, OrderState::Paid);
        assert_eq!(facts.total_fee, Some(1));
        assert_eq!(facts.time_end, Some(1_566_803_217));
        let id = facts.transaction_id.as_deref();
        assert_eq!(id, Some("4200000400201908267240992395"));
        // Untouched: every field of the example reaches the register.
        let words: Value = serde_json::from_str(facts.content.unwrap().get()).unwrap();
        assert_eq!(words, content[name]["order_content"]);
        let words: Value = serde_json::from_str(facts.mch_key.unwrap().get()).unwrap();
        assert_eq!(words, content[name]["pay_mch_key"]);
    }
    let closed = example("close_order", "response_content");
    assert!(matches!(
        judged(&Call::CloseOrder(&key), &closed),
        Verdict::Done
    ));
}

/// The sample of 2018: Alipay, and the content as an object instead of a string.
#[test]
fn the_sample_with_an_object_is_read_too() {
    let content = example("micro_pay_alipay", "response_content");
    let mut payment = payment();
    payment.trade_no = "12341008b320170802191960015".to_owned();
    payment.code = Some(PaymentCode::new("282129340414399818"));
    payment.platform = Platform::Alipay;
    let text = content.to_string();
    let code = AuthenKey::new(KEY).code(text.as_bytes());
    let response = HttpResponse {
        body: format!(
            r#"{{"response_content":{text},"authen_info":{{"a":{{"authen_type":1,"authen_code":"{code}"}}}}}}"#
        )
        .into_bytes(),
        ..sealed(&content)
    };
    let answer = gateway("1206", "824").decode(&Call::Pay(&payment), &response);
    let Verdict::Order(facts) = answer.verdict else {
        panic!("{:?}", answer.verdict);
    };
    assert_eq!(facts.state, OrderState::Paid);
    assert_eq!(answer.evidence.log_id, Some(18_654_852));
}

/// The rules of trust, one by one.
#[test]
fn an_answer_proves_what_the_rules_allow_and_no_more() {
    let payment = payment();
    let call = Call::Pay(&payment);
    let plain = |status: i64, authentic: bool, internal: i64| {
        let content = json!({"status": status, "description": "words", "log_id": 1,
            "internal_status": internal});
        let mut response = sealed(&content);
        if !authentic {
            let body = json!({"response_content": content.to_string()});
            response.body = body.to_string().into_bytes();
        }
        let verdict = gateway("1", "1").decode(&call, &response).verdict;
        match verdict {
            Verdict::Order(_) => "order",
            Verdict::Busy(_) => "busy",
            Verdict::Refused(_) => "refused",
            Verdict::RefusedUnsigned(_) => "unsigned",
            Verdict::Reentry(_) => "reentry",
            Verdict::Untrusted(_) => "untrusted",
            _ => "other",
        }
    };
    for (status, internal, authentic, bare) in [
        (0, 0, "untrusted", "untrusted"),
        (3, 0, "busy", "busy"),
        (101, 0, "refused", "unsigned"),
        (102, 0, "refused", "untrusted"),
        (103, 0, "busy", "untrusted"),
        (104, 0, "refused", "untrusted"),
        (104, 407, "reentry", "untrusted"),
        (102, 407, "refused", "untrusted"),
        (999, 0, "untrusted", "untrusted"),
        (-1, 0, "untrusted", "untrusted"),
    ] {
        assert_eq!(
            plain(status, true, internal),
            authentic,
            "{status} {internal}"
        );
        assert_eq!(
            plain(status, false, internal),
            bare,
            "{status} {internal} unsigned"
        );
    }
}

/// An answer about another order, another amount, or no amount proves no payment.
#[test]
fn an_answer_is_bound_to_the_question() {
    let payment = payment();
    let content = example("micro_pay", "response_content");
    for (path, value) in [
        ("/micro_pay/order_content/out_trade_no", json!("another")),
        ("/micro_pay/order_content/out_trade_no", json!(null)),
        ("/micro_pay/order_content/total_fee", json!(2)),
        ("/micro_pay/order_content/total_fee", json!(null)),
        ("/micro_pay/order_content", json!(null)),
        ("/micro_pay", json!([])),
        ("/status", json!("paid")),
    ] {
        let mut changed = content.clone();
        *changed.pointer_mut(path).unwrap() = value;
        let verdict = judged(&Call::Pay(&payment), &changed);
        let nothing = match &verdict {
            Verdict::Untrusted(_) => true,
            Verdict::Order(facts) => facts.other_amount.is_some(),
            _ => false,
        };
        assert!(nothing, "{path}: {verdict:?}");
    }
}
