//! Notifications that the gateway sends to the merchant's own server.

use std::ffi::{c_char, c_int};

use super::{Out, Reply, bytes, guard, null_request, running};

/// Checks a payment or refund notification and gives its content. Not in the original library.
///
/// @param body The HTTP body exactly as it came, UTF-8 whatever `charset` says.
/// @param content Receives the notification's whole content, JSON: `order_content` of a payment or
///   `refund_order_content` of a refund, `pay_mch_key`, `order_client`, `nonce_str`.
/// @param length Its size in bytes; 16384 recommended.
/// @return 0 authentic; -1 not to be believed: answer it with a status other than 0; -3 error;
///   -8 buffer too small.
///
/// No network. Source: cloud-pay HTTPS API, callbacks.
///
/// # Safety
/// `body` is NULL or NUL-terminated; `content` is NULL or points to `length` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloud_pay_verify_notify(
    body: *const c_char,
    content: *mut c_char,
    length: c_int,
) -> c_int {
    guard(|| {
        // SAFETY: passed on to the caller.
        let out = unsafe { Out::new(content, length) };
        let running = running()?;
        // SAFETY: passed on to the caller.
        let body = unsafe { bytes(body) }.ok_or_else(null_request)?;
        out.check(0)?;
        let content = running.sdk.verify_notify(body)?;
        let style = running.style;
        out.write(&style.charset.encode_json(&content, style.ascii))?;
        Ok(Reply::DONE)
    })
}

/// The signed answer to a notification. Not in the original library.
///
/// @param status 0: taken, don't send it again. Others: send it again later.
/// @param description For people; NULL for none.
/// @param out Receives the HTTP body to answer with (application/json), pure ASCII: send it as it
///   is. @param length Its size in bytes; 1024 and six for each character of `description`.
/// @return 0; -3 error; -8 buffer too small.
///
/// No network. Source: cloud-pay HTTPS API, callbacks.
///
/// # Safety
/// `description` is NULL or NUL-terminated; `out` is NULL or points to `length` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloud_pay_notify_reply(
    status: c_int,
    description: *const c_char,
    out: *mut c_char,
    length: c_int,
) -> c_int {
    guard(|| {
        // SAFETY: passed on to the caller.
        let out = unsafe { Out::new(out, length) };
        let running = running()?;
        let description = if description.is_null() {
            String::new()
        } else {
            // SAFETY: passed on to the caller.
            unsafe { running.text(description) }?
        };
        out.write(&running.sdk.notify_reply(status, &description)?)?;
        Ok(Reply::DONE)
    })
}
