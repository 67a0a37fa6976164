//! Starting and stopping a gateway.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::app::App;
use crate::callback::Callbacks;
use crate::cloudpay::pss::PublicKey;
use crate::control;
use crate::error::Error;
use crate::merchant::{Merchant, TEST_PRIVATE_KEY, TEST_PUBLIC_KEY};
use crate::net::{Listeners, accept};
use crate::options::Options;
use crate::tls::{Authority, certificates};

/// A running gateway. It stops, and its ports close, when this is dropped.
pub struct Sandbox {
    urls: Vec<String>,
    control_url: String,
    ca_file: PathBuf,
    conf_file: PathBuf,
    epay123_conf_file: PathBuf,
    data_dir: PathBuf,
    /// The data directory is ours to remove.
    temporary: bool,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sandbox {
    /// Starts a gateway and returns when it listens.
    ///
    /// # Errors
    /// An address that can't be listened on, a directory that can't be written, a key or callback URL that can't be used.
    pub fn start(options: Options) -> Result<Self, Error> {
        let temporary = options.data_dir.is_none();
        let data_dir = options.data_dir.clone().unwrap_or_else(temporary_dir);
        let (started, report) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let dir = data_dir.clone();
        let thread = std::thread::Builder::new()
            .name("sandbox".to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(2)
                    .enable_all()
                    .build();
                let runtime = match runtime {
                    Ok(runtime) => runtime,
                    Err(e) => return drop(started.send(Err(Error::new("starting threads", e)))),
                };
                let _ = started.send(runtime.block_on(listen(&options, &dir)));
                let _ = runtime.block_on(stopped);
                runtime.shutdown_background();
            })
            .map_err(|e| Error::new("starting a thread", e))?;
        let ready = report
            .recv()
            .map_err(|e| Error::new("starting", e))
            .and_then(|r| r);
        let mut sandbox = Self {
            urls: Vec::new(),
            control_url: String::new(),
            ca_file: PathBuf::new(),
            conf_file: data_dir.join("cloudpay.json"),
            epay123_conf_file: data_dir.join("epay123.json"),
            data_dir,
            temporary,
            stop: Some(stop),
            thread: Some(thread),
        };
        // From here on a failure drops the sandbox, which stops the thread and cleans up.
        let ready = ready?;
        (sandbox.urls, sandbox.control_url, sandbox.ca_file) =
            (ready.urls, ready.control_url, ready.ca_file);
        sandbox.write_conf()?;
        Ok(sandbox)
    }

    /// The base URL of the first listener: `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.urls.first().cloned().unwrap_or_default()
    }

    /// The base URLs of all listeners of this gateway.
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    /// The base URL of the control listener (plain HTTP on loopback), which stays up when the others are down.
    pub fn control_url(&self) -> String {
        self.control_url.clone()
    }

    /// The PEM file with the root that a register has to trust.
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// A CloudPayConf JSON file, ready for `cloud_pay_init`.
    pub fn conf_file(&self) -> &Path {
        &self.conf_file
    }

    /// Where this sandbox keeps its files.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The merchant that it knows.
    pub fn merchant(&self) -> Merchant {
        Merchant::TEST
    }

    /// The same for the epay123 gateway, which is served by the same listeners.
    pub fn epay123_conf_file(&self) -> &Path {
        &self.epay123_conf_file
    }

    fn write_conf(&self) -> Result<(), Error> {
        let file = self.data_dir.join("merchant-private.pem");
        let private_key = fs::read_to_string(&file).map_err(|e| Error::new(file.display(), e))?;
        let m = Merchant::TEST;
        let cloudpay = json!({
            "out_mch_id": m.out_mch_id,
            "out_sub_mch_id": m.out_sub_mch_id,
            "out_shop_id": m.out_shop_id,
            "order_prefix": m.order_prefix,
            "device_id": "12345",
            "staff_id": "1003",
            "authen_type": 1,
            "authen_key": m.authen_key,
            "sign_type": 1,
            "private_key": private_key,
        });
        let epay123 = json!({
            "mch_no": m.mch_no,
            "app_id": m.app_id,
            "app_secret": m.app_secret,
            "device_id": "12345",
            "staff_id": "1003",
        });
        self.write_one(&self.conf_file, "cloudpay", &cloudpay)?;
        self.write_one(&self.epay123_conf_file, "epay123", &epay123)
    }

    fn write_one(&self, file: &Path, gateway: &str, trade_conf: &Value) -> Result<(), Error> {
        let conf = json!({
            "common_conf": {
                "gateway": gateway,
                "domains": self.urls,
                "ca_file": self.ca_file,
                "journal_path": self.data_dir.join(format!("{gateway}.journal")),
                "log_path": self.data_dir.join(format!("{gateway}-log")),
            },
            "trade_conf": trade_conf,
        });
        fs::write(file, format!("{conf:#}\n")).map_err(|e| Error::new(file.display(), e))
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        if self.temporary {
            let _ = fs::remove_dir_all(&self.data_dir);
        }
    }
}

/// What is known once it listens.
struct Ready {
    urls: Vec<String>,
    control_url: String,
    ca_file: PathBuf,
}

async fn listen(options: &Options, data_dir: &Path) -> Result<Ready, Error> {
    let ca_dir = options.ca_dir.as_deref().unwrap_or(data_dir);
    for dir in [data_dir, ca_dir] {
        fs::create_dir_all(dir).map_err(|e| Error::new(dir.display(), e))?;
    }
    let public_key = keys(options, data_dir)?;
    let authority = Authority::open(ca_dir)?;
    let tls = TlsAcceptor::from(authority.server()?);
    let mut roots = certificates(&authority.file)?;
    if let Some(file) = &options.callback_ca {
        roots.extend(certificates(file)?);
    }
    let callbacks = Callbacks::new(
        options.callback_url.as_deref(),
        roots,
        options.callback_retry_ms,
    )?;

    let mut sockets = vec![bind(options.listen).await?];
    for _ in 0..options.extra_listeners {
        sockets.push(bind(SocketAddr::new(options.listen.ip(), 0)).await?);
    }
    let addresses: Vec<SocketAddr> = sockets.iter().filter_map(|s| s.local_addr().ok()).collect();
    let urls: Vec<String> = addresses
        .iter()
        .map(|a| format!("https://{}", reachable(*a)))
        .collect();
    let control_socket = bind(options.control_listen).await?;
    let control_address = control_socket
        .local_addr()
        .map_err(|e| Error::new("the control address", e))?;

    let app = App::new(
        options,
        public_key,
        urls.clone(),
        Listeners::new(&addresses, tls),
        callbacks,
    );
    for (index, socket) in sockets.into_iter().enumerate() {
        app.listeners
            .begin(index, socket, control::gateway(Arc::clone(&app)))
            .await;
    }
    tokio::spawn(async move {
        // Ends with the runtime: the control listener is never taken down.
        let (_stay, never) = oneshot::channel();
        accept(
            usize::MAX,
            control_socket,
            None,
            control::routes(app),
            never,
        )
        .await;
    });
    Ok(Ready {
        urls,
        control_url: format!("http://{}", reachable(control_address)),
        ca_file: authority.file,
    })
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address)
        .await
        .map_err(|e| Error::new(format!("listening on {address}"), e))
}

/// The address to connect to: a listener on every interface is reached by loopback, which is what the certificate names.
fn reachable(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    let loopback = match address {
        SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(loopback, address.port())
}

/// Writes the merchant's private key for the register, and reads the public one.
fn keys(options: &Options, data_dir: &Path) -> Result<PublicKey, Error> {
    let read = |file: &Option<PathBuf>, default: &str| match file {
        Some(file) => fs::read_to_string(file).map_err(|e| Error::new(file.display(), e)),
        None => Ok(default.to_owned()),
    };
    let private = read(&options.merchant_private_key, TEST_PRIVATE_KEY)?;
    let file = data_dir.join("merchant-private.pem");
    fs::write(&file, private).map_err(|e| Error::new(file.display(), e))?;
    let public = read(&options.merchant_public_key, TEST_PUBLIC_KEY)?;
    PublicKey::from_pem(&public)
        .ok_or_else(|| Error::new("the merchant's public key", "not an RSA key in SPKI PEM"))
}

fn temporary_dir() -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = format!(
        "cloudpay-sandbox-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    std::env::temp_dir().join(name)
}
