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
/// Longer than any call may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// What the till was told about one order.
#[derive(Default)]
pub struct Told {
    pub scenario: &'static str,
    pub fee: u64,
    /// `micro_pay` or `scan_code_pay` returned 0.
    pub accepted: bool,
    /// It returned -1, and no earlier try of it had been cut short by a kill.
    pub refused: bool,
    /// Codes of queries and waits, in order.
    pub verdicts: Vec<i32>,
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
    next_sale: AtomicUsize,
    /// The process, and how many there were before it.
    process: Mutex<(usize, Arc<Register>)>,
    restarted: Condvar,
}

impl Till {
    pub fn open(index: usize, seed: u64, conf: Value, program: &Path, disk: &Path) -> Self {
        let journal = conf["common_conf"]["journal_path"].as_str().unwrap().into();
        let register = Arc::new(Register::spawn(&mut Command::new(program)));
        register.init(&conf);
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
            next_sale: AtomicUsize::new(0),
            process: Mutex::new((0, register)),
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
                        self.sell(&Sale::plan(self.seed, self.index, index, prefix, epay123));
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
                        self.sell(&Sale::plan(self.seed, self.index, index, prefix, epay123));
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

    fn sell(&self, sale: &Sale) {
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
        let asked = json!({"out_trade_no": number, "until": "code_ready"});
        let Some(reply) = self.wait(&asked, Duration::from_secs(6)) else {
            return;
        };
        self.hear(number, &reply);
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
        self.note(number, |told| told.verdicts.push(reply.code));
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

    fn wait(&self, request: &Value, patience: Duration) -> Option<Reply> {
        let text = request.to_string();
        let ms = i64::try_from(patience.as_millis()).unwrap();
        self.on_process(|register| register.begin("wait_order", Some(text.as_bytes()), 16_384, ms))
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
        let mut process = self.process.lock().unwrap();
        process.1.kill();
        self.kills.fetch_add(1, Ordering::Relaxed);
        let mut dice = Dice::new(self.seed, ((self.index as u64) << 32 | at as u64) ^ 0xd15c);
        let mut command = Command::new(&self.program);
        if dice.chance(25) {
            self.bad_disks.fetch_add(1, Ordering::Relaxed);
            command
                .env("LD_PRELOAD", &self.disk)
                .env("CHAOS_DISK", format!("{} {DISK_PER_MILLE}", dice.roll()));
        }
        let mut register = Register::spawn(&mut command);
        if register.call("init", &self.conf).code != 0 {
            // The disk failed while the journal was opened: refused, as it must be.
            register.kill();
            register = Register::spawn(&mut Command::new(&self.program));
            register.init(&self.conf);
        }
        *process = (process.0 + 1, Arc::new(register));
        self.restarted.notify_all();
    }

    /// The last restart, on a good disk.
    pub fn restart(&self) {
        let mut process = self.process.lock().unwrap();
        process.1.kill();
        let register = Register::spawn(&mut Command::new(&self.program));
        register.init(&self.conf);
        *process = (process.0 + 1, Arc::new(register));
        self.restarted.notify_all();
    }

    pub fn close(&self) {
        self.process.lock().unwrap().1.fini();
    }
}
