//! Payments, queries, cancels, refunds, and what goes with them.

use std::ffi::{CString, c_char, c_int, c_void};
use std::time::Duration;

use serde::Serialize;

use super::{Out, Reply, guard, message, not_a_verdict, running};
use crate::engine::Callback;
use crate::model::Order;
use crate::render;
use crate::sdk::{self, Error};
use crate::text::text;

/// The smallest buffer that micro_pay takes.
const MICRO_PAY_BUFFER: usize = 64;

/// 刷卡支付: pays with the code that the cashier scanned from the customer's phone.
///
/// @param req JSON: `out_trade_no`* (at most 32 characters), `author_code`* (at most 128),
///   `total_fee`* (fen, 1 to 2147483647), `fee_type` ("CNY"), `body` (128), `attach` (127),
///   `goods_tag` (32), `limit_pay` (32), `detail` (6000, object or text), `remark` (127),
///   `client_flow_id` (64), `pay_platform` (1 WeChat, 2 Alipay; default: from the code's prefix),
///   `sub_pay_platform`, and Alipay's `discountable_amount` and `undiscountable_amount` (fen),
///   `product_code` (128), `royalty_info` and `extend_params` (256, object or text),
///   `disable_pay_channels` (128), `staff_id` (64; this payment's cashier). (* required)
///   Numbers may stand for text: their digits are kept as they were written.
/// @param resp Receives {"pay_platform":1}. NULL with length 0 if it isn't wanted.
/// @param length Size of `resp` in bytes, at least 64.
/// @return 0 accepted: ask cloud_pay_query_order() or wait with cloud_pay_wait_order();
///   -1 not accepted: nothing was sent, never cancel on this; -3 error, nothing was sent;
///   -8 buffer too small, nothing was sent.
///
/// Asynchronous: returns when the order is safely in the journal (one commit to disk), without
/// any network on this thread. After 0 the order is never forgotten, whatever happens to the
/// process. The same number with the same content again is the same order: 0, one charge.
/// Source: cloud-pay HTTPS API, /cpay/micro_pay; Jeepay, /api/pay/unifiedOrder.
///
/// # Safety
/// `req` is NULL or NUL-terminated; `resp` is NULL or points to `length` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloud_pay_micro_pay(
    req: *const c_char,
    resp: *mut c_char,
    length: c_int,
) -> c_int {
    guard(|| {
        let wanted = !(resp.is_null() && length == 0);
        // SAFETY: passed on to the caller.
        let out = unsafe { Out::new(resp, length) };
        let running = running()?;
        if wanted {
            // Before anything happens: a payment must not be made and then not reported.
            out.check(MICRO_PAY_BUFFER - 1)?;
        }
        // SAFETY: passed on to the caller.
        let req = unsafe { running.text(req) }?;
        let platform = running.sdk.micro_pay(&req)?;
        if wanted {
            let platform = platform.number();
            out.write(format!("{{\"pay_platform\":{platform}}}").as_bytes())?;
        }
        Ok(Reply::DONE)
    })
}

/// 扫码支付: orders a QR code for the customer to scan.
///
/// @param req JSON: as for cloud_pay_micro_pay() without `author_code`; `pay_platform`* is
///   required; also `product_id` (at most 32 characters) and `time_expire` (seconds since 1970).
/// @return 0 accepted: the code comes from cloud_pay_query_order() as `code_url` with -5;
///   -1 not accepted, nothing was sent; -3 error, nothing was sent.
///
/// Asynchronous, as cloud_pay_micro_pay(). Source: cloud-pay HTTPS API, /cpay/scan_code_pay;
/// Jeepay, /api/pay/unifiedOrder.
///
/// # Safety
/// `req` is NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloud_pay_scan_code_pay(req: *const c_char) -> c_int {
    guard(|| {
        let running = running()?;
        // SAFETY: passed on to the caller.
        let req = unsafe { running.text(req) }?;
        running.sdk.scan_code_pay(&req)?;
        Ok(Reply::DONE)
    })
}

/// 查询订单: the state of an order.
///
/// @param req JSON: `out_trade_no`*; `trade_type` (1 micro_pay, 2 scan_code_pay) and
///   `pay_platform` are optional: 0 and "" are as good as nothing.
/// @param order Receives the order JSON. @param length Its size in bytes; 4096 recommended.
///   What doesn't fit is left out, with `"shortened":true`; 512 bytes hold every verdict.
/// @return 0 paid; -1 payment failed; -2 not known yet, query again; -3 not a payment result,
///   an error; -4 refunded, reversed or closed; -5 QR code ready, `code_url`; -6 re-entry: the
///   number belongs to another payment, never cancel it; -7 no such order; -8 buffer.
///
/// Synchronous: at most `request_timeout_ms` for each domain, and as long once more where a slow
/// disk has to keep the result first; at once while the payment is being sent. An order that only
/// an epay123 gateway knows, and calls unpaid, is asked for again after 5 s. Source: cloud-pay HTTPS
/// API, /cpay/query_order; Jeepay, /api/pay/query.
///
/// # Safety
/// `req` is NULL or NUL-terminated; `order` is NULL or points to `length` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloud_pay_query_order(
    req: *const c_char,
    order: *mut c_char,
    length: c_int,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { order_call(req, order, length, |sdk, req| sdk.query_order(req)) }
}

/// Waits until an order is final or the time is over. Not in the original library; what a
/// register would otherwise write as a loop of queries and sleeps.
///
/// @param req As for cloud_pay_query_order(). With `"until":"code_ready"` also returns as soon as
///   the QR code is ready.
/// @param order As for cloud_pay_query_order(). @param length As for cloud_pay_query_order().
/// @param timeout_ms The longest wait in milliseconds, at most 86400000; 0 only looks, here and
///   not at the gateway.
/// @return As cloud_pay_query_order(), for the state at that moment; -3 when timeout_ms < 0.
///
/// Blocks for at most `timeout_ms`, without any network on this thread. Only an order that the
/// library doesn't ask for by itself (one that this register never made, or that was unknown for a
/// day) is queried here, every 3 s; the last query may begin just before the time is over, and
/// takes what cloud_pay_query_order() takes. cloud_pay_fini() ends the wait.
///
/// # Safety
/// As for cloud_pay_query_order().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloud_pay_wait_order(
    req: *const c_char,
    order: *mut c_char,
    length: c_int,
    timeout_ms: c_int,
) -> c_int {
    let wait = |sdk: &sdk::Sdk, req: &str| {
        let timeout = u64::try_from(timeout_ms).map_err(|_| {
            Error::internal(text!(
                "timeout_ms：不能为负，得到 {timeout_ms}",
                "timeout_ms: must not be negative, got {timeout_ms}"
            ))
        })?;
        sdk.wait_order(req, Duration::from_millis(timeout))
    };
    // SAFETY: passed on to the caller.
    unsafe { order_call(req, order, length, wait) }
}

/// A call that answers with an order.
///
/// # Safety
/// As for cloud_pay_query_order().
unsafe fn order_call(
    req: *const c_char,
    order: *mut c_char,
    length: c_int,
    call: impl FnOnce(&sdk::Sdk, &str) -> Result<sdk::Reply, Error>,
) -> c_int {
    guard(|| {
        // SAFETY: passed on to the caller.
        let out = unsafe { Out::new(order, length) };
        let running = running()?;
        // SAFETY: passed on to the caller.
        let req = unsafe { running.text(req) }.map_err(not_a_verdict)?;
        out.check(0)?;
        let reply = call(&running.sdk, &req)?;
        out.write(&render::order_within(
            &reply.order,
            running.style,
            out.room(),
        ))?;
        running.sdk.told(&reply.order);
        let style = running.style;
        Ok(Reply {
            code: reply.code,
            message: message(&reply.message, style),
        })
    })
}

/// 撤单 / 关单: takes an order back.
///
/// @param req JSON: `out_trade_no`*; `trade_type` 1 reverses a micro_pay order, 2 closes a
///   scan_code_pay order; it and `pay_platform` default to what the journal knows.
/// @return 0 done: nothing is or stays charged; -1 refused; -2 unknown: query, then cancel again;
///   -3 error; -6 the number belongs to another payment: refused here, nothing was sent.
///
/// Synchronous: at most `reverse_after_ms` + 4 x `request_timeout_ms`, and once more
/// `request_timeout_ms` for each domain when a query is then under way. A reverse is sent no sooner
/// than `reverse_after_ms` after the payment, after a fresh query, and proven by another one. A
/// paid micro_pay is reversed (the customer gets the money back); a paid QR order is refused:
/// refund it. epay123 has no reverse: there every paid order is refused, every other one closed.
/// Source: cloud-pay HTTPS API, /cpay/reverse and /cpay/close_order; Jeepay, /api/pay/close.
///
/// # Safety
/// `req` is NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloud_pay_cancel_order(req: *const c_char) -> c_int {
    guard(|| {
        let running = running()?;
        // SAFETY: passed on to the caller.
        let req = unsafe { running.text(req) }?;
        running.sdk.cancel_order(&req)?;
        Ok(Reply::DONE)
    })
}

/// 关单: closes an order that waits for a customer to scan its QR code.
///
/// @param req JSON: `out_trade_no`*; `pay_platform` defaults to what the journal knows.
/// @return As cloud_pay_cancel_order().
///
/// Not in the original library, where it is cloud_pay_cancel_order() with `trade_type` 2.
/// Synchronous, as that one. Source: cloud-pay HTTPS API, /cpay/close_order; Jeepay,
/// /api/pay/close.
///
/// # Safety
/// `req` is NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloud_pay_close_order(req: *const c_char) -> c_int {
    guard(|| {
        let running = running()?;
        // SAFETY: passed on to the caller.
        let req = unsafe { running.text(req) }?;
        running.sdk.close_order(&req)?;
        Ok(Reply::DONE)
    })
}

/// 申请退款: asks for a refund.
///
/// @param req JSON: `out_trade_no`*, `total_fee`* (the order's, fen), `refund_fee`* (fen, 1 to
///   total_fee), `refund_fee_type` ("CNY"), `refund_reason` (at most 255 characters),
///   `out_refund_no` (32; default: the order number), `pay_platform` (default: the journal's),
///   `staff_id` (64; this refund's cashier).
/// @return 0 accepted, not yet refunded: ask cloud_pay_query_refund(); -1 refused; -2 unknown: the
///   same call again, with the same number, is safe; another number is not. -3 error.
///
/// Synchronous: at most `request_timeout_ms` for each domain, twice (an unsigned refusal, and one
/// of a repeated call, is confirmed by a query); after a reverse without a result two queries, 5 s
/// apart, come before that.
/// Refused here, before anything is sent: a number that stands for another refund, more than is
/// left of the order (refunds without a result count), an order that was or is being reversed.
/// Source: cloud-pay HTTPS API, /cpay/refund, signed with `private_key` when there is one; Jeepay,
/// /api/refund/refundOrder.
///
/// # Safety
/// `req` is NULL or NUL-terminated.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloud_pay_refund(req: *const c_char) -> c_int {
    guard(|| {
        let running = running()?;
        // SAFETY: passed on to the caller.
        let req = unsafe { running.text(req) }?;
        running.sdk.refund(&req)?;
        Ok(Reply::DONE)
    })
}

/// 退款查询: the state of a refund.
///
/// @param req JSON: `out_refund_no`, or `out_trade_no` for all refunds of an order; `pay_platform`
///   (default: the journal's).
/// @param refund_order Receives JSON: `out_refund_no`, `out_trade_no`, `refund_id`, `state`
///   (processing, success, failed, manual, closed, unknown), `refund_fee` (fen), `evidence`,
///   `refund_order_content`. For all of an order: `total_count` and `refunds`, a list of those; and
///   beside it the keys of the refund that has the order's number, or of the last one.
///   @param length Its size in bytes; 4096 recommended.
/// @return 0 answered, also that an order has none; -1 refused, or no such refund; -2 unknown;
///   -3 error; -8 buffer.
///
/// Synchronous: at most `request_timeout_ms` for each domain. epay123 has no list: there it is the
/// journal's, with the newest one that has no result asked about.
/// Source: cloud-pay HTTPS API, /cpay/query_refund_order; Jeepay, /api/refund/query.
///
/// # Safety
/// `req` is NULL or NUL-terminated; `refund_order` is NULL or points to `length` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloud_pay_query_refund(
    req: *const c_char,
    refund_order: *mut c_char,
    length: c_int,
) -> c_int {
    guard(|| {
        // SAFETY: passed on to the caller.
        let out = unsafe { Out::new(refund_order, length) };
        let running = running()?;
        // SAFETY: passed on to the caller.
        let req = unsafe { running.text(req) }.map_err(not_a_verdict)?;
        out.check(0)?;
        let refunded = running.sdk.query_refund(&req)?;
        out.write(&render::refunded(&refunded, running.style))?;
        Ok(Reply::DONE)
    })
}

/// Called with news about an order: it became final, its QR code is ready, a late payment came in,
/// or an order that had failed because the gateway didn't know it is under way after all (-2).
///
/// @param out_trade_no The order number. @param code What cloud_pay_query_order() would return.
/// @param order The whole order JSON. @param user What was given to cloud_pay_set_callback().
///
/// Runs on a thread of the library. The texts belong to the library and end with the call. It may
/// call any function but cloud_pay_init() and cloud_pay_fini(), and must not throw or longjmp.
#[allow(non_camel_case_types)]
pub type cloud_pay_callback = Option<
    unsafe extern "C" fn(
        out_trade_no: *const c_char,
        code: c_int,
        order: *const c_char,
        user: *mut c_void,
    ),
>;

/// [`cloud_pay_callback`], `__stdcall` on 32-bit Windows. In the header by `cbindgen.toml`: cbindgen
/// knows one calling convention only.
#[allow(non_camel_case_types)]
pub type cloud_pay_callback_std = Option<
    unsafe extern "system" fn(
        out_trade_no: *const c_char,
        code: c_int,
        order: *const c_char,
        user: *mut c_void,
    ),
>;

/// Sets the function that is called with news about orders, or clears it.
///
/// @param cb The function; NULL clears. After clearing returns, no call is under way (unless the
///   callback itself cleared: then it ends with that call).
/// @param user Handed to the function untouched.
/// @return 0; -3 before cloud_pay_init(). cloud_pay_fini() clears it.
///
/// Waits for a call of the old function that is under way.
///
/// # Safety
/// `cb` stays callable, and `user` valid for it, until it is cleared or cloud_pay_fini() returns.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloud_pay_set_callback(
    cb: cloud_pay_callback,
    user: *mut c_void,
) -> c_int {
    let call = cb.map(|cb| {
        move |trade_no: *const c_char, code: c_int, order: *const c_char, user: *mut c_void| {
            // SAFETY: the register promised a callable function.
            unsafe { cb(trade_no, code, order, user) };
        }
    });
    set_callback(call, user)
}

/// Has news about orders told to `call`, whatever its calling convention.
pub(super) fn set_callback(
    call: Option<impl Fn(*const c_char, c_int, *const c_char, *mut c_void) + Send + 'static>,
    user: *mut c_void,
) -> c_int {
    /// The register's own pointer, which only the register ever follows.
    struct User(*mut c_void);
    // SAFETY: the pointer is only handed back; the register knows that it comes on another thread.
    unsafe impl Send for User {}

    guard(|| {
        let running = running()?;
        let style = running.style;
        let user = User(user);
        let callback = call.map(|call| -> Callback {
            Box::new(move |order: &Order| {
                let user = &user;
                let (Ok(number), Ok(json)) = (
                    CString::new(style.charset.encode_message(&order.trade_no, style.ascii)),
                    CString::new(render::order(order, style)),
                ) else {
                    return;
                };
                call(number.as_ptr(), order.state.code(), json.as_ptr(), user.0);
            })
        });
        running.sdk.set_callback(callback);
        Ok(Reply::DONE)
    })
}

/// Orders that the register should look at: what to show after a power cut, and now and then.
///
/// @param out Receives {"total_count":n,"orders":[…]}: order JSONs without `order_content`, oldest
///   first, as many as fit, with `"shortened":true` when there are more. Each has `why`:
///   "unknown" (no final result yet), "untold" (it ended and the register hasn't heard of it),
///   "late" (paid after it was told as ended), "reopened" (told as failed, and found under way
///   after that), "refund_open" (a refund of it has no result); and `since_ms`, milliseconds since
///   1970. An order leaves the list when the register has queried its final state; that its
///   callback was called is not enough.
/// @param length Its size in bytes; about 500 for each order.
/// @return 0; -3 error; -8 when not even the empty list fits: the message names the size.
///
/// No network.
///
/// # Safety
/// `out` is NULL or points to `length` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloud_pay_pending_orders(out: *mut c_char, length: c_int) -> c_int {
    guard(|| {
        // SAFETY: passed on to the caller.
        let out = unsafe { Out::new(out, length) };
        let running = running()?;
        let orders = running.sdk.pending_orders()?;
        out.write(&render::pending(&orders, running.style, out.room()))?;
        Ok(Reply::DONE)
    })
}

/// A new order number: unique across registers, and never going back whatever the clock does.
///
/// @param out Receives the number, not JSON: `order_prefix` (the first of a list), YYMMDDhhmmss in
///   China's time, ten random letters and digits. @param length At least 33 bytes.
/// @return 0; -3 error, also when `order_prefix` has more than 10 characters; -8 buffer too small.
///
/// Blocks for one commit of the journal.
///
/// # Safety
/// `out` is NULL or points to `length` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloud_pay_next_trade_no(out: *mut c_char, length: c_int) -> c_int {
    guard(|| {
        // SAFETY: passed on to the caller.
        let out = unsafe { Out::new(out, length) };
        let running = running()?;
        out.check(crate::model::MAX_TRADE_NO)?;
        let number = running.sdk.next_trade_no()?;
        let style = running.style;
        out.write(&style.charset.encode_message(&number, style.ascii))?;
        Ok(Reply::DONE)
    })
}

/// The first two digits of payment codes, by platform.
///
/// @param resp Receives {"wx_author_code_prefix":["10",…],"ali_author_code_prefix":["25",…],
///   "author_code_prefix":[{"1":[…]},{"2":[…]}]}. @param length Its size in bytes; 256 do.
/// @return 0; -3 before cloud_pay_init(); -8 buffer too small.
///
/// No network.
///
/// # Safety
/// `resp` is NULL or points to `length` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloud_pay_security_author_code_prefix(
    resp: *mut c_char,
    length: c_int,
) -> c_int {
    const WECHAT: [&str; 6] = ["10", "11", "12", "13", "14", "15"];
    const ALIPAY: [&str; 6] = ["25", "26", "27", "28", "29", "30"];
    #[derive(Serialize)]
    struct Prefixes {
        wx_author_code_prefix: [&'static str; 6],
        ali_author_code_prefix: [&'static str; 6],
        author_code_prefix: (WeChat, Alipay),
    }
    #[derive(Serialize)]
    struct WeChat {
        #[serde(rename = "1")]
        prefixes: [&'static str; 6],
    }
    #[derive(Serialize)]
    struct Alipay {
        #[serde(rename = "2")]
        prefixes: [&'static str; 6],
    }
    guard(|| {
        // SAFETY: passed on to the caller.
        let out = unsafe { Out::new(resp, length) };
        let running = running()?;
        out.write(&running.style.json(&Prefixes {
            wx_author_code_prefix: WECHAT,
            ali_author_code_prefix: ALIPAY,
            author_code_prefix: (WeChat { prefixes: WECHAT }, Alipay { prefixes: ALIPAY }),
        }))?;
        Ok(Reply::DONE)
    })
}
