//! Payment and refund notifications: posted to the merchant's address, again and again until they are taken.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::app::{App, lock};
use crate::clock::now_ms;
use crate::cloudpay;
use crate::error::Error;
use crate::order::Protocol;

/// How often one notification is tried.
const TRIES: u32 = 10;
/// How long one try may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many notifications are remembered.
const KEPT: usize = 2_000;

/// One notification.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Delivery {
    pub(crate) at_ms: u64,
    /// `payment` or `refund`.
    pub(crate) kind: &'static str,
    pub(crate) out_trade_no: String,
    pub(crate) out_refund_no: String,
    pub(crate) tries: u32,
    /// `waiting`, `taken` or `given up`.
    pub(crate) state: &'static str,
    /// What the last try came to.
    pub(crate) last: String,
}

/// Where notifications go, and what became of them.
pub(crate) struct Callbacks {
    target: Option<Arc<Target>>,
    retry_ms: u64,
    deliveries: Mutex<(u64, BTreeMap<u64, Delivery>)>,
}

struct Target {
    url: Uri,
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
}

impl Callbacks {
    /// Checks the address: HTTPS, or HTTP on this machine. `roots` are trusted for HTTPS.
    pub(crate) fn new(
        url: Option<&str>,
        roots: Vec<CertificateDer<'static>>,
        retry_ms: u64,
    ) -> Result<Self, Error> {
        let target = url
            .map(|u| Target::new(u, roots))
            .transpose()?
            .map(Arc::new);
        Ok(Self {
            target,
            retry_ms,
            deliveries: Mutex::default(),
        })
    }

    /// All that are remembered, oldest first.
    pub(crate) fn all(&self) -> Vec<Delivery> {
        lock(&self.deliveries).1.values().cloned().collect()
    }

    /// Tells the merchant that an order is paid.
    pub(crate) fn paid(&self, app: &Arc<App>, no: &str) {
        self.send(app, "payment", no, "");
    }

    /// Tells the merchant that a refund succeeded.
    pub(crate) fn refunded(&self, app: &Arc<App>, no: &str, refund_no: &str) {
        self.send(app, "refund", no, refund_no);
    }

    fn send(&self, app: &Arc<App>, kind: &'static str, no: &str, refund_no: &str) {
        let Some(target) = self.target.clone() else {
            return;
        };
        let body = app.ledger(|ledger| {
            let order = ledger
                .order(no)
                .filter(|o| o.protocol == Protocol::CloudPay)?;
            Some(match kind {
                "refund" => cloudpay::refund_notice(app, order, refund_no),
                _ => cloudpay::payment_notice(app, order),
            })
        });
        let Some(body) = body.map(Bytes::from) else {
            return;
        };
        let id = self.remember(kind, no, refund_no);
        let app = app.clone();
        tokio::spawn(async move { app.callbacks.deliver(&app, &target, id, body).await });
    }

    fn remember(&self, kind: &'static str, no: &str, refund_no: &str) -> u64 {
        let mut kept = lock(&self.deliveries);
        kept.0 += 1;
        let id = kept.0;
        let delivery = Delivery {
            at_ms: now_ms(),
            kind,
            out_trade_no: no.to_owned(),
            out_refund_no: refund_no.to_owned(),
            tries: 0,
            state: "waiting",
            last: String::new(),
        };
        kept.1.insert(id, delivery);
        if kept.1.len() > KEPT {
            kept.1.pop_first();
        }
        id
    }

    async fn deliver(&self, app: &App, target: &Target, id: u64, body: Bytes) {
        let mut pause = Duration::from_millis(self.retry_ms);
        for tries in 1..=TRIES {
            let result = match timeout(PATIENCE, target.post(body.clone())).await {
                Ok(Ok(answer)) => cloudpay::notice_accepted(app, &answer),
                Ok(Err(e)) => Err(e.to_string()),
                Err(_) => Err("no answer in time".to_owned()),
            };
            let state = match (&result, tries) {
                (Ok(()), _) => "taken",
                (Err(_), TRIES) => "given up",
                _ => "waiting",
            };
            if let Some(delivery) = lock(&self.deliveries).1.get_mut(&id) {
                delivery.tries = tries;
                delivery.state = state;
                delivery.last = result.err().unwrap_or_default();
            }
            if state != "waiting" {
                return;
            }
            sleep(pause).await;
            pause *= 2;
        }
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Target {
    fn new(url: &str, roots: Vec<CertificateDer<'static>>) -> Result<Self, Error> {
        let bad = |why: &str| Error::new(format!("callback URL {url}"), why);
        let uri: Uri = url
            .parse()
            .map_err(|e| Error::new(format!("callback URL {url}"), e))?;
        let host = uri
            .host()
            .ok_or_else(|| bad("has no host"))?
            .trim_matches(['[', ']'])
            .to_owned();
        let loopback = host == "localhost"
            || host
                .parse()
                .is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        let (tls, port) = match uri.scheme_str() {
            Some("https") => (Some(connector(roots)?), 443),
            Some("http") if loopback => (None, 80),
            Some("http") => return Err(bad("must be https, except on loopback")),
            _ => return Err(bad("must begin with https://")),
        };
        let port = uri.port_u16().unwrap_or(port);
        Ok(Self {
            url: uri,
            host,
            port,
            tls,
        })
    }

    async fn post(&self, body: Bytes) -> Result<Bytes, Failure> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        match &self.tls {
            None => self.exchange(stream, body).await,
            Some(tls) => {
                let name = ServerName::try_from(self.host.clone())?;
                self.exchange(tls.connect(name, stream).await?, body).await
            }
        }
    }

    async fn exchange<S>(&self, stream: S, body: Bytes) -> Result<Bytes, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let running = tokio::spawn(connection);
        let path = self.url.path_and_query().map_or("/", |p| p.as_str());
        let authority = self.url.authority().map_or("", |a| a.as_str());
        let request = Request::post(path)
            .header(header::HOST, authority)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let answer = Limited::new(response.into_body(), 1 << 20)
            .collect()
            .await?
            .to_bytes();
        running.abort();
        if status.as_u16() == 200 {
            Ok(answer)
        } else {
            Err(format!("HTTP {status}").into())
        }
    }
}

fn connector(roots: Vec<CertificateDer<'static>>) -> Result<TlsConnector, Error> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store
            .add(root)
            .map_err(|e| Error::new("a root for the callback", e))?;
    }
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::new("TLS", e))?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
