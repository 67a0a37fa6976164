//! A package: a folder with everything that a register's maker needs, its checksums, and the
//! archive made of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{VERSION, folder};
use crate::tools::{root, run_with};

/// What every package has: folder or file of the project, and its place.
const COMMON: [(&str, &str); 8] = [
    ("include", "include"),
    ("bindings", "bindings"),
    ("examples-c", "examples"),
    ("docs", "docs"),
    ("README.md", "README.md"),
    ("README.zh-CN.md", "README.zh-CN.md"),
    ("LICENSE-MIT", "LICENSE-MIT"),
    ("LICENSE-APACHE", "LICENSE-APACHE"),
];

/// A package under construction.
pub(super) struct Package {
    name: String,
    folder: PathBuf,
}

impl Package {
    /// An empty one, `cloudpay-VERSION-PLATFORM`.
    pub(super) fn new(platform: &str) -> Result<Self, String> {
        let name = format!("cloudpay-{VERSION}-{platform}");
        let folder = folder()?.join(&name);
        // What an earlier build left would be shipped.
        let _ = fs::remove_dir_all(&folder);
        Ok(Self { name, folder })
    }

    /// The place of a file in it; its folder is there.
    pub(super) fn path(&self, file: &str) -> Result<PathBuf, String> {
        let path = self.folder.join(file);
        let parent = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(parent).map_err(|error| format!("{}: {error}", parent.display()))?;
        Ok(path)
    }

    /// Puts a file into it.
    pub(super) fn copy(&self, from: &Path, file: &str) -> Result<(), String> {
        let copied = fs::copy(from, self.path(file)?);
        copied.map_err(|error| format!("{}: {error}", from.display()))?;
        Ok(())
    }

    /// Writes a file in it.
    pub(super) fn write(&self, file: &str, text: &str) -> Result<(), String> {
        fs::write(self.path(file)?, text).map_err(|error| format!("{file}: {error}"))
    }

    /// Header, bindings, examples, documents, licences: what git knows of them.
    pub(super) fn add_common(&self) -> Result<(), String> {
        for (from, to) in COMMON {
            let listed = Command::new("git")
                .args([
                    "ls-files",
                    "-z",
                    "--cached",
                    "--others",
                    "--exclude-standard",
                ])
                .arg(from)
                .current_dir(root())
                .output()
                .map_err(|error| format!("git: {error}"))?;
            if !listed.status.success() || listed.stdout.is_empty() {
                let why = String::from_utf8_lossy(&listed.stderr);
                return Err(format!("git lists no file under {from}: {why}"));
            }
            for file in String::from_utf8_lossy(&listed.stdout).split_terminator('\0') {
                let place = file.replacen(from, to, 1);
                self.copy(&root().join(file), &place)?;
            }
        }
        Ok(())
    }

    /// Writes the checksums and packs a zip.
    pub(super) fn zip(&self) -> Result<PathBuf, String> {
        self.checksums()?;
        let archive = format!("{}.zip", self.name);
        let _ = fs::remove_file(folder()?.join(&archive));
        run_with(
            Command::new("zip")
                .args(["-q", "-r", "-X", &archive, &self.name])
                .current_dir(folder()?),
        )?;
        self.ready(&archive)
    }

    /// Writes the checksums and packs a compressed tar.
    pub(super) fn tar(&self) -> Result<PathBuf, String> {
        self.checksums()?;
        let archive = format!("{}.tar.gz", self.name);
        run_with(
            Command::new("tar")
                .args(["--owner=0", "--group=0", "--numeric-owner", "-czf"])
                .args([&archive, &self.name])
                .current_dir(folder()?),
        )?;
        self.ready(&archive)
    }

    /// Packs what NuGet takes: a zip without a folder around it.
    pub(super) fn nupkg(&self) -> Result<PathBuf, String> {
        let archive = format!("cloudpay.{VERSION}.nupkg");
        let path = folder()?.join(&archive);
        let _ = fs::remove_file(&path);
        run_with(
            Command::new("zip")
                .args(["-q", "-r", "-X", "-D", "-nw"])
                .arg(&path)
                // The list of types comes first.
                .args(["[Content_Types].xml", "."])
                .current_dir(&self.folder),
        )?;
        self.ready(&archive)
    }

    /// `sha256sum -c SHA256SUMS` checks every file.
    fn checksums(&self) -> Result<(), String> {
        let script = "find . -type f ! -name SHA256SUMS -print0 | LC_ALL=C sort -z \
                      | xargs -0 sha256sum > SHA256SUMS";
        run_with(
            Command::new("sh")
                .args(["-c", script])
                .current_dir(&self.folder),
        )
    }

    fn ready(&self, archive: &str) -> Result<PathBuf, String> {
        let path = folder()?.join(archive);
        let bytes = fs::metadata(&path).map_or(0, |file| file.len());
        println!("{} ({bytes} bytes)", path.display());
        Ok(path)
    }
}
