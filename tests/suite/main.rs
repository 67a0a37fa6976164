//! The library as registers see it: C programs that load the shared library and pay against the
//! real sandbox over real TLS.
#![cfg(target_os = "linux")]
#![allow(missing_docs, unreachable_pub)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod abi;
mod absence;
mod attacks;
mod cpp;
mod crash;
mod csharp;
mod declarations;
mod docs;
mod examples;
mod merchant;
mod money;
mod monitor;
mod notify_example;
mod numbers;
mod odd;
mod ownership;
mod packages;
mod refund_rules;
mod register;
mod scenarios;
mod support;
mod taken_back;
mod trust;
mod windows;
