//! Link settings of the shared library.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("linux") {
        // The name that programs remember: they go on working when the file behind it is upgraded.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libcloudpay.so.1");
        // dlclose never unmaps the code that a thread of ours may be in.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
