//! The suite's C registers with the library built for a sanitizer: AddressSanitizer looks for
//! memory errors, ThreadSanitizer for data races.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::dist;
use crate::tools::{cargo_suite, need, run_with, target_folder};

const CLANG: &str = "clang-16";
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The first finding ends the program, and with it the test.
const OPTIONS: &str =
    "halt_on_error=1:abort_on_error=1:external_symbolizer_path=/usr/bin/llvm-symbolizer";

/// Runs both.
pub(crate) fn run() -> Result<(), String> {
    // The compiler's own runtime: older ones lack what today's compilers call.
    need(&[
        (CLANG, CLANG, "compiles SQLite and the C registers"),
        (
            "/usr/lib/llvm-16/lib/clang/16/lib/linux/libclang_rt.tsan-x86_64.a",
            "libclang-rt-16-dev",
            "holds the sanitizers",
        ),
        (
            "/usr/bin/llvm-symbolizer",
            "llvm",
            "names the functions in a finding",
        ),
    ])?;
    let compiler = dist::compiler()?;
    for sanitizer in ["address", "thread"] {
        println!("\n== The suite with {sanitizer} sanitizer: the first time takes minutes");
        let library = library(&compiler, sanitizer)?;
        let mut cargo = cargo_suite();
        cargo
            .args(["abi::", "scenarios::", "crash::", "money::", "merchant::"])
            .env("CLOUDPAY_TEST_HOST", sanitizer)
            .env("CLOUDPAY_TEST_LIBRARY", library)
            .env("ASAN_OPTIONS", OPTIONS)
            .env("TSAN_OPTIONS", OPTIONS);
        run_with(&mut cargo)?;
    }
    Ok(())
}

/// The static library, its standard library and its SQLite, all built for the sanitizer. The
/// locks of an ordinary standard library mean nothing to ThreadSanitizer.
fn library(compiler: &Path, sanitizer: &str) -> Result<PathBuf, String> {
    let folder = target_folder()?.join("sanitize").join(sanitizer);
    let mut cargo = Command::new("cargo");
    cargo
        .args(["rustc", "--package", "cloudpay", "--lib", "--crate-type"])
        .args(["staticlib", "-Zbuild-std=std,panic_unwind", "--target"])
        .args([TARGET, "--target-dir"])
        .arg(&folder)
        .env("RUSTC", compiler)
        // The compiler is a stable one; sanitizers are not a stable feature.
        .env("RUSTC_BOOTSTRAP", "1")
        .env(
            "RUSTFLAGS",
            format!("-Zsanitizer={sanitizer} -Zexternal-clangrt"),
        )
        // Registers' stacks are small, and a sanitizer's frames without optimisation are not.
        .env("CARGO_PROFILE_DEV_OPT_LEVEL", "2")
        .env("CC", CLANG)
        .env("CFLAGS", format!("-fsanitize={sanitizer} -g"));
    run_with(&mut cargo)?;
    Ok(folder.join(TARGET).join("debug/libcloudpay.a"))
}
