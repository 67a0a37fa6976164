//! What the tests stand on: a real sandbox, and real C registers that load the shared library.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cloudpay_sandbox::{Options, Sandbox};
use serde_json::{Value, json};

pub use crate::register::{PATIENCE, Register, Reply};

/// The top of the tree.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What the registers of this run are built for: Linux, also with the library built for a
/// sanitizer, or Windows' DLLs under Wine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    Linux,
    AddressSanitizer,
    ThreadSanitizer,
    Wine32,
    Wine64,
}

impl Host {
    fn is_windows(self) -> bool {
        matches!(self, Self::Wine32 | Self::Wine64)
    }
}

/// `CLOUDPAY_TEST_HOST` says it; `cargo xtask ci` runs the suite for each.
pub fn host() -> Host {
    match std::env::var("CLOUDPAY_TEST_HOST").as_deref() {
        Err(_) | Ok("linux") => Host::Linux,
        Ok("address") => Host::AddressSanitizer,
        Ok("thread") => Host::ThreadSanitizer,
        Ok("wine32") => Host::Wine32,
        Ok("wine64") => Host::Wine64,
        Ok(other) => {
            panic!("CLOUDPAY_TEST_HOST is {other}: linux, address, thread, wine32 or wine64")
        }
    }
}

/// A folder of this run's own for what is built.
pub fn build_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let name = format!("suite-{:?}", host()).to_lowercase();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        if !host().is_windows() {
            let library = folder.join("libcloudpay.so.1");
            let _ = fs::remove_file(&library);
            std::os::unix::fs::symlink(shared_library(), &library).unwrap();
        } else {
            fs::copy(
                package().join("bin/cloudpay.dll"),
                folder.join("cloudpay.dll"),
            )
            .unwrap();
        }
        folder
    })
}

/// The shared library that this test run was built with.
pub fn shared_library() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    tests.parent().unwrap().join("libcloudpay.so")
}

/// The unpacked package for the Windows that the registers run on.
pub fn package() -> PathBuf {
    let platform = if host() == Host::Wine64 { "x64" } else { "x86" };
    let name = format!("cloudpay-{}-windows-{platform}", env!("CARGO_PKG_VERSION"));
    let folder = target_folder().join("dist").join(name);
    assert!(
        folder.join("bin/cloudpay.dll").exists(),
        "{} is missing: `cargo xtask dist windows` makes it",
        folder.display()
    );
    folder
}

/// Where cargo builds.
pub fn target_folder() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap()
}

/// Runs a program to its end; panics with its output when it fails.
pub fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{command:?} failed ({}):\n{text}\n{errors}",
        output.status
    );
    text
}

/// Compiles a C or C++ program against the header and the shared library of this run's host.
pub fn compile(sources: &[&Path], name: &str) -> PathBuf {
    let folder = build_folder();
    let library = match host() {
        Host::Linux => folder.join("libcloudpay.so.1"),
        Host::AddressSanitizer | Host::ThreadSanitizer => std::env::var("CLOUDPAY_TEST_LIBRARY")
            .expect("CLOUDPAY_TEST_LIBRARY: `cargo xtask sanitize` sets it")
            .into(),
        Host::Wine32 | Host::Wine64 => package().join("lib/libcloudpay.dll.a"),
    };
    compile_with(sources, &library, name)
}

/// The same, against a certain library.
pub fn compile_with(sources: &[&Path], library: &Path, name: &str) -> PathBuf {
    let cpp = sources[0].extension().is_some_and(|end| end == "cpp");
    let mut program = build_folder().join(name);
    if host().is_windows() {
        program.set_extension("exe");
    }
    let mut compiler = Command::new(compiler(cpp));
    compiler
        .arg(if cpp { "-std=c++11" } else { "-std=c11" })
        .args(["-O1", "-g", "-Wall", "-Wextra", "-Werror", "-pthread", "-I"])
        .arg(root().join("include"))
        .arg("-o")
        .arg(&program)
        .args(sources)
        .arg(library);
    match host() {
        // The program finds the library beside itself.
        Host::Linux => compiler.arg("-Wl,-rpath,$ORIGIN"),
        Host::AddressSanitizer => compiler.args(["-fsanitize=address", "-ldl", "-lm"]),
        Host::ThreadSanitizer => compiler.args(["-fsanitize=thread", "-ldl", "-lm"]),
        // Windows always looks there; mingw's own libraries go into the program.
        Host::Wine32 | Host::Wine64 => compiler.args(["-static", "-lversion"]),
    };
    run(&mut compiler);
    program
}

/// The compiler for this run's host.
pub fn compiler(cpp: bool) -> &'static str {
    match (host(), cpp) {
        (Host::Linux, false) => "cc",
        (Host::Linux, true) => "c++",
        (Host::AddressSanitizer | Host::ThreadSanitizer, false) => "clang-16",
        (Host::AddressSanitizer | Host::ThreadSanitizer, true) => "clang++-16",
        (Host::Wine32, false) => "i686-w64-mingw32-gcc",
        (Host::Wine32, true) => "i686-w64-mingw32-g++-posix",
        (Host::Wine64, false) => "x86_64-w64-mingw32-gcc",
        (Host::Wine64, true) => "x86_64-w64-mingw32-g++-posix",
    }
}

/// A program of this run's host, ready to be started. The process that starts is the program
/// itself: killing it kills the program.
pub fn program(path: &Path) -> Command {
    static READY: OnceLock<()> = OnceLock::new();
    if !host().is_windows() {
        return Command::new(path);
    }
    // Wine's own files are made once, and not by several programs at the same time.
    READY.get_or_init(|| {
        run(wine().args(["wineboot", "--init"]));
    });
    let mut command = wine();
    command.arg(path);
    command
}

/// Wine, of the width of this run's host.
fn wine() -> Command {
    let mut command = if host() == Host::Wine64 {
        Command::new("/usr/lib/wine/wine64")
    } else {
        // 32-bit Wine lives in a tree of its own; our files are mounted into it, for this process
        // alone.
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c"])
            .arg(
                r#"set -e; root=$0; for at in "$1" "$2"; do mkdir -p "$root$at"; mount --bind "$at" "$root$at"; done; mount -t proc proc "$root/proc"; shift 2; exec chroot "$root" /usr/lib/wine/wine "$@""#,
            )
            .arg(target_folder().join("wine32"))
            .arg(root())
            .arg(std::env::temp_dir());
        command
    };
    let prefix = format!("prefix-{:?}", host()).to_lowercase();
    command
        .env("WINEPREFIX", target_folder().join(prefix))
        .env("WINEDEBUG", "-all")
        .env("WINEDLLOVERRIDES", "mscoree,mshtml=")
        .env("LC_ALL", "C.UTF-8");
    command
}

/// The test register, compiled once.
pub fn register_program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| compile(&[&root().join("tests/c/register.c")], "register"))
}

/// A folder that is removed with the value.
pub struct TempFolder(pub PathBuf);

impl TempFolder {
    pub fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let folder = build_folder().join(format!(
            "run-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        ));
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for TempFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The gateways that a register can be configured for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gateway {
    CloudPay,
    Epay123,
}

impl Gateway {
    pub const BOTH: [Self; 2] = [Self::CloudPay, Self::Epay123];
}

/// A sandbox, a place for the register's files, and the register's configuration.
pub struct Shop {
    pub sandbox: Sandbox,
    pub folder: TempFolder,
    pub conf: Value,
    agent: ureq::Agent,
}

impl Shop {
    pub fn open() -> Self {
        Self::with(Options::default())
    }

    pub fn with(options: Options) -> Self {
        Self::at(Gateway::CloudPay, options)
    }

    pub fn at(gateway: Gateway, options: Options) -> Self {
        let sandbox = Sandbox::start(options).unwrap();
        let folder = TempFolder::new();
        let conf = match gateway {
            Gateway::CloudPay => sandbox.conf_file(),
            Gateway::Epay123 => sandbox.epay123_conf_file(),
        };
        let mut conf: Value = serde_json::from_str(&fs::read_to_string(conf).unwrap()).unwrap();
        conf["common_conf"]["domains"] = json!(sandbox.urls());
        conf["common_conf"]["journal_path"] = json!(folder.0.join("register.journal"));
        conf["common_conf"]["log_path"] = json!(folder.0.join("log"));
        conf["common_conf"]["log_level"] = json!("debug");
        conf["common_conf"]["language"] = json!("en");
        Self {
            sandbox,
            folder,
            conf,
            agent: ureq::Agent::new_with_defaults(),
        }
    }

    /// Sets a key of common_conf.
    pub fn common(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.conf["common_conf"][key] = value.into();
        self
    }

    /// Sets a key of trade_conf.
    pub fn trade(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.conf["trade_conf"][key] = value.into();
        self
    }

    /// A register process, initialised.
    pub fn register(&self) -> Register {
        let register = Register::start();
        register.init(&self.conf);
        register
    }

    /// An order number that nobody had before.
    pub fn number(&self) -> String {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        format!("{}t{count:010}", self.sandbox.merchant().order_prefix)
    }

    /// What the ledger says of an order; `null` when it says nothing.
    pub fn ledger(&self, number: &str) -> Value {
        let all = self.control_get("ledger");
        all["orders"][number].clone()
    }

    /// Waits until the gateway has a payment: before that, a cancel stops it in the queue.
    #[track_caller]
    pub fn arrived(&self, number: &str) {
        until("the payment at the gateway", || {
            (self.ledger(number)["pay_requests"] == 1).then_some(())
        });
    }

    pub fn control_get(&self, path: &str) -> Value {
        let url = format!("{}/sandbox/{path}", self.sandbox.control_url());
        let mut answer = self.agent.get(url).call().unwrap();
        serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
    }

    pub fn control_post(&self, path: &str, body: &Value) {
        let url = format!("{}/sandbox/{path}", self.sandbox.control_url());
        self.agent
            .post(url)
            .header("content-type", "application/json")
            .send(body.to_string())
            .unwrap();
    }

    /// All that the log says so far. Only after `fini`: the log is written by its own thread.
    pub fn log(&self) -> String {
        let mut text = String::new();
        for file in fs::read_dir(self.folder.0.join("log")).unwrap() {
            text += &fs::read_to_string(file.unwrap().path()).unwrap();
        }
        text
    }
}

/// A payment code of WeChat's form that nobody had before, ending in a scenario's number.
pub fn code(scenario: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("13{count:013}{scenario:0>3}")
}

/// A payment code of Alipay's form.
pub fn alipay_code(scenario: &str) -> String {
    format!("28{}", &code(scenario)[2..])
}

impl Register {
    pub fn start() -> Self {
        Self::spawn(&mut program(register_program()))
    }
}

/// The body of the one HTTP request that a connection brings.
pub fn http_body(stream: &TcpStream) -> Vec<u8> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap_or(0) > 2 {
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    body
}

/// Asks again until the answer is right. For what happens outside the register's sight, in the
/// sandbox for example; what the register does is waited for with its own calls.
#[track_caller]
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "it never came: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
