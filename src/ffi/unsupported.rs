//! Names of the original library that this one does not offer. They exist so that old registers
//! load.

#![allow(unused_variables, reason = "the header has their names")]

use std::ffi::{c_char, c_int};

use super::{Reply, guard};
use crate::sdk::Error;
use crate::text::text;

fn not_offered() -> Result<Reply, Error> {
    Err(Error::internal(text!(
        "本程序库不提供此功能",
        "not offered by this library"
    )))
}

/// Not offered by this library: returns -3. Exists so that registers built against the original
/// library load.
#[unsafe(no_mangle)]
pub extern "C" fn cloud_pay_security_login(
    req: *const c_char,
    resp: *mut c_char,
    length: c_int,
) -> c_int {
    guard(not_offered)
}

/// Not offered by this library: returns -3. Exists so that registers built against the original
/// library load.
#[unsafe(no_mangle)]
pub extern "C" fn cloud_pay_security_login_check(
    req: *const c_char,
    resp: *mut c_char,
    length: c_int,
) -> c_int {
    guard(not_offered)
}

/// Not offered by this library: returns -3. Exists so that registers built against the original
/// library load.
#[unsafe(no_mangle)]
pub extern "C" fn cloud_pay_security_init(req: *const c_char) -> c_int {
    guard(not_offered)
}

/// Not offered by this library: returns -3. Exists so that registers built against the original
/// library load.
#[unsafe(no_mangle)]
pub extern "C" fn cloud_pay_security_identification(
    req: *const c_char,
    resp: *mut c_char,
    length: c_int,
) -> c_int {
    guard(not_offered)
}

/// Not offered by this library: returns -3. Exists so that registers built against the original
/// library load.
#[unsafe(no_mangle)]
pub extern "C" fn cloud_pay_security_identification_check(
    req: *const c_char,
    resp: *mut c_char,
    length: c_int,
) -> c_int {
    guard(not_offered)
}
