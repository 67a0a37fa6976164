//! Monitor uploads, and what is known of the domains.

use cloudpay_sandbox::Options;
use serde_json::{Value, json};

use crate::support::{Gateway, Shop, alipay_code, code, until};

fn uploads(shop: &Shop, path: &str) -> Vec<Value> {
    let all = shop.control_get("uploads");
    let of_path = all.as_array().unwrap().iter();
    of_path
        .filter(|upload| upload["path"] == path)
        .cloned()
        .collect()
}

/// The results of all uploads so far.
fn results(shop: &Shop) -> Vec<Value> {
    uploads(shop, "/cpay/upload_client_monitor_info")
        .iter()
        .filter_map(|upload| upload["monitor_info"]["client_int_results"].as_array())
        .flatten()
        .cloned()
        .collect()
}

/// How the calls went is uploaded, with the machine's kind once; nothing secret is in it.
#[test]
fn calls_are_uploaded_without_secrets() {
    let shop = Shop::with(Options {
        extra_listeners: 1,
        ..Options::default()
    });
    shop.control_post("down", &json!({"listener": 0}));
    let register = shop.register();
    let mut secrets = vec![shop.sandbox.merchant().authen_key.to_owned()];
    for (scenario, make) in [("000", code as fn(&str) -> String), ("104", alipay_code)] {
        let (number, code) = (shop.number(), make(scenario));
        register.pay(&number, &code).expect(0);
        register.wait(&number);
        secrets.push(code);
    }
    let paid = until("the results", || {
        let results = results(&shop);
        let paid = results
            .iter()
            .find(|result| result["description"] == "paid")?;
        let refused = results.iter().any(|result| result["status"] == 104);
        let down = results.iter().any(|result| {
            result["description"] == "down" && result["domain_name"] == shop.sandbox.urls()[0]
        });
        (refused && down).then(|| paid.clone())
    });
    assert_eq!(paid["interface"], 100);
    assert_eq!(paid["domain_name"], shop.sandbox.urls()[1]);
    assert!(paid["log_id"].as_i64().unwrap() > 0);
    assert!(paid["time_cost"].is_u64() && paid["start_time"].as_i64().unwrap() > 1_700_000_000);
    let machines = uploads(&shop, "/cpay/upload_client_conf_info");
    assert_eq!(machines.len(), 1);
    assert!(
        machines[0]["machine_info"]["memory_bytes"]
            .as_u64()
            .unwrap()
            > 0
    );
    // Who asks, the machine, and nothing else.
    let keys =
        |value: &Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    assert_eq!(
        keys(&machines[0]["content"]),
        [
            "machine_info",
            "nonce_str",
            "order_client",
            "out_mch_id",
            "out_shop_id",
            "out_sub_mch_id"
        ]
    );
    assert_eq!(
        keys(&machines[0]["content"]["order_client"]),
        [
            "device_id",
            "machine_no",
            "sdk_version",
            "spbill_create_ip",
            "staff_id",
            "terminal_type"
        ]
    );
    assert_eq!(
        keys(&machines[0]["machine_info"]),
        [
            "arch",
            "cpu_count",
            "disk_bytes",
            "memory_bytes",
            "os",
            "os_version"
        ]
    );
    let text = shop.control_get("uploads").to_string();
    for secret in &secrets {
        assert!(!text.contains(secret.as_str()), "{secret}");
    }
    assert_eq!(shop.control_get("warnings"), json!([]));
    register.fini();
}

/// Many results go at once, compressed, without waiting for the interval.
#[test]
fn many_results_are_compressed() {
    let shop = Shop::open();
    let register = shop.register();
    for _ in 0..220 {
        let number = shop.number();
        register.pay(&number, &code("000")).expect(0);
        register.wait(&number).expect(0);
    }
    until("a compressed upload", || {
        let uploads = uploads(&shop, "/cpay/upload_client_monitor_info");
        uploads
            .iter()
            .any(|upload| upload["compressed"] == true)
            .then_some(())
    });
    assert!(results(&shop).len() >= 200);
    assert_eq!(shop.control_get("warnings"), json!([]));
}

/// Switched off, or at a gateway without a monitor, nothing is uploaded.
#[test]
fn the_monitor_can_be_switched_off() {
    for shop in [
        Shop::open().common("monitor", 0),
        Shop::at(Gateway::Epay123, Options::default()),
    ] {
        let register = shop.register();
        for _ in 0..210 {
            let number = shop.number();
            register.pay(&number, &code("000")).expect(0);
            register.wait(&number).expect(0);
        }
        // As many as would be uploaded at once.
        register.fini();
        assert_eq!(shop.control_get("uploads"), json!([]));
    }
}

/// The preferred domain is taken again when it is back, and a domain that goes down between two
/// payments costs no failed payment.
#[test]
fn the_preferred_domain_is_taken_again() {
    let shop = Shop::with(Options {
        extra_listeners: 1,
        ..Options::default()
    });
    let register = shop.register();
    let urls = shop.sandbox.urls();
    let paid_at = |url: &str| {
        let number = shop.number();
        register.pay(&number, &code("000")).expect(0);
        let order = register.wait(&number).expect(0).json();
        assert_eq!(order["evidence"]["domain"], url);
    };
    for _ in 0..2 {
        paid_at(&urls[0]);
        shop.control_post("down", &json!({"listener": 0}));
        paid_at(&urls[1]);
        let back = shop.log().matches("the domain is back").count();
        shop.control_post("up", &json!({"listener": 0}));
        until("the preferred domain", || {
            (shop.log().matches("the domain is back").count() > back).then_some(())
        });
    }
    paid_at(&urls[0]);
    register.fini();
    let log = shop.log();
    assert!(
        log.contains("can't connect") && log.contains(&urls[0]),
        "{log}"
    );
}
