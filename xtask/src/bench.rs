//! The benchmarks: builds what is measured and starts the run.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::dist::VERSION;
use crate::tools::{compile_c, need, root, run, run_with, target_folder};

/// `--rounds N`, five unless told.
pub(crate) fn run_with_arguments(arguments: &[String]) -> Result<(), String> {
    let rounds = match arguments {
        [] => "5",
        [option, rounds] if option == "--rounds" => rounds,
        _ => return Err("bench takes --rounds N only".to_owned()),
    };
    need(&[
        ("cc", "gcc", "compiles the C register"),
        ("c++", "g++", "compiles the peer"),
        ("taskset", "util-linux", "gives each side a core"),
        ("curl/curl.h", "libcurl4-openssl-dev", "HTTPS for the peer"),
        ("openssl/ssl.h", "libssl-dev", "HMAC and TLS for the peer"),
        (
            "/usr/include/jsoncpp/json/json.h",
            "libjsoncpp-dev",
            "JSON for the peer",
        ),
    ])?;
    let target = target_folder()?;
    let build = target.join("bench");
    let release = target.join("release");
    let at = |error: std::io::Error| format!("{}: {error}", build.display());
    fs::create_dir_all(&build).map_err(at)?;
    run(
        "cargo",
        &[
            "build",
            "--release",
            "-p",
            "cloudpay-sandbox",
            "-p",
            "cloudpay-benches",
        ],
    )?;
    for program in ["cloudpay-sandbox", "pure"] {
        fs::copy(release.join(program), build.join(program)).map_err(at)?;
    }
    // Alone: together with an rlib there is no link-time optimisation.
    run(
        "cargo",
        &[
            "rustc",
            "--release",
            "--lib",
            "--crate-type",
            "cdylib",
            "--target-dir",
            &target.join("linux").display().to_string(),
        ],
    )?;
    let library = build.join("libcloudpay.so.1");
    fs::copy(target.join("linux/release/libcloudpay.so"), &library).map_err(at)?;
    for (package, name) in [("x86", "cloudpay32.dll"), ("x64", "cloudpay64.dll")] {
        // Only where the packages were built: their size is all that is asked for.
        let package = format!("dist/cloudpay-{VERSION}-windows-{package}");
        let _ = fs::copy(
            target.join(package).join("bin/cloudpay.dll"),
            build.join(name),
        );
    }
    compile(&build, &library)?;
    run_with(
        Command::new(release.join("cloudpay-benches"))
            .arg(&build)
            .arg(root().join("docs"))
            .arg(rounds),
    )
}

fn compile(build: &Path, library: &Path) -> Result<(), String> {
    compile_c("benches/client/client.c", &build.join("client"), library)?;
    run_with(
        Command::new("c++")
            .args(["-O2", "-pthread", "-I/usr/include/jsoncpp", "-o"])
            .arg(build.join("peer"))
            .arg(root().join("benches/peer/peer.cpp"))
            .args(["-lcurl", "-ljsoncpp", "-lssl", "-lcrypto"]),
    )
}
