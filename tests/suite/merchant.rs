//! Shops, lists, sums, and the gateway's notifications.

use std::io::Write;
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, Sender, channel};

use cloudpay_sandbox::Options;
use serde_json::{Value, json};

use crate::support::{PATIENCE, Shop, alipay_code, code, http_body, until};

#[test]
fn shops_and_the_sub_merchant() {
    let shop = Shop::open();
    let register = shop.register();
    let all = register
        .call("query_shop_info", &json!({}))
        .expect(0)
        .json();
    assert_eq!(all["total_count"], 2);
    let second = json!({"page_num": "2", "page_size": 1});
    let second = register.call("query_shop_info", &second).expect(0).json();
    assert_eq!(second["shop_infos"][0], all["shop_infos"][1]);
    let one = json!({"out_shop_id": shop.sandbox.merchant().out_shop_id});
    let one = register.call("query_shop_info", &one).expect(0).json();
    assert_eq!(one["total_count"], 1);
    let sub = register
        .call("query_sub_mch_info", &json!({}))
        .expect(0)
        .json();
    let info = sub["sub_mch_infos"][0]["sub_mch_infos"][0].clone();
    assert_eq!(
        info["cloud_cashier_id"],
        shop.sandbox.merchant().order_prefix
    );
    let refused = register
        .call("query_shop_info", &json!({"page_size": 1001}))
        .expect(-3);
    assert!(
        refused
            .message()
            .contains("page_size: must be between 1 and 1000")
    );
    shop.control_post("down", &json!({"listener": 0}));
    register.call("query_shop_info", &json!({})).expect(-2);
}

#[test]
fn orders_are_listed_and_summed() {
    let shop = Shop::open();
    let register = shop.register();
    for make in [code as fn(&str) -> String, alipay_code] {
        for _ in 0..3 {
            let number = shop.number();
            register.pay(&number, &make("000")).expect(0);
            register.wait(&number).expect(0);
            let refund = json!({"out_trade_no": number, "total_fee": 100, "refund_fee": 40});
            register.call("refund", &refund).expect(0);
            until("the refund", || {
                (shop.ledger(&number)["refunded"] == 40).then_some(())
            });
        }
    }
    let page = json!({"query_order_type": 1, "page_size": 4, "page_num": 2});
    let page = register.call("order_detail", &page).expect(0).json();
    assert_eq!(page["total_count"], 6);
    assert_eq!(page["order_details"].as_array().unwrap().len(), 2);
    // Alipay's partial refund shows here and nowhere else.
    let alipay = json!({"query_order_type": 1, "pay_platform": 2});
    let alipay = register.call("order_detail", &alipay).expect(0).json();
    assert_eq!(alipay["total_count"], 3);
    let content = &alipay["order_details"][0]["receipt"]["order"]["order_content"];
    assert_eq!(content["refunded_fee"], 40);
    // All of the period in one file, whatever the pages.
    let file = shop.folder.0.join("orders.jsonl");
    let all = json!({"page_size": 5, "save_to": file});
    let saved = register.call("order_detail", &all).expect(0).json();
    assert_eq!(saved, json!({"total_count": 12, "saved_count": 12}));
    let text = std::fs::read_to_string(&file).unwrap();
    let entries: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(entries.len(), 12);
    let refunds = entries
        .iter()
        .filter(|entry| entry["receipt"].get("refund_order").is_some());
    assert_eq!(refunds.count(), 6);
    // Cut short, there is no file.
    shop.control_post("down", &json!({"listener": 0}));
    let gone = shop.folder.0.join("gone.jsonl");
    register
        .call("order_detail", &json!({"save_to": gone}))
        .expect(-2);
    shop.control_post("up", &json!({"listener": 0}));
    assert!(!gone.exists());
    let nowhere = json!({"save_to": "/no/such/folder/x"});
    let refused = register.call("order_detail", &nowhere).expect(-3);
    assert!(refused.message().contains("save_to"));

    let sums = register
        .call("order_stat", &json!({"pay_platform": 1}))
        .expect(0)
        .json();
    assert_eq!(sums["overviews"][0]["success_amount"], 300);
    let shops = json!({"out_shop_id": [shop.sandbox.merchant().other_shop_id]});
    let none = register.call("order_stat", &shops).expect(0).json();
    assert_eq!(none["overviews"][0]["success_amount"], 0);
    let shops = json!({"out_shop_id": [shop.sandbox.merchant().other_shop_id],
        "query_cashier_type": 2, "sub_pay_platforms": ["100"]});
    let none = register.call("order_stat", &shops).expect(0).json();
    assert_eq!(none["overviews"][0]["success_amount"], 0);
    let cashier = json!({"query_cashier_type": 3});
    let cashier = register.call("order_stat", &cashier).expect(0).json();
    assert_eq!(cashier["overviews"][0]["refund_create_amount"], 240);
    assert_eq!(shop.control_get("warnings"), json!([]));
}

/// The merchant's server, which hands every notification over and answers as it is told.
fn merchants_server() -> (String, Receiver<Vec<u8>>, Sender<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/notify", listener.local_addr().unwrap());
    let (heard, bodies) = channel();
    let (answers, to_send) = channel::<Vec<u8>>();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let body = http_body(&stream);
            let _ = heard.send(body);
            let Ok(answer) = to_send.recv() else { return };
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                answer.len()
            );
            let _ = stream.write_all(head.as_bytes());
            let _ = stream.write_all(&answer);
        }
    });
    (url, bodies, answers)
}

/// Notifications of payments and refunds are verified and answered; a wrong answer is repeated
/// by the gateway, a right one is taken.
#[test]
fn notifications_are_verified_and_answered() {
    let (url, bodies, answers) = merchants_server();
    let shop = Shop::with(Options {
        callback_url: Some(url),
        callback_retry_ms: 50,
        ..Options::default()
    });
    let register = shop.register();
    let verify = |body: &[u8]| register.raw("verify_notify", Some(body), 16_384);
    let reply = |status: i64, words: &str| {
        register
            .begin("notify_reply", Some(words.as_bytes()), 4096, status)
            .get()
            .expect(0)
            .out
    };
    let number = shop.number();
    register.pay(&number, &code("000")).expect(0);
    let body = bodies.recv_timeout(PATIENCE).unwrap();
    let content = verify(&body).expect(0).json();
    assert_eq!(content["order_content"]["out_trade_no"], number);
    // Somebody else's, changed, and not a notification at all.
    let text = String::from_utf8(body.clone()).unwrap();
    let changed = text.replacen("\\\"total_fee\\\":100", "\\\"total_fee\\\":101", 1);
    assert_ne!(changed, text);
    for wrong in [
        changed.as_bytes(),
        b"{}",
        b"",
        b"\xff",
        b"{\"request_content\":\"{}\"}",
    ] {
        verify(wrong).expect(-1);
    }
    // Not yet, says the merchant's server; the gateway comes again.
    answers.send(reply(1, "稍后再试")).unwrap();
    let again = bodies.recv_timeout(PATIENCE).unwrap();
    verify(&again).expect(0);
    let taken = reply(0, "成功");
    assert!(taken.is_ascii());
    answers.send(taken).unwrap();
    let state = |kind: &str| {
        let all = shop.control_get("callbacks");
        let one = all
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["kind"] == kind);
        one.map(|one| one["state"].clone())
    };
    until("the payment's answer", || {
        (state("payment")? == "taken").then_some(())
    });

    let refund = json!({"out_trade_no": number, "total_fee": 100, "refund_fee": 1});
    register.call("refund", &refund).expect(0);
    let body = bodies.recv_timeout(PATIENCE).unwrap();
    let content = verify(&body).expect(0).json();
    assert_eq!(content["refund_order_content"][0]["out_trade_no"], number);
    answers.send(reply(0, "")).unwrap();
    until("the refund's answer", || {
        (state("refund")? == "taken").then_some(())
    });
}
