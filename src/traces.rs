//! What a computation with a secret leaves on the stack.

/// Computes something, and overwrites what of the stack it used: a hash's last block, for example,
/// holds the key that it was made with.
pub(crate) fn without_traces<T>(compute: impl FnOnce() -> T) -> T {
    #[inline(never)]
    fn apart<T>(compute: impl FnOnce() -> T) -> T {
        compute()
    }
    #[inline(never)]
    fn overwrite() {
        std::hint::black_box([0_u8; 4096]);
    }
    let result = apart(compute);
    overwrite();
    result
}
