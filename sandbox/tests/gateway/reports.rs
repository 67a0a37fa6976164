//! Lists, sums, shops, and what registers upload.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::desk::{Desk, about, client, mch_key, micro, micro_alipay, refund};

fn listing(page_num: u64, page_size: u64, kind: u64) -> Value {
    json!({
        "out_sub_mch_id": "sz01SANDBOXsub000001",
        "query_order_type": kind,
        "start_time": 0,
        "end_time": 4_000_000_000_u64,
        "page_num": page_num,
        "page_size": page_size,
        "nonce_str": "N",
    })
}

/// Three payments (one Alipay, one by another device), and a refund of 30.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.call("micro_pay", &micro("sz0100a", "000")).authentic();
    desk.call("micro_pay", &micro_alipay("sz0100b", "000"))
        .authentic();
    let mut other = micro("sz0100c", "000");
    other["order_client"]["device_id"] = "825".into();
    desk.call("micro_pay", &other).authentic();
    let mut back = refund("sz0100b", "sz0100r1", 30);
    back["pay_mch_key"] = mch_key(2);
    desk.call("refund", &back).authentic();
    let mut query = about("sz0100b");
    query["out_refund_no"] = "sz0100r1".into();
    for _ in 0..2 {
        desk.call("query_refund_order", &query).authentic();
    }
    desk
}

fn numbers(desk: &Desk, content: &Value) -> (u64, Vec<String>) {
    let got = desk.call("client_order_detail", content).authentic();
    let body = &got.content["order_detail_query"];
    let number = |entry: &Value| {
        let receipt = &entry["receipt"];
        let no = receipt.pointer("/order/order_content/out_trade_no");
        let no = no.or(receipt.pointer("/refund_order/refund_order_content/out_refund_no"));
        no.unwrap().as_str().unwrap().to_owned()
    };
    (
        body["total_count"].as_u64().unwrap(),
        body["order_details"]
            .as_array()
            .unwrap()
            .iter()
            .map(number)
            .collect(),
    )
}

#[test]
fn details_are_paged_and_filtered_newest_first() {
    let desk = desk();
    let expected = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        numbers(&desk, &listing(1, 10, 3)),
        (4, expected(&["sz0100c", "sz0100r1", "sz0100b", "sz0100a"]))
    );
    assert_eq!(
        numbers(&desk, &listing(2, 2, 3)),
        (4, expected(&["sz0100b", "sz0100a"]))
    );
    assert_eq!(
        numbers(&desk, &listing(1, 10, 1)),
        (3, expected(&["sz0100c", "sz0100b", "sz0100a"]))
    );
    assert_eq!(
        numbers(&desk, &listing(1, 10, 2)),
        (1, expected(&["sz0100r1"]))
    );
    let with = |key: &str, value: Value| {
        let mut content = listing(1, 10, 1);
        content[key] = value;
        numbers(&desk, &content).1
    };
    assert_eq!(with("device_id", "825".into()), ["sz0100c"]);
    assert_eq!(with("pay_platform", 2.into()), ["sz0100b"]);
    assert!(with("end_time", 1.into()).is_empty());
    assert!(with("out_shop_id", "sz01SANDBOXshp000002".into()).is_empty());
    let got = desk
        .call("client_order_detail", &listing(2, 2, 3))
        .authentic();
    let order = &got.content["order_detail_query"]["order_details"][0]["receipt"]["order"];
    // Alipay's partial refund shows here only.
    assert_eq!(
        (
            &order["order_content"]["refunded_fee"],
            &order["order_mch"]["pay_platform"]
        ),
        (&30.into(), &2.into())
    );
    assert_eq!(
        order["order_content"]["alipay_order_content_ext"]["current_trade_state"],
        2
    );
    assert_eq!(desk.get("/sandbox/warnings"), json!([]));
}

#[test]
fn sums_count_payments_and_refunds() {
    let desk = desk();
    let mut content = json!({
        "out_sub_mch_id": "sz01SANDBOXsub000001", "start_time": 0, "end_time": 4_000_000_000_u64, "nonce_str": "N",
    });
    let got = desk.call("query_order_list_overview", &content).authentic();
    let sums = &got.content["query_order_list_overview"]["overviews"][0];
    let pick = |key: &str| sums[key].as_i64().unwrap();
    assert_eq!((pick("success_count"), pick("success_amount")), (3, 300));
    assert_eq!(
        (
            pick("refund_create_count"),
            pick("refund_create_amount"),
            pick("income_amount")
        ),
        (1, 30, 270)
    );
    content["sub_pay_platforms"] = json!([200]);
    let got = desk.call("query_order_list_overview", &content).authentic();
    assert_eq!(
        got.content["query_order_list_overview"]["overviews"][0]["success_count"],
        1
    );
}

#[test]
fn shops_are_paged_and_the_sub_merchant_has_its_prefix() {
    let desk = Desk::new();
    let shops = |page: u64| {
        let content = json!({
            "out_mch_id": "sz01SANDBOXmch000001", "out_sub_mch_id": "sz01SANDBOXsub000001",
            "page_num": page, "page_size": 1, "nonce_str": "N",
        });
        desk.call("query_sub_mch_shop_info", &content)
            .authentic()
            .content["query_shop_info"]
            .clone()
    };
    assert_eq!(shops(1)["total_count"], 2);
    assert_eq!(
        shops(1)["shop_infos"][0]["out_shop_id"],
        "sz01SANDBOXshp000001"
    );
    assert_eq!(
        shops(2)["shop_infos"][0]["out_shop_id"],
        "sz01SANDBOXshp000002"
    );
    assert_eq!(shops(3)["shop_infos"], json!([]));
    let content = json!({ "out_sub_mch_id": "sz01SANDBOXsub000001", "page_num": 1, "page_size": 1, "nonce_str": "N" });
    let got = desk.call("sdk_query_sub_mch_info", &content).authentic();
    let sub = &got.content["query_sub_mch_info"]["sub_mch_infos"][0]["sub_mch_infos"][0];
    assert_eq!(sub["cloud_cashier_id"], "sz0100");
}

fn monitor(info: Value) -> Value {
    let mut content = json!({
        "out_mch_id": "sz01SANDBOXmch000001", "out_sub_mch_id": "sz01SANDBOXsub000001",
        "out_shop_id": "sz01SANDBOXshp000001", "order_client": client(), "interval": 60, "nonce_str": "N",
        "is_compress": false,
    });
    content["uncompressed_monitor_info"] = info;
    content
}

#[test]
fn uploads_are_unpacked_checked_and_kept() {
    let desk = Desk::new();
    let info = json!({
        "client_int_results": [{
            "interface": 100, "status": 0, "description": "", "time_cost": 12, "start_time": 1, "log_id": 2,
            "domain_name": "https://127.0.0.1",
        }],
        "machine_info": "{\"cpu\":1}",
    });
    let got = desk
        .call("upload_client_monitor_info", &monitor(info.clone()))
        .authentic();
    assert_eq!(got.content["upload_client_monitor_info"]["interval"], 0);

    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(info.to_string().as_bytes()).unwrap();
    let mut packed = monitor(Value::Null);
    packed
        .as_object_mut()
        .unwrap()
        .remove("uncompressed_monitor_info");
    packed["is_compress"] = true.into();
    packed["compress_type"] = 3.into();
    packed["compressed_monitor_info"] = STANDARD.encode(gzip.finish().unwrap()).into();
    assert_eq!(
        desk.call("upload_client_monitor_info", &packed)
            .authentic()
            .status(),
        0
    );

    let mut machine = monitor(Value::Null);
    for key in ["uncompressed_monitor_info", "is_compress", "interval"] {
        machine.as_object_mut().unwrap().remove(key);
    }
    machine["machine_info"] = "{\"host\":\"till\"}".into();
    assert_eq!(
        desk.call("upload_client_conf_info", &machine)
            .authentic()
            .status(),
        0
    );

    let uploads = desk.get("/sandbox/uploads");
    let list = uploads.as_array().unwrap();
    assert_eq!(list.len(), 3);
    assert_eq!(list[0]["monitor_info"], list[1]["monitor_info"]);
    assert_eq!(
        (&list[1]["compressed"], &list[1]["machine_info"]["cpu"]),
        (&true.into(), &1.into())
    );
    assert_eq!(list[2]["machine_info"]["host"], "till");
    assert_eq!(desk.get("/sandbox/warnings"), json!([]));
}

#[test]
fn bad_uploads_are_refused() {
    let desk = Desk::new();
    let mut type_1 = monitor(Value::Null);
    type_1
        .as_object_mut()
        .unwrap()
        .remove("uncompressed_monitor_info");
    type_1["is_compress"] = true.into();
    type_1["compressed_monitor_info"] = "AAAA".into();
    let mut no_gzip = type_1.clone();
    no_gzip["compress_type"] = 3.into();
    type_1["compress_type"] = 1.into();
    let object = monitor(json!({ "machine_info": { "cpu": 1 } }));
    let nameless =
        monitor(json!({ "machine_info": "{}", "client_int_results": [{ "status": 0 }] }));
    for (content, key) in [
        (type_1, "compress_type"),
        (no_gzip, "compressed_monitor_info"),
        (object, "machine_info"),
        (nameless, "interface"),
    ] {
        let got = desk
            .call("upload_client_monitor_info", &content)
            .authentic();
        assert_eq!(got.status(), 104);
        assert!(got.description().contains(key), "{}", got.description());
    }
}
