//! What is shipped: the libraries of each platform, and the packages made of them.

mod exports;
mod linux;
mod nuget;
mod package;
mod windows;

pub(crate) use self::windows::compiler;

use std::path::PathBuf;

use crate::tools::{Need, need, target_folder};

/// Version of everything that is shipped.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What it takes to make any package.
const NEEDS: &[Need] = &[("git", "git", "tells what belongs to the project")];

/// What it takes to make them all.
pub(crate) fn needs() -> Vec<Need> {
    [NEEDS, windows::NEEDS, linux::NEEDS, nuget::NEEDS].concat()
}

/// Builds the packages of one platform, or of all.
pub(crate) fn run(which: Option<&str>) -> Result<(), String> {
    need(NEEDS)?;
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
