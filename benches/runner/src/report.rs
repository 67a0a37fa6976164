//! The figures as a document and a plot.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::measure::PARALLEL;

/// Every figure by name, one for each round.
#[derive(Default)]
pub struct Report(BTreeMap<String, Vec<f64>>);

/// A ratio with the bar it has to pass.
struct Bar {
    what: &'static str,
    ratio: Spread,
    at_least: Option<f64>,
    at_most: Option<f64>,
}

/// Median, least and most.
#[derive(Clone, Copy)]
struct Spread(f64, f64, f64);

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self(
            values[values.len() / 2],
            values[0],
            values[values.len() - 1],
        )
    }

    /// With as many digits as mean something.
    fn text(self) -> String {
        let digits = match self.0 {
            value if value >= 100.0 => 0,
            value if value >= 10.0 => 1,
            _ => 2,
        };
        let Self(median, least, most) = self;
        format!("{median:.digits$} ({least:.digits$}–{most:.digits$})")
    }
}

impl Report {
    pub fn add(&mut self, name: impl Into<String>, value: f64) {
        self.0.entry(name.into()).or_default().push(value);
    }

    fn values(&self, name: &str) -> &[f64] {
        self.0
            .get(name)
            .unwrap_or_else(|| panic!("{name} was not measured"))
    }

    fn spread(&self, name: &str) -> Spread {
        Spread::of(self.values(name).to_vec())
    }

    /// One figure over another, round by round.
    fn ratio(&self, over: &str, under: &str) -> Spread {
        let pairs = self.values(over).iter().zip(self.values(under));
        Spread::of(pairs.map(|(over, under)| over / under).collect())
    }

    fn bars(&self) -> Vec<Bar> {
        let at_least = |what, ratio, bar| Bar {
            what,
            ratio,
            at_least: Some(bar),
            at_most: None,
        };
        let at_most = |what, ratio, bar| Bar {
            what,
            ratio,
            at_least: None,
            at_most: Some(bar),
        };
        let seconds = |name| {
            let Spread(median, least, most) = self.spread(name);
            Spread(median / 1e3, least / 1e3, most / 1e3)
        };
        vec![
            at_least(
                "payments/s at 16 in parallel, journal in memory, over the good peer",
                self.ratio("memory 16 rate", "good 16 rate"),
                1.5,
            ),
            at_least(
                "payments/s at 16 in parallel, durable journal, over the good peer, which has none",
                self.ratio("disk 16 rate", "good 16 rate"),
                1.0,
            ),
            at_least(
                "payments/s at 16 in parallel, durable journal, over the manual's form",
                self.ratio("disk 16 rate", "manual 16 rate"),
                5.0,
            ),
            at_most(
                "processor time a payment at 16 in parallel, journal in memory, over the good peer",
                self.ratio("memory 16 cpu", "good 16 cpu"),
                0.7,
            ),
            at_most(
                "latency of a payment, durable journal, over one fsync and the bare TLS round trip",
                self.ratio("disk latency", "synced latency"),
                1.25,
            ),
            at_most(
                "latency of a payment, journal in memory, over the bare TLS round trip",
                self.ratio("memory latency", "bare latency"),
                1.25,
            ),
            at_most(
                "KiB for each waiting order, between 1 000 and 100 000 of them",
                self.spread("KiB per order"),
                2.0,
            ),
            at_most(
                "accepting with 1 000 000 old orders in the journal, over 10",
                self.ratio("journal 1000000 accept", "journal 10 accept"),
                1.3,
            ),
            at_most(
                "asking with 1 000 000 old orders in the journal, over 10",
                self.ratio("journal 1000000 query", "journal 10 query"),
                1.3,
            ),
            at_most(
                "seconds of init with 1 000 000 old orders",
                {
                    let Spread(median, least, most) = self.spread("journal 1000000 init");
                    Spread(median / 1e6, least / 1e6, most / 1e6)
                },
                1.0,
            ),
            at_most(
                "seconds from the approval to knowing it, in the first 45 s",
                seconds("approval adaptive"),
                1.5,
            ),
        ]
    }

    /// Writes `benchmarks.md` and `benchmarks.svg`.
    pub fn write(&self, docs: &Path, rounds: usize) {
        let mut text = String::from(INTRODUCTION);
        let _ = writeln!(text, "{}; {rounds} rounds.\n", machine());
        text.push_str("| ratio or figure | median (least–most) | bar | |\n|---|---|---|---|\n");
        for bar in self.bars() {
            let passed = bar.at_least.is_none_or(|least| bar.ratio.0 >= least)
                && bar.at_most.is_none_or(|most| bar.ratio.0 <= most);
            let limit = match (bar.at_least, bar.at_most) {
                (Some(least), _) => format!("≥ {least}"),
                (_, Some(most)) => format!("≤ {most}"),
                _ => String::new(),
            };
            let mark = if passed { "reached" } else { "**not reached**" };
            let _ = writeln!(
                text,
                "| {} | {} | {limit} | {mark} |",
                bar.what,
                bar.ratio.text()
            );
        }
        self.write_throughput(&mut text);
        self.write_others(&mut text);
        text.push_str(READING);
        fs::write(docs.join("benchmarks.md"), &text).unwrap();
        fs::write(docs.join("benchmarks.svg"), self.plot()).unwrap();
        println!("{text}");
    }

    fn write_throughput(&self, text: &mut String) {
        text.push_str(
            "\n![Payments per second](benchmarks.svg)\n\n\
             | in parallel | | payments/s | CPU µs a payment | latency µs | `micro_pay` µs (p99) |\n\
             |---|---|---|---|---|---|\n",
        );
        for parallel in PARALLEL {
            for (name, words) in SERIES {
                let of = |what| self.spread(&format!("{name} {parallel} {what}"));
                let call = if self.0.contains_key(&format!("{name} {parallel} call")) {
                    format!("{} ({})", of("call").text(), of("call p99").text())
                } else {
                    "–".to_owned()
                };
                let _ = writeln!(
                    text,
                    "| {parallel} | {words} | {} | {} | {} | {call} |",
                    of("rate").text(),
                    of("cpu").text(),
                    of("latency").text(),
                );
            }
        }
    }

    fn write_others(&self, text: &mut String) {
        text.push_str("\n| figure | |\n|---|---|\n");
        let mut row = |what: &str, value: String| {
            let _ = writeln!(text, "| {what} | {value} |");
        };
        for (what, name) in [
            ("bare TLS round trip of a payment, µs", "bare latency"),
            (
                "a page synced and the bare round trip, µs",
                "synced latency",
            ),
            ("latency alone, journal in memory, µs", "memory latency"),
            ("latency alone, durable journal, µs", "disk latency"),
            ("init of a new journal, µs", "init"),
            ("first payment, connection warm, µs", "first payment warm"),
            ("first payment right after init, µs", "first payment cold"),
            ("resident after the first payment, KiB", "idle memory"),
            ("resident after init, KiB", "init memory"),
            ("resident with 1 000 waiting orders, KiB", "memory 1000"),
            ("resident with 10 000 waiting orders, KiB", "memory 10000"),
            ("resident with 100 000 waiting orders, KiB", "memory 100000"),
            ("approval to knowing it, adaptive, ms", "approval adaptive"),
            (
                "approval to knowing it, every 6 s, ms",
                "approval every 6 s",
            ),
            ("signing a refund, µs", "ours pss_us"),
            ("signing a refund with OpenSSL, µs", "OpenSSL pss_us"),
            ("opening a notification, µs", "ours verify_us"),
            (
                "opening it with OpenSSL and jsoncpp, µs",
                "OpenSSL verify_us",
            ),
        ] {
            row(what, self.spread(name).text());
        }
        for orders in [10, 10_000, 1_000_000] {
            for (what, unit) in [("init", "µs"), ("accept", "µs"), ("query", "µs")] {
                let name = format!("journal {orders} {what}");
                row(
                    &format!("{what} with {orders} old orders, {unit}"),
                    self.spread(&name).text(),
                );
            }
        }
        for (name, sizes) in self.0.iter().filter(|(name, _)| name.starts_with("size ")) {
            let name = name.trim_start_matches("size ");
            row(&format!("{name}, bytes"), format!("{:.0}", sizes[0]));
        }
    }

    /// Payments per second as bars.
    fn plot(&self) -> String {
        const COLOURS: [&str; 4] = ["#9aa5b1", "#cbd2d9", "#2f7de1", "#1b4f91"];
        const HEIGHT: f64 = 240.0;
        let rate = |name: &str, parallel| self.spread(&format!("{name} {parallel} rate")).0;
        let most = PARALLEL
            .iter()
            .flat_map(|parallel| SERIES.iter().map(move |(name, _)| rate(name, parallel)))
            .fold(1.0, f64::max);
        let mut svg = String::from(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 760 340\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"760\" height=\"340\" fill=\"#fff\"/>\n\
             <text x=\"20\" y=\"22\" font-size=\"15\">Payments per second, one core for the client, \
             one for the gateway</text>\n",
        );
        for (group, parallel) in PARALLEL.iter().enumerate() {
            let left = 30.0 + 180.0 * group as f64;
            for (index, (name, _)) in SERIES.iter().enumerate() {
                let value = rate(name, parallel);
                let height = value / most * HEIGHT;
                let (x, y) = (left + 40.0 * index as f64, 290.0 - height);
                let colour = COLOURS[index];
                let middle = x + 17.0;
                let above = y - 4.0;
                let _ = writeln!(
                    svg,
                    "<rect x=\"{x}\" y=\"{y:.1}\" width=\"34\" height=\"{height:.1}\" fill=\"{colour}\"/>\
                     <text x=\"{middle}\" y=\"{above:.1}\" text-anchor=\"middle\">{value:.0}</text>",
                );
            }
            let middle = left + 77.0;
            let _ = writeln!(
                svg,
                "<text x=\"{middle}\" y=\"306\" text-anchor=\"middle\">{parallel} in parallel</text>",
            );
        }
        for (index, (_, words)) in SERIES.iter().enumerate() {
            let x = 30.0 + 180.0 * index as f64;
            let (colour, after) = (COLOURS[index], x + 18.0);
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"318\" width=\"12\" height=\"12\" fill=\"{colour}\"/>\
                 <text x=\"{after}\" y=\"329\">{words}</text>",
            );
        }
        svg.push_str("</svg>\n");
        svg
    }
}

const SERIES: [(&str, &str); 4] = [
    ("manual", "C++ as in the manual"),
    ("good", "C++, connections kept"),
    ("memory", "cloudpay, memory"),
    ("disk", "cloudpay, durable"),
];

const INTRODUCTION: &str = "\
# Benchmarks

Written by `cargo xtask bench`: the library and what a shop would use instead, against the same
sandbox gateway in the same run. The peer (`benches/peer`) is a C++ client on libcurl, OpenSSL and
jsoncpp in two forms: as the vendor's manual shows it, with everything new for each call, and as a
good engineer would write it, with one handle a thread, kept connections and resumed sessions. It
has no journal, no recovery, no failover and no polling. The gateway has one core, the measured
program the other. Library and peer run with logs and monitoring off. Figures of single runs mean
little on a shared machine: read the ratios.

";

const READING: &str = "
\"Latency\" is from `micro_pay` to the known result. \"In memory\" is `journal_path` `:memory:`, which no
register should use; it is here because the peer keeps nothing. With a durable journal an fsync
comes before a payment is sent; its result is written before it is told, and synced with the next
payment or half a second later: the gateway would say it again. Parallel payments share commits.

Why bars are missed: in memory, 19 % of the processor time is still SQLite's, 14 % goes into sending
through the loopback, 11 % into waking threads (the register's, a worker and the socket's, where the
peer has one), 8 % into judging the answer; the rest is spread thin. With a durable journal a third
is the journal's, most of it fsync and waking those who share a commit: without any of it the ratio
to the peer would be about 1.
";

/// What this was measured on.
fn machine() -> String {
    let line = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        let text = output.map(|output| output.stdout).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        text.lines().next().unwrap_or_default().to_owned()
    };
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find(|line| line.starts_with("model name"))
        .and_then(|line| line.split(": ").nth(1))
        .unwrap_or("unknown processor");
    let cores = cpu
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    // Without what a distributor or a host adds to the number.
    let release = line("uname", &["-sr"]);
    format!(
        "{model}, {cores} cores; {} {}; {}; {}; {}",
        release.split('-').next().unwrap_or_default(),
        line("uname", &["-m"]),
        line("rustc", &["--version"]),
        line("c++", &["--version"]),
        line("openssl", &["version"]),
    )
}
