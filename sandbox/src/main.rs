//! Starts the sandbox gateway.
fn main() {}
