//! The control interface: faults, listeners, the log.

use serde_json::{Value, json};

use cloudpay_sandbox::{Options, Sandbox};

use crate::desk::{Desk, Got, about, agent, micro, quick, sealed};

/// What kind of answer it was, as a word.
fn kind(got: &Got) -> &'static str {
    match got {
        Got::Broken(_) => "broken",
        Got::Odd(502, _) => "502",
        Got::Odd(..) => "odd",
        Got::Answer(a) => match (a.status(), a.signed) {
            (0, Some(true)) => "good",
            (0, Some(false)) => "bad code",
            (0, None) => "no code",
            (3, None) => "3",
            (103, Some(true)) => "103",
            other => panic!("{other:?}"),
        },
    }
}

#[test]
fn each_fault_does_what_it_says() {
    let desk = Desk::new();
    let cases = [
        ("cut_before", "broken", 0),
        ("cut_after", "broken", 1),
        ("status_502", "502", 1),
        ("bad_auth", "bad code", 1),
        ("half_body", "broken", 1),
        ("no_auth", "no code", 1),
        ("other_order", "good", 1),
        ("garbage", "odd", 1),
        ("busy_103", "103", 0),
    ];
    for (fault, expected, charges) in cases {
        assert_eq!(
            desk.control("/sandbox/faults", &json!({ fault: 1.0 })).0,
            200
        );
        let no = format!("sz0100{fault}");
        let got = desk.call("micro_pay", &micro(&no, "000"));
        assert_eq!(kind(&got), expected, "{fault}");
        let page = desk.ledger(&no);
        assert_eq!(
            (&page["charges"], &page["pay_requests"]),
            (&charges.into(), &1.into()),
            "{fault}"
        );
        // The default scope leaves queries alone.
        assert_eq!(desk.query(&no).status(), if charges == 1 { 0 } else { 104 });
    }
}

#[test]
fn faults_are_the_same_for_the_same_seed() {
    let run = || {
        let desk = Desk::new();
        let rates = json!({ "seed": 7, "cut_before": 0.2, "status_502": 0.2, "busy_3": 0.3, "scope": "all" });
        desk.control("/sandbox/faults", &rates);
        (0..40)
            .map(|i| kind(&desk.call("micro_pay", &micro(&format!("sz0100{i}"), "000"))))
            .collect::<Vec<_>>()
    };
    let kinds = run();
    assert_eq!(kinds, run());
    for wanted in ["good", "502", "3", "broken"] {
        assert!(kinds.contains(&wanted), "{wanted}");
    }
}

#[test]
fn faults_can_be_read_cleared_and_mistyped() {
    let desk = Desk::new();
    assert_eq!(
        desk.control("/sandbox/faults", &json!({ "cut_befor": 1.0 }))
            .0,
        400
    );
    desk.control(
        "/sandbox/faults",
        &json!({ "cut_before": 1.0, "ping_down": true, "delay_ms": [0, 1] }),
    );
    let set = desk.get("/sandbox/faults");
    assert_eq!(
        (&set["cut_before"], &set["ping_down"], &set["scope"]),
        (&1.0.into(), &true.into(), &"pay".into())
    );
    let ping = || {
        agent(&desk.sandbox)
            .get(format!("{}/cpay/ping", desk.sandbox.url()))
            .call()
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(ping(), 503);
    desk.delete("/sandbox/faults");
    assert_eq!(ping(), 200);
    assert_eq!(
        desk.call("micro_pay", &micro("sz0100a", "000"))
            .authentic()
            .status(),
        0
    );
}

#[test]
fn strict_codes_pay_once_and_look_like_their_platform() {
    let desk = Desk::new();
    desk.control("/sandbox/faults", &json!({ "strict_codes": true }));
    assert_eq!(
        desk.call("micro_pay", &micro("sz0100a", "000"))
            .authentic()
            .status(),
        0
    );
    let twice = desk.call("micro_pay", &micro("sz0100b", "000")).authentic();
    assert_eq!(twice.status(), 104);
    assert!(twice.description().contains("author_code"));
    assert_eq!(
        desk.call("micro_pay", &micro("sz0100a", "000"))
            .authentic()
            .status(),
        0
    );
    let mut alipay = micro("sz0100c", "000");
    alipay["pay_content"]["author_code"] = "282129340414399818".into();
    assert_eq!(desk.call("micro_pay", &alipay).authentic().status(), 104);
}

#[test]
fn every_answer_can_be_an_object() {
    let desk = Desk::new();
    desk.control("/sandbox/faults", &json!({ "object_answers": true }));
    assert!(
        desk.call("micro_pay", &micro("sz0100a", "000"))
            .authentic()
            .object
    );
    assert!(
        desk.call("query_order", &about("sz0100b"))
            .authentic()
            .object
    );
}

#[test]
fn a_listener_that_is_down_refuses_and_comes_back_on_its_port() {
    let desk = Desk::with(Options {
        extra_listeners: 1,
        ..quick()
    });
    let urls = desk.sandbox.urls().to_vec();
    assert_eq!(urls.len(), 2);
    let body = |no: &str| sealed(&micro(no, "000").to_string()).to_string();
    let pay = |url: &str, no: &str| {
        desk.post(
            &format!("{url}/cpay/micro_pay"),
            "application/json",
            body(no).as_bytes(),
        )
    };
    // A kept connection must be gone too.
    pay(&urls[0], "sz0100a").authentic();
    assert_eq!(
        desk.control("/sandbox/down", &json!({ "listener": 0 })).0,
        200
    );
    assert!(pay(&urls[0], "sz0100b").is_broken());
    let address = urls[0].strip_prefix("https://").unwrap();
    let refused = std::net::TcpStream::connect(address).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    // The other listener has the same ledger.
    pay(&urls[1], "sz0100a").authentic();
    assert_eq!(desk.ledger("sz0100a")["pay_requests"], 2);
    let list = desk.get("/sandbox/listeners");
    assert_eq!(
        (&list[0]["up"], &list[1]["up"]),
        (&false.into(), &true.into())
    );
    assert_eq!(
        desk.control("/sandbox/up", &json!({ "listener": 0 })).0,
        200
    );
    pay(&urls[0], "sz0100b").authentic();
    assert_eq!(
        desk.control("/sandbox/down", &json!({ "listener": 2 })).0,
        404
    );
}

#[test]
fn a_listener_can_be_taken_down_by_itself() {
    let desk = Desk::new();
    let url = format!("{}/sandbox/down", desk.sandbox.url());
    assert!(desk.post(&url, "application/json", b"").is_broken());
    assert_eq!(desk.get("/sandbox/listeners")[0]["up"], false);
}

#[test]
fn the_log_says_why_a_request_was_refused() {
    let desk = Desk::new();
    desk.call("micro_pay", &micro("sz0100a", "901"));
    let mut content = micro("sz0100b", "000");
    content["pay_content"]["total_fee"] = 0.into();
    desk.call("micro_pay", &content).authentic();
    let log = desk.get("/sandbox/log");
    assert_eq!(
        (&log[0]["fault"], &log[0]["auth"]),
        (&"Cut".into(), &"a".into())
    );
    assert_eq!(
        (&log[1]["status"], &log[1]["path"]),
        (&104.into(), &"/cpay/micro_pay".into())
    );
    assert!(log[1]["verdict"].as_str().unwrap().contains("total_fee"));
}

#[test]
fn sandboxes_of_one_process_can_share_an_authority_but_not_orders() {
    let dir = std::env::temp_dir().join(format!("cloudpay-sandbox-ca-{}", std::process::id()));
    let start = || {
        Desk::with(Options {
            ca_dir: Some(dir.clone()),
            ..quick()
        })
    };
    let (one, two) = std::thread::scope(|s| {
        let one = s.spawn(start);
        let two = s.spawn(start);
        (one.join().unwrap(), two.join().unwrap())
    });
    assert_eq!(one.sandbox.ca_file(), two.sandbox.ca_file());
    one.call("micro_pay", &micro("sz0100a", "000")).authentic();
    let url = format!("{}/cpay/query_order", two.sandbox.url());
    let query = sealed(&about("sz0100a").to_string()).to_string();
    // The first one's client trusts the second one as well.
    assert_eq!(
        one.post(&url, "application/json", query.as_bytes())
            .authentic()
            .status(),
        104
    );
    drop((one, two));
    assert!(dir.join("ca.pem").exists());
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn the_configuration_file_names_everything_and_goes_with_the_sandbox() {
    let sandbox = Sandbox::start(quick()).unwrap();
    let conf: Value =
        serde_json::from_str(&std::fs::read_to_string(sandbox.conf_file()).unwrap()).unwrap();
    assert_eq!(conf["common_conf"]["domains"][0], sandbox.url());
    assert_eq!(
        conf["common_conf"]["ca_file"],
        sandbox.ca_file().to_str().unwrap()
    );
    assert_eq!(
        conf["trade_conf"]["out_mch_id"],
        sandbox.merchant().out_mch_id
    );
    assert_eq!(conf["trade_conf"]["authen_type"], 1);
    assert!(
        conf["trade_conf"]["private_key"]
            .as_str()
            .unwrap()
            .starts_with("-----BEGIN PRIVATE KEY-----\n")
    );
    let conf: Value =
        serde_json::from_str(&std::fs::read_to_string(sandbox.epay123_conf_file()).unwrap())
            .unwrap();
    assert_eq!(conf["common_conf"]["gateway"], "epay123");
    assert_eq!(conf["trade_conf"]["mch_no"], sandbox.merchant().mch_no);
    let (dir, address) = (
        sandbox.data_dir().to_owned(),
        sandbox.url().strip_prefix("https://").unwrap().to_owned(),
    );
    drop(sandbox);
    assert!(!dir.exists());
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn what_can_not_work_is_said_at_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    for options in [
        Options { listen, ..quick() },
        Options {
            callback_url: Some("http://example.com/".to_owned()),
            ..quick()
        },
        Options {
            merchant_public_key: Some("/nowhere.pem".into()),
            ..quick()
        },
    ] {
        assert!(Sandbox::start(options).is_err());
    }
}
