//! Reading a JSON object that a register wrote: by key, with the register's habits allowed
//! (numbers as strings), and with errors that name the key, the limit and what was given.

use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;

use crate::text::{Text, text};

/// A JSON object with the path that leads to it (`trade_conf.` for example), for messages.
pub(crate) struct Fields<'a> {
    path: &'static str,
    /// What has not been read yet, as it was written: reading takes it out.
    map: Raw<'a>,
}

/// Values as they were written: a number keeps its digits, and there is no second copy of a secret.
type Raw<'a> = BTreeMap<String, &'a RawValue>;

impl<'a> Fields<'a> {
    /// Parses a whole JSON text that has to be an object.
    pub(crate) fn parse(json: &'a str) -> Result<Self, Text> {
        let malformed =
            |error: serde_json::Error| text!("JSON 格式错误：{error}", "malformed JSON: {error}");
        let whole: &RawValue = serde_json::from_str(json).map_err(malformed)?;
        if !whole.get().starts_with('{') {
            let got = kind(&value(whole));
            return Err(text!(
                "应为 JSON 对象，得到的是{got}",
                "expected a JSON object, got {got}"
            ));
        }
        let map = serde_json::from_str(whole.get()).map_err(malformed)?;
        Ok(Self::new("", map))
    }

    fn new(path: &'static str, map: Raw<'a>) -> Self {
        Self { path, map }
    }

    /// The object under `key`; an empty one when there is none.
    pub(crate) fn object(
        &mut self,
        key: &'static str,
        path: &'static str,
    ) -> Result<Fields<'a>, Text> {
        match self.take(key) {
            None => Ok(Fields::new(path, Raw::new())),
            Some(given) => match serde_json::from_str(given.get()) {
                Ok(map) => Ok(Fields::new(path, map)),
                Err(_) => Err(self.mistyped(key, "JSON 对象", "a JSON object", &value(given))),
            },
        }
    }

    /// Text of at most `limit` characters. An empty text counts as given.
    pub(crate) fn text(&mut self, key: &'static str, limit: usize) -> Result<Option<String>, Text> {
        let Some(given) = self.take(key) else {
            return Ok(None);
        };
        let text = self.as_text(key, given)?;
        self.limited(key, limit, text).map(Some)
    }

    /// A string; or a number as registers write them where the protocol wants text, like 12345:
    /// with the digits that were written.
    fn as_text(&self, key: &str, given: &RawValue) -> Result<String, Text> {
        let is_whole = |digits: &str| {
            let digits = digits.strip_prefix('-').unwrap_or(digits);
            digits.bytes().all(|byte| byte.is_ascii_digit())
        };
        match value(given) {
            Value::String(text) => Ok(text),
            Value::Number(_) if is_whole(given.get()) => Ok(given.get().to_owned()),
            other => Err(self.mistyped(key, "字符串或整数", "a string or a whole number", &other)),
        }
    }

    /// Text that must be there and not empty.
    pub(crate) fn required_text(
        &mut self,
        key: &'static str,
        limit: usize,
    ) -> Result<String, Text> {
        match self.text(key, limit)? {
            Some(value) if !value.is_empty() => Ok(value),
            _ => Err(self.missing(key)),
        }
    }

    /// JSON that travels as text: a string as it is, an object or array written out.
    pub(crate) fn json_text(
        &mut self,
        key: &'static str,
        limit: usize,
    ) -> Result<Option<String>, Text> {
        let Some(given) = self.take(key) else {
            return Ok(None);
        };
        let value = match value(given) {
            Value::String(value) => value,
            value @ (Value::Object(_) | Value::Array(_)) => value.to_string(),
            other => {
                return Err(self.mistyped(
                    key,
                    "字符串或 JSON 对象",
                    "a string or an object",
                    &other,
                ));
            }
        };
        self.limited(key, limit, value).map(Some)
    }

    /// A whole number, written as a number or as a numeric string, within `min..=max`.
    pub(crate) fn integer(
        &mut self,
        key: &'static str,
        min: i64,
        max: i64,
    ) -> Result<Option<i64>, Text> {
        let value = match self.take(key) {
            None => return Ok(None),
            Some(given) => value(given),
        };
        let path = self.path;
        match whole_number(&value) {
            Some(number) if (min..=max).contains(&number) => Ok(Some(number)),
            Some(number) => Err(text!(
                "{path}{key}：应在 {min} 到 {max} 之间，得到 {number}",
                "{path}{key}: must be between {min} and {max}, got {number}"
            )),
            None => Err(self.mistyped(key, "整数", "a whole number", &value)),
        }
    }

    /// The same from 1 on, where 0 and an empty text count as not given.
    pub(crate) fn kind(&mut self, key: &'static str, max: i64) -> Result<Option<i64>, Text> {
        const NONE: [&str; 3] = ["0", "\"0\"", "\"\""];
        if self
            .map
            .get(key)
            .is_some_and(|given| NONE.contains(&given.get()))
        {
            self.take(key);
        }
        self.integer(key, 1, max)
    }

    /// A whole number that must be there.
    pub(crate) fn required_integer(
        &mut self,
        key: &'static str,
        min: i64,
        max: i64,
    ) -> Result<i64, Text> {
        self.integer(key, min, max)?
            .ok_or_else(|| self.missing(key))
    }

    /// A switch: 0 or 1, false or true.
    pub(crate) fn switch(&mut self, key: &'static str) -> Result<Option<bool>, Text> {
        if let Some(Value::Bool(on)) = self.map.get(key).map(|given| value(given)) {
            self.take(key);
            return Ok(Some(on));
        }
        Ok(self.integer(key, 0, 1)?.map(|value| value == 1))
    }

    /// One of a few words.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&str, T)],
    ) -> Result<Option<T>, Text> {
        let Some(given) = self.text(key, 64)? else {
            return Ok(None);
        };
        if let Some((_, value)) = choices.iter().find(|(word, _)| *word == given) {
            return Ok(Some(*value));
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let words = words.join(" | ");
        let path = self.path;
        Err(text!(
            "{path}{key}：应为 {words}，得到 \"{given}\"",
            "{path}{key}: must be {words}, got \"{given}\""
        ))
    }

    /// A list of texts.
    pub(crate) fn texts(
        &mut self,
        key: &'static str,
        limit: usize,
    ) -> Result<Option<Vec<String>>, Text> {
        let Some(given) = self.take(key) else {
            return Ok(None);
        };
        let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(given.get()) else {
            return Err(self.mistyped(key, "字符串数组", "a list of strings", &value(given)));
        };
        let texts = items.into_iter().map(|item| {
            let text = self.as_text(key, item)?;
            self.limited(key, limit, text)
        });
        texts.collect::<Result<_, _>>().map(Some)
    }

    /// A text, or a list of them; empty when there is none.
    pub(crate) fn one_or_more_texts(
        &mut self,
        key: &'static str,
        limit: usize,
    ) -> Result<Vec<String>, Text> {
        if self.is_list(key) {
            return Ok(self.texts(key, limit)?.unwrap_or_default());
        }
        Ok(self.text(key, limit)?.into_iter().collect())
    }

    /// A list of whole numbers, each as [`Fields::integer`] takes them; empty when there is none.
    pub(crate) fn integers(
        &mut self,
        key: &'static str,
        min: i64,
        max: i64,
    ) -> Result<Vec<i64>, Text> {
        let items = match self.take(key).map(value) {
            None => return Ok(Vec::new()),
            Some(Value::Array(items)) => items,
            Some(other) => {
                return Err(self.mistyped(key, "整数数组", "a list of whole numbers", &other));
            }
        };
        let path = self.path;
        items
            .iter()
            .map(|item| match whole_number(item) {
                Some(number) if (min..=max).contains(&number) => Ok(number),
                Some(number) => Err(text!(
                    "{path}{key}：每一项应在 {min} 到 {max} 之间，得到 {number}",
                    "{path}{key}: each one must be between {min} and {max}, got {number}"
                )),
                None => Err(self.mistyped(key, "整数数组", "a list of whole numbers", item)),
            })
            .collect()
    }

    /// Whether the value under `key` is a list.
    pub(crate) fn is_list(&self, key: &str) -> bool {
        self.map
            .get(key)
            .is_some_and(|given| given.get().starts_with('['))
    }

    /// The keys nobody asked for. They are accepted; the caller logs them once.
    pub(crate) fn unknown(&self) -> impl Iterator<Item = String> + '_ {
        let path = self.path;
        self.map.keys().map(move |key| format!("{path}{key}"))
    }

    /// The error for a key that has to be there.
    pub(crate) fn missing(&self, key: &str) -> Text {
        let path = self.path;
        text!(
            "{path}{key}：必填，未提供",
            "{path}{key}: required, but missing or empty"
        )
    }

    /// An error about the value under `key`.
    pub(crate) fn invalid(&self, key: &str, why: &Text) -> Text {
        let path = self.path;
        Text::new(
            format!("{path}{key}：{}", why.pick(crate::text::Language::Zh)),
            format!("{path}{key}: {}", why.pick(crate::text::Language::En)),
        )
    }

    /// Takes the value out; `null` counts as not given.
    fn take(&mut self, key: &'static str) -> Option<&'a RawValue> {
        self.map.remove(key).filter(|given| given.get() != "null")
    }

    fn limited(&self, key: &str, limit: usize, value: String) -> Result<String, Text> {
        let length = value.chars().count();
        let path = self.path;
        if length > limit {
            return Err(text!(
                "{path}{key}：最多 {limit} 个字符，得到 {length} 个",
                "{path}{key}: at most {limit} characters, got {length}"
            ));
        }
        // A NUL would cut the text short on its way back through the C interface.
        if value.contains('\0') {
            return Err(text!(
                "{path}{key}：不能包含 NUL 字符",
                "{path}{key}: must not contain a NUL character"
            ));
        }
        Ok(value)
    }

    fn mistyped(&self, key: &str, zh: &str, en: &str, got: &Value) -> Text {
        let path = self.path;
        let got = kind(got);
        text!(
            "{path}{key}：应为{zh}，得到{got}",
            "{path}{key}: must be {en}, got {got}"
        )
    }
}

/// What was written, read.
fn value(given: &RawValue) -> Value {
    // It was checked when the whole was parsed.
    serde_json::from_str(given.get()).unwrap_or_default()
}

/// A whole number, or a numeric string.
fn whole_number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(digits) => digits.trim().parse().ok(),
        _ => None,
    }
}

/// What a value is, without the value itself: it may be a secret put under the wrong key.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true/false",
        Value::Number(number) if number.is_f64() => "a fraction",
        Value::Number(_) => "a number",
        Value::String(text) if text.is_empty() => "an empty string",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields<'_> {
        Fields::parse(json).unwrap()
    }

    #[test]
    fn numbers_may_come_as_strings() {
        let mut fields = fields(r#"{"a":100,"b":"100","c":" 7 "}"#);
        assert_eq!(fields.integer("a", 1, 200).unwrap(), Some(100));
        assert_eq!(fields.integer("b", 1, 200).unwrap(), Some(100));
        assert_eq!(fields.integer("c", 1, 200).unwrap(), Some(7));
        assert_eq!(fields.integer("d", 1, 200).unwrap(), None);
    }

    #[test]
    fn numbers_that_stand_for_text_keep_their_digits() {
        let json = r#"{"a":20261127034300000000000001,"b":-0,"c":[007],"d":1e3,"e":1.0,"f":true}"#;
        assert!(Fields::parse(json).is_err(), "007 is no JSON");
        let json = json.replace("007", "7,\"x\"");
        let mut fields = fields(&json);
        let text = fields.text("a", 32).unwrap();
        assert_eq!(text.as_deref(), Some("20261127034300000000000001"));
        assert_eq!(fields.text("b", 9).unwrap().as_deref(), Some("-0"));
        assert_eq!(fields.texts("c", 9).unwrap().unwrap(), ["7", "x"]);
        for key in ["d", "e", "f"] {
            let error = fields.text(key, 9).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("{key}: must be a string")),
                "{error}"
            );
        }
    }

    #[test]
    fn lists_take_the_same_numbers() {
        let mut fields = fields(r#"{"list":[1,"2"],"far":[3]}"#);
        assert_eq!(fields.integers("list", 1, 2).unwrap(), [1, 2]);
        let error = fields.integers("far", 1, 2).unwrap_err().to_string();
        assert_eq!(error, "far: each one must be between 1 and 2, got 3");
    }

    #[test]
    fn errors_name_the_key_the_limit_and_what_was_given() {
        let error = |json, f: fn(&mut Fields) -> Text| f(&mut fields(json)).to_string();
        assert_eq!(
            error(r#"{"total_fee":0}"#, |f| f
                .integer("total_fee", 1, 9)
                .unwrap_err()),
            "total_fee: must be between 1 and 9, got 0"
        );
        assert_eq!(
            error(r#"{"body":"四个汉字"}"#, |f| f
                .text("body", 3)
                .unwrap_err()),
            "body: at most 3 characters, got 4"
        );
        assert_eq!(
            error(r#"{"total_fee":1.5}"#, |f| f
                .integer("total_fee", 1, 9)
                .unwrap_err()),
            "total_fee: must be a whole number, got a fraction"
        );
        assert_eq!(
            error("{}", |f| f.required_text("out_trade_no", 32).unwrap_err()),
            "out_trade_no: required, but missing or empty"
        );
    }

    #[test]
    fn unknown_keys_are_reported_not_refused() {
        let mut fields = fields(r#"{"a":1,"zz":2}"#);
        fields.integer("a", 0, 9).unwrap();
        assert_eq!(fields.unknown().collect::<Vec<_>>(), ["zz"]);
    }

    #[test]
    fn a_value_that_nul_would_cut_is_refused() {
        assert!(fields("{\"a\":\"x\\u0000y\"}").text("a", 9).is_err());
    }
}
