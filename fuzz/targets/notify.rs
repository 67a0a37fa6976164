//! Any text as a notification: bare, and as the content of an authentic one.
#![no_main]

use std::sync::LazyLock;

use cloudpay::fuzzing::Gateways;
use libfuzzer_sys::fuzz_target;

static GATEWAYS: LazyLock<Gateways> = LazyLock::new(Gateways::new);

fuzz_target!(|text: &str| {
    for seal in [false, true] {
        GATEWAYS.notification(text, seal);
    }
});
