//! Registers pay through the sandbox while connections are cut, answers are garbled, domains go
//! down, disks fail and processes are killed. Then everything settles, and every register's
//! journal is compared with the gateway's ledger, order by order.
//!
//!     cargo xtask chaos --seed 1 --payments 2000
//!
//! With `--rivals N` two registers at each gateway pay under the same N order numbers, and nobody
//! may be told of, or undo, what the other one's customer paid (`rivals.rs`).
//!
//! With `--soak MINUTES` nothing is killed: the registers sell at a shop's pace for so long, in
//! milder weather, and what they use is measured: memory, threads, handles, journal.
//!
//! The seed decides what customers do, which faults come, and when processes are killed; how
//! threads interleave is the machine's own.
#![allow(missing_docs, unreachable_pub)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod books;
mod plan;
#[path = "../../tests/suite/register.rs"]
#[allow(dead_code)]
mod register;
mod rivals;
mod soak;
mod till;
mod weather;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cloudpay_sandbox::{Options, Sandbox};
use serde_json::{Value, json};

use crate::books::{Books, RULES};
use crate::till::Till;
use crate::weather::Weather;

const TILLS: usize = 4;
const DOMAINS: usize = 3;
/// A kill for about so many payments.
const PER_KILL: usize = 40;
/// What is still unknown so long after the last restart stays unknown: 65 s in which absence proves
/// nothing, some polls, and three minutes of truthful answers.
const DEADLINE: Duration = Duration::from_secs(260);

struct Arguments {
    seed: u64,
    payments: usize,
    /// Two registers under each of so many numbers instead.
    rivals: Option<usize>,
    /// Sell for so long instead.
    soak: Option<Duration>,
    /// The register program, the disk that fails, and where journals go.
    program: PathBuf,
    disk: PathBuf,
    folder: PathBuf,
}

fn main() -> ExitCode {
    let arguments = arguments();
    println!("seed {}", arguments.seed);
    let _ = std::fs::remove_dir_all(&arguments.folder);
    std::fs::create_dir_all(&arguments.folder).unwrap();
    let good = match arguments.rivals {
        Some(numbers) => rivals::run(&arguments, numbers),
        None => run(&arguments),
    };
    if good {
        return ExitCode::SUCCESS;
    }
    println!(
        "seed {}; the journals are in {}",
        arguments.seed,
        arguments.folder.display()
    );
    ExitCode::FAILURE
}

/// Whether every register's books are right, and nothing grew.
fn run(arguments: &Arguments) -> bool {
    let start = Instant::now();
    let sandbox = gateway(DOMAINS);
    let weather = Weather::new(sandbox.control_url());
    // Three at cloud pay, one of which reverses what times out; one at epay123.
    let tills: Vec<Till> = (0..TILLS)
        .map(|index| {
            let mut conf = configuration(&sandbox, index, index == 3, &arguments.folder);
            conf["common_conf"]["on_timeout"] = json!(if index == 1 { "reverse" } else { "leave" });
            arguments.till(index, conf, false)
        })
        .collect();
    let stop = AtomicBool::new(false);
    let prefix = sandbox.merchant().order_prefix;
    let rough = if arguments.soak.is_some() { 30 } else { 70 };
    let (books, growth) = std::thread::scope(|scope| {
        scope.spawn(|| weather.run(arguments.seed, DOMAINS, rough, &stop));
        let growth = match arguments.soak {
            Some(time) => soak::run(&tills, time, prefix),
            None => {
                sell(&tills, arguments.payments, prefix);
                Vec::new()
            }
        };
        println!(
            "sold in {} s; now everything settles",
            start.elapsed().as_secs()
        );
        weather.calm_down(DOMAINS);
        settle(&tills);
        stop.store(true, Ordering::Relaxed);
        let ledger = weather.get("ledger");
        let mut books = Books::default();
        for till in &tills {
            books.compare(till, &ledger, &weather);
        }
        (books, growth)
    });
    report(&books, &tills, start.elapsed());
    for line in &growth {
        println!("grows: {line}");
    }
    books.breaches.is_empty() && growth.is_empty()
}

/// A gateway with so many domains, none of whose delays is long.
fn gateway(domains: usize) -> Sandbox {
    Sandbox::start(Options {
        extra_listeners: domains - 1,
        slow_ms: 3_000,
        late_ms: 4_000,
        late_fail_ms: 3_000,
        refund_ms: 500,
        ..Options::default()
    })
    .unwrap()
}

impl Arguments {
    fn till(&self, index: usize, conf: Value, listens: bool) -> Till {
        Till::open(index, self.seed, conf, &self.program, &self.disk, listens)
    }
}

fn arguments() -> Arguments {
    let mut words = std::env::args().skip(1);
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let mut seed = u64::from(clock.unwrap().subsec_nanos());
    let (mut payments, mut build, mut soak) = (1_000, PathBuf::from("."), None);
    let mut rivals = None;
    while let Some(word) = words.next() {
        let value = words
            .next()
            .unwrap_or_else(|| panic!("{word}: a value is missing"));
        match word.as_str() {
            "--seed" => seed = value.parse().expect("--seed: a whole number"),
            "--payments" => payments = value.parse().expect("--payments: a whole number"),
            "--rivals" => rivals = Some(value.parse().expect("--rivals: a whole number")),
            "--soak" => {
                let minutes: u64 = value.parse().expect("--soak: minutes");
                soak = Some(Duration::from_secs(60 * minutes));
            }
            "--build" => build = value.into(),
            _ => panic!(
                "{word}: --seed S, --payments N, --rivals N, --soak MINUTES or --build FOLDER"
            ),
        }
    }
    Arguments {
        seed,
        payments,
        rivals,
        soak,
        program: build.join("register"),
        disk: build.join("disk.so"),
        folder: build.join(format!("seed-{seed}")),
    }
}

/// A till of its own at one of the gateways, with short times.
fn configuration(sandbox: &Sandbox, index: usize, epay123: bool, folder: &Path) -> Value {
    let file = match epay123 {
        true => sandbox.epay123_conf_file(),
        false => sandbox.conf_file(),
    };
    let mut conf: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let common = &mut conf["common_conf"];
    common["domains"] = json!(sandbox.urls());
    common["journal_path"] = json!(folder.join(format!("till-{index}.journal")));
    common["log_path"] = json!(folder.join(format!("till-{index}.log")));
    common["log_level"] = json!("debug");
    common["connect_timeout_ms"] = json!(500);
    common["request_timeout_ms"] = json!(2_000);
    common["submit_window_ms"] = json!(3_000);
    common["reverse_after_ms"] = json!(1_500);
    common["fini_timeout_ms"] = json!(3_000);
    common["worker_threads"] = json!(8);
    for kind in ["micro_pay", "scan_code_pay"] {
        common[format!("{kind}_query_order_count")] = json!(5);
        common[format!("{kind}_query_order_interval")] = json!(1);
    }
    conf["trade_conf"]["device_id"] = json!(format!("till{index}"));
    conf
}

fn sell(tills: &[Till], payments: usize, prefix: &str) {
    std::thread::scope(|scope| {
        for till in tills {
            scope.spawn(|| till.run(payments / TILLS, PER_KILL, prefix));
        }
    });
}

/// Restarts every till, asks for what is open, takes back what stays open, lets late charges land,
/// and restarts once more: an order that was charged late is found by the watch alone.
fn settle(tills: &[Till]) {
    std::thread::scope(|scope| {
        for till in tills {
            scope.spawn(|| {
                till.restart();
                let deadline = Instant::now() + DEADLINE;
                let mut round = 0;
                loop {
                    let open = open_orders(till);
                    if open.is_empty() || Instant::now() > deadline {
                        break;
                    }
                    side_by_side(open, 16, |(number, trade_type)| {
                        if let Some(-2 | -5) = till.query(number).map(|reply| reply.code)
                            && round > 3
                        {
                            till.cancel(number, *trade_type);
                        }
                    });
                    round += 1;
                    std::thread::sleep(Duration::from_secs(1));
                }
                let refunds: Vec<(String, String)> = {
                    let told = till.told.lock().unwrap();
                    let all = told.iter().flat_map(|(number, told)| {
                        told.refunds.keys().map(|no| (number.clone(), no.clone()))
                    });
                    all.collect()
                };
                side_by_side(refunds, 16, |(number, refund_no)| {
                    till.query_refund(number, refund_no);
                });
                // Charges land as late as 4 s after a reverse.
                std::thread::sleep(Duration::from_secs(5));
                till.restart();
                std::thread::sleep(Duration::from_secs(8));
                till.close();
            });
        }
    });
}

/// Does something with each thing, so many at a time.
fn side_by_side<T: Send + Sync>(things: Vec<T>, at_once: usize, work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(thing) = things.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(thing);
                }
            });
        }
    });
}

/// What the till itself lists as open, with its trade type.
fn open_orders(till: &Till) -> Vec<(String, u8)> {
    let orders = till.pending();
    orders["orders"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|order| order["late"] == false)
        .filter(|order| {
            ["paying", "unknown", "code_ready"].contains(&order["state"].as_str().unwrap())
        })
        .map(|order| {
            let number = order["out_trade_no"].as_str().unwrap().to_owned();
            (number, order["trade_type"].as_u64().unwrap() as u8)
        })
        .collect()
}

fn report(books: &Books, tills: &[Till], time: Duration) {
    let kills: usize = tills
        .iter()
        .map(|till| till.kills.load(Ordering::Relaxed))
        .sum();
    let disks: usize = tills
        .iter()
        .map(|till| till.bad_disks.load(Ordering::Relaxed))
        .sum();
    let rows = [
        ("payments", books.orders),
        ("  paid in the end", books.paid),
        ("  not paid in the end", books.not_paid),
        ("  unknown at the deadline", books.unknown),
        ("  paid late, and surfaced", books.late),
        ("refunds asked for", books.refunds),
        ("reverses sent", books.reverses),
        ("kill -9", kills),
        ("processes with a bad disk", disks),
    ];
    println!();
    for (name, count) in rows {
        println!("{name:<32}{count:>8}");
    }
    println!("{:<32}{:>8} s\n", "time", time.as_secs());
    for rule in RULES {
        let count = books
            .breaches
            .iter()
            .filter(|breach| breach.0 == rule)
            .count();
        println!("{rule:<32}{count:>8}");
    }
    for (rule, number, facts) in &books.breaches {
        println!("\n{rule}: {number}\n  {facts}");
    }
}
