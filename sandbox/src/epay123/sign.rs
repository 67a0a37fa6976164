//! The epay123 signature: MD5 over the sorted pairs and the application's secret.

use serde_json::{Map, Value};

/// The signature of these fields, upper-case hex. Empty and null ones, and `sign` itself, are not part of it.
pub(crate) fn sign(fields: &Map<String, Value>, secret: &str) -> String {
    format!("{:X}", md5::compute(text(fields, secret)))
}

/// What is hashed: `key=value&` pairs, sorted as whole texts and without regard to case, then `key=SECRET`.
fn text(fields: &Map<String, Value>, secret: &str) -> String {
    let mut pairs: Vec<String> = fields
        .iter()
        .filter(|(key, _)| *key != "sign")
        .filter_map(|(key, value)| Some(format!("{key}={}&", shown(value)?)))
        .collect();
    pairs.sort_by_cached_key(|pair| folded(pair));
    format!("{}key={secret}", pairs.concat())
}

fn shown(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => (!text.is_empty()).then(|| text.clone()),
        other => Some(other.to_string()),
    }
}

/// A text as Java compares it when it ignores case: by UTF-16 units, each upper-cased and then lower-cased.
fn folded(text: &str) -> Vec<u16> {
    let single =
        |mut many: Box<dyn Iterator<Item = char>>, c: char| match (many.next(), many.next()) {
            (Some(one), None) => one,
            _ => c,
        };
    let fold = |c: char| {
        let upper = single(Box::new(c.to_uppercase()), c);
        single(Box::new(upper.to_lowercase()), upper)
    };
    text.chars()
        .map(fold)
        .collect::<String>()
        .encode_utf16()
        .collect()
}

/// Whether two signatures are the same, in either case; compared in constant time.
pub(crate) fn same(one: &str, other: &str) -> bool {
    let (one, other) = (one.to_ascii_uppercase(), other.to_ascii_uppercase());
    one.len() == other.len()
        && one
            .bytes()
            .zip(other.bytes())
            .fold(0, |d, (a, b)| d | (a ^ b))
            == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_signatures_are_found() {
        let all: Value =
            serde_json::from_str(include_str!("../../../tests/vectors/epay123_sign.json")).unwrap();
        for vector in all["vectors"].as_array().unwrap() {
            let (fields, key) = (
                vector["params"].as_object().unwrap(),
                vector["key"].as_str().unwrap(),
            );
            assert_eq!(
                text(fields, key),
                vector["string_to_sign"].as_str().unwrap()
            );
            assert_eq!(sign(fields, key), vector["sign"].as_str().unwrap());
        }
    }

    #[test]
    fn signatures_are_compared_whole_and_in_either_case() {
        assert!(same("AB12", "ab12"));
        for other in ["", "AB1", "AB123", "AB13"] {
            assert!(!same("AB12", other), "{other}");
        }
    }
}
