//! The parts that need no network: `cargo bench`.
#![allow(missing_docs, clippy::unwrap_used, clippy::indexing_slicing)]

use std::ffi::{CString, c_char};
use std::hint::black_box;

use cloudpay::ffi::{lifecycle, payment};
use cloudpay::{Charset, Config, Sdk, SigningKey};
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::{Value, json};

const KEY: &str = include_str!("../tests/vectors/merchant-test-pkcs8.pem");

/// A gateway that nobody reaches: nothing here sends anything.
fn conf() -> String {
    json!({
        "common_conf": {
            "journal_path": ":memory:", "log_path": "off", "prober_dns": false, "monitor": false,
            "domains": ["https://127.0.0.1:1"],
        },
        "trade_conf": {
            "out_mch_id": "m", "out_sub_mch_id": "s", "out_shop_id": "h", "device_id": "d",
            "authen_key": "key", "spbill_create_ip": "127.0.0.1", "order_prefix": "p",
        }
    })
    .to_string()
}

fn envelope(c: &mut Criterion) {
    let parsed = Config::parse(conf().as_bytes()).unwrap();
    let sdk = Sdk::start(parsed).unwrap();
    let words = "x".repeat(600);
    c.bench_function("envelope: encode and authenticate 600 bytes", |b| {
        b.iter(|| sdk.notify_reply(0, black_box(&words)).unwrap())
    });
    let mut answer: Value = serde_json::from_slice(&sdk.notify_reply(0, &words).unwrap()).unwrap();
    let body = json!({"request_content": answer["response_content"].take(),
        "authen_info": answer["authen_info"].take()})
    .to_string();
    c.bench_function("envelope: verify and decode 600 bytes", |b| {
        b.iter(|| sdk.verify_notify(black_box(body.as_bytes())).unwrap())
    });
    sdk.stop().unwrap();
}

fn signature(c: &mut Criterion) {
    let key = SigningKey::from_pem(KEY).unwrap();
    c.bench_function("PSS: sign a refund, 2048 bits", |b| {
        b.iter(|| key.sign(black_box(b"content")).unwrap())
    });
}

fn charset(c: &mut Criterion) {
    let json = json!({"message": "支付成功，请出示付款码。".repeat(20)}).to_string();
    let gbk = Charset::Gbk.encode_json(&json, false);
    c.bench_function("GBK: encode 240 characters", |b| {
        b.iter(|| Charset::Gbk.encode_json(black_box(&json), false))
    });
    c.bench_function("GBK: decode 240 characters", |b| {
        b.iter(|| Charset::Gbk.decode(black_box(&gbk)).unwrap())
    });
}

fn boundary(c: &mut Criterion) {
    let conf = CString::new(conf()).unwrap();
    // SAFETY: a NUL-terminated string.
    assert_eq!(unsafe { lifecycle::cloud_pay_init(conf.as_ptr()) }, 0);
    let mut number: [c_char; 33] = [0; 33];
    c.bench_function("ffi: next_trade_no, one commit in memory", |b| {
        // SAFETY: the buffer has 33 writable bytes.
        b.iter(|| unsafe { payment::cloud_pay_next_trade_no(number.as_mut_ptr(), 33) })
    });
    c.bench_function("ffi: a call that is refused", |b| {
        // SAFETY: NULL is allowed, and refused.
        b.iter(|| unsafe { payment::cloud_pay_cancel_order(std::ptr::null()) })
    });
    assert_eq!(lifecycle::cloud_pay_fini(), 0);
}

criterion_group!(benches, envelope, signature, charset, boundary);
criterion_main!(benches);
