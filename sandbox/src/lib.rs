//! A gateway to try `cloudpay` against: a real HTTPS server on this machine, with the real protocol's rules and a ledger of what
//! "the customers" were charged, but no money and no merchant account.
//!
//! It is written from the protocol's description, not from the library, and shares no signing code with it, so that one mistake
//! can't hide on both sides. `README.md` lists the scenarios (what the last three digits of a payment code make happen) and the
//! control interface.
//!
//! ```no_run
//! let sandbox = cloudpay_sandbox::Sandbox::start(cloudpay_sandbox::Options::default())?;
//! println!("{} (CA: {})", sandbox.url(), sandbox.ca_file().display());
//! # Ok::<(), cloudpay_sandbox::Error>(())
//! ```

mod app;
mod callback;
mod clock;
mod cloudpay;
mod console;
mod control;
mod epay123;
mod error;
mod faults;
mod fields;
mod ledger;
mod merchant;
mod net;
mod options;
mod order;
mod records;
mod reply;
mod sandbox;
mod scenario;
mod tls;

pub use error::Error;
pub use merchant::Merchant;
pub use options::Options;
pub use sandbox::Sandbox;
