//! Every check and every test of the project.

use crate::tools::{have, need, run};

/// Runs them all; stops at the first that fails.
pub(crate) fn run_every() -> Result<(), String> {
    need(&[
        ("cc", "gcc", "compiles the C programs"),
        ("c++", "g++", "compiles the header as C++"),
        ("make", "make", "builds the C examples"),
        ("cmake", "cmake", "builds the C examples the other way"),
        (
            "qrencode.h",
            "libqrencode-dev",
            "shows the QR code in a C example",
        ),
        ("openssl", "openssl", "verifies a refund's signature"),
        ("nm", "binutils", "lists the library's symbols"),
        (
            "valgrind",
            "valgrind",
            "looks for memory errors in a C register",
        ),
    ])?;
    run("cargo", &["fmt", "--all", "--check"])?;
    run(
        "cargo",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
    )?;
    run("cargo", &["test", "--workspace", "--no-fail-fast"])?;
    deny()
}

/// Licences, sources and advisories of what the project depends on.
fn deny() -> Result<(), String> {
    if !have("cargo-deny") {
        println!("\nmissing: cargo-deny, checks licences and advisories; building it");
        run("cargo", &["install", "--locked", "cargo-deny"])?;
    }
    run("cargo", &["deny", "check", "bans", "licenses", "sources"])?;
    if run("cargo", &["deny", "fetch", "db"]).is_err() {
        println!(
            "\nADVISORIES WERE NOT CHECKED: their database can't be fetched from this machine."
        );
        return Ok(());
    }
    run("cargo", &["deny", "--offline", "check", "advisories"])
}
