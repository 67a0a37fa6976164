//! The declarations for VB6, PowerBuilder and Pascal: the header's functions, one for one, and
//! Pascal programs that pay with them.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use crate::support::{
    Host, Shop, TempFolder, build_folder, code, host, program, register_program, root, run,
    shared_library, target_folder,
};

const VB6: &str = "bindings/vb6/CloudPay.bas";
const POWERBUILDER: &str = "bindings/powerbuilder/cloudpay.txt";
const PASCAL: &str = "bindings/delphi/CloudPay.pas";

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// A function of the header, by its name without `_std`, or the callback's type.
struct Function {
    name: String,
    returns: String,
    /// C type and name.
    parameters: Vec<(String, String)>,
}

impl Function {
    /// Reads `TYPE CONVENTION NAME(PARAMETERS);`.
    fn read(line: &str, convention: &str) -> Option<Self> {
        let (returns, rest) = line.strip_suffix(");")?.split_once(convention)?;
        let (name, parameters) = rest.split_once('(')?;
        let parameters = parameters
            .split(',')
            .filter(|parameter| *parameter != "void");
        Some(Self {
            name: name
                .trim_matches([' ', ')'])
                .trim_end_matches("_std")
                .to_owned(),
            returns: returns.trim().to_owned(),
            parameters: parameters
                .map(|parameter| {
                    let at = parameter.rfind([' ', '*']).unwrap() + 1;
                    let name = match parameter[at..].trim_start_matches('_') {
                        // A keyword of Pascal.
                        "out" => "answer",
                        name => name,
                    };
                    (parameter[..at].trim().to_owned(), name.to_owned())
                })
                .collect(),
        })
    }

    fn each(&self, separator: &str, parameter: impl Fn(&str, &str) -> String) -> String {
        let all = self
            .parameters
            .iter()
            .map(|(kind, name)| parameter(kind, name));
        all.collect::<Vec<_>>().join(separator)
    }

    fn vb6(&self) -> String {
        let parameters = self.each(", ", |kind, name| match kind {
            "const char *" | "char *" => format!("ByVal {name} As String"),
            // VB6 has no pointers: an address is a number.
            "int" | "cloud_pay_callback_std" | "void *" => format!("ByVal {name} As Long"),
            _ => panic!("{kind} is new"),
        });
        // A text of the library too: VB6 would free a String.
        format!(
            "Public Declare Function {0} Lib \"cloudpay.dll\" Alias \"{0}_std\" ({parameters}) As Long",
            self.name
        )
    }

    fn powerbuilder(&self) -> String {
        let parameters = self.each(", ", |kind, name| match kind {
            "const char *" => format!("string {name}"),
            "char *" => format!("ref string {name}"),
            "int" => format!("long {name}"),
            "cloud_pay_callback_std" | "void *" => format!("ulong {name}"),
            _ => panic!("{kind} is new"),
        });
        let (returns, text) = match self.returns.as_str() {
            "int" => ("long", parameters.contains("string ")),
            _ => ("string", true),
        };
        let ansi = if text { ";Ansi" } else { "" };
        format!(
            "FUNCTION {returns} {0}({parameters}) LIBRARY \"cloudpay.dll\" ALIAS FOR \"{0}_std{ansi}\"",
            self.name
        )
    }

    /// `(a, b: TYPE; c: TYPE)`.
    fn pascal_parameters(&self) -> String {
        let mut text = String::new();
        for (at, (kind, name)) in self.parameters.iter().enumerate() {
            let same = |other: usize| {
                let other = self.parameters.get(other);
                other.is_some_and(|(other, _)| pascal_type(other) == pascal_type(kind))
            };
            text += name;
            if same(at + 1) {
                text += ", ";
            } else {
                text += &format!(": {}; ", pascal_type(kind));
            }
        }
        match text.trim_end_matches("; ") {
            "" => String::new(),
            text => format!("({text})"),
        }
    }

    fn pascal(&self) -> String {
        format!(
            "function {0}{1}: {2}; {CONVENTION}; external CloudPayLibrary name '{0}_std';",
            self.name,
            self.pascal_parameters(),
            pascal_type(&self.returns)
        )
    }
}

/// Of Pascal's declarations.
const CONVENTION: &str = "{$IFDEF MSWINDOWS}stdcall{$ELSE}cdecl{$ENDIF}";

fn pascal_type(kind: &str) -> &'static str {
    match kind {
        "const char *" | "char *" => "PAnsiChar",
        "int" => "Integer",
        "void *" => "Pointer",
        "cloud_pay_callback_std" => "TCloudPayCallback",
        _ => panic!("{kind} is new"),
    }
}

/// Every function, as its `_std` name is declared.
fn functions() -> Vec<Function> {
    let header = read("include/cloudpay.h");
    let all = |convention: &str| -> Vec<Function> {
        let lines = header.lines().filter(|line| !line.starts_with("typedef"));
        lines
            .filter_map(|line| Function::read(line, convention))
            .collect()
    };
    let twins: Vec<_> = header
        .lines()
        .filter(|line| line.contains("_std("))
        .filter_map(|line| Function::read(line, "CLOUDPAY_STDCALL"))
        .collect();
    let names: BTreeSet<_> = [all("CLOUDPAY_CDECL"), all("CLOUDPAY_STDCALL")]
        .into_iter()
        .flatten()
        .map(|function| function.name)
        .collect();
    let of_twins: BTreeSet<_> = twins.iter().map(|function| function.name.clone()).collect();
    assert!(names.len() >= 28 && names == of_twins, "{names:?}");
    twins
}

/// Neither too few, nor too many, nor otherwise.
#[track_caller]
fn same<'a>(found: impl Iterator<Item = &'a str>, wanted: impl Iterator<Item = String>) {
    let found: Vec<&str> = found.collect();
    let wanted: Vec<String> = wanted.collect();
    for line in &wanted {
        let times = found.iter().filter(|other| *other == line).count();
        assert_eq!(times, 1, "wanted once: {line}\nfound: {found:#?}");
    }
    assert_eq!(found.len(), wanted.len(), "there are more: {found:#?}");
}

#[test]
fn vb6_declares_every_function() {
    let text = read(VB6).replace(" _\r\n    ", " ");
    let found = text.lines().filter(|line| line.contains("Declare "));
    same(found, functions().iter().map(Function::vb6));
}

#[test]
fn powerbuilder_declares_every_function() {
    let text = read(POWERBUILDER);
    let found = text.lines().filter(|line| line.contains("LIBRARY "));
    same(found, functions().iter().map(Function::powerbuilder));
}

#[test]
fn pascal_declares_every_function_and_the_callback() {
    let text = read(PASCAL).replace(
        "\n  {$IFDEF MSWINDOWS}stdcall",
        " {$IFDEF MSWINDOWS}stdcall",
    );
    let found = text.lines().filter(|line| line.contains(" external "));
    same(found, functions().iter().map(Function::pascal));

    let header = read("include/cloudpay.h");
    let callback = header
        .lines()
        .find_map(|line| {
            let line = line
                .strip_prefix("typedef ")?
                .replace(" *cloud_pay_callback_std)", " ");
            Function::read(&line, "(CLOUDPAY_STDCALL")
        })
        .unwrap();
    let wanted = format!(
        "  TCloudPayCallback = procedure{};\n    {CONVENTION};",
        callback.pascal_parameters()
    );
    assert!(read(PASCAL).contains(&wanted), "{wanted}");
}

/// From 0 to -8, by the same names everywhere.
#[test]
fn the_codes_are_the_same_in_every_language() {
    let codes = |path: &str| -> Vec<(String, i32)> {
        let text = read(path).replace(" As Long", "");
        let lines = text.lines().map(|line| {
            let line = line.trim_start_matches("// ").trim_start();
            let line = line.trim_start_matches("Public Const ");
            line.trim_start_matches("CONSTANT long ")
        });
        lines
            .filter(|line| line.starts_with("CLOUDPAY_"))
            .map(|line| {
                let (name, value) = line.split_once(" = ").unwrap();
                let end = value.find([' ', ';']).unwrap();
                (name.to_owned(), value[..end].parse().unwrap())
            })
            .collect()
    };
    let pascal = codes(PASCAL);
    let values: Vec<i32> = pascal.iter().map(|(_, value)| *value).collect();
    assert_eq!(values, (-8..=0).rev().collect::<Vec<_>>());
    assert_eq!(pascal, codes(VB6));
    assert_eq!(pascal, codes(POWERBUILDER));
}

/// Their tools read the machine's code page, and VB6 refuses other line ends.
#[test]
fn the_declarations_are_what_old_tools_can_read() {
    for path in [VB6, POWERBUILDER] {
        let text = read(path);
        assert!(text.is_ascii(), "{path}");
        let ends = text.matches("\r\n").count();
        assert!(ends > 0 && ends == text.matches('\n').count(), "{path}");
        assert!(text.lines().all(|line| line.len() < 1000), "{path}");
    }
    assert!(read(PASCAL).is_ascii() && read("bindings/delphi/example/pay.dpr").is_ascii());
    assert!(read(VB6).starts_with("Attribute VB_Name = \"CloudPay\"\r\n"));
}

/// Free Pascal for this run's host.
fn free_pascal() -> Command {
    assert!(
        Command::new("fpc").arg("-iV").output().is_ok(),
        "fpc is missing: please install Free Pascal (Debian: fp-compiler)"
    );
    if host() == Host::Linux {
        let mut compiler = Command::new("fpc");
        let mut place = std::ffi::OsString::from("-Fl");
        place.push(shared_library().parent().unwrap());
        compiler.arg(place);
        return compiler;
    }
    // Wine's own files are made once, and not by several programs at the same time.
    register_program();
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = target_folder().join("free-pascal");
        run(Command::new("sh")
            .arg(root().join("tests/pascal/windows.sh"))
            .arg(&folder));
        folder
    });
    let (compiler, target) = match host() {
        Host::Wine32 => (folder.join("ppcross386"), "win32"),
        _ => (PathBuf::from("ppcx64"), "win64"),
    };
    let mut compiler = Command::new(compiler);
    compiler
        .args(["-n", &format!("-T{target}")])
        .arg(format!("-Fu{}", folder.join(target).display()));
    compiler
}

/// Compiles a program and the unit in a dialect: `DELPHI` stands for Delphi 7, `DELPHIUNICODE` for
/// Delphi 2009 and newer.
fn compile(source: &str, dialect: &str) -> PathBuf {
    let folder = TempFolder::new();
    let copy = |from: &str| {
        let text = read(from).replace("{$MODE DELPHI}", &format!("{{$MODE {dialect}}}"));
        let to = folder.0.join(Path::new(from).file_name().unwrap());
        fs::write(&to, text).unwrap();
        to
    };
    assert!(read(PASCAL).contains("{$IFDEF FPC}{$MODE DELPHI}{$ENDIF}"));
    let unit = copy(PASCAL);
    let source = copy(source);
    let name = source.file_stem().unwrap().to_str().unwrap();
    let end = if host() == Host::Linux { "" } else { ".exe" };
    let dialect = dialect.to_lowercase();
    let built = build_folder().join(format!("pascal-{name}-{dialect}{end}"));
    let compile = |arguments: &[&str], source: &Path| {
        run(free_pascal()
            .arg(format!("-M{dialect}"))
            .args(arguments)
            .arg(source)
            .current_dir(&folder.0));
    };
    // Whoever uses the unit can't mend its warnings.
    compile(&["-Sew"], &unit);
    compile(&[&format!("-o{}", built.display())], &source);
    built
}

/// Ready to be started; finds the library.
fn start(built: &Path) -> Command {
    let mut command = program(built);
    command.env("LD_LIBRARY_PATH", build_folder());
    command
}

fn conf_file(shop: &Shop) -> PathBuf {
    let file = shop.folder.0.join("conf.json");
    fs::write(&file, shop.conf.to_string()).unwrap();
    file
}

#[test]
#[ignore = "needs Free Pascal: cargo xtask ci"]
fn the_pascal_example_pays() {
    for dialect in ["DELPHI", "DELPHIUNICODE"] {
        let built = compile("bindings/delphi/example/pay.dpr", dialect);
        let shop = Shop::open();
        let conf = conf_file(&shop);
        let pay = |arguments: &[&str]| {
            let Output { status, stdout, .. } =
                start(&built).arg(&conf).args(arguments).output().unwrap();
            let text = String::from_utf8(stdout).unwrap();
            let number = text
                .lines()
                .find_map(|line| line.strip_prefix("Order "))
                .map(str::to_owned);
            (status.code().unwrap(), number, text)
        };
        let (status, number, text) = pay(&[&code("001"), "128", "refund"]);
        assert_eq!(status, 0, "{text}");
        assert!(
            text.contains("PAID 128 fen") && text.contains("REFUNDED 128"),
            "{text}"
        );
        let order = shop.ledger(&number.unwrap());
        assert_eq!(order["charged"], 128);
        assert_eq!(order["charges"], 1);
        assert_eq!(order["refunded"], 128);

        let (status, number, text) = pay(&[&code("004"), "128"]);
        assert!(status == 1 && text.contains("NOT PAID"), "{status} {text}");
        assert_eq!(shop.ledger(&number.unwrap())["charges"], 0);

        let (status, number, text) = pay(&[&code("000"), "0"]);
        assert!(
            status == 2 && text.contains("NOT ACCEPTED"),
            "{status} {text}"
        );
        assert_eq!(number, None);
    }
}

/// The stack, the callback, the growing buffer; from programs of every dialect.
#[test]
#[ignore = "needs Free Pascal: cargo xtask ci"]
fn a_pascal_program_calls_every_function() {
    let source = read("tests/pascal/calls.pas");
    for function in functions() {
        let call = format!("{}(", function.name);
        assert!(source.contains(&call), "{call}");
    }
    for dialect in ["DELPHI", "DELPHIUNICODE", "OBJFPC"] {
        let built = compile("tests/pascal/calls.pas", dialect);
        let shop = Shop::open();
        let number = shop.number();
        let text = run(start(&built)
            .arg(conf_file(&shop))
            .arg(&number)
            .arg(code("001")));
        assert_eq!(text.trim_end(), "all is well");
        assert_eq!(shop.ledger(&number)["charges"], 1);
        assert_eq!(shop.ledger(&number)["pay_requests"], 1);
    }
}
