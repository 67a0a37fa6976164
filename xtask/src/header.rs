//! The C header, from the functions in `src/ffi`.

use crate::tools::root;

/// Writes `include/cloudpay.h`.
pub(crate) fn write() -> Result<(), String> {
    let root = root();
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml"))?;
    let bindings = cbindgen::generate_with_config(&root, config).map_err(|e| e.to_string())?;
    let file = root.join("include/cloudpay.h");
    if bindings.write_to_file(&file) {
        println!("{} is new", file.display());
    } else {
        println!("{} was up to date", file.display());
    }
    Ok(())
}
