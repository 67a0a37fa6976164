//! "No such order" is weak: it fails a payment only when its code is dead, only by the domain that
//! took it, and only until something else is heard.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::odd::{
    Answer, Ask, Odd, Reaction, State, Till, Told, What, clock, number, pass, pending, settled,
    shown,
};
use crate::support::{Gateway, Register, code, until};

/// Long enough for several polls.
const A_WHILE: Duration = Duration::from_secs(9);
/// How long a payment code may live at the gateway.
const CODE_LIFE: Duration = Duration::from_secs(65);
/// Two polls, and what a busy machine adds.
const TWO_POLLS: Duration = Duration::from_secs(16);

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// What a test decides while it runs.
#[derive(Clone, Default)]
struct Dial(Arc<AtomicU8>);

impl Dial {
    fn turn(&self, to: u8) {
        self.0.store(to, Ordering::SeqCst);
    }

    fn at(&self) -> u8 {
        self.0.load(Ordering::SeqCst)
    }
}

/// Both gateways at the same time: the tests here wait for real clocks.
fn at_both(test: impl Fn(Gateway) + Sync) {
    std::thread::scope(|scope| {
        for gateway in Gateway::BOTH {
            let test = &test;
            scope.spawn(move || test(gateway));
        }
    });
}

/// The payment's answer is lost, and the gateway doesn't find it for so long; then it is paid.
fn found_after(lag: Duration) -> impl FnMut(&Ask) -> Answer + Send + 'static {
    move |ask| match ask.what {
        What::Pay => Answer::Cut,
        What::Query if ask.age < lag => ask.missing(),
        What::Query => ask.order(State::Paid).signed(),
        _ => ask.done(),
    }
}

/// A replica that lags, a proxy that queues: while the code may still be charged, no absence fails
/// the payment, however often the register asks.
#[test]
fn absence_while_the_code_lives_fails_nothing() {
    at_both(|gateway| {
        let odd = Odd::start(gateway);
        let register = Till::at(&[&odd]).register();
        register.raw("set_callback", None, -1).expect(0);
        let orders = [4, 8, 20, 50].map(|lag| {
            let number = number();
            odd.on(&number, found_after(seconds(lag)));
            register.pay(&number, &code("0")).expect(0);
            (lag, number)
        });
        let mut told = Told::default();
        for (lag, number) in &orders {
            // Who asks often isn't told sooner.
            for _ in 0..4 {
                let reply = register.query(number);
                assert!(
                    [0, -2].contains(&reply.code),
                    "{gateway:?}, {lag} s: {}",
                    reply.text()
                );
                settled(&register, number, seconds(2));
            }
            let reply = settled(&register, number, seconds(60));
            assert_eq!(reply.code, 0, "{gateway:?}, {lag} s: {}", reply.text());
            assert_ne!(reply.json()["late"], true);
            told.until(&register, number, 0, A_WHILE);
            assert_eq!(told.of(&register, number), [0], "{gateway:?}, {lag} s");
            // Cloud pay takes the same bytes a second time.
            let sent = odd.heard(What::Pay, number);
            assert!(sent.len() <= if gateway == Gateway::CloudPay { 2 } else { 1 });
            assert!(sent.iter().all(|heard| heard.digest == sent[0].digest));
        }
    });
}

/// An order that is absent until it is told as failed.
struct Absent {
    number: String,
    /// 0: absent; 1: under way; 2: paid.
    dial: Dial,
}

impl Absent {
    fn pay(odd: &Odd, register: &Register) -> Self {
        let (number, dial) = (number(), Dial::default());
        let now = dial.clone();
        let mut reversed = false;
        odd.on(&number, move |ask| match ask.what {
            What::Pay => Answer::Cut,
            What::Query => match now.at() {
                // What the words are doesn't matter to cloud pay's number for it.
                0 if ask.is_cloudpay() && ask.nth % 2 == 0 => {
                    ask.status(104, 400, "查询的订单无效")
                }
                0 => ask.missing(),
                1 if reversed && ask.is_cloudpay() => ask.order(State::Reversed).signed(),
                1 if reversed => ask.order(State::Closed).signed(),
                1 => ask.order(State::Paying).signed(),
                _ => ask.order(State::Paid).signed(),
            },
            _ => {
                reversed = now.at() == 1;
                ask.done()
            }
        });
        register.pay(&number, &code("0")).expect(0);
        Self { number, dial }
    }
}

/// When the code is dead, two absences fail the payment; and that is provisional. What the gateway
/// says later opens it again, and a cancel takes it back for real.
#[test]
fn absence_after_the_code_is_dead_fails_until_something_else_is_heard() {
    at_both(|gateway| {
        let odd = Odd::start(gateway);
        let till = Till::at(&[&odd]).common("reverse_after_ms", 1_000);
        let register = till.register();
        register.raw("set_callback", None, -1).expect(0);
        let accepted = Instant::now();
        let orders = [(); 5].map(|()| Absent::pay(&odd, &register));
        let [gone, reopened, late, unproven, cancelled] = &orders;

        let mut told = Told::default();
        for order in &orders {
            let left = (CODE_LIFE + TWO_POLLS).saturating_sub(accepted.elapsed());
            let reply = settled(&register, &order.number, left);
            let age = accepted.elapsed();
            assert_eq!(reply.code, -1, "{gateway:?}, {age:?}: {}", reply.text());
            assert!(age >= CODE_LIFE, "{gateway:?}: failed after {age:?}");
        }
        for order in &orders {
            told.until(&register, &order.number, -1, A_WHILE);
        }

        for order in [cancelled, reopened] {
            order.dial.turn(1);
        }
        late.dial.turn(2);
        let taken_back = [unproven, cancelled].map(|order| {
            let request = json!({"out_trade_no": order.number}).to_string();
            register.begin("cancel_order", Some(request.as_bytes()), -1, 0)
        });
        // A cancel is proven by the order itself: here it isn't there, there it says reversed.
        for (cancel, code) in taken_back.into_iter().zip([-2, 0]) {
            let reply = cancel.get();
            assert_eq!(reply.code, code, "{gateway:?}: {}", reply.message());
        }
        assert!(odd.taken_back(&cancelled.number) >= 1);
        register.query(&cancelled.number).expect(-4);
        // Under way after all: nobody knows, until it is paid.
        told.until(&register, &reopened.number, -2, seconds(35));
        settled(&register, &reopened.number, seconds(1)).expect(-2);
        assert_eq!(pending(&register, &reopened.number)["why"], "reopened");
        // Paid after all.
        let order = told.until(&register, &late.number, 0, seconds(35));
        assert_eq!(order["late"], true, "{gateway:?}");
        assert_eq!(pending(&register, &late.number)["why"], "late");
        assert_eq!(register.query(&late.number).expect(0).json()["late"], true);
        assert!(pending(&register, &late.number).is_null());
        assert_eq!(told.of(&register, &late.number), [-1, 0]);
        reopened.dial.turn(2);
        let reply = register.query(&reopened.number).expect(0);
        assert_eq!(reply.json()["late"], true, "{gateway:?}");
        told.until(&register, &reopened.number, 0, A_WHILE);
        assert_eq!(told.of(&register, &reopened.number), [-1, -2, 0]);
        // Nothing came: still failed.
        register.query(&gone.number).expect(-1);
        assert_eq!(told.of(&register, &gone.number), [-1]);
    });
}

/// With longer timeouts a request may arrive later: the code counts as alive for that long.
#[test]
fn a_longer_request_timeout_makes_absence_wait() {
    at_both(|gateway| {
        let odd = Odd::start(gateway);
        let register = Till::at(&[&odd])
            .common("request_timeout_ms", 90_000)
            .register();
        let accepted = Instant::now();
        let order = Absent::pay(&odd, &register);
        let reply = settled(&register, &order.number, seconds(88));
        let age = accepted.elapsed();
        assert_eq!(reply.code, -2, "{gateway:?}, {age:?}: {}", reply.text());
    });
}

/// After a restart nobody knows how long the process was away: the code's life begins anew.
#[test]
fn after_a_restart_the_life_of_a_code_is_counted_anew() {
    at_both(|gateway| {
        let odd = Odd::start(gateway);
        let till = Till::at(&[&odd]);
        let register = till.register();
        let time = clock(&odd, &register);
        let order = Absent::pay(&odd, &register);
        pass(&register, &time, seconds(15));
        settled(&register, &order.number, Duration::ZERO).expect(-2);
        register.kill();
        let started = Instant::now();
        let register = till.register();
        let reply = settled(&register, &order.number, CODE_LIFE + TWO_POLLS);
        let age = started.elapsed();
        assert_eq!(reply.code, -1, "{gateway:?}, {age:?}: {}", reply.text());
        assert!(
            age >= CODE_LIFE,
            "{gateway:?}: failed {age:?} after the start"
        );
        assert!(
            odd.count(What::Query, &order.number) >= 10,
            "it was asked for all the time"
        );
        let sent = odd.count(What::Pay, &order.number);
        assert!(
            sent <= if gateway == Gateway::CloudPay { 2 } else { 1 },
            "{sent}"
        );
    });
}

/// A code that was shown can be scanned for two hours: no absence ends it before.
#[test]
fn a_code_that_was_shown_is_not_failed_by_absence() {
    at_both(|gateway| {
        let odd = Odd::start(gateway);
        let till = Till::at(&[&odd]);
        let register = till.register();
        let time = clock(&odd, &register);
        let dial = Dial::default();
        let order = || {
            let (number, now) = (number(), dial.clone());
            odd.on(&number, move |ask| match ask.what {
                What::Query if now.at() == 2 => ask.order(State::Paid).signed(),
                What::Query if now.at() == 1 => ask.missing(),
                What::Close => ask.done(),
                _ => ask.order(State::Waiting).signed(),
            });
            register.scan(&number, None).expect(0);
            number
        };
        let orders = [order(), order()];
        for number in &orders {
            shown(&register, number, A_WHILE).expect(-5);
        }
        dial.turn(1);
        let [here, restarted] = &orders;
        pass(&register, &time, seconds(12));
        for _ in 0..3 {
            let reply = register.query(here);
            assert!(
                [-2, -5].contains(&reply.code),
                "{gateway:?}: {}",
                reply.text()
            );
        }
        register.kill();
        let register = till.register();
        pass(&register, &time, seconds(70));
        for number in [here, restarted] {
            let reply = register.query(number);
            assert!(
                [-2, -5].contains(&reply.code),
                "{gateway:?}: {}",
                reply.text()
            );
        }
        dial.turn(2);
        for number in [here, restarted] {
            register.query(number).expect(0);
        }
    });
}

/// A refusal that nobody signed and one absence, both of the domain that took the payment, are a
/// refusal, as fast as ever.
#[test]
fn an_unsigned_refusal_and_one_absence_are_a_refusal() {
    for gateway in Gateway::BOTH {
        let odd = Odd::start(gateway);
        let register = Till::at(&[&odd]).register();
        let number = number();
        odd.on(&number, |ask| match ask.what {
            What::Pay => ask.unsigned("余额不足"),
            _ => ask.missing(),
        });
        register.pay(&number, &code("0")).expect(0);
        let reply = settled(&register, &number, A_WHILE).expect(-1);
        assert!(
            reply.json()["message"]
                .as_str()
                .unwrap()
                .contains("余额不足")
        );
        assert_eq!(odd.count(What::Pay, &number), 1);
    }
}

/// The code is used, says the gateway to the second sending: it may be by the first one.
#[test]
fn a_refusal_of_a_second_sending_is_no_refusal() {
    let odd = Odd::start(Gateway::CloudPay);
    let register = Till::at(&[&odd]).register();
    let refusals: [Reaction; 2] = [
        |ask| ask.refused("付款码已使用"),
        |ask| ask.unsigned("付款码已使用"),
    ];
    let orders = refusals.map(|refusal| {
        let number = number();
        odd.on(&number, move |ask| match ask.what {
            What::Pay if ask.nth == 1 => Answer::Cut,
            What::Pay => refusal(ask),
            What::Query if ask.age < seconds(20) => ask.missing(),
            What::Query => ask.order(State::Paid).signed(),
            _ => ask.done(),
        });
        register.pay(&number, &code("0")).expect(0);
        number
    });
    for number in &orders {
        let reply = settled(&register, number, seconds(40));
        assert_eq!(reply.code, 0, "{}", reply.text());
        assert_ne!(reply.json()["late"], true);
    }
}

/// Why a payment was refused is what the customer has to hear, also when the register asks again,
/// and the gateway doesn't know the order any more.
#[test]
fn the_reason_of_a_refusal_is_kept() {
    for gateway in Gateway::BOTH {
        for language in ["zh", "en"] {
            let odd = Odd::start(gateway);
            let till = Till::at(&[&odd]).common("language", language);
            let register = till.register();
            let refused: [Reaction; 2] = [
                |ask| ask.refused("余额不足"),
                |ask| ask.unsigned("余额不足"),
            ];
            let numbers = refused.map(|refused| {
                let number = number();
                odd.on(&number, move |ask| match ask.what {
                    What::Pay => refused(ask),
                    _ => ask.missing(),
                });
                register.pay(&number, &code("0")).expect(0);
                number
            });
            let kept = |number: &str, reply: &crate::support::Reply| {
                let message = reply.json()["message"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned();
                for words in [&message, &reply.message()] {
                    assert!(
                        words.contains("余额不足"),
                        "{gateway:?} {number}: {words:?}"
                    );
                }
            };
            for number in &numbers {
                settled(&register, number, A_WHILE).expect(-1);
                kept(number, &register.query(number).expect(-1));
                kept(number, &register.query(number).expect(-1));
                let waited = settled(&register, number, Duration::ZERO).expect(-1);
                assert!(waited.text().contains("余额不足"), "{}", waited.text());
            }
            register.fini();
            register.init(&till.conf);
            for number in &numbers {
                kept(number, &register.query(number).expect(-1));
            }
        }
    }
}

/// Two domains: the first was down when the payment was made, so the second took it, and its answer
/// was lost. Gives both with the first one up again, and the scripts of the order.
struct Split {
    first: Odd,
    second: Odd,
    _till: Till,
    register: Register,
}

impl Split {
    fn at(gateway: Gateway) -> Self {
        let first = Odd::start(gateway);
        let second = first.sibling();
        first.go_away();
        let till = Till::at(&[&first, &second]);
        let register = till.register();
        Self {
            first,
            second,
            _till: till,
            register,
        }
    }

    /// A payment that the second domain takes, and answers by the dial: 0 lost, 1 absent, 2 paid.
    fn pay(
        &self,
        qr: bool,
        dial: &Dial,
        first: impl FnMut(&Ask) -> Answer + Send + 'static,
    ) -> String {
        let (number, now) = (number(), dial.clone());
        self.first.on(&number, first);
        self.second.on(&number, move |ask| match ask.what {
            What::Query if now.at() == 1 => ask.missing(),
            What::Query if now.at() == 2 => ask.order(State::Paid).signed(),
            What::Query if now.at() == 3 => ask.order(State::Paying).signed(),
            _ => Answer::Cut,
        });
        if qr {
            self.register.scan(&number, None).expect(0);
        } else {
            self.register.pay(&number, &code("0")).expect(0);
        }
        until("the payment at the second domain", || {
            (self.second.count(What::Pay, &number) == 1).then_some(())
        });
        number
    }
}

/// What the domain that didn't take the payment says, the payment's code dead or not, is no word
/// about it. Only the one that took it fails it, or says that it is paid.
#[test]
fn another_domains_absence_or_refusal_fails_nothing() {
    at_both(|gateway| {
        let split = Split::at(gateway);
        let (paid, absent) = (Dial::default(), Dial::default());
        let answers: [Reaction; 3] = [
            |ask| match ask.what {
                What::Pay => ask.order(State::Paid).signed(),
                _ => ask.missing(),
            },
            |ask| ask.refused("付款码已使用"),
            |ask| ask.unsigned("系统维护"),
        ];
        let mut orders: Vec<String> = answers
            .iter()
            .map(|answer| split.pay(false, &paid, *answer))
            .collect();
        orders.push(split.pay(true, &paid, |ask| ask.missing()));
        let gone = split.pay(false, &absent, |ask| ask.missing());
        let time = number();
        split
            .first
            .on(&time, |ask| ask.order(State::Paying).signed());
        split.second.go_away();
        split.first.come_back();
        split.register.pay(&time, &code("0")).expect(0);
        for _ in 0..8 {
            pass(&split.register, &time, seconds(10));
            for number in orders.iter().chain([&gone]) {
                let reply = settled(&split.register, number, Duration::ZERO);
                assert_eq!(reply.code, -2, "{gateway:?}: {}", reply.text());
            }
        }
        for number in orders.iter().chain([&gone]) {
            let reply = split.register.query(number);
            assert!(
                [-2, -3].contains(&reply.code),
                "{gateway:?}: {}",
                reply.text()
            );
            assert_eq!(split.first.count(What::Pay, number), 0, "charged at both");
        }
        paid.turn(2);
        absent.turn(1);
        split.second.come_back();
        for number in &orders {
            let reply = settled(&split.register, number, seconds(30));
            assert_eq!(reply.code, 0, "{gateway:?}: {}", reply.text());
            assert_eq!(split.first.count(What::Pay, number), 0, "charged at both");
        }
        let reply = settled(&split.register, &gone, seconds(30));
        assert_eq!(reply.code, -1, "{gateway:?}: {}", reply.text());
    });
}

/// The domain that took the payment is gone for a moment only, and the first one, which is
/// preferred, lags: the one that took it is asked again, and its word counts.
#[test]
fn the_domain_that_took_a_payment_is_asked_about_it() {
    at_both(|gateway| {
        let split = Split::at(gateway);
        let answers: [Reaction; 3] = [
            |ask| ask.missing(),
            |ask| ask.refused("付款码已使用"),
            |ask| ask.unsigned("系统维护"),
        ];
        let dial = Dial::default();
        dial.turn(3);
        let orders = answers.map(|answer| split.pay(false, &dial, answer));
        let time = number();
        split
            .first
            .on(&time, |ask| ask.order(State::Paying).signed());
        split.second.go_away();
        split.first.come_back();
        split.register.pay(&time, &code("0")).expect(0);
        pass(&split.register, &time, seconds(8));
        for number in &orders {
            let reply = settled(&split.register, number, Duration::ZERO);
            assert_eq!(reply.code, -2, "{gateway:?}: {}", reply.text());
        }
        split.second.come_back();
        pass(&split.register, &time, seconds(8));
        for number in &orders {
            let reply = settled(&split.register, number, Duration::ZERO);
            assert_eq!(reply.code, -2, "{gateway:?}: {}", reply.text());
        }
        dial.turn(2);
        for number in &orders {
            let reply = settled(&split.register, number, seconds(20));
            assert_eq!(reply.code, 0, "{gateway:?}: {}", reply.text());
            assert_eq!(split.first.count(What::Pay, number), 0, "charged at both");
        }
    });
}

/// A refusal without a signature and the absence at another domain are no refusal.
#[test]
fn an_unsigned_refusal_and_another_domains_absence_are_no_refusal() {
    at_both(|gateway| {
        let first = Odd::start(gateway);
        let second = first.sibling();
        first.go_away();
        let register = Till::at(&[&first, &second]).register();
        let number = number();
        first.on(&number, |ask| ask.missing());
        second.on(&number, |ask| match ask.what {
            What::Pay => Answer::Late(seconds(2), Box::new(ask.unsigned("系统维护"))),
            What::Query if ask.age > seconds(14) => ask.order(State::Paid).signed(),
            _ => Answer::Cut,
        });
        register.pay(&number, &code("0")).expect(0);
        until("the payment at the second domain", || {
            (second.count(What::Pay, &number) == 1).then_some(())
        });
        first.come_back();
        let reply = settled(&register, &number, seconds(9));
        assert_eq!(reply.code, -2, "{gateway:?}: {}", reply.text());
        let reply = settled(&register, &number, seconds(25));
        assert_eq!(reply.code, 0, "{gateway:?}: {}", reply.text());
        assert_eq!(first.count(What::Pay, &number), 0);
    });
}

/// A payment that came late is listed until the register has asked for it, whatever a callback
/// was called with, and over a restart.
#[test]
fn a_late_payment_is_listed_until_it_is_queried() {
    at_both(|gateway| {
        let odd = Odd::start(gateway);
        let till = Till::at(&[&odd]);
        let register = till.register();
        register.raw("set_callback", None, -1).expect(0);
        let (number, dial) = (number(), Dial::default());
        let now = dial.clone();
        odd.on(&number, move |ask| match (ask.what, now.at()) {
            (What::Pay, _) => ask.order(State::Paying).signed(),
            (_, 0) => ask.order(State::Failed).signed(),
            _ => ask.order(State::Paid).signed(),
        });
        register.pay(&number, &code("0")).expect(0);
        let mut told = Told::default();
        told.until(&register, &number, -1, seconds(15));
        dial.turn(1);
        assert_eq!(told.until(&register, &number, 0, seconds(20))["late"], true);
        let listed = |register: &Register| {
            let order = pending(register, &number);
            assert_eq!(
                (&order["why"], &order["late"]),
                (&json!("late"), &json!(true))
            );
        };
        listed(&register);
        register.kill();
        let register = till.register();
        listed(&register);
        register.query(&number).expect(0);
        assert!(pending(&register, &number).is_null());
        register.fini();
        register.init(&till.conf);
        assert!(pending(&register, &number).is_null());
    });
}

/// The register was told -1 and switched off; the payment landed in the night. The next start asks
/// once about what was still watched when it ended, however long that was ago.
#[test]
fn a_start_after_the_watch_asks_once() {
    at_both(|gateway| {
        let odd = Odd::start(gateway);
        let till = Till::at(&[&odd]);
        let register = till.register();
        let dial = Dial::default();
        let order = |late: bool| {
            let (number, now) = (number(), dial.clone());
            odd.on(&number, move |ask| match (ask.what, now.at()) {
                (What::Query, 1) if late => ask.order(State::Paid).signed(),
                _ => ask.order(State::Failed).signed(),
            });
            register.pay(&number, &code("0")).expect(0);
            settled(&register, &number, seconds(15)).expect(-1);
            number
        };
        let (late, failed) = (order(true), order(false));
        register.fini();
        dial.turn(1);
        let night = till.forgetful().register();
        let time = clock(&odd, &night);
        pass(&night, &time, seconds(95));
        let before = odd.count(What::Query, &failed);
        register.init(&till.conf);
        register.raw("set_callback", None, -1).expect(0);
        // Nobody asks for it but the library.
        let order = until("the late payment", || {
            let order = pending(&register, &late);
            (order["state"] == "paid").then_some(order)
        });
        assert_eq!(
            (&order["why"], &order["late"]),
            (&json!("late"), &json!(true))
        );
        until("the question about the other", || {
            (odd.count(What::Query, &failed) > before).then_some(())
        });
        assert_eq!(register.query(&late).expect(0).json()["late"], true);
        register.query(&failed).expect(-1);
    });
}

/// While the gateway says "under way" of a payment that failed, the watch over it doesn't end: not
/// until the gateway has said something final.
#[test]
fn a_watch_goes_on_while_the_payment_is_under_way() {
    let odd = Odd::start(Gateway::CloudPay);
    let register = Till::at(&[&odd]).register();
    register.raw("set_callback", None, -1).expect(0);
    let failures: [Reaction; 2] = [
        |ask| ask.order(State::Failed).signed(),
        |ask| ask.refused("余额不足"),
    ];
    let orders = failures.map(|failure| {
        let number = number();
        odd.on(&number, move |ask| match ask.what {
            What::Pay => failure(ask),
            What::Query if ask.age < seconds(95) => ask.order(State::Paying).signed(),
            What::Query => ask.order(State::Paid).signed(),
            _ => ask.done(),
        });
        register.pay(&number, &code("0")).expect(0);
        number
    });
    let mut told = Told::default();
    for number in &orders {
        told.until(&register, number, -1, A_WHILE);
    }
    let since = Instant::now();
    for number in &orders {
        let left = seconds(160).saturating_sub(since.elapsed());
        assert_eq!(told.until(&register, number, 0, left)["late"], true);
        assert_eq!(register.query(number).expect(0).json()["late"], true);
    }
}

/// An answer tells what was true when it was asked for: that the order was absent while its code
/// lived proves nothing when it is heard after the code is dead.
#[test]
fn absence_that_was_asked_for_while_the_code_lived_fails_nothing() {
    at_both(|gateway| {
        let odd = Odd::start(gateway);
        let register = Till::at(&[&odd])
            .common("request_timeout_ms", 5_000)
            .register();
        register.raw("set_callback", None, -1).expect(0);
        let time = clock(&odd, &register);
        let number = number();
        let mut slow = 0;
        odd.on(&number, move |ask| match ask.what {
            What::Pay => Answer::Cut,
            What::Query if ask.age < seconds(61) => ask.missing(),
            What::Query if ask.age < Duration::from_millis(64_900) => {
                // They are heard one after the other, when the code is dead.
                let at = Duration::from_millis(65_300 + 1_700 * slow);
                slow += 1;
                let wait = at.saturating_sub(ask.age).min(Duration::from_millis(4_700));
                Answer::Late(wait, Box::new(ask.missing()))
            }
            What::Query => ask.order(State::Paid).signed(),
            _ => ask.done(),
        });
        let accepted = Instant::now();
        register.pay(&number, &code("0")).expect(0);
        let asked = [62_900, 64_500].map(|at| {
            let left = Duration::from_millis(at).saturating_sub(accepted.elapsed());
            pass(&register, &time, left);
            let request = json!({"out_trade_no": number}).to_string();
            register.begin("query_order", Some(request.as_bytes()), 16_384, 0)
        });
        for asked in asked {
            let reply = asked.get();
            let age = accepted.elapsed();
            assert!(
                [0, -2].contains(&reply.code),
                "{gateway:?}, {age:?}: {}",
                reply.text()
            );
        }
        let reply = settled(&register, &number, seconds(20));
        assert_eq!(reply.code, 0, "{gateway:?}: {}", reply.text());
        assert_ne!(reply.json()["late"], true, "{gateway:?}");
        let mut told = Told::default();
        told.until(&register, &number, 0, A_WHILE);
        assert_eq!(told.of(&register, &number), [0], "{gateway:?}");
    });
}
