//! Wine, to run Windows programs here. 64-bit Wine is a package of Debian's; 32-bit Wine can't be
//! installed beside it, and gets a small 32-bit Debian of its own under `target`.

use std::fs;
use std::process::Command;

use crate::tools::{Need, need, run_with, target_folder};

/// What it takes to run Windows programs.
pub(crate) const NEEDS: &[Need] = &[
    (
        "/usr/lib/wine/wine64",
        "wine64",
        "runs 64-bit Windows programs",
    ),
    (
        "/usr/sbin/debootstrap",
        "debootstrap",
        "makes a 32-bit Debian, for 32-bit Wine",
    ),
];

/// Makes sure that the host's Windows programs can run.
pub(crate) fn prepare(host: &str) -> Result<(), String> {
    need(NEEDS)?;
    if host != "wine32" {
        return Ok(());
    }
    let root = target_folder()?.join("wine32");
    let done = root.join("usr/lib/wine/wine");
    if done.exists() {
        return Ok(());
    }
    println!("missing: 32-bit Wine; getting a 32-bit Debian for it");
    let _ = fs::remove_dir_all(&root);
    run_with(
        Command::new("debootstrap")
            .args(["--arch=i386", "--variant=minbase", "bookworm"])
            .arg(&root),
    )?;
    run_with(
        Command::new("chroot")
            .arg(&root)
            .args(["sh", "-c"])
            .arg("apt-get update -q && apt-get install -y -q --no-install-recommends wine32 wine && apt-get clean"),
    )
}
