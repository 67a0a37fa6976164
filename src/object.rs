//! Reading an answer's JSON without believing its types: numbers may be strings, anything may be
//! missing, and every part stays as the gateway wrote it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A JSON object whose values are still text.
pub(crate) struct Object<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Object<'a> {
    /// Parses an object; `None` for everything else.
    pub(crate) fn parse(json: &'a str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// Every key with its value as the gateway wrote it. Of a key that comes twice, the last.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(key, raw)| (key.as_ref(), *raw))
    }

    /// The value under `key` as the gateway wrote it.
    pub(crate) fn raw(&self, key: &str) -> Option<&'a RawValue> {
        self.entries()
            .find_map(|(name, raw)| (name == key).then_some(raw))
    }

    /// The object under `key`.
    pub(crate) fn object(&self, key: &str) -> Option<Object<'a>> {
        Self::parse(self.raw(key)?.get())
    }

    /// Text that isn't empty; a number counts as it was written.
    pub(crate) fn text(&self, key: &str) -> Option<String> {
        let raw = self.raw(key)?.get();
        let text: String = match raw.as_bytes().first()? {
            b'"' => serde_json::from_str(raw).ok()?,
            b'-' | b'0'..=b'9' => raw.to_owned(),
            _ => return None,
        };
        Some(text).filter(|text| !text.is_empty())
    }

    /// Every key with its value as text: a string unescaped, all else as it was written; what is
    /// null is empty. The key `sign` is left out.
    pub(crate) fn written(&self) -> Vec<(String, String)> {
        self.entries()
            .filter(|(key, _)| *key != "sign")
            .map(|(key, raw)| {
                let text = match raw.get() {
                    "null" => String::new(),
                    text if text.starts_with('"') => serde_json::from_str(text).unwrap_or_default(),
                    other => other.to_owned(),
                };
                (key.to_owned(), text)
            })
            .collect()
    }

    /// A whole number, as a number or as a numeric string.
    pub(crate) fn integer(&self, key: &str) -> Option<i64> {
        let raw = self.raw(key)?.get();
        raw.parse()
            .ok()
            .or_else(|| self.text(key)?.trim().parse().ok())
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries)
    }
}

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Object<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries: Vec<(Cow<'de, str>, &'de RawValue)> = Vec::with_capacity(16);
        while let Some((Key(key), raw)) = map.next_entry()? {
            match entries.iter_mut().find(|(known, _)| *known == key) {
                Some(entry) => entry.1 = raw,
                None => entries.push((key, raw)),
            }
        }
        Ok(Object(entries))
    }
}
