//! What is Windows' own about the DLLs: what they need, how they are called, loaded and unpacked.
//! The rest of the suite runs with them as it does on Linux (`CLOUDPAY_TEST_HOST`).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::support::{
    Host, Shop, TempFolder, code, compile, compile_with, compiler, host, package, program, root,
    run,
};

/// Windows 7 has these, in versions with all that is imported from them.
const SYSTEM: [&str; 8] = [
    "advapi32", "bcrypt", "iphlpapi", "kernel32", "msvcrt", "ntdll", "pdh", "ws2_32",
];

/// Functions that came after Windows 7, and that Rust or its libraries like to use.
const TOO_NEW: [&str; 7] = [
    "ProcessPrng",
    "WaitOnAddress",
    "WakeByAddressSingle",
    "GetSystemTimePreciseAsFileTime",
    "SetThreadDescription",
    "GetOverlappedResultEx",
    "RoOriginateErrorW",
];

fn objdump() -> String {
    let tool = compiler(false).replace("-gcc", "-objdump");
    run(Command::new(tool)
        .arg("-p")
        .arg(package().join("bin/cloudpay.dll")))
}

#[test]
#[ignore = "needs Windows' packages and Wine: cargo xtask ci"]
fn the_dll_needs_nothing_that_windows_7_lacks() {
    let table = objdump();
    let needed: BTreeSet<String> = table
        .lines()
        .filter_map(|line| line.trim().strip_prefix("DLL Name: "))
        .map(|name| name.to_lowercase().replace(".dll", ""))
        .collect();
    assert!(needed.contains("kernel32"), "{table}");
    for name in &needed {
        assert!(SYSTEM.contains(&name.as_str()), "{name} in {needed:?}");
    }
    for name in TOO_NEW {
        let imported = table
            .lines()
            .any(|line| line.split_whitespace().last() == Some(name));
        assert!(!imported, "{name}");
    }
}

#[test]
#[ignore = "needs Windows' packages and Wine: cargo xtask ci"]
fn the_dll_exports_every_name_undecorated() {
    let table = objdump();
    let (_, names) = table.split_once("[Ordinal/Name Pointer] Table").unwrap();
    let exported: BTreeSet<&str> = names
        .lines()
        .filter(|line| line.trim_start().starts_with('['))
        .filter_map(|line| line.split_whitespace().last())
        .collect();
    let header = fs::read_to_string(root().join("include/cloudpay.h")).unwrap();
    let declared: BTreeSet<&str> = header
        .lines()
        .filter(|line| line.starts_with("int ") || line.starts_with("const char *"))
        .filter_map(|line| line.split_once('(')?.0.rsplit([' ', '*']).next())
        .collect();
    assert!(declared.len() >= 56, "{declared:?}");
    assert_eq!(exported, declared);
}

/// Both import libraries, and every call leaves the stack as it was.
#[test]
#[ignore = "needs Windows' packages and Wine: cargo xtask ci"]
fn stdcall_programs_link_and_pay() {
    let source = root().join("tests/c/stdcall.c");
    for library in ["lib/libcloudpay.dll.a", "lib/cloudpay.lib"] {
        let shop = Shop::open();
        let conf = shop.folder.0.join("conf.json");
        fs::write(&conf, shop.conf.to_string()).unwrap();
        let name = format!(
            "stdcall-{}",
            Path::new(library).extension().unwrap().display()
        );
        let built = compile_with(&[&source], &package().join(library), &name);
        let number = shop.number();
        let text = run(program(&built).arg(&conf).arg(&number).arg(code("001")));
        assert_eq!(text.trim_end(), "paid");
        assert_eq!(shop.ledger(&number)["charges"], 1);
    }
}

/// Also under the name of the library that it replaces.
#[test]
#[ignore = "needs Windows' packages and Wine: cargo xtask ci"]
fn the_dll_is_loaded_and_freed_fifty_times() {
    let built = compile(&[&root().join("tests/c/load.c")], "load");
    for name in ["cloudpay.dll", "CloudPayAPI_SDK_CPP.dll"] {
        let shop = Shop::open();
        let conf = shop.folder.0.join("conf.json");
        fs::write(&conf, shop.conf.to_string()).unwrap();
        let dll = shop.folder.0.join(name);
        fs::copy(package().join("bin/cloudpay.dll"), &dll).unwrap();
        let text = run(program(&built).arg(dll).arg(conf));
        let version = env!("CARGO_PKG_VERSION");
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            [&format!("version {version}"), "50 times"]
        );
    }
}

/// The journal in a folder with a Chinese name, as on a Chinese Windows; killed and recovered.
#[test]
#[ignore = "needs Windows' packages and Wine: cargo xtask ci"]
fn a_journal_in_a_chinese_folder_survives_a_kill() {
    let mut shop = Shop::open();
    let folder = shop.folder.0.join("收银机 一号");
    shop.conf["common_conf"]["journal_path"] =
        json!(format!("Z:{}\\订单.journal", folder.display()).replace('/', "\\"));
    let register = shop.register();
    let number = shop.number();
    register.pay(&number, &code("001")).expect(0);
    shop.arrived(&number);
    register.kill();
    assert!(folder.join("订单.journal").exists());
    let register = shop.register();
    register.wait(&number).expect(0);
    assert_eq!(shop.ledger(&number)["charges"], 1);
}

/// From nothing but the zip: checksums, and the C example compiled and paid.
#[test]
#[ignore = "needs Windows' packages and Wine: cargo xtask ci"]
fn the_zip_is_all_that_a_register_needs() {
    let folder = TempFolder::new();
    let name = package();
    run(Command::new("unzip")
        .arg("-q")
        .arg(
            name.with_extension("")
                .with_file_name(format!("{}.zip", name.file_name().unwrap().display())),
        )
        .arg("-d")
        .arg(&folder.0));
    let unpacked = folder.0.join(name.file_name().unwrap());
    run(Command::new("sha256sum")
        .args(["--check", "--quiet", "SHA256SUMS"])
        .current_dir(&unpacked));
    let built = unpacked.join("bin/pay.exe");
    run(Command::new(compiler(false))
        .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"])
        .arg("-I")
        .arg(unpacked.join("include"))
        .arg("-o")
        .arg(&built)
        .arg(unpacked.join("examples/pay.c"))
        .arg("-L")
        .arg(unpacked.join("lib"))
        .arg("-lcloudpay"));
    let shop = Shop::open();
    let conf = shop.folder.0.join("conf.json");
    fs::write(&conf, shop.conf.to_string()).unwrap();
    let text =
        run(program(&built)
            .arg(&conf)
            .args(["--code", &code("001"), "--fee", "128", "--refund"]));
    assert!(
        text.contains("PAID 128 fen") && text.contains("REFUNDED 128"),
        "{text}"
    );
}

/// Registers' lines are slow and their disks are full.
#[test]
#[ignore = "needs Windows' packages and Wine: cargo xtask ci"]
fn the_dll_is_small() {
    let dll = package().join("bin/cloudpay.dll");
    let size = fs::metadata(dll).unwrap().len();
    let limit = match host() {
        Host::Wine64 => 3_500_000,
        _ => 3_000_000,
    };
    assert!(size < limit, "{size}");
}
