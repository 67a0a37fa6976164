//! The epay123 protocol: its signature, its states, its scenarios.

use serde_json::{Map, Value, json};

use crate::desk::{Desk, about, micro};

const SECRET: &str = "sandbox0only0worthless0test0app0secret0";

/// What came back: HTTP status and text, or nothing.
type Raw = Option<(u16, String)>;

/// The signature of flat ASCII-keyed fields.
fn sign(fields: &Map<String, Value>, secret: &str) -> String {
    let mut pairs = Vec::new();
    for (key, value) in fields {
        match value {
            Value::Null => {}
            Value::String(text) if text.is_empty() => {}
            Value::String(text) => pairs.push(format!("{key}={text}&")),
            other => pairs.push(format!("{key}={other}&")),
        }
    }
    pairs.sort_by_key(|p| p.to_lowercase());
    format!(
        "{:X}",
        md5::compute(format!("{}key={secret}", pairs.concat()))
    )
}

fn signed(own: Value) -> Value {
    let mut all = json!({
        "version": "1.0", "signType": "MD5", "reqTime": "1622016572190",
        "mchNo": "M0000000001", "appId": "5a9d0b0f5a9d0b0f00000001",
    });
    let fields = all.as_object_mut().unwrap();
    fields.extend(own.as_object().unwrap().clone());
    let sign = sign(fields, SECRET);
    fields.insert("sign".to_owned(), sign.into());
    all
}

fn raw(desk: &Desk, path: &str, request: &Value) -> Raw {
    let url = format!("{}{path}", desk.sandbox.url());
    let agent = crate::desk::agent(&desk.sandbox);
    let sent = agent
        .post(url)
        .header("content-type", "application/json")
        .send(request.to_string().as_bytes());
    let mut response = sent.ok()?;
    let text = response.body_mut().read_to_string().ok()?;
    Some((response.status().as_u16(), text))
}

fn call(desk: &Desk, path: &str, own: Value) -> Value {
    let (status, text) = raw(desk, path, &signed(own)).unwrap();
    assert_eq!(status, 200);
    serde_json::from_str(&text).unwrap()
}

/// The data of a success whose signature is right.
fn data(answer: &Value) -> Value {
    assert_eq!(answer["code"], 0, "{answer}");
    assert_eq!(
        answer["sign"],
        sign(answer["data"].as_object().unwrap(), SECRET)
    );
    answer["data"].clone()
}

fn bar(no: &str, scenario: &str) -> Value {
    json!({
        "mchOrderNo": no, "wayCode": "AUTO_BAR", "amount": 100, "currency": "cny", "clientIp": "10.0.0.1",
        "subject": "纸巾", "body": "纸巾 10 包", "channelExtra": format!("{{\"authCode\":\"134520273825387{scenario}\"}}"),
    })
}

fn pay(desk: &Desk, no: &str, scenario: &str) -> Value {
    call(desk, "/api/pay/unifiedOrder", bar(no, scenario))
}

fn query(desk: &Desk, no: &str) -> Value {
    call(desk, "/api/pay/query", json!({ "mchOrderNo": no }))
}

fn state(desk: &Desk, no: &str) -> i64 {
    data(&query(desk, no))["state"].as_i64().unwrap()
}

/// A refusal: a code, and neither data nor signature.
fn refusal(answer: &Value) -> String {
    assert_eq!(answer["code"], 9999, "{answer}");
    assert!(answer.get("sign").is_none() && answer.get("data").is_none());
    answer["msg"].as_str().unwrap().to_owned()
}

#[test]
fn a_scanned_code_pays_and_is_found_by_either_number() {
    let desk = Desk::new();
    let made = data(&pay(&desk, "E1", "000"));
    assert_eq!(
        (&made["orderState"], &made["mchOrderNo"]),
        (&2.into(), &"E1".into())
    );
    let by_ours = call(
        &desk,
        "/api/pay/query",
        json!({ "payOrderId": made["payOrderId"] }),
    );
    for seen in [query(&desk, "E1"), by_ours] {
        let seen = data(&seen);
        assert_eq!(
            (&seen["state"], &seen["amount"], &seen["wayCode"]),
            (&2.into(), &100.into(), &"WX_BAR".into())
        );
        assert_eq!(seen["payOrderId"], made["payOrderId"]);
        assert!(seen["successTime"].is_u64() && seen["createdAt"].is_u64());
    }
    assert_eq!(desk.ledger("E1")["net"], 100);
    assert!(refusal(&query(&desk, "E2")).contains("订单不存在"));
    assert_eq!(desk.get("/sandbox/warnings"), json!([]));
}

#[test]
fn alipay_is_known_by_the_code() {
    let desk = Desk::new();
    let mut own = bar("E1", "000");
    own["channelExtra"] = "{\"authCode\":\"282129340414399818\"}".into();
    data(&call(&desk, "/api/pay/unifiedOrder", own));
    assert_eq!(data(&query(&desk, "E1"))["wayCode"], "ALI_BAR");
    assert_eq!(desk.ledger("E1")["pay_platform"], 2);
}

#[test]
fn the_same_number_is_refused_whatever_it_is_about() {
    let desk = Desk::new();
    data(&pay(&desk, "E1", "000"));
    assert!(refusal(&pay(&desk, "E1", "000")).contains("已存在"));
    let page = desk.ledger("E1");
    assert_eq!(
        (&page["charges"], &page["pay_requests"]),
        (&1.into(), &2.into())
    );
}

#[test]
fn requests_that_are_not_signed_rightly_or_lack_a_field_are_refused() {
    let desk = Desk::new();
    let good = signed(bar("E1", "000"));
    let resigned = |key: &str, value: Value| {
        let mut own = bar("E1", "000");
        own[key] = value;
        signed(own)
    };
    let mut changed = good.clone();
    changed["amount"] = 101.into();
    let mut unsigned = good.clone();
    unsigned["sign"] = "".into();
    let mut unknown = good.clone();
    unknown["mchNo"] = "M2".into();
    let cases = [
        (changed, "sign"),
        (unsigned, "sign"),
        (unknown, "mchNo"),
        // What the gateway doesn't know is no part of what it signs.
        (resigned("colour", "red".into()), "sign"),
        (resigned("amount", "100".into()), "amount"),
        (resigned("amount", 0.into()), "amount"),
        (resigned("body", "".into()), "body"),
        (resigned("wayCode", "CASH".into()), "wayCode"),
        (resigned("currency", "usd".into()), "currency"),
        (
            resigned("channelExtra", json!({ "authCode": "1" })),
            "channelExtra",
        ),
        (resigned("channelExtra", "{}".into()), "authCode"),
        (resigned("reqTime", "1622016572".into()), "reqTime"),
        (resigned("signType", "RSA".into()), "signType"),
    ];
    for (request, key) in cases {
        let (_, text) = raw(&desk, "/api/pay/unifiedOrder", &request).unwrap();
        let why = refusal(&serde_json::from_str(&text).unwrap());
        assert!(why.contains(key), "{key}: {why}");
    }
    assert_eq!(desk.get("/sandbox/warnings")[0]["key"], "colour");
    assert!(refusal(&query(&desk, "E1")).contains("不存在"));
}

#[test]
fn scenarios_decide_states() {
    let desk = Desk::new();
    let cases = [
        ("001", 1, [1, 2, 2], 100),
        ("002", 1, [1, 1, 1], 0),
        ("003", 1, [1, 3, 3], 0),
        ("004", 3, [3, 3, 3], 0),
        ("912", 3, [2, 2, 2], 100),
    ];
    for (scenario, first, then, net) in cases {
        let made = data(&pay(&desk, scenario, scenario));
        assert_eq!(made["orderState"], first, "{scenario}");
        for expected in then {
            assert_eq!(state(&desk, scenario), expected, "{scenario}");
        }
        assert_eq!(desk.ledger(scenario)["net"], net);
    }
    assert_eq!(data(&query(&desk, "004"))["errMsg"], "支付失败");
}

#[test]
fn refusals_leave_no_order_and_what_never_arrived_can_be_sent_again() {
    let desk = Desk::new();
    for scenario in ["101", "102", "104", "407", "910"] {
        refusal(&pay(&desk, scenario, scenario));
        refusal(&query(&desk, scenario));
    }
    for scenario in ["006", "007", "902"] {
        let first = raw(
            &desk,
            "/api/pay/unifiedOrder",
            &signed(bar(scenario, scenario)),
        );
        match first {
            None => assert_eq!(scenario, "902"),
            Some((_, text)) => assert!(text.contains("\"code\":9999") && text.contains("系统异常")),
        }
        refusal(&query(&desk, scenario));
        assert_eq!(data(&pay(&desk, scenario, scenario))["orderState"], 2);
    }
}

#[test]
fn a_charge_survives_every_bad_answer() {
    let desk = Desk::new();
    for scenario in [
        "005", "901", "903", "904", "905", "906", "907", "908", "909",
    ] {
        let got = raw(
            &desk,
            "/api/pay/unifiedOrder",
            &signed(bar(scenario, scenario)),
        );
        match (scenario, got) {
            ("901" | "905", got) => assert!(got.is_none(), "{scenario}"),
            ("906", Some((status, _))) => assert_eq!(status, 502),
            ("909", Some((status, text))) => assert_eq!((status, text.as_str()), (200, "")),
            (_, Some((200, text))) => {
                let answer: Value = serde_json::from_str(&text).unwrap();
                let fields = answer["data"].as_object();
                match scenario {
                    "005" => assert!(refusal(&answer).contains("系统异常")),
                    "904" => assert_ne!(answer["sign"], sign(fields.unwrap(), SECRET)),
                    "907" => assert_ne!(data(&answer)["mchOrderNo"], "907"),
                    "908" => assert!(answer.get("sign").is_none()),
                    _ => assert_eq!(data(&answer)["orderState"], 2),
                }
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(state(&desk, scenario), 2, "{scenario}");
        assert_eq!(desk.ledger(scenario)["charges"], 1);
    }
}

#[test]
fn ext_param_wins_and_a_shown_code_waits() {
    let desk = Desk::new();
    let mut own = bar("E1", "000");
    own["extParam"] = "sandbox:002".into();
    assert_eq!(
        data(&call(&desk, "/api/pay/unifiedOrder", own))["orderState"],
        1
    );
    let shown = |no: &str, way: &str, ext: &str| {
        let mut own = bar(no, "000");
        own["wayCode"] = way.into();
        own["channelExtra"] = "{\"payDataType\":\"codeUrl\"}".into();
        own["extParam"] = ext.into();
        data(&call(&desk, "/api/pay/unifiedOrder", own))
    };
    let made = shown("E2", "WX_NATIVE", "table 7");
    assert_eq!(
        (&made["orderState"], &made["payDataType"]),
        (&1.into(), &"codeUrl".into())
    );
    assert_eq!(state(&desk, "E2"), 1);
    desk.press(&format!("{}/pay", made["payData"].as_str().unwrap()));
    assert_eq!(state(&desk, "E2"), 2);
    shown("E3", "ALI_QR", "sandbox:000");
    assert_eq!(state(&desk, "E3"), 2);
}

#[test]
fn a_close_says_nothing_and_only_waiting_orders_close() {
    let desk = Desk::new();
    let close = |no: &str| call(&desk, "/api/pay/close", json!({ "mchOrderNo": no }));
    data(&pay(&desk, "E1", "002"));
    data(&pay(&desk, "E2", "000"));
    data(&pay(&desk, "E3", "911"));
    assert_eq!(data(&close("E1")), json!({}));
    assert_eq!(state(&desk, "E1"), 6);
    for no in ["E1", "E2"] {
        assert!(refusal(&close(no)).contains("不可关闭"));
    }
    assert_eq!(data(&close("E3")), json!({}));
    assert_eq!(
        (state(&desk, "E3"), desk.ledger("E3")["net"].clone()),
        (2, 100.into())
    );
    assert!(refusal(&close("E4")).contains("不存在"));
}

#[test]
fn refunds_go_one_at_a_time_and_every_number_once() {
    let desk = Desk::new();
    data(&pay(&desk, "E1", "000"));
    let refund = |no: &str, fee: u64, reason: &str| {
        signed(json!({
            "mchOrderNo": "E1", "mchRefundNo": no, "refundAmount": fee, "currency": "cny", "refundReason": reason,
        }))
    };
    let ask = |no: &str, fee: u64| -> Value {
        let (_, text) = raw(&desk, "/api/refund/refundOrder", &refund(no, fee, "退货")).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let seen = |no: &str| {
        data(&call(
            &desk,
            "/api/refund/query",
            json!({ "mchRefundNo": no }),
        ))
    };
    let made = data(&ask("R1", 30));
    assert_eq!(
        (&made["state"], &made["refundAmount"]),
        (&1.into(), &30.into())
    );
    assert!(refusal(&ask("R1", 30)).contains("已存在"));
    assert!(refusal(&ask("R2", 30)).contains("在途"));
    assert_eq!(seen("R1")["state"], 1);
    assert_eq!(seen("R1")["state"], 2);
    let by_ours = call(
        &desk,
        "/api/refund/query",
        json!({ "refundOrderId": made["refundOrderId"] }),
    );
    assert_eq!(data(&by_ours)["mchRefundNo"], "R1");
    assert_eq!(state(&desk, "E1"), 2);
    assert!(refusal(&ask("R3", 71)).contains("refundAmount"));
    // The answer to this one is lost.
    assert!(
        raw(
            &desk,
            "/api/refund/refundOrder",
            &refund("R4", 70, "sandbox:913")
        )
        .is_none()
    );
    seen("R4");
    assert_eq!(seen("R4")["state"], 2);
    assert_eq!(state(&desk, "E1"), 5);
    let page = desk.ledger("E1");
    assert_eq!(
        (&page["refunded"], &page["net"], &page["refund_requests"]),
        (&100.into(), &0.into(), &5.into())
    );
    let unknown = call(&desk, "/api/refund/query", json!({ "mchRefundNo": "R9" }));
    assert!(refusal(&unknown).contains("订单不存在"));
}

#[test]
fn a_query_hands_back_what_the_register_sent_and_the_ledger_knows_whose_customer_it_was() {
    let desk = Desk::new();
    let before = std::time::SystemTime::now();
    let mut own = bar("E1", "000");
    own["extParam"] = "5F1C0A99".into();
    data(&call(&desk, "/api/pay/unifiedOrder", own.clone()));
    let seen = data(&query(&desk, "E1"));
    for key in ["extParam", "subject", "body", "clientIp"] {
        assert_eq!(seen[key], own[key], "{key}");
    }
    let since = before.duration_since(std::time::UNIX_EPOCH).unwrap();
    assert!(u128::from(seen["createdAt"].as_u64().unwrap()) >= since.as_millis());
    data(&pay(&desk, "E2", "000"));
    assert!(data(&query(&desk, "E2")).get("extParam").is_none());

    let page = desk.ledger("E1");
    assert_eq!(page["author_code"], "13************7000");
    assert_eq!(page["attach"], "5F1C0A99");
    assert_eq!(page["client_ip"], "10.0.0.1");
    assert_eq!(page["device_id"], "");
}

#[test]
fn the_ledger_keeps_who_closed_and_what_the_order_was_then() {
    let desk = Desk::new();
    let close = || call(&desk, "/api/pay/close", json!({ "mchOrderNo": "E1" }));
    refusal(&close());
    data(&pay(&desk, "E1", "002"));
    data(&close());
    let page = desk.ledger("E1");
    let requests = page["undo_requests"].as_array().unwrap();
    let found: Vec<_> = requests.iter().map(|r| r["found"].clone()).collect();
    assert_eq!(found, ["none", "paying"]);
    assert_eq!(
        (&requests[1]["what"], &requests[1]["listener"]),
        (&"close".into(), &page["listener"])
    );
    assert_eq!(page["close_requests"], 2);
}

#[test]
fn the_protocols_do_not_see_each_others_orders() {
    let desk = Desk::new();
    data(&pay(&desk, "sz0100a", "000"));
    assert!(
        desk.call("query_order", &about("sz0100a"))
            .authentic()
            .description()
            .contains("不存在")
    );
    assert_eq!(
        desk.call("micro_pay", &micro("sz0100a", "000"))
            .authentic()
            .internal(),
        407
    );
    let refund = desk.call("refund", &crate::desk::refund("sz0100a", "sz0100r1", 1));
    assert!(refund.authentic().description().contains("不存在"));
    desk.call("micro_pay", &micro("sz0100b", "000")).authentic();
    assert!(refusal(&query(&desk, "sz0100b")).contains("不存在"));
}

#[test]
fn random_faults_hit_this_protocol_too() {
    let desk = Desk::new();
    desk.control("/sandbox/faults", &json!({ "cut_after": 1.0 }));
    assert!(raw(&desk, "/api/pay/unifiedOrder", &signed(bar("E1", "000"))).is_none());
    assert_eq!(state(&desk, "E1"), 2);
    desk.control(
        "/sandbox/faults",
        &json!({ "other_order": 1.0, "scope": "all" }),
    );
    assert_ne!(data(&query(&desk, "E1"))["mchOrderNo"], "E1");
}
