//! RSASSA-PSS verification (RFC 8017, 8.1.2 and 9.1.2): SHA-256, MGF1 with SHA-256, and a salt of exactly the maximum length, as
//! the real gateway demands. Written out here because ready-made verifiers fix the salt to 32 bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use num_bigint::BigUint;
use ring::digest::{SHA256, digest};

/// Length of a SHA-256 hash.
const HASH: usize = 32;
/// 1.2.840.113549.1.1.1, rsaEncryption.
const RSA_OID: [u8; 9] = [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01];

/// An RSA public key.
#[derive(Debug)]
pub(crate) struct PublicKey {
    modulus: BigUint,
    exponent: BigUint,
}

impl PublicKey {
    /// Reads a PEM text with a SubjectPublicKeyInfo ("BEGIN PUBLIC KEY").
    pub(crate) fn from_pem(pem: &str) -> Option<Self> {
        let body = pem
            .split_once("-----BEGIN PUBLIC KEY-----")?
            .1
            .split_once("-----END PUBLIC KEY-----")?
            .0;
        let packed: String = body.split_whitespace().collect();
        let der = STANDARD.decode(packed).ok()?;
        let (info, _) = element(&der, 0x30)?;
        let (algorithm, rest) = element(info, 0x30)?;
        if element(algorithm, 0x06)?.0 != RSA_OID {
            return None;
        }
        let (bits, _) = element(rest, 0x03)?;
        let (key, _) = element(bits.strip_prefix(&[0])?, 0x30)?;
        let (modulus, rest) = element(key, 0x02)?;
        let (exponent, _) = element(rest, 0x02)?;
        Some(Self {
            modulus: BigUint::from_bytes_be(modulus),
            exponent: BigUint::from_bytes_be(exponent),
        })
    }

    /// Whether `signature` (base64) signs `message`, with a salt of the maximum length.
    pub(crate) fn verifies(&self, message: &[u8], signature: &str) -> bool {
        STANDARD
            .decode(signature)
            .is_ok_and(|s| self.check(message, &s).is_some())
    }

    fn check(&self, message: &[u8], signature: &[u8]) -> Option<()> {
        let bits = usize::try_from(self.modulus.bits()).ok()?;
        if signature.len() != bits.div_ceil(8) {
            return None;
        }
        let number = BigUint::from_bytes_be(signature);
        if number >= self.modulus {
            return None;
        }
        let bytes = number.modpow(&self.exponent, &self.modulus).to_bytes_be();
        let em_bits = bits.checked_sub(1)?;
        let em_len = em_bits.div_ceil(8);
        let mut em = vec![0; em_len.checked_sub(bytes.len())?];
        em.extend(bytes);

        // EM = maskedDB || H || 0xbc
        let salt_len = em_len.checked_sub(HASH + 2)?;
        let (masked, rest) = em.split_at_checked(em_len - HASH - 1)?;
        let hash = rest.strip_suffix(&[0xBC])?;
        let unused = 8 * em_len - em_bits;
        let top_mask = 0xFF_u8.checked_shr(u32::try_from(unused).ok()?)?;
        if masked.first()? & !top_mask != 0 {
            return None;
        }
        // DB = PS || 0x01 || salt; with the longest salt PS is empty.
        let mut db: Vec<u8> = masked
            .iter()
            .zip(mgf1(hash, masked.len()))
            .map(|(a, b)| a ^ b)
            .collect();
        *db.first_mut()? &= top_mask;
        let salt = db.strip_prefix(&[0x01])?;
        if salt.len() != salt_len {
            return None;
        }
        let mut block = vec![0; 8];
        block.extend(digest(&SHA256, message).as_ref());
        block.extend(salt);
        (digest(&SHA256, &block).as_ref() == hash).then_some(())
    }
}

fn mgf1(seed: &[u8], length: usize) -> Vec<u8> {
    let mut mask = Vec::with_capacity(length + HASH);
    let mut counter = 0_u32;
    while mask.len() < length {
        let mut block = seed.to_vec();
        block.extend(counter.to_be_bytes());
        mask.extend(digest(&SHA256, &block).as_ref());
        counter += 1;
    }
    mask.truncate(length);
    mask
}

/// Splits a DER element with this tag into its content and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = der.strip_prefix(&[tag])?.split_first()?;
    let (length, rest) = match first {
        0..=0x7F => (usize::from(*first), rest),
        0x81..=0x83 => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
            (length.iter().fold(0, |n, b| n << 8 | usize::from(*b)), rest)
        }
        _ => return None,
    };
    rest.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merchant::TEST_PUBLIC_KEY;
    use serde_json::Value;

    fn vectors() -> Vec<(String, String)> {
        let all: Value =
            serde_json::from_str(include_str!("../../../tests/vectors/signature_pss.json"))
                .unwrap();
        let text = |v: &Value, key: &str| v[key].as_str().unwrap().to_owned();
        all["vectors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| (text(v, "message"), text(v, "sign")))
            .collect()
    }

    #[test]
    fn published_signatures_verify() {
        let key = PublicKey::from_pem(TEST_PUBLIC_KEY).unwrap();
        for (message, sign) in vectors() {
            assert!(key.verifies(message.as_bytes(), &sign), "{message}");
        }
    }

    #[test]
    fn another_message_or_a_changed_signature_does_not() {
        let key = PublicKey::from_pem(TEST_PUBLIC_KEY).unwrap();
        let (message, sign) = vectors().remove(0);
        assert!(!key.verifies(b"another", &sign));
        assert!(!key.verifies(message.as_bytes(), ""));
        let mut bytes = STANDARD.decode(&sign).unwrap();
        for at in [0, 100, 255] {
            bytes[at] ^= 1;
            assert!(
                !key.verifies(message.as_bytes(), &STANDARD.encode(&bytes)),
                "bit in byte {at}"
            );
            bytes[at] ^= 1;
        }
        bytes.push(0);
        assert!(!key.verifies(message.as_bytes(), &STANDARD.encode(&bytes)));
    }

    #[test]
    fn keys_that_are_no_rsa_spki_are_refused() {
        for text in [
            "",
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
            "-----BEGIN PUBLIC KEY-----",
        ] {
            assert!(PublicKey::from_pem(text).is_none(), "{text}");
        }
    }
}
