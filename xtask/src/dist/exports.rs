//! The functions of `cloudpay.h`, as Windows' linkers want to know them.

use std::fs;

use crate::tools::root;

/// A function that the DLL exports.
struct Export {
    name: String,
    /// Bytes of arguments that a `__stdcall` function takes off the stack; `None` for `__cdecl`.
    stdcall: Option<usize>,
}

/// The module definition that import libraries are made of. On 32-bit x86 the names of `__stdcall`
/// functions carry the size of their arguments; the DLL itself exports them without.
pub(super) fn definition(x86: bool) -> Result<String, String> {
    let header = root().join("include/cloudpay.h");
    let header =
        fs::read_to_string(&header).map_err(|error| format!("{}: {error}", header.display()))?;
    let mut definition = "LIBRARY cloudpay.dll\nEXPORTS\n".to_owned();
    for export in exports(&header) {
        definition += "    ";
        definition += &export.name;
        if let Some(bytes) = export.stdcall.filter(|_| x86) {
            definition += &format!("@{bytes}");
        }
        definition += "\n";
    }
    Ok(definition)
}

fn exports(header: &str) -> Vec<Export> {
    let declarations = header.lines().filter(|line| {
        line.starts_with("int CLOUDPAY_") || line.starts_with("const char *CLOUDPAY_")
    });
    declarations
        .filter_map(|line| {
            let (start, arguments) = line.split_once('(')?;
            let (_, name) = start.rsplit_once(' ')?;
            // Every argument is an int or a pointer: four bytes on 32-bit x86.
            let count = match arguments {
                "void);" => 0,
                some => some.split(',').count(),
            };
            let stdcall = start.contains("CLOUDPAY_STDCALL").then_some(4 * count);
            Some(Export {
                name: name.to_owned(),
                stdcall,
            })
        })
        .collect()
}
