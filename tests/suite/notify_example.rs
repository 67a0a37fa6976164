//! The example of a merchant's server, taking the sandbox's notifications.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use cloudpay_sandbox::Options;
use serde_json::{Value, json};

use crate::support::{
    Gateway, PATIENCE, Shop, TempFolder, alipay_code, code, root, run, shared_library, until,
};

/// The example, built as its Makefile does.
fn build(folder: &TempFolder) -> Command {
    let library = shared_library();
    let program = folder.0.join("notify");
    run(Command::new("make")
        .arg("-C")
        .arg(root().join("examples-c"))
        .arg(format!("LIBDIR={}", library.parent().unwrap().display()))
        .arg(format!("OUT={}", folder.0.display()))
        .arg(&program));
    Command::new(program)
}

/// The example's configuration: the shop's, with a journal of its own.
fn conf_file(shop: &Shop) -> std::path::PathBuf {
    let file = shop.folder.0.join("notify.json");
    let mut conf = shop.conf.clone();
    conf["common_conf"]["journal_path"] = json!(":memory:");
    std::fs::write(&file, conf.to_string()).unwrap();
    file
}

/// The example at work. Ends with the value.
struct Server {
    process: Child,
    lines: Receiver<String>,
    port: u16,
}

impl Server {
    fn start(command: &mut Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let _ = sender.send(line);
            }
        });
        let mut server = Self {
            process,
            lines,
            port: 0,
        };
        let line = server.said("Listening on");
        let port = line.trim_end_matches('/').rsplit(':').next().unwrap();
        server.port = port.parse().unwrap();
        server
    }

    /// The next line that begins so. Others may come before it, but no other news of money.
    #[track_caller]
    fn said(&self, beginning: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect(beginning);
            if line.starts_with(beginning) {
                return line;
            }
            for money in ["PAID", "REFUNDED", "ORDER", "REFUND "] {
                assert!(!line.starts_with(money), "{line}");
            }
        }
    }

    /// Sends bytes as they are and gives the status line and the body of the answer.
    fn send(&self, request: &[u8]) -> (String, String) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    fn post(&self, body: &[u8]) -> (String, String) {
        let head = format!(
            "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.send(&[head.as_bytes(), body].concat())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A sandbox whose notifications go to `port`.
fn notifying(port: u16) -> Shop {
    Shop::with(Options {
        callback_url: Some(format!("http://127.0.0.1:{port}/notify")),
        callback_retry_ms: 50,
        ..Options::default()
    })
}

/// Waits until the sandbox has the server's right answer.
fn taken(shop: &Shop, kind: &str, number: &str) {
    until("the notification's answer", || {
        let all = shop.control_get("callbacks");
        let mut all = all.as_array().unwrap().iter();
        let one = all.find(|one| one["kind"] == kind && one["out_trade_no"] == number)?;
        (one["state"] == "taken").then_some(())
    });
}

/// The status that the merchant's server answers the gateway with.
fn status(answer: &(String, String)) -> Value {
    assert_eq!(answer.0, "HTTP/1.1 200 OK");
    let outer: Value = serde_json::from_str(&answer.1).unwrap();
    let content: Value = serde_json::from_str(outer["response_content"].as_str().unwrap()).unwrap();
    content["status"].clone()
}

#[test]
fn payments_and_refunds_are_taken_and_counted() {
    let folder = TempFolder::new();
    // The server is there before the gateway is, which needs its address; the keys are the same.
    let office = Shop::open();
    let mut server = Server::start(build(&folder).arg(conf_file(&office)).args(["0", "3"]));
    let shop = notifying(server.port);
    let register = shop.register();

    // Nobody is waited for for ever. The connection stays open all the time, and says nothing.
    let silent = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    let number = shop.number();
    register.pay(&number, &code("000")).expect(0);
    let line = server.said("PAID");
    assert_eq!(line, format!("PAID 100 fen, order {number}."));
    taken(&shop, "payment", &number);
    drop(silent);

    let refund = json!({"out_trade_no": number, "total_fee": 100, "refund_fee": 40});
    register.call("refund", &refund).expect(0);
    let line = server.said("REFUNDED");
    assert_eq!(
        line,
        format!("REFUNDED 40 fen, order {number}, refund {number}.")
    );
    taken(&shop, "refund", &number);

    let number = shop.number();
    register.pay(&number, &alipay_code("000")).expect(0);
    let line = server.said("PAID");
    assert_eq!(line, format!("PAID 100 fen, order {number}."));
    taken(&shop, "payment", &number);
    assert!(server.process.wait().unwrap().success());
}

/// What is refused is answered as such, and counts for nothing.
#[test]
fn forgeries_and_bad_requests_are_refused() {
    let folder = TempFolder::new();
    let office = Shop::open();
    let mut server = Server::start(build(&folder).arg(conf_file(&office)).args(["0", "1"]));
    // A true notification, caught on its way.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let shop = notifying(listener.local_addr().unwrap().port());
    let register = shop.register();
    let number = shop.number();
    register.pay(&number, &code("000")).expect(0);
    let (stream, _) = listener.accept().unwrap();
    let body = crate::support::http_body(&stream);
    let text = String::from_utf8(body.clone()).unwrap();
    let changed = text.replacen("\\\"total_fee\\\":100", "\\\"total_fee\\\":101", 1);
    assert_ne!(changed, text);
    let cut = [b"{\0".as_slice(), &body].concat();

    for forged in [changed.as_bytes(), b"{}", b"", b"\xff"] {
        assert_ne!(status(&server.post(forged)), 0);
        server.said("REFUSED: not to be believed");
    }
    let long = format!("POST / HTTP/1.1\r\nx: {}", "x".repeat(8192));
    for (request, refusal) in [
        ("GET / HTTP/1.1\r\ncontent-length: 0\r\n\r\n", "405"),
        ("POST / HTTP/1.1\r\nhost: x\r\n\r\n", "411"),
        ("POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", "411"),
        ("POST / HTTP/1.1\r\ncontent-length: 1x\r\n\r\n", "411"),
        ("POST / HTTP/1.1\r\ncontent-length: 65537\r\n\r\n", "413"),
        (
            "POST / HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n",
            "413",
        ),
        (&long, "431"),
    ] {
        let (line, _) = server.send(request.as_bytes());
        assert_eq!(line.split(' ').nth(1), Some(refusal), "{request}");
        server.said("REFUSED");
    }
    assert!(server.post(&cut).0.contains("400"));
    // None of them was counted: this is the one that it waits for.
    assert!(server.process.try_wait().unwrap().is_none());
    assert_eq!(status(&server.post(&body)), 0);
    let line = server.said("PAID");
    assert_eq!(line, format!("PAID 100 fen, order {number}."));
    assert!(server.process.wait().unwrap().success());
}

/// epay123 has no notifications, and the example says so before it waits for one.
#[test]
fn a_gateway_without_notifications_is_told_at_once() {
    let folder = TempFolder::new();
    let shop = Shop::at(Gateway::Epay123, Options::default());
    let output = build(&folder)
        .arg(conf_file(&shop))
        .arg("0")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("no notifications"), "{text}");
    let register = shop.register();
    register.call("verify_notify", &json!({})).expect(-3);
    register.raw("notify_reply", None, 1024).expect(-3);
}
