//! Start and stop, errors, version.

use std::ffi::{CString, c_char, c_int};
use std::ptr;
use std::sync::{Arc, PoisonError};

use super::system::stay_loaded;
use super::{
    Code, LAST_ERROR, LIFECYCLE, Out, RUNNING, Reply, Running, VOICE, Voice, bytes, guard,
    null_request,
};
use crate::config::Config;
use crate::engine::on_callback_thread;
use crate::lock;
use crate::render::Style;
use crate::sdk::{Error, Sdk};
use crate::text::text;

/// The library's version with its NUL.
static VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");

/// Starts the library. 初始化。
///
/// @param conf CloudPayConf, a JSON text (see README, "Configuration"). UTF-8; GBK text is
///   accepted when `common_conf.charset` is `"gbk"`.
/// @return 0 running; -1 configuration refused (the message names the key); -3 internal error, or
///   in the child of a fork().
///
/// Opens and locks the journal, starts the worker threads, and takes up what an earlier process
/// left unfinished: see cloud_pay_pending_orders(). Blocks for reading the journal; does no network
/// on this thread.
/// Called again with the same configuration while running: 0, nothing changes. With another one:
/// -1, call cloud_pay_fini() first.
///
/// # Safety
/// `conf` is NULL or points to a NUL-terminated string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloud_pay_init(conf: *const c_char) -> c_int {
    guard(|| {
        // SAFETY: passed on to the caller.
        let conf = unsafe { bytes(conf) }.ok_or_else(null_request)?;
        not_from_callback("cloud_pay_init")?;
        let parsed = Config::parse(conf).map_err(|refused| {
            if slot().is_none() {
                *lock(&VOICE) = Voice {
                    language: refused.language,
                    style: Style {
                        charset: refused.charset,
                        ascii: refused.ascii_output,
                    },
                };
            }
            Error::refused(refused.reason)
        })?;
        let _only = lock(&LIFECYCLE);
        if let Some(running) = slot() {
            running.of_this_process()?;
            if *running.sdk.config() == parsed.config {
                return Ok(Reply::DONE);
            }
            return Err(Error::refused(text!(
                "已用另一份配置启动；请先调用 cloud_pay_fini",
                "already running with another configuration; call cloud_pay_fini first"
            )));
        }
        let style = Style {
            charset: parsed.config.charset,
            ascii: parsed.config.ascii_output,
        };
        *lock(&VOICE) = Voice {
            language: Some(parsed.config.language),
            style,
        };
        stay_loaded();
        let sdk = Sdk::start(parsed)?;
        *RUNNING.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(Running {
            sdk,
            style,
            pid: std::process::id(),
        }));
        Ok(Reply::DONE)
    })
}

/// Stops the library. 停止。
///
/// @return 0 stopped, or was not running; -3 called from the callback, or the callback never
///   returned.
///
/// Refuses new calls, wakes cloud_pay_wait_order(), lets requests under way end (at most
/// `fini_timeout_ms`, then their connections are cut), writes the journal and joins every thread:
/// at most `fini_timeout_ms` and 2 s. Unfinished orders stay in the journal; the next
/// cloud_pay_init() takes them up. May be called twice, and cloud_pay_init() may follow. Does
/// nothing in the child of a fork(). Not from the callback, and not from DllMain.
#[unsafe(no_mangle)]
pub extern "C" fn cloud_pay_fini() -> c_int {
    guard(|| {
        not_from_callback("cloud_pay_fini")?;
        let _only = lock(&LIFECYCLE);
        let Some(running) = slot() else {
            return Ok(Reply::DONE);
        };
        if running.of_this_process().is_err() {
            // After a fork all of it is another process's.
            return Ok(Reply::DONE);
        }
        // New calls find nothing; those under way hold the library until they end.
        *RUNNING.write().unwrap_or_else(PoisonError::into_inner) = None;
        running.sdk.stop()?;
        Ok(Reply::DONE)
    })
}

/// The message for the last call of this thread; "" after a success. Never NULL.
///
/// @return Text that the library owns, valid until the next cloud_pay_* call on this thread.
///   Don't free it. In the configured character set and language.
#[unsafe(no_mangle)]
pub extern "C" fn cloud_pay_get_errmsg() -> *const c_char {
    LAST_ERROR
        .try_with(|last| last.try_borrow().map_or(ptr::null(), |last| last.as_ptr()))
        .ok()
        .filter(|pointer| !pointer.is_null())
        .unwrap_or(c"".as_ptr())
}

/// The same text as cloud_pay_get_errmsg(), copied into the caller's buffer.
///
/// @param out Receives the text. @param length Its size in bytes, NUL included; 1024 always
///   do.
/// @return 0 copied; -8 buffer too small. Doesn't change the message.
///
/// # Safety
/// `out` is NULL or points to `length` writable bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cloud_pay_copy_errmsg(out: *mut c_char, length: c_int) -> c_int {
    // SAFETY: passed on to the caller.
    let out = unsafe { Out::new(out, length) };
    let message: CString = LAST_ERROR
        .try_with(|last| last.try_borrow().map(|last| last.clone()))
        .ok()
        .and_then(Result::ok)
        .unwrap_or_default();
    match out.write(message.as_bytes()) {
        Ok(()) => Code::OK.0,
        Err(error) => error.code.0,
    }
}

/// The version of the library, "1.0.0" for example. Static text: don't free it.
#[unsafe(no_mangle)]
pub extern "C" fn cloud_pay_version() -> *const c_char {
    VERSION.as_ptr().cast()
}

fn slot() -> Option<Arc<Running>> {
    RUNNING
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .clone()
}

/// The callback's thread must not wait for its own end.
fn not_from_callback(name: &str) -> Result<(), Error> {
    if on_callback_thread() {
        return Err(Error::internal(text!(
            "不能在回调函数中调用 {name}",
            "{name} can't be called from the callback"
        )));
    }
    Ok(())
}
