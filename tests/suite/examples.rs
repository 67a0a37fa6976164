//! The C examples, built as their Makefile and CMakeLists do, paying against the sandbox; and what
//! valgrind says about one.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::support::{Shop, TempFolder, build_folder, code, root, run, shared_library, until};

/// Builds the examples with the Makefile, into a folder of this test's own.
fn make(folder: &TempFolder) -> PathBuf {
    let library = shared_library();
    run(Command::new("make")
        .arg("-C")
        .arg(root().join("examples-c"))
        .arg(format!("LIBDIR={}", library.parent().unwrap().display()))
        .arg(format!("OUT={}", folder.0.display()))
        .arg("all"));
    folder.0.clone()
}

/// The configuration as a file, as a register's maker would keep it.
fn conf_file(shop: &Shop) -> PathBuf {
    let file = shop.folder.0.join("conf.json");
    std::fs::write(&file, shop.conf.to_string()).unwrap();
    file
}

#[test]
fn the_examples_pay() {
    let folder = TempFolder::new();
    let built = make(&folder);
    let shop = Shop::open();
    let conf = conf_file(&shop);
    let text = run(Command::new(built.join("pay")).arg(&conf).args([
        "--code",
        &code("001"),
        "--fee",
        "128",
        "--refund",
    ]));
    assert!(
        text.contains("PAID 128 fen") && text.contains("REFUNDED 128"),
        "{text}"
    );
    // A customer who says no is no reason to hand the goods over.
    let refused = Command::new(built.join("pay"))
        .arg(&conf)
        .args(["--code", &code("004"), "--fee", "128"])
        .output()
        .unwrap();
    assert!(!refused.status.success());
}

#[test]
#[ignore = "needs libqrencode: cargo xtask ci"]
fn the_qr_example_pays() {
    let folder = TempFolder::new();
    let built = make(&folder);
    let shop = Shop::open();
    let conf = conf_file(&shop);
    let mut scan = Command::new(built.join("scan_pay"));
    scan.arg(&conf).args(["--fee", "256", "--wait", "50"]);
    let scanning = std::thread::spawn(move || run(&mut scan));
    let number = until("the QR order", || {
        let all = shop.control_get("ledger");
        let waiting = all["orders"].as_object().unwrap().iter();
        waiting
            .filter(|(_, order)| order["state"] == "waiting")
            .map(|(number, _)| number.clone())
            .next()
    });
    shop.control_post(&format!("orders/{number}/pay"), &Value::Null);
    let text = scanning.join().unwrap();
    assert!(
        text.contains("PAID") && text.contains("/sandbox/scan/"),
        "{text}"
    );
    assert_eq!(shop.ledger(&number)["charges"], 1);
}

#[test]
#[ignore = "needs CMake: cargo xtask ci"]
fn cmake_builds_the_examples_too() {
    let folder = TempFolder::new();
    let library = shared_library();
    run(Command::new("cmake")
        .arg("-S")
        .arg(root().join("examples-c"))
        .arg("-B")
        .arg(&folder.0)
        .arg(format!(
            "-DCLOUDPAY_LIBRARY_DIR={}",
            library.parent().unwrap().display()
        )));
    run(Command::new("cmake").arg("--build").arg(&folder.0));
    let shop = Shop::open();
    let text = run(Command::new(folder.0.join("pay"))
        .arg(conf_file(&shop))
        .args(["--code", &code("000"), "--fee", "1"]));
    assert!(text.contains("PAID"), "{text}");
}

/// No error, and nothing left behind after `fini`.
#[test]
#[ignore = "needs valgrind: cargo xtask ci"]
fn valgrind_finds_nothing() {
    let folder = TempFolder::new();
    let built = make(&folder);
    let shop = Shop::open();
    let report = build_folder().join("valgrind.txt");
    run(Command::new("valgrind")
        .args(["--quiet", "--error-exitcode=99", "--leak-check=full"])
        .args([
            "--show-leak-kinds=definite,indirect",
            "--errors-for-leak-kinds=definite,indirect",
        ])
        .arg(format!(
            "--suppressions={}",
            root().join("tests/c/valgrind.supp").display()
        ))
        .arg(format!("--log-file={}", report.display()))
        .arg(built.join("pay"))
        .arg(conf_file(&shop))
        .args(["--code", &code("901"), "--fee", "1", "--refund"]));
    assert_eq!(std::fs::read_to_string(report).unwrap(), "");
}
