//! The C# binding under Mono: every promise of it, and the example.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::support::{Shop, build_folder, code, root, run, shared_library};

/// Compiles C# as the oldest compiler would take it.
fn mcs(sources: &[&str], name: &str) -> PathBuf {
    let program = build_folder().join(name);
    run(Command::new("mcs")
        .args(["-langversion:5", "-warnaserror"])
        .arg(format!("-out:{}", program.display()))
        .args(sources.iter().map(|source| root().join(source))));
    program
}

/// Mono finds the library beside the program, as .NET does.
fn mono(program: &Path) -> Command {
    let mut command = Command::new("mono");
    command
        .env("LD_LIBRARY_PATH", shared_library().parent().unwrap())
        .arg(program);
    command
}

fn conf_file(shop: &Shop) -> PathBuf {
    let file = shop.folder.0.join("conf.json");
    fs::write(&file, shop.conf.to_string()).unwrap();
    file
}

/// Runs one case; gives the ledger's orders.
fn case(name: &str, shop: &Shop) -> Value {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let program = PROGRAM.get_or_init(|| {
        let sources = ["tests/csharp/Cases.cs", "bindings/csharp/CloudPay.cs"];
        mcs(&sources, "Cases.exe")
    });
    let prefix = format!("{}cs", shop.sandbox.merchant().order_prefix);
    let text = run(mono(program).arg(name).arg(conf_file(shop)).arg(prefix));
    assert_eq!(text.trim_end(), "all is well");
    shop.control_get("ledger")["orders"].clone()
}

#[test]
#[ignore = "needs Mono: cargo xtask ci"]
fn csharp_calls_everything() {
    case(
        "everything",
        &Shop::open()
            .common("reverse_after_ms", 0)
            .common("language", "zh"),
    );
}

#[test]
#[ignore = "needs Mono: cargo xtask ci"]
fn csharp_buffers_grow() {
    case("long", &Shop::open());
}

#[test]
#[ignore = "needs Mono: cargo xtask ci"]
fn csharp_pays_64_times_at_once_under_a_busy_collector() {
    let orders = case("parallel", &Shop::open());
    let orders = orders.as_object().unwrap();
    assert_eq!(orders.len(), 64);
    assert!(orders.values().all(|order| order["charges"] == 1));
}

#[test]
#[ignore = "needs Mono: cargo xtask ci"]
fn csharp_handlers_may_throw() {
    case("handlers", &Shop::open());
}

#[test]
#[ignore = "needs Mono: cargo xtask ci"]
fn csharp_may_be_disposed_while_it_waits() {
    case("dispose", &Shop::open());
}

#[test]
#[ignore = "needs Mono: cargo xtask ci"]
fn csharp_says_what_was_refused() {
    case("refused", &Shop::open());
}

#[test]
#[ignore = "needs Mono: cargo xtask ci"]
fn the_csharp_example_pays() {
    let program = mcs(
        &[
            "bindings/csharp/example/Pay.cs",
            "bindings/csharp/CloudPay.cs",
        ],
        "Pay.exe",
    );
    let shop = Shop::open();
    let conf = conf_file(&shop);
    let pay = |code: &str, more: &[&str]| {
        let output = mono(&program)
            .arg(&conf)
            .args([code, "128"])
            .args(more)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code().unwrap(), text)
    };
    let (status, text) = pay(&code("001"), &[]);
    assert!(
        status == 0 && text.contains("PAID 128 fen"),
        "{status} {text}"
    );
    let (status, text) = pay(&code("000"), &["refund"]);
    assert!(
        status == 1 && text.contains("REFUNDED 128 fen"),
        "{status} {text}"
    );
    let (status, text) = pay(&code("004"), &[]);
    assert!(status == 1 && text.contains("NOT PAID"), "{status} {text}");
}

/// Every function of the header is imported with as many arguments as it has, by the convention
/// that it has on 32-bit Windows.
#[test]
fn csharp_imports_what_the_header_declares() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let (header, binding) = (
        read("include/cloudpay.h"),
        read("bindings/csharp/CloudPay.cs"),
    );
    let mut functions = 0;
    for line in header.lines() {
        let declared =
            line.starts_with("int CLOUDPAY_") || line.starts_with("const char *CLOUDPAY_");
        let Some((start, arguments)) = line.split_once('(').filter(|_| declared) else {
            continue;
        };
        let name = start.rsplit(' ').next().unwrap();
        // The pointer to this thread's message is left out, in favour of its copy; and so are the
        // logins that are not offered.
        let left_out = name == "cloud_pay_get_errmsg"
            || name.starts_with("cloud_pay_security_") && !name.ends_with("_author_code_prefix");
        if name.ends_with("_std") || left_out {
            continue;
        }
        functions += 1;
        let count = match arguments {
            "void);" => 0,
            some => some.split(',').count(),
        };
        let result = if start.starts_with("int") {
            "int"
        } else {
            "IntPtr"
        };
        let import = format!("internal static extern {result} {name}(");
        let (before, rest) = binding.split_once(&import).expect(name);
        let given = rest.split(')').next().unwrap();
        let given = given
            .split(',')
            .filter(|argument| !argument.is_empty())
            .count();
        assert_eq!(given, count, "{name}");
        let convention = if start.contains("STDCALL") {
            "StdCall"
        } else {
            "Cdecl"
        };
        let attribute = before.rsplit("[DllImport(").next().unwrap();
        assert!(
            attribute.contains(&format!("CallingConvention.{convention},")),
            "{name}"
        );
    }
    assert_eq!(functions, 22);
}
