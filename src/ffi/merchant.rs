//! Questions about the merchant: shops, lists of orders, sums.

use std::ffi::{c_char, c_int};

use serde_json::value::RawValue;

use super::{Out, Reply, guard, not_a_verdict, running};
use crate::sdk::{Error, Sdk};

/// 门店查询: the merchant's shops, by page.
///
/// @param req JSON: `page_num` (from 1; default 1), `page_size` (1 to 1000; default 10),
///   `out_shop_id` (one shop only).
/// @param shop_info Receives the gateway's `query_shop_info`: `total_count`, `shop_infos`.
/// @param length Its size in bytes; 65536 recommended.
/// @return 0 answered; -1 the gateway refused; -2 unknown, call again; -3 error, or epay123, which
///   doesn't offer this; -8 buffer.
///
/// Synchronous: at most `request_timeout_ms` for each domain.
/// Source: cloud-pay HTTPS API, /cpay/query_sub_mch_shop_info.
///
/// # Safety
/// `req` is NULL or NUL-terminated; `shop_info` is NULL or points to `length` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloud_pay_query_shop_info(
    req: *const c_char,
    shop_info: *mut c_char,
    length: c_int,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { report_call(req, shop_info, length, Sdk::query_shop_info) }
}

/// The sub-merchant, with the prefix that its order numbers need (`cloud_cashier_id`). Not in the
/// original library.
///
/// @param req JSON: `{}`.
/// @param out Receives the gateway's `query_sub_mch_info`: `total_count`, `sub_mch_infos`.
/// @param length Its size in bytes; 65536 recommended.
/// @return As cloud_pay_query_shop_info().
///
/// Synchronous: at most `request_timeout_ms` for each domain.
/// Source: cloud-pay HTTPS API, /cpay/sdk_query_sub_mch_info.
///
/// # Safety
/// `req` is NULL or NUL-terminated; `out` is NULL or points to `length` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloud_pay_query_sub_mch_info(
    req: *const c_char,
    out: *mut c_char,
    length: c_int,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { report_call(req, out, length, Sdk::query_sub_mch_info) }
}

/// 交易明细: orders and refunds, newest first, by page; or all of a period into a file.
///
/// @param req JSON: `pay_platform` (1 WeChat, 2 Alipay; default both), `query_order_type`
///   (1 payments, 2 refunds, 3 both; default 3), `query_cashier_type` (1 the sub-merchant, 2 this
///   shop, 3 this cashier; default 1), `out_shop_id`, `staff_id`, `device_id`, `start_time`
///   (seconds since 1970; default 0), `end_time` (default now), `page_num` (from 1; default 1),
///   `page_size` (1 to 1000; default 10, with `save_to` 100). With `save_to` (a path, at most 4096
///   characters) every page from `page_num` on is fetched and written there, one JSON object a
///   line in UTF-8; the file appears when it is complete.
/// @param order_details Receives the gateway's `order_detail_query`: `total_count`,
///   `order_details`. With `save_to`: `total_count`, `saved_count`.
/// @param length Its size in bytes; 2048 for each order recommended.
/// @return As cloud_pay_query_shop_info().
///
/// Synchronous: at most `request_timeout_ms` for each domain, for each page.
/// Source: cloud-pay HTTPS API, /cpay/client_order_detail.
///
/// # Safety
/// `req` is NULL or NUL-terminated; `order_details` is NULL or points to `length` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloud_pay_order_detail(
    req: *const c_char,
    order_details: *mut c_char,
    length: c_int,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { report_call(req, order_details, length, Sdk::order_detail) }
}

/// 交易统计: sums over orders and refunds. `__stdcall` on 32-bit Windows, as in the original.
///
/// Documented in the header, where `cbindgen.toml` declares it: cbindgen knows one calling
/// convention only.
///
/// # Safety
/// `req` is NULL or NUL-terminated; `order_stat` is NULL or points to `length` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn cloud_pay_order_stat(
    req: *const c_char,
    order_stat: *mut c_char,
    length: c_int,
) -> c_int {
    // SAFETY: passed on to the caller.
    unsafe { report_call(req, order_stat, length, Sdk::order_stat) }
}

/// A call that answers in the gateway's own words.
///
/// # Safety
/// `req` is NULL or NUL-terminated; `out` is NULL or points to `length` writable bytes.
unsafe fn report_call(
    req: *const c_char,
    out: *mut c_char,
    length: c_int,
    call: fn(&Sdk, &str) -> Result<Box<RawValue>, Error>,
) -> c_int {
    guard(|| {
        // SAFETY: passed on to the caller.
        let out = unsafe { Out::new(out, length) };
        let running = running()?;
        // SAFETY: passed on to the caller.
        let req = unsafe { running.text(req) }.map_err(not_a_verdict)?;
        out.check(0)?;
        let words = call(&running.sdk, &req)?;
        out.write(&running.style.json(&words))?;
        Ok(Reply::DONE)
    })
}
