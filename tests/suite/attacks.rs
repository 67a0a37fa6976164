//! Hostile servers: what they answer costs nothing but the answer (`docs/security.md`).

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;

use crate::support::{Register, Shop, code, http_body, run};

/// A server without a gateway behind it: every connection's request is read, then `answer` has the
/// connection. Plain HTTP, which is allowed on loopback.
fn server(answer: impl Fn(TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = Arc::clone(&answer);
            std::thread::spawn(move || {
                http_body(&stream);
                answer(stream);
            });
        }
    });
    url
}

/// A register whose only domain is `url`.
fn register_at(shop: Shop, url: &str) -> (Shop, Register) {
    let shop = shop
        .common("domains", json!([url]))
        .common("request_timeout_ms", 1_500)
        .common("submit_window_ms", 1_000)
        .common("prober_dns", 0)
        .common("monitor", 0);
    let register = shop.register();
    (shop, register)
}

/// Pays at a server that answers nonsense: not known, whatever it says.
fn stays_unknown(url: &str) -> (Shop, Register) {
    let (shop, register) = register_at(Shop::open(), url);
    let number = shop.number();
    register.pay(&number, &code("000")).expect(0);
    register
        .begin_wait(&number, Duration::from_secs(4))
        .get()
        .expect(-2);
    register.query(&number).expect(-2);
    (shop, register)
}

/// Bytes of memory that the register's process has.
fn resident(register: &Register) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{}/statm", register.pid())).unwrap();
    statm.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[test]
fn endless_answers_are_cut() {
    let sent = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&sent);
    let url = server(move |mut stream| {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
        let chunk = format!("10000\r\n{}\r\n", "a".repeat(0x10000));
        let mut written = stream.write_all(head.as_bytes());
        while written.is_ok() {
            written = stream.write_all(chunk.as_bytes());
            counter.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        }
    });
    let (_shop, register) = stays_unknown(&url);
    assert!(
        sent.load(Ordering::Relaxed) > 8 << 20,
        "the limit was reached"
    );
    assert!(
        resident(&register) < 128 << 20,
        "{} bytes",
        resident(&register)
    );
}

#[test]
fn a_slow_server_holds_nobody() {
    let url = server(|mut stream| {
        let mut written = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n");
        while written.is_ok() {
            std::thread::sleep(Duration::from_millis(100));
            written = stream.write_all(b" ");
        }
    });
    let (_shop, register) = stays_unknown(&url);
    register.fini();
}

/// A hundred megabytes of zeros in a few hundred kilobytes: nothing is unpacked that nobody asked
/// to be packed.
#[test]
fn compressed_bombs_stay_packed() {
    let folder = crate::support::TempFolder::new();
    let file = folder.0.join("bomb.gz");
    run(Command::new("sh")
        .args(["-c", "head -c 104857600 /dev/zero | gzip -9 > \"$0\""])
        .arg(&file));
    let bomb = std::fs::read(&file).unwrap();
    let url = server(move |mut stream| {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
            bomb.len()
        );
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(&bomb);
    });
    let (_shop, register) = stays_unknown(&url);
    assert!(
        resident(&register) < 64 << 20,
        "{} bytes",
        resident(&register)
    );
}

/// A gateway's description can't write lines of its own into the log, nor colour a terminal.
#[test]
fn a_description_stays_one_line() {
    let url = server(|mut stream| {
        let content = json!({"status": 101, "log_id": 1, "internal_status": 0,
            "description": "no\r\n2026-01-01T00:00:00Z  INFO verdict state=\"paid\"\u{1b}[31m\u{202e}"});
        let body = json!({"response_content": content.to_string()}).to_string();
        let _ = write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
    });
    let (shop, register) = register_at(Shop::open(), &url);
    let number = shop.number();
    register.pay(&number, &code("000")).expect(0);
    let reply = register.wait(&number);
    assert_ne!(reply.code, 0);
    register.fini();
    let log = shop.log();
    assert!(log.contains("INFO verdict state="), "it was logged: {log}");
    for text in [&log, &reply.message()] {
        assert!(!text.contains('\u{1b}') && !text.contains('\r'), "{text}");
    }
    for line in log.lines() {
        assert!(!line.starts_with("2026-01-01"), "{line}");
    }
}

/// OpenSSL's test server with a certificate of its own kind; ends with the value.
struct TlsServer {
    process: Child,
    url: String,
}

impl TlsServer {
    fn start(folder: &Path, flags: &[&str]) -> Self {
        let mut process = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-www", "-cert"])
            .arg(folder.join("server.pem"))
            .arg("-key")
            .arg(folder.join("server.key"))
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It says ACCEPT and its address.
        let mut said = String::new();
        let out = process.stdout.as_mut().unwrap();
        let mut byte = [0];
        while !(said.contains("ACCEPT ") && said.ends_with('\n')) {
            assert_eq!(out.read(&mut byte).unwrap(), 1, "openssl said: {said}");
            said.push(char::from(byte[0]));
        }
        let port = said.trim().rsplit(':').next().unwrap();
        let url = format!("https://127.0.0.1:{port}");
        Self { process, url }
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A certificate for 127.0.0.1 by an authority of its own, `ca.pem`.
fn certificate(folder: &Path, days: &str) {
    let script = r#"set -e; cd "$0"
        openssl req -x509 -newkey rsa:2048 -nodes -days 10 -subj /CN=ca -keyout ca.key -out ca.pem
        openssl req -newkey rsa:2048 -nodes -subj /CN=x -keyout server.key -out server.csr
        printf 'subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' > ext
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -days "$1" -extfile ext -out server.pem"#;
    run(Command::new("sh")
        .args(["-c", script])
        .arg(folder)
        .arg(days));
}

/// The same server is spoken to when it is in order, and gets nothing when it isn't.
#[test]
fn old_tls_and_expired_certificates_get_nothing() {
    for (days, flags, words) in [
        ("10", &["-tls1_3"][..], None),
        ("10", &["-tls1_2"][..], None),
        (
            "10",
            &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"][..],
            Some("not sent"),
        ),
        ("-1", &["-tls1_3"][..], Some("not sent")),
    ] {
        let folder = crate::support::TempFolder::new();
        certificate(&folder.0, days);
        let server = TlsServer::start(&folder.0, flags);
        let shop = Shop::open().common("ca_file", json!(folder.0.join("ca.pem")));
        let (shop, register) = register_at(shop, &server.url);
        let number = shop.number();
        register.pay(&number, &code("000")).expect(0);
        let reply = register.begin_wait(&number, Duration::from_secs(4)).get();
        match words {
            // It speaks no protocol of ours: nothing is known.
            None => assert_eq!(reply.code, -2, "{flags:?}: {}", reply.message()),
            Some(words) => {
                assert_eq!(reply.code, -1, "{flags:?}: {}", reply.message());
                assert!(reply.message().contains(words), "{}", reply.message());
            }
        }
    }
}
