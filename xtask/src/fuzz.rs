//! Fuzzing of all that comes from outside: `fuzz/targets`, from the seeds in `fuzz/seeds`.

use std::fs;
use std::process::Command;

use crate::tools::{have, install_cargo_tool, root, run_with, target_folder};

/// Ten seconds for every target, built quickly.
pub(crate) fn smoke() -> Result<(), String> {
    run_targets(10, "--dev")
}

/// Runs every target for `seconds`.
pub(crate) fn run_every(seconds: u32) -> Result<(), String> {
    run_targets(seconds, "--release")
}

/// Stops at the first target that finds something. What is found on the way stays in the target
/// folder, and the next run starts with it.
fn run_targets(seconds: u32, profile: &str) -> Result<(), String> {
    if !have("cargo-fuzz") {
        install_cargo_tool("cargo-fuzz@0.13.2", "builds and runs the fuzz targets")?;
    }
    let build = target_folder()?.join("fuzz");
    let seeds = root().join("fuzz/seeds");
    let folders = fs::read_dir(&seeds).map_err(|error| format!("{}: {error}", seeds.display()))?;
    let mut targets: Vec<_> = folders
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    targets.sort();
    for target in targets {
        let corpus = build.join("corpus").join(&target);
        fs::create_dir_all(&corpus).map_err(|error| format!("{}: {error}", corpus.display()))?;
        println!("\n== Fuzzing {target} for {seconds} s");
        let mut cargo = Command::new("cargo");
        cargo
            .args(["fuzz", "run", profile, "--target-dir"])
            .args([&build])
            .arg(&target)
            .args([corpus, seeds.join(&target)])
            .args(["--", "-max_len=8192", "-verbosity=0", "-print_funcs=0"])
            .arg("-print_final_stats=1")
            .arg(format!("-max_total_time={seconds}"))
            // The compiler is a stable one; what libFuzzer needs of it is not a stable feature.
            .env("RUSTC_BOOTSTRAP", "1");
        if target == "abi" {
            // Leaks are looked for between two inputs and at the end, and the library's threads
            // come and go meanwhile. Memcheck looks for them when all are joined.
            cargo.env("ASAN_OPTIONS", "detect_leaks=0");
        }
        run_with(&mut cargo)?;
    }
    Ok(())
}

/// `--seconds N`, for each target.
pub(crate) fn seconds(arguments: &[String]) -> Result<u32, String> {
    match arguments {
        [] => Ok(600),
        [option, value] if option == "--seconds" => value
            .parse()
            .map_err(|_| format!("--seconds: a whole number, not {value}")),
        _ => Err("fuzz takes --seconds N only".to_owned()),
    }
}
