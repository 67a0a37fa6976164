//! Any bytes as the configuration of `cloud_pay_init`: taken or refused with a reason, and the same
//! way the second time.
#![no_main]

use cloudpay::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match (Config::parse(bytes), Config::parse(bytes)) {
        (Ok(first), Ok(second)) => assert!(first.config == second.config),
        (Err(first), Err(second)) => {
            assert!(!first.reason.both().is_empty());
            assert_eq!(first.reason, second.reason);
        }
        _ => panic!("taken once and refused once"),
    }
});
