//! What is shipped: the libraries of each platform, and the packages made of them.

mod exports;
mod linux;
mod nuget;
mod package;
mod windows;

pub(crate) use self::windows::compiler;

use std::path::PathBuf;

use crate::tools::target_folder;

/// Version of everything that is shipped.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Builds the packages of one platform, or of all.
pub(crate) fn run(which: Option<&str>) -> Result<(), String> {
    match which {
        Some("windows") => windows::build(),
        Some("linux") => linux::build(),
        None => {
            windows::build()?;
            linux::build()?;
            nuget::build()
        }
        Some(other) => Err(format!("dist {other}: windows, linux, or nothing for all")),
    }
}

/// Where packages go.
fn folder() -> Result<PathBuf, String> {
    Ok(target_folder()?.join("dist"))
}
