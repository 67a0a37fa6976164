//! The checks and tests that need few packages and no privilege: what a change is tried with.

use crate::tools::{Need, cargo_test, need, run, run_with};

/// What the checks and the tests call.
const NEEDS: &[Need] = &[
    ("cc", "gcc", "compiles the C registers"),
    ("c++", "g++", "compiles the C++ registers"),
    ("make", "make", "builds the C examples"),
    (
        "openssl",
        "openssl",
        "signs and verifies beside the library, and serves outdated TLS",
    ),
    ("nm", "binutils", "lists the library's symbols"),
];

/// Runs them all; stops at the first that fails.
pub(crate) fn run_every() -> Result<(), String> {
    need(NEEDS)?;
    println!("\n== Format, lints and documentation");
    run("cargo", &["fmt", "--all", "--check"])?;
    let every = ["--workspace", "--all-targets", "--", "-D", "warnings"];
    run("cargo", &[&["clippy"][..], &every].concat())?;
    let mut doc = std::process::Command::new("cargo");
    doc.args([
        "doc",
        "--workspace",
        "--no-deps",
        "--document-private-items",
    ])
    .env("RUSTDOCFLAGS", "-D warnings");
    run_with(&mut doc)?;
    println!("\n== Unit tests, sandbox, hand-overs between threads, and registers in C and C++");
    run_with(cargo_test().arg("--workspace"))
}
