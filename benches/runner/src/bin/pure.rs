//! The library's signature of a refund and its opening of a notification, to be held against
//! OpenSSL's: `pure CONF TIMES PREFIX` prints one line of JSON with medians in us.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::hint::black_box;
use std::time::Instant;

use cloudpay::{Config, Sdk, SigningKey};
use serde_json::{Value, json};

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let text = std::fs::read_to_string(&words[1]).expect("the configuration");
    let times: usize = words[2].parse().expect("how many times");
    let conf: Value = serde_json::from_str(&text).unwrap();
    let key = SigningKey::from_pem(conf["trade_conf"]["private_key"].as_str().unwrap()).unwrap();
    let content = "x".repeat(600);
    let signing = median(times, || {
        black_box(key.sign(content.as_bytes()).unwrap());
    });
    let sdk = Sdk::start(Config::parse(text.as_bytes()).unwrap()).unwrap();
    // An answer of the library's own is authenticated like a notification.
    let answer = sdk.notify_reply(0, &content).unwrap();
    let mut answer: Value = serde_json::from_slice(&answer).unwrap();
    let notification = json!({"request_content": answer["response_content"].take(),
        "authen_info": answer["authen_info"].take()});
    let body = notification.to_string();
    let verifying = median(20 * times, || {
        black_box(sdk.verify_notify(body.as_bytes()).unwrap());
    });
    println!("{}", json!({"pss_us": [signing], "verify_us": [verifying]}));
    sdk.stop().unwrap();
}

fn median(times: usize, mut body: impl FnMut()) -> f64 {
    let mut all: Vec<f64> = (0..times)
        .map(|_| {
            let start = Instant::now();
            body();
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}
