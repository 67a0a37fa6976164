//! What registers use while they sell for a long time without a restart.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::till::Till;

/// Between two customers of a cashier.
const PAUSE: Duration = Duration::from_secs(2);
/// How often a register is measured.
const LOOK: Duration = Duration::from_secs(5);
/// The run in so many equal parts: the first is for warming up, and the last is held against the
/// second.
const PARTS: usize = 6;

/// What one register used, on average over one part of the run.
#[derive(Clone, Copy, Default)]
struct Use {
    memory_kib: usize,
    threads: usize,
    handles: usize,
    journal_kib: usize,
    orders: usize,
}

/// Sells for so long, prints what was used, and says what grew.
pub fn run(tills: &[Till], time: Duration, prefix: &str) -> Vec<String> {
    let end = Instant::now() + time;
    let over = AtomicBool::new(false);
    let uses: Vec<Vec<Use>> = std::thread::scope(|scope| {
        let watches: Vec<_> = tills
            .iter()
            .map(|till| scope.spawn(|| watch(till, time, &over)))
            .collect();
        let sellers: Vec<_> = tills
            .iter()
            .map(|till| scope.spawn(|| till.run_until(end, PAUSE, prefix)))
            .collect();
        for seller in sellers {
            seller.join().unwrap();
        }
        over.store(true, Ordering::Relaxed);
        let uses = watches.into_iter().map(|watch| watch.join().unwrap());
        uses.collect()
    });
    println!("\ntill  part  memory KiB  threads  handles  journal KiB  orders  bytes/order");
    for (till, parts) in uses.iter().enumerate() {
        for (part, used) in parts.iter().enumerate() {
            println!(
                "{till:>4} {:>5} {:>11} {:>8} {:>8} {:>12} {:>7} {:>12}",
                part + 1,
                used.memory_kib,
                used.threads,
                used.handles,
                used.journal_kib,
                used.orders,
                used.per_order()
            );
        }
    }
    uses.iter()
        .enumerate()
        .flat_map(|(till, parts)| growth(till, parts))
        .collect()
}

/// Measures a register until the selling is over; averages by part.
fn watch(till: &Till, time: Duration, over: &AtomicBool) -> Vec<Use> {
    let start = Instant::now();
    let mut parts = vec![Vec::new(); PARTS];
    while !over.load(Ordering::Relaxed) {
        std::thread::sleep(LOOK);
        let part = (start.elapsed().as_millis() * PARTS as u128 / time.as_millis()) as usize;
        parts[part.min(PARTS - 1)].push(measure(till));
    }
    parts.iter().map(|uses| average(uses)).collect()
}

fn measure(till: &Till) -> Use {
    let process = format!("/proc/{}", till.pid());
    let status = fs::read_to_string(format!("{process}/status")).unwrap();
    let number = |key: &str| {
        let line = status.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    Use {
        memory_kib: number("VmRSS:"),
        threads: number("Threads:"),
        handles: fs::read_dir(format!("{process}/fd")).unwrap().count(),
        journal_kib: (fs::metadata(&till.journal).unwrap().len() / 1024) as usize,
        orders: till.told.lock().unwrap().len(),
    }
}

fn average(uses: &[Use]) -> Use {
    let of = |field: fn(&Use) -> usize| uses.iter().map(field).sum::<usize>() / uses.len().max(1);
    Use {
        memory_kib: of(|used| used.memory_kib),
        threads: of(|used| used.threads),
        handles: of(|used| used.handles),
        journal_kib: of(|used| used.journal_kib),
        orders: of(|used| used.orders),
    }
}

impl Use {
    fn per_order(&self) -> usize {
        self.journal_kib * 1024 / self.orders.max(1)
    }
}

/// The last part may use an eighth more than the second, and a little that is the clock's.
fn growth(till: usize, parts: &[Use]) -> Vec<String> {
    let (early, late) = (parts[1], parts[PARTS - 1]);
    let rows = [
        ("memory in KiB", early.memory_kib, late.memory_kib, 2_048),
        ("threads", early.threads, late.threads, 4),
        ("handles", early.handles, late.handles, 8),
        (
            "journal bytes an order",
            early.per_order(),
            late.per_order(),
            0,
        ),
    ];
    rows.iter()
        .filter(|(_, early, late, slack)| *late > early + early / 8 + slack)
        .map(|(name, early, late, _)| format!("till {till}, {name}: {early}, then {late}"))
        .collect()
}
