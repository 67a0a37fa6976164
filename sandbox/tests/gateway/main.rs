//! The gateway over real HTTPS, by requests that are made and signed here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod desk;

mod callbacks;
mod control;
mod envelope;
mod epay123;
mod orders;
mod payments;
mod refunds;
mod reports;
mod scans;
