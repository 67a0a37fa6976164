//! What the library asks of Windows itself.

/// Keeps the DLL loaded from here on: a thread that is still ending has its code. Elsewhere the
/// linker's `nodelete` does the same.
pub(super) fn stay_loaded() {
    #[cfg(windows)]
    windows::pin();
}

#[cfg(windows)]
pub(crate) use self::windows::processor_times;

#[cfg(windows)]
mod windows {
    use std::ffi::c_void;
    use std::ptr;

    const FLAG_PIN: u32 = 1;
    const FLAG_FROM_ADDRESS: u32 = 4;

    #[repr(C)]
    #[derive(Clone, Copy, Default)]
    struct FileTime {
        low: u32,
        high: u32,
    }

    unsafe extern "system" {
        fn GetModuleHandleExW(flags: u32, address: *const u16, module: *mut *mut c_void) -> i32;
        fn GetSystemTimes(idle: *mut FileTime, kernel: *mut FileTime, user: *mut FileTime) -> i32;
    }

    pub(super) fn pin() {
        static HERE: u8 = 0;
        let mut module = ptr::null_mut();
        // SAFETY: any address inside the module says which one it is; `module` is writable. A
        // refusal leaves things as they were.
        unsafe {
            GetModuleHandleExW(
                FLAG_PIN | FLAG_FROM_ADDRESS,
                ptr::from_ref(&HERE).cast(),
                &raw mut module,
            );
        }
    }

    /// Idle, kernel and user time of all processors since the system started, in 100 ns. The
    /// kernel's time includes the idle time.
    pub(crate) fn processor_times() -> Option<[u64; 3]> {
        let [mut idle, mut kernel, mut user] = [FileTime::default(); 3];
        // SAFETY: three writable structures of the form that Windows documents.
        if unsafe { GetSystemTimes(&raw mut idle, &raw mut kernel, &raw mut user) } == 0 {
            return None;
        }
        Some([idle, kernel, user].map(|time| u64::from(time.high) << 32 | u64::from(time.low)))
    }
}
