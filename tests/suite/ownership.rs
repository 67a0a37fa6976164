//! Whose order is it? What another register of the merchant paid, or is being paid, under the same
//! number is never told as ours, never shown, and never taken back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::odd::{
    Answer, Ask, OTHER_CODE, OTHER_MARK, Odd, Refunding, Shown, State, Till, Told, What, cancel,
    number, pending, settled, shown,
};
use crate::support::{Gateway, Register, alipay_code, code};

/// Long enough for several polls.
const A_WHILE: Duration = Duration::from_secs(9);

/// At both gateways, side by side.
fn at_both(test: fn(Gateway)) {
    std::thread::scope(|scope| {
        for gateway in Gateway::BOTH {
            scope.spawn(move || test(gateway));
        }
    });
}

/// A change that makes an order another register's, or one that nobody knows the owner of.
type Change = fn(&Ask, Shown) -> Shown;

/// The payment's answer is lost; every query shows the order in this state, changed.
fn lost_then(state: State, change: Change) -> impl FnMut(&Ask) -> Answer + Send + 'static {
    move |ask| match ask.what {
        What::Pay => Answer::Cut,
        What::Query => change(ask, ask.order(state)).signed(),
        _ => ask.done(),
    }
}

fn unmarked(_: &Ask, shown: Shown) -> Shown {
    shown.unmarked()
}

fn of_another(_: &Ask, shown: Shown) -> Shown {
    shown.of_another()
}

/// Nothing was taken back, and nothing was ever told as paid or as a code to show.
#[track_caller]
fn stays_theirs(odd: &Odd, register: &Register, told: &mut Told, number: &str) {
    for function in ["cancel_order", "close_order"] {
        let refused = register.call(function, &json!({"out_trade_no": number}));
        assert!([-1, -6].contains(&refused.code), "{function}: {refused:?}");
    }
    assert_eq!(register.query(number).expect(-6).json()["state"], "reentry");
    assert_eq!(odd.taken_back(number), 0);
    assert_eq!(told.of(register, number), [-6]);
}

/// One mark that differs is enough, whichever it is.
#[test]
fn a_payment_of_another_register_is_a_reentry() {
    let cloudpay: &[(&str, Change)] = &[
        ("all", of_another),
        ("the till", |_, shown| {
            shown.set("/order_client/device_id", "till 8")
        }),
        ("the machine", |_, shown| {
            shown.set("/order_client/machine_no", "00-00-00-00-00-08")
        }),
        ("the code", |_, shown| {
            shown.set("/order_content/author_code", OTHER_CODE)
        }),
        ("the code's last digits", |ask, shown| {
            let ours = ask_code(ask);
            let theirs = format!("{}{}", &ours[..ours.len() - 1], other_digit(&ours));
            shown.set("/order_content/author_code", theirs)
        }),
        ("the code alone", |_, shown| {
            shown
                .unmarked()
                .set("/order_content/author_code", OTHER_CODE)
        }),
        ("the till alone", |ask, shown| {
            let shown = shown.unmarked();
            let client = json!({"device_id": "till 8", "machine_no": ask_machine(ask)});
            shown.set("/order_client", client)
        }),
        ("what is handed back", |_, shown| {
            shown.set("/order_content/wxpay_order_content_ext/attach", OTHER_MARK)
        }),
        ("what is handed back alone", |_, shown| {
            shown
                .unmarked()
                .set("/order_content/wxpay_order_content_ext/attach", OTHER_MARK)
        }),
    ];
    let epay123: &[(&str, Change)] = &[
        ("all", of_another),
        ("what is handed back", |_, shown| {
            shown.set("/extParam", OTHER_MARK)
        }),
        ("what is handed back alone", |_, shown| {
            shown.unmarked().set("/extParam", OTHER_MARK)
        }),
    ];
    std::thread::scope(|scope| {
        scope.spawn(|| is_a_reentry_at(Gateway::CloudPay, cloudpay));
        scope.spawn(|| is_a_reentry_at(Gateway::Epay123, epay123));
    });
}

/// The payment code that this order was sent with.
fn ask_code(ask: &Ask) -> String {
    let code = ask.sent()["pay_content"]["author_code"].as_str();
    code.unwrap().to_owned()
}

fn ask_machine(ask: &Ask) -> String {
    let machine = ask.sent()["order_client"]["machine_no"].as_str();
    machine.unwrap().to_owned()
}

/// A digit that the code doesn't end with.
fn other_digit(code: &str) -> char {
    if code.ends_with('1') { '2' } else { '1' }
}

fn is_a_reentry_at(gateway: Gateway, changes: &[(&str, Change)]) {
    let odd = Odd::start(gateway);
    let register = Till::at(&[&odd]).register();
    register.raw("set_callback", None, -1).expect(0);
    let mut orders = Vec::new();
    for (mark, change) in changes {
        for state in [State::Paid, State::Paying] {
            let number = number();
            odd.on(&number, lost_then(state, *change));
            register.pay(&number, &code("0")).expect(0);
            orders.push((format!("{gateway:?}, {mark}, {state:?}"), number));
        }
    }
    if gateway == Gateway::CloudPay {
        // Alipay hands nothing back.
        let number = number();
        odd.on(&number, lost_then(State::Paid, of_another));
        register.pay(&number, &alipay_code("0")).expect(0);
        orders.push(("Alipay".to_owned(), number));
    }
    let mut told = Told::default();
    for (case, number) in &orders {
        let reply = settled(&register, number, A_WHILE);
        assert_eq!(reply.code, -6, "{case}: {}", reply.text());
        assert_eq!(reply.json()["state"], "reentry", "{case}");
    }
    for (_, number) in &orders {
        told.until(&register, number, -6, A_WHILE);
        stays_theirs(&odd, &register, &mut told, number);
    }
}

/// Every mark that was sent proves the order ours when it comes back; what is absent or empty
/// proves nothing.
#[test]
fn one_mark_that_comes_back_makes_an_order_ours() {
    let cloudpay: &[(&str, Change)] = &[
        ("all", |_, shown| shown),
        ("the till and its machine", |ask, shown| {
            let client = ask.sent()["order_client"].clone();
            shown.unmarked().set("/order_client", client)
        }),
        ("the code", |ask, shown| {
            shown
                .unmarked()
                .set("/order_content/author_code", ask_code(ask))
        }),
        ("the code; the rest is empty", |ask, shown| {
            shown
                .unmarked()
                .set("/order_client", json!({"device_id": "", "machine_no": ""}))
                .set("/order_content/author_code", ask_code(ask))
                .set("/order_content/wxpay_order_content_ext/attach", "")
        }),
        ("what is handed back", |ask, shown| {
            let attach = &ask.sent()["pay_content"]["wxpay_pay_content_ext"]["attach"];
            shown.unmarked().set(
                "/order_content/wxpay_order_content_ext/attach",
                attach.clone(),
            )
        }),
    ];
    let epay123: &[(&str, Change)] = &[
        ("all", |_, shown| shown),
        ("what is handed back", |ask, shown| {
            let mark = ask.sent()["extParam"].clone();
            shown.unmarked().set("/extParam", mark)
        }),
    ];
    for (gateway, changes) in [(Gateway::CloudPay, cloudpay), (Gateway::Epay123, epay123)] {
        let odd = Odd::start(gateway);
        let register = Till::at(&[&odd]).register();
        let orders = changes.iter().map(|(mark, change)| {
            let number = number();
            odd.on(&number, lost_then(State::Paid, *change));
            register.pay(&number, &code("0")).expect(0);
            (mark, number)
        });
        for (mark, number) in orders.collect::<Vec<_>>() {
            let reply = settled(&register, &number, A_WHILE);
            assert_eq!(reply.code, 0, "{gateway:?}, {mark}: {}", reply.text());
        }
    }
}

/// A payment that the register gives no `attach` carries one of ours: sixteen random hexadecimal
/// digits. What the register gives is sent as it is.
#[test]
fn a_payment_without_attach_carries_a_mark() {
    at_both(|gateway| {
        let odd = Odd::start(gateway);
        let register = Till::at(&[&odd]).register();
        let sent = |attach: Option<&str>, code: String| {
            let number = number();
            odd.on(&number, |ask| match ask.what {
                What::Pay => ask.order(State::Paying).signed(),
                _ => ask.order(State::Paid).signed(),
            });
            let mut payment = json!({"out_trade_no": number, "author_code": code,
                "total_fee": 100, "body": "tea"});
            if let Some(attach) = attach {
                payment["attach"] = json!(attach);
            }
            register.call("micro_pay", &payment).expect(0);
            settled(&register, &number, A_WHILE).expect(0);
            let sent = odd.heard(What::Pay, &number).remove(0).content;
            let at = match gateway {
                Gateway::CloudPay => "/pay_content/wxpay_pay_content_ext/attach",
                Gateway::Epay123 => "/extParam",
            };
            sent.pointer(at).cloned()
        };
        let marks = [sent(None, code("0")), sent(None, code("0"))];
        for mark in &marks {
            let mark = mark.as_ref().and_then(Value::as_str).unwrap_or("nothing");
            let random = mark.len() == 16 && mark.bytes().all(|c| c.is_ascii_hexdigit());
            assert!(random, "{gateway:?}: {mark}");
        }
        assert_ne!(marks[0], marks[1]);
        assert_eq!(sent(Some("table 5"), code("0")), Some(json!("table 5")));
        if gateway == Gateway::CloudPay {
            // Alipay has no place for it.
            assert_eq!(sent(None, alipay_code("0")), None);
        }
    });
}

/// Without a mark nobody knows whose order it is: not told as paid, not shown, not taken back, and
/// not failed either. That it is over without a charge may be told whosever it is.
#[test]
fn an_order_without_a_mark_is_neither_told_nor_taken_back() {
    at_both(without_a_mark_at);
}

fn without_a_mark_at(gateway: Gateway) {
    let odd = Odd::start(gateway);
    let register = Till::at(&[&odd]).common("reverse_after_ms", 500).register();
    register.raw("set_callback", None, -1).expect(0);
    let order = |state| {
        let number = number();
        odd.on(&number, lost_then(state, unmarked));
        register.pay(&number, &code("0")).expect(0);
        number
    };
    let open = [
        order(State::Paid),
        order(State::Paying),
        order(State::Refunded),
    ];
    let over = [order(State::Closed), order(State::Reversed)];
    let mut told = Told::default();
    for number in &open {
        settled(&register, number, A_WHILE).expect(-2);
        register.query(number).expect(-2);
        let refused = cancel(&register, number);
        assert!(
            [-1, -2, -6].contains(&refused.code),
            "{gateway:?}: {refused:?}"
        );
        assert_eq!(odd.taken_back(number), 0, "{gateway:?}");
        assert_eq!(pending(&register, number)["why"], "unknown");
        assert!(told.of(&register, number).is_empty());
    }
    for number in &over {
        settled(&register, number, A_WHILE * 2).expect(-4);
    }
}

/// epay123 refuses a number that it knows: that is another's payment, unless the order itself shows
/// that it is ours. No network trouble is needed for that.
#[test]
fn a_number_that_epay123_knows_already_is_a_reentry() {
    let odd = Odd::start(Gateway::Epay123);
    let register = Till::at(&[&odd]).register();
    register.raw("set_callback", None, -1).expect(0);
    let order = |state, change: Change| {
        let number = number();
        odd.on(&number, move |ask| match ask.what {
            What::Pay => ask.taken(),
            What::Query => change(ask, ask.order(state)).signed(),
            _ => ask.done(),
        });
        register.pay(&number, &code("0")).expect(0);
        number
    };
    let theirs = [
        order(State::Paid, of_another),
        order(State::Paying, of_another),
        order(State::Paid, unmarked),
        order(State::Paying, unmarked),
    ];
    let ours = [
        order(State::Paid, |_, shown| shown),
        order(State::Paid, |ask, shown| {
            let mark = ask.sent()["extParam"].clone();
            shown.unmarked().set("/extParam", mark)
        }),
    ];
    // What the order is can't be asked: neither paid nor failed.
    let unasked = number();
    odd.on(&unasked, |ask| match ask.what {
        What::Pay => ask.taken(),
        _ => Answer::Cut,
    });
    register.pay(&unasked, &code("0")).expect(0);
    let mut told = Told::default();
    for number in &theirs {
        let reply = settled(&register, number, A_WHILE);
        assert_eq!(reply.code, -6, "{}", reply.text());
        told.until(&register, number, -6, A_WHILE);
        stays_theirs(&odd, &register, &mut told, number);
    }
    let reply = settled(&register, &unasked, A_WHILE);
    assert!([-2, -6].contains(&reply.code), "{}", reply.text());
    for number in &ours {
        let reply = settled(&register, number, A_WHILE);
        assert_eq!(reply.code, 0, "{}", reply.text());
    }
}

/// The first sending was lost, and the second one hears that the number is used: by whom, the order
/// itself shows. It may be by the first one.
#[test]
fn a_second_sending_that_finds_its_number_used_is_asked_about() {
    let odd = Odd::start(Gateway::CloudPay);
    let register = Till::at(&[&odd]).common("reverse_after_ms", 500).register();
    let order = |change: Change| {
        let number = number();
        let mut again = false;
        odd.on(&number, move |ask| match ask.what {
            What::Pay if ask.nth == 1 => Answer::Cut,
            What::Pay => {
                again = true;
                ask.taken()
            }
            What::Query if again => change(ask, ask.order(State::Paid)).signed(),
            What::Query => ask.missing(),
            _ => ask.done(),
        });
        register.pay(&number, &code("0")).expect(0);
        number
    };
    let (ours, theirs) = (order(|_, shown| shown), order(of_another));
    let reply = settled(&register, &ours, A_WHILE * 2);
    assert_eq!(reply.code, 0, "{}", reply.text());
    assert_eq!(odd.count(What::Pay, &ours), 2);
    let reply = settled(&register, &theirs, A_WHILE * 2);
    assert_eq!(reply.code, -6, "{}", reply.text());
    assert_ne!(cancel(&register, &theirs).code, 0);
    assert_eq!(odd.taken_back(&theirs), 0);
}

/// epay123 with the register's own `attach`, which other registers may send, too: all that was sent
/// has to come back, made after we accepted it, by the gateway's own clock.
#[test]
fn at_epay123_everything_together_is_the_mark_of_an_order_with_its_own_attach() {
    for clock in [0, -3_600, 3_600] {
        let odd = Odd::start(Gateway::Epay123);
        odd.set_clock(clock);
        let register = Till::at(&[&odd]).register();
        let order = |change: Change| {
            let number = number();
            odd.on(&number, lost_then(State::Paid, change));
            let payment = json!({"out_trade_no": number, "author_code": code("0"),
                "total_fee": 100, "body": "tea & milk", "attach": "shop 1 & 2"});
            register.call("micro_pay", &payment).expect(0);
            number
        };
        let ours = [
            order(|_, shown| shown),
            // Clocks differ a little.
            order(|ask, shown| shown.set("/createdAt", ask.made_ms() - 60_000)),
        ];
        let theirs = [
            order(|ask, shown| shown.set("/createdAt", ask.made_ms() - 600_000)),
            order(|_, shown| shown.set("/subject", "coffee")),
            order(|_, shown| shown.set("/body", "coffee")),
            order(|_, shown| shown.set("/clientIp", "203.0.113.9")),
            order(|_, shown| shown.set("/extParam", "shop 2")),
        ];
        for number in &ours {
            let reply = settled(&register, number, A_WHILE);
            assert_eq!(reply.code, 0, "{clock}: {}", reply.text());
        }
        for number in &theirs {
            let reply = settled(&register, number, A_WHILE);
            assert!([-2, -6].contains(&reply.code), "{clock}: {}", reply.text());
            assert_eq!(odd.taken_back(number), 0);
            assert_ne!(cancel(&register, number).code, 0);
            assert_eq!(odd.taken_back(number), 0);
        }
    }
}

/// A gateway that doesn't say what its clock says is not measured by another one.
#[test]
fn without_the_gateways_clock_no_time_is_compared() {
    let odd = Odd::start(Gateway::Epay123);
    odd.hide_clock();
    let register = Till::at(&[&odd]).register();
    let order = |change: Change| {
        let number = number();
        odd.on(&number, lost_then(State::Paid, change));
        let payment = json!({"out_trade_no": number, "author_code": code("0"),
            "total_fee": 100, "body": "tea", "attach": "shop 1"});
        register.call("micro_pay", &payment).expect(0);
        number
    };
    let ours = order(|ask, shown| shown.set("/createdAt", ask.made_ms() - 600_000));
    let theirs = order(|_, shown| shown.set("/subject", "coffee"));
    let reply = settled(&register, &ours, A_WHILE);
    assert_eq!(reply.code, 0, "{}", reply.text());
    let reply = settled(&register, &theirs, A_WHILE);
    assert!([-2, -6].contains(&reply.code), "{}", reply.text());
}

/// Another register's QR code is never shown here: whoever scans it pays there.
#[test]
fn the_qr_code_of_another_register_is_never_shown() {
    at_both(|gateway| {
        let odd = Odd::start(gateway);
        let register = Till::at(&[&odd]).register();
        register.raw("set_callback", None, -1).expect(0);
        let order = |state, change: Change| {
            let number = number();
            odd.on(&number, lost_then(state, change));
            register.scan(&number, None).expect(0);
            number
        };
        let theirs = [
            order(State::Waiting, of_another),
            order(State::Paid, of_another),
        ];
        let unknown = [
            order(State::Waiting, unmarked),
            order(State::Paid, unmarked),
        ];
        let mut told = Told::default();
        let code = "weixin://";
        for number in &theirs {
            let reply = shown(&register, number, A_WHILE);
            assert_eq!(reply.code, -6, "{gateway:?}: {}", reply.text());
            assert!(!reply.text().contains(code), "{}", reply.text());
            let order = told.until(&register, number, -6, A_WHILE);
            assert!(!order.to_string().contains(code), "{order}");
            stays_theirs(&odd, &register, &mut told, number);
        }
        for number in &unknown {
            let reply = shown(&register, number, A_WHILE).expect(-2);
            assert!(!reply.text().contains(code), "{}", reply.text());
            let reply = register.query(number).expect(-2);
            assert!(!reply.text().contains(code), "{}", reply.text());
            assert_ne!(cancel(&register, number).code, 0);
            assert_eq!(odd.taken_back(number), 0);
            assert!(told.of(&register, number).is_empty());
        }
        let list = register
            .raw("pending_orders", None, 65_536)
            .expect(0)
            .text();
        assert!(!list.contains(code), "{list}");
    });
}

/// What the next start finds under the number is judged by what was sent, as it stands in the
/// journal, and not by what is configured now.
#[test]
fn a_restart_makes_no_other_registers_order_ours() {
    at_both(|gateway| {
        let odd = Odd::start(gateway);
        let till = Till::at(&[&odd]);
        let register = till.register();
        let order = |change: Change| {
            let number = number();
            odd.on(&number, move |ask| match ask.what {
                What::Pay => Answer::Cut,
                What::Query if ask.nth == 1 => Answer::Cut,
                What::Query => change(ask, ask.order(State::Paid)).signed(),
                _ => ask.done(),
            });
            register.pay(&number, &code("0")).expect(0);
            number
        };
        let (theirs, ours) = (order(of_another), order(|_, shown| shown));
        let unknown = order(unmarked);
        for number in [&theirs, &ours, &unknown] {
            crate::support::until("the first query", || {
                (odd.count(What::Query, number) == 1).then_some(())
            });
        }
        register.kill();
        let register = till.register();
        let reply = settled(&register, &theirs, A_WHILE);
        assert_eq!(reply.code, -6, "{gateway:?}: {}", reply.text());
        assert_eq!(
            settled(&register, &ours, A_WHILE).expect(0).json()["recovered"],
            true
        );
        settled(&register, &unknown, A_WHILE).expect(-2);
        for number in [&theirs, &unknown] {
            assert_ne!(cancel(&register, number).code, 0);
            assert_eq!(odd.taken_back(number), 0);
        }
    });
}

/// Two registers sent the same number, both were killed, and each comes back with the other's name:
/// the order is still that of the one that sent it.
#[test]
fn registers_that_swap_their_names_keep_their_orders() {
    let odd = Odd::start(Gateway::CloudPay);
    let name = |till: &Till, device: &str, machine: &str| {
        let mut conf = till.conf.clone();
        conf["trade_conf"]["device_id"] = json!(device);
        conf["trade_conf"]["machine_no"] = json!(machine);
        conf
    };
    let tills = [Till::at(&[&odd]), Till::at(&[&odd])];
    let names = [
        ("till 7", "00-00-00-00-00-07"),
        ("till 8", "00-00-00-00-00-08"),
    ];
    let number = number();
    let answers = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&answers);
    odd.on(&number, move |ask| match ask.what {
        // The order of the one that came first, known by its till alone.
        What::Query if asked.load(Ordering::Relaxed) => {
            let client = ask.sent()["order_client"].clone();
            ask.order(State::Paid)
                .unmarked()
                .set("/order_client", client)
                .signed()
        }
        What::Reverse => ask.done(),
        _ => Answer::Cut,
    });
    for (till, (device, machine)) in tills.iter().zip(names) {
        let register = Register::start();
        register.init(&name(till, device, machine));
        let before = odd.count(What::Pay, &number);
        register.pay(&number, &code("0")).expect(0);
        crate::support::until("the payment", || {
            (odd.count(What::Pay, &number) > before).then_some(())
        });
        register.kill();
    }
    answers.store(true, Ordering::Relaxed);
    let [first, second] = [(0, 1), (1, 0)].map(|(till, other)| {
        let (device, machine) = names[other];
        let register = Register::start();
        register.init(&name(&tills[till], device, machine));
        register
    });
    settled(&second, &number, A_WHILE).expect(-6);
    assert_ne!(cancel(&second, &number).code, 0);
    assert_eq!(odd.taken_back(&number), 0);
    settled(&first, &number, A_WHILE).expect(0);
}

/// Our payment was refused; later another register was paid under the number. That is not ours
/// coming late.
#[test]
fn a_watch_does_not_take_another_registers_payment_for_a_late_one() {
    at_both(|gateway| {
        let odd = Odd::start(gateway);
        let register = Till::at(&[&odd]).common("reverse_after_ms", 500).register();
        register.raw("set_callback", None, -1).expect(0);
        let clock = crate::odd::clock(&odd, &register);
        let order = |signed: bool, change: Change| {
            let (number, over) = (number(), Arc::new(AtomicBool::new(false)));
            let later = Arc::clone(&over);
            odd.on(&number, move |ask| match ask.what {
                What::Pay if signed => ask.refused("余额不足"),
                What::Pay => ask.unsigned("余额不足"),
                What::Query if later.load(Ordering::Relaxed) => {
                    change(ask, ask.order(State::Paid)).signed()
                }
                What::Query => ask.missing(),
                _ => ask.done(),
            });
            register.pay(&number, &code("0")).expect(0);
            settled(&register, &number, A_WHILE).expect(-1);
            over.store(true, Ordering::Relaxed);
            let before = odd.count(What::Query, &number);
            (number, before)
        };
        let mut orders = vec![order(false, of_another)];
        if gateway == Gateway::CloudPay {
            orders.push(order(true, of_another));
        }
        crate::odd::pass(&register, &clock, Duration::from_secs(18));
        let mut told = Told::default();
        for (number, before) in &orders {
            assert!(odd.count(What::Query, number) > *before, "nobody looked");
            let codes = told.of(&register, number);
            assert_eq!(codes, [-1], "{gateway:?}");
            let reply = register.query(number);
            assert!(
                [-1, -6].contains(&reply.code),
                "{gateway:?}: {}",
                reply.text()
            );
            assert_ne!(reply.json()["late"], true);
            cancel(&register, number);
            assert_eq!(odd.taken_back(number), 0, "{gateway:?}");
        }
    });
}

/// `on_timeout: "reverse"` reverses what is proven ours, and nothing else.
#[test]
fn the_end_of_the_window_takes_back_only_what_is_ours() {
    at_both(|gateway| {
        let odd = Odd::start(gateway);
        let register = Till::at(&[&odd])
            .common("on_timeout", "reverse")
            .common("micro_pay_query_order_count", 2)
            .common("micro_pay_query_order_interval", 1)
            .common("scan_code_pay_query_order_count", 2)
            .common("scan_code_pay_query_order_interval", 1)
            .common("reverse_after_ms", 3_000)
            .register();
        let order = |change: Change, qr: bool| {
            let number = number();
            let mut over = false;
            odd.on(&number, move |ask| match ask.what {
                What::Pay => Answer::Cut,
                What::Query if over => change(ask, ask.order(State::Reversed)).signed(),
                What::Query if qr => change(ask, ask.order(State::Waiting)).signed(),
                What::Query => change(ask, ask.order(State::Paying)).signed(),
                _ => {
                    over = true;
                    ask.done()
                }
            });
            if qr {
                register.scan(&number, None).expect(0);
            } else {
                register.pay(&number, &code("0")).expect(0);
            }
            number
        };
        let theirs = [order(of_another, false), order(of_another, true)];
        let unknown = [order(unmarked, false), order(unmarked, true)];
        let ours = order(|_, shown| shown, false);
        for number in &unknown {
            let reply = settled(&register, number, A_WHILE);
            assert_eq!(reply.code, -2, "{gateway:?}: {}", reply.text());
            assert_eq!(odd.taken_back(number), 0, "{gateway:?}");
        }
        for number in &theirs {
            let reply = settled(&register, number, A_WHILE);
            assert_eq!(reply.code, -6, "{gateway:?}: {}", reply.text());
            assert_eq!(odd.taken_back(number), 0, "{gateway:?}");
        }
        settled(&register, &ours, A_WHILE * 2).expect(-4);
        assert!(odd.taken_back(&ours) >= 1);
    });
}

/// The gateway's answer to the payment itself makes the order ours: nothing else has to come back.
#[test]
fn an_answered_payment_is_ours_without_a_mark() {
    for gateway in Gateway::BOTH {
        let odd = Odd::start(gateway);
        let register = Till::at(&[&odd]).register();
        let (paid, shown_here) = (number(), number());
        odd.on(&paid, |ask| match ask.what {
            What::Pay => ask.order(State::Paying).signed(),
            _ => ask.order(State::Paid).unmarked().signed(),
        });
        odd.on(&shown_here, |ask| match ask.what {
            What::Pay => ask.order(State::Waiting).signed(),
            _ => ask.order(State::Waiting).unmarked().signed(),
        });
        register.pay(&paid, &code("0")).expect(0);
        register.scan(&shown_here, None).expect(0);
        let order = shown(&register, &shown_here, A_WHILE).expect(-5).json();
        assert!(order["code_url"].is_string(), "{order}");
        settled(&register, &paid, A_WHILE).expect(0);
    }
}

/// An order that this journal doesn't hold is told as the gateway says it, and may be refunded. It
/// is taken back only when both till and machine are ours.
#[test]
fn a_strangers_order_is_told_and_refunded_but_not_taken_back() {
    for gateway in Gateway::BOTH {
        let odd = Odd::start(gateway);
        let register = Till::at(&[&odd]).common("reverse_after_ms", 500).register();
        let cases: &[(Value, bool)] = &[
            (
                json!({"device_id": "till 8", "machine_no": "00-00-00-00-00-07"}),
                false,
            ),
            (
                json!({"device_id": "till 7", "machine_no": "00-00-00-00-00-08"}),
                false,
            ),
            (json!({"device_id": "till 7"}), false),
            (json!({"device_id": "till 7", "machine_no": ""}), false),
            (Value::Null, false),
            (
                json!({"device_id": "till 7", "machine_no": "00-00-00-00-00-07"}),
                true,
            ),
        ];
        for (client, own) in cases {
            let (number, owner) = (number(), client.clone());
            let mut over = false;
            odd.on(&number, move |ask| {
                let state = if over { State::Reversed } else { State::Paid };
                match ask.what {
                    What::Query => ask
                        .order(state)
                        .set("/order_client", owner.clone())
                        .signed(),
                    What::Refund => ask.refunding(ask.refund_fee(), crate::odd::Refunding::Success),
                    What::QueryRefund => ask.missing(),
                    _ => {
                        over = true;
                        ask.done()
                    }
                }
            });
            let own = *own && gateway == Gateway::CloudPay;
            let asked = json!({"out_trade_no": number, "pay_platform": 1, "trade_type": 1});
            register.call("query_order", &asked).expect(0);
            let reply = register.call("cancel_order", &asked);
            assert_eq!(
                reply.code,
                if own { 0 } else { -1 },
                "{client}: {}",
                reply.message()
            );
            assert_eq!(odd.taken_back(&number), usize::from(own), "{client}");
            if !own {
                let refund = json!({"out_trade_no": number, "pay_platform": 1,
                    "total_fee": 100, "refund_fee": 100});
                register.call("refund", &refund).expect(0);
            }
        }
    }
}

/// epay123 has many words for a number that is used. Whatever an unsigned refusal says, an order
/// that is found under the number and shows no mark is neither told as paid nor closed.
#[test]
fn after_an_unsigned_refusal_an_order_without_a_mark_is_not_ours() {
    let odd = Odd::start(Gateway::Epay123);
    let register = Till::at(&[&odd])
        .common("reverse_after_ms", 500)
        .common("request_timeout_ms", 2_000)
        .register();
    register.raw("set_callback", None, -1).expect(0);
    let clock = crate::odd::clock(&odd, &register);
    let order = |words: &'static str, state, change: Change| {
        let number = number();
        let mut closed = false;
        odd.on(&number, move |ask| match ask.what {
            What::Pay => ask.unsigned(words),
            What::Query if closed => change(ask, ask.order(State::Closed)).signed(),
            What::Query => change(ask, ask.order(state)).signed(),
            _ => {
                closed = true;
                ask.done()
            }
        });
        register.pay(&number, &code("0")).expect(0);
        number
    };
    // Another's goods, and nothing handed back.
    let goods: Change = |ask, shown| {
        shown
            .set("/extParam", Value::Null)
            .set("/subject", "coffee")
            .set("/body", "coffee")
            .set("/createdAt", ask.made_ms() - 60_000)
    };
    let mut unproven = Vec::new();
    for words in ["商户订单号重复，请勿重复提交", "重复下单", "系统维护"] {
        for state in [State::Paid, State::Paying] {
            for change in [unmarked, goods] {
                let number = order(words, state, change);
                unproven.push((format!("{words}, {state:?}"), number));
            }
        }
    }
    let ours = order(
        "商户订单号重复，请勿重复提交",
        State::Paid,
        |_, shown| shown,
    );
    crate::odd::pass(&register, &clock, A_WHILE);
    for (case, number) in &unproven {
        for reply in [
            settled(&register, number, Duration::ZERO),
            register.query(number),
        ] {
            assert!([-2, -6].contains(&reply.code), "{case}: {}", reply.text());
        }
    }
    let cancels = unproven.iter().map(|(case, number)| {
        let request = json!({"out_trade_no": number}).to_string();
        let cancel = register.begin("cancel_order", Some(request.as_bytes()), -1, 0);
        (case, number, cancel)
    });
    let cancels: Vec<_> = cancels.collect();
    let mut told = Told::default();
    for (case, number, cancel) in cancels {
        let refused = cancel.get();
        assert_ne!(refused.code, 0, "{case}");
        assert_eq!(odd.taken_back(number), 0, "{case}: {}", refused.message());
        assert!(!told.of(&register, number).contains(&0), "{case}");
    }
    settled(&register, &ours, A_WHILE).expect(0);
    // What isn't found was refused, as fast as ever.
    let refused = number();
    odd.on(&refused, |ask| match ask.what {
        What::Pay => ask.unsigned("余额不足"),
        _ => ask.missing(),
    });
    register.pay(&refused, &code("0")).expect(0);
    settled(&register, &refused, Duration::from_secs(5)).expect(-1);
}

/// An order that may be another register's isn't refunded: also after a restart.
#[test]
fn an_order_that_is_not_proven_ours_is_not_refunded() {
    for gateway in Gateway::BOTH {
        let odd = Odd::start(gateway);
        let till = Till::at(&[&odd]);
        let mut register = till.register();
        let order = |change: Change| {
            let number = number();
            odd.on(&number, move |ask| match ask.what {
                What::Pay => Answer::Cut,
                What::Query => change(ask, ask.order(State::Paid)).signed(),
                What::Refund => ask.refunding(ask.refund_fee(), Refunding::Success),
                _ => ask.missing(),
            });
            register.pay(&number, &code("0")).expect(0);
            number
        };
        let (unknown, theirs) = (order(unmarked), order(of_another));
        settled(&register, &theirs, A_WHILE).expect(-6);
        for _ in 0..2 {
            register.query(&unknown).expect(-2);
            for (number, codes) in [(&unknown, [-2, -2]), (&theirs, [-1, -6])] {
                let request = json!({"out_trade_no": number, "total_fee": 100, "refund_fee": 100});
                let refused = register.call("refund", &request);
                assert!(
                    codes.contains(&refused.code),
                    "{gateway:?}: {}, {}",
                    refused.code,
                    refused.message()
                );
                assert_eq!(odd.count(What::Refund, number), 0, "{gateway:?}");
            }
            register.kill();
            register = till.register();
        }
    }
}

/// What epay123 answered to the payment is known after a restart: that the number is used, or that
/// the order was made.
#[test]
fn a_restart_remembers_what_epay123_answered_to_the_payment() {
    let odd = Odd::start(Gateway::Epay123);
    let till = Till::at(&[&odd]);
    let register = till.register();
    let answers = Arc::new(AtomicBool::new(false));
    let order = |made: fn(&Ask) -> Answer| {
        let number = number();
        let asked = Arc::clone(&answers);
        odd.on(&number, move |ask| match ask.what {
            What::Pay => made(ask),
            What::Query if asked.load(Ordering::Relaxed) => {
                ask.order(State::Paid).unmarked().signed()
            }
            What::Query => Answer::Cut,
            _ => ask.done(),
        });
        register.pay(&number, &code("0")).expect(0);
        number
    };
    let used = order(Ask::taken);
    // Paid already, without an amount.
    let ours = order(|ask| ask.order(State::Paid).signed());
    for number in [&used, &ours] {
        crate::support::until("questions without an answer", || {
            (odd.count(What::Query, number) >= 2).then_some(())
        });
    }
    register.kill();
    answers.store(true, Ordering::Relaxed);
    let register = till.register();
    let replies = [&used, &ours].map(|number| settled(&register, number, A_WHILE));
    let codes = replies.each_ref().map(|reply| reply.code);
    assert_eq!(
        codes,
        [-6, 0],
        "{}, {}",
        replies[0].text(),
        replies[1].text()
    );
    assert_ne!(cancel(&register, &used).code, 0);
    assert_eq!(odd.taken_back(&used), 0);
}

/// The number is used, and what is found under it shows no mark: whatever its amount is, it is
/// another's.
#[test]
fn a_used_number_and_another_amount_are_a_reentry() {
    let odd = Odd::start(Gateway::Epay123);
    let register = Till::at(&[&odd]).register();
    let orders = [State::Paid, State::Paying].map(|state| {
        let number = number();
        odd.on(&number, move |ask| match ask.what {
            What::Pay => ask.taken(),
            What::Query => ask.order(state).unmarked().set("/amount", 200).signed(),
            _ => ask.done(),
        });
        register.pay(&number, &code("0")).expect(0);
        number
    });
    for number in &orders {
        let reply = settled(&register, number, A_WHILE);
        assert_eq!(reply.code, -6, "{}", reply.text());
        assert_eq!(odd.taken_back(number), 0);
    }
}

/// Gateways write the same in other ways: a payment code of which only the last four digits are
/// shown, and a machine in small letters.
#[test]
fn a_mark_may_come_back_masked_or_in_small_letters() {
    let odd = Odd::start(Gateway::CloudPay);
    let register = Till::at(&[&odd])
        .trade("machine_no", "00-1A-2B-3C-4D-5E")
        .register();
    let order = |answered: bool, change: Change| {
        let number = number();
        odd.on(&number, move |ask| match ask.what {
            What::Pay if answered => ask.order(State::Paying).signed(),
            What::Pay => Answer::Cut,
            What::Query => change(ask, ask.order(State::Paid)).signed(),
            _ => ask.done(),
        });
        register.pay(&number, &code("649")).expect(0);
        number
    };
    let ours: [(&str, bool, Change); 4] = [
        ("an answered payment, masked", true, |ask, shown| {
            let code = masked(&ask_code(ask));
            shown.unmarked().set("/order_content/author_code", code)
        }),
        ("all, masked", false, |ask, shown| {
            let code = masked(&ask_code(ask));
            shown.set("/order_content/author_code", code)
        }),
        ("all, in small letters", false, |ask, shown| {
            shown.set("/order_client", in_small_letters(ask))
        }),
        ("the till alone, in small letters", false, |ask, shown| {
            let client = in_small_letters(ask);
            shown.unmarked().set("/order_client", client)
        }),
    ];
    let ours = ours.map(|(case, answered, change)| (case, order(answered, change)));
    let theirs = order(false, |_, shown| {
        let code = masked(OTHER_CODE);
        shown.unmarked().set("/order_content/author_code", code)
    });
    let replies = ours.map(|(case, number)| (case, settled(&register, &number, A_WHILE)));
    for (case, reply) in &replies {
        assert_eq!(reply.code, 0, "{case}: {}", reply.text());
    }
    let reply = settled(&register, &theirs, A_WHILE);
    assert!([-2, -6].contains(&reply.code), "{}", reply.text());
}

/// A payment code of which only the last four digits can be read.
fn masked(code: &str) -> String {
    format!("{}{}", "*".repeat(14), &code[14..])
}

fn in_small_letters(ask: &Ask) -> Value {
    json!({"device_id": "till 7", "machine_no": ask_machine(ask).to_lowercase()})
}

/// What a proxy in front of the gateway says of the time is not the gateway's clock.
#[test]
fn a_proxys_clock_is_not_the_gateways() {
    let odd = Odd::start(Gateway::Epay123);
    let register = Till::at(&[&odd]).register();
    let order = |proxy_ahead: i64, change: Change| {
        let number = number();
        odd.on(&number, move |ask| match ask.what {
            What::Pay => Answer::BadGateway(proxy_ahead),
            What::Query => change(ask, ask.order(State::Paid)).signed(),
            _ => ask.done(),
        });
        let payment = json!({"out_trade_no": number, "author_code": code("0"),
            "total_fee": 100, "body": "tea", "attach": "shop 1"});
        register.call("micro_pay", &payment).expect(0);
        number
    };
    let ours = order(3_600, |_, shown| shown);
    let theirs = order(-3_600, |ask, shown| {
        shown.set("/createdAt", ask.made_ms() - 600_000)
    });
    let reply = settled(&register, &ours, A_WHILE);
    assert_eq!(reply.code, 0, "{}", reply.text());
    let reply = settled(&register, &theirs, A_WHILE);
    assert!([-2, -6].contains(&reply.code), "{}", reply.text());
}

/// The answer to the second sending brings the QR code: it is shown, once, as soon as a query shows
/// that the order is ours, and never when it doesn't.
#[test]
fn a_code_that_comes_with_the_second_answer_is_shown_when_the_order_is_ours() {
    let odd = Odd::start(Gateway::CloudPay);
    let register = Till::at(&[&odd]).register();
    register.raw("set_callback", None, -1).expect(0);
    let clock = crate::odd::clock(&odd, &register);
    let order = |change: Change| {
        let number = number();
        let mut made = false;
        odd.on(&number, move |ask| match ask.what {
            What::Pay if ask.nth == 1 => Answer::Cut,
            What::Pay => {
                made = true;
                ask.order(State::Waiting).signed()
            }
            What::Query if made => {
                let shown = ask.order(State::Waiting);
                change(ask, shown.set("/order_content/code_url", Value::Null)).signed()
            }
            What::Query => ask.missing(),
            _ => ask.done(),
        });
        register.scan(&number, None).expect(0);
        number
    };
    let ours = order(|_, shown| shown);
    let (theirs, unknown) = (order(of_another), order(unmarked));
    let code = format!("weixin://wxpay/bizpayurl?pr={ours}");
    let mut told = Told::default();
    let reply = shown(&register, &ours, A_WHILE * 2);
    assert_eq!(odd.count(What::Pay, &ours), 2);
    assert_eq!(reply.code, -5, "{}", reply.text());
    assert_eq!(reply.json()["code_url"], code);
    let order = told.until(&register, &ours, -5, A_WHILE);
    assert_eq!(order["code_url"], code);
    crate::odd::pass(&register, &clock, A_WHILE);
    assert_eq!(told.of(&register, &ours), [-5]);
    for number in [&theirs, &unknown] {
        let reply = register.query(number);
        assert!([-2, -6].contains(&reply.code), "{}", reply.text());
        assert!(!reply.text().contains("weixin://"), "{}", reply.text());
        assert!(!told.of(&register, number).contains(&-5));
    }
}
