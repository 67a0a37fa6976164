//! What a sandbox can be told when it starts.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// How a sandbox is started. The defaults suit a test: free ports, a data directory of its own that is removed afterwards.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address of the first HTTPS listener. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// How many more HTTPS listeners the same gateway has, each with a free port: other domains of one gateway, for fail-over.
    pub extra_listeners: usize,
    /// Address of the plain-HTTP control listener, which `down` doesn't touch. Keep it on loopback: it asks for no password.
    pub control_listen: SocketAddr,
    /// Where the CA, the merchant's key and the register's configuration files are written. `None`: a new directory among the
    /// system's temporary files, removed when the sandbox stops.
    pub data_dir: Option<PathBuf>,
    /// Where the certificate authority is kept, so that several sandboxes can share one. `None`: the data directory.
    pub ca_dir: Option<PathBuf>,
    /// Where payment and refund notifications are posted. `http://` is allowed for loopback hosts only.
    pub callback_url: Option<String>,
    /// A PEM file with a root to trust for an HTTPS callback URL, besides the sandbox's own CA.
    pub callback_ca: Option<PathBuf>,
    /// The pause before the first repeat of an unanswered notification, in ms. It doubles with every try.
    pub callback_retry_ms: u64,
    /// The merchant's RSA private key (PEM) as it goes into the register's configuration. `None`: the published test key.
    pub merchant_private_key: Option<PathBuf>,
    /// The merchant's RSA public key (PEM, SPKI) that refunds are checked with. `None`: the published test key.
    pub merchant_public_key: Option<PathBuf>,
    /// Scenario 903: how late the answer is, in ms.
    pub slow_ms: u64,
    /// Scenario 911: how long after the reverse the charge lands, in ms.
    pub late_ms: u64,
    /// Scenario 912: how long after the reported failure the charge lands, in ms.
    pub late_fail_ms: u64,
    /// How long a refund is processed when nobody asks for it, in ms.
    pub refund_ms: u64,
}

impl Default for Options {
    fn default() -> Self {
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            listen: any_port,
            extra_listeners: 0,
            control_listen: any_port,
            data_dir: None,
            ca_dir: None,
            callback_url: None,
            callback_ca: None,
            callback_retry_ms: 1_000,
            merchant_private_key: None,
            merchant_public_key: None,
            slow_ms: 30_000,
            late_ms: 20_000,
            late_fail_ms: 10_000,
            refund_ms: 1_000,
        }
    }
}
