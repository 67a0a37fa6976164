//! Strangers are refused without a signature; requests that break a rule are refused with the key's name.

use serde_json::{Value, json};

use crate::desk::{Desk, Got, about, code, micro, sealed};

#[test]
fn a_wrong_envelope_is_refused_unsigned_with_internal_status_7() {
    let desk = Desk::new();
    let text = micro("sz0100a", "000").to_string();
    let good = sealed(&text);
    let with = |pointer: &str, value: Value| {
        let mut envelope = good.clone();
        *envelope.pointer_mut(pointer).unwrap() = value;
        envelope
    };
    let stranger = |key: &str| {
        let mut content = micro("sz0100a", "000");
        content["pay_mch_key"][key] = "sz01stranger".into();
        sealed(&content.to_string())
    };
    let cases = [
        (json!([]), "JSON"),
        (
            json!({ "authen_info": good["authen_info"] }),
            "request_content",
        ),
        (
            with("/request_content", micro("sz0100a", "000")),
            "request_content",
        ),
        (
            with("/request_content", format!("{text} ").into()),
            "authen_code",
        ),
        (with("/authen_info/a/authen_code", "".into()), "authen_code"),
        (
            with("/authen_info/a/authen_code", "0".repeat(64).into()),
            "authen_code",
        ),
        (with("/authen_info/a/authen_type", 2.into()), "authen_type"),
        (
            with("/authen_info/a/authen_type", "1".into()),
            "authen_type",
        ),
        (with("/authen_info", json!({})), "authen_info"),
        (sealed("[]"), "request_content"),
        (sealed("not JSON"), "request_content"),
        (stranger("out_mch_id"), "out_mch_id"),
        (stranger("out_sub_mch_id"), "out_sub_mch_id"),
    ];
    for (envelope, key) in cases {
        let got = desk.envelope("micro_pay", &envelope).answer();
        assert_eq!(
            (got.status(), got.internal(), got.signed),
            (101, 7, None),
            "{envelope}"
        );
        assert!(
            got.description().contains(key),
            "{key}: {}",
            got.description()
        );
        assert!(got.content.get("micro_pay").is_none());
    }
    assert_eq!(desk.get("/sandbox/ledger")["orders"], json!({}));
    let lower = with(
        "/authen_info/a/authen_code",
        code(&text).to_lowercase().into(),
    );
    assert_eq!(desk.envelope("micro_pay", &lower).authentic().status(), 0);
}

#[test]
fn the_code_is_over_the_text_after_unescaping() {
    let desk = Desk::new();
    let text = micro("sz0100a", "000").to_string();
    let escaped: String = text
        .chars()
        .map(|c| format!("\\u{:04X}", u32::from(c)))
        .collect();
    let body = format!(
        "{{\"authen_info\":{{\"a\":{{\"authen_code\":\"{}\",\"authen_type\":1}}}},\"request_content\":\"{escaped}\"}}",
        code(&text)
    );
    let url = format!("{}/cpay/micro_pay", desk.sandbox.url());
    assert_eq!(
        desk.post(&url, "application/json; charset=utf-8", body.as_bytes())
            .authentic()
            .status(),
        0
    );
}

#[test]
fn the_content_type_must_be_json() {
    let desk = Desk::new();
    let body = sealed(&micro("sz0100a", "000").to_string()).to_string();
    let url = format!("{}/cpay/micro_pay", desk.sandbox.url());
    let got = desk.post(&url, "text/plain", body.as_bytes()).answer();
    assert_eq!((got.status(), got.internal()), (101, 7));
    assert!(got.description().contains("content-type"));
    let unknown = desk.post(
        &format!("{}/cpay/nothing", desk.sandbox.url()),
        "application/json",
        body.as_bytes(),
    );
    assert!(matches!(unknown, Got::Odd(404, _)));
}

#[test]
fn a_broken_rule_is_an_authentic_refusal_that_names_the_key() {
    let desk = Desk::new();
    let cases = [
        (
            "/pay_content/out_trade_no",
            json!("x0100a"),
            "pay_content.out_trade_no",
        ),
        (
            "/pay_content/out_trade_no",
            json!("sz0100".to_owned() + &"0".repeat(27)),
            "pay_content.out_trade_no",
        ),
        (
            "/pay_content/out_trade_no",
            json!(7),
            "pay_content.out_trade_no",
        ),
        (
            "/pay_content/out_trade_no",
            Value::Null,
            "pay_content.out_trade_no",
        ),
        (
            "/pay_content/author_code",
            json!("1".repeat(129)),
            "pay_content.author_code",
        ),
        ("/pay_content/total_fee", json!(0), "pay_content.total_fee"),
        ("/pay_content/total_fee", json!(-1), "pay_content.total_fee"),
        (
            "/pay_content/total_fee",
            json!(2_147_483_648_u64),
            "pay_content.total_fee",
        ),
        (
            "/pay_content/total_fee",
            json!("100"),
            "pay_content.total_fee",
        ),
        (
            "/pay_content/total_fee",
            json!(1.5),
            "pay_content.total_fee",
        ),
        (
            "/pay_content/fee_type",
            json!("USD"),
            "pay_content.fee_type",
        ),
        (
            "/pay_content/body",
            json!("字".repeat(129)),
            "pay_content.body",
        ),
        ("/pay_content/body", json!(""), "pay_content.body"),
        (
            "/pay_mch_key/pay_platform",
            json!(3),
            "pay_mch_key.pay_platform",
        ),
        (
            "/pay_mch_key/sub_pay_platform",
            json!(200),
            "pay_mch_key.sub_pay_platform",
        ),
        (
            "/pay_mch_key/out_shop_id",
            json!("sz01unknown"),
            "pay_mch_key.out_shop_id",
        ),
        (
            "/order_client/device_id",
            json!(1),
            "order_client.device_id",
        ),
        (
            "/order_client/device_id",
            json!("d".repeat(65)),
            "order_client.device_id",
        ),
        (
            "/order_client/machine_no",
            json!("m".repeat(33)),
            "order_client.machine_no",
        ),
        (
            "/order_client/sdk_version",
            json!("1.0.0-alpha"),
            "order_client.sdk_version",
        ),
        (
            "/order_client/spbill_create_ip",
            json!("2001:0db8:85a3:0000"),
            "order_client.spbill_create_ip",
        ),
        (
            "/order_client/terminal_type",
            json!(5),
            "order_client.terminal_type",
        ),
        ("/nonce_str", json!("n".repeat(33)), "nonce_str"),
        ("/pay_content", json!("{}"), "pay_content"),
    ];
    for (pointer, value, key) in cases {
        let mut content = micro("sz0100a", "000");
        *content.pointer_mut(pointer).unwrap() = value.clone();
        let got = desk.call("micro_pay", &content).authentic();
        assert_eq!(got.status(), 104, "{key} {value}");
        assert!(
            got.description().starts_with(&format!("{key}:")),
            "{}",
            got.description()
        );
        assert!(!got.description().contains("不存在"));
    }
    for key in ["pay_mch_key", "pay_content", "order_client", "nonce_str"] {
        let mut content = micro("sz0100a", "000");
        content.as_object_mut().unwrap().remove(key);
        let got = desk.call("micro_pay", &content).answer();
        // Without pay_mch_key nobody knows whose key to check with.
        assert_eq!(got.status(), if key == "pay_mch_key" { 101 } else { 104 });
    }
    assert_eq!(desk.query("sz0100a").status(), 104);
}

#[test]
fn characters_are_counted_not_bytes() {
    let desk = Desk::new();
    let mut content = micro("sz0100a", "000");
    content["pay_content"]["body"] = "字".repeat(128).into();
    assert_eq!(desk.call("micro_pay", &content).authentic().status(), 0);
}

#[test]
fn undefined_and_empty_keys_are_let_through_and_reported() {
    let desk = Desk::new();
    desk.call("micro_pay", &micro("sz0100a", "000")).authentic();
    desk.call("query_order", &about("sz0100a")).authentic();
    assert_eq!(desk.get("/sandbox/warnings"), json!([]));
    let mut content = micro("sz0100b", "000");
    content["colour"] = "red".into();
    content["pay_content"]["remark"] = "".into();
    content["order_client"]["sn_code"] = Value::Null;
    desk.call("micro_pay", &content).authentic();
    let mut keys: Vec<(String, String)> = desk
        .get("/sandbox/warnings")
        .as_array()
        .unwrap()
        .iter()
        .map(|w| {
            (
                w["key"].as_str().unwrap().to_owned(),
                w["what"].as_str().unwrap().to_owned(),
            )
        })
        .collect();
    keys.sort();
    let expected = [
        ("colour", "unknown"),
        ("order_client.sn_code", "null"),
        ("pay_content.remark", "empty"),
    ];
    assert_eq!(keys, expected.map(|(k, w)| (k.to_owned(), w.to_owned())));
}

#[test]
fn every_answer_says_when() {
    let desk = Desk::new();
    let agent = crate::desk::agent(&desk.sandbox);
    let post = |path: &str, body: &str| {
        let url = format!("{}{path}", desk.sandbox.url());
        let sent = agent.post(url).header("content-type", "application/json");
        sent.send(body.as_bytes()).unwrap()
    };
    let paid = |no: &str| sealed(&micro(no, "000").to_string()).to_string();
    let mut answers = vec![
        post("/cpay/micro_pay", &paid("sz0100a")),
        post("/cpay/micro_pay", "{}"),
        post("/cpay/nothing", "{}"),
        post("/api/pay/query", "{}"),
    ];
    for fault in ["garbage", "status_502", "busy_3"] {
        desk.control("/sandbox/faults", &json!({ fault: 1.0 }));
        answers.push(post("/cpay/micro_pay", &paid(&format!("sz0100{fault}"))));
    }
    for answer in answers {
        let date = answer.headers()["date"].to_str().unwrap();
        assert!(date.ends_with(" GMT"), "{date}");
    }
}
