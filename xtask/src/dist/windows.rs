//! The DLLs for Windows 7 and newer, their import libraries, and their zips.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::exports;
use super::package::Package;
use crate::tools::{Need, install, need, run_with, target_folder};

/// A kind of Windows.
struct Platform {
    name: &'static str,
    target: &'static str,
    /// How mingw's programs start.
    mingw: &'static str,
    /// What llvm-dlltool calls it.
    machine: &'static str,
}

const PLATFORMS: [Platform; 2] = [
    Platform {
        name: "windows-x86",
        target: "i686-win7-windows-gnu",
        mingw: "i686-w64-mingw32",
        machine: "i386",
    },
    Platform {
        name: "windows-x64",
        target: "x86_64-win7-windows-gnu",
        mingw: "x86_64-w64-mingw32",
        machine: "i386:x86-64",
    },
];

/// What it takes to build for Windows.
pub(super) const NEEDS: &[Need] = &[
    (
        "i686-w64-mingw32-gcc",
        "gcc-mingw-w64-i686",
        "compiles and links for 32-bit Windows",
    ),
    (
        "x86_64-w64-mingw32-gcc",
        "gcc-mingw-w64-x86-64",
        "compiles and links for 64-bit Windows",
    ),
    (
        "llvm-dlltool",
        "llvm",
        "makes import libraries for Microsoft's compiler",
    ),
    ("zip", "zip", "packs"),
    ("file", "file", "says what kind of library it is"),
];

pub(super) fn build() -> Result<(), String> {
    need(NEEDS)?;
    let compiler = compiler()?;
    for platform in &PLATFORMS {
        println!("\n== {}: the first time takes minutes", platform.name);
        let dll = platform.dll(&compiler)?;
        platform.show(&dll)?;
        let package = Package::new(platform.name)?;
        package.copy(&dll, "bin/cloudpay.dll")?;
        platform.import_libraries(&package)?;
        package.add_common()?;
        package.zip()?;
    }
    Ok(())
}

impl Platform {
    /// Builds the DLL, with the standard library built for the same Windows.
    fn dll(&self, compiler: &Path) -> Result<PathBuf, String> {
        let folder = target_folder()?.join("windows");
        let target = self.target.replace('-', "_");
        let mut cargo = Command::new("cargo");
        cargo
            .args(["rustc", "--package", "cloudpay", "--lib"])
            // Alone: together with an rlib there is no link-time optimisation.
            .args(["--crate-type", "cdylib", "--profile", "small"])
            .args(["-Zbuild-std=std,panic_unwind"])
            .args(["-Zbuild-std-features=optimize_for_size"])
            .args(["--target", self.target, "--target-dir"])
            .arg(&folder)
            .env("RUSTC", compiler)
            // The compiler is a stable one; building the standard library is not a stable feature.
            .env("RUSTC_BOOTSTRAP", "1")
            .env(format!("CC_{target}"), format!("{}-gcc", self.mingw))
            // SQLite needs no unwinding.
            .env(
                format!("CFLAGS_{target}"),
                "-fno-asynchronous-unwind-tables",
            );
        run_with(&mut cargo)?;
        Ok(folder.join(self.target).join("small/cloudpay.dll"))
    }

    /// Says what was built, and which DLLs it needs.
    fn show(&self, dll: &Path) -> Result<(), String> {
        let script = "ls -l $0; file $0; $1-objdump -p $0 | grep -E 'DLL Name|Subsystem' | sort -u";
        run_with(
            Command::new("sh")
                .args(["-c", script])
                .arg(dll)
                .arg(self.mingw),
        )
    }

    /// Import libraries for mingw and for Microsoft's compiler, and what they are made of.
    fn import_libraries(&self, package: &Package) -> Result<(), String> {
        let definition = package.path("lib/cloudpay.def")?;
        fs::write(&definition, exports::definition(self.machine == "i386")?)
            .map_err(|error| format!("{}: {error}", definition.display()))?;
        let mingw = format!("{}-dlltool", self.mingw);
        let made = [
            (mingw.as_str(), &[][..], "lib/libcloudpay.dll.a"),
            (
                "llvm-dlltool",
                &["-m", self.machine][..],
                "lib/cloudpay.lib",
            ),
        ];
        for (program, machine, file) in made {
            let mut dlltool = Command::new(program);
            dlltool
                .args(machine)
                .args(["-k", "-D", "cloudpay.dll", "-d"]);
            dlltool.arg(&definition).arg("-l").arg(package.path(file)?);
            run_with(&mut dlltool)?;
        }
        Ok(())
    }
}

/// A compiler that has the sources of its standard library: the win7 targets have no ready-made
/// one.
pub(crate) fn compiler() -> Result<PathBuf, String> {
    const DEBIAN: &str = "/usr/bin/rustc";
    let has_sources = |rustc: &str| {
        let output = Command::new(rustc).args(["--print", "sysroot"]).output();
        output.is_ok_and(|output| {
            let sysroot = String::from_utf8_lossy(&output.stdout);
            Path::new(sysroot.trim())
                .join("lib/rustlib/src/rust/library/std/Cargo.toml")
                .exists()
        })
    };
    if has_sources("rustc") {
        return Ok("rustc".into());
    }
    if !has_sources(DEBIAN) {
        println!(
            "missing: the sources of Rust's standard library, for `rustup component add rust-src`"
        );
        println!("or from Debian's packages rustc-web and rust-web-src");
        install(&["rustc-web", "rust-web-src"])?;
    }
    if has_sources(DEBIAN) {
        return Ok(DEBIAN.into());
    }
    Err(format!("{DEBIAN} has no sources of the standard library"))
}
