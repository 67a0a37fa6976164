//! Notifications are sent until they are taken.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;

use cloudpay_sandbox::Options;
use serde_json::Value;

use crate::desk::{Desk, code, micro, quick, refund, sealed};

/// A merchant's server that gives these answers, one connection each, and passes on what it was sent.
fn merchant(answers: Vec<String>) -> (String, mpsc::Receiver<Value>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/notify?shop=1", listener.local_addr().unwrap());
    let (sent, received) = mpsc::channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut line, mut length) = (String::new(), 0);
            reader.read_line(&mut line).unwrap();
            assert!(line.starts_with("POST /notify?shop=1 "));
            loop {
                line.clear();
                reader.read_line(&mut line).unwrap();
                if line == "\r\n" {
                    break;
                }
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            sent.send(serde_json::from_slice(&body).unwrap()).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        }
    });
    (url, received)
}

fn http(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn reply(status: i64) -> String {
    let text = format!("{{\"status\":{status},\"description\":\"\"}}");
    let mut envelope = sealed(&text);
    envelope["response_content"] = envelope["request_content"].take();
    envelope.as_object_mut().unwrap().remove("request_content");
    http("200 OK", &envelope.to_string())
}

/// The content of a notification whose code is right.
fn content(envelope: &Value) -> Value {
    let text = envelope["request_content"].as_str().unwrap();
    assert_eq!(envelope["authen_info"]["a"]["authen_code"], code(text));
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_payment_is_notified_until_the_answer_is_signed_and_says_0() {
    let forged = reply(0).replace(
        "\\\"description\\\":\\\"\\\"",
        "\\\"description\\\":\\\"x\\\"",
    );
    let forged = http("200 OK", forged.split("\r\n\r\n").nth(1).unwrap());
    let (url, received) = merchant(vec![
        http("500 Oops", ""),
        String::new(),
        http("200 OK", "no JSON"),
        forged,
        reply(3),
        reply(0),
    ]);
    let desk = Desk::with(Options {
        callback_url: Some(url),
        ..quick()
    });
    desk.call("micro_pay", &micro("sz0100a", "000")).authentic();
    for _ in 0..6 {
        let notice = content(&received.recv().unwrap());
        assert_eq!(notice["order_content"]["out_trade_no"], "sz0100a");
        assert_eq!(
            notice["order_content"]["wxpay_order_content_ext"]["current_trade_state"],
            2
        );
        assert_eq!(notice["order_client"]["device_id"], "824");
        assert_eq!(notice["pay_mch_key"]["pay_platform"], 1);
        assert!(notice["nonce_str"].is_string());
    }
    // The merchant's thread ends with the sixth connection; a seventh try would find the port closed.
    assert!(received.recv().is_err());
    let delivery = std::iter::repeat_with(|| desk.get("/sandbox/callbacks")[0].clone())
        .find(|d| d["state"] == "taken")
        .unwrap();
    assert_eq!(
        (&delivery["tries"], &delivery["kind"]),
        (&6.into(), &"payment".into())
    );
}

#[test]
fn a_refund_is_notified_as_a_list() {
    let (url, received) = merchant(vec![reply(0), reply(0)]);
    let desk = Desk::with(Options {
        callback_url: Some(url),
        refund_ms: 0,
        ..quick()
    });
    desk.call("micro_pay", &micro("sz0100a", "000")).authentic();
    received.recv().unwrap();
    desk.call("refund", &refund("sz0100a", "sz0100r1", 30))
        .authentic();
    let notice = content(&received.recv().unwrap());
    let refund = &notice["refund_order_content"][0];
    assert_eq!(
        (&refund["out_refund_no"], &refund["refund_fee"]),
        (&"sz0100r1".into(), &30.into())
    );
    assert_eq!(refund["wxpay_refund_order_content_ext"]["state"], 2);
}

#[test]
fn a_late_charge_is_notified_without_anyone_asking() {
    let (url, received) = merchant(vec![reply(0)]);
    let desk = Desk::with(Options {
        callback_url: Some(url),
        late_fail_ms: 1,
        ..quick()
    });
    desk.call("micro_pay", &micro("sz0100a", "912")).authentic();
    assert_eq!(
        content(&received.recv().unwrap())["order_content"]["out_trade_no"],
        "sz0100a"
    );
}

#[test]
fn an_https_address_must_have_a_certificate_that_is_trusted() {
    let dir =
        std::env::temp_dir().join(format!("cloudpay-sandbox-callback-{}", std::process::id()));
    let shared = || Options {
        ca_dir: Some(dir.clone()),
        ..quick()
    };
    let target = Desk::with(shared());
    let last = |options: Options| {
        let url = format!("{}/nothing", target.sandbox.url());
        let desk = Desk::with(Options {
            callback_url: Some(url),
            ..options
        });
        desk.call("micro_pay", &micro("sz0100a", "000")).authentic();
        let tried = std::iter::repeat_with(|| desk.get("/sandbox/callbacks")[0].clone());
        let delivery = tried
            .into_iter()
            .find(|d| d["tries"].as_u64() > Some(0))
            .unwrap();
        delivery["last"].as_str().unwrap().to_owned()
    };
    assert_eq!(last(shared()), "HTTP 404 Not Found");
    let refused = last(quick());
    assert!(refused.contains("certificate"), "{refused}");
    let told = Options {
        callback_ca: Some(dir.join("ca.pem")),
        ..quick()
    };
    assert_eq!(last(told), "HTTP 404 Not Found");
    std::fs::remove_dir_all(&dir).unwrap();
}
