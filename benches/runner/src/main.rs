//! Measures the library and what a shop would use instead, a C++ client in two forms, against the
//! same sandbox gateway in turn, and writes `docs/benchmarks.md` with the ratios.
//!
//!     cargo xtask bench
//!
//! The gateway runs on one core and whatever is measured on another, so that figures are the
//! client's as far as the gateway can keep up; where it can't, the gateway is what both wait for.
#![allow(missing_docs, unreachable_pub)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod gateway;
mod measure;
mod report;

use std::path::PathBuf;

use crate::gateway::Gateway;
use crate::report::Report;

fn main() {
    let mut words = std::env::args().skip(1);
    let build: PathBuf = words.next().expect("the folder of the programs").into();
    let docs: PathBuf = words.next().expect("the folder of the documents").into();
    let rounds: usize = words.next().map_or(5, |word| word.parse().expect("rounds"));
    let mut report = Report::default();
    for round in 1..=rounds {
        println!("round {round} of {rounds}");
        let gateway = Gateway::start(&build, &build.join("sandbox"));
        for parallel in measure::PARALLEL {
            measure::throughput(&gateway, parallel, &mut report);
        }
        measure::latency(&gateway, &mut report);
        measure::start(&gateway, &mut report);
        measure::crypto(&gateway, &mut report);
    }
    let gateway = Gateway::start(&build, &build.join("sandbox"));
    println!("waiting orders");
    measure::memory(&gateway, &mut report);
    println!("approvals: two minutes");
    measure::approval(&gateway, &mut report);
    println!("old journals");
    measure::journals(&gateway, rounds, &mut report);
    measure::sizes(&build, &mut report);
    drop(gateway);
    report.write(&docs, rounds);
}
