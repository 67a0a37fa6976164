//! Running other programs, and getting those that are missing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The top of the tree.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
        .to_path_buf()
}

/// Where cargo builds, as cargo itself says.
pub(crate) fn target_folder() -> Result<PathBuf, String> {
    let output = Command::new("cargo")
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo metadata: {error}"))?;
    let metadata = String::from_utf8_lossy(&output.stdout);
    metadata
        .split_once("\"target_directory\":\"")
        .and_then(|(_, rest)| rest.split_once('"'))
        .map(|(folder, _)| PathBuf::from(folder))
        .ok_or_else(|| "cargo metadata names no target_directory".to_owned())
}

/// Runs a program at the top of the tree, saying so; fails when it fails.
pub(crate) fn run(program: &str, args: &[&str]) -> Result<(), String> {
    run_with(Command::new(program).args(args))
}

/// Runs a command at the top of the tree unless it names another folder, saying so; fails when it
/// fails.
pub(crate) fn run_with(command: &mut Command) -> Result<(), String> {
    if command.get_current_dir().is_none() {
        command.current_dir(root());
    }
    println!("\n$ {command:?}");
    let status = command
        .status()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{command:?} failed ({status})"))
    }
}

/// Whether a program can be started.
pub(crate) fn have(program: &str) -> bool {
    Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok()
}

/// Whether a shell command succeeds.
fn works(command: &str) -> bool {
    Command::new("sh")
        .args(["-c", command])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// Whether the C compiler finds a header.
fn have_header(header: &str) -> bool {
    Command::new("cc")
        .args(["-E", "-include", header, "-x", "c", "/dev/null"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// `cargo test` with more threads than processors: most tests wait, for answers and for timers.
pub(crate) fn cargo_test() -> Command {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mut cargo = Command::new("cargo");
    cargo
        .args(["test", "--no-fail-fast"])
        .env("RUST_TEST_THREADS", (8 * processors).to_string());
    cargo
}

/// The suite alone. With the same packages as the whole workspace's tests: others have other
/// features, and everything would be built again.
pub(crate) fn cargo_suite() -> Command {
    let mut cargo = cargo_test();
    cargo.args(["--workspace", "--test", "suite", "--"]);
    cargo
}

/// Compiles a C program of this tree against a shared library that lies beside it.
pub(crate) fn compile_c(source: &str, program: &Path, library: &Path) -> Result<(), String> {
    run_with(
        Command::new("cc")
            .args(["-O2", "-g", "-pthread", "-I"])
            .arg(root().join("include"))
            .arg("-o")
            .arg(program)
            .arg(root().join(source))
            .arg(library)
            .arg("-Wl,-rpath,$ORIGIN"),
    )
}

/// What one of Debian's packages brings: a program, a C header, a path or a command that works; the
/// package; what for.
pub(crate) type Need = (&'static str, &'static str, &'static str);

/// Makes sure of what Debian's packages bring.
pub(crate) fn need(things: &[Need]) -> Result<(), String> {
    let missing: Vec<_> = things
        .iter()
        .filter(|(thing, ..)| {
            if thing.starts_with('/') {
                !Path::new(thing).exists()
            } else if thing.contains(' ') {
                !works(thing)
            } else if thing.ends_with(".h") {
                !have_header(thing)
            } else {
                !have(thing)
            }
        })
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    for (thing, package, what_for) in &missing {
        println!("missing: {thing} (package {package}), {what_for}");
    }
    let mut packages: Vec<&str> = missing.iter().map(|(_, package, _)| *package).collect();
    packages.sort_unstable();
    packages.dedup();
    install(&packages)
}

/// Installs Debian's packages, or says which they are.
pub(crate) fn install(packages: &[&str]) -> Result<(), String> {
    let by_hand = format!("please install: apt-get install {}", packages.join(" "));
    if !have("apt-get") || !is_root() {
        return Err(by_hand);
    }
    println!("installing them with apt-get");
    let mut args = vec!["install", "-y", "-q", "--no-install-recommends"];
    args.extend(packages);
    run("apt-get", &["update", "-q"])
        .and_then(|()| run("apt-get", &args))
        .map_err(|why| format!("{why}; {by_hand}"))
}

/// Builds one of cargo's own tools, `NAME@VERSION`.
pub(crate) fn install_cargo_tool(tool: &str, what_for: &str) -> Result<(), String> {
    println!("\nmissing: {tool}, {what_for}; building it");
    run("cargo", &["install", "--locked", "--debug", tool])
}

pub(crate) fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout == b"0\n")
}
