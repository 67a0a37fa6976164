//! What was paid and then taken back stays taken back, until a new payment is proven; and nothing
//! that was paid is taken back unless the register asks for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::odd::{
    Answer, Ask, Odd, Reaction, Refunding, State, Till, Told, What, cancel, clock, number, pass,
    pending, settled, shown,
};
use crate::support::{Gateway, Register, alipay_code, code};

/// What a gateway says of an order after its reverse was proven: by how many queries came since.
type Afterwards = fn(&Ask, usize) -> Answer;

/// Paid and reversed, which one query proves; `afterwards` answers those that follow.
struct Reversed {
    number: String,
    since: Arc<AtomicUsize>,
}

impl Reversed {
    fn begin(odd: &Odd, register: &Register, code: &str, afterwards: Afterwards) -> Self {
        let (number, since) = (number(), Arc::new(AtomicUsize::new(0)));
        let (count, mut reversed) = (Arc::clone(&since), false);
        odd.on(&number, move |ask| match ask.what {
            What::Query if reversed => match count.fetch_add(1, Ordering::SeqCst) {
                0 => ask.order(State::Reversed).signed(),
                more => afterwards(ask, more),
            },
            What::Reverse => {
                reversed = true;
                ask.done()
            }
            _ => ask.order(State::Paid).signed(),
        });
        register.pay(&number, code).expect(0);
        settled(register, &number, Duration::from_secs(9)).expect(0);
        cancel(register, &number).expect(0);
        Self { number, since }
    }

    /// How many queries came after the one that proved the reverse.
    fn asked(&self) -> usize {
        self.since.load(Ordering::SeqCst).saturating_sub(1)
    }
}

fn reversed(ask: &Ask) -> Answer {
    ask.order(State::Reversed).signed()
}

/// The order as it was before the reverse: a replica that lags.
fn stale(ask: &Ask) -> Answer {
    let made = ask.made_ms() / 1000 - 60;
    ask.order(State::Paid)
        .set("/order_content/last_update_time", made)
        .signed()
}

fn paid_without_time(ask: &Ask) -> Answer {
    let shown = ask.order(State::Paid);
    shown
        .set("/order_content/last_update_time", serde_json::Value::Null)
        .signed()
}

/// After a proven reverse a lagging "paid" is old news: it is asked about again before anybody
/// hears of it.
#[test]
fn a_paid_that_lags_behind_a_proven_reverse_is_old_news() {
    let odd = Odd::start(Gateway::CloudPay);
    let till = Till::at(&[&odd]).common("reverse_after_ms", 500);
    let register = till.register();
    register.raw("set_callback", None, -1).expect(0);
    let time = clock(&odd, &register);
    let cases: [Afterwards; 4] = [
        |ask, more| {
            if more == 1 {
                paid_without_time(ask)
            } else {
                reversed(ask)
            }
        },
        |ask, more| {
            if more == 1 {
                ask.order(State::Paid).signed()
            } else {
                reversed(ask)
            }
        },
        |ask, more| if more == 1 { stale(ask) } else { reversed(ask) },
        // It lags for longer than one question takes.
        |ask, more| if more <= 4 { stale(ask) } else { reversed(ask) },
    ];
    let orders = cases.map(|case| Reversed::begin(&odd, &register, &code("0"), case));
    let asked = Reversed::begin(&odd, &register, &code("0"), cases[0]);
    // The register asks at the wrong moment itself: nobody knows yet.
    let reply = register.query(&asked.number);
    assert!([-2, -4].contains(&reply.code), "{}", reply.text());
    let mut told = Told::default();
    pass(&register, &time, Duration::from_secs(20));
    for order in orders.iter().chain([&asked]) {
        assert!(order.asked() >= 2, "the paid was never asked about again");
        let reply = settled(&register, &order.number, Duration::from_secs(20)).expect(-4);
        assert_eq!(reply.json()["state"], "reversed");
        assert_ne!(reply.json()["late"], true);
        let codes = told.of(&register, &order.number);
        assert!(codes.starts_with(&[0, -4]) && codes.iter().skip(1).all(|code| *code == -4));
        assert!(pending(&register, &order.number).is_null());
        cancel(&register, &order.number).expect(0);
    }
}

/// The same after a restart: the row knows that the reverse was proven.
#[test]
fn a_restart_does_not_make_old_news_new() {
    let odd = Odd::start(Gateway::CloudPay);
    let till = Till::at(&[&odd]).common("reverse_after_ms", 500);
    let register = till.register();
    let cases: [Afterwards; 2] = [
        |ask, more| {
            if more <= 1 {
                paid_without_time(ask)
            } else {
                reversed(ask)
            }
        },
        |ask, more| if more <= 3 { stale(ask) } else { reversed(ask) },
    ];
    let orders = cases.map(|case| Reversed::begin(&odd, &register, &code("0"), case));
    register.kill();
    let register = till.register();
    register.raw("set_callback", None, -1).expect(0);
    let time = clock(&odd, &register);
    for order in &orders {
        let reply = register.query(&order.number);
        assert!([-2, -4].contains(&reply.code), "{}", reply.text());
    }
    pass(&register, &time, Duration::from_secs(20));
    let mut told = Told::default();
    for order in &orders {
        settled(&register, &order.number, Duration::from_secs(20)).expect(-4);
        assert!(!told.of(&register, &order.number).contains(&0));
    }
}

/// A payment that is confirmed after the reverse, twice and five seconds apart, is told: it is
/// money.
#[test]
fn a_paid_that_is_confirmed_after_a_reverse_is_told() {
    let odd = Odd::start(Gateway::CloudPay);
    let register = Till::at(&[&odd]).common("reverse_after_ms", 500).register();
    register.raw("set_callback", None, -1).expect(0);
    let cases: [Afterwards; 2] = [
        |ask, _| paid_without_time(ask),
        |ask, _| ask.order(State::Paid).signed(),
    ];
    let orders = cases.map(|case| Reversed::begin(&odd, &register, &code("0"), case));
    let mut told = Told::default();
    for order in &orders {
        let paid = told.until(&register, &order.number, 0, Duration::from_secs(40));
        assert_eq!(paid["late"], true);
        let queries = odd.heard(What::Query, &order.number);
        let seen = &queries[queries.len() - order.asked()..];
        let apart = seen[seen.len() - 1].at - seen[0].at;
        assert!(
            apart >= Duration::from_millis(4_900),
            "told after {apart:?}"
        );
        assert_eq!(pending(&register, &order.number)["why"], "late");
        register.query(&order.number).expect(0);
    }
}

/// Alipay calls a reversed order closed; its old "paid" is old news, too.
#[test]
fn an_alipay_order_that_was_reversed_stays_reversed() {
    let odd = Odd::start(Gateway::CloudPay);
    let register = Till::at(&[&odd]).common("reverse_after_ms", 500).register();
    register.raw("set_callback", None, -1).expect(0);
    let time = clock(&odd, &register);
    let order = Reversed::begin(&odd, &register, &alipay_code("0"), |ask, more| {
        if more == 1 { stale(ask) } else { reversed(ask) }
    });
    pass(&register, &time, Duration::from_secs(14));
    settled(&register, &order.number, Duration::from_secs(20)).expect(-4);
    let codes = Told::default().of(&register, &order.number);
    assert!(codes.iter().skip(1).all(|code| *code == -4), "{codes:?}");
}

/// The end of the window never takes back what was paid, also when it was only found out by the
/// query before the reverse, or when a cancel of the register's own came to nothing.
#[test]
fn nothing_paid_is_taken_back_by_a_timeout() {
    for gateway in Gateway::BOTH {
        let odd = Odd::start(gateway);
        let register = Till::at(&[&odd])
            .common("on_timeout", "reverse")
            .common("micro_pay_query_order_count", 2)
            .common("micro_pay_query_order_interval", 2)
            .common("request_timeout_ms", 2_000)
            .common("reverse_after_ms", 1_000)
            .register();
        let time = clock(&odd, &register);
        // Paid at the last moment.
        let last = number();
        odd.on(&last, |ask| match ask.what {
            What::Query if ask.age > Duration::from_secs(3) => ask.order(State::Paid).signed(),
            What::Pay | What::Query => ask.order(State::Paying).signed(),
            _ => Answer::Cut,
        });
        register.pay(&last, &code("0")).expect(0);
        // Paid at once; the register cancels, and no reverse is answered.
        let cancelled = number();
        odd.on(&cancelled, |ask| match ask.what {
            What::Pay | What::Query => ask.order(State::Paid).signed(),
            _ => Answer::Cut,
        });
        register.pay(&cancelled, &code("0")).expect(0);
        settled(&register, &cancelled, Duration::from_secs(9)).expect(0);
        let reply = cancel(&register, &cancelled);
        assert!(
            [-1, -2].contains(&reply.code),
            "{gateway:?}: {}",
            reply.message()
        );
        // What the register began may still be under way for a moment.
        let patience = Instant::now() + Duration::from_secs(40);
        while register.query(&cancelled).code != 0 {
            assert!(Instant::now() < patience, "{gateway:?}: it stays unknown");
            pass(&register, &time, Duration::from_secs(1));
        }
        let reverses = odd.taken_back(&cancelled);
        pass(&register, &time, Duration::from_secs(8));
        assert_eq!(odd.taken_back(&cancelled), reverses, "{gateway:?}");
        register.query(&cancelled).expect(0);
        settled(&register, &last, Duration::from_secs(20)).expect(0);
        assert_eq!(odd.taken_back(&last), 0, "{gateway:?}");
    }
}

/// A reverse that no query proves is not told as done, and the order is not told as paid while it
/// goes on.
#[test]
fn a_reverse_without_proof_is_unknown() {
    let odd = Odd::start(Gateway::CloudPay);
    let register = Till::at(&[&odd])
        .common("reverse_after_ms", 500)
        .common("request_timeout_ms", 2_000)
        .register();
    let answers: [Reaction; 3] = [
        |ask| ask.missing(),
        |_| Answer::Cut,
        |ask| {
            ask.order(State::Reversed)
                .set("/order_content/out_trade_no", "x")
                .signed()
        },
    ];
    for answer in answers {
        let number = number();
        let mut sent = false;
        odd.on(&number, move |ask| match ask.what {
            What::Query if sent => answer(ask),
            What::Reverse => {
                sent = true;
                ask.done()
            }
            _ => ask.order(State::Paid).signed(),
        });
        register.pay(&number, &code("0")).expect(0);
        settled(&register, &number, Duration::from_secs(9)).expect(0);
        cancel(&register, &number).expect(-2);
        let reply = register.call("query_order", &json!({"out_trade_no": number}));
        assert_eq!(reply.code, -2, "{}", reply.text());
    }
}

/// While a reversed order is called paid again nobody knows: a cancel doesn't say that it is done.
#[test]
fn a_cancel_of_a_reversed_order_in_doubt_is_unknown() {
    let odd = Odd::start(Gateway::CloudPay);
    let register = Till::at(&[&odd])
        .common("reverse_after_ms", 500)
        .common("request_timeout_ms", 2_000)
        .register();
    register.raw("set_callback", None, -1).expect(0);
    let cases: [Afterwards; 2] = [
        |ask, _| paid_without_time(ask),
        |ask, _| ask.order(State::Paid).signed(),
    ];
    let orders = cases.map(|case| Reversed::begin(&odd, &register, &code("0"), case));
    let mut told = Told::default();
    for order in &orders {
        register.query(&order.number).expect(-2);
        cancel(&register, &order.number).expect(-2);
    }
    for order in &orders {
        // It is money, and told.
        let paid = told.until(&register, &order.number, 0, Duration::from_secs(40));
        assert_eq!(paid["late"], true);
    }
}

/// An order that was closed and then paid late is given back by a refund: also after a restart.
#[test]
fn a_closed_order_that_was_paid_late_is_refunded() {
    for gateway in Gateway::BOTH {
        let odd = Odd::start(gateway);
        let till = Till::at(&[&odd]).common("reverse_after_ms", 500);
        let register = till.register();
        register.raw("set_callback", None, -1).expect(0);
        let order = |qr: bool| {
            // 0: open; 1: closed; 2: paid.
            let (number, dial) = (number(), Arc::new(AtomicU8::new(0)));
            let at = Arc::clone(&dial);
            let open = if qr { State::Waiting } else { State::Paying };
            odd.on(&number, move |ask| {
                match (ask.what, at.load(Ordering::SeqCst)) {
                    (What::Pay, _) | (What::Query, 0) => ask.order(open).signed(),
                    (What::Query, 1) => ask.order(State::Closed).signed(),
                    (What::Query, _) => ask.order(State::Paid).signed(),
                    (What::Refund, _) => ask.refunding(ask.refund_fee(), Refunding::Processing),
                    (What::QueryRefund, _) => ask.missing(),
                    _ => {
                        at.store(1, Ordering::SeqCst);
                        ask.done()
                    }
                }
            });
            if qr {
                register.scan(&number, None).expect(0);
                shown(&register, &number, Duration::from_secs(9)).expect(-5);
            } else {
                register.pay(&number, &code("0")).expect(0);
                crate::support::until("the first question", || {
                    (odd.count(What::Query, &number) > 0).then_some(())
                });
            }
            (number, dial)
        };
        // Cloud pay's micro_pay is reversed, not closed.
        let qr = gateway == Gateway::CloudPay;
        let orders = [order(qr), order(qr), order(true)];
        let mut told = Told::default();
        for (number, dial) in &orders {
            cancel(&register, number).expect(0);
            assert!(odd.taken_back(number) >= 1);
            dial.store(2, Ordering::SeqCst);
        }
        for (number, _) in &orders {
            let order = told.until(&register, number, 0, Duration::from_secs(40));
            assert_eq!(order["late"], true, "{gateway:?}");
        }
        let refunded = |register: &Register, number: &str| {
            let request = json!({"out_trade_no": number, "total_fee": 100, "refund_fee": 100});
            let reply = register.call("refund", &request);
            assert_eq!(reply.code, 0, "{gateway:?}: {}", reply.message());
            assert_eq!(odd.count(What::Refund, number), 1, "{gateway:?}");
            assert_ne!(cancel(register, number).code, 0, "{gateway:?}");
        };
        let [here, restarted, other] = &orders;
        refunded(&register, &here.0);
        refunded(&register, &other.0);
        register.kill();
        refunded(&till.register(), &restarted.0);
    }
}

/// epay123's "closed" may be a channel's time-out, or an answer that lags: one of them doesn't undo
/// a payment.
#[test]
fn one_closed_of_epay123_does_not_undo_a_payment() {
    let odd = Odd::start(Gateway::Epay123);
    let till = Till::at(&[&odd]);
    let register = till.register();
    register.raw("set_callback", None, -1).expect(0);
    let (number, lags) = (number(), Arc::new(AtomicUsize::new(0)));
    let left = Arc::clone(&lags);
    odd.on(&number, move |ask| match ask.what {
        What::Pay => ask.order(State::Paying).signed(),
        What::Query => {
            let once = left.swap(0, Ordering::SeqCst) == 1;
            ask.order(if once { State::Closed } else { State::Paid })
                .signed()
        }
        _ => ask.done(),
    });
    register.pay(&number, &code("0")).expect(0);
    settled(&register, &number, Duration::from_secs(9)).expect(0);
    let mut told = Told::default();
    told.until(&register, &number, 0, Duration::from_secs(9));
    let lag = |register: &Register| {
        lags.store(1, Ordering::SeqCst);
        let reply = register.query(&number);
        assert!([0, -2].contains(&reply.code), "{}", reply.text());
        register.query(&number).expect(0);
        settled(register, &number, Duration::ZERO).expect(0);
    };
    lag(&register);
    assert!(!told.of(&register, &number).contains(&-4));
    register.kill();
    lag(&till.register());
}
