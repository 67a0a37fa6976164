//! What goes wrong between the tills and the gateway, and what the gateway saw.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::plan::Dice;

/// Faults last this long; then come others.
const SPELL: Duration = Duration::from_millis(800);
/// The gateway remembers its last 2000 requests only.
const LOOK: Duration = Duration::from_millis(100);

/// A request as the gateway saw it: when (ms since 1970), and its path.
pub type Seen = BTreeSet<(u64, String)>;

pub struct Weather {
    control: String,
    agent: ureq::Agent,
    calm: AtomicBool,
    /// By order number.
    seen: Mutex<BTreeMap<String, Seen>>,
}

impl Weather {
    pub fn new(control: String) -> Self {
        Self {
            control,
            agent: ureq::Agent::new_with_defaults(),
            calm: AtomicBool::new(false),
            seen: Mutex::default(),
        }
    }

    /// Changes the weather and keeps the gateway's log, until `stop`. In `rough` percent of all
    /// spells something goes wrong.
    pub fn run(&self, seed: u64, listeners: usize, rough: u64, stop: &AtomicBool) {
        let mut dice = Dice::new(seed, 0x0077_6561_7468_6572);
        let looks = SPELL.as_millis() / LOOK.as_millis();
        for look in 0.. {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            if look % looks == 0 && !self.calm.load(Ordering::Relaxed) {
                self.change(&mut dice, listeners, rough);
            }
            self.look();
            std::thread::sleep(LOOK);
        }
    }

    /// No faults from here on.
    pub fn calm_down(&self, listeners: usize) {
        self.calm.store(true, Ordering::Relaxed);
        // One change may be under way.
        std::thread::sleep(SPELL);
        self.set(&json!({}));
        for listener in 0..listeners {
            self.post("up", &json!({"listener": listener}));
        }
    }

    /// These faults from here on.
    pub fn set(&self, faults: &Value) {
        self.post("faults", faults);
    }

    /// A customer scans a QR code and pays.
    pub fn scan(&self, code_url: &str) {
        let (_, path) = code_url.split_once("/sandbox/").unwrap();
        let url = format!("{}/sandbox/{path}/pay", self.control);
        self.agent.post(url).send_empty().unwrap();
    }

    fn change(&self, dice: &mut Dice, listeners: usize, rough: u64) {
        let mut faults = json!({"seed": dice.below(1 << 40)});
        if dice.chance(rough) {
            faults["scope"] = json!(if dice.chance(50) { "all" } else { "pay" });
            for fault in [
                "cut_before",
                "cut_after",
                "status_502",
                "bad_auth",
                "half_body",
                "no_auth",
                "other_order",
                "garbage",
                "busy_3",
                "busy_103",
            ] {
                if dice.chance(30) {
                    faults[fault] = json!(dice.below(100) as f64 / 1000.0);
                }
            }
            if dice.chance(30) {
                faults["delay_ms"] = json!([0, dice.below(600)]);
            }
        }
        self.set(&faults);
        for listener in 0..listeners {
            let way = if dice.chance(15) { "down" } else { "up" };
            self.post(way, &json!({"listener": listener}));
        }
    }

    fn look(&self) {
        let log = self.get("log");
        let mut seen = self.seen.lock().unwrap();
        for line in log.as_array().unwrap() {
            let number = line["out_trade_no"].as_str().unwrap();
            let at = line["at_ms"].as_u64().unwrap();
            let path = line["path"].as_str().unwrap();
            seen.entry(number.to_owned())
                .or_default()
                .insert((at, path.to_owned()));
        }
    }

    /// What the gateway saw of an order.
    pub fn seen(&self, number: &str) -> Seen {
        let seen = self.seen.lock().unwrap();
        seen.get(number).cloned().unwrap_or_default()
    }

    pub fn get(&self, path: &str) -> Value {
        let url = format!("{}/sandbox/{path}", self.control);
        let mut answer = self.agent.get(url).call().unwrap();
        let body = answer.body_mut().with_config().limit(1 << 30);
        serde_json::from_str(&body.read_to_string().unwrap()).unwrap()
    }

    fn post(&self, path: &str, body: &Value) {
        let url = format!("{}/sandbox/{path}", self.control);
        self.agent
            .post(url)
            .header("content-type", "application/json")
            .send(body.to_string())
            .unwrap();
    }
}
