//! The header, the exported names, and what the boundary does with bad input.

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Register, Shop, build_folder, code, root, run, shared_library};

/// Every function of the ABI that takes a request, with whether it has an output buffer.
const CALLS: [(&str, bool); 20] = [
    ("micro_pay", true),
    ("scan_code_pay", false),
    ("query_order", true),
    ("wait_order", true),
    ("cancel_order", false),
    ("close_order", false),
    ("refund", false),
    ("query_refund", true),
    ("query_shop_info", true),
    ("query_sub_mch_info", true),
    ("order_detail", true),
    ("order_stat", true),
    ("verify_notify", true),
    ("notify_reply", true),
    ("pending_orders", true),
    ("next_trade_no", true),
    ("security_author_code_prefix", true),
    ("security_login", true),
    ("security_init", false),
    ("set_callback", false),
];

/// Those whose first argument is a JSON text.
const REQUESTS: [&str; 12] = [
    "query_shop_info",
    "query_sub_mch_info",
    "order_detail",
    "order_stat",
    "micro_pay",
    "scan_code_pay",
    "query_order",
    "wait_order",
    "cancel_order",
    "close_order",
    "refund",
    "query_refund",
];

/// Calls whose -1 is a verdict, so that a bad request has to be -3.
fn is_query(function: &str) -> bool {
    ["query_", "wait_", "order_"]
        .iter()
        .any(|prefix| function.starts_with(prefix))
}

#[test]
fn the_header_is_what_the_source_makes() {
    run(Command::new(env!("CARGO"))
        .args([
            "run",
            "--quiet",
            "--package",
            "xtask",
            "--",
            "header",
            "--check",
        ])
        .current_dir(root()));
}

#[test]
fn the_header_compiles_alone_and_twice() {
    let header = root().join("include/cloudpay.h");
    let twice = build_folder().join("twice.h");
    let include = format!("#include \"{}\"\n", header.display());
    std::fs::write(&twice, include.repeat(2)).unwrap();
    for (compiler, language, standard) in [
        ("cc", "c", "c99"),
        ("cc", "c", "c11"),
        ("c++", "c++", "c++17"),
    ] {
        for file in [&header, &twice] {
            run(Command::new(compiler)
                .args(["-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only"])
                .arg(format!("-std={standard}"))
                .args(["-x", language])
                .arg(file));
        }
    }
}

/// The header's functions, the library's exported names, and nothing else.
#[test]
fn the_library_exports_the_header_and_nothing_else() {
    let header = std::fs::read_to_string(root().join("include/cloudpay.h")).unwrap();
    let declared: BTreeSet<String> = header
        .lines()
        .filter(|line| !line.starts_with("//") && !line.starts_with(" *"))
        .filter_map(|line| line.split_once('('))
        .filter_map(|(before, _)| before.rsplit([' ', '*']).next())
        .filter(|name| name.starts_with("cloud_pay_"))
        .map(str::to_owned)
        .collect();
    assert!(declared.len() >= 28, "{declared:?}");
    let symbols = run(Command::new("nm")
        .args(["--dynamic", "--defined-only", "--format=posix"])
        .arg(shared_library()));
    let exported: BTreeSet<String> = symbols
        .lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect();
    assert_eq!(exported, declared);
}

/// Every export runs through the guard: a panic in it is -3 and not the end of the register.
#[test]
fn every_export_is_guarded() {
    let mut exports = 0;
    for file in [
        "lifecycle.rs",
        "payment.rs",
        "merchant.rs",
        "notify.rs",
        "unsupported.rs",
    ] {
        let source = std::fs::read_to_string(root().join("src/ffi").join(file)).unwrap();
        for export in source.split("#[unsafe(no_mangle)]").skip(1) {
            exports += 1;
            let body = export.split("\n}\n").next().unwrap();
            // These three only read what is there: no code of theirs can panic.
            let reads = ["get_errmsg", "copy_errmsg", "cloud_pay_version"];
            assert!(
                ["guard(", "order_call(", "report_call(", "set_callback("]
                    .iter()
                    .any(|guarded| body.contains(guarded))
                    || reads.iter().any(|name| body.contains(name)),
                "{body}"
            );
        }
    }
    assert!(exports >= 28, "{exports}");
}

/// A `_std` name does what its namesake does.
#[test]
fn every_std_name_calls_its_namesake() {
    let source = std::fs::read_to_string(root().join("src/ffi/stdcall.rs")).unwrap();
    let pairs = source.matches("_std =").count();
    assert!(pairs >= 27, "{pairs}");
    for pair in source
        .split("    cloud_pay_")
        .filter(|text| text.contains("_std ="))
    {
        let name = pair.split("_std").next().unwrap();
        assert!(pair.contains(&format!("::cloud_pay_{name}(")), "{pair}");
    }
}

#[test]
fn calls_before_init_say_so() {
    let register = Register::start();
    for (function, _) in CALLS {
        let reply = register.call(function, &json!({})).expect(-3);
        let offered = !function.starts_with("security_") || function.ends_with("prefix");
        let words = if offered {
            "cloud_pay_init"
        } else {
            "not offered"
        };
        assert!(
            reply.message().contains(words),
            "{function}: {}",
            reply.message()
        );
    }
    register.raw("fini", None, -1).expect(0);
}

#[test]
fn init_twice_and_bad_configurations() {
    let shop = Shop::open();
    let register = Register::start();
    for (request, words) in [
        (None, "NULL"),
        (Some(&b""[..]), "JSON"),
        (Some(b"[]"), "JSON"),
        (Some(b"{}"), "trade_conf.out_mch_id"),
        (Some(b"{\"common_conf\":1}"), "common_conf"),
        (Some(b"\xff\xff"), "byte offset 0"),
    ] {
        let reply = register.raw("init", request, -1).expect(-1);
        assert!(reply.message().contains(words), "{}", reply.message());
    }
    register.init(&shop.conf);
    // The same again changes nothing; another one is refused; both leave the library running.
    register.init(&shop.conf);
    let mut other = shop.conf.clone();
    other["trade_conf"]["staff_id"] = json!("night shift");
    let refused = register.call("init", &other).expect(-1);
    assert!(
        refused.message().contains("cloud_pay_fini"),
        "{}",
        refused.message()
    );
    register.call("init", &json!({})).expect(-1);
    let number = shop.number();
    register.pay(&number, &code("000")).expect(0);
    register.wait(&number).expect(0);
    register.fini();
    register.fini();
    register.init(&other);
}

/// Bad requests are refused with the key, the limit and what was given; nothing is stored or
/// sent, and nothing looks like a verdict.
#[test]
fn bad_requests_name_the_key() {
    let shop = Shop::open().trade("order_prefix", "sz0100");
    let register = shop.register();
    let good = json!({"out_trade_no": shop.number(), "author_code": code("000"), "total_fee": 1});
    for (key, value, words) in [
        ("out_trade_no", json!(null), "out_trade_no: required"),
        ("out_trade_no", json!(""), "out_trade_no: required"),
        (
            "out_trade_no",
            json!(["x"]),
            "out_trade_no: must be a string",
        ),
        (
            "out_trade_no",
            json!("x".repeat(33)),
            "at most 32 characters, got 33",
        ),
        ("out_trade_no", json!("noprefix1"), "sz0100"),
        ("out_trade_no", json!("sz0100\u{7}"), "out_trade_no"),
        ("out_trade_no", json!("sz0100 1"), "out_trade_no"),
        ("author_code", json!(null), "author_code: required"),
        (
            "author_code",
            json!("12345"),
            "author_code: not a payment code",
        ),
        (
            "author_code",
            json!("9".repeat(129)),
            "at most 128 characters, got 129",
        ),
        ("total_fee", json!(0), "between 1 and 2147483647, got 0"),
        ("total_fee", json!(-1), "got -1"),
        ("total_fee", json!(2_147_483_648_i64), "got 2147483648"),
        (
            "total_fee",
            json!("1.5"),
            "total_fee: must be a whole number",
        ),
        (
            "total_fee",
            json!(1e300),
            "total_fee: must be a whole number",
        ),
        ("total_fee", json!({}), "total_fee"),
        ("fee_type", json!("USD"), "fee_type: only CNY"),
        (
            "body",
            json!("好".repeat(129)),
            "body: at most 128 characters, got 129",
        ),
        ("attach", json!("a".repeat(128)), "attach: at most 127"),
        ("goods_tag", json!("a".repeat(33)), "goods_tag: at most 32"),
        ("limit_pay", json!("a".repeat(33)), "limit_pay: at most 32"),
        (
            "detail",
            json!({"x": "a".repeat(6000)}),
            "detail: at most 6000",
        ),
        ("detail", json!(5), "detail: must be"),
        ("remark", json!("a".repeat(128)), "remark: at most 127"),
        (
            "pay_platform",
            json!(3),
            "pay_platform: must be between 1 and 2, got 3",
        ),
    ] {
        let mut request = good.clone();
        request[key] = value;
        let reply = register.call("micro_pay", &request).expect(-1);
        assert!(
            reply.message().contains(words),
            "{key}: {}",
            reply.message()
        );
    }
    for json in [
        "",
        "{",
        "null",
        "[]",
        "\"x\"",
        "{\"a\":1}}",
        &"[".repeat(100_000),
    ] {
        for function in REQUESTS {
            let code = register.raw(function, Some(json.as_bytes()), 4096).code;
            assert_eq!(
                code,
                if is_query(function) { -3 } else { -1 },
                "{function} {json:.10}"
            );
        }
    }
    let refund = json!({"out_trade_no": shop.number(), "total_fee": 10, "refund_fee": 11});
    let reply = register.call("refund", &refund).expect(-1);
    assert!(
        reply
            .message()
            .contains("refund_fee: must be between 1 and 10, got 11")
    );
    // Nothing of all that was stored or sent.
    assert_eq!(
        register.raw("pending_orders", None, 4096).expect(0).json()["total_count"],
        0
    );
    assert_eq!(shop.control_get("ledger")["orders"], json!({}));
    // Numbers as strings, and keys we don't know, are what registers write.
    let mut request = good.clone();
    request["total_fee"] = json!("1");
    request["colour"] = json!("red");
    register.call("micro_pay", &request).expect(0);
    register
        .wait(request["out_trade_no"].as_str().unwrap())
        .expect(0);
    register.fini();
    assert_eq!(shop.log().matches("colour").count(), 1);
}

#[test]
fn null_and_invalid_text() {
    let shop = Shop::open();
    let register = shop.register();
    for function in REQUESTS {
        let reply = register.raw(function, None, 4096);
        assert_eq!(
            reply.code,
            if is_query(function) { -3 } else { -1 },
            "{function}"
        );
        assert!(reply.message().contains("NULL"), "{function}");
        let reply = register
            .raw(function, Some(b"{\"a\":\"\xff\"}"), 4096)
            .expect(-3);
        assert!(
            reply.message().contains("byte offset 6"),
            "{}",
            reply.message()
        );
        // "支付" as Chinese Windows writes it.
        let reply = register.raw(function, Some(b"{\"a\":\"\xd6\xa7\xb8\xb6\"}"), 4096);
        assert!(
            reply.message().contains("looks like GBK"),
            "{}",
            reply.message()
        );
    }
}

/// Buffers: too small gets nothing but a NUL and -8 with the size; payments check theirs first.
#[test]
fn buffers_are_never_written_in_part() {
    let shop = Shop::open();
    let register = shop.register();
    let number = shop.number();
    let request = json!({"out_trade_no": number, "author_code": code("000"), "total_fee": 100,
        "detail": "d".repeat(5000)})
    .to_string();
    for length in [0, 1, 63] {
        let reply = register
            .raw("micro_pay", Some(request.as_bytes()), length)
            .expect(-8);
        assert!(reply.message().contains("64"), "{}", reply.message());
        assert!(reply.out.is_empty());
    }
    assert_eq!(shop.control_get("ledger")["orders"], json!({}));
    assert_eq!(
        register.raw("pending_orders", None, 4096).expect(0).json()["total_count"],
        0
    );
    // NULL with length 0: the platform isn't wanted. Then exactly 64 bytes.
    register
        .raw("micro_pay", Some(request.as_bytes()), -1)
        .expect(0);
    let reply = register
        .raw("micro_pay", Some(request.as_bytes()), 64)
        .expect(0);
    assert_eq!(reply.json(), json!({"pay_platform": 1}));
    register.wait(&number).expect(0);

    let asked = json!({"out_trade_no": number}).to_string();
    let whole = register
        .raw("query_order", Some(asked.as_bytes()), 65_536)
        .expect(0);
    assert!(whole.out.len() > 5000);
    assert_eq!(whole.json().get("shortened"), None);
    for length in [5000, 4096, 1024, 512] {
        let reply = register
            .raw("query_order", Some(asked.as_bytes()), length)
            .expect(0);
        assert_eq!(reply.json()["shortened"], true, "{length}");
        assert_eq!(reply.json()["state"], "paid");
    }
    for length in [-1, 0, 1, 100] {
        let reply = register
            .raw("query_order", Some(asked.as_bytes()), length)
            .expect(-8);
        assert!(
            reply.out.is_empty() && reply.message().contains("bytes"),
            "{reply:?}"
        );
    }
    for (function, enough) in [
        ("pending_orders", 64),
        ("next_trade_no", 33),
        ("security_author_code_prefix", 256),
    ] {
        register.raw(function, None, enough).expect(0);
        for length in [-1, 0, 1, 20] {
            let reply = register.raw(function, None, length).expect(-8);
            assert!(reply.out.is_empty(), "{function}");
        }
    }
    let prefixes = register
        .raw("security_author_code_prefix", None, 256)
        .json();
    assert_eq!(prefixes["wx_author_code_prefix"][5], "15");
    assert_eq!(prefixes["author_code_prefix"][1]["2"][0], "25");
    register.raw("copy_errmsg", None, 0).expect(-8);
}

/// Invariant 11. Storms of calls, callbacks, `init` and `fini` from many threads: no crash, no
/// hang, and no order lost or charged twice.
#[test]
fn the_host_never_crashes_and_never_hangs() {
    let shop = Shop::open().common("fini_timeout_ms", 500);
    let register = shop.register();
    register.raw("set_callback", None, -1).expect(0);
    let mut accepted = Vec::new();
    for round in 0..12 {
        let mut calls = Vec::new();
        for _ in 0..8 {
            let number = shop.number();
            let pay = json!({"out_trade_no": number, "author_code": code("001"), "total_fee": 1});
            let pay = pay.to_string();
            let ask = json!({"out_trade_no": number}).to_string();
            let begin = |function, request: &str, timeout| {
                register.begin(function, Some(request.as_bytes()), 4096, timeout)
            };
            accepted.push((number, begin("micro_pay", &pay, 0)));
            calls.push(begin("wait_order", &ask, 50_000));
            calls.push(begin("query_order", &ask, 0));
            calls.push(begin("cancel_order", "{}", 0));
            calls.push(register.begin("pending_orders", None, 4096, 0));
            calls.push(register.begin("set_callback", None, -1, 0));
            calls.push(register.begin("clear_callback", None, -1, 0));
        }
        let fini = register.begin("fini", None, -1, 0);
        let conf = shop.conf.to_string();
        let init = register.begin("init", Some(conf.as_bytes()), -1, 0);
        fini.get().expect(0);
        let code = init.get().code;
        assert!([0, -1].contains(&code), "round {round}: {code}");
        for call in calls {
            call.get();
        }
        register.call("init", &shop.conf).expect(0);
    }
    // 0 means accepted: each of those is found again, and charged once.
    let accepted: Vec<String> = accepted
        .into_iter()
        .filter_map(|(number, reply)| (reply.get().code == 0).then_some(number))
        .collect();
    assert!(!accepted.is_empty());
    // A customer who never pays: the wait ends all the same.
    let open = shop.number();
    register.pay(&open, &code("002")).expect(0);
    let wait = register.begin_wait(&open, Duration::from_secs(1));
    wait.get().expect(-2);
    for number in &accepted {
        let reply = register.wait(number);
        let charges = shop.ledger(number)["charges"].as_i64().unwrap_or(0);
        assert!(
            (reply.code, charges) == (0, 1) || (reply.code, charges) == (-1, 0),
            "{number}: {} {charges}",
            reply.code
        );
    }
    register.fini();
    assert!(register.exit().success());
}

/// The callback may do everything but start and stop the library; that is refused, not a hang.
#[test]
fn a_callback_cannot_hang_the_library() {
    let shop = Shop::open();
    let register = shop.register();
    register.raw("set_hostile_callback", None, -1).expect(0);
    let number = shop.number();
    register.pay(&number, &code("000")).expect(0);
    let mut heard = Vec::new();
    while heard.len() < 5 {
        let news = register
            .news()
            .recv_timeout(crate::support::PATIENCE)
            .unwrap();
        heard.push((news.what, news.code));
    }
    let heard: Vec<_> = heard
        .iter()
        .map(|(what, code)| (what.as_str(), *code))
        .collect();
    assert_eq!(
        heard,
        [
            ("*", 0),
            ("*init", -3),
            ("*fini", -3),
            ("*pending", 0),
            ("*clear", 0)
        ]
    );
    // It cleared itself: the next order is silent.
    let next = shop.number();
    register.pay(&next, &code("000")).expect(0);
    register.wait(&next).expect(0);
    register.fini();
    assert!(register.news().try_recv().is_err());
}

/// A child process has none of the library's threads: it is told so, and nothing is touched.
#[test]
fn a_forked_child_is_told_so() {
    let shop = Shop::open();
    let register = shop.register();
    register.call("fork", &shop.conf).expect(0);
    let number = shop.number();
    register.pay(&number, &code("000")).expect(0);
    register.wait(&number).expect(0);
    register.fini();
}

/// Hosts have buffers of a fixed size for messages.
#[test]
fn messages_end_before_1024_bytes() {
    let shop = Shop::open()
        .common("language", "zh")
        .common("ascii_output", 1)
        .common("ca_file", "密".repeat(2000));
    let register = Register::start();
    let refused = register.call("init", &shop.conf).expect(-1);
    let length = refused.message.len();
    assert!((900..1024).contains(&length), "{length}");
    assert!(refused.message().contains("ca_file"));
}

#[test]
fn news_comes_once_for_each_order() {
    let shop = Shop::open();
    let register = shop.register();
    register.raw("set_callback", None, -1).expect(0);
    let (paid, code_then_paid) = (shop.number(), shop.number());
    register.pay(&paid, &code("001")).expect(0);
    register.scan(&code_then_paid, Some("001")).expect(0);
    register.wait(&paid).expect(0);
    register.wait(&code_then_paid).expect(0);
    register.fini();
    let mut news: Vec<(bool, i32)> = register
        .news()
        .try_iter()
        .map(|news| {
            assert_eq!(news.what, "*");
            let order: Value = serde_json::from_str(&news.text).unwrap();
            assert_eq!(order["out_trade_no"], news.number);
            (news.number == paid, news.code)
        })
        .collect();
    news.sort_unstable();
    assert_eq!(news, [(false, -5), (false, 0), (true, 0)]);
}

/// `fini` is bounded, also with a gateway that never answers.
#[test]
fn fini_cuts_what_does_not_end() {
    let shop = Shop::open()
        .common("fini_timeout_ms", 300)
        .common("request_timeout_ms", 120_000);
    shop.control_post(
        "faults",
        &json!({"delay_ms": [600_000, 600_000], "scope": "all"}),
    );
    let register = shop.register();
    let numbers: Vec<String> = (0..8).map(|_| shop.number()).collect();
    for number in &numbers {
        register.pay(number, &code("000")).expect(0);
    }
    let request = json!({"out_trade_no": shop.number(), "trade_type": 1, "pay_platform": 1});
    let query = register.begin("query_order", Some(request.to_string().as_bytes()), 4096, 0);
    let wait = register.begin_wait(&numbers[0], Duration::from_secs(50));
    register.fini();
    assert!([-2, -3].contains(&query.get().code));
    assert!([-2, -3].contains(&wait.get().code));
}

#[test]
fn gbk_goes_in_and_comes_out() {
    let shop = Shop::open()
        .common("charset", "gbk")
        .common("language", "zh");
    let register = shop.register();
    let gbk = |text: &str| encoding_rs::GBK.encode(text).0.into_owned();
    let number = shop.number();
    let request = json!({"out_trade_no": number, "author_code": code("000"), "total_fee": 1,
        "body": "生活用品套餐"})
    .to_string();
    register
        .raw("micro_pay", Some(&gbk(&request)), 64)
        .expect(0);
    register.wait(&number).expect(0);
    let reply = register.query(&number).expect(0);
    let contains = |bytes: &[u8], text: &str| {
        let part = gbk(text);
        bytes.windows(part.len()).any(|window| window == part)
    };
    assert!(contains(&reply.out, "生活用品套餐"));
    let refused = register.raw("micro_pay", Some(&gbk("{}")), 64).expect(-1);
    assert!(contains(&refused.message, "必填"), "{:?}", refused.message);
    let refused = register
        .raw("micro_pay", Some(b"{\"a\":\"\x80\xff\"}"), 64)
        .expect(-3);
    assert!(
        contains(&refused.message, "字节偏移"),
        "{:?}",
        refused.message
    );
}

#[test]
fn ascii_output_is_ascii() {
    let shop = Shop::open()
        .common("ascii_output", 1)
        .common("language", "zh");
    let register = shop.register();
    let number = shop.number();
    let request = json!({"out_trade_no": number, "author_code": code("000"), "total_fee": 1,
        "body": "茶😀"});
    register.call("micro_pay", &request).expect(0);
    register.wait(&number).expect(0);
    let reply = register.query(&number).expect(0);
    assert!(reply.out.is_ascii());
    assert_eq!(reply.json()["order_content"]["body"], "茶😀");
    assert!(
        register
            .call("micro_pay", &json!({}))
            .expect(-1)
            .message
            .is_ascii()
    );
    register.fini();
    // What is wrong with a configuration is said in the same way.
    let mut wrong = shop.conf.clone();
    wrong["common_conf"]["worker_threads"] = json!(0);
    let message = register.call("init", &wrong).expect(-1).message;
    assert!(message.is_ascii() && !message.is_empty());
}
