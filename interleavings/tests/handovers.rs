//! Each check runs thousands of orders; a failure prints the schedule to replay.

#[test]
fn payments_find_free_workers() {
    cloudpay_interleavings::payments_find_free_workers();
}

#[test]
fn everything_is_taken() {
    cloudpay_interleavings::everything_is_taken();
}

#[test]
fn every_caller_hears() {
    cloudpay_interleavings::every_caller_hears();
}

#[test]
fn nobody_hangs_when_it_closes() {
    cloudpay_interleavings::nobody_hangs_when_it_closes();
}
