//! `CloudPayConf`, the JSON that `cloud_pay_init` takes: parsing, defaults, validation.

use std::fmt;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::charset::{self, Charset};
use crate::fields::Fields;
use crate::gateway::cloudpay::SigningKey;
use crate::model::MAX_TRADE_NO;
use crate::text::{Language, Text, text};

/// The gateway's domains, in order of preference, as its manual lists them.
const CLOUDPAY_DOMAINS: [&str; 4] = [
    "https://pay.qcloud.com",
    "https://sz.pay.qcloud.com",
    "https://sh.pay.qcloud.com",
    "https://tj.pay.qcloud.com",
];

/// A text that never shows in `Debug` and is wiped from memory when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a secret.
    pub fn new(value: String) -> Self {
        Self(Zeroizing::new(value))
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// An application at the epay123 gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpayKeys {
    /// The merchant's number.
    pub mch_no: String,
    /// The application.
    pub app_id: String,
    /// What it signs with.
    pub app_secret: Secret,
}

/// Which gateway is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatewayConfig {
    /// Tencent's cloud pay.
    CloudPay,
    /// epay123, or another one built on Jeepay.
    Epay123(EpayKeys),
}

/// What becomes of an order whose poll window ends without a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnTimeout {
    /// It stays unknown and is reconciled slowly.
    Leave,
    /// It is reversed, under the guards of `lifecycle.md`.
    Reverse,
}

/// How an order is polled: `count` x `interval` is the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polling {
    /// Queries in the window.
    pub count: u32,
    /// The slowest rhythm of queries.
    pub interval: Duration,
}

impl Polling {
    /// How long an order is polled before it counts as timed out.
    pub fn window(&self) -> Duration {
        self.interval.saturating_mul(self.count)
    }
}

/// How much the log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Only what went wrong.
    Error,
    /// And what is odd.
    Warn,
    /// And every payment's steps: the default.
    Info,
    /// And every exchange with the gateway.
    Debug,
}

/// The merchant's side of a payment: `trade_conf`.
#[derive(Clone, Debug, PartialEq)]
pub struct Merchant {
    /// The service provider's account.
    pub out_mch_id: String,
    /// The sub-merchant's account.
    pub out_sub_mch_id: String,
    /// The shop's account.
    pub out_shop_id: String,
    /// This register.
    pub device_id: String,
    /// The cashier.
    pub staff_id: Option<String>,
    /// The key of the authentication code (HMAC-SHA256).
    pub authen_key: Secret,
    /// The key that signs refunds; without it they carry an authentication code.
    pub private_key: Option<SigningKey>,
    /// Whether reverse is signed with the private key instead (`reverse_auth: "sign"`).
    pub sign_reverse: bool,
    /// What the numbers of payments and refunds have to begin with (`cloud_cashier_id`): one of
    /// these. The first is that of numbers made here. None: anything.
    pub order_prefixes: Vec<String>,
    /// This machine: its first MAC address unless given.
    pub machine_no: String,
    /// This machine's address as the gateway should record it.
    pub spbill_create_ip: String,
    /// The register's brand, a number that the gateway gives out.
    pub sub_terminal_type: Option<i64>,
    /// The device's serial number.
    pub sn_code: Option<String>,
}

/// The whole configuration. Two equal ones run the same library.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Which gateway.
    pub gateway: GatewayConfig,
    /// The merchant's side.
    pub merchant: Merchant,
    /// Base URLs in order of preference, without a trailing slash.
    pub domains: Vec<String>,
    /// The only trusted root certificates (PEM); `None`: the bundled Mozilla roots.
    pub ca_pem: Option<Vec<u8>>,
    /// `http://[user:pass@]host:port` or `socks5://…`.
    pub proxy: Option<Secret>,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest exchange with one domain, connection included.
    pub request_timeout: Duration,
    /// Threads that talk to the gateway.
    pub worker_threads: usize,
    /// Polling of micro_pay orders.
    pub micro_pay_polling: Polling,
    /// Polling of scan_code_pay orders.
    pub scan_code_pay_polling: Polling,
    /// Whether domains are probed at start and a warm connection is kept.
    pub probe: bool,
    /// The journal's file; `None`: in memory only.
    pub journal_path: Option<PathBuf>,
    /// The folder of the log; `None`: no log.
    pub log_path: Option<PathBuf>,
    /// How much the log says.
    pub log_level: LogLevel,
    /// Daily log files kept.
    pub log_keep_days: usize,
    /// Whether monitor data are uploaded.
    pub monitor: bool,
    /// The register's character set.
    pub charset: Charset,
    /// Whether all output is pure ASCII (`\uXXXX`).
    pub ascii_output: bool,
    /// The language of our own messages.
    pub language: Language,
    /// How long an order that provably never left the machine is tried.
    pub submit_window: Duration,
    /// What happens when the poll window ends.
    pub on_timeout: OnTimeout,
    /// No reverse sooner than this after the last pay request.
    pub reverse_after: Duration,
    /// How long `fini` lets requests end before it cuts them.
    pub fini_timeout: Duration,
}

/// A configuration that was read, with what the log should say about it.
#[derive(Debug)]
pub struct Parsed {
    /// The configuration.
    pub config: Config,
    /// Keys that mean nothing to us: accepted, and logged once.
    pub unknown_keys: Vec<String>,
}

/// Why a configuration was refused, and in which language to say so.
#[derive(Debug)]
pub struct Refused {
    /// The reason; it names the key.
    pub reason: Text,
    /// The language asked for; `None` when it couldn't be read.
    pub language: Option<Language>,
    /// The character set asked for, as far as it could be read.
    pub charset: Charset,
    /// Whether it is to be said in ASCII alone, as far as it could be read.
    pub ascii_output: bool,
}

impl Config {
    /// Reads a `CloudPayConf` from the register's bytes: UTF-8, or GBK that says so.
    pub fn parse(bytes: &[u8]) -> Result<Parsed, Refused> {
        let refuse = |reason, language, charset| Refused {
            reason,
            language,
            charset,
            ascii_output: false,
        };
        let (json, written_in) =
            charset::decode_unknown(bytes).map_err(|reason| refuse(reason, None, Charset::Utf8))?;
        // The keys are in it.
        let json = Zeroizing::new(json);
        let mut root = Fields::parse(&json).map_err(|reason| refuse(reason, None, written_in))?;
        let mut common = root
            .object("common_conf", "common_conf.")
            .map_err(|reason| refuse(reason, None, written_in))?;
        let language = common
            .choice("language", &[("zh", Language::Zh), ("en", Language::En)])
            .map_err(|reason| refuse(reason, None, written_in))?
            .unwrap_or_default();
        let charset = common
            .choice(
                "charset",
                &[("utf-8", Charset::Utf8), ("gbk", Charset::Gbk)],
            )
            .map_err(|reason| refuse(reason, Some(language), written_in))?
            .unwrap_or_default();
        let ascii_output = common
            .switch("ascii_output")
            .map_err(|reason| refuse(reason, Some(language), charset))?
            .unwrap_or(false);
        let refuse = |reason, language, charset| Refused {
            ascii_output,
            ..refuse(reason, language, charset)
        };
        if written_in == Charset::Gbk && charset != Charset::Gbk {
            return Err(refuse(
                text!(
                    "common_conf.charset：配置文本是 GBK，此项须为 \"gbk\"",
                    "common_conf.charset: the configuration is GBK text, so this must be \"gbk\""
                ),
                Some(language),
                written_in,
            ));
        }
        Self::from_fields(root, common, language, charset, ascii_output)
            .map_err(|reason| refuse(reason, Some(language), charset))
    }

    fn from_fields(
        mut root: Fields,
        mut common: Fields,
        language: Language,
        charset: Charset,
        ascii_output: bool,
    ) -> Result<Parsed, Text> {
        let mut trade = root.object("trade_conf", "trade_conf.")?;
        let epay = common
            .choice("gateway", &[("cloudpay", false), ("epay123", true)])?
            .unwrap_or(false);
        let gateway = if epay {
            GatewayConfig::Epay123(EpayKeys {
                mch_no: trade.required_text("mch_no", 64)?,
                app_id: trade.required_text("app_id", 64)?,
                app_secret: Secret::new(trade.required_text("app_secret", 1024)?),
            })
        } else {
            GatewayConfig::CloudPay
        };
        let domains = parse_domains(&mut common, epay)?;
        let merchant = parse_merchant(&mut trade, &domains, epay)?;
        let ca_pem = match common.text("ca_file", 4096)? {
            None => None,
            Some(path) => Some(read_ca_file(&common, &path)?),
        };
        let proxy = common.text("proxy", 1024)?;
        if let Some(proxy) = &proxy {
            let known = proxy.starts_with("http://") || proxy.starts_with("socks5://");
            if !known || ureq::Proxy::new(proxy).is_err() {
                // The value may hold a password: it isn't repeated.
                return Err(common.invalid(
                    "proxy",
                    &text!(
                        "应为 http://[user:pass@]host:port 或 socks5://[user:pass@]host:port",
                        "must be http://[user:pass@]host:port or socks5://[user:pass@]host:port"
                    ),
                ));
            }
        }
        let journal_path = match common.text("journal_path", 4096)? {
            Some(path) if path == ":memory:" => None,
            Some(path) if !path.is_empty() => Some(PathBuf::from(path)),
            _ => Some(default_journal(&gateway, &merchant)?),
        };
        let log_path = match common.text("log_path", 4096)? {
            Some(path) if path == "off" => None,
            Some(path) if !path.is_empty() => Some(PathBuf::from(path)),
            _ => data_folder().ok().map(|folder| folder.join("log")),
        };
        let config = Config {
            gateway,
            domains,
            ca_pem,
            proxy: proxy.map(Secret::new),
            connect_timeout: millis(&mut common, "connect_timeout_ms", 100, 60_000, 3_000)?,
            request_timeout: millis(&mut common, "request_timeout_ms", 100, 120_000, 10_000)?,
            worker_threads: common
                .integer("worker_threads", 1, 64)?
                .and_then(|n| usize::try_from(n).ok())
                .unwrap_or(4),
            micro_pay_polling: polling(
                &mut common,
                "micro_pay_query_order_count",
                "micro_pay_query_order_interval",
            )?,
            scan_code_pay_polling: polling(
                &mut common,
                "scan_code_pay_query_order_count",
                "scan_code_pay_query_order_interval",
            )?,
            probe: common.switch("prober_dns")?.unwrap_or(true),
            journal_path,
            log_path,
            log_level: common
                .choice(
                    "log_level",
                    &[
                        ("error", LogLevel::Error),
                        ("warn", LogLevel::Warn),
                        ("info", LogLevel::Info),
                        ("debug", LogLevel::Debug),
                    ],
                )?
                .unwrap_or(LogLevel::Info),
            log_keep_days: common
                .integer("log_keep_days", 1, 3_650)?
                .and_then(|n| usize::try_from(n).ok())
                .unwrap_or(14),
            monitor: common.switch("monitor")?.unwrap_or(true),
            charset,
            ascii_output,
            language,
            submit_window: millis(&mut common, "submit_window_ms", 0, 600_000, 30_000)?,
            on_timeout: common
                .choice(
                    "on_timeout",
                    &[("leave", OnTimeout::Leave), ("reverse", OnTimeout::Reverse)],
                )?
                .unwrap_or(OnTimeout::Leave),
            reverse_after: millis(&mut common, "reverse_after_ms", 0, 600_000, 15_000)?,
            fini_timeout: millis(&mut common, "fini_timeout_ms", 100, 600_000, 15_000)?,
            merchant,
        };
        let unknown_keys = root
            .unknown()
            .chain(common.unknown())
            .chain(trade.unknown())
            .collect();
        Ok(Parsed {
            config,
            unknown_keys,
        })
    }
}

fn parse_merchant(trade: &mut Fields, domains: &[String], epay: bool) -> Result<Merchant, Text> {
    // epay123 has numbers and keys of its own.
    let own = |trade: &mut Fields, key, limit| {
        if epay {
            Ok(trade.text(key, limit)?.unwrap_or_default())
        } else {
            trade.required_text(key, limit)
        }
    };
    let out_mch_id = own(trade, "out_mch_id", 32)?;
    let out_sub_mch_id = own(trade, "out_sub_mch_id", 32)?;
    let out_shop_id = own(trade, "out_shop_id", 32)?;
    let device_id = trade.required_text("device_id", 64)?;
    let staff_id = trade.text("staff_id", 64)?;
    if let Some(kind) = trade.integer("authen_type", 0, i64::MAX)?
        && kind != 1
    {
        return Err(trade.invalid(
            "authen_type",
            &text!(
                "仅支持 1（HMAC-SHA256），得到 {kind}",
                "only 1 (HMAC-SHA256) is supported, got {kind}"
            ),
        ));
    }
    if let Some(kind) = trade.integer("sign_type", 0, i64::MAX)?
        && kind != 1
    {
        return Err(trade.invalid(
            "sign_type",
            &text!(
                "仅支持 1（RSASSA-PSS-2048-SHA256），得到 {kind}",
                "only 1 (RSASSA-PSS-2048-SHA256) is supported, got {kind}"
            ),
        ));
    }
    let authen_key = Secret::new(own(trade, "authen_key", 1024)?);
    let private_key = parse_private_key(trade)?;
    let sign_reverse = trade
        .choice("reverse_auth", &[("authen", false), ("sign", true)])?
        .unwrap_or(false);
    if sign_reverse && private_key.is_none() {
        return Err(trade.invalid(
            "reverse_auth",
            &text!(
                "\"sign\" 需要 private_key 或 private_key_file",
                "\"sign\" needs private_key or private_key_file"
            ),
        ));
    }
    let mut order_prefixes = trade.one_or_more_texts("order_prefix", MAX_TRADE_NO)?;
    order_prefixes.retain(|prefix| !prefix.is_empty());
    let machine_no = match trade.text("machine_no", 32)? {
        Some(given) if !given.is_empty() => given,
        _ => first_mac_address(),
    };
    let spbill_create_ip = match trade.text("spbill_create_ip", 16)? {
        Some(given) if !given.is_empty() => given,
        _ => route_address(domains),
    };
    Ok(Merchant {
        out_mch_id,
        out_sub_mch_id,
        out_shop_id,
        device_id,
        staff_id,
        authen_key,
        private_key,
        sign_reverse,
        order_prefixes,
        machine_no,
        spbill_create_ip,
        sub_terminal_type: trade.integer("sub_terminal_type", 0, i64::from(i32::MAX))?,
        sn_code: trade.text("sn_code", 127)?,
    })
}

fn parse_private_key(trade: &mut Fields) -> Result<Option<SigningKey>, Text> {
    let inline = trade.text("private_key", 16_384)?.map(Zeroizing::new);
    let file = trade.text("private_key_file", 4096)?;
    let (key, pem) = match (inline, file) {
        (Some(pem), _) if !pem.trim().is_empty() => ("private_key", pem),
        (_, Some(path)) if !path.is_empty() => {
            let pem = std::fs::read_to_string(&path).map_err(|error| {
                trade.invalid(
                    "private_key_file",
                    &text!("无法读取 {path}：{error}", "can't read {path}: {error}"),
                )
            })?;
            ("private_key_file", Zeroizing::new(pem))
        }
        _ => return Ok(None),
    };
    SigningKey::from_pem(&pem)
        .map(Some)
        .map_err(|reason| trade.invalid(key, &reason))
}

fn parse_domains(common: &mut Fields, epay: bool) -> Result<Vec<String>, Text> {
    let Some(given) = common.texts("domains", 255)? else {
        if epay {
            return Err(common.missing("domains"));
        }
        return Ok(CLOUDPAY_DOMAINS.map(str::to_owned).to_vec());
    };
    if given.is_empty() || given.len() > 16 {
        let count = given.len();
        return Err(common.invalid(
            "domains",
            &text!(
                "应有 1 到 16 个，得到 {count} 个",
                "must hold 1 to 16, got {count}"
            ),
        ));
    }
    let mut domains = Vec::with_capacity(given.len());
    for domain in given {
        let base = domain.trim_end_matches('/').to_owned();
        let uri: Option<ureq::http::Uri> = base.parse().ok();
        let host = uri.as_ref().and_then(|uri| uri.host()).unwrap_or_default();
        let secure = base.starts_with("https://");
        let plain = base.starts_with("http://") && is_loopback(host);
        if host.is_empty() || !(secure || plain) {
            return Err(common.invalid(
                "domains",
                &text!(
                    "应为 https:// 开头的地址（本机回环地址可用 http://），得到 \"{domain}\"",
                    "must be https:// URLs (http:// for loopback hosts only), got \"{domain}\""
                ),
            ));
        }
        domains.push(one_spelling(&base));
    }
    Ok(domains)
}

/// The same domain is always written the same: orders remember which one took them.
fn one_spelling(base: &str) -> String {
    let (scheme, rest) = base.split_once("://").unwrap_or(("https", base));
    let (host, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let port = if scheme == "https" { ":443" } else { ":80" };
    let host = host.to_ascii_lowercase();
    let host = host.strip_suffix(port).unwrap_or(&host);
    format!("{scheme}://{host}{path}")
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn read_ca_file(common: &Fields, path: &str) -> Result<Vec<u8>, Text> {
    let pem = std::fs::read(path).map_err(|error| {
        common.invalid(
            "ca_file",
            &text!("无法读取 {path}：{error}", "can't read {path}: {error}"),
        )
    })?;
    if crate::http::parse_roots(&pem).is_empty() {
        return Err(common.invalid(
            "ca_file",
            &text!("{path} 中没有 PEM 证书", "no PEM certificate in {path}"),
        ));
    }
    Ok(pem)
}

fn millis(
    common: &mut Fields,
    key: &'static str,
    min: i64,
    max: i64,
    default: u64,
) -> Result<Duration, Text> {
    let value = common
        .integer(key, min, max)?
        .and_then(|value| u64::try_from(value).ok())
        .unwrap_or(default);
    Ok(Duration::from_millis(value))
}

fn polling(
    common: &mut Fields,
    count: &'static str,
    interval: &'static str,
) -> Result<Polling, Text> {
    Ok(Polling {
        count: common
            .integer(count, 1, 100_000)?
            .and_then(|n| u32::try_from(n).ok())
            .unwrap_or(25),
        interval: Duration::from_secs(
            common
                .integer(interval, 1, 3_600)?
                .and_then(|n| u64::try_from(n).ok())
                .unwrap_or(6),
        ),
    })
}

/// The per-user data folder: `%LOCALAPPDATA%\cloudpay`, or `cloudpay` under `$XDG_DATA_HOME`,
/// which is `~/.local/share` when unset.
fn data_folder() -> Result<PathBuf, Text> {
    let from = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let folder = if cfg!(windows) {
        from("LOCALAPPDATA").or_else(|| from("APPDATA"))
    } else {
        from("XDG_DATA_HOME").or_else(|| from("HOME").map(|home| home.join(".local/share")))
    };
    folder.map(|folder| folder.join("cloudpay")).ok_or_else(|| {
        text!(
            "common_conf.journal_path：找不到用户数据目录，请填写",
            "common_conf.journal_path: no per-user data folder found, give a path"
        )
    })
}

fn default_journal(gateway: &GatewayConfig, merchant: &Merchant) -> Result<PathBuf, Text> {
    let owner = match gateway {
        GatewayConfig::CloudPay => &merchant.out_sub_mch_id,
        GatewayConfig::Epay123(keys) => &keys.mch_no,
    };
    let name = format!(
        "{}-{}.journal",
        file_name_part(owner),
        file_name_part(&merchant.device_id)
    );
    Ok(data_folder()?.join(name))
}

/// Any text as a part of a file name, two different texts as two different parts.
fn file_name_part(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'_' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// `32-62-A8-14-B3-C0`, as the original sent it.
fn first_mac_address() -> String {
    let bytes = mac_address::get_mac_address()
        .ok()
        .flatten()
        .map(|address| address.bytes())
        .unwrap_or_default();
    bytes.map(|byte| format!("{byte:02X}")).join("-")
}

/// The address of the interface that routes to the gateway. Connecting a UDP socket asks the
/// routing table and sends nothing. Names aren't resolved here: that could block.
fn route_address(domains: &[String]) -> String {
    let literal = domains
        .iter()
        .filter_map(|domain| domain.parse::<ureq::http::Uri>().ok())
        .find_map(|uri| uri.host()?.parse::<std::net::Ipv4Addr>().ok());
    // Any public address takes the same route as the gateway: 192.0.2.1 is reserved for examples.
    let target = literal.unwrap_or(std::net::Ipv4Addr::new(192, 0, 2, 1));
    UdpSocket::bind("0.0.0.0:0")
        .and_then(|socket| {
            socket.connect((target, 443))?;
            socket.local_addr()
        })
        .map(|address| address.ip().to_string())
        .unwrap_or_else(|_| "127.0.0.1".to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_domain_has_one_spelling() {
        for (given, kept) in [
            ("https://Pay.QCloud.com:443", "https://pay.qcloud.com"),
            ("https://h:8443/A/b", "https://h:8443/A/b"),
            ("http://LOCALHOST:80", "http://localhost"),
            ("https://[::1]:443/x", "https://[::1]/x"),
        ] {
            assert_eq!(super::one_spelling(given), kept);
        }
    }

    use super::*;
    use serde_json::{Value, json};

    fn conf() -> Value {
        json!({
            "common_conf": { "journal_path": ":memory:", "log_path": "off", "language": "en" },
            "trade_conf": {
                "out_mch_id": "sz013NzuonO6CMJd0rCB", "out_sub_mch_id": "sz01ELTR281OFpmdAp6J",
                "out_shop_id": "sz01qyoPJmd3j1hWmul4", "device_id": "12345",
                "authen_key": "key",
            }
        })
    }

    fn with(path: &[&str], value: Value) -> Value {
        let mut conf = conf();
        conf[path[0]][path[1]] = value;
        conf
    }

    fn refusal(conf: &Value) -> String {
        Config::parse(conf.to_string().as_bytes())
            .unwrap_err()
            .reason
            .to_string()
    }

    #[test]
    fn defaults_are_those_of_the_manual() {
        let config = Config::parse(conf().to_string().as_bytes()).unwrap().config;
        assert_eq!(config.micro_pay_polling.window(), Duration::from_secs(150));
        assert_eq!(config.domains.len(), 4);
        assert_eq!(config.connect_timeout, Duration::from_secs(3));
        assert_eq!(config.request_timeout, Duration::from_secs(10));
        assert_eq!(config.worker_threads, 4);
        assert_eq!(config.submit_window, Duration::from_secs(30));
        assert_eq!(config.reverse_after, Duration::from_secs(15));
        assert_eq!(config.on_timeout, OnTimeout::Leave);
        assert_eq!(config.merchant.machine_no.len(), 17);
    }

    #[test]
    fn every_refusal_names_its_key() {
        for (path, value) in [
            (["trade_conf", "out_mch_id"], json!(null)),
            (["trade_conf", "out_sub_mch_id"], json!("x".repeat(33))),
            (["trade_conf", "authen_key"], json!("")),
            (["trade_conf", "authen_type"], json!(2)),
            (["trade_conf", "sign_type"], json!(2)),
            (["trade_conf", "private_key"], json!("not a key")),
            (["trade_conf", "private_key_file"], json!("/no/such/file")),
            (["trade_conf", "reverse_auth"], json!("sign")),
            (["common_conf", "domains"], json!(["http://example.com"])),
            (["common_conf", "domains"], json!([])),
            (["common_conf", "domains"], json!("https://example.com")),
            (["common_conf", "ca_file"], json!("/no/such/file")),
            (["common_conf", "proxy"], json!("ftp://user:hunter2@host")),
            (["common_conf", "worker_threads"], json!(0)),
            (["common_conf", "worker_threads"], json!(65)),
            (["common_conf", "charset"], json!("latin1")),
            (["common_conf", "language"], json!("fr")),
            (["common_conf", "on_timeout"], json!("guess")),
            (["common_conf", "gateway"], json!("other")),
            (["common_conf", "micro_pay_query_order_interval"], json!(0)),
            (["common_conf", "request_timeout_ms"], json!("soon")),
        ] {
            let reason = refusal(&with(&path, value));
            assert!(
                reason.starts_with(&format!("{}.{}", path[0], path[1])),
                "{path:?}: {reason}"
            );
            assert!(!reason.contains("hunter2"), "{reason}");
        }
    }

    #[test]
    fn http_is_for_loopback_hosts_only() {
        for domain in [
            "http://127.0.0.1:8080",
            "http://localhost:1",
            "http://[::1]:1/",
        ] {
            let conf = with(&["common_conf", "domains"], json!([domain]));
            assert!(
                Config::parse(conf.to_string().as_bytes()).is_ok(),
                "{domain}"
            );
        }
        for domain in ["http://127.0.0.1.evil.com", "http://10.0.0.1", "127.0.0.1"] {
            refusal(&with(&["common_conf", "domains"], json!([domain])));
        }
    }

    #[test]
    fn secrets_do_not_show_in_debug() {
        let conf = with(&["trade_conf", "authen_key"], json!("hush-hush"));
        let parsed = Config::parse(conf.to_string().as_bytes()).unwrap();
        assert!(!format!("{parsed:?}").contains("hush"));
    }

    #[test]
    fn unknown_keys_are_accepted_and_listed() {
        let conf = with(&["common_conf", "colour"], json!("red"));
        let parsed = Config::parse(conf.to_string().as_bytes()).unwrap();
        assert_eq!(parsed.unknown_keys, ["common_conf.colour"]);
    }

    #[test]
    fn gbk_text_must_say_so() {
        let mut json = with(&["trade_conf", "device_id"], json!("一号机"));
        let gbk = |json: &Value| encoding_rs::GBK.encode(&json.to_string()).0.into_owned();
        let refused = Config::parse(&gbk(&json)).unwrap_err();
        assert!(refused.reason.to_string().contains("charset"));
        json["common_conf"]["charset"] = json!("gbk");
        let config = Config::parse(&gbk(&json)).unwrap().config;
        assert_eq!(config.merchant.device_id, "一号机");
    }

    #[test]
    fn file_name_parts_do_not_collide_or_escape() {
        assert_eq!(file_name_part("../a"), "%2E%2E%2Fa");
        assert_ne!(file_name_part("a-b"), file_name_part("a_b"));
    }
}
