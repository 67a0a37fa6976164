//! The invariants of the life of a payment that money hangs on, one by one.

use std::time::Duration;

use cloudpay_sandbox::Options;
use serde_json::json;

use crate::support::{Gateway, Register, Shop, alipay_code, code, until};

/// Invariant 1. A charge that no answer proves is not reported as paid, and an answer about
/// another order or another amount proves nothing.
#[test]
fn paid_means_proven() {
    std::thread::scope(|scope| {
        for gateway in Gateway::BOTH {
            for fault in [
                "bad_auth",
                "no_auth",
                "other_order",
                "half_body",
                "garbage",
                "status_502",
                "cut_after",
                "busy_3",
                "busy_103",
            ] {
                scope.spawn(move || paid_means_proven_at(gateway, fault));
            }
        }
    });
}

fn paid_means_proven_at(gateway: Gateway, fault: &str) {
    let shop = Shop::at(gateway, Options::default()).common("micro_pay_query_order_interval", 1);
    let register = shop.register();
    shop.control_post("faults", &json!({"scope": "all", fault: 1.0}));
    let number = shop.number();
    register.pay(&number, &code("000")).expect(0);
    let reply = register.begin_wait(&number, Duration::from_secs(3)).get();
    assert_eq!(reply.code, -2, "{fault}: {}", reply.text());
    let reply = register.query(&number);
    assert_eq!(reply.code, -2, "{fault}: {}", reply.text());
    assert!(!reply.message().is_empty());
    // When the gateway is well again, the truth comes out by itself.
    shop.control_post("faults", &json!({}));
    let reply = register.wait(&number);
    let charges = shop.ledger(&number)["charges"].as_i64().unwrap_or(0);
    // What never arrived is sent again where the gateway allows it.
    let lost = gateway == Gateway::Epay123 && charges == 0;
    let expected = if lost { -1 } else { 0 };
    assert_eq!(reply.code, expected, "{fault}: {}", reply.text());
    assert_eq!(charges, i64::from(!lost), "{fault}");
}

/// Invariant 3. The same call again is the same order; the number is never another's.
#[test]
fn one_number_one_charge() {
    for gateway in Gateway::BOTH {
        one_number_one_charge_at(gateway);
    }
}

fn one_number_one_charge_at(gateway: Gateway) {
    let shop = Shop::at(gateway, Options::default());
    let register = shop.register();
    let (number, code_1) = (shop.number(), code("001"));
    register.pay(&number, &code_1).expect(0);
    register.pay(&number, &code_1).expect(0);
    let other = json!({"out_trade_no": number, "author_code": code_1, "total_fee": 101});
    let refused = register.call("micro_pay", &other).expect(-1);
    assert!(
        refused.message().contains("out_trade_no"),
        "{}",
        refused.message()
    );
    // Another customer's code under the same number is another payment; the code stays good.
    let others = code("000");
    register.pay(&number, &others).expect(-1);
    register.pay(&shop.number(), &others).expect(0);
    register.wait(&number).expect(0);
    // When it is over, too.
    register.pay(&number, &code_1).expect(0);
    register.call("micro_pay", &other).expect(-1);
    register.query(&number).expect(0);
    let ledger = shop.ledger(&number);
    assert_eq!(
        (&ledger["charges"], &ledger["charged"]),
        (&json!(1), &json!(100))
    );
    assert_eq!(ledger["pay_requests"], 1);
}

/// A payment code is good for one payment: scanned twice, the second order is refused with the
/// first one's number.
#[test]
fn a_code_scanned_twice_is_refused() {
    for gateway in Gateway::BOTH {
        a_code_scanned_twice_is_refused_at(gateway);
    }
}

fn a_code_scanned_twice_is_refused_at(gateway: Gateway) {
    let shop = Shop::at(gateway, Options::default());
    let register = shop.register();
    let (first, second, code) = (shop.number(), shop.number(), code("001"));
    register.pay(&first, &code).expect(0);
    let refused = register.pay(&second, &code).expect(-1);
    assert!(refused.message().contains(&first), "{}", refused.message());
    register.wait(&first).expect(0);
    assert_eq!(shop.ledger(&second)["pay_requests"], json!(null));
}

/// The same order, offered by two threads at once, is one order, and keeps its code.
#[test]
fn the_same_order_at_the_same_time_is_one_order() {
    let shop = Shop::open();
    let register = shop.register();
    for _ in 0..40 {
        let (number, other, code) = (shop.number(), shop.number(), code("002"));
        let payment = json!({"out_trade_no": number, "author_code": code, "total_fee": 100});
        let payment = payment.to_string();
        let twice = [(); 2].map(|()| register.begin("micro_pay", Some(payment.as_bytes()), -1, 0));
        for call in twice {
            call.get().expect(0);
        }
        register.pay(&other, &code).expect(-1);
        shop.arrived(&number);
    }
}

/// An "unpaid" that may be a channel's time-out is asked for twice, also where the journal that
/// knew the order is gone.
#[test]
fn an_unpaid_order_of_another_journal_is_asked_for_twice() {
    let shop = Shop::at(Gateway::Epay123, Options::default());
    let (number, known) = (shop.number(), shop.register());
    known.pay(&number, &code("004")).expect(0);
    known.wait(&number).expect(-1);
    known.fini();
    let shop = shop.common("journal_path", ":memory:");
    let register = shop.register();
    let queries = || shop.ledger(&number)["queries"].as_i64().unwrap();
    let before = queries();
    let asked = json!({"out_trade_no": number, "pay_platform": 1, "trade_type": 1});
    // Looking here only, there is nothing to see.
    register.call("wait_order", &asked).expect(-2);
    assert_eq!(queries(), before);
    register.call("query_order", &asked).expect(-1);
    assert_eq!(queries(), before + 2);
}

/// A register may wait for an order of another one, too.
#[test]
fn an_order_of_another_register_is_waited_for() {
    let shop = Shop::open();
    let (number, first) = (shop.number(), shop.register());
    first.pay(&number, &code("002")).expect(0);
    shop.arrived(&number);
    let mut conf = shop.conf.clone();
    conf["common_conf"]["journal_path"] = json!(":memory:");
    let second = Register::start();
    second.init(&conf);
    let asked = json!({"out_trade_no": number, "pay_platform": 1, "trade_type": 1});
    let waiting = second.begin(
        "wait_order",
        Some(asked.to_string().as_bytes()),
        16_384,
        50_000,
    );
    let queries = || shop.ledger(&number)["queries"].as_i64().unwrap();
    let before = queries();
    until("two more queries", || {
        (queries() >= before + 2).then_some(())
    });
    shop.control_post(&format!("orders/{number}/pay"), &json!({}));
    waiting.get().expect(0);
}

/// What is missing may be the merchant, the shop or the application: no word about the order.
#[test]
fn a_missing_application_is_no_missing_order() {
    let shop = Shop::at(Gateway::Epay123, Options::default());
    let (number, register) = (shop.number(), shop.register());
    register.pay(&number, &code("002")).expect(0);
    shop.arrived(&number);
    register.fini();
    let mut conf = shop.conf.clone();
    conf["trade_conf"]["app_id"] = json!("another");
    register.init(&conf);
    register
        .begin_wait(&number, Duration::from_secs(6))
        .get()
        .expect(-2);
}

/// Invariant 4. Failed is said only when a refusal is proven, or when nothing was sent.
#[test]
fn failed_means_not_charged() {
    for gateway in Gateway::BOTH {
        failed_means_not_charged_at(gateway);
    }
}

fn failed_means_not_charged_at(gateway: Gateway) {
    let shop = Shop::at(gateway, Options::default()).common("submit_window_ms", 1500);
    let register = shop.register();
    let number = shop.number();
    shop.control_post("down", &json!({"listener": 0}));
    register.pay(&number, &code("000")).expect(0);
    let reply = register.query(&number).expect(-2);
    assert_eq!(reply.json()["state"], "paying");
    let reply = register.wait(&number).expect(-1);
    assert!(reply.message().contains("not sent"), "{}", reply.message());
    assert_eq!(reply.json()["evidence"]["source"], "journal");
    shop.control_post("up", &json!({"listener": 0}));
    // The verdict stands, and nothing is sent after all.
    register.query(&number).expect(-1);
    assert_eq!(shop.ledger(&number), json!(null));
    // Charged, but the answer is cut off or proves nothing: that is no failure.
    let charged = ["cut_after", "bad_auth", "half_body", "garbage"].map(|fault| {
        shop.control_post("faults", &json!({fault: 1.0}));
        let number = shop.number();
        register.pay(&number, &code("000")).expect(0);
        until("the charge", || {
            (shop.ledger(&number)["charges"] == 1).then_some(())
        });
        number
    });
    for number in charged {
        register.wait(&number).expect(0);
    }
}

/// A gateway that comes back within the window gets the payment, once.
#[test]
fn a_payment_waits_for_the_network() {
    for gateway in Gateway::BOTH {
        a_payment_waits_for_the_network_at(gateway);
    }
}

fn a_payment_waits_for_the_network_at(gateway: Gateway) {
    let shop = Shop::at(gateway, Options::default());
    let register = shop.register();
    let number = shop.number();
    shop.control_post("down", &json!({"listener": 0}));
    register.pay(&number, &code("000")).expect(0);
    register
        .begin_wait(&number, Duration::from_secs(1))
        .get()
        .expect(-2);
    shop.control_post("up", &json!({"listener": 0}));
    register.wait(&number).expect(0);
    let ledger = shop.ledger(&number);
    assert_eq!(
        (&ledger["charges"], &ledger["pay_requests"]),
        (&json!(1), &json!(1))
    );
}

/// Invariant 5. Nothing that may be someone else's is cancelled, closed or reversed.
#[test]
fn never_reverse_what_may_be_someone_elses() {
    let shop = Shop::open().common("reverse_after_ms", 0);
    let register = shop.register();
    // Re-entry: refused here, nothing is sent.
    let reentry = shop.number();
    register.pay(&reentry, &code("407")).expect(0);
    register.wait(&reentry).expect(-6);
    for function in ["cancel_order", "close_order"] {
        for trade_type in [1, 2] {
            let request = json!({"out_trade_no": reentry, "trade_type": trade_type});
            let refused = register.call(function, &request);
            assert!([-1, -6].contains(&refused.code), "{function}: {refused:?}");
        }
    }
    register
        .call("cancel_order", &json!({"out_trade_no": reentry}))
        .expect(-6);
    let ledger = shop.ledger(&reentry);
    assert_eq!(
        (&ledger["reverse_requests"], &ledger["close_requests"]),
        (&json!(0), &json!(0))
    );
    // A number that was never accepted, and one of another register.
    let never = shop.number();
    let request = json!({"out_trade_no": never, "trade_type": 1, "pay_platform": 1});
    register.call("cancel_order", &request).expect(-1);
    let mut other = shop.conf.clone();
    other["trade_conf"]["device_id"] = json!("another");
    other["common_conf"]["journal_path"] = json!(":memory:");
    let neighbour = crate::support::Register::start();
    neighbour.init(&other);
    let theirs = shop.number();
    neighbour.pay(&theirs, &code("000")).expect(0);
    neighbour.wait(&theirs).expect(0);
    let request = json!({"out_trade_no": theirs, "trade_type": 1, "pay_platform": 1});
    let refused = register.call("cancel_order", &request).expect(-1);
    assert!(
        refused.message().contains("did not make"),
        "{}",
        refused.message()
    );
    assert_eq!(shop.ledger(&theirs)["reverse_requests"], 0);
    // One of this register whose journal was lost: the gateway knows whose it is.
    neighbour.fini();
    neighbour.init(&other);
    neighbour.call("cancel_order", &request).expect(0);
    assert_eq!(shop.ledger(&theirs)["net"], 0);
    // While the payment is being sent, nothing is cancelled.
    shop.control_post("faults", &json!({"delay_ms": [3000, 3000], "scope": "pay"}));
    let slow = shop.number();
    register.pay(&slow, &code("000")).expect(0);
    shop.arrived(&slow);
    register
        .call("cancel_order", &json!({"out_trade_no": slow}))
        .expect(0);
    let entries = shop.ledger(&slow)["entries"].clone();
    assert_eq!(
        (&entries[0]["what"], &entries[1]["what"]),
        (&json!("charge"), &json!("reverse"))
    );
}

/// Invariant 6. Whatever the network does, the same refund is made once.
#[test]
fn a_refund_is_not_repeated_by_accident() {
    for gateway in Gateway::BOTH {
        a_refund_is_not_repeated_by_accident_at(gateway);
    }
}

fn a_refund_is_not_repeated_by_accident_at(gateway: Gateway) {
    let shop = Shop::at(gateway, Options::default());
    let register = shop.register();
    for (scenario, make) in [("000", code as fn(&str) -> String), ("000", alipay_code)] {
        let number = shop.number();
        register.pay(&number, &make(scenario)).expect(0);
        register.wait(&number).expect(0);
        // The first answer is lost; the call again finds the same refund.
        let refund = json!({"out_trade_no": number, "total_fee": 100, "refund_fee": 30,
            "out_refund_no": format!("{number}R"), "refund_reason": "sandbox:913"});
        register.call("refund", &refund).expect(-2);
        register.call("refund", &refund).expect(0);
        register.call("refund", &refund).expect(0);
        // Another amount under the same number is another refund: refused before it is sent.
        let mut other = refund.clone();
        other["refund_fee"] = json!(31);
        let requests = shop.ledger(&number)["refund_requests"].clone();
        let refused = register.call("refund", &other).expect(-1);
        assert_eq!(shop.ledger(&number)["refund_requests"], requests);
        assert!(
            refused.message().contains("out_refund_no"),
            "{}",
            refused.message()
        );
        let asked = json!({"out_refund_no": format!("{number}R")});
        let done = until("the refund's success", || {
            let answer = register.call("query_refund", &asked).expect(0).json();
            (answer["state"] == "success").then_some(answer)
        });
        assert_eq!(done["refund_fee"], 30);
        assert_eq!(done["out_trade_no"], number);
        let content = &done["refund_order_content"];
        let named = [&content["out_refund_no"], &content["mchRefundNo"]];
        assert!(
            named.iter().any(|no| **no == format!("{number}R")),
            "{content}"
        );
        assert_eq!(shop.ledger(&number)["refunded"], 30);
        // Without a number of its own the refund takes the order's.
        let rest = json!({"out_trade_no": number, "total_fee": 100, "refund_fee": 70});
        register.call("refund", &rest).expect(0);
        register.call("refund", &rest).expect(0);
        until("the rest", || {
            (shop.ledger(&number)["refunded"] == 100).then_some(())
        });
        register.query(&number).expect(-4);
        // More than there was is the gateway's to refuse.
        let more = json!({"out_trade_no": number, "total_fee": 100, "refund_fee": 1,
            "out_refund_no": format!("{number}M")});
        register.call("refund", &more).expect(-1);
        assert_eq!(shop.ledger(&number)["net"], 0);
    }
    // That there is none is an answer about an order, and a refusal of a refund's number.
    let mut unknown = json!({"out_trade_no": shop.number(), "pay_platform": 1});
    let none = register.call("query_refund", &unknown).expect(0);
    assert_eq!(none.json()["total_count"], 0);
    unknown["out_refund_no"] = json!(shop.number());
    register.call("query_refund", &unknown).expect(-1);
    register.fini();
}

/// epay123 makes one refund of an order at a time: while one's result is unknown, another waits.
#[test]
fn a_refund_waits_for_one_without_a_result() {
    let shop = Shop::at(Gateway::Epay123, Options::default());
    let register = shop.register();
    let number = shop.number();
    register.pay(&number, &code("000")).expect(0);
    register.wait(&number).expect(0);
    let refund = |name: &str, fee: i64, reason: &str| {
        let refund = json!({"out_trade_no": number, "total_fee": 100, "refund_fee": fee,
            "out_refund_no": format!("{number}{name}"), "refund_reason": reason});
        register.call("refund", &refund)
    };
    refund("A", 60, "sandbox:913").expect(-2);
    let waits = refund("B", 30, "").expect(-1).message();
    assert!(waits.contains(&format!("{number}A")), "{waits}");
    refund("A", 60, "sandbox:913").expect(0);
    until("the first refund", || {
        (shop.ledger(&number)["refunded"] == 60).then_some(())
    });
    // One that never left has a result, until it is tried again.
    shop.control_post("down", &json!({"listener": 0}));
    refund("N", 10, "sandbox:913").expect(-2);
    refund("M", 10, "").expect(-2);
    shop.control_post("up", &json!({"listener": 0}));
    refund("N", 10, "sandbox:913").expect(-2);
    refund("M", 10, "").expect(-1);
    // What was accepted before is still accepted.
    refund("A", 60, "sandbox:913").expect(0);
    refund("N", 10, "sandbox:913").expect(0);
    until("the refund that was tried again", || {
        (shop.ledger(&number)["refunded"] == 70).then_some(())
    });
    // One that was refused has a result, too.
    refund("C", 31, "").expect(-1);
    refund("B", 30, "").expect(0);
    until("the second refund", || {
        (shop.ledger(&number)["refunded"] == 100).then_some(())
    });
}

/// The register may reverse what it has been paid; the customer gets the money back.
#[test]
fn a_paid_order_is_reversed_on_request() {
    let shop = Shop::open().common("reverse_after_ms", 500);
    let register = shop.register();
    for make in [code as fn(&str) -> String, alipay_code] {
        for scenario in ["000", "002", "901"] {
            let number = shop.number();
            register.pay(&number, &make(scenario)).expect(0);
            shop.arrived(&number);
            let cancel = json!({"out_trade_no": number, "trade_type": 1});
            register.call("cancel_order", &cancel).expect(0);
            register.query(&number).expect(-4);
            // Done is done.
            register.call("cancel_order", &cancel).expect(0);
            let ledger = shop.ledger(&number);
            assert_eq!(ledger["net"], 0, "{scenario}: {ledger}");
            assert_eq!(ledger["reverse_requests"], 1, "{scenario}: {ledger}");
        }
    }
    // Reversing a QR order is closing it, and a micro_pay isn't closed.
    let number = shop.number();
    register.pay(&number, &code("000")).expect(0);
    register.wait(&number).expect(0);
    register
        .call("close_order", &json!({"out_trade_no": number}))
        .expect(-1);
}

/// Refund and reverse carry a signature or an authentication code, as configured.
#[test]
fn refund_and_reverse_are_authenticated_as_configured() {
    for (key, reverse_auth, expected) in [
        (
            true,
            "authen",
            [("/cpay/refund", "s"), ("/cpay/reverse", "a")],
        ),
        (
            true,
            "sign",
            [("/cpay/refund", "s"), ("/cpay/reverse", "s")],
        ),
        (
            false,
            "authen",
            [("/cpay/refund", "a"), ("/cpay/reverse", "a")],
        ),
    ] {
        let mut shop = Shop::open()
            .common("reverse_after_ms", 0)
            .trade("reverse_auth", reverse_auth);
        if !key {
            shop = shop.trade("private_key", json!(null));
        }
        let register = shop.register();
        let numbers = [shop.number(), shop.number()];
        for number in &numbers {
            register.pay(number, &code("000")).expect(0);
            register.wait(number).expect(0);
        }
        let refund = json!({"out_trade_no": numbers[0], "total_fee": 100, "refund_fee": 1});
        register.call("refund", &refund).expect(0);
        register
            .call("cancel_order", &json!({"out_trade_no": numbers[1]}))
            .expect(0);
        let log = shop.control_get("log");
        for (path, auth) in expected {
            let line = log
                .as_array()
                .unwrap()
                .iter()
                .find(|line| line["path"] == path);
            assert_eq!(line.unwrap()["auth"], auth, "{path} {reverse_auth}");
        }
    }
}

#[test]
fn a_qr_order_is_closed_unless_it_is_paid() {
    for gateway in Gateway::BOTH {
        a_qr_order_is_closed_unless_it_is_paid_at(gateway);
    }
}

fn a_qr_order_is_closed_unless_it_is_paid_at(gateway: Gateway) {
    let shop = Shop::at(gateway, Options::default());
    let register = shop.register();
    let shown = |scenario| {
        let number = shop.number();
        register.scan(&number, scenario).expect(0);
        let request = json!({"out_trade_no": number, "until": "code_ready"}).to_string();
        let wait = register.begin("wait_order", Some(request.as_bytes()), 4096, 30_000);
        wait.get().expect(-5);
        number
    };
    let number = shown(None);
    register
        .call("close_order", &json!({"out_trade_no": number}))
        .expect(0);
    assert_eq!(register.query(&number).expect(-4).json()["state"], "closed");
    let number = shown(Some("000"));
    let refused = register
        .call(
            "cancel_order",
            &json!({"out_trade_no": number, "trade_type": 2}),
        )
        .expect(-1);
    assert!(
        refused.message().contains("refund"),
        "{}",
        refused.message()
    );
    register.query(&number).expect(0);
    assert_eq!(shop.ledger(&number)["net"], 100);
    assert_eq!(shop.ledger(&number)["close_requests"], 0);
}

/// A cancel that comes with the payment still in the queue stops it there, or takes it back.
#[test]
fn a_cancel_right_after_the_payment_leaves_nothing_charged() {
    let shop = Shop::open().common("reverse_after_ms", 0);
    let register = shop.register();
    let mut numbers = Vec::new();
    for _ in 0..60 {
        let number = shop.number();
        register.pay(&number, &code("000")).expect(0);
        let cancel = json!({"out_trade_no": number}).to_string();
        let cancelled = register.begin("cancel_order", Some(cancel.as_bytes()), -1, 0);
        numbers.push((number, cancelled));
    }
    let mut states = std::collections::BTreeMap::new();
    for (number, cancelled) in numbers {
        cancelled.get().expect(0);
        let order = register.query(&number).json();
        let (state, ledger) = (order["state"].as_str().unwrap(), shop.ledger(&number));
        match state {
            "failed" => assert_eq!(ledger["pay_requests"], json!(null), "{ledger}"),
            "reversed" => assert_eq!(ledger["net"], 0, "{ledger}"),
            other => panic!("{other}: {ledger}"),
        }
        *states.entry(state.to_owned()).or_insert(0) += 1;
    }
    println!("{states:?}");
}

/// A cancel whose answer is lost is proven by the query after it, not by its answer.
#[test]
fn a_reverse_is_proven_by_the_query_after_it() {
    let shop = Shop::open().common("reverse_after_ms", 0);
    let register = shop.register();
    let number = shop.number();
    register.pay(&number, &code("000")).expect(0);
    register.wait(&number).expect(0);
    let ledger = |key: &str| shop.ledger(&number)[key].as_i64().unwrap();
    let queries = ledger("queries");
    register
        .call("cancel_order", &json!({"out_trade_no": number}))
        .expect(0);
    assert_eq!(ledger("reverse_requests"), 1);
    assert!(ledger("queries") >= queries + 2, "one before, one after");
}

/// Whoever asks while an order is being reversed, hears -2, and changes nothing.
#[test]
fn a_query_during_a_reverse_does_not_end_it() {
    let shop = Shop::open().common("reverse_after_ms", 500);
    let register = shop.register();
    let slow = json!({"scope": "all", "delay_ms": [200, 400]});
    let number = shop.number();
    register.pay(&number, &code("000")).expect(0);
    register.wait(&number).expect(0);
    shop.control_post("faults", &slow);
    reverse_and_ask(&shop, &register, &number);
    // Also when the cancel comes while the payment is on its way, and the order comes to rest
    // before the cancel's turn.
    let number = shop.number();
    register.pay(&number, &code("000")).expect(0);
    shop.arrived(&number);
    reverse_and_ask(&shop, &register, &number);
}

/// Queries are on their way when the reverse begins, and while it goes on.
fn reverse_and_ask(shop: &Shop, register: &Register, number: &str) {
    let query = json!({"out_trade_no": number}).to_string();
    let ask = || register.begin("query_order", Some(query.as_bytes()), 16_384, 0);
    let before = ask();
    let cancelled = register.begin("cancel_order", Some(query.as_bytes()), -1, 0);
    let mut during = Vec::new();
    until("the end of the reverse", || {
        during.push(ask().get().code);
        (during.last() == Some(&-4)).then_some(())
    });
    cancelled.get().expect(0);
    assert!([0, -2].contains(&before.get().code));
    // Once it has begun, nobody hears "paid" again. One query may have come before that.
    let paid = during.iter().filter(|code| **code == 0).count();
    assert!(paid <= 1 && during.contains(&-2), "{during:?}");
    register.query(number).expect(-4);
    let ledger = shop.ledger(number);
    assert_eq!(
        (&ledger["net"], &ledger["reverse_requests"]),
        (&json!(0), &json!(1))
    );
}

/// A late payment is never silent. A register that cancels what has failed, to be sure, still hears of the charge
/// that comes after it.
#[test]
fn a_cancel_does_not_end_the_watch_for_a_late_payment() {
    let shop = Shop::with(Options {
        late_fail_ms: 3_000,
        ..Options::default()
    })
    .common("reverse_after_ms", 0);
    let register = shop.register();
    register.raw("set_callback", None, -1).expect(0);
    let number = shop.number();
    register.pay(&number, &code("912")).expect(0);
    register.wait(&number).expect(-1);
    register
        .call("cancel_order", &json!({"out_trade_no": number}))
        .expect(0);
    let mut codes = Vec::new();
    while codes.last() != Some(&0) {
        let news = register
            .news()
            .recv_timeout(crate::support::PATIENCE)
            .unwrap();
        codes.push(news.code);
    }
    assert_eq!(codes, [-1, 0]);
    let order = register.query(&number).expect(0).json();
    assert_eq!(order["late"], true);
}

/// The late payment: it lands after the reverse, or after a proven failure, and is surfaced.
#[test]
fn a_late_payment_is_surfaced() {
    let shop = Shop::with(Options {
        late_ms: 3_000,
        late_fail_ms: 3_000,
        ..Options::default()
    })
    .common("reverse_after_ms", 0);
    let register = shop.register();
    register.raw("set_callback", None, -1).expect(0);
    let (reversed, failed) = (shop.number(), shop.number());
    register.pay(&reversed, &code("911")).expect(0);
    register.pay(&failed, &code("912")).expect(0);
    shop.arrived(&reversed);
    register
        .call("cancel_order", &json!({"out_trade_no": reversed}))
        .expect(0);
    register.wait(&failed).expect(-1);
    let mut codes = Vec::new();
    while codes.len() < 4 {
        let news = register
            .news()
            .recv_timeout(crate::support::PATIENCE)
            .unwrap();
        codes.push((
            news.number == reversed,
            news.code,
            news.text.contains("\"late\":true"),
        ));
    }
    codes.sort_unstable();
    assert_eq!(
        codes,
        [
            (false, -1, false),
            (false, 0, true),
            (true, -4, false),
            (true, 0, true)
        ]
    );
    for number in [&reversed, &failed] {
        let order = register.query(number).expect(0).json();
        assert_eq!(order["late"], true);
        assert_eq!(shop.ledger(number)["charges"], 1);
    }
}

/// `on_timeout: "reverse"`: never sooner than the gate, never without a query before it, and a
/// payment that comes at the last moment wins.
#[test]
fn an_order_that_times_out_is_reversed_under_guard() {
    let shop = Shop::open()
        .common("on_timeout", "reverse")
        .common("micro_pay_query_order_count", 2)
        .common("micro_pay_query_order_interval", 1)
        .common("reverse_after_ms", 4000);
    let register = shop.register();
    let number = shop.number();
    register.pay(&number, &code("002")).expect(0);
    // Neither the register's questions open the gate.
    let order = until("the reverse", || {
        let answer = register.query(&number);
        assert!([-2, -4].contains(&answer.code), "{}", answer.code);
        (answer.code == -4).then(|| answer.json())
    });
    assert_eq!(order["state"], "reversed");
    let log = shop.control_get("log");
    let of = |path: &str| -> Vec<i64> {
        log.as_array()
            .unwrap()
            .iter()
            .filter(|line| line["out_trade_no"] == number && line["path"] == path)
            .map(|line| line["at_ms"].as_i64().unwrap())
            .collect()
    };
    let (paid, reversed) = (of("/cpay/micro_pay"), of("/cpay/reverse"));
    assert_eq!((paid.len(), reversed.len()), (1, 1));
    assert!(
        reversed[0] - paid[0] >= 4000,
        "{} ms",
        reversed[0] - paid[0]
    );
    let queries = of("/cpay/query_order");
    assert!(
        queries
            .iter()
            .any(|at| *at <= reversed[0] && *at - paid[0] >= 4000)
    );
    assert!(queries.iter().any(|at| *at >= reversed[0]));
    assert_eq!(shop.ledger(&number)["net"], 0);
}
