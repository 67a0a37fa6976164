//! The sandbox's own certificate authority, and the server's certificate by it.

use std::fs;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
    date_time_ymd,
};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::error::Error;

/// The authority: what it signs with, and where its certificate is.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// `ca.pem`, what a register has to trust.
    pub(crate) file: PathBuf,
}

impl Authority {
    /// The authority in this directory; it is made when there is none. Several processes may ask at once: all get the same.
    pub(crate) fn open(dir: &Path) -> Result<Self, Error> {
        let both = dir.join("ca-key.pem");
        let file = dir.join("ca.pem");
        let text = match fs::read_to_string(&both) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let made = make().map_err(|e| Error::new("making the certificate authority", e))?;
                write_new(&both, &made).map_err(|e| Error::new(both.display(), e))?;
                fs::read_to_string(&both).map_err(|e| Error::new(both.display(), e))?
            }
            Err(e) => return Err(Error::new(both.display(), e)),
        };
        let key = KeyPair::from_pem(&text).map_err(|e| Error::new(both.display(), e))?;
        let start = text
            .find("-----BEGIN CERTIFICATE")
            .ok_or_else(|| Error::new(both.display(), "no certificate"))?;
        let certificate = text.get(start..).unwrap_or_default();
        if fs::read_to_string(&file).ok().as_deref() != Some(certificate) {
            replace(&file, certificate).map_err(|e| Error::new(file.display(), e))?;
        }
        Ok(Self {
            issuer: Issuer::new(params(), key),
            file,
        })
    }

    /// A TLS configuration with a new certificate for this machine's own names.
    pub(crate) fn server(&self) -> Result<Arc<ServerConfig>, Error> {
        let fail = |e: rcgen::Error| Error::new("making the server's certificate", e);
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).map_err(fail)?;
        params
            .subject_alt_names
            .push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        params
            .subject_alt_names
            .push(SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)));
        params
            .distinguished_name
            .push(DnType::CommonName, "cloudpay sandbox");
        params.use_authority_key_identifier_extension = true;
        (params.not_before, params.not_after) =
            (date_time_ymd(2024, 1, 1), date_time_ymd(2049, 1, 1));
        let key = KeyPair::generate().map_err(fail)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(fail)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|c| {
                c.with_no_client_auth()
                    .with_single_cert(vec![certificate.der().clone()], key)
            })
            .map_err(|e| Error::new("TLS", e))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// The certificates in a PEM file.
pub(crate) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = fs::read(file).map_err(|e| Error::new(file.display(), e))?;
    CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|e| Error::new(file.display(), e))
}

fn params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.distinguished_name.push(
        DnType::CommonName,
        "cloudpay sandbox CA (worthless outside of tests)",
    );
    (params.not_before, params.not_after) = (date_time_ymd(2024, 1, 1), date_time_ymd(2049, 1, 1));
    params
}

fn make() -> Result<String, rcgen::Error> {
    let key = KeyPair::generate()?;
    let certificate = params().self_signed(&key)?;
    Ok(format!("{}{}", key.serialize_pem(), certificate.pem()))
}

/// Writes a file that doesn't exist yet, whole or not at all. Another process that was faster has won.
fn write_new(file: &Path, text: &str) -> io::Result<()> {
    let draft = draft(file, text)?;
    let linked = fs::hard_link(&draft, file);
    let _ = fs::remove_file(&draft);
    match linked {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
        _ => Ok(()),
    }
}

/// Writes a file anew, so that a reader sees the old one or the new one.
fn replace(file: &Path, text: &str) -> io::Result<()> {
    fs::rename(draft(file, text)?, file)
}

fn draft(file: &Path, text: &str) -> io::Result<PathBuf> {
    let name = format!("{}-{}.tmp", std::process::id(), crate::clock::nonce());
    let draft = file.with_extension(name);
    fs::File::create_new(&draft)?.write_all(text.as_bytes())?;
    Ok(draft)
}
