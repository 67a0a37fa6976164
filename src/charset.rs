//! The register's character set at the C boundary: UTF-8, or GBK as Chinese Windows calls CP936.

use encoding_rs::GBK;

use crate::text::{Text, text};

/// The character set of every string that enters and leaves the library.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charset {
    /// UTF-8, the default.
    #[default]
    Utf8,
    /// GBK (CP936). On input its superset GB18030 is accepted.
    Gbk,
}

impl Charset {
    /// Reads the register's bytes. The error gives the offset of the first byte that is wrong.
    pub fn decode(self, bytes: &[u8]) -> Result<String, Text> {
        match self {
            Self::Utf8 => decode_utf8(bytes),
            Self::Gbk => decode_gbk(bytes).ok_or_else(|| {
                let offset = gbk_error_offset(bytes);
                text!(
                    "不是有效的 GBK 文本（字节偏移 {offset}）",
                    "not valid GBK text (byte offset {offset})"
                )
            }),
        }
    }

    /// Writes JSON for the register. Characters that GBK does not have, and with `ascii` every
    /// character beyond ASCII, become `\uXXXX` escapes, which mean the same in JSON.
    pub fn encode_json(self, json: &str, ascii: bool) -> Vec<u8> {
        if ascii {
            return escape_if(json, |c| !c.is_ascii()).into_bytes();
        }
        match self {
            Self::Utf8 => json.as_bytes().to_vec(),
            Self::Gbk => {
                let json = escape_if(json, |c| !c.is_ascii() && !in_gbk(c));
                GBK.encode(&json).0.into_owned()
            }
        }
    }

    /// Writes a plain message for the register: what the character set lacks becomes `?`, and
    /// with `ascii` a `\uXXXX` escape as in JSON.
    pub fn encode_message(self, message: &str, ascii: bool) -> Vec<u8> {
        if ascii {
            return escape_if(message, |c| !c.is_ascii()).into_bytes();
        }
        match self {
            Self::Utf8 => message.as_bytes().to_vec(),
            Self::Gbk => {
                let known: String = message
                    .chars()
                    .map(|c| if in_gbk(c) { c } else { '?' })
                    .collect();
                GBK.encode(&known).0.into_owned()
            }
        }
    }
}

/// Reads the text of `cloud_pay_init`, whose own `charset` key is not known yet: UTF-8, else GBK.
/// Says which one it was.
pub(crate) fn decode_unknown(bytes: &[u8]) -> Result<(String, Charset), Text> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok((text.to_owned(), Charset::Utf8)),
        Err(error) => match decode_gbk(bytes) {
            Some(text) => Ok((text, Charset::Gbk)),
            None => {
                let offset = error.valid_up_to();
                Err(text!(
                    "既不是 UTF-8 也不是 GBK 文本（字节偏移 {offset}）",
                    "neither UTF-8 nor GBK text (byte offset {offset})"
                ))
            }
        },
    }
}

fn decode_utf8(bytes: &[u8]) -> Result<String, Text> {
    let error = match std::str::from_utf8(bytes) {
        Ok(text) => return Ok(text.to_owned()),
        Err(error) => error,
    };
    let offset = error.valid_up_to();
    Err(if decode_gbk(bytes).is_some() {
        text!(
            "不是有效的 UTF-8 文本（字节偏移 {offset}）；看起来是 GBK，请设置 common_conf.charset 为 \"gbk\"",
            "not valid UTF-8 text (byte offset {offset}); it looks like GBK: set common_conf.charset to \"gbk\""
        )
    } else {
        text!(
            "不是有效的 UTF-8 文本（字节偏移 {offset}）",
            "not valid UTF-8 text (byte offset {offset})"
        )
    })
}

fn decode_gbk(bytes: &[u8]) -> Option<String> {
    GBK.decode_without_bom_handling_and_without_replacement(bytes)
        .map(|text| text.into_owned())
}

/// The start of the first sequence that is not GBK.
fn gbk_error_offset(bytes: &[u8]) -> usize {
    let mut decoder = GBK.new_decoder_without_bom_handling();
    let mut text = String::with_capacity(bytes.len().saturating_mul(3).saturating_add(16));
    let (result, read) = decoder.decode_to_string_without_replacement(bytes, &mut text, true);
    match result {
        encoding_rs::DecoderResult::Malformed(length, after) => {
            read.saturating_sub(usize::from(length) + usize::from(after))
        }
        _ => read,
    }
}

fn in_gbk(c: char) -> bool {
    let mut buffer = [0; 4];
    let (_, _, unmappable) = GBK.encode(c.encode_utf8(&mut buffer));
    !unmappable
}

fn escape_if(text: &str, escape: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut units = [0; 2];
    for c in text.chars() {
        if escape(c) {
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04X}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gbk_round_trip() {
        // "支付" in CP936, from the Windows code page table.
        let bytes = [0xD6, 0xA7, 0xB8, 0xB6];
        assert_eq!(Charset::Gbk.decode(&bytes).unwrap(), "支付");
        assert_eq!(Charset::Gbk.encode_json("支付", false), bytes);
    }

    #[test]
    fn what_gbk_lacks_is_escaped() {
        assert_eq!(
            Charset::Gbk.encode_json("\"a😀\"", false),
            b"\"a\\uD83D\\uDE00\""
        );
        assert_eq!(Charset::Gbk.encode_message("a😀", false), b"a?");
    }

    #[test]
    fn ascii_output_is_the_same_in_every_code_page() {
        for charset in [Charset::Utf8, Charset::Gbk] {
            assert_eq!(charset.encode_json("\"支\"", true), b"\"\\u652F\"");
        }
    }

    #[test]
    fn the_offset_of_the_first_wrong_byte_is_given() {
        let error = Charset::Utf8
            .decode(b"abc\xFF\xFF")
            .unwrap_err()
            .to_string();
        assert!(error.contains("byte offset 3"), "{error}");
        let error = Charset::Gbk
            .decode(b"abcd\xFF\xFF")
            .unwrap_err()
            .to_string();
        assert!(error.contains("byte offset 4"), "{error}");
    }

    #[test]
    fn gbk_given_as_utf8_is_recognised() {
        let error = Charset::Utf8
            .decode(b"{\"body\":\"\xD6\xA7\xB8\xB6\"}")
            .unwrap_err();
        assert!(error.to_string().contains("looks like GBK"), "{error}");
    }
}
