//! Which keys a request has, of which type and length; and the check of a request against that.

use serde_json::{Map, Value};

/// What a value has to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// A string of at most so many characters.
    Text(usize),
    /// The same, and it may be empty though it is required.
    Line(usize),
    /// A whole number between these two.
    Number(i64, i64),
    /// true or false.
    Flag,
    /// An object with these keys.
    Object(&'static [Field]),
    /// An array.
    List,
    /// One of two shapes that the manuals differ about, or nothing that this gateway looks at.
    Free,
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) required: bool,
    pub(crate) kind: Kind,
}

/// A key that has to be there.
pub(crate) const fn need(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        required: true,
        kind,
    }
}

/// A key that may be there.
pub(crate) const fn may(name: &'static str, kind: Kind) -> Field {
    Field {
        name,
        required: false,
        kind,
    }
}

/// What was found besides errors: a key with dots, and what is odd about it.
pub(crate) type Oddities = Vec<(String, &'static str)>;

/// Checks an object. An error names the key and says what is wrong with it.
pub(crate) fn check(
    object: &Map<String, Value>,
    fields: &[Field],
    at: &str,
    odd: &mut Oddities,
) -> Result<(), String> {
    for key in object.keys() {
        if !fields.iter().any(|f| f.name == key) {
            odd.push((format!("{at}{key}"), "unknown"));
        }
    }
    for field in fields {
        let key = format!("{at}{}", field.name);
        match object.get(field.name) {
            None if field.required => return Err(format!("{key}: 缺少必填字段 (missing)")),
            None => {}
            Some(Value::Null) if field.required => {
                return Err(format!("{key}: 不能为 null (is null)"));
            }
            Some(Value::Null) => odd.push((key, "null")),
            Some(value) => check_value(value, field, &key, odd)?,
        }
    }
    Ok(())
}

fn check_value(value: &Value, field: &Field, key: &str, odd: &mut Oddities) -> Result<(), String> {
    match field.kind {
        Kind::Text(most) | Kind::Line(most) => {
            let Some(text) = value.as_str() else {
                return Err(format!("{key}: 必须是字符串 (must be a string)"));
            };
            let length = text.chars().count();
            if length > most {
                return Err(format!(
                    "{key}: 最长 {most} 个字符，实际 {length} (at most {most} characters, has {length})"
                ));
            }
            if text.is_empty() && matches!(field.kind, Kind::Line(_)) {
                return Ok(());
            }
            if text.is_empty() && field.required {
                return Err(format!("{key}: 不能为空 (empty)"));
            }
            if text.is_empty() {
                odd.push((key.to_owned(), "empty"));
            }
        }
        Kind::Number(least, most) => {
            let Some(number) = value.as_i64() else {
                return Err(format!("{key}: 必须是整数 (must be a whole number)"));
            };
            if !(least..=most).contains(&number) {
                return Err(format!(
                    "{key}: {number} 不在 {least} 到 {most} 之间 (not between {least} and {most})"
                ));
            }
        }
        Kind::Flag if !value.is_boolean() => {
            return Err(format!("{key}: 必须是布尔值 (must be true or false)"));
        }
        Kind::List if !value.is_array() => {
            return Err(format!("{key}: 必须是数组 (must be an array)"));
        }
        Kind::Object(fields) => {
            let Some(object) = value.as_object() else {
                return Err(format!("{key}: 必须是对象 (must be an object)"));
            };
            check(object, fields, &format!("{key}."), odd)?;
        }
        Kind::Flag | Kind::List | Kind::Free => {}
    }
    Ok(())
}
