//! An odd gateway: real TLS, the real protocols, and answers that each test decides order by order.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use cloudpay_sandbox::Merchant;
use hmac::{Hmac, Mac};
use md5::{Digest, Md5};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Map, Value, json};
use sha2::Sha256;

use crate::support::{Gateway, Register, Reply, TempFolder};

/// What a register asks for, at either gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Pay,
    Query,
    Reverse,
    Close,
    Refund,
    QueryRefund,
    Other,
}

/// How an order stands. Numbers differ by gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Paying,
    Waiting,
    Paid,
    Failed,
    Closed,
    Reversed,
    Refunded,
}

/// How a refund stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refunding {
    Processing,
    Success,
    Failed,
}

/// What a connection gets.
pub enum Answer {
    /// A body, with status 200 and a `Date`.
    Body(Value),
    /// Nothing: the connection ends.
    Cut,
    /// The first half of a body: the connection ends.
    Half(Value),
    /// A proxy's 502, by a clock that is so many seconds ahead of the gateway's.
    BadGateway(i64),
    /// Later.
    Late(Duration, Box<Answer>),
}

/// A request, as a script sees it.
pub struct Ask {
    pub what: What,
    /// The order's number, where the request names one.
    pub number: String,
    /// The refund's number, where the request names one.
    pub refund: String,
    /// Counts the requests of this kind about this number at this domain: 1, 2, …
    pub nth: usize,
    /// Since the test wrote the script for this number.
    pub age: Duration,
    /// What the register sent.
    pub content: Value,
    /// The payment request about this number, and when it came by the gateway's clock, in ms.
    made: Option<(Value, i64)>,
    now_ms: i64,
    gateway: Gateway,
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Heard {
    pub at: Instant,
    pub what: What,
    pub number: String,
    /// SHA-256 of the body.
    pub digest: String,
    pub content: Value,
}

type Script = Box<dyn FnMut(&Ask) -> Answer + Send>;

/// An answer that is the same however often it is asked for.
pub type Reaction = fn(&Ask) -> Answer;

/// What several domains of one gateway know together: the payments that came.
type Book = Arc<Mutex<HashMap<String, (Value, i64)>>>;

struct Shared {
    gateway: Gateway,
    scripts: Mutex<HashMap<String, (Instant, Script)>>,
    book: Book,
    heard: Mutex<Vec<Heard>>,
    /// How far the gateway's clock is ahead, in seconds.
    ahead: AtomicI64,
    /// Whether answers say what the gateway's clock says.
    dated: AtomicBool,
    up: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
    address: SocketAddr,
}

/// One domain of an odd gateway.
pub struct Odd(Arc<Shared>);

impl Odd {
    pub fn start(gateway: Gateway) -> Self {
        Self::with(gateway, Book::default())
    }

    /// Another domain of the same gateway, with scripts of its own.
    pub fn sibling(&self) -> Self {
        Self::with(self.0.gateway, Arc::clone(&self.0.book))
    }

    fn with(gateway: Gateway, book: Book) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let shared = Arc::new(Shared {
            gateway,
            scripts: Mutex::default(),
            book,
            heard: Mutex::default(),
            ahead: AtomicI64::new(0),
            dated: AtomicBool::new(true),
            up: AtomicBool::new(true),
            connections: Mutex::default(),
            address: listener.local_addr().unwrap(),
        });
        listen(Arc::clone(&shared), listener);
        Self(shared)
    }

    pub fn url(&self) -> String {
        format!("https://{}", self.0.address)
    }

    /// What is answered about this order from now on. Other numbers are unknown here.
    pub fn on(&self, number: &str, script: impl FnMut(&Ask) -> Answer + Send + 'static) {
        let script: Script = Box::new(script);
        lock(&self.0.scripts).insert(number.to_owned(), (Instant::now(), script));
    }

    pub fn set_clock(&self, seconds_ahead: i64) {
        self.0.ahead.store(seconds_ahead, Ordering::Relaxed);
    }

    /// Answers come without a `Date` from now on.
    pub fn hide_clock(&self) {
        self.0.dated.store(false, Ordering::Relaxed);
    }

    /// Nobody listens any more, and no connection is left.
    pub fn go_away(&self) {
        self.0.up.store(false, Ordering::SeqCst);
        // Wakes the thread that accepts; it closes the listener.
        while TcpStream::connect(self.0.address).is_ok() {
            std::thread::yield_now();
        }
        for connection in lock(&self.0.connections).drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Listens again, at the same address.
    pub fn come_back(&self) {
        self.0.up.store(true, Ordering::SeqCst);
        let listener = TcpListener::bind(self.0.address).unwrap();
        listen(Arc::clone(&self.0), listener);
    }

    /// All requests of this kind about this order, in their order.
    pub fn heard(&self, what: What, number: &str) -> Vec<Heard> {
        lock(&self.0.heard)
            .iter()
            .filter(|heard| heard.what == what && heard.number == number)
            .cloned()
            .collect()
    }

    pub fn count(&self, what: What, number: &str) -> usize {
        self.heard(what, number).len()
    }

    /// How often somebody wanted this order reversed or closed.
    pub fn taken_back(&self, number: &str) -> usize {
        self.count(What::Reverse, number) + self.count(What::Close, number)
    }
}

impl Drop for Odd {
    fn drop(&mut self) {
        self.go_away();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

fn listen(shared: Arc<Shared>, listener: TcpListener) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            if !shared.up.load(Ordering::SeqCst) {
                return;
            }
            let Ok(stream) = stream else { continue };
            lock(&shared.connections).push(stream.try_clone().unwrap());
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || {
                // It ends when either side ends it.
                let _ = serve(&shared, stream);
            });
        }
    });
}

fn serve(shared: &Shared, stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let tls = ServerConnection::new(Arc::clone(&tls().0)).unwrap();
    let mut stream = BufReader::new(StreamOwned::new(tls, stream));
    loop {
        let mut first = String::new();
        if stream.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut length = 0;
        let mut line = String::new();
        while stream.read_line(&mut line)? > 2 {
            let lower = line.to_ascii_lowercase();
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body)?;
        let mut answer = shared.answer(&path, &body);
        while let Answer::Late(wait, later) = answer {
            std::thread::sleep(wait);
            answer = *later;
        }
        let body = match answer {
            Answer::Body(body) => body.to_string().into_bytes(),
            Answer::Half(body) => {
                let body = body.to_string();
                let half = &body.as_bytes()[..body.len() / 2];
                send(stream.get_mut(), "200 OK", shared.date(), body.len(), half)?;
                return stream.get_mut().sock.shutdown(Shutdown::Both);
            }
            Answer::BadGateway(ahead) => {
                let date = date_line(shared.now_plus(ahead));
                send(stream.get_mut(), "502 Bad Gateway", date, 5, b"proxy")?;
                continue;
            }
            Answer::Cut | Answer::Late(..) => {
                return stream.get_mut().sock.shutdown(Shutdown::Both);
            }
        };
        send(stream.get_mut(), "200 OK", shared.date(), body.len(), &body)?;
    }
}

fn send(
    to: &mut impl Write,
    status: &str,
    date: String,
    length: usize,
    body: &[u8],
) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{date}\
         content-length: {length}\r\n\r\n"
    );
    to.write_all(&[head.as_bytes(), body].concat())?;
    to.flush()
}

fn date_line(time: SystemTime) -> String {
    format!("date: {}\r\n", httpdate::fmt_http_date(time))
}

impl Shared {
    /// The header that tells the gateway's clock.
    fn date(&self) -> String {
        if self.dated.load(Ordering::Relaxed) {
            date_line(self.now())
        } else {
            String::new()
        }
    }

    fn now(&self) -> SystemTime {
        self.now_plus(0)
    }

    fn now_plus(&self, seconds: i64) -> SystemTime {
        let ahead = self.ahead.load(Ordering::Relaxed) + seconds;
        let by = Duration::from_secs(ahead.unsigned_abs());
        if ahead < 0 {
            SystemTime::now() - by
        } else {
            SystemTime::now() + by
        }
    }

    fn answer(&self, path: &str, body: &[u8]) -> Answer {
        let content = self.content(body);
        let what = match path
            .trim_start_matches("/cpay/")
            .trim_start_matches("/api/")
        {
            "micro_pay" | "scan_code_pay" | "pay/unifiedOrder" => What::Pay,
            "query_order" | "pay/query" => What::Query,
            "reverse" => What::Reverse,
            "close_order" | "pay/close" => What::Close,
            "refund" | "refund/refundOrder" => What::Refund,
            "query_refund_order" | "refund/query" => What::QueryRefund,
            _ => What::Other,
        };
        let text = |pointers: [&str; 3]| {
            let found = pointers.iter().find_map(|at| content.pointer(at)?.as_str());
            found.unwrap_or_default().to_owned()
        };
        let refund = text([
            "/refund_content/out_refund_no",
            "/out_refund_no",
            "/mchRefundNo",
        ]);
        let mut number = text(["/pay_content/out_trade_no", "/out_trade_no", "/mchOrderNo"]);
        if number.is_empty() {
            number = text(["/refund_content/out_trade_no", "", ""]);
        }
        if number.is_empty() && what == What::QueryRefund {
            number = self.order_of(&refund);
        }
        let now = self.now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let now_ms = i64::try_from(now.as_millis()).unwrap();
        if what == What::Pay {
            let made = (content.clone(), now_ms);
            lock(&self.book).entry(number.clone()).or_insert(made);
        }
        let nth = {
            let mut heard = lock(&self.heard);
            heard.push(Heard {
                at: Instant::now(),
                what,
                number: number.clone(),
                digest: format!("{:x}", Sha256::digest(body)),
                content: content.clone(),
            });
            let same = |heard: &&Heard| heard.what == what && heard.number == number;
            heard.iter().filter(same).count()
        };
        let mut scripts = lock(&self.scripts);
        let script = scripts.get_mut(&number);
        let ask = Ask {
            what,
            made: lock(&self.book).get(&number).cloned(),
            number,
            refund,
            nth,
            age: script
                .as_ref()
                .map(|known| known.0.elapsed())
                .unwrap_or_default(),
            content,
            now_ms,
            gateway: self.gateway,
        };
        match script {
            Some((_, script)) => script(&ask),
            None => ask.missing(),
        }
    }

    /// The order of a refund, where only the refund is named.
    fn order_of(&self, refund: &str) -> String {
        lock(&self.heard)
            .iter()
            .find(|heard| {
                let named = ["/refund_content/out_refund_no", "/mchRefundNo"];
                heard.what == What::Refund
                    && named
                        .iter()
                        .any(|at| heard.content.pointer(at).is_some_and(|no| no == refund))
            })
            .map(|heard| heard.number.clone())
            .unwrap_or_default()
    }

    fn content(&self, body: &[u8]) -> Value {
        let outer: Value = serde_json::from_slice(body).unwrap_or_default();
        match outer["request_content"].as_str() {
            Some(content) => serde_json::from_str(content).unwrap(),
            None => outer,
        }
    }
}

/// What an answer shows of an order, before it is signed.
pub struct Shown {
    content: Value,
    what: What,
    gateway: Gateway,
}

impl Shown {
    /// Sets what the JSON pointer names; `null` takes it out.
    pub fn set(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = self
            .content
            .pointer_mut(parent)
            .and_then(Value::as_object_mut);
        if let Some(parent) = parent {
            match value.into() {
                Value::Null => parent.remove(key),
                value => parent.insert(key.to_owned(), value),
            };
        }
        self
    }

    /// Takes out all by which a register could know its order.
    pub fn unmarked(self) -> Self {
        match self.gateway {
            Gateway::CloudPay => self
                .set("/order_client", Value::Null)
                .set("/order_content/author_code", Value::Null)
                .set("/order_content/wxpay_order_content_ext/attach", Value::Null),
            Gateway::Epay123 => ["extParam", "subject", "body", "clientIp", "createdAt"]
                .iter()
                .fold(self, |shown, key| {
                    shown.set(&format!("/{key}"), Value::Null)
                }),
        }
    }

    /// The order of another register: made ten minutes ago, by another till, with another code.
    pub fn of_another(self) -> Self {
        match self.gateway {
            Gateway::CloudPay => {
                let shown = self
                    .set("/order_client/device_id", "another")
                    .set("/order_client/machine_no", "00-00-00-00-00-01")
                    .set("/order_content/wxpay_order_content_ext/attach", OTHER_MARK);
                let scanned = shown
                    .content
                    .pointer("/order_content/author_code")
                    .is_some();
                if scanned {
                    shown.set("/order_content/author_code", OTHER_CODE)
                } else {
                    shown
                }
            }
            Gateway::Epay123 => {
                let created = self.content["createdAt"].as_i64().unwrap_or_default();
                self.set("/extParam", OTHER_MARK)
                    .set("/subject", "coffee")
                    .set("/body", "coffee")
                    .set("/createdAt", created - 600_000)
            }
        }
    }

    /// The authentic answer.
    pub fn signed(self) -> Answer {
        Answer::Body(match self.gateway {
            Gateway::CloudPay => {
                let key = match self.what {
                    What::Pay => "micro_pay",
                    What::Query => "query_order",
                    What::Reverse => "reverse",
                    What::Close => "close_order",
                    What::Refund => "refund",
                    What::QueryRefund | What::Other => "query_refund_order",
                };
                let key = match self.content.get("code_url") {
                    Some(_) => "scan_code_pay",
                    None => key,
                };
                let mut status = status(0, 0, "ok");
                status[key] = self.content;
                envelope(&status, true)
            }
            Gateway::Epay123 => {
                let sign = epay123_sign(self.content.as_object().unwrap());
                json!({"code": 0, "msg": "SUCCESS", "data": self.content, "sign": sign})
            }
        })
    }
}

/// A payment code, and the mark of a payment, that no test gives or gets.
pub const OTHER_CODE: &str = "149999999999999999";
pub const OTHER_MARK: &str = "00000000deadbeef";

impl Ask {
    pub fn is_cloudpay(&self) -> bool {
        self.gateway == Gateway::CloudPay
    }

    fn is_wechat(&self) -> bool {
        self.made
            .as_ref()
            .is_none_or(|(sent, _)| sent["pay_mch_key"]["pay_platform"] != 2)
    }

    /// The payment request about this number.
    pub fn sent(&self) -> &Value {
        self.made.as_ref().map_or(&Value::Null, |made| &made.0)
    }

    /// When the payment came, by the gateway's clock, in ms.
    pub fn made_ms(&self) -> i64 {
        self.made.as_ref().map_or(self.now_ms, |made| made.1)
    }

    /// The order in this state, with all that was sent with it, as the answer to a query or a
    /// payment shows it.
    pub fn order(&self, state: State) -> Shown {
        let sent = self.sent();
        let content = match (self.gateway, self.what) {
            (Gateway::CloudPay, _) => self.cloudpay_order(sent, state),
            (Gateway::Epay123, What::Pay) => self.epay123_made(sent, state),
            (Gateway::Epay123, _) => self.epay123_order(sent, state),
        };
        Shown {
            content,
            what: self.what,
            gateway: self.gateway,
        }
    }

    fn cloudpay_order(&self, sent: &Value, state: State) -> Value {
        let asked = &sent["pay_content"];
        let scanned = asked.get("author_code").is_some();
        if self.what == What::Pay && state == State::Waiting {
            return json!({"nonce_str": nonce(), "code_url": self.code_url()});
        }
        let number = match (self.is_wechat(), state) {
            (true, State::Paying) => 9,
            (true, State::Waiting) => 6,
            (true, State::Paid) => {
                if scanned {
                    2
                } else {
                    3
                }
            }
            (true, State::Failed) => 10,
            (true, State::Closed) => 7,
            (true, State::Reversed) => 8,
            (true, State::Refunded) => 4,
            (false, State::Paying) => 1,
            (false, State::Waiting) => 4,
            (false, State::Paid) => 2,
            (false, _) => 5,
        };
        let mut content = json!({
            "out_trade_no": self.number,
            "trade_type": if scanned { 1 } else { 2 },
            "nonce_str": nonce(),
            "create_time": self.made_ms() / 1000,
            "last_update_time": self.now_ms / 1000,
            "total_fee": asked.get("total_fee").cloned().unwrap_or(json!(100)),
            "fee_type": "CNY",
            "body": asked["body"],
        });
        if scanned {
            content["author_code"] = asked["author_code"].clone();
        } else if state == State::Waiting {
            content["code_url"] = self.code_url().into();
        }
        if matches!(state, State::Paid | State::Refunded) {
            content["transaction_id"] = json!("4200000000202611270000000001");
            content["time_end"] = json!(self.made_ms() / 1000);
        }
        let mut ext = json!({"current_trade_state": number});
        if let Some(attach) = asked.pointer("/wxpay_pay_content_ext/attach") {
            ext["attach"] = attach.clone();
        }
        let platform = if self.is_wechat() { "wxpay" } else { "alipay" };
        content[format!("{platform}_order_content_ext")] = ext;
        let mut part = json!({
            "nonce_str": nonce(),
            "pay_mch_key": sent["pay_mch_key"],
            "order_content": content,
        });
        if self.what == What::Query {
            part["order_client"] = sent["order_client"].clone();
        }
        part
    }

    fn epay123_made(&self, sent: &Value, state: State) -> Value {
        let shown = sent["wayCode"] != "AUTO_BAR";
        json!({
            "payOrderId": format!("P{}", self.number),
            "mchOrderNo": self.number,
            "orderState": epay123_state(state),
            "payDataType": if shown { "codeUrl" } else { "none" },
            "payData": if shown { self.code_url() } else { String::new() },
        })
    }

    fn epay123_order(&self, sent: &Value, state: State) -> Value {
        let mut order = json!({
            "payOrderId": format!("P{}", self.number),
            "mchOrderNo": self.number,
            "ifCode": "wxpay",
            "wayCode": "WX_BAR",
            "amount": sent.get("amount").cloned().unwrap_or(json!(100)),
            "currency": "cny",
            "state": epay123_state(state),
            "createdAt": self.made_ms(),
        });
        for key in ["mchNo", "appId", "clientIp", "subject", "body", "extParam"] {
            if let Some(value) = sent.get(key) {
                order[key] = value.clone();
            }
        }
        if matches!(state, State::Paid | State::Refunded) {
            order["channelOrderNo"] = json!("4200000000202611270000000001");
            order["successTime"] = json!(self.made_ms());
        }
        order
    }

    /// The text of the QR code that this gateway gives for the order.
    pub fn code_url(&self) -> String {
        format!("weixin://wxpay/bizpayurl?pr={}", self.number)
    }

    /// "No such order", or no such refund.
    pub fn missing(&self) -> Answer {
        self.refused(match self.what {
            What::QueryRefund => "退款单不存在",
            _ => "订单不存在",
        })
    }

    /// A refusal for good: signed, where the gateway signs refusals.
    pub fn refused(&self, words: &str) -> Answer {
        match self.gateway {
            Gateway::CloudPay => self.status(104, 0, words),
            Gateway::Epay123 => self.unsigned(words),
        }
    }

    /// The first half of a refusal.
    pub fn half_refused(&self, words: &str) -> Answer {
        match self.refused(words) {
            Answer::Body(body) => Answer::Half(body),
            whole => whole,
        }
    }

    /// A refusal that nobody signed.
    pub fn unsigned(&self, words: &str) -> Answer {
        Answer::Body(match self.gateway {
            Gateway::CloudPay => envelope(&status(101, 0, words), false),
            Gateway::Epay123 => json!({"code": 9999, "msg": words}),
        })
    }

    /// A signed status of cloud pay.
    pub fn status(&self, number: i64, internal: i64, words: &str) -> Answer {
        Answer::Body(envelope(&status(number, internal, words), true))
    }

    /// "This number is another payment."
    pub fn taken(&self) -> Answer {
        match self.gateway {
            Gateway::CloudPay => self.status(104, 407, "订单号重复"),
            Gateway::Epay123 => self.unsigned(&format!("商户订单[{}]已存在", self.number)),
        }
    }

    /// What a reverse or a close is answered with when it was done. It names no order.
    pub fn done(&self) -> Answer {
        let content = match self.gateway {
            Gateway::CloudPay => json!({"nonce_str": nonce()}),
            Gateway::Epay123 => json!({}),
        };
        Shown {
            content,
            what: self.what,
            gateway: self.gateway,
        }
        .signed()
    }

    /// The refund asked for or about, of this amount and in this state.
    pub fn refunding(&self, fee: i64, state: Refunding) -> Answer {
        match self.gateway {
            Gateway::CloudPay if self.what == What::QueryRefund => {
                self.refund_list(&[(&self.refund, fee, state)])
            }
            Gateway::CloudPay => self.part(json!({
                "nonce_str": nonce(),
                "refund_order_content": self.refund_content(&self.refund, fee, state),
            })),
            Gateway::Epay123 => self.part(json!({
                "refundOrderId": format!("R{}", self.refund),
                "mchRefundNo": self.refund,
                "payAmount": 100,
                "refundAmount": fee,
                "currency": "cny",
                "state": match state {
                    Refunding::Processing => 1,
                    Refunding::Success => 2,
                    Refunding::Failed => 3,
                },
            })),
        }
    }

    /// Cloud pay's list of an order's refunds.
    pub fn refund_list(&self, refunds: &[(&str, i64, Refunding)]) -> Answer {
        let list: Vec<Value> = refunds
            .iter()
            .map(|(number, fee, state)| self.refund_content(number, *fee, *state))
            .collect();
        self.part(json!({"nonce_str": nonce(), "refund_order_content": list}))
    }

    fn refund_content(&self, number: &str, fee: i64, state: Refunding) -> Value {
        let state = match state {
            Refunding::Processing => 4,
            Refunding::Success => 2,
            Refunding::Failed => 3,
        };
        let mut content = json!({
            "out_refund_no": number,
            "out_trade_no": self.number,
            "refund_id": format!("R{number}"),
            "total_fee": 100,
            "refund_fee": fee,
            "refund_fee_type": "CNY",
            "create_time": self.now_ms / 1000,
        });
        let (name, ext) = if self.is_wechat() {
            ("wxpay_refund_order_content_ext", json!({"state": state}))
        } else {
            (
                "alipay_refund_order_content_ext",
                json!({"refund_status": state}),
            )
        };
        content[name] = ext;
        content
    }

    fn part(&self, content: Value) -> Answer {
        Shown {
            content,
            what: self.what,
            gateway: self.gateway,
        }
        .signed()
    }

    /// The amount of the refund that is asked for.
    pub fn refund_fee(&self) -> i64 {
        let cloudpay = &self.content["refund_content"]["refund_fee"];
        cloudpay
            .as_i64()
            .or(self.content["refundAmount"].as_i64())
            .unwrap()
    }
}

fn epay123_state(state: State) -> i64 {
    match state {
        State::Paying | State::Waiting => 1,
        State::Paid => 2,
        State::Failed => 3,
        State::Reversed => 4,
        State::Refunded => 5,
        State::Closed => 6,
    }
}

fn status(number: i64, internal: i64, words: &str) -> Value {
    json!({"status": number, "internal_status": internal, "description": words, "log_id": 7})
}

fn envelope(content: &Value, signed: bool) -> Value {
    let text = content.to_string();
    if !signed {
        return json!({"response_content": text});
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(Merchant::TEST.authen_key.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    let code = format!("{:X}", mac.finalize().into_bytes());
    json!({
        "response_content": text,
        "authen_info": {"a": {"authen_type": 1, "authen_code": code}},
    })
}

/// The protocol's signature: MD5 over the pairs that aren't empty, sorted without regard to case.
fn epay123_sign(data: &Map<String, Value>) -> String {
    let mut pairs: Vec<String> = data
        .iter()
        .filter_map(|(key, value)| match value {
            Value::Null => None,
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(format!("{key}={text}&")),
            other => Some(format!("{key}={other}&")),
        })
        .collect();
    pairs.sort_by_key(|pair| pair.to_lowercase());
    let text = format!("{}key={}", pairs.concat(), Merchant::TEST.app_secret);
    format!("{:X}", Md5::digest(text))
}

fn nonce() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    format!("{:032X}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// TLS for 127.0.0.1, and the authority that a register has to trust for it.
fn tls() -> &'static (Arc<ServerConfig>, String) {
    static TLS: OnceLock<(Arc<ServerConfig>, String)> = OnceLock::new();
    TLS.get_or_init(|| {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        authority
            .distinguished_name
            .push(DnType::CommonName, "authority of the odd gateway");
        let key = KeyPair::generate().unwrap();
        let file = authority.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(authority, key);
        let mut server = CertificateParams::default();
        server
            .subject_alt_names
            .push(SanType::IpAddress(Ipv4Addr::LOCALHOST.into()));
        server
            .distinguished_name
            .push(DnType::CommonName, "odd gateway");
        let key = KeyPair::generate().unwrap();
        let certificate = server.signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        (Arc::new(config), file)
    })
}

/// A register's place: its files and its configuration.
pub struct Till {
    _folder: TempFolder,
    pub conf: Value,
}

impl Till {
    /// For a register whose domains are these.
    pub fn at(domains: &[&Odd]) -> Self {
        let folder = TempFolder::new();
        let ca_file = folder.0.join("ca.pem");
        std::fs::write(&ca_file, &tls().1).unwrap();
        let merchant = Merchant::TEST;
        let (name, trade) = match domains[0].0.gateway {
            Gateway::CloudPay => (
                "cloudpay",
                json!({
                    "out_mch_id": merchant.out_mch_id,
                    "out_sub_mch_id": merchant.out_sub_mch_id,
                    "out_shop_id": merchant.out_shop_id,
                    "authen_type": 1,
                    "authen_key": merchant.authen_key,
                    "device_id": "till 7",
                    "machine_no": "00-00-00-00-00-07",
                    "staff_id": "1003",
                }),
            ),
            Gateway::Epay123 => (
                "epay123",
                json!({
                    "mch_no": merchant.mch_no,
                    "app_id": merchant.app_id,
                    "app_secret": merchant.app_secret,
                    "device_id": "till 7",
                    "machine_no": "00-00-00-00-00-07",
                    "staff_id": "1003",
                }),
            ),
        };
        let urls: Vec<String> = domains.iter().map(|domain| domain.url()).collect();
        let conf = json!({
            "common_conf": {
                "gateway": name,
                "domains": urls,
                "ca_file": ca_file,
                "journal_path": folder.0.join("register.journal"),
                "log_path": folder.0.join("log"),
                "log_level": "debug",
                "language": "en",
                "connect_timeout_ms": 1000,
                "prober_dns": 0,
                "monitor": 0,
            },
            "trade_conf": trade,
        });
        Self {
            _folder: folder,
            conf,
        }
    }

    pub fn common(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.conf["common_conf"][key] = value.into();
        self
    }

    pub fn trade(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.conf["trade_conf"][key] = value.into();
        self
    }

    /// Another till with a journal in memory, configured alike.
    pub fn forgetful(&self) -> Self {
        let conf = self.conf.clone();
        let till = Self {
            _folder: TempFolder::new(),
            conf,
        };
        till.common("journal_path", ":memory:")
            .common("log_path", "off")
    }

    /// A register process, initialised.
    pub fn register(&self) -> Register {
        let register = Register::start();
        register.init(&self.conf);
        register
    }

    pub fn journal(&self) -> &Path {
        Path::new(self.conf["common_conf"]["journal_path"].as_str().unwrap())
    }
}

/// An order number that nobody had before.
pub fn number() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    format!("odd{:09}", COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Waits until the register hears something else than -2 of an order, or for so long.
#[track_caller]
pub fn settled(register: &Register, number: &str, within: Duration) -> Reply {
    let deadline = Instant::now() + within;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let part = left.min(Duration::from_secs(45));
        let reply = register.begin_wait(number, part).get();
        if reply.code != -2 || left.is_zero() {
            return reply;
        }
    }
}

/// A payment that stays under way: waiting for it is how time passes for the register.
pub fn clock(odd: &Odd, register: &Register) -> String {
    let number = number();
    odd.on(&number, |ask| ask.order(State::Paying).signed());
    register.pay(&number, &crate::support::code("0")).expect(0);
    number
}

/// Lets so much time pass.
#[track_caller]
pub fn pass(register: &Register, clock: &str, time: Duration) {
    settled(register, clock, time).expect(-2);
}

/// Waits until the QR code of an order is ready, it is over, or for so long.
#[track_caller]
pub fn shown(register: &Register, number: &str, within: Duration) -> Reply {
    let request = json!({"out_trade_no": number, "until": "code_ready"}).to_string();
    let timeout = i64::try_from(within.as_millis()).unwrap();
    register
        .begin("wait_order", Some(request.as_bytes()), 16_384, timeout)
        .get()
}

/// `cancel_order` for an order of either kind.
#[track_caller]
pub fn cancel(register: &Register, number: &str) -> Reply {
    register.call("cancel_order", &json!({"out_trade_no": number}))
}

/// What `pending_orders` says of an order; `null` when it isn't listed.
#[track_caller]
pub fn pending(register: &Register, number: &str) -> Value {
    let list = register
        .raw("pending_orders", None, 65_536)
        .expect(0)
        .json();
    let mut orders = list["orders"].as_array().unwrap().iter();
    orders
        .find(|order| order["out_trade_no"] == number)
        .cloned()
        .unwrap_or_default()
}

/// What the callback of a register has told. The register has to have one set.
#[derive(Default)]
pub struct Told(Vec<(String, i32, Value)>);

impl Told {
    /// The codes told of an order so far, in their order.
    pub fn of(&mut self, register: &Register, number: &str) -> Vec<i32> {
        while let Ok(news) = register.news().try_recv() {
            self.keep(news);
        }
        let about = self.0.iter().filter(|told| told.0 == number);
        about.map(|told| told.1).collect()
    }

    /// Waits until this is the last code told of an order, and gives the order told with it.
    #[track_caller]
    pub fn until(
        &mut self,
        register: &Register,
        number: &str,
        code: i32,
        within: Duration,
    ) -> Value {
        let deadline = Instant::now() + within;
        loop {
            let codes = self.of(register, number);
            if codes.last() == Some(&code) {
                let last = self.0.iter().rfind(|told| told.0 == number).unwrap();
                return last.2.clone();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let news = register.news().recv_timeout(left);
            let news = news.unwrap_or_else(|_| panic!("{number}: {code} never came: {codes:?}"));
            self.keep(news);
        }
    }

    fn keep(&mut self, news: crate::register::News) {
        let order = serde_json::from_str(&news.text).unwrap_or_default();
        self.0.push((news.number, news.code, order));
    }
}
