//! What `cargo xtask test` leaves out, because it takes long, many packages, or root's rights.

use std::process::Command;

use crate::tools::{Need, cargo_suite, have, install_cargo_tool, is_root, need, run, run_with};
use crate::{chaos, dist, fresh, fuzz, wine};

/// A part of the run that can be named away.
struct Part {
    name: &'static str,
    what: &'static str,
    /// Why this machine can't do it.
    obstacle: fn() -> Option<String>,
    run: fn() -> Result<(), String>,
}

const PARTS: &[Part] = &[
    Part {
        name: "chaos",
        what: "four registers pay while everything fails, 400 payments",
        obstacle: nothing,
        run: || chaos::run_with_arguments(&["--payments".to_owned(), "400".to_owned()]),
    },
    Part {
        name: "rivals",
        what: "registers that share 400 order numbers",
        obstacle: nothing,
        run: || chaos::run_with_arguments(&["--rivals".to_owned(), "400".to_owned()]),
    },
    Part {
        name: "fuzz",
        what: "ten seconds of every fuzz target",
        obstacle: nothing,
        run: fuzz::smoke,
    },
    Part {
        name: "packages",
        what: "every package built, unpacked and built against; registers in C# and Pascal",
        obstacle: nothing,
        run: packages,
    },
    Part {
        name: "wine32",
        what: "the 32-bit DLL under Wine",
        obstacle: no_root_folders,
        run: || windows("wine32", &[WINDOWS, MOST].concat()),
    },
    Part {
        name: "wine64",
        what: "the 64-bit DLL under Wine",
        obstacle: nothing,
        run: || windows("wine64", WINDOWS),
    },
    Part {
        name: "licences",
        what: "licences and sources of every dependency",
        obstacle: nothing,
        run: licences,
    },
    Part {
        name: "advisories",
        what: "security advisories about any dependency",
        obstacle: no_advisories,
        run: || deny(&["--offline"], &["advisories"]),
    },
    Part {
        name: "fresh",
        what: "README's two commands in a bare Debian",
        obstacle: no_root_folders,
        run: fresh::run,
    },
];

/// The suite's tests that only other hosts' tools can run, and what C# and Pascal need.
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

/// What differs by system…
const WINDOWS: &[&str] = &["windows::", "scenarios::", "cpp::", "declarations::"];
/// …and what more is tried on the 32 bits that most registers have.
const MOST: &[&str] = &["abi::", "crash::", "merchant::"];

/// Runs the parts that `arguments` don't name away with `--without PART`; stops at the first that
/// fails. A part that this machine can't do fails the run, too, after the others.
pub(crate) fn run_with_arguments(arguments: &[String]) -> Result<(), String> {
    let without = named_away(arguments)?;
    let (left_out, parts): (Vec<&Part>, Vec<&Part>) =
        PARTS.iter().partition(|part| without.contains(&part.name));
    for part in &left_out {
        println!("left out as told: {} ({})", part.name, part.what);
    }
    let mut possible = Vec::new();
    let mut impossible = Vec::new();
    for part in parts {
        match (part.obstacle)() {
            None => possible.push(part),
            Some(why) => {
                println!("CAN'T BE DONE HERE: {} ({}): {why}", part.name, part.what);
                impossible.push(part.name);
            }
        }
    }
    if possible.iter().any(|part| of_packages(part)) {
        need(&[NEEDS, &dist::needs(), wine::NEEDS].concat())?;
        dist::run(None)?;
    }
    for part in possible {
        println!("\n== {}: {}", part.name, part.what);
        (part.run)()?;
    }
    if impossible.is_empty() {
        return Ok(());
    }
    Err(format!(
        "the rest passed, but {} could not be done on this machine; `--without PART` leaves a part out",
        impossible.join(", ")
    ))
}

/// What `--without` names.
fn named_away(arguments: &[String]) -> Result<Vec<&'static str>, String> {
    let mut without = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let value = match argument.as_str() {
            "--without" => arguments.next(),
            _ => None,
        };
        let part = value.and_then(|name| PARTS.iter().find(|part| part.name == name));
        let Some(part) = part else {
            let names: Vec<_> = PARTS.iter().map(|part| part.name).collect();
            return Err(format!(
                "ci takes `--without PART`, any number of times; PART is one of {}",
                names.join(", ")
            ));
        };
        without.push(part.name);
    }
    Ok(without)
}

/// Whether a part tries what `dist` builds.
fn of_packages(part: &Part) -> bool {
    matches!(part.name, "packages" | "wine32" | "wine64")
}

fn nothing() -> Option<String> {
    None
}

/// 32-bit Wine and the bare Debian live in root folders of their own, with `/proc` mounted.
fn no_root_folders() -> Option<String> {
    if !is_root() {
        return Some("it needs chroot and mounts, which only root may call".to_owned());
    }
    let mount = "mount -t tmpfs none /mnt && chroot / true";
    let allowed = Command::new("unshare")
        .args(["--mount", "sh", "-c", mount])
        .output();
    match allowed {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!(
            "it needs chroot and mounts: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => Some(format!("it needs chroot and mounts: unshare: {error}")),
    }
}

/// The database is a repository of its own.
fn no_advisories() -> Option<String> {
    if let Err(why) = have_deny() {
        return Some(why);
    }
    run("cargo", &["deny", "fetch", "db"])
        .err()
        .map(|_| "their database can't be fetched from this machine".to_owned())
}

/// What `cargo test` alone leaves out, on Linux: packages, C#, Pascal, and other tools.
fn packages() -> Result<(), String> {
    suite("linux", &["--ignored", "--skip", "windows::"])
}

/// The suite with Windows' DLLs, under Wine.
fn windows(host: &str, filter: &[&str]) -> Result<(), String> {
    wine::prepare(host)?;
    let mut arguments = filter.to_vec();
    arguments.push("--include-ignored");
    for name in LINUX_ONLY {
        arguments.extend(["--skip", name]);
    }
    suite(host, &arguments)
}

/// One host's part of the suite.
fn suite(host: &str, arguments: &[&str]) -> Result<(), String> {
    let mut cargo = cargo_suite();
    cargo.args(arguments).env("CLOUDPAY_TEST_HOST", host);
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

fn have_deny() -> Result<(), String> {
    if have("cargo-deny") {
        return Ok(());
    }
    install_cargo_tool("cargo-deny@0.20.2", "checks licences and advisories")
}

fn licences() -> Result<(), String> {
    have_deny()?;
    deny(&[], &["bans", "licenses", "sources"])
}

/// Checks every package of the workspace and of the fuzz targets, not only the library's.
fn deny(options: &[&str], checks: &[&str]) -> Result<(), String> {
    for manifest in ["Cargo.toml", "fuzz/Cargo.toml"] {
        let start = ["deny", "--workspace", "--manifest-path", manifest];
        run("cargo", &[&start, options, &["check"], checks].concat())?;
    }
    Ok(())
}
