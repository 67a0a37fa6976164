//! Reading an answer's JSON without believing its types: numbers may be strings, anything may be
//! missing, and every part stays as the gateway wrote it.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// A JSON object whose values are still text.
pub(crate) struct Object<'a>(BTreeMap<String, &'a RawValue>);

impl<'a> Object<'a> {
    /// Parses an object; `None` for everything else.
    pub(crate) fn parse(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok().map(Self)
    }

    /// The value under `key` as the gateway wrote it.
    pub(crate) fn raw(&self, key: &str) -> Option<&'a RawValue> {
        self.0.get(key).copied()
    }

    /// The object under `key`.
    pub(crate) fn object(&self, key: &str) -> Option<Object<'a>> {
        Self::parse(self.raw(key)?.get())
    }

    /// Text that isn't empty; a number counts as its digits.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        let raw = self.raw(key)?.get();
        let text = match serde_json::from_str(raw).ok()? {
            serde_json::Value::String(text) => text,
            serde_json::Value::Number(number) => number.to_string(),
            _ => return None,
        };
        Some(text).filter(|text| !text.is_empty())
    }

    /// Every key with its value as text: a string unescaped, all else as it was written; what is
    /// null is empty. The key `sign` is left out.
    pub(crate) fn written(&self) -> Vec<(String, String)> {
        self.0
            .iter()
            .filter(|(key, _)| *key != "sign")
            .map(|(key, raw)| {
                let text = match raw.get() {
                    "null" => String::new(),
                    text if text.starts_with('"') => serde_json::from_str(text).unwrap_or_default(),
                    other => other.to_owned(),
                };
                (key.clone(), text)
            })
            .collect()
    }

    /// A whole number, as a number or as a numeric string.
    pub(crate) fn integer(&self, key: &str) -> Option<i64> {
        self.text(key)?.trim().parse().ok()
    }
}
