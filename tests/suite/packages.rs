//! What is shipped for Linux: built with nothing but the unpacked archive, by every way that it
//! offers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Shop, TempFolder, code, root, run, target_folder};

/// The archive, unpacked anew.
struct Unpacked {
    _folder: TempFolder,
    top: PathBuf,
}

impl Unpacked {
    fn new() -> Self {
        let name = format!("cloudpay-{}-linux-x64", env!("CARGO_PKG_VERSION"));
        let archive = target_folder().join(format!("dist/{name}.tar.gz"));
        assert!(
            archive.exists(),
            "{} is missing: `cargo xtask dist linux` makes it",
            archive.display()
        );
        let folder = TempFolder::new();
        run(Command::new("tar")
            .arg("-xzf")
            .arg(&archive)
            .arg("-C")
            .arg(&folder.0));
        let top = folder.0.join(name);
        Self {
            _folder: folder,
            top,
        }
    }

    fn path(&self, file: &str) -> PathBuf {
        self.top.join(file)
    }

    /// What pkg-config says.
    fn pkg_config(&self, flags: &[&str]) -> Vec<String> {
        let words = run(Command::new("pkg-config")
            .env("PKG_CONFIG_PATH", self.path("lib/pkgconfig"))
            .args(flags)
            .arg("cloudpay"));
        words.split_whitespace().map(str::to_owned).collect()
    }
}

/// The program is a register that works.
fn pays(program: &Path) {
    let shop = Shop::open();
    let conf = shop.folder.0.join("conf.json");
    fs::write(&conf, shop.conf.to_string()).unwrap();
    let text = run(Command::new(program)
        .arg(&conf)
        .args(["--code", &code("001"), "--fee", "128"]));
    assert!(text.contains("PAID 128 fen"), "{text}");
}

#[test]
#[ignore = "needs the Linux package: cargo xtask ci"]
fn the_archive_is_whole() {
    let unpacked = Unpacked::new();
    run(Command::new("sha256sum")
        .args(["--check", "--quiet", "SHA256SUMS"])
        .current_dir(&unpacked.top));
    for (link, to) in [
        ("lib/libcloudpay.so", "libcloudpay.so.1"),
        (
            "lib/libcloudpay.so.1",
            concat!("libcloudpay.so.", env!("CARGO_PKG_VERSION")),
        ),
    ] {
        assert_eq!(
            fs::read_link(unpacked.path(link)).unwrap(),
            Path::new(to),
            "{link}"
        );
    }
}

/// CentOS 7's C library, and everything newer.
#[test]
#[ignore = "needs the Linux package: cargo xtask ci"]
fn the_shared_library_needs_no_glibc_newer_than_2_17() {
    let unpacked = Unpacked::new();
    let symbols = run(Command::new("objdump")
        .arg("-T")
        .arg(unpacked.path("lib/libcloudpay.so")));
    let mut versions = 0;
    for word in symbols.split(['(', ')', ' ', '\n']) {
        let Some(version) = word.strip_prefix("GLIBC_") else {
            continue;
        };
        versions += 1;
        let numbers: Vec<u32> = version.split('.').map(|n| n.parse().unwrap()).collect();
        assert!(numbers.as_slice() <= &[2, 17][..], "{version}");
    }
    assert!(versions > 50, "{symbols}");
}

#[test]
#[ignore = "needs the Linux package: cargo xtask ci"]
fn pkg_config_builds_a_register() {
    let unpacked = Unpacked::new();
    let program = unpacked.path("pay");
    run(Command::new("cc")
        .arg("-o")
        .arg(&program)
        .arg(unpacked.path("examples/pay.c"))
        .args(unpacked.pkg_config(&["--cflags", "--libs"]))
        .arg(format!("-Wl,-rpath,{}", unpacked.path("lib").display())));
    pays(&program);
}

#[test]
#[ignore = "needs the Linux package: cargo xtask ci"]
fn pkg_config_builds_a_register_with_the_static_library() {
    let unpacked = Unpacked::new();
    let program = unpacked.path("pay");
    // The shared library is out of the way: the linker would prefer it.
    for name in ["lib/libcloudpay.so", "lib/libcloudpay.so.1"] {
        fs::remove_file(unpacked.path(name)).unwrap();
    }
    run(Command::new("cc")
        .arg("-o")
        .arg(&program)
        .arg(unpacked.path("examples/pay.c"))
        .args(unpacked.pkg_config(&["--static", "--cflags", "--libs"])));
    pays(&program);
}

#[test]
#[ignore = "needs the Linux package: cargo xtask ci"]
fn cmake_finds_the_package() {
    let unpacked = Unpacked::new();
    let project = unpacked.path("project");
    fs::create_dir(&project).unwrap();
    fs::write(
        project.join("CMakeLists.txt"),
        "cmake_minimum_required(VERSION 3.14)
         project(register C)
         find_package(cloudpay 1.0 REQUIRED)
         foreach(kind cloudpay static)
           add_executable(pay_${kind} ../examples/pay.c)
           target_link_libraries(pay_${kind} PRIVATE cloudpay::${kind})
         endforeach()",
    )
    .unwrap();
    let build = project.join("build");
    run(Command::new("cmake")
        .arg("-S")
        .arg(&project)
        .arg("-B")
        .arg(&build)
        .arg(format!("-DCMAKE_PREFIX_PATH={}", unpacked.top.display())));
    run(Command::new("cmake").arg("--build").arg(&build));
    pays(&build.join("pay_cloudpay"));
    pays(&build.join("pay_static"));
}

#[test]
#[ignore = "needs the Linux package: cargo xtask ci"]
fn make_builds_the_examples_where_they_are() {
    let unpacked = Unpacked::new();
    run(Command::new("make")
        .arg("-C")
        .arg(unpacked.path("examples"))
        .args(["all", "static"]));
    pays(&unpacked.path("examples/build/pay"));
    pays(&unpacked.path("examples/build/static/pay"));
}

/// The NuGet package has what NuGet and .NET look for, and a program built from it pays.
#[test]
#[ignore = "needs the NuGet package: cargo xtask ci"]
fn the_nuget_package_is_whole() {
    let archive =
        target_folder().join(format!("dist/cloudpay.{}.nupkg", env!("CARGO_PKG_VERSION")));
    let folder = TempFolder::new();
    run(Command::new("unzip")
        .arg("-q")
        .arg(&archive)
        .arg("-d")
        .arg(&folder.0));
    let nuspec = fs::read_to_string(folder.0.join("cloudpay.nuspec")).unwrap();
    assert!(nuspec.contains(concat!(
        "<version>",
        env!("CARGO_PKG_VERSION"),
        "</version>"
    )));
    for (file, kind) in [
        ("runtimes/win-x86/native/cloudpay.dll", "PE32 executable"),
        ("runtimes/win-x64/native/cloudpay.dll", "PE32+ executable"),
        ("runtimes/linux-x64/native/libcloudpay.so", "ELF 64-bit"),
        ("lib/netstandard2.0/CloudPay.dll", "Mono/.Net assembly"),
        ("lib/net40/CloudPay.xml", "XML"),
        ("build/net40/cloudpay.targets", "XML"),
        ("[Content_Types].xml", "XML"),
        ("_rels/.rels", "XML"),
    ] {
        let said = run(Command::new("file").arg("-b").arg(folder.0.join(file)));
        assert!(said.contains(kind), "{file}: {said}");
    }
    // As a project that refers to the package: the assembly and the library beside the program.
    let out = folder.0.join("out");
    fs::create_dir(&out).unwrap();
    for (from, to) in [
        ("lib/net40/CloudPay.dll", "CloudPay.dll"),
        ("runtimes/linux-x64/native/libcloudpay.so", "libcloudpay.so"),
    ] {
        fs::copy(folder.0.join(from), out.join(to)).unwrap();
    }
    run(Command::new("mcs")
        .arg(format!("-out:{}", out.join("Pay.exe").display()))
        .arg(format!("-reference:{}", out.join("CloudPay.dll").display()))
        .arg(root().join("bindings/csharp/example/Pay.cs")));
    let shop = Shop::open();
    let conf = shop.folder.0.join("conf.json");
    fs::write(&conf, shop.conf.to_string()).unwrap();
    let text = run(Command::new("mono")
        .arg(out.join("Pay.exe"))
        .arg(&conf)
        .args([&code("001"), "128"]));
    assert!(text.contains("PAID 128 fen"), "{text}");
}
