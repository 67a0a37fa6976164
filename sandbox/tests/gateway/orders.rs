//! One number is one payment; closing and reversing.

use serde_json::json;

use crate::desk::{Desk, about, bare, closing, micro, micro_alipay, refund, scan};

#[test]
fn the_same_payment_again_is_the_same_order() {
    let desk = Desk::new();
    let first = desk.call("micro_pay", &micro("sz0100a", "000")).authentic();
    let mut again = micro("sz0100a", "000");
    again["nonce_str"] = "ANOTHER0NONCE".into();
    again["order_client"]["staff_id"] = "1207".into();
    let second = desk.call("micro_pay", &again).authentic();
    let id =
        |a: &crate::desk::Answer| a.content["micro_pay"]["order_content"]["transaction_id"].clone();
    assert_eq!(id(&first), id(&second));
    let page = desk.ledger("sz0100a");
    assert_eq!(
        (&page["charges"], &page["pay_requests"]),
        (&1.into(), &2.into())
    );
    let hashes = page["request_bodies_sha256"].as_array().unwrap();
    assert_ne!(hashes[0], hashes[1]);
    assert_eq!(hashes[0].as_str().unwrap().len(), 64);
}

#[test]
fn another_payment_under_the_same_number_is_a_reentry() {
    let desk = Desk::new();
    desk.call("micro_pay", &micro("sz0100a", "000")).authentic();
    let mut fee = micro("sz0100a", "000");
    fee["pay_content"]["total_fee"] = 101.into();
    let mut shop = micro("sz0100a", "000");
    shop["pay_mch_key"]["out_shop_id"] = "sz01SANDBOXshp000002".into();
    let mut body = micro("sz0100a", "000");
    body["pay_content"]["body"] = "茶".into();
    let mut device = micro("sz0100a", "000");
    device["order_client"]["device_id"] = "825".into();
    let mut machine = micro("sz0100a", "000");
    machine["order_client"]["machine_no"] = "32-62-A8-14-B3-C1".into();
    for other in [fee, shop, body, device, machine, micro("sz0100a", "001")] {
        let got = desk.call("micro_pay", &other).authentic();
        assert_eq!((got.status(), got.internal()), (104, 407));
    }
    let got = desk.call("scan_code_pay", &scan("sz0100a", "")).authentic();
    assert_eq!((got.status(), got.internal()), (104, 407));
    assert_eq!(desk.ledger("sz0100a")["charges"], 1);
}

#[test]
fn only_unpaid_orders_close_and_the_answer_names_none() {
    let desk = Desk::new();
    desk.call("micro_pay", &micro("sz0100a", "002")).authentic();
    desk.call("micro_pay", &micro("sz0100b", "000")).authentic();
    for _ in 0..2 {
        let closed = desk.call("close_order", &closing("sz0100a", 1)).authentic();
        assert_eq!(closed.status(), 0);
        let keys: Vec<_> = closed.content["close_order"]
            .as_object()
            .unwrap()
            .keys()
            .collect();
        assert_eq!(keys, ["nonce_str"]);
    }
    assert_eq!(desk.query("sz0100a").state(), 7);
    let paid = desk.call("close_order", &closing("sz0100b", 1)).authentic();
    assert_eq!(paid.status(), 104);
    assert_eq!(desk.query("sz0100b").state(), 2);
    assert!(
        desk.call("close_order", &closing("sz0100c", 1))
            .authentic()
            .description()
            .contains("不存在")
    );
}

#[test]
fn a_reverse_gives_the_money_back_once() {
    let desk = Desk::new();
    desk.call("micro_pay", &micro("sz0100a", "000")).authentic();
    for _ in 0..2 {
        assert_eq!(
            desk.call("reverse", &about("sz0100a")).authentic().status(),
            0
        );
    }
    assert_eq!(desk.query("sz0100a").state(), 8);
    let page = desk.ledger("sz0100a");
    assert_eq!(
        (&page["charged"], &page["reversed"], &page["net"]),
        (&100.into(), &100.into(), &0.into())
    );
    assert_eq!(
        (&page["reverse_requests"], &page["state"]),
        (&2.into(), &"reversed".into())
    );
    let what: Vec<_> = page["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["what"].clone())
        .collect();
    assert_eq!(what, ["charge", "reverse"]);
}

#[test]
fn a_waiting_order_can_be_reversed_and_is_not_charged_any_more() {
    let desk = Desk::new();
    desk.call("micro_pay", &micro("sz0100a", "001")).authentic();
    assert_eq!(
        desk.call("reverse", &about("sz0100a")).authentic().status(),
        0
    );
    for _ in 0..3 {
        assert_eq!(desk.query("sz0100a").state(), 8);
    }
    assert_eq!(desk.ledger("sz0100a")["charges"], 0);
}

#[test]
fn only_the_terminal_that_paid_reverses_and_only_what_was_scanned() {
    let desk = Desk::new();
    desk.call("micro_pay", &micro("sz0100a", "000")).authentic();
    let mut other = about("sz0100a");
    other["order_client"]["device_id"] = "825".into();
    let got = desk.call("reverse", &other).authentic();
    assert_eq!(got.status(), 104);
    assert!(got.description().contains("device_id"));
    desk.call("scan_code_pay", &scan("sz0100b", "")).authentic();
    let got = desk.call("reverse", &about("sz0100b")).authentic();
    assert_eq!(got.status(), 104);
    assert!(
        desk.call("reverse", &about("sz0100c"))
            .authentic()
            .description()
            .contains("不存在")
    );
    assert_eq!(desk.ledger("sz0100a")["net"], 100);
}

#[test]
fn a_query_for_the_wrong_platform_or_type_is_refused_without_saying_that_there_is_no_order() {
    let desk = Desk::new();
    desk.call("micro_pay", &micro("sz0100a", "000")).authentic();
    let mut platform = about("sz0100a");
    platform["pay_mch_key"] = crate::desk::mch_key(2);
    let mut kind = about("sz0100a");
    kind["trade_type"] = json!(2);
    for (content, key) in [(platform, "pay_platform"), (kind, "trade_type")] {
        let got = desk.call("query_order", &content).authentic();
        assert_eq!(got.status(), 104);
        assert!(got.description().contains(key) && !got.description().contains("不存在"));
    }
    let mut little = about("sz0100a");
    little["pay_mch_key"]
        .as_object_mut()
        .unwrap()
        .remove("pay_platform");
    little["order_client"]
        .as_object_mut()
        .unwrap()
        .remove("device_id");
    assert_eq!(desk.call("query_order", &little).authentic().state(), 2);
}

#[test]
fn an_order_can_be_asked_for_and_undone_by_its_number_alone() {
    let desk = Desk::new();
    desk.call("micro_pay", &micro_alipay("sz0100a", "000"))
        .authentic();
    desk.call("micro_pay", &micro_alipay("sz0100b", "002"))
        .authentic();
    desk.call("scan_code_pay", &scan("sz0100c", "")).authentic();
    for zero in [false, true] {
        let seen = desk.call("query_order", &bare("sz0100a", zero)).authentic();
        let body = &seen.content["query_order"];
        assert_eq!(
            (
                &body["pay_mch_key"]["pay_platform"],
                &body["order_content"]["trade_type"]
            ),
            (&2.into(), &1.into())
        );
        for (interface, no) in [
            ("reverse", "sz0100b"),
            ("close_order", "sz0100c"),
            ("query_refund_order", "sz0100a"),
        ] {
            let got = desk.call(interface, &bare(no, zero)).authentic();
            assert_eq!(got.status(), 0, "{interface}: {}", got.description());
        }
        let mut back = refund("sz0100a", &format!("sz0100r{zero}"), 10);
        back["pay_mch_key"] = bare("", zero)["pay_mch_key"].take();
        let body = desk.call("refund", &back).authentic().content;
        assert_eq!(body["refund"]["pay_mch_key"]["pay_platform"], 2);
        assert_eq!(body["refund"]["refund_order_content"]["trade_type"], 1);
    }
}

#[test]
fn answers_and_ledger_tell_whose_order_it_is() {
    let desk = Desk::new();
    let mut asked = micro("sz0100a", "000");
    asked["pay_content"]["wxpay_pay_content_ext"] = json!({ "attach": "5F1C0A99" });
    let paid = desk.call("micro_pay", &asked).authentic().content;
    let seen = desk.query("sz0100a").content;
    for body in [&paid["micro_pay"], &seen["query_order"]] {
        let content = &body["order_content"];
        assert_eq!(content["author_code"], asked["pay_content"]["author_code"]);
        assert_eq!(content["wxpay_order_content_ext"]["attach"], "5F1C0A99");
    }
    assert_eq!(seen["query_order"]["order_client"], asked["order_client"]);

    let page = desk.ledger("sz0100a");
    assert_eq!(
        (&page["device_id"], &page["machine_no"], &page["client_ip"]),
        (
            &"824".into(),
            &"32-62-A8-14-B3-C0".into(),
            &"10.0.0.1".into()
        )
    );
    assert_eq!(page["author_code"], "13************7000");
    assert_eq!(page["attach"], "5F1C0A99");
}

#[test]
fn the_ledger_keeps_who_reversed_and_what_the_order_was_then() {
    let desk = Desk::new();
    let mut other = about("sz0100a");
    other["order_client"]["device_id"] = "825".into();
    desk.call("reverse", &other).authentic();
    desk.call("micro_pay", &micro("sz0100a", "000")).authentic();
    desk.call("reverse", &other).authentic();
    desk.call("reverse", &about("sz0100a")).authentic();
    let page = desk.ledger("sz0100a");
    let requests: Vec<_> = page["undo_requests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| [&r["what"], &r["device_id"], &r["found"]].map(|v| v.as_str().unwrap()))
        .collect();
    assert_eq!(
        requests,
        [
            ["reverse", "825", "none"],
            ["reverse", "825", "paid"],
            ["reverse", "824", "paid"]
        ]
    );
    assert_eq!(
        (&page["reverse_requests"], &page["close_requests"]),
        (&3.into(), &0.into())
    );
}
