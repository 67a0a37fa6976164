//! The NuGet package: the C# binding, with the libraries of every platform.

use std::process::Command;

use super::package::Package;
use super::{VERSION, folder};
use crate::tools::{Need, need, root, run_with};

/// Library of a platform's package, and where .NET looks for it.
const NATIVE: [(&str, &str, &str); 3] = [
    (
        "windows-x86",
        "bin/cloudpay.dll",
        "win-x86/native/cloudpay.dll",
    ),
    (
        "windows-x64",
        "bin/cloudpay.dll",
        "win-x64/native/cloudpay.dll",
    ),
    (
        "linux-x64",
        "lib/libcloudpay.so.1",
        "linux-x64/native/libcloudpay.so",
    ),
];

/// What it takes to pack for NuGet.
pub(super) const NEEDS: &[Need] = &[
    ("mcs", "mono-mcs", "compiles the C# binding"),
    ("zip", "zip", "packs"),
];

pub(super) fn build() -> Result<(), String> {
    println!("\n== NuGet");
    need(NEEDS)?;
    let package = Package::new("nuget")?;
    package.write("cloudpay.nuspec", &nuspec())?;
    package.write("[Content_Types].xml", CONTENT_TYPES)?;
    package.write("_rels/.rels", RELATIONS)?;
    package.write("build/net40/cloudpay.targets", TARGETS)?;
    package.copy(&root().join("README.md"), "README.md")?;
    // One assembly for both: it uses nothing that one of them lacks.
    let assembly = package.path("lib/net40/CloudPay.dll")?;
    run_with(
        Command::new("mcs")
            .args([
                "-target:library",
                "-langversion:5",
                "-optimize",
                "-warnaserror",
            ])
            .arg(format!(
                "-doc:{}",
                package.path("lib/net40/CloudPay.xml")?.display()
            ))
            .arg(format!("-out:{}", assembly.display()))
            .arg(root().join("bindings/csharp/CloudPay.cs")),
    )?;
    for file in ["CloudPay.dll", "CloudPay.xml"] {
        package.copy(
            &package.path(&format!("lib/net40/{file}"))?,
            &format!("lib/netstandard2.0/{file}"),
        )?;
    }
    for (platform, file, place) in NATIVE {
        let library = folder()?
            .join(format!("cloudpay-{VERSION}-{platform}"))
            .join(file);
        package.copy(&library, &format!("runtimes/{place}"))?;
    }
    package.nupkg()?;
    Ok(())
}

fn nuspec() -> String {
    format!(
        r#"<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://schemas.microsoft.com/packaging/2013/05/nuspec.xsd">
  <metadata>
    <id>cloudpay</id>
    <version>{VERSION}</version>
    <authors>The cloudpay developers</authors>
    <license type="expression">MIT OR Apache-2.0</license>
    <description>WeChat Pay and Alipay for cash registers</description>
    <readme>README.md</readme>
    <dependencies>
      <group targetFramework=".NETFramework4.0" />
      <group targetFramework=".NETStandard2.0" />
    </dependencies>
  </metadata>
</package>
"#
    )
}

/// .NET Framework knows no `runtimes` folder: the DLL of the program's width is copied beside it.
/// A program for any processor prefers 32 bits unless it says otherwise.
const TARGETS: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<Project xmlns="http://schemas.microsoft.com/developer/msbuild/2003">
  <PropertyGroup>
    <CloudPayPlatform Condition="'$(PlatformTarget)' == 'x64'">win-x64</CloudPayPlatform>
    <CloudPayPlatform Condition="'$(PlatformTarget)' == 'AnyCPU' And '$(Prefer32Bit)' == 'false'">win-x64</CloudPayPlatform>
    <CloudPayPlatform Condition="'$(CloudPayPlatform)' == ''">win-x86</CloudPayPlatform>
  </PropertyGroup>
  <ItemGroup>
    <None Include="$(MSBuildThisFileDirectory)..\..\runtimes\$(CloudPayPlatform)\native\cloudpay.dll">
      <Link>cloudpay.dll</Link>
      <CopyToOutputDirectory>PreserveNewest</CopyToOutputDirectory>
      <Visible>false</Visible>
    </None>
  </ItemGroup>
</Project>
"#;

const CONTENT_TYPES: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
  <Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml" />
  <Default Extension="nuspec" ContentType="application/octet" />
  <Default Extension="dll" ContentType="application/octet" />
  <Default Extension="so" ContentType="application/octet" />
  <Default Extension="xml" ContentType="application/octet" />
  <Default Extension="targets" ContentType="application/octet" />
  <Default Extension="md" ContentType="application/octet" />
</Types>
"#;

const RELATIONS: &str = r#"<?xml version="1.0" encoding="utf-8"?>
<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">
  <Relationship Type="http://schemas.microsoft.com/packaging/2010/07/manifest" Target="/cloudpay.nuspec" Id="manifest" />
</Relationships>
"#;
