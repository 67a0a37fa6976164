//! The sandbox gateway on a core of its own, and the programs on the other.

use std::cell::Cell;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

const GATEWAY_CORE: &str = "0";
const CLIENT_CORE: &str = "1";

pub struct Gateway {
    process: Child,
    pub folder: PathBuf,
    pub control: String,
    pub order_prefix: String,
    conf: Value,
    build: PathBuf,
    runs: Cell<u32>,
}

impl Gateway {
    /// A fresh gateway: no orders, and nothing of an earlier one.
    pub fn start(build: &Path, folder: &Path) -> Self {
        let _ = std::fs::remove_dir_all(folder);
        let mut process = Command::new("taskset")
            .args(["-c", GATEWAY_CORE])
            .arg(build.join("cloudpay-sandbox"))
            .args(["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"])
            .arg("--data")
            .arg(folder)
            .stdout(Stdio::piped())
            .spawn()
            .expect("taskset and the sandbox");
        let greeting = BufReader::new(process.stdout.take().unwrap());
        let (mut control, mut prefix) = (String::new(), String::new());
        for line in greeting.lines().map_while(Result::ok) {
            let value = line.rsplit(' ').next().unwrap_or_default();
            if line.starts_with("console") {
                control = value.trim_end_matches('/').to_owned();
            } else if line.starts_with("order prefix") {
                prefix = value.to_owned();
            } else if line.starts_with("Test values") {
                break;
            }
        }
        let conf = std::fs::read(folder.join("cloudpay.json")).unwrap();
        Self {
            process,
            folder: folder.to_owned(),
            control,
            conf: serde_json::from_slice(&conf).unwrap(),
            order_prefix: prefix,
            build: build.to_owned(),
            runs: Cell::new(0),
        }
    }

    /// A configuration without log and monitor, which the peer doesn't have either. `journal` is a
    /// file's name or `:memory:`.
    pub fn conf(&self, journal: &str, workers: usize) -> PathBuf {
        let mut conf = self.conf.clone();
        let common = &mut conf["common_conf"];
        common["log_path"] = json!("off");
        common["monitor"] = json!(false);
        common["worker_threads"] = json!(workers);
        common["journal_path"] = if journal == ":memory:" {
            json!(journal)
        } else {
            json!(self.folder.join(journal))
        };
        let path = self
            .folder
            .join(format!("{}-{workers}.json", journal.replace(':', "")));
        std::fs::write(&path, conf.to_string()).unwrap();
        path
    }

    /// A beginning for order numbers that no other run has.
    pub fn prefix(&self) -> String {
        self.runs.set(self.runs.get() + 1);
        format!("{}b{:03}", self.order_prefix, self.runs.get())
    }

    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("taskset");
        command
            .args(["-c", CLIENT_CORE])
            .arg(self.build.join(program));
        command
    }

    /// Runs a program to its end; what it measured.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Value {
        let prefix = self.prefix();
        let output = self
            .command(program)
            .args(arguments)
            .arg(&prefix)
            .stderr(Stdio::inherit())
            .output()
            .expect("taskset and the program");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {}",
            output.status
        );
        serde_json::from_str(text.lines().last().unwrap_or_default())
            .unwrap_or_else(|error| panic!("{program} {arguments:?}: {error}: {text}"))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
