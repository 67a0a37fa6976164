//! The operating system's random source.

use rsa::rand_core::{OsRng, RngCore};

use crate::text::{Text, text};

/// Random bytes.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N], Text> {
    let mut bytes = [0; N];
    OsRng.try_fill_bytes(&mut bytes).map_err(|error| {
        text!(
            "操作系统随机数不可用：{error}",
            "the operating system's random source failed: {error}"
        )
    })?;
    Ok(bytes)
}

/// Random digits and lower-case letters.
pub(crate) fn letters(count: usize) -> Result<String, Text> {
    let mut letters = String::with_capacity(count);
    while letters.len() < count {
        // Of 256 values 252 are seven times 36: no character comes more often than another.
        let usable = bytes::<16>()?.into_iter().filter(|byte| *byte < 252);
        let digits = usable.filter_map(|byte| char::from_digit(u32::from(byte % 36), 36));
        letters.extend(digits.take(count - letters.len()));
    }
    Ok(letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_of_both_kinds_and_never_the_same() {
        let many = letters(10_000).unwrap();
        assert_eq!(many.len(), 10_000);
        for c in ('0'..='9').chain('a'..='z') {
            let times = many.matches(c).count();
            assert!((100..500).contains(&times), "{c}: {times}");
        }
        assert_ne!(letters(10).unwrap(), letters(10).unwrap());
    }
}
