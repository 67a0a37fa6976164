//! Chores of the project, as `cargo xtask NAME`.

mod bench;
mod chaos;
mod ci;
mod dist;
mod fresh;
mod fuzz;
mod header;
mod pay;
mod sanitize;
mod test;
mod tools;
mod wine;

use std::process::ExitCode;

const HELP: &str = "\
cargo xtask pay       build everything, start the sandbox, and let a C register pay through the library
cargo xtask test      format, lints, documentation and the tests that need few packages and no privilege
cargo xtask ci        what test leaves out: Windows' DLLs under Wine, C#, Pascal, packages, chaos, fuzzing,
                      licences, advisories, fresh (--without PART, any number of times)
cargo xtask fresh     README's two commands as strangers run them, in a bare Debian (as root)
cargo xtask chaos     let registers pay while everything fails, then compare the books
                      (--seed S --payments N; --rivals N: registers that share N numbers;
                      --soak MINUTES measures what registers use)
cargo xtask fuzz      feed everything that comes from outside with nonsense (--seconds N for each target)
cargo xtask sanitize  run C registers with the library built for AddressSanitizer and ThreadSanitizer
cargo xtask bench     measure the library beside what a shop would use instead; writes docs/benchmarks.md
                      (--rounds N)
cargo xtask dist      build the packages: DLLs for Windows 7 and newer, shared libraries for Linux, NuGet
                      (dist windows, dist linux: only those)
cargo xtask header    write include/cloudpay.h anew from src/ffi (--check: only compare)
";

fn main() -> ExitCode {
    let name = std::env::args().nth(1);
    let done = match name.as_deref() {
        Some("pay") => pay::run(),
        Some("test") => test::run_every(),
        Some("ci") => {
            let arguments: Vec<String> = std::env::args().skip(2).collect();
            ci::run_with_arguments(&arguments)
        }
        Some("fresh") => fresh::run(),
        Some("chaos") => {
            let arguments: Vec<String> = std::env::args().skip(2).collect();
            chaos::run_with_arguments(&arguments)
        }
        Some("fuzz") => {
            let arguments: Vec<String> = std::env::args().skip(2).collect();
            fuzz::seconds(&arguments).and_then(fuzz::run_every)
        }
        Some("bench") => {
            let arguments: Vec<String> = std::env::args().skip(2).collect();
            bench::run_with_arguments(&arguments)
        }
        Some("sanitize") => sanitize::run(),
        Some("dist") => dist::run(std::env::args().nth(2).as_deref()),
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
