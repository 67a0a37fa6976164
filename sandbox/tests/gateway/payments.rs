//! Every scenario of micro_pay, and what the ledger says of it.

use serde_json::Value;

use crate::desk::{Desk, Got, about, micro, micro_alipay};

fn net(desk: &Desk, no: &str) -> (i64, i64) {
    let page = desk.ledger(no);
    (
        page["charges"].as_i64().unwrap(),
        page["net"].as_i64().unwrap(),
    )
}

#[test]
fn a_code_without_a_scenario_pays_at_once() {
    let desk = Desk::new();
    for (no, code) in [("sz0100a", "000"), ("sz0100b", "649")] {
        let paid = desk.call("micro_pay", &micro(no, code)).authentic();
        assert_eq!((paid.status(), paid.internal(), paid.state()), (0, 0, 2));
        let order = &paid.content["micro_pay"]["order_content"];
        assert_eq!(order["out_trade_no"], no);
        assert_eq!(order["total_fee"], 100);
        assert_eq!(order["trade_type"], 1);
        assert_eq!(order["nonce_str"], "E94C00688C3F429CA2B0B396BF823548");
        assert!(
            order["transaction_id"].as_str().unwrap().len() == 28 && order["time_end"].is_u64()
        );
        assert_eq!(
            paid.content["micro_pay"]["pay_mch_key"]["out_shop_id"],
            "sz01SANDBOXshp000001"
        );
        assert_eq!(net(&desk, no), (1, 100));
        let seen = desk.query(no);
        assert_eq!(seen.state(), 2);
        assert_eq!(
            seen.content["query_order"]["order_client"]["device_id"],
            "824"
        );
    }
}

#[test]
fn alipay_has_its_own_states() {
    let desk = Desk::new();
    for (no, scenario, first, then) in [
        ("sz0100a", "000", 2, [2, 2]),
        ("sz0100b", "001", 4, [4, 2]),
        ("sz0100c", "003", 4, [4, 5]),
    ] {
        assert_eq!(
            desk.call("micro_pay", &micro_alipay(no, scenario))
                .authentic()
                .state(),
            first
        );
        let mut query = about(no);
        query["pay_mch_key"] = crate::desk::mch_key(2);
        for state in then {
            assert_eq!(desk.call("query_order", &query).authentic().state(), state);
        }
    }
}

#[test]
fn a_waiting_customer_pays_never_pays_or_says_no() {
    let desk = Desk::new();
    let cases = [
        ("001", [9, 2, 2], (1, 100)),
        ("002", [9, 9, 9], (0, 0)),
        ("003", [9, 5, 5], (0, 0)),
    ];
    for (scenario, states, money) in cases {
        let no = format!("sz0100{scenario}");
        let first = desk.call("micro_pay", &micro(&no, scenario)).authentic();
        assert_eq!((first.status(), first.state()), (0, 9));
        assert!(
            first.content["micro_pay"]["order_content"]
                .get("time_end")
                .is_none()
        );
        for state in states {
            assert_eq!(desk.query(&no).state(), state, "{scenario}");
        }
        assert_eq!(net(&desk, &no), money);
    }
}

#[test]
fn attach_wins_over_the_code() {
    let desk = Desk::new();
    let mut content = micro("sz0100a", "102");
    content["pay_content"]["wxpay_pay_content_ext"] =
        serde_json::json!({ "attach": "sandbox:002" });
    assert_eq!(desk.call("micro_pay", &content).authentic().state(), 9);
    assert_eq!(
        desk.query("sz0100a").content["query_order"]["order_content"]["wxpay_order_content_ext"]["attach"],
        "sandbox:002"
    );
}

#[test]
fn no_money_is_an_authentic_refusal_and_a_failed_order() {
    let desk = Desk::new();
    for _ in 0..2 {
        let got = desk.call("micro_pay", &micro("sz0100a", "004")).authentic();
        assert_eq!(got.status(), 104);
        assert!(got.description().contains("余额不足"));
    }
    assert_eq!(desk.query("sz0100a").state(), 10);
    assert_eq!(net(&desk, "sz0100a"), (0, 0));
}

#[test]
fn refusals_have_their_status_and_leave_no_order() {
    let desk = Desk::new();
    for (scenario, status, internal, signed) in [
        ("101", 101, 101, None),
        ("102", 102, 102, Some(true)),
        ("104", 104, 104, Some(true)),
        ("407", 104, 407, Some(true)),
        ("910", 104, 104, None),
    ] {
        let no = format!("sz0100{scenario}");
        for _ in 0..2 {
            let got = desk.call("micro_pay", &micro(&no, scenario)).answer();
            assert_eq!(
                (got.status(), got.internal(), got.signed),
                (status, internal, signed),
                "{scenario}"
            );
        }
        let seen = desk.query(&no);
        assert_eq!(seen.status(), 104);
        assert!(seen.description().contains("不存在"));
        assert_eq!(net(&desk, &no), (0, 0));
        assert_eq!(desk.ledger(&no)["pay_requests"], 2);
    }
}

#[test]
fn what_never_arrived_is_unknown_and_paid_when_sent_again() {
    let desk = Desk::new();
    for scenario in ["006", "007", "902"] {
        let no = format!("sz0100{scenario}");
        let first = desk.call("micro_pay", &micro(&no, scenario));
        match scenario {
            "006" => {
                let answer = first.answer();
                assert_eq!((answer.status(), answer.signed), (3, None));
            }
            "007" => assert_eq!(first.authentic().status(), 103),
            _ => assert!(first.is_broken(), "{first:?}"),
        }
        assert_eq!(desk.query(&no).status(), 104);
        assert_eq!(net(&desk, &no), (0, 0));
        assert_eq!(
            desk.call("micro_pay", &micro(&no, scenario))
                .authentic()
                .state(),
            2
        );
        assert_eq!(net(&desk, &no), (1, 100));
        assert_eq!(desk.ledger(&no)["pay_requests"], 2);
    }
}

#[test]
fn a_charge_survives_every_bad_answer() {
    let desk = Desk::new();
    for scenario in [
        "005", "901", "903", "904", "905", "906", "907", "908", "909",
    ] {
        let no = format!("sz0100{scenario}");
        let got = desk.call("micro_pay", &micro(&no, scenario));
        match (scenario, got) {
            ("901" | "905", got) => assert!(got.is_broken(), "{scenario}: {got:?}"),
            ("906", Got::Odd(502, page)) => assert!(page.starts_with("<html>")),
            (_, got) => {
                let answer = got.answer();
                let signed = match scenario {
                    "005" | "908" => None,
                    "904" => Some(false),
                    _ => Some(true),
                };
                assert_eq!(answer.signed, signed, "{scenario}");
                assert_eq!(answer.status(), if scenario == "005" { 3 } else { 0 });
                assert_eq!(answer.object, scenario == "909");
                if scenario == "907" {
                    assert_ne!(
                        answer.content["micro_pay"]["order_content"]["out_trade_no"],
                        Value::from(&*no)
                    );
                }
            }
        }
        assert_eq!(desk.query(&no).state(), 2, "{scenario}");
        // The same request again finds the same order.
        assert_eq!(
            desk.call("micro_pay", &micro(&no, scenario))
                .authentic()
                .state(),
            2,
            "{scenario}"
        );
        assert_eq!(net(&desk, &no), (1, 100), "{scenario}");
    }
}

#[test]
fn a_charge_can_land_after_the_reverse() {
    let desk = Desk::new();
    assert_eq!(
        desk.call("micro_pay", &micro("sz0100a", "911"))
            .authentic()
            .state(),
        9
    );
    assert_eq!(desk.query("sz0100a").state(), 9);
    assert_eq!(
        desk.call("reverse", &about("sz0100a")).authentic().status(),
        0
    );
    assert_eq!(desk.query("sz0100a").state(), 2);
    let page = desk.ledger("sz0100a");
    assert_eq!(
        (&page["charges"], &page["reversed"], &page["net"]),
        (&1.into(), &0.into(), &100.into())
    );
    assert_eq!(
        desk.call("reverse", &about("sz0100a")).authentic().status(),
        0
    );
    assert_eq!(desk.query("sz0100a").state(), 8);
    assert_eq!(net(&desk, "sz0100a"), (1, 0));
}

#[test]
fn until_the_late_charge_the_order_is_reversed_or_failed() {
    let hour = 3_600_000;
    let desk = Desk::with(cloudpay_sandbox::Options {
        late_ms: hour,
        late_fail_ms: hour,
        ..crate::desk::quick()
    });
    desk.call("micro_pay", &micro("sz0100a", "911")).authentic();
    desk.call("reverse", &about("sz0100a")).authentic();
    assert_eq!(desk.query("sz0100a").state(), 8);
    let failed = desk.call("micro_pay", &micro("sz0100b", "912")).authentic();
    assert_eq!((failed.status(), failed.state()), (0, 10));
    assert_eq!(desk.query("sz0100b").state(), 10);
    assert_eq!(net(&desk, "sz0100b"), (0, 0));
}

#[test]
fn a_reported_failure_can_be_charged_later() {
    let desk = Desk::new();
    desk.call("micro_pay", &micro("sz0100a", "912")).authentic();
    assert_eq!(desk.query("sz0100a").state(), 2);
    assert_eq!(net(&desk, "sz0100a"), (1, 100));
}
