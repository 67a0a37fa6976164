//! One cash register: cashiers who sell, a process that is killed, a disk that fails.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::plan::{Dice, Sale, Then};
use crate::register::{Register, Reply};

/// Customers who are served at the same time. More than any shop has at one register.
const CASHIERS: usize = 12;
/// One of so many operations on the journal fails, in a process that has a bad disk.
const DISK_PER_MILLE: u64 = 30;
/// How long a cashier waits for a result before the next customer is served.
const RESULT: Duration = Duration::from_secs(6);
/// Longer than any call may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// What the till was told about one order.
#[derive(Default)]
pub struct Told {
    pub scenario: &'static str,
    pub trade_type: u8,
    pub fee: u64,
    /// `micro_pay` or `scan_code_pay` returned 0.
    pub accepted: bool,
    /// It returned -1, and no earlier try of it had been cut short by a kill.
    pub refused: bool,
    /// Codes of queries and waits, in order.
    pub verdicts: Vec<i32>,
    /// Codes that the callback brought, where the till listens.
    pub news: Vec<i32>,
    /// The QR code that was told, whoever told it.
    pub code_url: Option<String>,
    /// A cancel returned 0.
    pub cancelled: bool,
    /// Refund numbers that were asked for, with their amounts.
    pub refunds: BTreeMap<String, u64>,
}

pub struct Till {
    pub index: usize,
    pub conf: Value,
    pub journal: PathBuf,
    pub told: Mutex<BTreeMap<String, Told>>,
    pub kills: AtomicUsize,
    pub bad_disks: AtomicUsize,
    seed: u64,
    program: PathBuf,
    disk: PathBuf,
    /// Every process gets a callback.
    listens: bool,
    next_sale: AtomicUsize,
    /// The process, and how many there were before it.
    process: Mutex<(usize, Arc<Register>)>,
    restarted: Condvar,
}

impl Till {
    pub fn open(
        index: usize,
        seed: u64,
        conf: Value,
        program: &Path,
        disk: &Path,
        listens: bool,
    ) -> Self {
        let journal = conf["common_conf"]["journal_path"].as_str().unwrap().into();
        let register = start(&mut Command::new(program), &conf, listens).expect("init");
        Self {
            index,
            conf,
            journal,
            told: Mutex::default(),
            kills: AtomicUsize::new(0),
            bad_disks: AtomicUsize::new(0),
            seed,
            program: program.to_owned(),
            disk: disk.to_owned(),
            listens,
            next_sale: AtomicUsize::new(0),
            process: Mutex::new((0, Arc::new(register))),
            restarted: Condvar::new(),
        }
    }

    /// Sells `sales` times, with a kill after every `per_kill` of them or so.
    pub fn run(&self, sales: usize, per_kill: usize, prefix: &str) {
        let epay123 = self.conf["common_conf"]["gateway"] == "epay123";
        let mut dice = Dice::new(self.seed, 0x6b69_6c6c ^ self.index as u64);
        let kill_at: Vec<usize> = (1..=sales / per_kill)
            .map(|kill| kill * per_kill - dice.below(per_kill as u64) as usize)
            .collect();
        std::thread::scope(|scope| {
            for _ in 0..CASHIERS {
                scope.spawn(|| {
                    loop {
                        let index = self.next_sale.fetch_add(1, Ordering::Relaxed);
                        if index >= sales {
                            return;
                        }
                        let sale = Sale::plan(self.seed, self.index, index, prefix, epay123);
                        self.sell(&sale, RESULT);
                        if kill_at.contains(&index) {
                            self.kill(index);
                        }
                    }
                });
            }
        });
    }

    /// Sells at a shop's pace, `pause` between two customers of a cashier, until the time is over.
    pub fn run_until(&self, end: Instant, pause: Duration, prefix: &str) {
        let epay123 = self.conf["common_conf"]["gateway"] == "epay123";
        std::thread::scope(|scope| {
            for _ in 0..CASHIERS {
                scope.spawn(|| {
                    while Instant::now() < end {
                        let index = self.next_sale.fetch_add(1, Ordering::Relaxed);
                        let sale = Sale::plan(self.seed, self.index, index, prefix, epay123);
                        self.sell(&sale, RESULT);
                        std::thread::sleep(pause);
                    }
                });
            }
        });
    }

    /// The register's process.
    pub fn pid(&self) -> u32 {
        self.process.lock().unwrap().1.pid()
    }

    /// Serves one customer, and waits so long for the result.
    pub fn sell(&self, sale: &Sale, patience: Duration) {
        let number = &sale.number;
        let function = match sale.trade_type {
            1 => "micro_pay",
            _ => "scan_code_pay",
        };
        let mut cut = false;
        let reply = loop {
            let call = self.call(function, &sale.request);
            if let Some(reply) = call {
                break reply;
            }
            // The process was killed before it answered: the cashier tries the same again.
            cut = true;
        };
        self.note(number, |told| {
            told.scenario = sale.scenario;
            told.trade_type = sale.trade_type;
            told.fee = sale.fee;
            told.accepted = reply.code == 0;
            told.refused = reply.code != 0 && !cut;
        });
        if reply.code != 0 {
            return;
        }
        if matches!(sale.then, Then::Cancel) {
            self.cancel(number, sale.trade_type);
            return;
        }
        let Some(reply) = self.wait(number, "code_ready", patience) else {
            return;
        };
        if let Then::Refund(parts) = &sale.then
            && reply.code == 0
        {
            for (part, fee) in parts.iter().enumerate() {
                self.refund(sale, part, *fee);
            }
        }
    }

    pub fn cancel(&self, number: &str, trade_type: u8) {
        let request = json!({"out_trade_no": number, "trade_type": trade_type});
        if let Some(reply) = self.call("cancel_order", &request) {
            self.note(number, |told| told.cancelled |= reply.code == 0);
        }
    }

    fn refund(&self, sale: &Sale, part: usize, fee: u64) {
        let refund_no = format!("{}R{part}", sale.number);
        self.note(&sale.number, |told| {
            told.refunds.insert(refund_no.clone(), fee);
        });
        let request = json!({"out_trade_no": sale.number, "out_refund_no": refund_no,
            "total_fee": sale.fee, "refund_fee": fee});
        for _ in 0..4 {
            match self.call("refund", &request) {
                // Unknown, or killed: the same again is safe.
                None => {}
                Some(reply) if reply.code == -2 => {}
                Some(_) => return,
            }
        }
    }

    /// What the register lists after a start.
    pub fn pending(&self) -> Value {
        let list = self.on_process(|register| register.begin("pending_orders", None, 1 << 24, 0));
        list.expect("pending_orders").expect(0).json()
    }

    /// Asks for an order's state and remembers what was said.
    pub fn query(&self, number: &str) -> Option<Reply> {
        let reply = self.call("query_order", &json!({"out_trade_no": number}))?;
        self.hear(number, &reply);
        Some(reply)
    }

    /// Asks for a refund's state; the journal remembers what was said.
    pub fn query_refund(&self, number: &str, refund_no: &str) {
        let request = json!({"out_trade_no": number, "out_refund_no": refund_no});
        self.call("query_refund", &request);
    }

    fn hear(&self, number: &str, reply: &Reply) {
        self.note(number, |told| {
            told.verdicts.push(reply.code);
            told.see(&reply.out);
        });
    }

    /// What the callbacks of a process that has ended brought.
    fn hear_news(&self, register: &Register) {
        for news in register.news().iter().filter(|news| news.what == "*") {
            self.note(&news.number, |told| {
                told.news.push(news.code);
                told.see(news.text.as_bytes());
            });
        }
    }

    fn note(&self, number: &str, change: impl FnOnce(&mut Told)) {
        let mut told = self.told.lock().unwrap();
        change(told.entry(number.to_owned()).or_default());
    }

    /// A call; `None` when the process was killed before it answered. Then the next one is there.
    fn call(&self, function: &str, request: &Value) -> Option<Reply> {
        let text = request.to_string();
        self.on_process(|register| register.begin(function, Some(text.as_bytes()), 16_384, 0))
    }

    /// Waits until an order is `final` or its `code_ready`, and remembers what was said.
    pub fn wait(&self, number: &str, until: &str, patience: Duration) -> Option<Reply> {
        let text = json!({"out_trade_no": number, "until": until}).to_string();
        let ms = i64::try_from(patience.as_millis()).unwrap();
        let reply = self.on_process(|register| {
            register.begin("wait_order", Some(text.as_bytes()), 16_384, ms)
        })?;
        self.hear(number, &reply);
        Some(reply)
    }

    fn on_process(
        &self,
        begin: impl FnOnce(&Register) -> crate::register::Pending,
    ) -> Option<Reply> {
        let (life, register) = self.process.lock().unwrap().clone();
        let reply = begin(&register).within(PATIENCE);
        if reply.is_none() {
            let mut process = self.process.lock().unwrap();
            while process.0 == life {
                let (next, waited) = self.restarted.wait_timeout(process, PATIENCE).unwrap();
                assert!(
                    !waited.timed_out(),
                    "a call hangs, or the register died by itself"
                );
                process = next;
            }
        }
        reply
    }

    /// `kill -9`, and the next process; now and then one with a bad disk.
    fn kill(&self, at: usize) {
        self.kills.fetch_add(1, Ordering::Relaxed);
        let mut dice = Dice::new(self.seed, ((self.index as u64) << 32 | at as u64) ^ 0xd15c);
        let mut command = Command::new(&self.program);
        if dice.chance(25) {
            self.bad_disks.fetch_add(1, Ordering::Relaxed);
            command
                .env("LD_PRELOAD", &self.disk)
                .env("CHAOS_DISK", format!("{} {DISK_PER_MILLE}", dice.roll()));
        }
        self.replace(|| {
            // Refused where the disk failed while the journal was opened, as it must be.
            start(&mut command, &self.conf, self.listens).unwrap_or_else(|_| self.start_well())
        });
    }

    /// `kill -9`, and the next process, on a good disk.
    pub fn restart(&self) {
        self.replace(|| self.start_well());
    }

    fn start_well(&self) -> Register {
        start(&mut Command::new(&self.program), &self.conf, self.listens).expect("init")
    }

    fn replace(&self, next: impl FnOnce() -> Register) {
        let mut process = self.process.lock().unwrap();
        process.1.kill();
        self.hear_news(&process.1);
        *process = (process.0 + 1, Arc::new(next()));
        self.restarted.notify_all();
    }

    /// Ends the last process, in order.
    pub fn close(&self) {
        let process = self.process.lock().unwrap();
        process.1.fini();
        process.1.kill();
        self.hear_news(&process.1);
    }
}

impl Told {
    /// The last code that was asked for.
    pub fn verdict(&self) -> Option<i32> {
        self.verdicts.last().copied()
    }

    fn see(&mut self, order: &[u8]) {
        let order: Value = serde_json::from_slice(order).unwrap_or_default();
        if let Some(url) = order["code_url"].as_str().filter(|url| !url.is_empty()) {
            self.code_url = Some(url.to_owned());
        }
    }
}

/// A process that is ready to sell; what init said when it isn't.
fn start(command: &mut Command, conf: &Value, listens: bool) -> Result<Register, Reply> {
    let register = Register::spawn(command);
    let reply = register.call("init", conf);
    if reply.code != 0 {
        return Err(reply);
    }
    if listens {
        register.raw("set_callback", None, -1).expect(0);
    }
    Ok(register)
}
