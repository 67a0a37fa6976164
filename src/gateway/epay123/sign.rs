//! The signature of the epay123/Jeepay protocol: MD5 over sorted `key=value` pairs and the
//! application's secret.

use md5::{Digest, Md5};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::gateway::cloudpay::hex;
use crate::traces::without_traces;

/// The application's secret.
pub(super) struct AppSecret(Zeroizing<String>);

impl AppSecret {
    pub(super) fn new(secret: &str) -> Self {
        Self(Zeroizing::new(secret.to_owned()))
    }

    /// The signature over pairs of a key and a value as text; empty values are left out.
    pub(super) fn sign<'a>(&self, pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
        let mut parts: Vec<String> = pairs
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| format!("{key}={value}&"))
            .collect();
        // The gateway sorts the whole texts, ignoring case, by UTF-16 unit.
        parts.sort_by_cached_key(|part| part.to_lowercase().encode_utf16().collect::<Vec<_>>());
        let text = Zeroizing::new(format!("{}key={}", parts.concat(), *self.0));
        hex(&digest(text.as_bytes()))
    }

    /// Whether a signature, in either case, is the right one.
    pub(super) fn verify<'a>(
        &self,
        pairs: impl Iterator<Item = (&'a str, &'a str)>,
        sign: &str,
    ) -> bool {
        let right = self.sign(pairs);
        right
            .as_bytes()
            .ct_eq(sign.to_ascii_uppercase().as_bytes())
            .into()
    }
}

/// MD5. The text ends with the secret.
fn digest(text: &[u8]) -> [u8; 16] {
    without_traces(|| Md5::digest(text).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_vectors_pass() {
        let file = include_str!("../../../tests/vectors/epay123_sign.json");
        let file: serde_json::Value = serde_json::from_str(file).unwrap();
        let vectors = file["vectors"].as_array().unwrap();
        assert!(vectors.len() >= 6);
        for vector in vectors {
            let secret = AppSecret::new(vector["key"].as_str().unwrap());
            let params: Vec<(String, String)> = vector["params"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(key, value)| {
                    let text = match value {
                        serde_json::Value::String(text) => text.clone(),
                        serde_json::Value::Null => String::new(),
                        other => other.to_string(),
                    };
                    (key.clone(), text)
                })
                .collect();
            let pairs = || params.iter().map(|(k, v)| (k.as_str(), v.as_str()));
            let sign = vector["sign"].as_str().unwrap();
            assert_eq!(secret.sign(pairs()), sign, "{}", vector["name"]);
            assert!(secret.verify(pairs(), &sign.to_lowercase()));
            assert!(!secret.verify(pairs(), &sign[1..]));
        }
    }
}
