//! Refunds: none is made twice by accident, none beside a reverse, none beyond what was paid; and
//! the register can see them all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::odd::{
    Answer, Ask, Odd, Reaction, Refunding, State, Till, What, cancel, clock, number, pass, settled,
    shown,
};
use crate::support::{Gateway, Register, Reply, alipay_code, code};

/// A number of its own for a refund of this order.
fn named(order: &str, name: &str) -> String {
    format!("{order}{name}")
}

fn refund(register: &Register, order: &str, refund_no: &str, fee: i64) -> Reply {
    let request = json!({"out_trade_no": order, "out_refund_no": refund_no, "total_fee": 100,
        "refund_fee": fee, "refund_reason": "broken"});
    register.call("refund", &request)
}

/// A paid order of 100 fen with a script for what follows; queries say that it is paid.
fn paid(
    odd: &Odd,
    register: &Register,
    mut script: impl FnMut(&Ask) -> Answer + Send + 'static,
) -> String {
    let number = number();
    odd.on(&number, move |ask| match ask.what {
        What::Pay | What::Query => ask.order(State::Paid).signed(),
        _ => script(ask),
    });
    register.pay(&number, &code("0")).expect(0);
    settled(register, &number, Duration::from_secs(9)).expect(0);
    number
}

/// Every refund is accepted, and was successful when somebody asks.
fn accepts(ask: &Ask) -> Answer {
    match ask.what {
        What::Refund => ask.refunding(ask.refund_fee(), Refunding::Processing),
        What::QueryRefund => ask.missing(),
        _ => ask.done(),
    }
}

/// Words that make a cashier refund under another number.
#[track_caller]
fn does_not_advise_another_number(message: &str) {
    let message = message.to_lowercase();
    for words in [
        "another",
        "new number",
        "other number",
        "换",
        "新的退款单号",
    ] {
        assert!(!message.contains(words), "{message}");
    }
}

/// The first sending was carried out and its answer lost. Whatever the second is refused for, only
/// the refund itself tells what became of the first.
#[test]
fn a_second_sending_that_is_refused_proves_nothing_about_the_first() {
    let seconds: [(&str, Reaction); 5] = [
        ("too much", |ask| ask.refused("可退金额不足")),
        ("too fast", |ask| ask.refused("请求过于频繁")),
        ("unsigned", |ask| ask.unsigned("系统维护")),
        ("lost", |_| Answer::Cut),
        ("half lost", |ask| ask.half_refused("可退金额不足")),
    ];
    let queries: [(Reaction, i32); 5] = [
        (|ask| ask.refused("查询过于频繁"), -2),
        (|ask| ask.unsigned("系统维护"), -2),
        (|_| Answer::Cut, -2),
        (|ask| ask.refunding(50, Refunding::Success), 0),
        (|ask| ask.refunding(50, Refunding::Processing), 0),
    ];
    for gateway in Gateway::BOTH {
        let odd = Odd::start(gateway);
        let till = Till::at(&[&odd]);
        let mut register = till.register();
        let mut orders = Vec::new();
        for (why, second) in seconds {
            for (query_at, (query, code)) in queries.into_iter().enumerate() {
                let number = paid(&odd, &register, move |ask| match ask.what {
                    What::Refund if ask.nth == 1 => Answer::Cut,
                    What::Refund => second(ask),
                    What::QueryRefund => query(ask),
                    _ => ask.done(),
                });
                let first = refund(&register, &number, &named(&number, "R"), 50);
                does_not_advise_another_number(&first.message());
                assert!([-2, code].contains(&first.code), "{gateway:?}: {first:?}");
                orders.push((format!("{gateway:?} {query_at} {why}"), number, code));
            }
        }
        // Once in the same process, and once after a restart.
        for _ in 0..2 {
            for (case, number, code) in &orders {
                let again = refund(&register, number, &named(number, "R"), 50);
                // A second answer that is lost needs no question: it may stay unknown.
                let lost = case.ends_with("lost") && again.code == -2;
                assert!(lost || again.code == *code, "{case}: {}", again.message());
                does_not_advise_another_number(&again.message());
            }
            register.kill();
            register = till.register();
        }
        for (case, number, _) in &orders {
            // The first counts: only 50 are left.
            let sent = odd.count(What::Refund, number);
            refund(&register, number, &named(number, "S"), 60).expect(-1);
            assert_eq!(odd.count(What::Refund, number), sent, "{case}");
        }
    }
}

/// A refusal of the only sending, signed, is a refusal; so is a refund that failed for good.
#[test]
fn a_proven_refusal_of_a_refund_is_told() {
    for gateway in Gateway::BOTH {
        let odd = Odd::start(gateway);
        let register = Till::at(&[&odd]).register();
        let failed = paid(&odd, &register, |ask| match ask.what {
            What::Refund if ask.nth == 1 => Answer::Cut,
            What::Refund => ask.refused("可退金额不足"),
            _ => ask.refunding(50, Refunding::Failed),
        });
        let first = refund(&register, &failed, &named(&failed, "R"), 50);
        assert!([-1, -2].contains(&first.code), "{first:?}");
        refund(&register, &failed, &named(&failed, "R"), 50).expect(-1);
        if gateway == Gateway::CloudPay {
            let refused = paid(&odd, &register, |ask| match ask.what {
                What::Refund => ask.refused("可退金额不足"),
                _ => ask.missing(),
            });
            let reply = refund(&register, &refused, &named(&refused, "R"), 50).expect(-1);
            assert!(
                reply.message().contains("可退金额不足"),
                "{}",
                reply.message()
            );
            // What was refused doesn't count.
            refund(&register, &refused, &named(&refused, "S"), 100).expect(-1);
            assert_eq!(odd.count(What::Refund, &refused), 2);
        }
    }
}

/// One order's money goes back once: by a refund, or by a reverse.
#[test]
fn a_refund_and_a_reverse_of_one_order_exclude_each_other() {
    for gateway in Gateway::BOTH {
        let odd = Odd::start(gateway);
        let till = Till::at(&[&odd]).common("reverse_after_ms", 500);
        let mut register = till.register();
        let accepted = paid(&odd, &register, accepts);
        let partial = paid(&odd, &register, accepts);
        let unknown = paid(&odd, &register, |ask| match ask.what {
            What::Refund | What::QueryRefund => Answer::Cut,
            _ => ask.done(),
        });
        refund(&register, &accepted, &named(&accepted, "R"), 100).expect(0);
        refund(&register, &partial, &named(&partial, "R"), 1).expect(0);
        refund(&register, &unknown, &named(&unknown, "R"), 50).expect(-2);
        for _ in 0..2 {
            for number in [&accepted, &partial, &unknown] {
                let refused = cancel(&register, number);
                assert_eq!(refused.code, -1, "{gateway:?}: {}", refused.message());
                // Nothing paid is closed at epay123, refunded or not.
                let first = named(number, "R");
                let named = refused.message().contains(&first);
                assert!(
                    named || gateway == Gateway::Epay123,
                    "{}",
                    refused.message()
                );
                assert_eq!(odd.taken_back(number), 0, "{gateway:?}");
            }
            register.fini();
            register.init(&till.conf);
        }
        register.kill();
        register = till.register();
        for number in [&accepted, &partial, &unknown] {
            cancel(&register, number).expect(-1);
            assert_eq!(odd.taken_back(number), 0, "{gateway:?}");
        }
    }
}

/// A refund that never came to be stands in nobody's way.
#[test]
fn an_order_whose_refund_was_refused_is_reversed() {
    let odd = Odd::start(Gateway::CloudPay);
    let register = Till::at(&[&odd]).common("reverse_after_ms", 500).register();
    let number = number();
    let mut over = false;
    odd.on(&number, move |ask| match ask.what {
        What::Refund => ask.refused("余额不足"),
        What::QueryRefund => ask.missing(),
        What::Reverse => {
            over = true;
            ask.done()
        }
        _ if over => ask.order(State::Reversed).signed(),
        _ => ask.order(State::Paid).signed(),
    });
    register.pay(&number, &code("0")).expect(0);
    settled(&register, &number, Duration::from_secs(9)).expect(0);
    refund(&register, &number, &named(&number, "R"), 50).expect(-1);
    cancel(&register, &number).expect(0);
    register.query(&number).expect(-4);
}

/// What was reversed isn't refunded, nor what is being reversed: also after a restart.
#[test]
fn a_reversed_order_is_not_refunded() {
    let odd = Odd::start(Gateway::CloudPay);
    let till = Till::at(&[&odd])
        .common("reverse_after_ms", 500)
        .common("request_timeout_ms", 2_000);
    let mut register = till.register();
    let order = |register: &Register, proven: bool| {
        let number = number();
        let mut over = false;
        odd.on(&number, move |ask| match ask.what {
            What::Reverse if !proven => Answer::Cut,
            What::Reverse => {
                over = true;
                ask.done()
            }
            What::Query if over => ask.order(State::Reversed).signed(),
            What::Pay | What::Query => ask.order(State::Paid).signed(),
            _ => accepts(ask),
        });
        register.pay(&number, &code("0")).expect(0);
        settled(register, &number, Duration::from_secs(9)).expect(0);
        number
    };
    let (proven, under_way) = (order(&register, true), order(&register, false));
    cancel(&register, &proven).expect(0);
    let request = json!({"out_trade_no": under_way}).to_string();
    let cancelling = register.begin("cancel_order", Some(request.as_bytes()), -1, 0);
    crate::support::until("the reverse", || {
        (odd.count(What::Reverse, &under_way) > 0).then_some(())
    });
    let refused = refund(&register, &under_way, &named(&under_way, "R"), 50);
    assert!([-1, -2].contains(&refused.code), "{refused:?}");
    assert_eq!(odd.count(What::Refund, &under_way), 0);
    assert_ne!(cancelling.get().code, 0);
    for _ in 0..2 {
        let refused = refund(&register, &proven, &named(&proven, "R"), 100).expect(-1);
        assert!(
            refused.message().contains("revers"),
            "{}",
            refused.message()
        );
        assert_eq!(odd.count(What::Refund, &proven), 0);
        register.kill();
        register = till.register();
    }
}

/// The rule holds for orders that another journal knows, too: the refund stands in ours.
#[test]
fn a_strangers_order_that_was_refunded_is_not_reversed() {
    let odd = Odd::start(Gateway::CloudPay);
    let register = Till::at(&[&odd]).common("reverse_after_ms", 500).register();
    let number = number();
    odd.on(&number, |ask| match ask.what {
        What::Query => {
            let client = json!({"device_id": "till 7", "machine_no": "00-00-00-00-00-07"});
            ask.order(State::Paid).set("/order_client", client).signed()
        }
        _ => accepts(ask),
    });
    let request = json!({"out_trade_no": number, "out_refund_no": named(&number, "R"),
        "total_fee": 100, "refund_fee": 100, "pay_platform": 1});
    register.call("refund", &request).expect(0);
    let asked = json!({"out_trade_no": number, "pay_platform": 1, "trade_type": 1});
    let refused = register.call("cancel_order", &asked).expect(-1);
    assert!(
        refused.message().contains(&named(&number, "R")),
        "{}",
        refused.message()
    );
    assert_eq!(odd.taken_back(&number), 0);
}

/// However often, under whatever numbers, from however many threads: what goes back is never more
/// than what was paid.
#[test]
fn refunds_never_exceed_what_was_paid() {
    for gateway in Gateway::BOTH {
        let odd = Odd::start(gateway);
        let till = Till::at(&[&odd]);
        let register = till.register();
        let out = Arc::new(AtomicI64::new(0));
        let count = Arc::clone(&out);
        let order = |register: &Register| {
            let sum = Arc::clone(&count);
            paid(&odd, register, move |ask| match ask.what {
                What::Refund => {
                    sum.fetch_add(ask.refund_fee(), Ordering::SeqCst);
                    let wait = Duration::from_millis(300);
                    let done = ask.refunding(ask.refund_fee(), Refunding::Success);
                    Answer::Late(wait, Box::new(done))
                }
                _ => ask.missing(),
            })
        };
        let number = order(&register);
        refund(&register, &number, &named(&number, "A"), 60).expect(0);
        refund(&register, &number, &named(&number, "B"), 41).expect(-1);
        // A total that isn't the order's makes no room.
        let generous = json!({"out_trade_no": number, "out_refund_no": named(&number, "C"),
            "total_fee": 1000, "refund_fee": 60});
        register.call("refund", &generous).expect(-1);
        register.fini();
        register.init(&till.conf);
        refund(&register, &number, &named(&number, "B"), 41).expect(-1);
        refund(&register, &number, &named(&number, "D"), 40).expect(0);
        refund(&register, &number, &named(&number, "E"), 1).expect(-1);
        assert_eq!(out.swap(0, Ordering::SeqCst), 100, "{gateway:?}");
        // At the same time.
        let number = order(&register);
        let both = ["A", "B", "C"].map(|name| {
            let request = json!({"out_trade_no": number, "total_fee": 100, "refund_fee": 60,
                "out_refund_no": named(&number, name)});
            register.begin("refund", Some(request.to_string().as_bytes()), -1, 0)
        });
        let mut codes = both.map(|call| call.get().code);
        codes.sort_unstable();
        assert_eq!(codes, [-1, -1, 0], "{gateway:?}");
        assert_eq!(out.load(Ordering::SeqCst), 60, "{gateway:?}");
    }
}

/// What `query_refund` answers to an order's number only.
#[track_caller]
fn list(register: &Register, request: &Value) -> Vec<(String, String, i64)> {
    let list = register.call("query_refund", request).expect(0).json();
    let refunds = list["refunds"]
        .as_array()
        .unwrap_or_else(|| panic!("{list}"));
    assert_eq!(list["total_count"], refunds.len(), "{list}");
    let mut refunds: Vec<_> = refunds
        .iter()
        .map(|refund| {
            let text = |key: &str| refund[key].as_str().unwrap_or_default().to_owned();
            let fee = refund["refund_fee"].as_i64().unwrap();
            (text("out_refund_no"), text("state"), fee)
        })
        .collect();
    refunds.sort();
    refunds
}

/// Asked by the order's number only, all its refunds are told: the gateway's list, where it has
/// one, joined with the journal's.
#[test]
fn refunds_are_listed_by_the_orders_number() {
    for gateway in Gateway::BOTH {
        let odd = Odd::start(gateway);
        let register = Till::at(&[&odd]).register();
        // What the gateway says of the list: 0 no such refund, 1 nothing, 2 what it has.
        let lists = Arc::new(AtomicU8::new(0));
        let has = Arc::clone(&lists);
        let order = number();
        let mut accepted: Vec<(String, i64)> = Vec::new();
        odd.on(&order, move |ask| match ask.what {
            What::Pay | What::Query => ask.order(State::Paid).signed(),
            What::Refund => {
                accepted.push((ask.refund.clone(), ask.refund_fee()));
                ask.refunding(ask.refund_fee(), Refunding::Processing)
            }
            What::QueryRefund if !ask.refund.is_empty() => {
                let known = accepted.iter().find(|refund| refund.0 == ask.refund);
                match known {
                    Some((_, fee)) => ask.refunding(*fee, Refunding::Success),
                    None => ask.missing(),
                }
            }
            What::QueryRefund => match has.load(Ordering::SeqCst) {
                0 => ask.missing(),
                1 => ask.refund_list(&[]),
                _ => {
                    let mut all: Vec<_> = accepted
                        .iter()
                        .map(|(number, fee)| (number.as_str(), *fee, Refunding::Success))
                        .collect();
                    // Made at a desk.
                    all.push(("desk1", 5, Refunding::Success));
                    ask.refund_list(&all)
                }
            },
            _ => ask.done(),
        });
        register.pay(&order, &code("0")).expect(0);
        settled(&register, &order, Duration::from_secs(9)).expect(0);
        let (asked, empty) = (
            json!({"out_trade_no": order}),
            json!({"out_trade_no": order, "out_refund_no": ""}),
        );
        for state in [0, 1] {
            lists.store(state, Ordering::SeqCst);
            assert!(list(&register, &asked).is_empty());
            assert!(list(&register, &empty).is_empty());
        }
        let first = named(&order, "R1");
        refund(&register, &order, &first, 40).expect(0);
        lists.store(0, Ordering::SeqCst);
        for request in [&asked, &empty] {
            let refunds = list(&register, request);
            assert_eq!(refunds.len(), 1, "{gateway:?}: {refunds:?}");
            assert_eq!((&refunds[0].0, refunds[0].2), (&first, 40));
        }
        let asked_for = json!({"out_trade_no": order, "out_refund_no": first});
        let known = register.call("query_refund", &asked_for).expect(0).json();
        assert_eq!(known["refund_fee"], 40);
        // Without a number it is one of its own, and the register sees both.
        let again = json!({"out_trade_no": order, "total_fee": 100, "refund_fee": 40});
        register.call("refund", &again).expect(0);
        register.call("refund", &again).expect(0);
        assert!(odd.count(What::Refund, &order) >= 2);
        lists.store(2, Ordering::SeqCst);
        let numbers: Vec<String> = list(&register, &asked)
            .into_iter()
            .map(|refund| refund.0)
            .collect();
        let mut expected = vec![order.clone(), first.clone()];
        if gateway == Gateway::CloudPay {
            expected.insert(0, "desk1".to_owned());
        }
        assert_eq!(numbers, expected, "{gateway:?}");
        // A number that the register gave is another matter.
        let unknown = json!({"out_trade_no": order, "out_refund_no": named(&order, "X")});
        register.call("query_refund", &unknown).expect(-1);
    }
}

/// An answer about another amount is no answer about this refund.
#[test]
fn a_refund_is_bound_to_its_amount() {
    for gateway in Gateway::BOTH {
        let odd = Odd::start(gateway);
        let register = Till::at(&[&odd]).register();
        for state in [Refunding::Success, Refunding::Processing, Refunding::Failed] {
            let number = paid(&odd, &register, move |ask| match ask.what {
                What::Refund => ask.refunding(ask.refund_fee(), Refunding::Processing),
                _ => ask.refunding(5, state),
            });
            let refund_no = named(&number, "R");
            refund(&register, &number, &refund_no, 50).expect(0);
            let asked = json!({"out_trade_no": number, "out_refund_no": refund_no});
            let reply = register.call("query_refund", &asked);
            assert_eq!(reply.code, -2, "{gateway:?} {state:?}: {}", reply.text());
            // It isn't what the sum is made of either.
            refund(&register, &number, &named(&number, "S"), 60).expect(-1);
            // The answer to the refund itself is bound, too.
            let number = paid(&odd, &register, move |ask| match ask.what {
                What::Refund => ask.refunding(5, state),
                _ => Answer::Cut,
            });
            refund(&register, &number, &named(&number, "R"), 50).expect(-2);
        }
    }
}

/// How much of an order went back stands in the order.
#[test]
fn an_order_says_how_much_of_it_was_refunded() {
    for gateway in Gateway::BOTH {
        let odd = Odd::start(gateway);
        let register = Till::at(&[&odd]).register();
        let order = number();
        // WeChat calls an order refunded from its first partial refund on.
        let mut refunded = false;
        odd.on(&order, move |ask| match ask.what {
            What::Refund => {
                refunded = ask.is_cloudpay();
                ask.refunding(ask.refund_fee(), Refunding::Success)
            }
            What::QueryRefund => ask.missing(),
            _ if refunded => ask.order(State::Refunded).signed(),
            _ => ask.order(State::Paid).signed(),
        });
        register.pay(&order, &code("0")).expect(0);
        let fresh = settled(&register, &order, Duration::from_secs(9))
            .expect(0)
            .json();
        assert_eq!(fresh["refund_state"], "none", "{fresh}");
        assert!(
            [json!(0), Value::Null].contains(&fresh["refunded_fee"]),
            "{fresh}"
        );
        for (name, sum, state) in [
            ("A", 40, "partial"),
            ("B", 70, "partial"),
            ("C", 100, "full"),
        ] {
            let fee = if name == "A" { 40 } else { 30 };
            refund(&register, &order, &named(&order, name), fee).expect(0);
            let reply = register.query(&order);
            assert!(
                [0, -4].contains(&reply.code),
                "{gateway:?}: {}",
                reply.text()
            );
            assert_eq!(
                reply.json()["refunded_fee"],
                sum,
                "{gateway:?}: {}",
                reply.text()
            );
            assert_eq!(reply.json()["refund_state"], state, "{gateway:?}");
        }
        // Nobody knows what became of one refund: nobody knows the sum.
        let lost = paid(&odd, &register, |ask| match ask.what {
            What::Refund | What::QueryRefund => Answer::Cut,
            _ => ask.done(),
        });
        refund(&register, &lost, &named(&lost, "R"), 50).expect(-2);
        let reply = register.query(&lost).json();
        assert_eq!(reply["refund_state"], "unknown", "{reply}");
        // Refunded, and this journal knows nothing of it.
        let theirs = number();
        odd.on(&theirs, |ask| match ask.what {
            What::QueryRefund => ask.missing(),
            _ => ask.order(State::Refunded).signed(),
        });
        let asked = json!({"out_trade_no": theirs, "pay_platform": 1, "trade_type": 1});
        let reply = register.call("query_order", &asked).expect(-4).json();
        assert!(reply.get("refunded_fee").is_none(), "{reply}");
        assert_eq!(reply["refund_state"], "unknown", "{reply}");
        // A code that nobody has scanned.
        let code = number();
        odd.on(&code, |ask| ask.order(State::Waiting).signed());
        register.scan(&code, None).expect(0);
        let reply = shown(&register, &code, Duration::from_secs(9))
            .expect(-5)
            .json();
        assert_eq!(reply["refund_state"], "none", "{reply}");
    }
}

/// Alipay closes an order that was refunded in full: the journal knows why.
#[test]
fn an_alipay_order_that_was_refunded_in_full_is_refunded() {
    let odd = Odd::start(Gateway::CloudPay);
    let register = Till::at(&[&odd]).register();
    let order = number();
    let mut refunded = false;
    odd.on(&order, move |ask| match ask.what {
        What::Refund => {
            refunded = true;
            ask.refunding(ask.refund_fee(), Refunding::Success)
        }
        What::QueryRefund => ask.missing(),
        _ if refunded => ask.order(State::Closed).signed(),
        _ => ask.order(State::Paid).signed(),
    });
    register.pay(&order, &alipay_code("0")).expect(0);
    settled(&register, &order, Duration::from_secs(9)).expect(0);
    refund(&register, &order, &named(&order, "R"), 100).expect(0);
    let reply = register.query(&order).expect(-4).json();
    assert_eq!(reply["state"], "refunded", "{reply}");
    assert_eq!(
        (&reply["refunded_fee"], &reply["refund_state"]),
        (&json!(100), &json!("full"))
    );
}

/// A refund that isn't made: refused, or its result isn't known, and nothing was sent.
#[track_caller]
fn is_not_refunded(odd: &Odd, register: &Register, order: &str, name: &str) {
    let refused = refund(register, order, &named(order, name), 100);
    assert!(
        [-1, -2].contains(&refused.code),
        "{}: {}",
        refused.code,
        refused.message()
    );
    assert_eq!(odd.count(What::Refund, order), 0, "{}", refused.message());
}

/// The first reverse was lost: it may have been done. A second cancel that doesn't come to sending
/// anything takes nothing of that back.
#[test]
fn a_cancel_that_sends_nothing_makes_no_room_for_a_refund() {
    let odd = Odd::start(Gateway::CloudPay);
    let till = Till::at(&[&odd])
        .common("reverse_after_ms", 500)
        .common("request_timeout_ms", 1_000);
    let mut register = till.register();
    let number = number();
    let mut silent = false;
    odd.on(&number, move |ask| match ask.what {
        What::Reverse => {
            silent = true;
            Answer::Cut
        }
        What::Query if silent => Answer::Cut,
        What::Pay | What::Query => ask.order(State::Paid).signed(),
        _ => accepts(ask),
    });
    register.pay(&number, &code("0")).expect(0);
    settled(&register, &number, Duration::from_secs(9)).expect(0);
    cancel(&register, &number).expect(-2);
    is_not_refunded(&odd, &register, &number, "A");
    for name in ["B", "C"] {
        cancel(&register, &number).expect(-2);
        is_not_refunded(&odd, &register, &number, name);
        register.kill();
        register = till.register();
    }
}

/// The first reverse was lost, and the second one is refused: nobody knows what became of the first.
#[test]
fn a_refusal_of_a_second_reverse_proves_nothing_about_the_first() {
    let odd = Odd::start(Gateway::CloudPay);
    let till = Till::at(&[&odd])
        .common("reverse_after_ms", 500)
        .common("request_timeout_ms", 3_000);
    let mut register = till.register();
    let number = paid(&odd, &register, |ask| match ask.what {
        What::Reverse if ask.nth == 1 => Answer::Cut,
        What::Reverse => ask.refused("撤单处理中，请勿重复提交"),
        _ => accepts(ask),
    });
    for name in ["A", "B"] {
        cancel(&register, &number).expect(-2);
        assert!(odd.count(What::Reverse, &number) >= 2);
        is_not_refunded(&odd, &register, &number, name);
        register.kill();
        register = till.register();
    }
}

/// A refund that has failed may be sent again under its number, and is then checked like a new one:
/// what went back meanwhile counts.
#[test]
fn a_failed_refund_that_is_sent_again_is_checked_like_a_new_one() {
    for gateway in Gateway::BOTH {
        let odd = Odd::start(gateway);
        let register = Till::at(&[&odd]).common("reverse_after_ms", 500).register();
        let order = || {
            let number = number();
            let mut reversed = false;
            odd.on(&number, move |ask| match ask.what {
                What::Refund if ask.nth == 1 => ask.refunding(ask.refund_fee(), Refunding::Failed),
                What::Refund => ask.refunding(ask.refund_fee(), Refunding::Success),
                What::QueryRefund => ask.missing(),
                What::Reverse => {
                    reversed = true;
                    ask.done()
                }
                _ if reversed => ask.order(State::Reversed).signed(),
                _ => ask.order(State::Paid).signed(),
            });
            register.pay(&number, &code("0")).expect(0);
            settled(&register, &number, Duration::from_secs(9)).expect(0);
            refund(&register, &number, &named(&number, "R"), 100).expect(-1);
            number
        };
        let again = |number: &str| refund(&register, number, &named(number, "R"), 100);
        let alone = order();
        again(&alone).expect(0);
        assert_eq!(odd.count(What::Refund, &alone), 2, "{gateway:?}");
        let refunded = order();
        refund(&register, &refunded, &named(&refunded, "S"), 100).expect(0);
        let reply = again(&refunded);
        assert_eq!(odd.count(What::Refund, &refunded), 2, "{gateway:?}");
        assert_eq!(reply.code, -1, "{gateway:?}: {}", reply.message());
        if gateway == Gateway::CloudPay {
            let reversed = order();
            cancel(&register, &reversed).expect(0);
            let reply = again(&reversed);
            assert_eq!(odd.count(What::Refund, &reversed), 1);
            assert_eq!(reply.code, -1, "{}", reply.message());
        }
    }
}

/// How long a test waits until what was sent before counts as over, with a request timeout of 1 s.
const OVER: Duration = Duration::from_secs(68);

/// More than a minute later, when what was sent before counts as over, money still goes back only
/// once: scenarios that wait side by side.
#[test]
fn what_went_back_long_ago_does_not_go_back_again() {
    std::thread::scope(|scope| {
        scope.spawn(a_refund_beside_a_waiting_cancel);
        for gateway in Gateway::BOTH {
            scope.spawn(move || absence_of_a_refund_at_another_domain(gateway));
        }
        scope.spawn(a_reversed_alipay_order_after_a_kill);
    });
}

/// Of a refund and a cancel that waits until it may reverse, at most one goes out, also in a
/// process that is older than what it sent could be.
fn a_refund_beside_a_waiting_cancel() {
    let odd = Odd::start(Gateway::CloudPay);
    let register = Till::at(&[&odd])
        .common("request_timeout_ms", 1_000)
        .common("reverse_after_ms", 9_000)
        .register();
    let time = clock(&odd, &register);
    pass(&register, &time, OVER);
    // How long the cancel has waited when the refund is asked for.
    let orders = [0, 2, 6].map(|after| {
        let number = number();
        let mut reversed = false;
        odd.on(&number, move |ask| match ask.what {
            What::Reverse => {
                reversed = true;
                ask.done()
            }
            What::Query if reversed => ask.order(State::Reversed).signed(),
            What::Pay | What::Query => ask.order(State::Paid).signed(),
            _ => accepts(ask),
        });
        register.pay(&number, &code("0")).expect(0);
        (Duration::from_secs(after), number)
    });
    for (_, number) in &orders {
        settled(&register, number, Duration::from_secs(9)).expect(0);
    }
    let cancels = orders.each_ref().map(|(_, number)| {
        let request = json!({"out_trade_no": number}).to_string();
        register.begin("cancel_order", Some(request.as_bytes()), -1, 0)
    });
    let mut waited = Duration::ZERO;
    let refunds = orders.each_ref().map(|(after, number)| {
        pass(&register, &time, *after - waited);
        waited = *after;
        refund(&register, number, &named(number, "R"), 100)
    });
    let cancels = cancels.map(|cancel| cancel.get());
    for ((after, number), (refund, cancel)) in orders.iter().zip(refunds.iter().zip(&cancels)) {
        let sent = [What::Refund, What::Reverse].map(|what| odd.count(what, number) > 0);
        assert_ne!(
            sent,
            [true, true],
            "both went out, the refund after {after:?}"
        );
        let done = [refund, cancel].map(|reply| reply.code == 0);
        assert_eq!(done, sent, "{} {}", refund.message(), cancel.message());
    }
}

/// A refund went to a domain that has gone since. That another one doesn't know it proves nothing.
fn absence_of_a_refund_at_another_domain(gateway: Gateway) {
    let taker = Odd::start(gateway);
    let other = taker.sibling();
    let register = Till::at(&[&taker, &other])
        .common("request_timeout_ms", 1_000)
        .register();
    let order = || {
        let number = paid(&taker, &register, |ask| match ask.what {
            What::Refund => Answer::Cut,
            _ => ask.missing(),
        });
        let first = named(&number, "R");
        other.on(&number, move |ask| match ask.what {
            What::Pay | What::Query => ask.order(State::Paid).signed(),
            What::Refund if ask.refund == first => ask.refused("可退金额不足"),
            What::Refund => ask.refunding(ask.refund_fee(), Refunding::Success),
            _ => ask.missing(),
        });
        refund(&register, &number, &named(&number, "R"), 100).expect(-2);
        number
    };
    let orders = [order(), order(), order()];
    taker.go_away();
    let time = clock(&other, &register);
    pass(&register, &time, OVER);
    let [queried, repeated, left] = &orders;
    let ask = |number: &str| {
        let asked = json!({"out_trade_no": number, "out_refund_no": named(number, "R")});
        register.call("query_refund", &asked)
    };
    let again = |number: &str| refund(&register, number, &named(number, "R"), 100);
    let replies = [
        ("queried", ask(queried)),
        ("repeated", again(repeated)),
        ("queried, then repeated", again(queried)),
        ("repeated, then queried", ask(repeated)),
    ]
    .map(|(case, reply)| (case, reply.code, reply.message()));
    let seconds = [("queried", queried), ("repeated", repeated), ("left", left)];
    let seconds = seconds.map(|(case, number)| {
        let second = named(number, "S");
        let reply = refund(&register, number, &second, 100);
        let sent = other.heard(What::Refund, number);
        let sent = sent
            .iter()
            .any(|heard| heard.content.to_string().contains(&second));
        (case, reply.code, sent)
    });
    for (case, code, sent) in seconds {
        let all = format!("{gateway:?}, {case}: {seconds:?}, {replies:?}");
        assert!(code == -1 && !sent, "{all}");
    }
    for (case, code, words) in &replies {
        assert!([-1, -2].contains(code), "{gateway:?}, {case}: {code}");
        does_not_advise_another_number(words);
    }
}

/// The register was killed before it heard that its reverse was done, and Alipay calls the order
/// closed. It was paid and went back, whatever an answer that lags says.
fn a_reversed_alipay_order_after_a_kill() {
    let odd = Odd::start(Gateway::CloudPay);
    let till = Till::at(&[&odd])
        .common("reverse_after_ms", 500)
        .common("request_timeout_ms", 1_000);
    let register = till.register();
    let order = || {
        let (number, lags) = (number(), Arc::new(AtomicBool::new(false)));
        let once = Arc::clone(&lags);
        let mut reversed = false;
        odd.on(&number, move |ask| match ask.what {
            What::Reverse => {
                reversed = true;
                Answer::Late(Duration::from_secs(2), Box::new(Answer::Cut))
            }
            What::Query if reversed && !once.swap(false, Ordering::SeqCst) => {
                ask.order(State::Closed).signed()
            }
            What::Pay | What::Query => ask.order(State::Paid).signed(),
            _ => accepts(ask),
        });
        register.pay(&number, &alipay_code("0")).expect(0);
        (number, lags)
    };
    let orders = [order(), order(), order()];
    for (number, _) in &orders {
        settled(&register, number, Duration::from_secs(9)).expect(0);
        let request = json!({"out_trade_no": number}).to_string();
        // Nobody hears how it ends.
        drop(register.begin("cancel_order", Some(request.as_bytes()), -1, 0));
    }
    for (number, _) in &orders {
        crate::support::until("the reverse", || {
            (odd.count(What::Reverse, number) > 0).then_some(())
        });
    }
    register.kill();
    let register = till.register();
    let time = clock(&odd, &register);
    let [at_once, later, lagging] = orders.each_ref().map(|(number, _)| number);
    is_not_refunded(&odd, &register, at_once, "A");
    for (number, _) in &orders {
        settled(&register, number, Duration::from_secs(9)).expect(-4);
    }
    is_not_refunded(&odd, &register, at_once, "B");
    pass(&register, &time, OVER);
    is_not_refunded(&odd, &register, at_once, "C");
    is_not_refunded(&odd, &register, later, "A");
    orders[2].1.store(true, Ordering::SeqCst);
    is_not_refunded(&odd, &register, lagging, "A");
}
