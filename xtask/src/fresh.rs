//! README's two commands as strangers run them: in a bare Debian with git, gcc and Rust alone,
//! from a clone of HEAD. A missing install step fails here, and not on a user's machine.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::tools::{Need, is_root, need, root, run_with, target_folder};

const NEEDS: &[Need] = &[
    (
        "/usr/sbin/debootstrap",
        "debootstrap",
        "makes a bare Debian",
    ),
    ("git", "git", "clones the project"),
    (
        "unshare",
        "util-linux",
        "keeps the bare Debian's mounts apart",
    ),
];

/// What README's reader has installed.
const PREREQUISITES: &str = "git gcc";

/// Where the project and Rust are in the bare Debian.
const PROJECT: &str = "/srv/cloudpay";
const RUST: &str = "/usr/local";
const CARGO_HOME: &str = "/usr/local/cargo";

/// The ordinary user.
const USER: &str = "stranger";

/// What Docker leaves to root in a container.
const DOCKER: &str = "-all,+chown,+dac_override,+fowner,+fsetid,+kill,+setgid,+setuid,+setpcap,\
                      +net_bind_service,+net_raw,+sys_chroot,+mknod,+audit_write,+setfcap";

/// What README promises of its second command is ten minutes; a busy machine gets twice that.
const TEST_LIMIT: Duration = Duration::from_secs(20 * 60);

/// Who runs a command.
#[derive(Clone, Copy, Debug)]
enum Who {
    /// With no more than a container's root may do.
    Root,
    User,
}

/// Makes the bare Debian anew and runs the commands in it, first as one who lacks the packages
/// and can't install them, then as a container's root, then as that user again.
pub(crate) fn run() -> Result<(), String> {
    if !is_root() {
        return Err(
            "fresh makes a root folder of its own, which only root may: run it as root".to_owned(),
        );
    }
    need(NEEDS)?;
    let bare = Bare::make()?;
    bare.refuses("pay", &["make"])?;
    bare.refuses("test", &["make", "g++"])?;
    let mut times = Vec::new();
    for who in [Who::Root, Who::User] {
        for command in ["pay", "test"] {
            times.push((who, command, bare.passes(who, command)?));
        }
        bare.give_to_user()?;
    }
    println!("\n== In a bare Debian, minutes");
    for (who, command, time) in times {
        let who = match who {
            Who::Root => "a container's root, from nothing",
            Who::User => "an ordinary user, again",
        };
        println!(
            "cargo xtask {command:<5} {:>6.1}  {who}",
            time.as_secs_f64() / 60.0
        );
    }
    Ok(())
}

/// The bare Debian.
struct Bare(PathBuf);

impl Bare {
    fn make() -> Result<Self, String> {
        let folder = target_folder()?.join("fresh");
        println!(
            "\n== A bare Debian with {PREREQUISITES} and Rust, in {}",
            folder.display()
        );
        if folder.exists() {
            fs::remove_dir_all(&folder)
                .map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        run_with(
            Command::new("debootstrap")
                .args(["--variant=minbase", "bookworm"])
                .arg(&folder)
                .stdout(Stdio::null()),
        )?;
        let bare = Self(folder);
        bare.call(&format!(
            "apt-get update -q && apt-get install -y -q {PREREQUISITES} ca-certificates && useradd -m {USER}"
        ))?;
        bare.clone_project()?;
        bare.bring_rust()?;
        Ok(bare)
    }

    /// The toolchain without its books, and the crates that the project needs.
    fn bring_rust(&self) -> Result<(), String> {
        run_with(
            Command::new("cargo")
                .args(["fetch", "--locked", "--quiet"])
                .current_dir(self.path(PROJECT)),
        )?;
        let output = Command::new("rustc")
            .args(["--print", "sysroot"])
            .output()
            .map_err(|error| format!("rustc: {error}"))?;
        let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        let rust = self.path(RUST);
        for part in ["bin", "lib", "libexec"] {
            copy(&sysroot.join(part).join("."), &rust.join(part))?;
        }
        let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home
            .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))
            .ok_or("neither CARGO_HOME nor HOME says where cargo keeps its crates")?;
        let cargo_home = self.path(CARGO_HOME);
        for part in ["index", "cache"] {
            copy(
                &home.join("registry").join(part),
                &cargo_home.join("registry"),
            )?;
        }
        run_with(Command::new("chmod").args(["-R", "a+rwX"]).arg(&cargo_home))
    }

    fn clone_project(&self) -> Result<(), String> {
        let status = Command::new("git")
            .args(["status", "--porcelain"])
            .current_dir(root())
            .output()
            .map_err(|error| format!("git: {error}"))?;
        if !status.stdout.is_empty() {
            println!("\nWHAT ISN'T COMMITTED IS NOT TRIED: fresh clones HEAD.");
        }
        run_with(
            Command::new("git")
                .args(["clone", "--quiet", "--no-hardlinks"])
                .arg(root())
                .arg(self.path(PROJECT)),
        )?;
        self.give_to_user()
    }

    /// Everything of the project's becomes the ordinary user's.
    fn give_to_user(&self) -> Result<(), String> {
        self.call(&format!("chown -R {USER}: {PROJECT}"))
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.0.join(inside.trim_start_matches('/'))
    }

    /// Runs a shell command inside, as root with all that root may do.
    fn call(&self, command: &str) -> Result<(), String> {
        run_with(self.inside().args(["sh", "-c", command]))
    }

    /// A command inside: nothing of this machine's environment reaches it, its mounts end with it,
    /// and so does whatever it leaves running.
    fn inside(&self) -> Command {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c"])
            .arg(r#"mount -t proc proc "$0/proc" && exec chroot "$0" "$@""#)
            .arg(&self.0)
            .env_clear()
            .env("PATH", format!("{RUST}/bin:/usr/sbin:/usr/bin:/sbin:/bin"))
            .env("CARGO_HOME", CARGO_HOME)
            .stdin(Stdio::null());
        command
    }

    /// `cargo xtask NAME` inside.
    fn xtask(&self, who: Who, name: &str) -> Command {
        let mut command = self.inside();
        match who {
            Who::Root => command
                .args(["setpriv", "--bounding-set", DOCKER])
                .env("HOME", "/root"),
            Who::User => command
                .args(["setpriv", "--reuid", USER, "--regid", USER, "--init-groups"])
                .env("HOME", format!("/home/{USER}")),
        };
        command
            .args(["sh", "-c"])
            .arg(format!("cd {PROJECT} && exec cargo xtask {name}"));
        command
    }

    /// Without its packages and as somebody who can't install any, a command names them all.
    fn refuses(&self, name: &str, packages: &[&str]) -> Result<(), String> {
        println!("\n== An ordinary user without packages: cargo xtask {name}");
        let output = self
            .xtask(Who::User, name)
            .output()
            .map_err(|error| format!("unshare: {error}"))?;
        let words = String::from_utf8_lossy(&output.stderr);
        let asked: Vec<&str> = words
            .lines()
            .find_map(|line| line.split_once("apt-get install "))
            .map(|(_, packages)| packages.split_whitespace().collect())
            .unwrap_or_default();
        let named = packages.iter().all(|package| asked.contains(package));
        if output.status.success() || !named {
            return Err(format!(
                "`cargo xtask {name}` should have asked for {packages:?}:\n{words}"
            ));
        }
        println!("it asks for {}", asked.join(" "));
        Ok(())
    }

    fn passes(&self, who: Who, name: &str) -> Result<Duration, String> {
        println!("\n== {who:?}, in the bare Debian: cargo xtask {name}");
        let began = Instant::now();
        run_with(&mut self.xtask(who, name))?;
        let time = began.elapsed();
        if name == "test" && time > TEST_LIMIT {
            return Err(format!(
                "`cargo xtask test` took {} minutes",
                time.as_secs() / 60
            ));
        }
        Ok(time)
    }
}

/// Copies a folder's tree: nothing inside may reach out.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::create_dir_all(to).map_err(|error| format!("{}: {error}", to.display()))?;
    run_with(Command::new("cp").arg("-rL").arg(from).arg(to))
}
