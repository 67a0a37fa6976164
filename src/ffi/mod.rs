//! The C ABI, and the only unsafe code of the library: pointers are checked, copied and left
//! behind here. Nothing panics, unwinds or aborts across it.

#![allow(unsafe_code)]

pub mod lifecycle;
pub mod merchant;
pub mod notify;
pub mod payment;
pub mod stdcall;
pub(crate) mod system;
pub mod unsupported;

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::charset::Charset;
use crate::lock;
use crate::render::Style;
use crate::sdk::{Code, Error, Sdk};
use crate::text::{Language, Text, text};

/// The running library.
static RUNNING: RwLock<Option<Arc<Running>>> = RwLock::new(None);

/// How errors are worded. Outlives `fini`, so that later errors still speak the register's
/// language; `None` as the language: nobody has said yet, both are given.
static VOICE: Mutex<Voice> = Mutex::new(Voice {
    language: None,
    style: Style {
        charset: Charset::Utf8,
        ascii: false,
    },
});

/// One `init` at a time, and no `init` while `fini` is at work.
static LIFECYCLE: Mutex<()> = Mutex::new(());

thread_local! {
    /// The last error of this thread, as `cloud_pay_get_errmsg` hands it out.
    static LAST_ERROR: RefCell<CString> = RefCell::new(CString::default());
}

struct Running {
    sdk: Sdk,
    style: Style,
    /// The process that called `init`. A fork has no workers.
    pid: u32,
}

#[derive(Clone, Copy)]
struct Voice {
    language: Option<Language>,
    style: Style,
}

/// What a call returns: a code, and a message when there is something to say about it.
struct Reply {
    code: Code,
    message: Vec<u8>,
}

impl Reply {
    const DONE: Self = Self {
        code: Code::OK,
        message: Vec::new(),
    };
}

impl From<Error> for Reply {
    fn from(error: Error) -> Self {
        Self {
            code: error.code,
            message: words(&error.message),
        }
    }
}

/// A message in the register's language and character set.
fn words(text: &Text) -> Vec<u8> {
    let voice = *lock(&VOICE);
    match voice.language {
        Some(language) => message(text.pick(language), voice.style),
        None => message(&text.both(), voice.style),
    }
}

/// The size of the longest message with its NUL: hosts have buffers of a fixed size.
const MESSAGE_SIZE: usize = 1024;

/// A message in the register's character set. Of a longer one, the beginning.
fn message(words: &str, style: Style) -> Vec<u8> {
    let mut words = words.to_owned();
    loop {
        let message = style.charset.encode_message(&words, style.ascii);
        if message.len() < MESSAGE_SIZE {
            return message;
        }
        let fewer = words.chars().count() * 9 / 10;
        words = words.chars().take(fewer).collect();
    }
}

/// Every export runs in here: whatever happens inside, the register gets a code and a message.
fn guard(body: impl FnOnce() -> Result<Reply, Error>) -> c_int {
    let reply = catch_unwind(AssertUnwindSafe(body))
        .unwrap_or_else(|_| {
            Err(Error::internal(text!(
                "程序库内部错误，请联系支持人员；可以继续调用",
                "internal error in the library, please report it; calls still work"
            )))
        })
        .unwrap_or_else(Reply::from);
    set_last_error(reply.message);
    reply.code.0
}

fn set_last_error(mut message: Vec<u8>) {
    message.retain(|byte| *byte != 0);
    let message = CString::new(message).unwrap_or_default();
    // A thread that is ending has no last error any more.
    let _ = LAST_ERROR.try_with(|last| {
        if let Ok(mut last) = last.try_borrow_mut() {
            *last = message;
        }
    });
}

/// The running library, or why there is none.
fn running() -> Result<Arc<Running>, Error> {
    let running = RUNNING
        .read()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let running = running.ok_or_else(|| {
        Error::internal(text!(
            "请先调用 cloud_pay_init",
            "call cloud_pay_init first"
        ))
    })?;
    running.of_this_process()?;
    Ok(running)
}

impl Running {
    fn of_this_process(&self) -> Result<(), Error> {
        if self.pid == std::process::id() {
            return Ok(());
        }
        Err(Error::internal(text!(
            "进程在 cloud_pay_init 之后被 fork，子进程不能使用；请先 exec",
            "forked after cloud_pay_init: the child can't use the library; exec first"
        )))
    }

    /// The register's text behind `pointer`.
    ///
    /// # Safety
    /// `pointer` is NULL or points to a NUL-terminated string.
    unsafe fn text(&self, pointer: *const c_char) -> Result<String, Error> {
        // SAFETY: passed on to the caller.
        let bytes = unsafe { bytes(pointer) }.ok_or_else(null_request)?;
        self.style.charset.decode(bytes).map_err(Error::internal)
    }
}

fn null_request() -> Error {
    Error::refused(text!("请求指针为 NULL", "the request is a NULL pointer"))
}

/// A query's -1 means "payment failed": a bad request must not look like that.
fn not_a_verdict(error: Error) -> Error {
    Error::internal(error.message)
}

/// The bytes of a C string without their NUL; `None` for NULL.
///
/// # Safety
/// `pointer` is NULL or points to a NUL-terminated string that outlives `'a`.
unsafe fn bytes<'a>(pointer: *const c_char) -> Option<&'a [u8]> {
    if pointer.is_null() {
        return None;
    }
    // SAFETY: not NULL, and NUL-terminated by this function's contract.
    Some(unsafe { CStr::from_ptr(pointer) }.to_bytes())
}

/// A buffer of the register's.
struct Out {
    start: *mut c_char,
    length: usize,
}

impl Out {
    /// Takes the buffer and empties it: what is in it afterwards was written by this call.
    ///
    /// # Safety
    /// `start` is NULL or points to `length` writable bytes, for as long as this lives.
    unsafe fn new(start: *mut c_char, length: c_int) -> Self {
        let length = usize::try_from(length).unwrap_or(0);
        let length = if start.is_null() { 0 } else { length };
        if length > 0 {
            // SAFETY: there is at least one writable byte.
            unsafe { *start = 0 };
        }
        Self { start, length }
    }

    /// Refuses a buffer without room for `needed` bytes and their NUL.
    fn check(&self, needed: usize) -> Result<(), Error> {
        if needed < self.length {
            return Ok(());
        }
        let (needed, length) = (needed + 1, self.length);
        Err(Error::new(
            Code::BUFFER,
            text!(
                "输出缓冲区需要 {needed} 字节，得到 {length}",
                "the output buffer needs {needed} bytes, got {length}"
            ),
        ))
    }

    /// Bytes of text that fit, the NUL not counted.
    fn room(&self) -> usize {
        self.length.saturating_sub(1)
    }

    /// Writes all of `bytes` and a NUL, or nothing.
    fn write(&self, bytes: &[u8]) -> Result<(), Error> {
        self.check(bytes.len())?;
        // SAFETY: `check` made sure that the bytes and the NUL fit the register's buffer, which
        // `new`'s contract says is writable; our bytes are not in it.
        unsafe {
            std::ptr::copy_nonoverlapping(bytes.as_ptr().cast(), self.start, bytes.len());
            *self.start.add(bytes.len()) = 0;
        }
        Ok(())
    }
}
