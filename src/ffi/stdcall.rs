//! The `_std` names: every function once more, `__stdcall` on 32-bit Windows, for languages that
//! can call nothing else. The header's copy of this list is made by `cargo xtask header`.

use std::ffi::{c_char, c_int, c_void};

use super::payment::{cloud_pay_callback_std, set_callback};

macro_rules! stdcall {
    ($($name:ident = $module:ident::$same:ident($($arg:ident: $kind:ty),*) -> $result:ty;)*) => {$(
        #[doc = concat!("[`", stringify!($same), "`](super::", stringify!($module), "::", stringify!($same), ").")]
        ///
        /// # Safety
        /// As for its namesake.
        #[unsafe(no_mangle)]
        #[allow(unused_unsafe, reason = "some of them have nothing to promise")]
        pub unsafe extern "system" fn $name($($arg: $kind),*) -> $result {
            // SAFETY: passed on to the caller.
            unsafe { super::$module::$same($($arg),*) }
        }
    )*};
}

stdcall! {
    cloud_pay_init_std = lifecycle::cloud_pay_init(conf: *const c_char) -> c_int;
    cloud_pay_fini_std = lifecycle::cloud_pay_fini() -> c_int;
    cloud_pay_get_errmsg_std = lifecycle::cloud_pay_get_errmsg() -> *const c_char;
    cloud_pay_copy_errmsg_std =
        lifecycle::cloud_pay_copy_errmsg(out: *mut c_char, length: c_int) -> c_int;
    cloud_pay_version_std = lifecycle::cloud_pay_version() -> *const c_char;
    cloud_pay_query_shop_info_std = merchant::cloud_pay_query_shop_info(
        req: *const c_char, shop_info: *mut c_char, length: c_int) -> c_int;
    cloud_pay_query_sub_mch_info_std = merchant::cloud_pay_query_sub_mch_info(
        req: *const c_char, out: *mut c_char, length: c_int) -> c_int;
    cloud_pay_order_detail_std = merchant::cloud_pay_order_detail(
        req: *const c_char, order_details: *mut c_char, length: c_int) -> c_int;
    cloud_pay_order_stat_std = merchant::cloud_pay_order_stat(
        req: *const c_char, order_stat: *mut c_char, length: c_int) -> c_int;
    cloud_pay_verify_notify_std = notify::cloud_pay_verify_notify(
        body: *const c_char, content: *mut c_char, length: c_int) -> c_int;
    cloud_pay_notify_reply_std = notify::cloud_pay_notify_reply(
        status: c_int, description: *const c_char, out: *mut c_char, length: c_int) -> c_int;
    cloud_pay_micro_pay_std = payment::cloud_pay_micro_pay(
        req: *const c_char, resp: *mut c_char, length: c_int) -> c_int;
    cloud_pay_scan_code_pay_std = payment::cloud_pay_scan_code_pay(req: *const c_char) -> c_int;
    cloud_pay_query_order_std = payment::cloud_pay_query_order(
        req: *const c_char, order: *mut c_char, length: c_int) -> c_int;
    cloud_pay_wait_order_std = payment::cloud_pay_wait_order(
        req: *const c_char, order: *mut c_char, length: c_int, timeout_ms: c_int) -> c_int;
    cloud_pay_cancel_order_std = payment::cloud_pay_cancel_order(req: *const c_char) -> c_int;
    cloud_pay_close_order_std = payment::cloud_pay_close_order(req: *const c_char) -> c_int;
    cloud_pay_refund_std = payment::cloud_pay_refund(req: *const c_char) -> c_int;
    cloud_pay_query_refund_std = payment::cloud_pay_query_refund(
        req: *const c_char, refund_order: *mut c_char, length: c_int) -> c_int;
    cloud_pay_pending_orders_std =
        payment::cloud_pay_pending_orders(out: *mut c_char, length: c_int) -> c_int;
    cloud_pay_next_trade_no_std =
        payment::cloud_pay_next_trade_no(out: *mut c_char, length: c_int) -> c_int;
    cloud_pay_security_author_code_prefix_std =
        payment::cloud_pay_security_author_code_prefix(resp: *mut c_char, length: c_int) -> c_int;
    cloud_pay_security_login_std = unsupported::cloud_pay_security_login(
        req: *const c_char, resp: *mut c_char, length: c_int) -> c_int;
    cloud_pay_security_login_check_std = unsupported::cloud_pay_security_login_check(
        req: *const c_char, resp: *mut c_char, length: c_int) -> c_int;
    cloud_pay_security_init_std = unsupported::cloud_pay_security_init(req: *const c_char) -> c_int;
    cloud_pay_security_identification_std = unsupported::cloud_pay_security_identification(
        req: *const c_char, resp: *mut c_char, length: c_int) -> c_int;
    cloud_pay_security_identification_check_std =
        unsupported::cloud_pay_security_identification_check(
            req: *const c_char, resp: *mut c_char, length: c_int) -> c_int;
}

/// [`cloud_pay_set_callback`](super::payment::cloud_pay_set_callback) with a function of this
/// convention.
///
/// # Safety
/// As for its namesake.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn cloud_pay_set_callback_std(
    cb: cloud_pay_callback_std,
    user: *mut c_void,
) -> c_int {
    set_callback(
        cb.map(|cb| {
            move |trade_no: *const c_char, code: c_int, order: *const c_char, user: *mut c_void| {
                // SAFETY: the register promised a callable function.
                unsafe { cb(trade_no, code, order, user) };
            }
        }),
        user,
    )
}
