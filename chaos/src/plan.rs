//! What the customers do, decided by the seed alone.

use serde_json::{Value, json};

/// A small random generator (splitmix64): the same seed, the same numbers, on every machine.
#[derive(Clone)]
pub struct Dice(u64);

impl Dice {
    /// Another sequence for every `stream` of a seed.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut dice = Self(seed ^ stream.wrapping_mul(0xd134_2543_de82_ef95));
        dice.roll();
        dice
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// One customer at one till.
pub struct Sale {
    pub number: String,
    pub fee: u64,
    pub scenario: &'static str,
    /// 1 micro_pay, 2 scan_code_pay.
    pub trade_type: u8,
    /// The request of `micro_pay` or `scan_code_pay`.
    pub request: Value,
    pub then: Then,
}

/// What the cashier does about it, besides waiting for the result.
pub enum Then {
    Nothing,
    /// The customer walks away.
    Cancel,
    /// What was paid comes back, in these parts.
    Refund(Vec<u64>),
}

/// Scenarios of the sandbox and how often they come. Most customers just pay.
const MICRO_PAY: [(&str, u64); 24] = [
    ("000", 40),
    ("001", 8),
    ("002", 4),
    ("003", 4),
    ("004", 4),
    ("005", 4),
    ("006", 3),
    ("007", 3),
    ("101", 1),
    ("102", 1),
    ("104", 1),
    ("407", 4),
    ("901", 4),
    ("902", 3),
    ("903", 2),
    ("904", 3),
    ("905", 2),
    ("906", 2),
    ("907", 3),
    ("908", 2),
    ("909", 2),
    ("910", 3),
    ("911", 3),
    ("912", 3),
];
const SCAN_CODE_PAY: [(&str, u64); 5] =
    [("000", 6), ("001", 4), ("002", 4), ("901", 2), ("902", 2)];

impl Sale {
    /// The sale with this index at this till.
    pub fn plan(seed: u64, till: usize, index: usize, prefix: &str, epay123: bool) -> Self {
        let stream = ((till as u64) << 32) | index as u64;
        let mut dice = Dice::new(seed, stream);
        let number = format!("{prefix}c{till}x{index:07}");
        let fee = 1 + dice.below(100_000);
        let trade_type = if dice.chance(20) { 2 } else { 1 };
        let scenario = match trade_type {
            1 => pick(&MICRO_PAY, &mut dice),
            _ => pick(&SCAN_CODE_PAY, &mut dice),
        };
        let platform = 1 + dice.below(2);
        let mut request = json!({"out_trade_no": number, "total_fee": fee, "body": "茶"});
        if trade_type == 1 {
            let start = if platform == 1 { 13 } else { 28 };
            request["author_code"] = json!(format!("{start}{till:03}{index:010}{scenario}"));
        } else {
            request["pay_platform"] = json!(platform);
            // Cloud pay's Alipay has no attach.
            let attach = platform == 1 || epay123;
            let key = if attach { "attach" } else { "remark" };
            request[key] = json!(format!("sandbox:{scenario}"));
        }
        let then = match dice.below(10) {
            0 => Then::Cancel,
            1 => Then::Refund(vec![fee]),
            2 if fee > 1 => {
                let first = 1 + dice.below(fee - 1);
                Then::Refund(vec![first, fee - first])
            }
            _ => Then::Nothing,
        };
        Self {
            number,
            fee,
            scenario,
            trade_type,
            request,
            then,
        }
    }
}

pub fn pick(table: &[(&'static str, u64)], dice: &mut Dice) -> &'static str {
    let all = table.iter().map(|(_, weight)| weight).sum();
    let mut at = dice.below(all);
    for (scenario, weight) in table {
        if at < *weight {
            return scenario;
        }
        at -= weight;
    }
    "000"
}
