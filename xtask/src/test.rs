//! Every check and every test of the project.

use crate::tools::{Need, cargo_suite, cargo_test, have, is_root, need, run, run_with};
use crate::{chaos, dist, fuzz, wine};

/// What the checks and the tests call.
const NEEDS: &[Need] = &[
    ("cc", "gcc", "compiles the C programs"),
    ("c++", "g++", "compiles the C++ programs"),
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
    ("mcs", "mono-mcs", "compiles the C# registers"),
    ("mono", "mono-runtime", "runs the C# registers"),
    ("fpc", "fp-compiler", "compiles the Pascal register"),
    ("pkg-config", "pkg-config", "builds a C example"),
    ("objdump", "binutils", "lists what the libraries need"),
    ("unzip", "unzip", "unpacks the packages"),
    ("file", "file", "says what kind of library it is"),
    (
        "i686-w64-mingw32-g++-posix",
        "g++-mingw-w64-i686",
        "compiles C++ programs for 32-bit Windows",
    ),
    (
        "x86_64-w64-mingw32-g++-posix",
        "g++-mingw-w64-x86-64",
        "compiles C++ programs for 64-bit Windows",
    ),
    (
        "/usr/share/fpcsrc",
        "fpc-source",
        "makes Free Pascal compile for Windows",
    ),
];

/// Runs them all; stops at the first that fails.
pub(crate) fn run_every() -> Result<(), String> {
    need(&[NEEDS, &dist::needs(), wine::NEEDS].concat())?;
    linux()?;
    chaos::run_with_arguments(&["--payments".to_owned(), "400".to_owned()])?;
    fuzz::smoke()?;
    dist::run(None)?;
    packages()?;
    // What differs by system, and most of all on the 32 bits that most registers have.
    let every = ["windows::", "scenarios::", "cpp::", "declarations::"];
    let most = ["abi::", "crash::", "merchant::"];
    windows("wine32", &[&every[..], &most].concat())?;
    windows("wine64", &every)?;
    deny()
}

/// Lints, and all that needs no package.
fn linux() -> Result<(), String> {
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
    run_with(cargo_test().arg("--workspace"))
}

/// The packages for Linux and NuGet, which `cargo test` alone leaves out.
fn packages() -> Result<(), String> {
    suite("linux", &["packages::"])
}

/// The suite with Windows' DLLs, under Wine.
fn windows(host: &str, filter: &[&str]) -> Result<(), String> {
    if host == "wine32" && !is_root() {
        println!(
            "\nTHE 32-BIT DLL WAS NOT TESTED: 32-bit Wine needs chroot, which only root may call."
        );
        return Ok(());
    }
    wine::prepare(host)?;
    suite(host, filter)
}

/// One host's part of the suite.
fn suite(host: &str, filter: &[&str]) -> Result<(), String> {
    println!("\n== The suite for {host}");
    let mut cargo = cargo_suite();
    cargo
        .args(filter)
        .arg("--include-ignored")
        .env("CLOUDPAY_TEST_HOST", host);
    if host != "linux" {
        // What is about Linux alone.
        for name in LINUX_ONLY {
            cargo.args(["--skip", name]);
        }
    }
    run_with(&mut cargo)
}

/// Tests about Linux' own programs, files and packages, or about the source alone.
const LINUX_ONLY: [&str; 9] = [
    "packages::",
    "examples::",
    "notify_example::",
    "csharp::",
    "docs::",
    "a_full_disk_refuses_before_anything_is_sent",
    "openssl_verifies",
    "keys_are_wiped",
    "a_forked_child_is_told_so",
];

/// Licences, sources and advisories of what the project depends on.
fn deny() -> Result<(), String> {
    if !have("cargo-deny") {
        println!("\nmissing: cargo-deny, checks licences and advisories; building it");
        run(
            "cargo",
            &["install", "--locked", "--debug", "cargo-deny@0.20.2"],
        )?;
    }
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml"] {
        let deny = ["deny", "--manifest-path", manifest, "check"];
        run(
            "cargo",
            &[&deny[..], &["bans", "licenses", "sources"]].concat(),
        )?;
    }
    if run("cargo", &["deny", "fetch", "db"]).is_err() {
        println!(
            "\nADVISORIES WERE NOT CHECKED: their database can't be fetched from this machine."
        );
        return Ok(());
    }
    run("cargo", &["deny", "--offline", "check", "advisories"])
}
