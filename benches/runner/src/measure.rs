//! What is measured.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::Connection;
use serde_json::Value;

use crate::gateway::Gateway;
use crate::report::Report;

pub const PARALLEL: [usize; 4] = [1, 4, 16, 64];

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

/// Payments per second, processor time per payment and latency, of all four.
pub fn throughput(gateway: &Gateway, parallel: usize, report: &mut Report) {
    let many = if parallel == 1 { 2_000 } else { 8_000 };
    let memory = gateway.conf(":memory:", parallel);
    let disk = gateway.conf("throughput.journal", parallel);
    let runs = [
        ("good", "peer", "good", &memory, many),
        ("manual", "peer", "manual", &memory, many / 8),
        ("memory", "client", "pay", &memory, many),
        ("disk", "client", "pay", &disk, many),
    ];
    for (name, program, mode, conf, payments) in runs {
        let conf = conf.display().to_string();
        let arguments = [mode, &conf, &parallel.to_string(), &payments.to_string()];
        let result = gateway.run(program, &arguments);
        let per_second = number(&result["payments"]) / number(&result["seconds"]);
        report.add(format!("{name} {parallel} rate"), per_second);
        report.add(format!("{name} {parallel} cpu"), number(&result["cpu_us"]));
        report.add(
            format!("{name} {parallel} latency"),
            number(&result["latency_us"][0]),
        );
        if program == "client" {
            report.add(
                format!("{name} {parallel} call"),
                number(&result["call_us"][0]),
            );
            report.add(
                format!("{name} {parallel} call p99"),
                number(&result["call_us"][1]),
            );
        }
    }
}

/// One payment at a time, and what the network, the gateway and the disk alone take. The disk's
/// part is measured together with the round trip: while it writes, everything else cools down.
pub fn latency(gateway: &Gateway, report: &mut Report) {
    let memory = gateway.conf(":memory:", 1).display().to_string();
    let disk = gateway.conf("latency.journal", 1).display().to_string();
    let bare = gateway.run("peer", &["bare", &memory, "1000"]);
    report.add("bare latency", number(&bare["latency_us"][0]));
    let page = gateway.folder.join("page").display().to_string();
    let synced = gateway.run("peer", &["synced", &memory, "1000", &page]);
    report.add("synced latency", number(&synced["latency_us"][0]));
    for (name, conf) in [("memory", &memory), ("disk", &disk)] {
        let result = gateway.run("client", &["pay", conf, "1", "1000"]);
        report.add(format!("{name} latency"), number(&result["latency_us"][0]));
    }
}

/// From nothing to running, and the first payment with and without a warm connection.
pub fn start(gateway: &Gateway, report: &mut Report) {
    for (name, pause) in [("warm", "1500"), ("cold", "0")] {
        let conf = gateway.conf(&format!("{name}.journal"), 4);
        let conf = conf.display().to_string();
        let result = gateway.run("client", &["start", &conf, pause]);
        report.add("init", number(&result["init_us"]));
        report.add(format!("first payment {name}"), number(&result["first_us"]));
        report.add("idle memory", number(&result["rss_kib"]));
    }
}

/// A refund's signature and a notification's verification, beside OpenSSL.
pub fn crypto(gateway: &Gateway, report: &mut Report) {
    let conf = gateway.conf(":memory:", 1).display().to_string();
    let ours = gateway.run("pure", &[&conf, "100"]);
    let theirs = gateway.run("peer", &["crypto", &conf, "100"]);
    for what in ["pss_us", "verify_us"] {
        report.add(format!("ours {what}"), number(&ours[what][0]));
        report.add(format!("OpenSSL {what}"), number(&theirs[what][0]));
    }
}

/// What is resident while customers take a long time.
pub fn memory(gateway: &Gateway, report: &mut Report) {
    let mut resident = Vec::new();
    for orders in [1_000, 10_000, 100_000] {
        let conf = gateway.conf(&format!("wait-{orders}.journal"), 8);
        let conf = conf.display().to_string();
        let result = gateway.run("client", &["wait", &conf, &orders.to_string()]);
        report.add("init memory", number(&result["idle_kib"]));
        report.add(format!("memory {orders}"), number(&result["waiting_kib"]));
        resident.push((f64::from(orders), number(&result["waiting_kib"])));
    }
    // What the threads, the connections and SQLite take is the same for all.
    if let [(few, with_few), .., (many, with_many)] = resident[..] {
        report.add("KiB per order", (with_many - with_few) / (many - few));
    }
}

/// Enough to meet every phase of the polls.
const APPROVALS: usize = 307;
/// In which customers make up their minds. Accepted is not yet sent.
const APPROVAL_TIME: (Duration, Duration) = (Duration::from_millis(300), Duration::from_secs(45));

/// From the customer's approval to the register knowing it.
pub fn approval(gateway: &Gateway, report: &mut Report) {
    let conf = gateway.conf(":memory:", 8).display().to_string();
    for (name, program) in [("adaptive", "client"), ("every 6 s", "peer")] {
        let mut process = gateway
            .command(program)
            .args(["approve", &conf, &APPROVALS.to_string(), &gateway.prefix()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let control = &gateway.control;
        std::thread::scope(|scope| {
            let mut customers = HashMap::new();
            for _ in 0..2 * APPROVALS {
                let line = lines.next().expect("news of every order").unwrap();
                let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
                let number = words[1].clone();
                if words[0] == "accepted" {
                    // Spread evenly over the time, in step with no rhythm of polls.
                    let share = (customers.len() as f64 + 0.5) / APPROVALS as f64;
                    let (least, most) = APPROVAL_TIME;
                    let time = least + (most - least).mul_f64(share);
                    let customer = scope.spawn(move || approve(control, &words[1], time));
                    customers.insert(number, Some(customer));
                } else {
                    let known: f64 = words[2].parse().unwrap();
                    let customer = customers.get_mut(&number).unwrap().take().unwrap();
                    report.add(format!("approval {name}"), known - customer.join().unwrap());
                }
            }
        });
        drop(process.stdin.take());
        assert!(process.wait().unwrap().success());
    }
}

/// A customer who approves after a time; says when that was, in ms since 1970.
fn approve(control: &str, number: &str, after: Duration) -> f64 {
    std::thread::sleep(after);
    let url = format!("{control}/sandbox/orders/{number}/pay");
    ureq::post(url).send_empty().unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_millis() as f64
}

/// Journals with many finished orders: opening, accepting, asking.
pub fn journals(gateway: &Gateway, rounds: usize, report: &mut Report) {
    let small = gateway.conf("old.journal", 1).display().to_string();
    let first = gateway.run("client", &["pay", &small, "1", "9"]);
    assert_eq!(first["payments"], 9);
    let confs: Vec<(usize, String)> = [10, 10_000, 1_000_000]
        .into_iter()
        .map(|orders| {
            let name = format!("old-{orders}.journal");
            fill(gateway, &name, orders);
            (orders, gateway.conf(&name, 1).display().to_string())
        })
        .collect();
    let old = format!("{}old0000005", gateway.order_prefix);
    for _ in 0..rounds {
        for (orders, conf) in &confs {
            let result = gateway.run("client", &["start", conf, "0"]);
            report.add(format!("journal {orders} init"), number(&result["init_us"]));
            let result = gateway.run("client", &["query", conf, &old, "2000"]);
            report.add(
                format!("journal {orders} accept"),
                number(&result["call_us"][0]),
            );
            report.add(
                format!("journal {orders} query"),
                number(&result["query_us"][0]),
            );
        }
    }
}

/// A copy of the small journal in which its orders come again and again, under other numbers.
fn fill(gateway: &Gateway, name: &str, orders: usize) {
    let path = gateway.folder.join(name);
    fs::copy(gateway.folder.join("old.journal"), &path).unwrap();
    let db = Connection::open(&path).unwrap();
    let columns: Vec<String> = db
        .prepare("SELECT name FROM pragma_table_info('orders') WHERE name <> 'out_trade_no'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let columns = columns.join(", ");
    let prefix = &gateway.order_prefix;
    db.execute_batch(&format!(
        "PRAGMA locking_mode = EXCLUSIVE;
         PRAGMA synchronous = OFF;
         UPDATE orders SET reported = 1;
         WITH RECURSIVE number(n) AS
             (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < {orders} - 10)
         INSERT INTO orders (out_trade_no, {columns})
             SELECT printf('{prefix}old%07d', n), {columns} FROM number
             JOIN (SELECT * FROM orders LIMIT 1) WHERE n <= {orders} - 10;
         UPDATE orders SET out_trade_no = '{prefix}old0000005'
             WHERE rowid = 5 AND {orders} = 10;
         PRAGMA wal_checkpoint(TRUNCATE);"
    ))
    .unwrap();
    let count: i64 = db
        .query_row("SELECT count(*) FROM orders", [], |row| row.get(0))
        .unwrap();
    assert_eq!(usize::try_from(count), Ok(orders));
}

/// Bytes of the libraries.
pub fn sizes(build: &Path, report: &mut Report) {
    for name in ["libcloudpay.so.1", "cloudpay32.dll", "cloudpay64.dll"] {
        if let Ok(file) = fs::metadata(build.join(name)) {
            report.add(format!("size {name}"), file.len() as f64);
        }
    }
}
