//! The contents of monitor uploads.

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;

use super::wire::{Client, client, nonce};
use crate::config::Merchant;
use crate::telemetry::{CallResult, Upload};
use crate::text::{Text, text};

/// Protocol: `CompressType`.
const GZIP: i32 = 3;

/// More than this, in bytes, is compressed.
const MAX_PLAIN: usize = 8 * 1024;

#[derive(Serialize)]
struct Calls<'a> {
    out_mch_id: &'a str,
    out_sub_mch_id: &'a str,
    out_shop_id: &'a str,
    order_client: Client<'a>,
    interval: u64,
    is_compress: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    compress_type: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    compressed_monitor_info: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uncompressed_monitor_info: Option<MonitorInfo<'a>>,
    nonce_str: String,
}

#[derive(Serialize)]
struct MonitorInfo<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    client_int_results: &'a [CallResult],
    machine_info: String,
}

#[derive(Serialize)]
struct Machine<'a> {
    out_mch_id: &'a str,
    out_sub_mch_id: &'a str,
    out_shop_id: &'a str,
    order_client: Client<'a>,
    machine_info: String,
    nonce_str: String,
}

/// The content of an upload.
pub(super) fn content(merchant: &Merchant, upload: &Upload) -> Result<String, Text> {
    let nonce_str = nonce()?;
    let content = match upload {
        Upload::Machine(machine) => serde_json::to_string(&Machine {
            out_mch_id: &merchant.out_mch_id,
            out_sub_mch_id: &merchant.out_sub_mch_id,
            out_shop_id: &merchant.out_shop_id,
            order_client: client(merchant),
            machine_info: machine.to_string(),
            nonce_str,
        }),
        Upload::Calls {
            interval,
            results,
            machine,
        } => {
            let info = MonitorInfo {
                client_int_results: results,
                machine_info: machine.to_string(),
            };
            let plain = serde_json::to_string(&info).map_err(|error| internal(&error))?;
            let packed = (plain.len() > MAX_PLAIN)
                .then(|| pack(plain.as_bytes()))
                .transpose()
                .map_err(|error| internal(&error))?;
            serde_json::to_string(&Calls {
                out_mch_id: &merchant.out_mch_id,
                out_sub_mch_id: &merchant.out_sub_mch_id,
                out_shop_id: &merchant.out_shop_id,
                order_client: client(merchant),
                interval: *interval,
                is_compress: packed.is_some(),
                compress_type: packed.is_some().then_some(GZIP),
                uncompressed_monitor_info: packed.is_none().then_some(info),
                compressed_monitor_info: packed,
                nonce_str,
            })
        }
    };
    content.map_err(|error| internal(&error))
}

fn pack(plain: &[u8]) -> std::io::Result<String> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(plain)?;
    Ok(STANDARD.encode(gzip.finish()?))
}

fn internal(error: &dyn std::error::Error) -> Text {
    text!("内部错误：{error}", "internal error: {error}")
}
