//! Any bytes and lengths through the C ABI of a running library, whose gateway can't be reached.
//!
//! An input is a letter for the function (`a` the first of `call`), two bytes for the buffer's
//! length, and the text. The function `R` stops the library and starts it again, with GBK when the
//! text begins with `g`.
#![no_main]

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr;
use std::sync::Once;

use cloudpay::ffi::{lifecycle, merchant, notify, payment, unsupported};
use libfuzzer_sys::fuzz_target;

/// A byte that no call may write outside the buffer.
const GUARD: u8 = b'G';
/// Leaves the last message as it is.
const COPY_ERRMSG: u8 = 17;
/// Codes of the C ABI.
const CODES: std::ops::RangeInclusive<c_int> = -8..=0;

fn start(charset: &str) {
    let conf = format!(
        r#"{{"common_conf": {{"journal_path": ":memory:", "log_path": "off", "charset": "{charset}",
            "domains": ["https://127.0.0.1:1"], "connect_timeout_ms": 100, "request_timeout_ms": 100,
            "submit_window_ms": 0, "reverse_after_ms": 0, "fini_timeout_ms": 1000, "worker_threads": 2}},
            "trade_conf": {{"out_mch_id": "m", "out_sub_mch_id": "s", "out_shop_id": "h",
            "device_id": "d", "authen_key": "key", "spbill_create_ip": "127.0.0.1"}}}}"#
    );
    let conf = CString::new(conf).expect("no NUL");
    // SAFETY: a NUL-terminated string.
    let code = unsafe { lifecycle::cloud_pay_init(conf.as_ptr()) };
    assert_eq!(code, 0, "{:?}", message());
}

fn message() -> CString {
    // SAFETY: never NULL, and good until the next call of this thread.
    unsafe { CStr::from_ptr(lifecycle::cloud_pay_get_errmsg()) }.to_owned()
}

fuzz_target!(|bytes: &[u8]| {
    static FIRST: Once = Once::new();
    FIRST.call_once(|| start("utf-8"));
    let [function, low, high, text @ ..] = bytes else {
        return;
    };
    let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
    if *function == b'R' {
        assert_eq!(lifecycle::cloud_pay_fini(), 0);
        start(if text.starts_with(b"g") {
            "gbk"
        } else {
            "utf-8"
        });
        return;
    }
    let function = function.wrapping_sub(b'a') % 20;
    let length = usize::from(u16::from_le_bytes([*low, *high]));
    let mut buffer = vec![GUARD; length + 32];
    let request = CString::new(text).expect("no NUL");
    // SAFETY: 16 bytes after the start there are `length` bytes, and 16 more.
    let out = unsafe { buffer.as_mut_ptr().add(16) };
    let code = call(function, &request, out.cast(), length as c_int);
    assert!(CODES.contains(&code), "{code}");
    let (before, rest) = buffer.split_at(16);
    let (written, after) = rest.split_at(length);
    assert!(before.iter().chain(after).all(|byte| *byte == GUARD));
    // Text that was begun ends within the buffer.
    if written.first().is_some_and(|byte| *byte != GUARD) {
        assert!(written.contains(&0));
    }
    if code != 0 && function != COPY_ERRMSG {
        assert!(!message().is_empty(), "{code} without a reason");
    }
});

/// One call; what has no request or no buffer gets none.
fn call(function: u8, request: &CStr, out: *mut c_char, length: c_int) -> c_int {
    let text = request.as_ptr();
    // SAFETY: `text` is NUL-terminated, and `out` has `length` writable bytes.
    unsafe {
        match function {
            0 => payment::cloud_pay_micro_pay(text, out, length),
            1 => payment::cloud_pay_scan_code_pay(text),
            2 => payment::cloud_pay_query_order(text, out, length),
            3 => payment::cloud_pay_wait_order(text, out, length, 0),
            4 => payment::cloud_pay_cancel_order(text),
            5 => payment::cloud_pay_close_order(text),
            6 => payment::cloud_pay_refund(text),
            7 => payment::cloud_pay_query_refund(text, out, length),
            8 => merchant::cloud_pay_query_shop_info(text, out, length),
            9 => merchant::cloud_pay_query_sub_mch_info(text, out, length),
            10 => merchant::cloud_pay_order_detail(text, out, length),
            11 => merchant::cloud_pay_order_stat(text, out, length),
            12 => notify::cloud_pay_verify_notify(text, out, length),
            13 => notify::cloud_pay_notify_reply(length, text, out, length),
            14 => payment::cloud_pay_pending_orders(out, length),
            15 => payment::cloud_pay_next_trade_no(out, length),
            16 => lifecycle::cloud_pay_init(text),
            COPY_ERRMSG => lifecycle::cloud_pay_copy_errmsg(out, length),
            18 => unsupported::cloud_pay_security_login(text, out, length),
            _ => payment::cloud_pay_micro_pay(ptr::null(), out, length),
        }
    }
}
