//! Two registers at each gateway pay under the same order numbers: same amount, customers of their
//! own, nearly the same time. Answers are cut, cashiers cancel, processes are killed. Whatever a
//! register missed of its own answer, it may never take the other one's payment for its own, nor
//! undo it.
//!
//! Each register is known by its address and its domain: epay123 names no terminal.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::plan::{Dice, Sale, Then, pick};
use crate::till::{Till, Told};
use crate::weather::Weather;
use crate::{Arguments, configuration, gateway, side_by_side};

/// Numbers that the rivals of one gateway pay under at the same time.
const COUNTERS: usize = 48;
/// A kill of one of the two for about so many numbers.
const PER_KILL: u64 = 100;
/// What takes longer is left for the end, as cashiers leave it for the closing of the day.
const PATIENCE: Duration = Duration::from_millis(2_500);
/// What is still unknown after so long a truthful time stays unknown.
const DEADLINE: Duration = Duration::from_secs(180);
/// In one of so many rounds of questions a cashier takes back what is still open: a cancel waits for
/// its proof much longer than a question does.
const CANCEL_EVERY: usize = 4;

/// Most customers just pay; what their register hears of it is the weather's.
const SCENARIOS: [(&str, u64); 4] = [("000", 65), ("001", 18), ("002", 12), ("003", 5)];

const PAID: &str = "told paid, the customer was another's";
const NOT_PAID: &str = "told paid, nobody was charged";
const UNDONE: &str = "another's order reversed or closed";
const TWICE: &str = "charged twice";
const FAILED: &str = "told failed, own customer charged";
const GONE: &str = "told undone, own customer charged";
const REENTRY: &str = "told re-entry, own customer charged";
const CODE: &str = "another's QR code told";
const RULES: [&str; 8] = [PAID, NOT_PAID, UNDONE, TWICE, FAILED, GONE, REENTRY, CODE];

/// Two tills that share their order numbers.
struct Pair {
    tills: [Till; 2],
    /// Apart from the other pair's: both gateways are on one ledger.
    first: usize,
    epay123: bool,
}

/// One customer at one of the two tills.
struct Visit {
    sale: Sale,
    /// How long after the number was given out.
    after: Duration,
    /// Shown a code, this customer pays.
    scans: bool,
}

/// Whether nobody was told of what another's customer paid, and nobody undid it.
pub fn run(arguments: &Arguments, numbers: usize) -> bool {
    let start = Instant::now();
    let sandbox = gateway(4);
    let weather = Weather::new(sandbox.control_url());
    let pairs = [false, true].map(|epay123| {
        let first = if epay123 { 2 } else { 0 };
        let tills = [first, first + 1].map(|index| {
            let mut conf = configuration(&sandbox, index, epay123, &arguments.folder);
            rival(&mut conf, index, &sandbox.urls()[index]);
            arguments.till(index, conf, true)
        });
        Pair {
            tills,
            first: usize::from(epay123),
            epay123,
        }
    });
    weather.set(&json!({
        "seed": arguments.seed, "scope": "all", "cut_after": 0.15, "cut_before": 0.05,
        "half_body": 0.04, "busy_3": 0.04, "status_502": 0.02, "delay_ms": [0, 30],
    }));
    let prefix = sandbox.merchant().order_prefix;
    std::thread::scope(|scope| {
        for pair in &pairs {
            scope.spawn(|| pair.pay(arguments.seed, numbers, prefix, &weather));
        }
    });
    println!(
        "paid in {} s; now everything settles",
        start.elapsed().as_secs()
    );
    weather.set(&json!({}));
    settle(pairs.iter().flat_map(|pair| &pair.tills));
    let books = Books::compare(&pairs, &weather.get("ledger"));
    books.report(&pairs, start.elapsed());
    books.breaches.is_empty()
}

/// What tells this register from its rival, and one of each two reverses what times out.
fn rival(conf: &mut Value, index: usize, url: &str) {
    conf["common_conf"]["domains"] = json!([url]);
    conf["common_conf"]["log_level"] = json!("info");
    conf["common_conf"]["on_timeout"] = json!(if index % 2 == 1 { "reverse" } else { "leave" });
    conf["trade_conf"]["machine_no"] = json!(format!("32-62-A8-14-B3-C{index}"));
    conf["trade_conf"]["spbill_create_ip"] = json!(format!("10.0.0.{}", index + 1));
}

impl Pair {
    /// Pays under every second of all numbers; the other pair has the rest.
    fn pay(&self, seed: u64, numbers: usize, prefix: &str, weather: &Weather) {
        let next = AtomicUsize::new(self.first);
        std::thread::scope(|scope| {
            for _ in 0..COUNTERS {
                scope.spawn(|| {
                    loop {
                        let index = next.fetch_add(2, Ordering::Relaxed);
                        if index >= numbers {
                            return;
                        }
                        self.contest(seed, index, prefix, weather);
                    }
                });
            }
        });
    }

    fn contest(&self, seed: u64, index: usize, prefix: &str, weather: &Weather) {
        let mut dice = Dice::new(seed, index as u64);
        let visits = visits(&mut dice, index, prefix, self.epay123);
        let [one, other] = &self.tills;
        std::thread::scope(|scope| {
            scope.spawn(|| serve(other, &visits[1], weather));
            serve(one, &visits[0], weather);
        });
        if dice.below(PER_KILL) == 0 {
            let till = &self.tills[dice.below(2) as usize];
            till.kills.fetch_add(1, Ordering::Relaxed);
            till.restart();
        }
    }
}

fn serve(till: &Till, visit: &Visit, weather: &Weather) {
    std::thread::sleep(visit.after);
    till.sell(&visit.sale, PATIENCE);
    if !visit.scans {
        return;
    }
    let number = &visit.sale.number;
    let code = till.told.lock().unwrap()[number].code_url.clone();
    if let Some(code) = code {
        weather.scan(&code);
        till.wait(number, "final", PATIENCE);
    }
}

/// Who pays under the number with this index: what both requests have in common, and what not.
fn visits(dice: &mut Dice, index: usize, prefix: &str, epay123: bool) -> [Visit; 2] {
    let number = format!("{prefix}v{index:08}");
    let fee = 1 + dice.below(100_000);
    let platform = 1 + dice.below(2);
    let attach = dice.chance(25) && (epay123 || platform == 1);
    // Both scan codes, both show one, or one does this and the other that.
    let shown = match dice.below(20) {
        0..=12 => [false, false],
        13..=16 => [true, true],
        17 | 18 => [true, false],
        _ => [false, true],
    };
    let late = if dice.chance(30) { 1_500 } else { 20 };
    let second = dice.below(2) as usize;
    let after = Duration::from_millis(dice.below(late));
    [0, 1].map(|side| {
        let platform = if side == 1 && dice.chance(10) {
            3 - platform
        } else {
            platform
        };
        let mut request = json!({"out_trade_no": number, "total_fee": fee, "body": "茶"});
        if attach {
            request["attach"] = json!("七号桌");
        }
        let scenario = pick(&SCENARIOS, dice);
        if shown[side] {
            request["pay_platform"] = json!(platform);
        } else {
            let start = if platform == 1 { 13 } else { 28 };
            request["author_code"] = json!(format!("{start}{index:012}{side}{scenario}"));
        }
        let cancels = dice.chance(12);
        Visit {
            sale: Sale {
                number: number.clone(),
                fee,
                scenario,
                trade_type: if shown[side] { 2 } else { 1 },
                request,
                then: if cancels { Then::Cancel } else { Then::Nothing },
            },
            after: if side == second {
                after
            } else {
                Duration::ZERO
            },
            scans: shown[side] && !cancels && dice.chance(70),
        }
    })
}

/// Asks for everything that has no end, and takes back what stays open, until all has an end.
fn settle<'a>(tills: impl Iterator<Item = &'a Till>) {
    std::thread::scope(|scope| {
        for till in tills {
            scope.spawn(|| {
                let deadline = Instant::now() + DEADLINE;
                for round in 0.. {
                    let open = open(till);
                    if open.is_empty() || Instant::now() > deadline {
                        break;
                    }
                    side_by_side(open, COUNTERS, |(number, trade_type)| {
                        if Instant::now() > deadline {
                            return;
                        }
                        let code = till.query(number).map(|reply| reply.code);
                        if round % CANCEL_EVERY == 1 && code.is_some_and(|code| !is_final(code)) {
                            till.cancel(number, *trade_type);
                        }
                    });
                    std::thread::sleep(Duration::from_secs(1));
                }
                till.close();
            });
        }
    });
}

fn is_final(code: i32) -> bool {
    matches!(code, 0 | -1 | -4 | -6)
}

fn is_open(told: &Told) -> bool {
    told.accepted && !told.verdict().is_some_and(is_final)
}

/// What was accepted and has no end yet, with its trade type.
fn open(till: &Till) -> Vec<(String, u8)> {
    let told = till.told.lock().unwrap();
    told.iter()
        .filter(|(_, told)| is_open(told))
        .map(|(number, told)| (number.clone(), told.trade_type))
        .collect()
}

/// What was told at the end, by gateway, and how often each rule was broken.
#[derive(Default)]
struct Books {
    /// By pair: what was told last, and how often.
    verdicts: [BTreeMap<String, usize>; 2],
    /// What has no end. No breach: a register that can't tell whose order it is says so.
    open: Vec<(String, String)>,
    /// Rule, order, and the facts.
    breaches: Vec<(&'static str, String, String)>,
}

impl Books {
    fn compare(pairs: &[Pair; 2], ledger: &Value) -> Self {
        let mut books = Self::default();
        for (pair, verdicts) in pairs.iter().zip(&mut books.verdicts) {
            for till in &pair.tills {
                for (number, told) in till.told.lock().unwrap().iter() {
                    let page = &ledger["orders"][number];
                    *verdicts.entry(last_word(told)).or_default() += 1;
                    if is_open(told) {
                        books.open.push((number.clone(), facts(till, told, page)));
                    }
                    for rule in judge(till, told, page) {
                        let breach = (rule, number.clone(), facts(till, told, page));
                        books.breaches.push(breach);
                    }
                }
            }
        }
        for (number, page) in ledger["orders"].as_object().unwrap() {
            if page["charges"].as_u64() > Some(1) {
                books
                    .breaches
                    .push((TWICE, number.clone(), page.to_string()));
            }
        }
        books
    }

    fn report(&self, pairs: &[Pair; 2], time: Duration) {
        for (number, facts) in &self.open {
            println!("no end: {number}\n  {facts}");
        }
        for (rule, number, facts) in &self.breaches {
            println!("{rule}: {number}\n  {facts}");
        }
        for (pair, verdicts) in pairs.iter().zip(&self.verdicts) {
            println!("\n{}", if pair.epay123 { "epay123" } else { "cloud pay" });
            let kills = pair.tills.iter().map(|till| &till.kills);
            let kills: usize = kills.map(|kills| kills.load(Ordering::Relaxed)).sum();
            println!("  {:<38}{:>8}", "kill -9", kills);
            for (verdict, count) in verdicts {
                println!("  {verdict:<38}{count:>8}");
            }
        }
        println!("\n{:<40}{:>8} s\n", "time", time.as_secs());
        for rule in RULES {
            let broken = self.breaches.iter().filter(|breach| breach.0 == rule);
            println!("{rule:<40}{:>8}", broken.count());
        }
    }
}

/// What a till was told last of an order, in words.
fn last_word(told: &Told) -> String {
    let meaning = match told.verdict() {
        _ if !told.accepted => return "not accepted".to_owned(),
        None => return "nothing".to_owned(),
        Some(0) => "paid",
        Some(-1) => "failed",
        Some(-2) => "unknown",
        Some(-3) => "error",
        Some(-4) => "reversed or closed",
        Some(-5) => "QR code ready",
        Some(-6) => "re-entry",
        Some(_) => "something else",
    };
    format!("{:>2} {meaning}", told.verdict().unwrap_or_default())
}

/// The rules that were broken at this till for this order.
fn judge(till: &Till, told: &Told, page: &Value) -> Vec<&'static str> {
    let made = page["listener"].is_u64();
    let own = made && page["listener"] == till.index;
    let charged = own && page["net"].as_i64() > Some(0);
    let said = |code: i32| told.verdicts.contains(&code) || told.news.contains(&code);
    let undone = page["undo_requests"].as_array().is_some_and(|requests| {
        let by_us = |r: &Value| r["listener"] == till.index && r["found"] != "none";
        requests.iter().any(by_us)
    });
    let rules = [
        (PAID, said(0) && made && !own),
        (
            NOT_PAID,
            said(0) && page["charges"].as_u64().unwrap_or(0) == 0,
        ),
        (UNDONE, made && !own && undone),
        (FAILED, charged && said(-1)),
        (GONE, charged && (said(-4) || told.cancelled)),
        (REENTRY, charged && said(-6)),
        (CODE, made && !own && told.code_url.is_some()),
    ];
    let broken = rules.into_iter().filter(|(_, broken)| *broken);
    broken.map(|(rule, _)| rule).collect()
}

fn facts(till: &Till, told: &Told, page: &Value) -> String {
    format!(
        "till {}: verdicts {:?}, callback {:?}, cancelled {}, code {:?}\n  ledger: {} {} of till {} \
         with code {}, {} charges, net {}, undone by {}",
        till.index,
        told.verdicts,
        told.news,
        told.cancelled,
        told.code_url,
        page["kind"],
        page["state"],
        page["listener"],
        page["author_code"],
        page["charges"],
        page["net"],
        page["undo_requests"],
    )
}
