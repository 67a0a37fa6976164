//! The only sockets of the library: HTTPS to the gateway's domains, with failover, and with a
//! clear line between "nothing was sent" and "nobody knows".

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, DefaultConnector, NextTimeout, Transport,
};
use ureq::{Agent, Error as UreqError};

use crate::config::Config;
use crate::lock;
use crate::text::{Text, text};

/// Idle connections are dropped after this: well before any server's keep-alive ends, so that a
/// stale connection is never the reason for an unknown result.
const IDLE_LIMIT: Duration = Duration::from_secs(45);

/// A connection that has answered within this time is taken for open without asking the system.
const FRESH: Duration = Duration::from_millis(1);

/// A domain that could not be connected to is tried last for this long, or until it answers a
/// probe.
const DOWN_TIME: Duration = Duration::from_secs(30);

/// No answer of the protocol comes near this; a longer one is not read.
const MAX_ANSWER: u64 = 8 * 1024 * 1024;

/// A name that was looked up is good for this long, and longer when the name server is gone.
const NAME_LIFE: Duration = Duration::from_secs(60);

/// A request as a gateway encodes it.
#[derive(Clone)]
pub(crate) struct HttpRequest {
    /// Path below the domain, with its leading slash.
    pub(crate) path: &'static str,
    /// The JSON body.
    pub(crate) body: Vec<u8>,
}

/// An answer, whatever it says.
pub(crate) struct HttpResponse {
    /// HTTP status.
    pub(crate) status: u16,
    /// The body, whole.
    pub(crate) body: Vec<u8>,
    /// The domain that gave it.
    pub(crate) domain: String,
    /// The gateway's clock (`Date`), in ms since 1970.
    pub(crate) date_ms: Option<i64>,
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(crate) enum SendError {
    /// No byte of the request left: DNS, TCP or TLS failed on every domain.
    NotSent(Text),
    /// Something was sent, or may have been.
    Lost(Text),
}

/// Which failures allow another domain.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failover {
    /// Only "nothing was sent": for everything that moves money.
    NotSent,
    /// Any failure: for reads.
    Any,
}

/// The gateway's domains and the connections to them.
pub(crate) struct Http {
    agent: Agent,
    domains: Vec<Domain>,
    /// Rung when a domain can't be connected to.
    bell: Sender<()>,
}

struct Domain {
    base: String,
    down_until: Mutex<Option<Instant>>,
}

impl Http {
    pub(crate) fn new(config: &Config, bell: Sender<()>) -> Self {
        let roots = match &config.ca_pem {
            Some(pem) => RootCerts::Specific(std::sync::Arc::new(parse_roots(pem))),
            None => RootCerts::WebPki,
        };
        let proxy = config
            .proxy
            .as_ref()
            .and_then(|proxy| ureq::Proxy::new(proxy.reveal()).ok());
        let connections = config.worker_threads.saturating_add(4);
        let settings = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy)
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .user_agent(concat!("cloudpay/", env!("CARGO_PKG_VERSION")))
            .max_idle_age(IDLE_LIMIT)
            .max_idle_connections(connections.saturating_mul(2))
            .max_idle_connections_per_host(connections)
            .timeout_resolve(Some(config.connect_timeout))
            .timeout_connect(Some(config.connect_timeout))
            .timeout_global(Some(config.request_timeout))
            .build();
        let connector = MarkWrites(DefaultConnector::new());
        Self {
            agent: Agent::with_parts(settings, connector, NameCache::default()),
            domains: config
                .domains
                .iter()
                .map(|base| Domain {
                    base: base.clone(),
                    down_until: Mutex::new(None),
                })
                .collect(),
            bell,
        }
    }

    /// Sends a POST to the first domain that takes it, `first` before all others; `each` hears of
    /// every domain that didn't. Blocks for at most the request timeout times the number of domains.
    pub(crate) fn post(
        &self,
        request: &HttpRequest,
        failover: Failover,
        first: Option<&str>,
        mut each: impl FnMut(&str, &SendError),
    ) -> Result<HttpResponse, SendError> {
        let mut last = None;
        let mut domains = self.in_order();
        domains.sort_by_key(|domain| Some(domain.base.as_str()) != first);
        for domain in domains {
            let answer = self.exchange(domain, request.path, Some(&request.body));
            if let Err(error) = &answer {
                each(&domain.base, error);
            }
            match answer {
                Ok(answer) if answer.status == 200 || failover == Failover::NotSent => {
                    return Ok(answer);
                }
                // A proxy's error page on one domain: another one may have the answer.
                Ok(answer) => last = Some(Ok(answer)),
                Err(error @ SendError::Lost(_)) if failover == Failover::NotSent => {
                    return Err(error);
                }
                Err(error) => {
                    // An answer, or the news that something was sent, outweighs "not sent".
                    if !matches!((&last, &error), (Some(Ok(_) | Err(SendError::Lost(_))), _)) {
                        last = Some(Err(error));
                    }
                }
            }
        }
        last.unwrap_or_else(|| Err(SendError::NotSent(text!("没有可用域名", "no domain"))))
    }

    /// Sends a POST to this domain and no other. Blocks for at most the request timeout.
    pub(crate) fn post_to(
        &self,
        domain: &str,
        request: &HttpRequest,
    ) -> Result<HttpResponse, SendError> {
        match self.domains.iter().find(|known| known.base == domain) {
            Some(domain) => self.exchange(domain, request.path, Some(&request.body)),
            None => Err(SendError::NotSent(text!(
                "{domain} 已不在 domains 中",
                "{domain} is no longer among the domains"
            ))),
        }
    }

    /// The domains' base URLs, in the order in which a payment tries them now.
    pub(crate) fn candidates(&self) -> Vec<String> {
        let domains = self.in_order().into_iter();
        domains.map(|domain| domain.base.clone()).collect()
    }

    /// Asks for a sign of life: the domains that are down, and the first that is up, which also
    /// keeps its connection warm; `each` hears how each of them did. Says whether all are up as far
    /// as is known.
    pub(crate) fn probe(&self, path: &str, mut each: impl FnMut(&str, bool, Duration)) -> bool {
        let mut all_up = true;
        let mut warmed = false;
        for domain in &self.domains {
            let down = lock(&domain.down_until).is_some();
            if !down && warmed {
                continue;
            }
            let began = Instant::now();
            let up = match self.exchange(domain, path, None) {
                // A server that answers "unavailable" is no place for a payment.
                Ok(answer) if answer.status >= 500 => {
                    tracing::warn!(domain = %domain.base, status = answer.status, "probe: not usable");
                    self.mark_down(domain);
                    false
                }
                Ok(answer) => {
                    if down {
                        tracing::info!(domain = %domain.base, "the domain is back");
                        *lock(&domain.down_until) = None;
                    }
                    tracing::debug!(domain = %domain.base, status = answer.status, "probe answered");
                    true
                }
                Err(SendError::NotSent(reason) | SendError::Lost(reason)) => {
                    tracing::warn!(domain = %domain.base, %reason, "probe failed");
                    self.mark_down(domain);
                    false
                }
            };
            each(&domain.base, up, began.elapsed());
            all_up &= up;
            warmed |= up;
        }
        all_up
    }

    fn mark_down(&self, domain: &Domain) {
        *lock(&domain.down_until) = Some(Instant::now() + DOWN_TIME);
        // One ring is enough, and nobody may be listening.
        let _ = self.bell.try_send(());
    }

    /// Cuts every connection: exchanges under way end at once with an error.
    pub(crate) fn cut(&self) {
        self.agent.clone().shutdown();
    }

    /// The domains that are up, in order of preference, then the others.
    fn in_order(&self) -> Vec<&Domain> {
        let now = Instant::now();
        let (up, down): (Vec<&Domain>, Vec<&Domain>) = self
            .domains
            .iter()
            .partition(|domain| lock(&domain.down_until).is_none_or(|until| until <= now));
        up.into_iter().chain(down).collect()
    }

    fn exchange(
        &self,
        domain: &Domain,
        path: &str,
        body: Option<&[u8]>,
    ) -> Result<HttpResponse, SendError> {
        let url = format!("{}{path}", domain.base);
        WRITTEN.set(false);
        let answer = match body {
            Some(body) => self
                .agent
                .post(&url)
                .header("content-type", "application/json")
                .send(body),
            None => self.agent.get(&url).call(),
        };
        let answer = answer.and_then(|mut answer| {
            let status = answer.status().as_u16();
            let date_ms = answer.headers().get("date").and_then(gateway_clock);
            let body = answer
                .body_mut()
                .with_config()
                .limit(MAX_ANSWER)
                .read_to_vec()?;
            Ok((status, body, date_ms))
        });
        match answer {
            Ok((status, body, date_ms)) => Ok(HttpResponse {
                status,
                body,
                domain: domain.base.clone(),
                date_ms,
            }),
            Err(error) => {
                let reason = explain(&domain.base, &error);
                if WRITTEN.get() {
                    return Err(SendError::Lost(reason));
                }
                tracing::warn!(domain = %domain.base, %reason, "can't connect");
                self.mark_down(domain);
                Err(SendError::NotSent(reason))
            }
        }
    }
}

/// What an answer's `Date` says, in ms since 1970.
fn gateway_clock(date: &ureq::http::HeaderValue) -> Option<i64> {
    let date = httpdate::parse_http_date(date.to_str().ok()?).ok()?;
    let since = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_millis()).ok()
}

fn explain(domain: &str, error: &UreqError) -> Text {
    let detail = error.to_string();
    // rustls's own words, whichever kind of error they come in.
    let clock = ["certificate expired", "certificate not valid yet"]
        .iter()
        .any(|words| detail.contains(words));
    if clock {
        return text!(
            "{domain}：服务器证书不在有效期内，请检查本机日期（{detail}）",
            "{domain}: the server's certificate is not valid now; check this machine's date ({detail})"
        );
    }
    text!("{domain}：{detail}", "{domain}: {detail}")
}

/// The certificates in a PEM file.
pub(crate) fn parse_roots(pem: &[u8]) -> Vec<Certificate<'static>> {
    parse_pem(pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect()
}

thread_local! {
    /// Whether the exchange of this thread has handed bytes of its request to a connection.
    /// ureq runs an exchange on the thread that asks for it.
    static WRITTEN: Cell<bool> = const { Cell::new(false) };
    /// Whether this thread is making a connection: what is written then is handshake (with a
    /// proxy, with TLS), not request.
    static CONNECTING: Cell<bool> = const { Cell::new(false) };
}

/// Makes connections as ureq does by default, and marks what is written to them later.
#[derive(Debug)]
struct MarkWrites(DefaultConnector);

impl Connector for MarkWrites {
    type Out = MarkedTransport<Box<dyn Transport>>;

    fn connect(
        &self,
        details: &ConnectionDetails,
        chained: Option<()>,
    ) -> Result<Option<Self::Out>, UreqError> {
        // A connection through a proxy makes another one inside: only the outermost call ends it.
        let outer = CONNECTING.replace(true);
        let made = self.0.connect(details, chained);
        CONNECTING.set(outer);
        Ok(made?.map(|transport| MarkedTransport {
            transport,
            held: Vec::new(),
            heard: None,
        }))
    }
}

/// Holds a request back until its answer is waited for: head and body leave in one piece, as one
/// TLS record, in one system call.
#[derive(Debug)]
struct MarkedTransport<T> {
    transport: T,
    held: Vec<u8>,
    /// When something last came in.
    heard: Option<Instant>,
}

impl<T: Transport> MarkedTransport<T> {
    fn flush(&mut self, timeout: NextTimeout) -> Result<(), UreqError> {
        let amount = self.held.len();
        if amount == 0 {
            return Ok(());
        }
        WRITTEN.set(true);
        let output = self.transport.buffers().output().get_mut(..amount);
        output
            .ok_or(UreqError::ConnectionFailed)?
            .copy_from_slice(&self.held);
        self.held.clear();
        self.transport.transmit_output(amount, timeout)
    }
}

impl<T: Transport> Transport for MarkedTransport<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.transport.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), UreqError> {
        if CONNECTING.get() {
            return self.transport.transmit_output(amount, timeout);
        }
        let output = self.transport.buffers().output();
        let room = output.len();
        let part = output.get(..amount).ok_or(UreqError::ConnectionFailed)?;
        let part = part.to_vec();
        if self.held.len() + amount > room {
            self.flush(timeout)?;
        }
        self.held.extend(part);
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, UreqError> {
        self.flush(timeout)?;
        let more = self.transport.await_input(timeout)?;
        self.heard = more.then(Instant::now);
        Ok(more)
    }

    fn is_open(&mut self) -> bool {
        let fresh = self.heard.is_some_and(|heard| heard.elapsed() < FRESH);
        self.held.is_empty() && (fresh || self.transport.is_open())
    }

    fn is_tls(&self) -> bool {
        self.transport.is_tls()
    }
}

/// ureq looks a name up for every request, pooled connection or not, on a new thread. This
/// remembers the answer, and outlives a name server that goes away.
#[derive(Default)]
struct NameCache {
    known: Mutex<HashMap<String, (Instant, ResolvedSocketAddrs)>>,
    system: DefaultResolver,
}

impl Resolver for NameCache {
    fn resolve(
        &self,
        uri: &ureq::http::Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, UreqError> {
        let port = uri.port_u16().unwrap_or(match uri.scheme_str() {
            Some("http") => 80,
            _ => 443,
        });
        let host = uri.host().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(address) = bare.parse::<std::net::IpAddr>() {
            let mut addresses = self.empty();
            addresses.push((address, port).into());
            return Ok(addresses);
        }
        let key = format!("{host}:{port}");
        let known = lock(&self.known).get(&key).cloned();
        if let Some((since, addresses)) = &known
            && since.elapsed() < NAME_LIFE
        {
            return Ok(addresses.clone());
        }
        match self.system.resolve(uri, config, timeout) {
            Ok(addresses) => {
                lock(&self.known).insert(key, (Instant::now(), addresses.clone()));
                Ok(addresses)
            }
            Err(error) => known.map(|(_, addresses)| addresses).ok_or(error),
        }
    }
}

impl fmt::Debug for NameCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NameCache")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_clock_is_named_as_the_reason() {
        let explained = |words: &str| {
            let error = UreqError::Io(std::io::Error::other(words.to_owned()));
            explain("https://gateway", &error).to_string()
        };
        for words in [
            "invalid peer certificate: certificate expired: verification time 1 (UNIX)",
            "invalid peer certificate: certificate not valid yet: verification time 1 (UNIX)",
        ] {
            assert!(explained(words).contains("check this machine's date"));
        }
        assert!(!explained("invalid peer certificate: UnknownIssuer").contains("date"));
    }
}
