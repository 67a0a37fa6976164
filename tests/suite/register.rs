//! A C register in a process of its own, driven over pipes: `tests/c/register.c`.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};

/// The longest that anything here should take. Reached only when something is broken.
pub const PATIENCE: Duration = Duration::from_secs(110);

/// What a call gave back.
#[derive(Clone, Debug)]
pub struct Reply {
    pub code: i32,
    pub out: Vec<u8>,
    pub message: Vec<u8>,
}

impl Reply {
    /// The output as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.out)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.out)))
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.out.clone()).unwrap()
    }

    pub fn message(&self) -> String {
        String::from_utf8(self.message.clone()).unwrap()
    }

    /// Checks the code, and shows everything when it is another.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            code,
            "message: {}\noutput: {}",
            String::from_utf8_lossy(&self.message),
            String::from_utf8_lossy(&self.out)
        );
        self
    }
}

/// A call under way.
pub struct Pending(Receiver<Reply>);

impl Pending {
    #[track_caller]
    pub fn get(self) -> Reply {
        self.0
            .recv_timeout(PATIENCE)
            .expect("the register died or a call hangs")
    }

    /// `None` when the register died or the time is over.
    #[allow(dead_code, reason = "the chaos run kills registers on purpose")]
    pub fn within(self, patience: Duration) -> Option<Reply> {
        self.0.recv_timeout(patience).ok()
    }
}

/// News from the callback.
#[derive(Debug)]
pub struct News {
    /// `*` for the callback itself, `*name` for what the hostile one tried.
    pub what: String,
    pub code: i32,
    pub number: String,
    pub text: String,
}

type Waiting = Arc<Mutex<HashMap<String, Sender<Reply>>>>;

/// A C register in a process of its own, driven over pipes.
pub struct Register {
    process: Mutex<Child>,
    input: Mutex<Option<ChildStdin>>,
    waiting: Waiting,
    news: Mutex<Receiver<News>>,
    next: AtomicU64,
}

impl Register {
    pub fn spawn(command: &mut Command) -> Self {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let waiting: Waiting = Arc::default();
        let (sender, news) = channel();
        let for_reader = Arc::clone(&waiting);
        std::thread::spawn(move || read(output, &for_reader, &sender));
        Self {
            input: Mutex::new(process.stdin.take()),
            process: Mutex::new(process),
            waiting,
            news: Mutex::new(news),
            next: AtomicU64::new(1),
        }
    }

    /// What the callback reported.
    pub fn news(&self) -> MutexGuard<'_, Receiver<News>> {
        self.news.lock().unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.process.lock().unwrap().id()
    }

    /// Starts a call on a thread of its own in the register.
    pub fn begin(
        &self,
        function: &str,
        request: Option<&[u8]>,
        length: i64,
        timeout_ms: i64,
    ) -> Pending {
        let id = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        let (sender, receiver) = channel();
        self.waiting.lock().unwrap().insert(id.clone(), sender);
        let request = request.map_or_else(|| "-".to_owned(), hex);
        let line = format!("{id}\t{function}\t{request}\t{length}\t{timeout_ms}\n");
        if let Some(input) = self.input.lock().unwrap().as_mut() {
            // A register that was killed answers nothing: `get` says so.
            let _ = input.write_all(line.as_bytes());
        }
        Pending(receiver)
    }

    #[track_caller]
    pub fn raw(&self, function: &str, request: Option<&[u8]>, length: i64) -> Reply {
        self.begin(function, request, length, 0).get()
    }

    /// A call with a JSON request and a buffer of 16 KiB.
    #[track_caller]
    pub fn call(&self, function: &str, request: &Value) -> Reply {
        self.raw(function, Some(request.to_string().as_bytes()), 16_384)
    }

    #[track_caller]
    pub fn init(&self, conf: &Value) {
        self.call("init", conf).expect(0);
    }

    #[track_caller]
    pub fn fini(&self) {
        self.raw("fini", None, -1).expect(0);
    }

    /// Accepts a payment of 100 fen.
    #[track_caller]
    pub fn pay(&self, number: &str, code: &str) -> Reply {
        self.call(
            "micro_pay",
            &json!({"out_trade_no": number, "author_code": code, "total_fee": 100, "body": "tea"}),
        )
    }

    /// Orders a QR code for 100 fen; `scenario` in `attach`.
    #[track_caller]
    pub fn scan(&self, number: &str, scenario: Option<&str>) -> Reply {
        let mut request = json!({"out_trade_no": number, "total_fee": 100, "pay_platform": 1,
            "body": "tea", "product_id": "p1"});
        if let Some(scenario) = scenario {
            request["attach"] = json!(format!("sandbox:{scenario}"));
        }
        self.call("scan_code_pay", &request)
    }

    #[track_caller]
    pub fn query(&self, number: &str) -> Reply {
        self.call("query_order", &json!({"out_trade_no": number}))
    }

    #[track_caller]
    pub fn wait(&self, number: &str) -> Reply {
        self.begin_wait(number, PATIENCE - Duration::from_secs(5))
            .get()
    }

    pub fn begin_wait(&self, number: &str, timeout: Duration) -> Pending {
        let request = json!({"out_trade_no": number}).to_string();
        let timeout = i64::try_from(timeout.as_millis()).unwrap();
        self.begin("wait_order", Some(request.as_bytes()), 16_384, timeout)
    }

    /// `kill -9`.
    pub fn kill(&self) {
        let mut process = self.process.lock().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Ends the process as if the register's program had ended, and gives its exit status.
    pub fn exit(&self) -> std::process::ExitStatus {
        drop(self.input.lock().unwrap().take());
        self.process.lock().unwrap().wait().unwrap()
    }
}

impl Drop for Register {
    fn drop(&mut self) {
        let process = self.process.get_mut().unwrap();
        let _ = process.kill();
        let _ = process.wait();
    }
}

fn read(output: impl BufRead, waiting: &Waiting, news: &Sender<News>) {
    for line in output.lines().map_while(Result::ok) {
        let fields: Vec<&str> = line.split('\t').collect();
        let &[id, code, first, second] = fields.as_slice() else {
            panic!("the register wrote: {line}");
        };
        let code = code.parse().unwrap();
        let (first, second) = (unhex(first), unhex(second));
        if id.starts_with('*') {
            let _ = news.send(News {
                what: id.to_owned(),
                code,
                number: String::from_utf8(first).unwrap(),
                text: String::from_utf8_lossy(&second).into_owned(),
            });
        } else if let Some(sender) = waiting.lock().unwrap().remove(id) {
            let _ = sender.send(Reply {
                code,
                out: first,
                message: second,
            });
        }
    }
    // The register is gone: whoever waits learns it.
    waiting.lock().unwrap().clear();
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}
