//! upload_client_monitor_info and upload_client_conf_info.

use serde_json::{Value, json};

use super::envelope::{Answer, Call, unpack};
use super::interface::{INT_RESULT, MONITOR_CONTENT};
use crate::app::{App, lock};
use crate::clock::{nonce, now_ms};
use crate::fields;
use crate::records::Upload;

/// Interface results, plain or compressed.
pub(crate) fn monitor(app: &App, call: &Call, path: &str) -> Answer {
    let compressed = call
        .content
        .get("is_compress")
        .and_then(Value::as_bool)
        .unwrap_or_default();
    let info = match read(&call.content, compressed) {
        Ok(info) => info,
        Err(why) => return Answer::refused(104, why),
    };
    let mut odd = Vec::new();
    let checked = check(&info, &mut odd);
    app.warn(&format!("/cpay/{path}"), odd);
    if let Err(why) = checked {
        return Answer::refused(104, why);
    }
    keep(app, call, path, compressed, info);
    Answer::done(json!({ "nonce_str": nonce(), "interval": 0 }))
}

fn read(content: &Value, compressed: bool) -> Result<Value, String> {
    if !compressed {
        let plain = content.get("uncompressed_monitor_info");
        return plain
            .cloned()
            .ok_or_else(|| "uncompressed_monitor_info: 缺少 (missing)".to_owned());
    }
    if content.get("compress_type").and_then(Value::as_i64) != Some(3) {
        return Err("compress_type: 只支持 3 (only 3, gzip)".to_owned());
    }
    let packed = content
        .get("compressed_monitor_info")
        .and_then(Value::as_str);
    let packed = packed.ok_or("compressed_monitor_info: 缺少 (missing)")?;
    unpack(packed).ok_or_else(|| {
        "compressed_monitor_info: 不是 base64 的 gzip (no gzip of JSON in base64)".to_owned()
    })
}

fn check(info: &Value, odd: &mut fields::Oddities) -> Result<(), String> {
    let Some(info) = info.as_object() else {
        return Err("monitor_info: 必须是对象 (must be an object)".to_owned());
    };
    fields::check(info, MONITOR_CONTENT, "monitor_info.", odd)?;
    for result in info
        .get("client_int_results")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let Some(result) = result.as_object() else {
            return Err("client_int_results: 必须是对象 (must hold objects)".to_owned());
        };
        fields::check(result, INT_RESULT, "client_int_results.", odd)?;
    }
    machine_info(info.get("machine_info")).map(drop)
}

/// What the machine is.
pub(crate) fn machine(app: &App, call: &Call, path: &str) -> Answer {
    if let Err(why) = machine_info(call.content.get("machine_info")) {
        return Answer::refused(104, why);
    }
    keep(app, call, path, false, Value::Null);
    Answer::done(json!({ "nonce_str": nonce() }))
}

/// `machine_info` travels as a JSON string.
fn machine_info(value: Option<&Value>) -> Result<Value, String> {
    let text = value.and_then(Value::as_str).unwrap_or_default();
    serde_json::from_str(text)
        .map_err(|_| "machine_info: 不是 JSON 字符串 (must be JSON in a string)".to_owned())
}

fn keep(app: &App, call: &Call, path: &str, compressed: bool, info: Value) {
    let machine = machine_info(
        info.get("machine_info")
            .or_else(|| call.content.get("machine_info")),
    );
    lock(&app.uploads).push(Upload {
        at_ms: now_ms(),
        path: format!("/cpay/{path}"),
        compressed,
        content: call.content.clone(),
        monitor_info: info,
        machine_info: machine.unwrap_or_default(),
    });
}
