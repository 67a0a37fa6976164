//! WeChat Pay and Alipay for cash registers: the library behind the C ABI of `cloudpay.h`.
//!
//! A payment is accepted into a journal on disk before anything is sent, sent by a pool of
//! workers, polled until its result is proven, and recovered after a crash. [`Sdk`] is the whole
//! of it for Rust; registers use the C functions.

#![deny(unsafe_code)]

mod charset;
mod clock;
mod condition;
pub mod config;
mod download;
mod engine;
pub mod ffi;
mod fields;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gateway;
mod http;
mod journal;
mod locks;
mod model;
mod object;
mod random;
mod render;
mod request;
mod sdk;
mod telemetry;
mod text;
mod traces;

pub use charset::Charset;
pub use config::Config;
pub use engine::{Callback, Refunded};
pub use gateway::cloudpay::SigningKey;
pub use model::{
    Evidence, Order, OrderState, PendingOrder, Platform, Refund, RefundState, Refunds, Source,
    TradeType,
};
pub use sdk::{Code, Error, Reply, Sdk};
pub use text::{Language, Text};

pub(crate) use locks::lock;
