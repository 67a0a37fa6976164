//! The shared and the static library for Linux, for old C libraries too, and their archive.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::VERSION;
use super::package::Package;
use crate::tools::{Need, have, need, run_with, target_folder};

/// Registers run old systems: CentOS 7's C library is the oldest that the library loads with.
const TARGET: &str = "x86_64-unknown-linux-gnu";
const GLIBC: &str = "2.17";

/// The linker that knows old C libraries, and cargo's way to use it: from PyPI.
const ZIG: [&str; 2] = ["ziglang==0.17.0", "cargo-zigbuild==0.24.0"];

/// What `rustc --print native-static-libs` lists.
const SYSTEM_LIBRARIES: &str = "-lgcc_s -lutil -lrt -lpthread -lm -ldl -lc";

pub(super) fn build() -> Result<(), String> {
    println!("\n== linux-x64: the first time takes minutes");
    let tools = zig()?;
    let package = Package::new("linux-x64")?;
    let real = format!("lib/libcloudpay.so.{VERSION}");
    package.copy(&library(&tools, "cdylib", "libcloudpay.so")?, &real)?;
    package.copy(
        &library(&tools, "staticlib", "libcloudpay.a")?,
        "lib/libcloudpay.a",
    )?;
    let file = format!("libcloudpay.so.{VERSION}");
    for (link, to) in [
        ("lib/libcloudpay.so.1", file.as_str()),
        ("lib/libcloudpay.so", "libcloudpay.so.1"),
    ] {
        symlink(to, package.path(link)?).map_err(|error| format!("{link}: {error}"))?;
    }
    package.write("lib/pkgconfig/cloudpay.pc", &pkg_config())?;
    package.write("lib/cmake/cloudpay/cloudpayConfig.cmake", &cmake_config())?;
    package.write(
        "lib/cmake/cloudpay/cloudpayConfigVersion.cmake",
        &cmake_version(),
    )?;
    package.add_common()?;
    package.tar()?;
    Ok(())
}

/// Builds one kind of library. One at a time: together there is no link-time optimisation.
fn library(tools: &Path, kind: &str, file: &str) -> Result<PathBuf, String> {
    let folder = target_folder()?.join("linux");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut cargo = Command::new(tools.join("cargo-zigbuild"));
    cargo
        .args(["rustc", "--package", "cloudpay", "--lib", "--release"])
        .args(["--crate-type", kind])
        .args(["--target", &format!("{TARGET}.{GLIBC}"), "--target-dir"])
        .arg(&folder)
        .env("PATH", format!("{}:{path}", tools.display()));
    run_with(&mut cargo)?;
    Ok(folder.join(TARGET).join("release").join(file))
}

/// What it takes to link for older Linuxes.
pub(super) const NEEDS: &[Need] = &[(
    "python3 -c 'import ensurepip'",
    "python3-venv",
    "installs zig",
)];

/// The folder with zig and cargo-zigbuild, installed when it isn't there.
fn zig() -> Result<PathBuf, String> {
    let home = target_folder()?.join("zig");
    let tools = home.join("bin");
    if have(&tools.join("cargo-zigbuild").display().to_string()) {
        return Ok(tools);
    }
    println!("missing: zig and cargo-zigbuild, which link for old C libraries; getting them");
    need(NEEDS)?;
    run_with(Command::new("python3").args(["-m", "venv"]).arg(&home))?;
    run_with(
        Command::new(tools.join("pip"))
            .args(["install", "-q"])
            .args(ZIG),
    )?;
    Ok(tools)
}

fn pkg_config() -> String {
    format!(
        "prefix=${{pcfiledir}}/../..
libdir=${{prefix}}/lib
includedir=${{prefix}}/include

Name: cloudpay
Description: WeChat Pay and Alipay for cash registers
Version: {VERSION}
Cflags: -I${{includedir}}
Libs: -L${{libdir}} -lcloudpay
Libs.private: {SYSTEM_LIBRARIES}
"
    )
}

/// `find_package(cloudpay)` gives `cloudpay::cloudpay` and `cloudpay::static`.
fn cmake_config() -> String {
    let system = SYSTEM_LIBRARIES.replace("-l", "").replace(' ', ";");
    format!(
        r#"get_filename_component(_cloudpay "${{CMAKE_CURRENT_LIST_DIR}}/../../.." ABSOLUTE)
if(NOT TARGET cloudpay::cloudpay)
  add_library(cloudpay::cloudpay SHARED IMPORTED)
  set_target_properties(cloudpay::cloudpay PROPERTIES
    IMPORTED_LOCATION "${{_cloudpay}}/lib/libcloudpay.so.{VERSION}"
    IMPORTED_SONAME "libcloudpay.so.1"
    INTERFACE_INCLUDE_DIRECTORIES "${{_cloudpay}}/include")
  add_library(cloudpay::static STATIC IMPORTED)
  set_target_properties(cloudpay::static PROPERTIES
    IMPORTED_LOCATION "${{_cloudpay}}/lib/libcloudpay.a"
    INTERFACE_INCLUDE_DIRECTORIES "${{_cloudpay}}/include"
    INTERFACE_LINK_LIBRARIES "{system}")
endif()
"#
    )
}

/// Versions of one major number are compatible.
fn cmake_version() -> String {
    format!(
        r#"set(PACKAGE_VERSION "{VERSION}")
if(PACKAGE_FIND_VERSION VERSION_GREATER PACKAGE_VERSION OR NOT PACKAGE_FIND_VERSION_MAJOR STREQUAL "1")
  set(PACKAGE_VERSION_COMPATIBLE FALSE)
else()
  set(PACKAGE_VERSION_COMPATIBLE TRUE)
  if(PACKAGE_FIND_VERSION VERSION_EQUAL PACKAGE_VERSION)
    set(PACKAGE_VERSION_EXACT TRUE)
  endif()
endif()
"#
    )
}
