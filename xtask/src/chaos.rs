//! The chaos run: builds what it needs and starts it.

use std::fs;
use std::process::Command;

use crate::tools::{compile_c, need, root, run, run_with, target_folder};

/// `arguments` go to the run.
pub(crate) fn run_with_arguments(arguments: &[String]) -> Result<(), String> {
    need(&[("cc", "gcc", "compiles the C register")])?;
    let packages = ["-p", "cloudpay", "-p", "cloudpay-chaos"];
    run("cargo", &[&["build", "--release"][..], &packages].concat())?;
    let release = target_folder()?.join("release");
    let build = target_folder()?.join("chaos");
    fs::create_dir_all(&build).map_err(|error| format!("{}: {error}", build.display()))?;
    let library = build.join("libcloudpay.so.1");
    fs::copy(release.join("libcloudpay.so"), &library)
        .map_err(|error| format!("{}: {error}", library.display()))?;
    compile_c("tests/c/register.c", &build.join("register"), &library)?;
    run_with(
        Command::new("cc")
            .args(["-O1", "-shared", "-fPIC", "-o"])
            .arg(build.join("disk.so"))
            .arg(root().join("chaos/disk.c"))
            .arg("-ldl"),
    )?;
    run_with(
        Command::new(release.join("cloudpay-chaos"))
            .arg("--build")
            .arg(&build)
            .args(arguments),
    )
}
