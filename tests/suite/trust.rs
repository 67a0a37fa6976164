//! Secrets, evidence, signatures, and the network between.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};

use cloudpay_sandbox::Options;
use serde_json::{Value, json};

use crate::support::{
    Gateway, Host, Register, Shop, alipay_code, build_folder, code, compile, host, http_body, root,
    run, until,
};

/// Invariant 7. No key, no payment code and no customer shows in the log, the journal, or an
/// error.
#[test]
fn secrets_stay_inside() {
    std::thread::scope(|scope| {
        for gateway in Gateway::BOTH {
            scope.spawn(move || secrets_stay_inside_at(gateway));
        }
    });
}

fn secrets_stay_inside_at(gateway: Gateway) {
    let shop = Shop::at(gateway, Options::default());
    let register = shop.register();
    let mut orders = Vec::new();
    for scenario in ["000", "003", "004", "104", "407", "901", "904", "910"] {
        for make in [code as fn(&str) -> String, alipay_code] {
            let (number, code) = (shop.number(), make(scenario));
            register.pay(&number, &code).expect(0);
            orders.push((number, code));
        }
    }
    let mut codes = Vec::new();
    for (number, code) in orders {
        let reply = register.wait(&number);
        assert!(!reply.message().contains(&code));
        codes.push(code);
    }
    let number = shop.number();
    register.pay(&number, &code("000")).expect(0);
    register.wait(&number).expect(0);
    let refund = json!({"out_trade_no": number, "total_fee": 100, "refund_fee": 100});
    register.call("refund", &refund).expect(0);
    register.query(&number);
    // A code under the wrong key, a double scan, a key of the wrong type.
    let scanned = code("002");
    codes.push(scanned.clone());
    register.pay(&shop.number(), &scanned).expect(0);
    let refused = register.pay(&shop.number(), &scanned).expect(-1);
    assert!(!refused.message().contains(&scanned));
    let odd = json!({"out_trade_no": shop.number(), "author_code": [scanned], "total_fee": 1});
    assert!(
        !register
            .call("micro_pay", &odd)
            .expect(-1)
            .message()
            .contains(&scanned)
    );
    register.fini();

    let merchant = shop.sandbox.merchant();
    let mut secrets = codes;
    secrets.push(merchant.authen_key.to_owned());
    secrets.push(merchant.app_secret.to_owned());
    let key =
        std::fs::read_to_string(root().join("tests/vectors/merchant-test-pkcs8.pem")).unwrap();
    secrets.extend(key.lines().skip(1).take(3).map(str::to_owned));
    let mut searched = 0;
    for folder in [shop.folder.0.clone(), shop.folder.0.join("log")] {
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            if path.is_dir() {
                continue;
            }
            searched += 1;
            let bytes = std::fs::read(&path).unwrap();
            for secret in &secrets {
                let found = bytes
                    .windows(secret.len())
                    .any(|part| part == secret.as_bytes());
                assert!(!found, "{} holds {secret}", path.display());
            }
            for private in ["author_code", "open_id", "buyer_logon_id"] {
                let found = bytes
                    .windows(private.len())
                    .any(|part| part == private.as_bytes());
                assert!(!found, "{} holds {private}", path.display());
            }
        }
    }
    assert!(searched >= 2, "journal and log were searched");
    // On Windows the folder's access list is passed on to the files in it.
    if host() == Host::Linux {
        use std::os::unix::fs::PermissionsExt;
        let journal = std::fs::metadata(shop.folder.0.join("register.journal")).unwrap();
        assert_eq!(journal.permissions().mode() & 0o777, 0o600);
    }
}

/// Who paid: told from a live answer, and kept nowhere.
#[test]
fn the_customers_id_reaches_the_register_alone() {
    let shop = Shop::open();
    let register = shop.register();
    let number = shop.number();
    register.pay(&number, &code("000")).expect(0);
    register.wait(&number).expect(0);
    let order = register.query(&number).expect(0).json();
    let open_id = order["pay_mch_key"]["wxpay_pay_mch_key_ext"]["open_id"].clone();
    let open_id = open_id.as_str().unwrap_or_else(|| panic!("{order}"));
    // A buffer without room for it gets the verdict.
    let asked = json!({"out_trade_no": number}).to_string();
    let short = register.raw("query_order", Some(asked.as_bytes()), 512);
    let short = short.expect(0).json();
    assert_eq!(short["shortened"], true);
    assert!(short.get("pay_mch_key").is_none(), "{short}");
    // From the journal, when the gateway can't be reached.
    shop.control_post("down", &json!({"listener": 0}));
    let order = register.query(&number).expect(0).json();
    assert!(order.get("pay_mch_key").is_none(), "{order}");
    register.fini();
    assert!(!shop.log().contains(open_id));
    let journal = std::fs::read(shop.folder.0.join("register.journal")).unwrap();
    let found = journal
        .windows(open_id.len())
        .any(|part| part == open_id.as_bytes());
    assert!(!found);
}

/// Invariant 9. A verdict says who said so, when, which domain, and with which authentication: to
/// the register, in the journal, and in the log.
#[test]
fn verdicts_carry_their_evidence() {
    let shop = Shop::open();
    let register = shop.register();
    let number = shop.number();
    register.pay(&number, &code("000")).expect(0);
    let evidence = register.wait(&number).expect(0).json()["evidence"].clone();
    assert_eq!(evidence["source"], "gateway");
    assert_eq!(evidence["authenticated"], true);
    assert_eq!(evidence["domain"], shop.sandbox.url());
    assert!(evidence["time"].as_i64().unwrap() > 1_700_000_000_000);
    let log_id = evidence["log_id"].as_i64().unwrap();
    register.fini();
    let journal = rusqlite::Connection::open(shop.folder.0.join("register.journal")).unwrap();
    let row: (String, i64, String, i64, String) = journal
        .query_row(
            "SELECT evidence_source, evidence_authentic, evidence_domain, evidence_log_id,
                 payment_code FROM orders WHERE out_trade_no = ?1",
            [&number],
            |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                ))
            },
        )
        .unwrap();
    assert_eq!((row.0.as_str(), row.1), ("gateway", 1));
    assert_eq!((row.2, row.3), (shop.sandbox.url(), log_id));
    assert!(row.4.starts_with("13****") && row.4.len() == 10);
    let log = shop.log();
    let line = log
        .lines()
        .find(|line| line.contains("verdict") && line.contains(&number))
        .unwrap();
    assert!(
        line.contains("paid") && line.contains(&log_id.to_string()),
        "{line}"
    );
}

/// What a listener that is no gateway heard: the body of one request.
fn overhear() -> (String, Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let body = http_body(&stream);
            let _ = stream.write_all(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n");
            if let Ok(body) = serde_json::from_slice(&body) {
                let _ = sender.send(body);
            }
        }
    });
    (url, receiver)
}

/// OpenSSL verifies what the library signs, with a salt of exactly 222 bytes and no other.
#[test]
fn openssl_verifies_the_signature_of_a_refund() {
    let (url, heard) = overhear();
    let shop = Shop::open()
        .common("domains", json!([url]))
        .common("prober_dns", 0)
        .common("ca_file", Value::Null);
    let register = shop.register();
    let number = shop.number();
    let refund = json!({"out_trade_no": number, "total_fee": 100, "refund_fee": 100,
        "pay_platform": 1, "refund_reason": "茶"});
    register.call("refund", &refund).expect(-2);
    let body = heard.recv_timeout(crate::support::PATIENCE).unwrap();
    let authen = &body["authen_info"];
    assert!(
        authen.get("a").is_none() && authen["s"]["sign_type"] == 1,
        "{authen}"
    );
    let content = body["request_content"].as_str().unwrap();
    let sent: Value = serde_json::from_str(content).unwrap();
    assert_eq!(sent["refund_content"]["out_refund_no"], number);
    assert_eq!(sent["refund_content"]["refund_fee_type"], "CNY");
    let folder = build_folder();
    let (message, signature) = (folder.join("refund.txt"), folder.join("refund.sig"));
    std::fs::write(&message, content).unwrap();
    let encoded = folder.join("refund.b64");
    std::fs::write(&encoded, authen["s"]["sign"].as_str().unwrap()).unwrap();
    run(Command::new("openssl")
        .args(["base64", "-d", "-A", "-in"])
        .arg(&encoded)
        .arg("-out")
        .arg(&signature));
    let verify = |salt: &str| {
        let mut command = Command::new("openssl");
        command
            .args(["dgst", "-sha256", "-verify"])
            .arg(root().join("tests/vectors/merchant-test-public.pem"))
            .args(["-sigopt", "rsa_padding_mode:pss", "-sigopt"])
            .arg(format!("rsa_pss_saltlen:{salt}"))
            .arg("-signature")
            .arg(&signature)
            .arg(&message);
        command
    };
    assert!(run(&mut verify("222")).contains("Verified OK"));
    assert!(!verify("32").output().unwrap().status.success());
    assert!(!verify("221").output().unwrap().status.success());
}

/// A domain that can't be connected to costs nothing: the next one is asked.
#[test]
fn a_domain_that_is_down_is_passed_over() {
    let shop = Shop::with(Options {
        extra_listeners: 2,
        ..Options::default()
    });
    let register = shop.register();
    for down in [vec![0], vec![0, 1], vec![1], vec![]] {
        for listener in 0..3 {
            let path = if down.contains(&listener) {
                "down"
            } else {
                "up"
            };
            shop.control_post(path, &json!({"listener": listener}));
        }
        let number = shop.number();
        register.pay(&number, &code("000")).expect(0);
        let order = register.wait(&number).expect(0).json();
        let expected = (0..3).find(|listener| !down.contains(listener)).unwrap();
        let domain = order["evidence"]["domain"].as_str().unwrap();
        // The first was down a moment ago: until it is tried again the second serves.
        let allowed = [&shop.sandbox.urls()[expected], &shop.sandbox.urls()[2]];
        assert!(
            allowed.iter().any(|url| *url == domain),
            "{down:?}: {domain}"
        );
        assert_eq!(shop.ledger(&number)["pay_requests"], 1);
    }
}

/// An unknown authority, a name that isn't the certificate's: nothing is sent.
#[test]
fn a_server_that_cannot_prove_itself_gets_nothing() {
    let shop = Shop::open().common("submit_window_ms", 500);
    let stranger = Shop::open();
    let port = shop.sandbox.url().rsplit(':').next().unwrap().to_owned();
    let foreign_ca = stranger.sandbox.ca_file().to_str().unwrap().to_owned();
    let wrong_name = format!("https://127.0.0.2:{port}");
    for (ca, domain) in [
        (Some(foreign_ca), shop.sandbox.url()),
        (None, shop.sandbox.url()),
        (
            Some(shop.sandbox.ca_file().to_str().unwrap().to_owned()),
            wrong_name,
        ),
    ] {
        let mut conf = shop.conf.clone();
        conf["common_conf"]["ca_file"] = json!(ca);
        conf["common_conf"]["domains"] = json!([domain]);
        let register = Register::start();
        register.init(&conf);
        let number = shop.number();
        register.pay(&number, &code("000")).expect(0);
        register.wait(&number).expect(-1);
        assert_eq!(shop.ledger(&number), Value::Null);
        register.fini();
    }
}

/// A proxy that tunnels, and counts its tunnels.
fn proxy() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://till:hunter2@{}", listener.local_addr().unwrap());
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            let sender = sender.clone();
            std::thread::spawn(move || {
                let mut reader = BufReader::new(client.try_clone().unwrap());
                let mut head = String::new();
                while reader.read_line(&mut head).unwrap_or(0) > 2 {}
                let _ = sender.send(head.clone());
                let target = head.split(' ').nth(1).unwrap();
                let Ok(server) = TcpStream::connect(target) else {
                    let _ = (&client).write_all(b"HTTP/1.1 502 No\r\n\r\n");
                    return;
                };
                (&client).write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                tunnel(reader, client, server);
            });
        }
    });
    (url, receiver)
}

/// Carries bytes both ways until one side ends.
fn tunnel(mut from_client: impl Read, mut to_client: TcpStream, mut to_server: TcpStream) {
    let mut from_server = to_server.try_clone().unwrap();
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_server, &mut to_client);
        let _ = to_client.shutdown(Shutdown::Both);
    });
    let _ = std::io::copy(&mut from_client, &mut to_server);
    let _ = to_server.shutdown(Shutdown::Both);
}

/// A SOCKS5 proxy (RFC 1928) for IPv4 addresses, without a password.
fn socks_proxy() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("socks5://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            std::thread::spawn(move || {
                let mut head = [0; 2];
                client.read_exact(&mut head).unwrap();
                client.read_exact(&mut vec![0; head[1].into()]).unwrap();
                client.write_all(&[5, 0]).unwrap();
                let mut request = [0; 10];
                client.read_exact(&mut request).unwrap();
                assert_eq!(request[..4], [5, 1, 0, 1], "connect to an IPv4 address");
                let [.., a, b, c, d, high, low] = request;
                let port = u16::from_be_bytes([high, low]);
                let server = TcpStream::connect((Ipv4Addr::new(a, b, c, d), port)).unwrap();
                client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).unwrap();
                tunnel(client.try_clone().unwrap(), client, server);
            });
        }
    });
    url
}

#[test]
fn payments_go_through_a_socks_proxy() {
    let shop = Shop::open().common("proxy", socks_proxy());
    let register = shop.register();
    let number = shop.number();
    register.pay(&number, &code("000")).expect(0);
    register.wait(&number).expect(0);
}

/// Of the daily logs so many are kept.
#[test]
fn old_logs_are_deleted() {
    let shop = Shop::open().common("log_keep_days", 3);
    let folder = shop.folder.0.join("log");
    std::fs::create_dir_all(&folder).unwrap();
    for day in 10..20 {
        std::fs::write(folder.join(format!("cloudpay.2020-01-{day}.log")), "old").unwrap();
    }
    std::fs::write(folder.join("other.log"), "not ours").unwrap();
    shop.register().fini();
    let left = std::fs::read_dir(&folder).unwrap();
    let left: Vec<_> = left
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(left.len(), 4, "{left:?}");
    assert!(left.contains(&"other.log".to_owned()), "{left:?}");
}

/// Through a proxy; and a proxy that refuses is "not sent", not "unknown".
#[test]
fn payments_go_through_a_proxy() {
    let (url, tunnels) = proxy();
    let shop = Shop::open()
        .common("proxy", json!(url))
        .common("submit_window_ms", 500);
    let register = shop.register();
    let number = shop.number();
    register.pay(&number, &code("000")).expect(0);
    register.wait(&number).expect(0);
    let head = tunnels.recv_timeout(crate::support::PATIENCE).unwrap();
    assert!(head.starts_with("CONNECT 127.0.0.1:"), "{head}");
    assert!(
        head.to_ascii_lowercase()
            .contains("proxy-authorization: basic"),
        "{head}"
    );
    shop.control_post("down", &json!({"listener": 0}));
    let number = shop.number();
    register.pay(&number, &code("000")).expect(0);
    let reply = register.wait(&number).expect(-1);
    assert!(reply.message().contains("not sent"), "{}", reply.message());
    register.fini();
    assert!(!shop.log().contains("hunter2"));
}

/// The warm connection: a domain is asked at start, before the first sale.
#[test]
fn the_prober_asks_before_the_first_sale() {
    let shop = Shop::open();
    let register = shop.register();
    until("the probe", || {
        shop.log().contains("probe answered").then_some(())
    });
    register.fini();
}

/// Ten thousand customers look at QR codes: few threads, little memory, and a new sale is served.
#[test]
fn ten_thousand_waiting_orders_cost_little() {
    let shop = Shop::open();
    let register = shop.register();
    let mut calls = Vec::new();
    let mut numbers = Vec::new();
    for _ in 0..10_000 {
        let number = shop.number();
        let request = json!({"out_trade_no": number, "author_code": code("002"), "total_fee": 1});
        calls.push(register.begin("micro_pay", Some(request.to_string().as_bytes()), 64, 0));
        numbers.push(number);
        // As many tills as a hall has: the register's own threads are not what is measured.
        if calls.len() == 50 {
            for call in calls.drain(..) {
                call.get().expect(0);
            }
        }
    }
    until("every payment at the gateway", || {
        let all = shop.control_get("ledger");
        let all = all["orders"].as_object().unwrap();
        let sent = numbers.iter().filter(|number| {
            all.get(*number)
                .is_some_and(|order| order["pay_requests"] == 1)
        });
        (sent.count() == numbers.len()).then_some(())
    });
    let number = shop.number();
    register.pay(&number, &code("000")).expect(0);
    register.wait(&number).expect(0);
    let status = std::fs::read_to_string(format!("/proc/{}/status", register.pid())).unwrap();
    let of = |key: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    println!("{} threads, {} kB resident", of("Threads:"), of("VmRSS:"));
    assert!(of("Threads:") < 12, "{} threads", of("Threads:"));
    assert!(of("VmRSS:") < 64 * 1024, "{} kB", of("VmRSS:"));
    // As many as fit, and always how many there are.
    for (room, most) in [(64, 0), (4096, 20), (1 << 23, 10_000)] {
        let pending = register.raw("pending_orders", None, room).expect(0).json();
        assert_eq!(pending["total_count"], 10_000);
        let listed = pending["orders"].as_array().unwrap().len();
        assert!(listed <= most && (listed > 0) == (most > 0), "{listed}");
    }
    let pending = register.raw("pending_orders", None, 16).expect(-8);
    assert!(pending.message().contains("bytes"));
    register.fini();
}

/// While it runs the library needs the keys; afterwards they are nowhere in the process.
#[test]
fn keys_are_wiped_when_the_library_stops() {
    let program = compile(&[&root().join("tests/c/memory.c")], "memory");
    for gateway in Gateway::BOTH {
        let shop = Shop::at(gateway, Options::default());
        let conf = shop.folder.0.join("conf.json");
        std::fs::write(&conf, shop.conf.to_string()).unwrap();
        let merchant = shop.sandbox.merchant();
        let key = match gateway {
            Gateway::CloudPay => merchant.authen_key,
            Gateway::Epay123 => merchant.app_secret,
        };
        let inverted: String = key.bytes().map(|byte| format!("{:02x}", !byte)).collect();
        let text = run(std::process::Command::new(&program).arg(&conf).args([
            &shop.number(),
            &code("000"),
            &inverted,
        ]));
        let words: Vec<&str> = text.split_whitespace().collect();
        assert_eq!(words[0], "0", "{text}");
        assert_ne!(words[2], "0", "the search finds what is there: {text}");
        assert_eq!(words[4], "0", "{gateway:?}: {text}");
    }
}
