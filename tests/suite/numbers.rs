//! Numbers of orders: no two are the same, none is changed on its way, and a register may have
//! several prefixes.

use std::collections::HashSet;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::odd::{Odd, Refunding, State, Till, What, cancel, settled};
use crate::support::{
    Gateway, Host, Register, TempFolder, code, host, program, register_program, run,
};

fn next(register: &Register) -> String {
    register.raw("next_trade_no", None, 64).expect(0).text()
}

/// Registers that have one name by mistake, or were cloned with their journals, and registers that
/// start twice within a second: every number is a new one.
#[test]
fn no_two_registers_make_the_same_number() {
    let odd = Odd::start(Gateway::CloudPay);
    let prefix = "prefix0010";
    let till = || Till::at(&[&odd]).trade("order_prefix", prefix);
    let mut numbers = HashSet::new();
    let mut take = |register: &Register, count| {
        for _ in 0..count {
            let number = next(register);
            assert!(number.starts_with(prefix) && number.len() <= 32, "{number}");
            assert!(
                number.bytes().all(|c| c.is_ascii_alphanumeric()),
                "{number}"
            );
            assert!(
                numbers.insert(number.clone()),
                "{number} was given out twice"
            );
        }
    };
    // Cloned with what they had.
    let (original, clone) = (till(), till());
    let register = original.register();
    take(&register, 5);
    register.fini();
    std::fs::copy(original.journal(), clone.journal()).unwrap();
    let registers = [
        original.register(),
        clone.register(),
        till().common("journal_path", ":memory:").register(),
        till().common("journal_path", ":memory:").register(),
    ];
    for _ in 0..40 {
        for register in &registers {
            take(register, 1);
        }
    }
    // Started again at once, and nothing is remembered.
    let forgetful = till().common("journal_path", ":memory:");
    let register = forgetful.register();
    for _ in 0..20 {
        take(&register, 2);
        register.fini();
        register.init(&forgetful.conf);
    }
}

/// A library that sets the clock of the program it is loaded into, by `SHIFT` seconds.
const SHIFT: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
int clock_gettime(clockid_t which, struct timespec *time)
{
    int (*real)(clockid_t, struct timespec *);
    int result;
    *(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
    result = real(which, time);
    if (which == CLOCK_REALTIME)
        time->tv_sec += atol(getenv("SHIFT"));
    return result;
}
"#;

/// A clock that was set back changes nothing: no number has a time before that of the last one, and
/// none is given out again.
#[test]
fn a_clock_that_was_set_back_makes_no_number_older() {
    let odd = Odd::start(Gateway::CloudPay);
    let till = Till::at(&[&odd]).trade("order_prefix", "p1");
    let folder = TempFolder::new();
    let (source, shift) = (folder.0.join("shift.c"), folder.0.join("shift.so"));
    std::fs::write(&source, SHIFT).unwrap();
    run(Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&shift, &source])
        .arg("-ldl"));
    let mut numbers = HashSet::new();
    let mut last = String::new();
    for seconds in ["0", "-86400", "-86399", "-3600"] {
        let mut program = program(register_program());
        if host() == Host::Linux {
            program.env("LD_PRELOAD", &shift).env("SHIFT", seconds);
        }
        let register = Register::spawn(&mut program);
        register.init(&till.conf);
        for _ in 0..10 {
            let number = next(&register);
            let time = number.strip_prefix("p1").and_then(|rest| rest.get(..12));
            let time = time.unwrap_or_else(|| panic!("{number}")).to_owned();
            assert!(
                time.bytes().all(|c| c.is_ascii_digit()),
                "no time: {number}"
            );
            assert!(time >= last, "{number} after {last}");
            last = time;
            assert!(
                numbers.insert(number.clone()),
                "{number} was given out twice"
            );
        }
        register.kill();
    }
}

/// With several prefixes the first is that of the register's own numbers.
#[test]
fn the_first_prefix_is_that_of_new_numbers() {
    let odd = Odd::start(Gateway::CloudPay);
    let till = Till::at(&[&odd]).trade("order_prefix", json!(["p1", "p2"]));
    let register = till.register();
    assert!(next(&register).starts_with("p1"));
}

/// A number that a register writes without quotes keeps every digit.
#[test]
fn a_number_keeps_its_digits() {
    for gateway in Gateway::BOTH {
        let odd = Odd::start(gateway);
        let register = Till::at(&[&odd]).register();
        let digits = [
            "2026112703430000000001",
            "2026112703430000000002",
            "20261127034300000000000001",
            "9007199254740993",
            "18446744073709551617",
            "00000000000000000000000000000007",
        ];
        for (at, number) in digits.iter().enumerate() {
            let state = if at == 0 { State::Paid } else { State::Failed };
            odd.on(number, move |ask| match ask.what {
                What::Refund => ask.refunding(ask.refund_fee(), Refunding::Processing),
                _ => ask.order(state).signed(),
            });
            // Leading zeros aren't JSON: such a number has quotes.
            let written = if number.starts_with('0') {
                format!("\"{number}\"")
            } else {
                (*number).to_owned()
            };
            let call = |function: &str, rest: &str| {
                let request = format!("{{\"out_trade_no\":{written}{rest}}}");
                register.raw(function, Some(request.as_bytes()), 16_384)
            };
            let payment = format!(",\"author_code\":\"{}\",\"total_fee\":100", code("0"));
            call("micro_pay", &payment).expect(0);
            let request = format!("{{\"out_trade_no\":{written}}}");
            let wait = register.begin("wait_order", Some(request.as_bytes()), 16_384, 20_000);
            let expected = if at == 0 { 0 } else { -1 };
            assert_eq!(wait.get().code, expected, "{gateway:?} {number}");
            assert_eq!(odd.count(What::Pay, number), 1, "{number} never came");
            let order = call("query_order", "").expect(expected).json();
            assert_eq!(order["out_trade_no"], *number);
            if at == 0 {
                let refund = ",\"out_refund_no\":2026112703430000000003,\"total_fee\":100,\
                    \"refund_fee\":100";
                call("refund", refund).expect(0);
                let sent = odd
                    .heard(What::Refund, number)
                    .remove(0)
                    .content
                    .to_string();
                assert!(sent.contains("\"2026112703430000000003\""), "{sent}");
            }
        }
    }
}

/// What isn't a plain integer is no number of an order: refused, by name, and nothing is sent.
#[test]
fn a_number_that_is_no_plain_integer_is_refused() {
    let odd = Odd::start(Gateway::CloudPay);
    let till = Till::at(&[&odd]);
    let register = till.register();
    for written in [
        "2.0e+25",
        "1e3",
        "1.0",
        "1.5",
        "20261127034300000000000001.0",
        "true",
        "[1]",
    ] {
        let payment = format!(
            "{{\"out_trade_no\":{written},\"author_code\":\"{}\",\"total_fee\":100}}",
            code("0")
        );
        let refused = register
            .raw("micro_pay", Some(payment.as_bytes()), 64)
            .expect(-1);
        assert!(
            refused.message().contains("out_trade_no"),
            "{}",
            refused.message()
        );
        let query = format!("{{\"out_trade_no\":{written}}}");
        let refused = register
            .raw("query_order", Some(query.as_bytes()), 4096)
            .expect(-3);
        assert!(
            refused.message().contains("out_trade_no"),
            "{}",
            refused.message()
        );
        let cancel = register
            .raw("cancel_order", Some(query.as_bytes()), -1)
            .expect(-1);
        assert!(
            cancel.message().contains("out_trade_no"),
            "{}",
            cancel.message()
        );
    }
    // The configuration is read alike.
    register.fini();
    let mut conf = till.conf.clone();
    conf["trade_conf"]["device_id"] = json!("DEVICE");
    let conf = conf.to_string();
    let with = |written: &str| conf.replace("\"DEVICE\"", written);
    let refused = register
        .raw("init", Some(with("1.5e30").as_bytes()), -1)
        .expect(-1);
    assert!(
        refused.message().contains("device_id"),
        "{}",
        refused.message()
    );
    let long = "123456789012345678901234567890";
    register
        .raw("init", Some(with(long).as_bytes()), -1)
        .expect(0);
    let number = crate::odd::number();
    odd.on(&number, |ask| ask.order(State::Paid).signed());
    register.pay(&number, &code("0")).expect(0);
    settled(&register, &number, Duration::from_secs(9)).expect(0);
    let sent = odd.heard(What::Pay, &number).remove(0).content;
    assert_eq!(sent["order_client"]["device_id"], long);
}

/// A register may have several prefixes. They are for what it pays and refunds under, and stop no
/// question, no cancel, and no refund of an order that has another.
#[test]
fn a_register_may_have_several_prefixes() {
    let odd = Odd::start(Gateway::CloudPay);
    let one = Till::at(&[&odd]).trade("order_prefix", "sz01");
    let many = Till::at(&[&odd]).trade("order_prefix", json!(["sz01", "bj02"]));
    for (till, others) in [(one, false), (many, true)] {
        let register = till.common("reverse_after_ms", 500).register();
        assert!(next(&register).starts_with("sz01"));
        for prefix in ["sz01", "bj02", "gz03"] {
            let number = format!("{prefix}{}", crate::odd::number());
            let mut over = false;
            odd.on(&number, move |ask| match ask.what {
                What::Refund => ask.refunding(ask.refund_fee(), Refunding::Processing),
                What::QueryRefund => ask.missing(),
                What::Reverse => {
                    over = true;
                    ask.done()
                }
                _ if over => ask.order(State::Reversed).signed(),
                _ => {
                    let client = json!({"device_id": "till 7",
                        "machine_no": "00-00-00-00-00-07"});
                    ask.order(State::Paid).set("/order_client", client).signed()
                }
            });
            let own = prefix == "sz01" || others && prefix == "bj02";
            let reply = register.pay(&number, &code("0"));
            assert_eq!(
                reply.code,
                if own { 0 } else { -1 },
                "{prefix}: {}",
                reply.message()
            );
            if own {
                settled(&register, &number, Duration::from_secs(9)).expect(0);
                cancel(&register, &number).expect(0);
                continue;
            }
            assert!(
                reply.message().contains("out_trade_no"),
                "{}",
                reply.message()
            );
            // Another's, or this register's from before it had these prefixes.
            let asked = json!({"out_trade_no": number, "pay_platform": 1, "trade_type": 1});
            register.call("query_order", &asked).expect(0);
            let refund = |refund_no: String| {
                let request = json!({"out_trade_no": number, "out_refund_no": refund_no,
                    "total_fee": 100, "refund_fee": 40, "pay_platform": 1});
                register.call("refund", &request)
            };
            let refused = refund(format!("{number}R")).expect(-1);
            assert!(
                refused.message().contains("out_refund_no"),
                "{}",
                refused.message()
            );
            refund(format!("sz01{number}R")).expect(0);
            let asked = json!({"out_trade_no": number, "pay_platform": 1,
                "out_refund_no": format!("{number}R")});
            register.call("query_refund", &asked).expect(-1);
            assert!(odd.count(What::QueryRefund, &number) >= 1, "nobody asked");
            // One that wasn't refunded is reversed.
            let number = format!("{prefix}{}", crate::odd::number());
            let mut over = false;
            odd.on(&number, move |ask| match ask.what {
                What::Reverse => {
                    over = true;
                    ask.done()
                }
                _ if over => ask.order(State::Reversed).signed(),
                _ => {
                    let client = json!({"device_id": "till 7",
                        "machine_no": "00-00-00-00-00-07"});
                    ask.order(State::Paid).set("/order_client", client).signed()
                }
            });
            let asked = json!({"out_trade_no": number, "pay_platform": 1, "trade_type": 1});
            register.call("cancel_order", &asked).expect(0);
            assert_eq!(odd.taken_back(&number), 1);
        }
    }
}
