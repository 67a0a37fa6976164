//! One number is one payment; closing and reversing.

use serde_json::json;

use crate::desk::{Desk, about, closing, micro, scan};

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
    for other in [fee, shop, micro("sz0100a", "001")] {
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
