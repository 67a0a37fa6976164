//! The authentication code: HMAC-SHA256 over the exact bytes of the content, in hex.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// The merchant's authentication key.
pub(crate) struct AuthenKey(Zeroizing<Vec<u8>>);

impl AuthenKey {
    pub(crate) fn new(key: &str) -> Self {
        Self(Zeroizing::new(key.as_bytes().to_vec()))
    }

    /// The code for a content, upper-case hex.
    pub(crate) fn code(&self, content: &[u8]) -> String {
        match self.mac(content) {
            Some(mac) => hex(&mac.finalize().into_bytes()),
            None => String::new(),
        }
    }

    /// Whether a code, in either case, is right for a content. Takes the same time whatever
    /// part of it is wrong.
    pub(crate) fn verify(&self, content: &[u8], code: &str) -> bool {
        match (self.mac(content), unhex(code)) {
            (Some(mac), Some(code)) => mac.verify_slice(&code).is_ok(),
            _ => false,
        }
    }

    fn mac(&self, content: &[u8]) -> Option<Hmac<Sha256>> {
        // HMAC takes a key of any length: this is never None.
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(content);
        Some(mac)
    }
}

/// Upper-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| {
        char::from(if value < 10 {
            b'0' + value
        } else {
            b'A' + value - 10
        })
    };
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let value = |digit: u8| u8::try_from(char::from(digit).to_digit(16)?).ok();
    text.as_bytes()
        .chunks(2)
        .map(|pair| match *pair {
            [high, low] => Some(value(high)? << 4 | value(low)?),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_vectors_pass() {
        let file = include_str!("../../../tests/vectors/authen_code.json");
        let file: serde_json::Value = serde_json::from_str(file).unwrap();
        let vectors = file["vectors"].as_array().unwrap();
        assert!(vectors.len() >= 6);
        for vector in vectors {
            let text = |key: &str| vector[key].as_str().unwrap();
            let key = AuthenKey::new(text("key"));
            let message = text("message").as_bytes();
            let code = text("authen_code");
            assert_eq!(key.code(message), code, "{}", text("name"));
            assert!(key.verify(message, code));
            assert!(key.verify(message, &code.to_lowercase()));
        }
    }

    #[test]
    fn wrong_codes_are_refused() {
        let key = AuthenKey::new("key");
        let code = key.code(b"content");
        assert!(key.verify(b"content", &code));
        assert!(!key.verify(b"contenT", &code));
        for wrong in ["", "0", "zz", &code[..62], &format!("{code}00"), "支付"] {
            assert!(!key.verify(b"content", wrong), "{wrong}");
        }
    }
}
