//! The signature of refunds: RSASSA-PSS with SHA-256 and the longest salt the key allows, as the
//! manual's OpenSSL code makes it (222 bytes for 2048 bits).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::rand_core::OsRng;
use rsa::traits::PublicKeyParts;
use rsa::{Pss, RsaPrivateKey};
use sha2::{Digest, Sha256};

use crate::text::{Text, text};

/// The SHA-256 digest's length in bytes.
const DIGEST: usize = 32;

/// The merchant's private key, parsed once.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningKey(Box<RsaPrivateKey>);

impl SigningKey {
    /// Reads PEM text, PKCS#1 or PKCS#8, with real line breaks or with `\n` written out.
    pub fn from_pem(pem: &str) -> Result<Self, Text> {
        let pem = zeroize::Zeroizing::new(pem.replace("\\n", "\n"));
        let pem = pem.trim();
        let key = if pem.contains("BEGIN RSA PRIVATE KEY") {
            RsaPrivateKey::from_pkcs1_pem(pem).map_err(|error| error.to_string())
        } else if pem.contains("BEGIN PRIVATE KEY") {
            RsaPrivateKey::from_pkcs8_pem(pem).map_err(|error| error.to_string())
        } else {
            Err("no BEGIN PRIVATE KEY or BEGIN RSA PRIVATE KEY line".to_owned())
        };
        let key = key.map_err(|error| {
            text!(
                "不是有效的 RSA 私钥 PEM（{error}）",
                "not an RSA private key in PEM form ({error})"
            )
        })?;
        let bits = key.n().bits();
        if bits < 2048 {
            return Err(text!(
                "RSA 私钥至少 2048 位，得到 {bits} 位",
                "the RSA key must have at least 2048 bits, got {bits}"
            ));
        }
        Ok(Self(Box::new(key)))
    }

    /// Signs a content: base64 with padding. The private operation is blinded.
    ///
    /// # Errors
    /// When the operating system's random source fails.
    pub fn sign(&self, content: &[u8]) -> Result<String, Text> {
        // RFC 8017, 9.1.1: emLen - hLen - 2 is the longest salt there is room for.
        let salt = (self.0.n().bits() - 1).div_ceil(8) - DIGEST - 2;
        let scheme = Pss::new_blinded_with_salt::<Sha256>(salt);
        self.0
            .sign_with_rng(&mut OsRng, scheme, &Sha256::digest(content))
            .map(|signature| STANDARD.encode(signature))
            .map_err(|error| text!("签名失败：{error}", "signing failed: {error}"))
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(private key)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rsa::pkcs8::DecodePublicKey;
    use rsa::{RsaPublicKey, traits::SignatureScheme};

    const PKCS1: &str = include_str!("../../../tests/vectors/merchant-test-pkcs1.pem");
    const PKCS8: &str = include_str!("../../../tests/vectors/merchant-test-pkcs8.pem");
    const PUBLIC: &str = include_str!("../../../tests/vectors/merchant-test-public.pem");

    fn verifies(message: &[u8], sign: &str, salt: usize) -> bool {
        let key = RsaPublicKey::from_public_key_pem(PUBLIC).unwrap();
        let signature = STANDARD.decode(sign).unwrap();
        Pss::new_with_salt::<Sha256>(salt)
            .verify(&key, &Sha256::digest(message), &signature)
            .is_ok()
    }

    #[test]
    fn the_published_vectors_verify() {
        let file = include_str!("../../../tests/vectors/signature_pss.json");
        let file: serde_json::Value = serde_json::from_str(file).unwrap();
        let vectors = file["vectors"].as_array().unwrap();
        assert!(vectors.len() >= 4);
        for vector in vectors {
            let message = vector["message"].as_str().unwrap().as_bytes();
            assert!(verifies(message, vector["sign"].as_str().unwrap(), 222));
        }
    }

    #[test]
    fn the_salt_is_exactly_222_bytes() {
        for pem in [PKCS1, PKCS8, &PKCS1.replace('\n', "\\n")] {
            let sign = SigningKey::from_pem(pem).unwrap().sign(b"content").unwrap();
            assert!(verifies(b"content", &sign, 222));
            assert!(!verifies(b"content", &sign, 32));
            assert!(!verifies(b"other", &sign, 222));
        }
    }

    #[test]
    fn what_is_not_a_key_is_refused() {
        for wrong in [
            "",
            "x",
            PUBLIC,
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        ] {
            assert!(SigningKey::from_pem(wrong).is_err());
        }
    }
}
