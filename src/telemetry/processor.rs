//! How busy the processors are. `sysinfo` would ask Windows' performance counters, whose start
//! takes seconds on old machines and which Wine doesn't have.

/// Time since the system started, in units of the system's own.
#[derive(Clone, Copy, Default)]
struct Times {
    idle: u64,
    all: u64,
}

/// Remembers what the next look is compared with.
#[derive(Default)]
pub(super) struct Processor {
    before: Times,
}

impl Processor {
    /// Share of the time since the last look that the processors were busy, 0 to 100; the first
    /// look covers the time since the system started. `None` on a machine that won't say.
    pub(super) fn percent(&mut self) -> Option<u64> {
        let now = times()?;
        let all = now.all.checked_sub(self.before.all)?;
        let idle = now.idle.checked_sub(self.before.idle)?;
        self.before = now;
        (all.checked_sub(idle)? * 100).checked_div(all)
    }
}

#[cfg(not(windows))]
fn times() -> Option<Times> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    // cpu user nice system idle iowait irq softirq steal guest guest_nice; guests count as users.
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<u64> = line
        .split_whitespace()
        .take(8)
        .filter_map(|field| field.parse().ok())
        .collect();
    Some(Times {
        idle: fields.get(3)? + fields.get(4)?,
        all: fields.iter().sum(),
    })
}

#[cfg(windows)]
fn times() -> Option<Times> {
    let [idle, kernel, user] = crate::ffi::system::processor_times()?;
    Some(Times {
        idle,
        all: kernel + user,
    })
}
