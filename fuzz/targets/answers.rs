//! Any text as an answer of either gateway: bare, and as the content of an authentic answer. None
//! may prove more than it may; see `cloudpay::fuzzing`.
#![no_main]

use std::sync::LazyLock;

use cloudpay::fuzzing::Gateways;
use libfuzzer_sys::fuzz_target;

static GATEWAYS: LazyLock<Gateways> = LazyLock::new(Gateways::new);

fuzz_target!(|text: &str| {
    for seal in [false, true] {
        GATEWAYS.cloudpay_answer(text, seal);
        GATEWAYS.epay123_answer(text, seal);
    }
});
