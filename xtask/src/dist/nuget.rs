//! The NuGet package: the C# binding with the native libraries of every platform.

pub(super) fn build() -> Result<(), String> {
    Ok(())
}
