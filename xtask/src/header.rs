//! The C header, from the functions in `src/ffi`.

use crate::tools::root;

/// Writes `include/cloudpay.h`, or only says whether it is up to date.
pub(crate) fn write(check: bool) -> Result<(), String> {
    let file = root().join("include/cloudpay.h");
    let header = generate()?;
    if std::fs::read_to_string(&file).is_ok_and(|known| known == header) {
        println!("{} is up to date", file.display());
        return Ok(());
    }
    if check {
        return Err(format!(
            "{} is not what src/ffi makes: run `cargo xtask header`",
            file.display()
        ));
    }
    println!("{} is new", file.display());
    std::fs::write(&file, header).map_err(|error| format!("{}: {error}", file.display()))
}

fn generate() -> Result<String, String> {
    let root = root();
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml"))?;
    let bindings = cbindgen::generate_with_config(&root, config).map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    bindings.write(&mut bytes);
    let mut header = String::from_utf8(bytes).map_err(|error| error.to_string())?;
    // cbindgen knows no calling conventions.
    header = header
        .replace("\nint cloud_pay_", "\nint CLOUDPAY_CDECL cloud_pay_")
        .replace(
            "\nconst char *cloud_pay_",
            "\nconst char *CLOUDPAY_CDECL cloud_pay_",
        )
        .replace("typedef void (*", "typedef void (CLOUDPAY_CDECL *");
    // What reads the header, here and in the tests, takes a declaration for one line.
    if let Some(cut) = header
        .lines()
        .find(|line| is_function(line) && !line.ends_with(");"))
    {
        return Err(format!(
            "cbindgen breaks `{cut}` into lines: a line of its comment has over 100 characters"
        ));
    }
    header = header.replace("@STDCALL_NAMES@\n", &stdcall_names(&header));
    // What cbindgen leaves out leaves its blank line behind.
    while header.contains("\n\n\n") {
        header = header.replace("\n\n\n", "\n\n");
    }
    Ok(header)
}

fn is_function(line: &str) -> bool {
    ["int CLOUDPAY_", "const char *CLOUDPAY_"]
        .iter()
        .any(|start| line.starts_with(start))
}

/// The `_std` names: every function once more, in the calling convention of VB6, PowerBuilder
/// and Delphi.
fn stdcall_names(header: &str) -> String {
    header
        .lines()
        .filter(|line| is_function(line))
        .filter_map(|line| line.split_once('('))
        .map(|(start, arguments)| {
            let start = start.replace("CLOUDPAY_CDECL", "CLOUDPAY_STDCALL");
            let arguments = arguments.replace("cloud_pay_callback ", "cloud_pay_callback_std ");
            format!("{start}_std({arguments}\n")
        })
        .collect()
}
