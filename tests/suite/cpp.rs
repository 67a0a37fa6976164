//! `cloudpay.hpp`: the header by itself, the example in C++, and every method against the sandbox.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Shop, TempFolder, code, compile, compiler, program, root, run};

/// A program of the flavour that is there without exceptions.
const CODES_ONLY: &str = r#"
#include "cloudpay.hpp"

int main()
{
    cloudpay::CodesClient till, other(std::move(till));
    other.set_callback([](const std::string &, int, const std::string &) {});
    return other.init("{}").code + other.micro_pay("{}").code + other.wait_order("{}", 0).code;
}
"#;

fn write(folder: &TempFolder, name: &str, text: &str) -> PathBuf {
    let file = folder.0.join(name);
    std::fs::write(&file, text).unwrap();
    file
}

fn conf_file(shop: &Shop) -> PathBuf {
    write(&shop.folder, "conf.json", &shop.conf.to_string())
}

#[test]
fn the_cpp_header_compiles_alone_and_twice() {
    let folder = TempFolder::new();
    let include = "#include \"cloudpay.hpp\"\n";
    let twice = write(&folder, "twice.cpp", &include.repeat(2));
    let codes_only = write(&folder, "codes_only.cpp", CODES_ONLY);
    let header = root().join("include/cloudpay.hpp");
    let example = root().join("examples-c/pay.cpp");
    for standard in ["-std=c++11", "-std=c++20"] {
        let check = |source: &Path, flags: &[&str]| {
            run(Command::new(compiler(true))
                .args(["-Wall", "-Wextra", "-Werror", "-pedantic", "-Wshadow", "-I"])
                .arg(root().join("include"))
                .args([standard, "-c", "-x", "c++", "-o"])
                .arg(folder.0.join("out.o"))
                .args(flags)
                .arg(source));
        };
        check(&header, &["-fsyntax-only"]);
        check(&twice, &[]);
        check(&example, &[]);
        check(&codes_only, &[]);
        check(&codes_only, &["-fno-exceptions"]);
    }
}

/// A function that is new in `cloudpay.h` is missed here.
#[test]
fn every_function_has_a_method_and_every_method_is_called() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let header = read("include/cloudpay.h");
    let wrapper = read("include/cloudpay.hpp");
    let register = read("tests/c/cpp_register.cpp");
    let functions: Vec<&str> = header
        .lines()
        .filter(|line| !line.starts_with("//") && !line.starts_with(" *"))
        .filter_map(|line| line.split_once('(')?.0.rsplit([' ', '*']).next())
        .filter_map(|name| name.strip_prefix("cloud_pay_"))
        .filter(|name| !name.ends_with("_std"))
        .collect();
    assert!(functions.len() >= 28, "{functions:?}");
    for name in functions {
        assert!(wrapper.contains(&format!(" {name}(")), "{name}");
        assert!(wrapper.contains(&format!("cloud_pay_{name}")), "{name}");
        let called = [".", "::"].iter().any(|by| {
            let call = format!("{by}{name}(");
            register.contains(&call)
        });
        assert!(called, "{name}");
    }
}

#[test]
fn the_cpp_example_pays() {
    let built = compile(&[&root().join("examples-c/pay.cpp")], "pay_cpp");
    let shop = Shop::open();
    let conf = conf_file(&shop);
    let pay = |code: &str, fen: &str| {
        let output = program(&built)
            .arg(&conf)
            .args([code, fen])
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout)
            .unwrap()
            .replace("\r\n", "\n");
        (output.status.code().unwrap(), text)
    };
    let (status, text) = pay(&code("001"), "128");
    assert!(status == 0 && text.contains("\nPAID"), "{status} {text}");
    let (status, text) = pay(&code("004"), "128");
    assert!(
        status == 1 && text.contains("\nNOT PAID"),
        "{status} {text}"
    );
    // Not accepted: there is no order to ask about.
    let (status, text) = pay(&code("000"), "0");
    assert!(
        status == 2 && text.contains("Nothing was sent"),
        "{status} {text}"
    );
    let orders = shop.control_get("ledger");
    let charges: Vec<_> = orders["orders"]
        .as_object()
        .unwrap()
        .values()
        .map(|order| (order["total_fee"].clone(), order["charges"].clone()))
        .collect();
    assert_eq!(charges.len(), 2, "{orders}");
    assert_eq!(charges.iter().filter(|(_, times)| *times == 1).count(), 1);
    assert!(charges.iter().all(|(fee, _)| *fee == 128), "{orders}");
}

/// Both flavours, every method. The header is in two of the program's files.
#[test]
fn a_register_in_cpp_calls_everything() {
    let folder = TempFolder::new();
    let other =
        "#include \"cloudpay.hpp\"\nvoid other();\nvoid other() { cloudpay::Client till; }\n";
    let built = compile(
        &[
            &root().join("tests/c/cpp_register.cpp"),
            &write(&folder, "other.cpp", other),
        ],
        "cpp_register",
    );
    let shop = Shop::open().common("reverse_after_ms", 0);
    let codes = ["000", "000", "000", "000", "000", "004", "002", "002"].map(code);
    let text = run(program(&built).arg(conf_file(&shop)).args(&codes));
    assert_eq!(text.trim_end(), "all is well");
    // Whatever buffers grew: every payment arrived once. What was refused never did.
    let all = shop.control_get("ledger");
    let orders = all["orders"].as_object().unwrap();
    let paid_by_code = orders
        .values()
        .filter(|order| order["pay_requests"] == 1 && order["kind"] == "micro_pay");
    assert_eq!(paid_by_code.count(), codes.len(), "{all}");
    for order in orders.values() {
        assert!(order["charges"].as_u64().unwrap() <= 1, "{all}");
    }
}
