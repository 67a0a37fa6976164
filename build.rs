//! Link settings of the shared library.

use std::error::Error;
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    match env::var("CARGO_CFG_TARGET_OS")?.as_str() {
        "linux" => {
            // The name that programs remember: they go on working when the file behind it is
            // upgraded.
            println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libcloudpay.so.1");
            // dlclose never unmaps the code that a thread of ours may be in.
            println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
        }
        "windows" if env::var("CARGO_CFG_TARGET_ENV")? == "gnu" => {
            let object = version_info()?;
            println!("cargo:rustc-cdylib-link-arg={}", object.display());
        }
        _ => {}
    }
    Ok(())
}

/// What Explorer shows in the DLL's properties, compiled by mingw's windres.
fn version_info() -> Result<PathBuf, Box<dyn Error>> {
    let version = env::var("CARGO_PKG_VERSION")?;
    let numbers = version.replace('.', ",") + ",0";
    let description = "WeChat Pay and Alipay for cash registers";
    let script = format!(
        r#"1 VERSIONINFO
FILEVERSION {numbers}
PRODUCTVERSION {numbers}
FILEOS 0x4
FILETYPE 0x2
BEGIN
  BLOCK "StringFileInfo"
  BEGIN
    BLOCK "040904B0"
    BEGIN
      VALUE "CompanyName", "cloudpay\0"
      VALUE "FileDescription", "{description}\0"
      VALUE "FileVersion", "{version}\0"
      VALUE "InternalName", "cloudpay\0"
      VALUE "LegalCopyright", "MIT OR Apache-2.0\0"
      VALUE "OriginalFilename", "cloudpay.dll\0"
      VALUE "ProductName", "cloudpay\0"
      VALUE "ProductVersion", "{version}\0"
    END
  END
  BLOCK "VarFileInfo"
  BEGIN
    VALUE "Translation", 0x409, 0x4B0
  END
END
"#
    );
    let folder = PathBuf::from(env::var("OUT_DIR")?);
    let (source, object) = (folder.join("version.rc"), folder.join("version.o"));
    fs::write(&source, script)?;
    let windres = match env::var("CARGO_CFG_TARGET_ARCH")?.as_str() {
        "x86" => "i686-w64-mingw32-windres",
        _ => "x86_64-w64-mingw32-windres",
    };
    let status = Command::new(windres)
        .arg(&source)
        .arg(&object)
        .status()
        .map_err(|error| format!("{windres}: {error}; it comes with mingw-w64"))?;
    if status.success() {
        Ok(object)
    } else {
        Err(format!("{windres} failed ({status})").into())
    }
}
