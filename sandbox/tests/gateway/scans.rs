//! scan_code_pay: a code for the customer, who may pay, say no, or never come.

use serde_json::json;

use crate::desk::{Desk, Got, closing, micro, scan};

#[test]
fn without_a_scenario_the_order_waits_for_a_click() {
    let desk = Desk::new();
    let made = desk.call("scan_code_pay", &scan("sz0100a", "")).authentic();
    let url = made.content["scan_code_pay"]["code_url"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        url.starts_with(&desk.sandbox.url()) && url.len() <= 64,
        "{url}"
    );
    for _ in 0..3 {
        let seen = desk.query("sz0100a");
        assert_eq!(seen.state(), 6);
        assert_eq!(
            seen.content["query_order"]["order_content"]["code_url"],
            url
        );
    }
    let page = desk.page(&url);
    assert!(page.contains("支付 Pay") && page.contains("¥1.00") && page.contains("sz0100a"));
    assert_eq!(
        desk.control("/sandbox/orders/sz0100a/pay", &json!({})),
        (200, json!({ "state": "paid" }))
    );
    assert_eq!(desk.query("sz0100a").state(), 3);
    assert_eq!(
        desk.control("/sandbox/orders/sz0100a/pay", &json!({})).0,
        409
    );
    assert_eq!(
        desk.control("/sandbox/orders/sz0100b/pay", &json!({})).0,
        404
    );
    assert_eq!(desk.ledger("sz0100a")["charges"], 1);
    assert!(!desk.page(&url).contains("<button>"));
}

#[test]
fn the_code_url_fits_for_the_longest_number() {
    let desk = Desk::new();
    let no = format!("sz0100{}", "9".repeat(26));
    let made = desk.call("scan_code_pay", &scan(&no, "")).authentic();
    assert!(
        made.content["scan_code_pay"]["code_url"]
            .as_str()
            .unwrap()
            .len()
            <= 64
    );
}

#[test]
fn a_person_pays_or_declines_on_the_page() {
    let desk = Desk::new();
    for (no, verb, state, charges) in [("sz0100a", "pay", 3, 1), ("sz0100b", "decline", 10, 0)] {
        let made = desk.call("scan_code_pay", &scan(no, "")).authentic();
        let url = made.content["scan_code_pay"]["code_url"]
            .as_str()
            .unwrap()
            .to_owned();
        desk.press(&format!("{url}/{verb}"));
        assert_eq!(desk.query(no).state(), state);
        assert_eq!(desk.ledger(no)["charges"], charges);
    }
    let console = desk.page(&format!("{}/", desk.sandbox.control_url()));
    assert!(console.contains("sz0100a") && console.contains("已拒绝 declined"));
}

#[test]
fn scenarios_decide_the_queries() {
    let desk = Desk::new();
    let cases = [
        ("000", [3, 3, 3]),
        ("001", [6, 3, 3]),
        ("002", [6, 6, 6]),
        ("003", [6, 10, 10]),
        ("004", [10, 10, 10]),
        ("912", [3, 3, 3]),
    ];
    for (scenario, states) in cases {
        let no = format!("sz0100{scenario}");
        let made = desk.call("scan_code_pay", &scan(&no, scenario)).authentic();
        assert!(
            made.content["scan_code_pay"]["code_url"].is_string(),
            "{scenario}"
        );
        for state in states {
            assert_eq!(desk.query(&no).state(), state, "{scenario}");
        }
    }
}

#[test]
fn bad_answers_to_the_create_call_leave_an_order_that_is_paid() {
    let desk = Desk::new();
    for scenario in [
        "005", "901", "903", "904", "905", "906", "907", "908", "909",
    ] {
        let no = format!("sz0100{scenario}");
        let got = desk.call("scan_code_pay", &scan(&no, scenario));
        match scenario {
            "901" | "905" => assert!(got.is_broken(), "{scenario}"),
            "906" => assert!(matches!(got, Got::Odd(502, _))),
            "907" => {
                let body = got.authentic().content["scan_code_pay"].clone();
                assert_ne!(body["order_content"]["out_trade_no"], no.as_str());
            }
            "904" => assert_eq!(got.answer().signed, Some(false)),
            "005" | "908" => assert_eq!(got.answer().signed, None),
            _ => assert_eq!(got.authentic().object, scenario == "909"),
        }
        assert_eq!(desk.query(&no).state(), 3, "{scenario}");
        assert_eq!(desk.ledger(&no)["charges"], 1);
    }
}

#[test]
fn what_never_arrived_has_no_order_until_it_is_sent_again() {
    let desk = Desk::new();
    for scenario in ["006", "007", "902"] {
        let no = format!("sz0100{scenario}");
        desk.call("scan_code_pay", &scan(&no, scenario));
        assert_eq!(desk.query(&no).status(), 104);
        assert_eq!(
            desk.call("scan_code_pay", &scan(&no, scenario))
                .authentic()
                .status(),
            0
        );
        assert_eq!(desk.query(&no).state(), 3);
    }
    for (scenario, status) in [
        ("101", 101),
        ("102", 102),
        ("104", 104),
        ("407", 104),
        ("910", 104),
    ] {
        let no = format!("sz0100{scenario}");
        assert_eq!(
            desk.call("scan_code_pay", &scan(&no, scenario))
                .answer()
                .status(),
            status
        );
        assert_eq!(desk.query(&no).status(), 104);
    }
}

#[test]
fn a_closed_order_is_not_paid_except_by_a_charge_that_was_under_way() {
    let desk = Desk::new();
    for (scenario, state, net) in [("002", 7, 0), ("911", 3, 100)] {
        let no = format!("sz0100{scenario}");
        desk.call("scan_code_pay", &scan(&no, scenario)).authentic();
        assert_eq!(
            desk.call("close_order", &closing(&no, 2))
                .authentic()
                .status(),
            0
        );
        assert_eq!(desk.query(&no).state(), state);
        assert_eq!(desk.ledger(&no)["net"], net);
    }
    assert_eq!(
        desk.control("/sandbox/orders/sz0100002/pay", &json!({})).0,
        409
    );
}

#[test]
fn an_order_closes_when_its_time_is_over() {
    let desk = Desk::new();
    let mut content = scan("sz0100a", "");
    content["pay_content"]["time_expire"] = 1.into();
    assert!(
        desk.call("scan_code_pay", &content)
            .authentic()
            .description()
            .contains("time_expire")
    );
    content["pay_content"]["time_expire"] = 4_000_000_000_u64.into();
    desk.call("scan_code_pay", &content).authentic();
    let order = desk.query("sz0100a").content["query_order"]["order_content"].clone();
    assert_eq!(order["time_expire"], 4_000_000_000_u64);
}

#[test]
fn pages_show_foreign_text_as_text() {
    let desk = Desk::new();
    let no = "sz0100<script>'\"&";
    desk.call("micro_pay", &micro(no, "002")).authentic();
    let console = desk.page(&format!("{}/", desk.sandbox.control_url()));
    assert!(
        !console.contains("<script>") && console.contains("sz0100&lt;script&gt;&#39;&quot;&amp;")
    );
    let action = console
        .split("action=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    desk.press(&format!("{}{action}", desk.sandbox.control_url()));
    assert_eq!(desk.query(no).state(), 2);
}
