//! Chores of the project, as `cargo xtask NAME`.

mod header;
mod pay;
mod test;
mod tools;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask pay       build everything, start the sandbox, and let a C register pay through the library
cargo xtask test      run every check and every test
cargo xtask header    write include/cloudpay.h anew from src/ffi (--check: only compare)
";

fn main() -> ExitCode {
    let name = std::env::args().nth(1);
    let done = match name.as_deref() {
        Some("pay") => pay::run(),
        Some("test") => test::run_every(),
        Some("header") => header::write(std::env::args().any(|arg| arg == "--check")),
        _ => {
            print!("{HELP}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("\nxtask: {why}");
            ExitCode::FAILURE
        }
    }
}
