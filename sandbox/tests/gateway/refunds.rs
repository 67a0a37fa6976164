//! Refunds: signed, summed, asynchronous, repeatable.

use serde_json::Value;

use crate::desk::{Desk, about, micro, micro_alipay, quick, refund, signed};

fn refund_query(refund_no: &str) -> Value {
    let mut content = about("");
    content.as_object_mut().unwrap().remove("out_trade_no");
    content["out_refund_no"] = refund_no.into();
    content
}

fn state_of(answer: &crate::desk::Answer) -> i64 {
    let refund = &answer.content["query_refund_order"]["refund_order_content"][0];
    refund["wxpay_refund_order_content_ext"]["state"]
        .as_i64()
        .unwrap()
}

#[test]
fn a_refund_is_signed_with_the_longest_salt_or_coded() {
    let desk = Desk::new();
    desk.call("micro_pay", &micro("sz0100a", "000")).authentic();
    let text = refund("sz0100a", "sz0100r1", 10).to_string();
    for salt in ["32", "221", "0"] {
        let refused = desk.envelope("refund", &signed(&text, salt)).answer();
        assert_eq!((refused.status(), refused.signed), (101, None), "{salt}");
    }
    for salt in ["222", "max"] {
        let done = desk.envelope("refund", &signed(&text, salt)).authentic();
        assert_eq!(done.status(), 0, "{salt}");
    }
    let other = refund("sz0100a", "sz0100r2", 10);
    assert_eq!(desk.call("refund", &other).authentic().status(), 0);
    // Any other interface takes codes only.
    let query = desk
        .envelope("query_order", &signed(&about("sz0100a").to_string(), "222"))
        .answer();
    assert_eq!((query.status(), query.signed), (101, None));
}

#[test]
fn a_changed_text_or_field_name_is_refused() {
    let desk = Desk::new();
    desk.call("micro_pay", &micro("sz0100a", "000")).authentic();
    let mut envelope = signed(&refund("sz0100a", "sz0100r1", 10).to_string(), "222");
    let good = envelope.clone();
    envelope["request_content"] = refund("sz0100a", "sz0100r1", 11).to_string().into();
    assert_eq!(desk.envelope("refund", &envelope).answer().status(), 101);
    let mut renamed = good.clone();
    renamed["authen_info"]["s"]["signature"] = renamed["authen_info"]["s"]["sign"].take();
    assert!(
        desk.envelope("refund", &renamed)
            .answer()
            .description()
            .contains("authen_info.s.sign")
    );
    assert_eq!(desk.ledger("sz0100a")["refund_requests"], 0);
    assert_eq!(desk.envelope("refund", &good).authentic().status(), 0);
}

#[test]
fn it_is_processed_first_and_succeeds_at_the_second_query() {
    let desk = Desk::new();
    desk.call("micro_pay", &micro("sz0100a", "000")).authentic();
    let accepted = desk
        .call("refund", &refund("sz0100a", "sz0100r1", 30))
        .authentic();
    let content = &accepted.content["refund"]["refund_order_content"];
    assert_eq!(content["wxpay_refund_order_content_ext"]["state"], 4);
    assert_eq!(
        (&content["out_refund_no"], &content["refund_fee"]),
        (&"sz0100r1".into(), &30.into())
    );
    assert_eq!(desk.query("sz0100a").state(), 4);
    assert_eq!(desk.ledger("sz0100a")["refunded"], 0);
    let states: Vec<_> = (0..3)
        .map(|_| {
            state_of(
                &desk
                    .call("query_refund_order", &refund_query("sz0100r1"))
                    .authentic(),
            )
        })
        .collect();
    assert_eq!(states, [4, 2, 2]);
    let page = desk.ledger("sz0100a");
    assert_eq!((&page["refunded"], &page["net"]), (&30.into(), &70.into()));
}

#[test]
fn it_succeeds_by_itself_too() {
    let desk = Desk::with(cloudpay_sandbox::Options {
        refund_ms: 0,
        ..quick()
    });
    desk.call("micro_pay", &micro("sz0100a", "000")).authentic();
    desk.call("refund", &refund("sz0100a", "sz0100r1", 30))
        .authentic();
    assert_eq!(desk.ledger("sz0100a")["refunded"], 30);
}

#[test]
fn the_same_number_is_the_same_refund_or_none() {
    let desk = Desk::new();
    desk.call("micro_pay", &micro("sz0100a", "000")).authentic();
    desk.call("micro_pay", &micro("sz0100b", "000")).authentic();
    for _ in 0..2 {
        assert_eq!(
            desk.call("refund", &refund("sz0100a", "sz0100r1", 30))
                .authentic()
                .status(),
            0
        );
    }
    for other in [
        refund("sz0100a", "sz0100r1", 31),
        refund("sz0100b", "sz0100r1", 30),
    ] {
        let got = desk.call("refund", &other).authentic();
        assert_eq!(got.status(), 104);
        assert!(got.description().contains("out_refund_no"));
    }
    for _ in 0..3 {
        desk.call("query_refund_order", &refund_query("sz0100r1"))
            .authentic();
    }
    assert_eq!(desk.ledger("sz0100a")["refunded"], 30);
    assert_eq!(desk.ledger("sz0100b")["refunded"], 0);
}

#[test]
fn the_sum_of_refunds_is_bounded_and_the_total_must_be_right() {
    let desk = Desk::new();
    desk.call("micro_pay", &micro("sz0100a", "000")).authentic();
    desk.call("micro_pay", &micro("sz0100b", "002")).authentic();
    assert_eq!(
        desk.call("refund", &refund("sz0100a", "sz0100r1", 60))
            .authentic()
            .status(),
        0
    );
    let refused = desk
        .call("refund", &refund("sz0100a", "sz0100r2", 41))
        .authentic();
    assert_eq!(refused.status(), 104);
    assert!(refused.description().contains("refund_fee"));
    assert_eq!(
        desk.call("refund", &refund("sz0100a", "sz0100r3", 40))
            .authentic()
            .status(),
        0
    );
    let mut total = refund("sz0100a", "sz0100r4", 1);
    total["refund_content"]["total_fee"] = 101.into();
    assert!(
        desk.call("refund", &total)
            .authentic()
            .description()
            .contains("total_fee")
    );
    assert_eq!(
        desk.call("refund", &refund("sz0100b", "sz0100r5", 1))
            .authentic()
            .status(),
        104
    );
    assert!(
        desk.call("refund", &refund("sz0100c", "sz0100r6", 1))
            .authentic()
            .description()
            .contains("订单不存在")
    );
    assert_eq!(
        desk.call("reverse", &about("sz0100a")).authentic().status(),
        104
    );
}

#[test]
fn a_query_by_order_lists_all_and_unknown_ones_say_so() {
    let desk = Desk::new();
    desk.call("micro_pay", &micro("sz0100a", "000")).authentic();
    let none = desk
        .call("query_refund_order", &about("sz0100a"))
        .authentic();
    assert_eq!(none.status(), 0);
    assert_eq!(
        none.content["query_refund_order"]["refund_order_content"],
        serde_json::json!([])
    );
    desk.call("refund", &refund("sz0100a", "sz0100r1", 1))
        .authentic();
    desk.call("refund", &refund("sz0100a", "sz0100r2", 2))
        .authentic();
    let all = desk
        .call("query_refund_order", &about("sz0100a"))
        .authentic();
    let fees: Vec<_> = all.content["query_refund_order"]["refund_order_content"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["refund_fee"].as_i64().unwrap())
        .collect();
    assert_eq!(fees, [1, 2]);
    for unknown in [refund_query("sz0100r9"), about("sz0100b")] {
        let got = desk.call("query_refund_order", &unknown).authentic();
        assert_eq!(got.status(), 104);
        assert!(got.description().contains("退款单不存在"));
    }
}

#[test]
fn a_lost_answer_is_a_refund_all_the_same() {
    let desk = Desk::new();
    desk.call("micro_pay", &micro("sz0100a", "000")).authentic();
    let mut content = refund("sz0100a", "sz0100r1", 30);
    content["refund_content"]["refund_reason"] = "sandbox:913".into();
    assert!(desk.call("refund", &content).is_broken());
    assert_eq!(desk.query("sz0100a").state(), 4);
    assert_eq!(desk.call("refund", &content).authentic().status(), 0);
    for _ in 0..2 {
        desk.call("query_refund_order", &refund_query("sz0100r1"))
            .authentic();
    }
    assert_eq!(desk.ledger("sz0100a")["refunded"], 30);
}

#[test]
fn alipay_shows_a_refund_only_when_nothing_is_left() {
    let desk = Desk::new();
    desk.call("micro_pay", &micro_alipay("sz0100a", "000"))
        .authentic();
    let mut query = about("sz0100a");
    query["pay_mch_key"] = crate::desk::mch_key(2);
    for (no, fee, state) in [("sz0100r1", 40, 2), ("sz0100r2", 60, 5)] {
        let mut content = refund("sz0100a", no, fee);
        content["pay_mch_key"] = crate::desk::mch_key(2);
        desk.call("refund", &content).authentic();
        for _ in 0..2 {
            desk.call("query_refund_order", &refund_query(no))
                .authentic();
        }
        assert_eq!(desk.call("query_order", &query).authentic().state(), state);
    }
}
