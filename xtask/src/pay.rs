//! The demonstration: a register written in C pays at a gateway on this machine.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::tools::{self, need, target_folder};

/// One customer at the till.
struct Sale {
    story: &'static str,
    program: &'static str,
    /// The payment code; its last three digits tell the sandbox what happens.
    code: &'static str,
    fee: i64,
    refund: bool,
}

const SALES: [Sale; 4] = [
    Sale {
        story: "A customer pays at once, and gets the money back",
        program: "pay",
        code: "134567890123400000",
        fee: 1280,
        refund: true,
    },
    Sale {
        story: "A customer has to type a password: the library asks until the result is there",
        program: "pay",
        code: "134567890123401001",
        fee: 2560,
        refund: false,
    },
    Sale {
        story: "The connection is cut after the charge: the library finds the payment",
        program: "pay",
        code: "134567890123402901",
        fee: 990,
        refund: false,
    },
    Sale {
        story: "The same register, with the library linked statically",
        program: "static/pay",
        code: "134567890123403000",
        fee: 100,
        refund: false,
    },
];

/// Builds everything and lets a C register pay.
pub(crate) fn run() -> Result<(), String> {
    need(&[("make", "make", "builds the C registers")])?;
    let target = target_folder()?;
    let release = target.join("release");
    let programs = target.join("examples-c");
    let files = target.join("pay-demo");

    println!("\n== Building the library and the sandbox gateway; the first time takes minutes");
    tools::run(
        "cargo",
        &[
            "build",
            "--release",
            "-p",
            "cloudpay",
            "-p",
            "cloudpay-sandbox",
        ],
    )?;

    println!("\n== Building the registers of examples-c, with the shared and the static library");
    let libraries = format!("LIBDIR={}", release.display());
    let out = format!("OUT={}", programs.display());
    tools::run(
        "make",
        &["-C", "examples-c", &libraries, &out, "all", "static"],
    )?;

    println!("\n== Starting the sandbox gateway");
    // Orders of an earlier demonstration mean nothing to a new sandbox.
    let _ = std::fs::remove_dir_all(&files);
    let sandbox = Sandbox::start(&release.join("cloudpay-sandbox"), &files)?;
    println!("its console: {}/", sandbox.control);

    for sale in &SALES {
        println!("\n== {}", sale.story);
        sell(sale, &programs, &sandbox.conf)?;
    }

    println!("\n== What the gateway's ledger says, in fen");
    check_ledger(&sandbox.get("/sandbox/ledger")?)?;
    println!(
        "\nEvery customer was charged once. Journal and log are in {}",
        files.display()
    );
    Ok(())
}

fn sell(sale: &Sale, programs: &Path, conf: &str) -> Result<(), String> {
    let program = programs.join(sale.program).display().to_string();
    let fee = sale.fee.to_string();
    let mut args = vec![conf, "--code", sale.code, "--fee", &fee];
    if sale.refund {
        args.push("--refund");
    }
    tools::run(&program, &args)
}

/// Compares what the gateway took from the customers with what was sold.
fn check_ledger(ledger: &str) -> Result<(), String> {
    let [charges, charged, refunded] =
        ["charges", "charged", "refunded"].map(|key| numbers(ledger, key));
    println!("{:>10}{:>10}{:>10}", "charges", "charged", "refunded");
    for ((times, fen), back) in charges.iter().zip(&charged).zip(&refunded) {
        println!("{times:>10}{fen:>10}{back:>10}");
    }
    let back = |sale: &Sale| if sale.refund { sale.fee } else { 0 };
    let as_sold = charges == [1; SALES.len()]
        && charged.iter().eq(SALES.iter().map(|sale| &sale.fee))
        && refunded.iter().copied().eq(SALES.iter().map(back));
    if as_sold {
        Ok(())
    } else {
        Err("the gateway's ledger is not what was sold".to_owned())
    }
}

/// The values of a key, order by order: numbers grow with time, and the ledger is sorted by them.
fn numbers(json: &str, key: &str) -> Vec<i64> {
    let key = format!("\"{key}\":");
    json.split(key.as_str())
        .skip(1)
        .filter_map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_digit())?;
            rest.get(..end)?.parse().ok()
        })
        .collect()
}

/// The gateway, in a process of its own that ends with this value.
struct Sandbox {
    process: Child,
    /// Kept open: the sandbox may have more to say.
    output: BufReader<ChildStdout>,
    conf: String,
    control: String,
}

impl Sandbox {
    /// Starts it on free ports, and waits until it says where its register's configuration is.
    fn start(program: &Path, files: &Path) -> Result<Self, String> {
        let mut process = Command::new(program)
            .args([
                "--listen",
                "127.0.0.1:0",
                "--control",
                "127.0.0.1:0",
                "--data",
            ])
            .arg(files)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let output = process.stdout.take().ok_or("the sandbox has no output")?;
        let mut sandbox = Self {
            process,
            output: BufReader::new(output),
            conf: String::new(),
            control: String::new(),
        };
        let mut line = String::new();
        while sandbox.conf.is_empty() || sandbox.control.is_empty() {
            line.clear();
            match sandbox.output.read_line(&mut line) {
                Ok(0) | Err(_) => return Err("the sandbox did not start".to_owned()),
                Ok(_) => {}
            }
            if let Some(file) = line.strip_prefix("configuration ") {
                sandbox.conf = file.trim().to_owned();
            }
            if let Some(url) = line.strip_prefix("console ") {
                sandbox.control = url.trim().trim_end_matches('/').to_owned();
            }
        }
        Ok(sandbox)
    }

    /// The answer of the control interface.
    fn get(&self, path: &str) -> Result<String, String> {
        let fail = |error: std::io::Error| format!("{}{path}: {error}", self.control);
        let host = self.control.trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).map_err(fail)?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n");
        stream.write_all(request.as_bytes()).map_err(fail)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(fail)?;
        match answer.split_once("\r\n\r\n") {
            Some((head, body)) if head.contains(" 200 ") => Ok(body.to_owned()),
            _ => Err(format!("{}{path}: {answer}", self.control)),
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
