//! What kind of machine this is and how busy it is, for the gateway's support.

use serde_json::{Value, json};
use sysinfo::{Disks, System};

use super::processor::Processor;

/// A look at the machine. Keeps what the next look is compared with.
pub(crate) struct Machine {
    /// `None` on a machine that won't say.
    system: Option<System>,
    processor: Processor,
}

impl Machine {
    pub(crate) fn new() -> Self {
        Self {
            system: System::new().ok(),
            processor: Processor::default(),
        }
    }

    /// What doesn't change while the register runs.
    pub(crate) fn description(&mut self) -> Value {
        let system = self.look();
        json!({
            "os": System::name().unwrap_or_default(),
            "os_version": System::os_version().unwrap_or_default(),
            "arch": std::env::consts::ARCH,
            "cpu_count": std::thread::available_parallelism().ok(),
            "memory_bytes": system.map(System::total_memory),
            "disk_bytes": disk_bytes().0,
        })
    }

    /// How busy it is.
    pub(crate) fn usage(&mut self) -> Value {
        let cpu = self.processor.percent();
        let system = self.look();
        let (disk_total, disk_free) = disk_bytes();
        json!({
            "cpu_percent": cpu,
            "memory_total_bytes": system.map(System::total_memory),
            "memory_used_bytes": system.map(System::used_memory),
            "disk_total_bytes": disk_total,
            "disk_free_bytes": disk_free,
        })
    }

    fn look(&mut self) -> Option<&System> {
        let system = self.system.as_mut()?;
        system.refresh_memory();
        Some(system)
    }
}

/// Size and free space of all disks.
fn disk_bytes() -> (u64, u64) {
    let Ok(disks) = Disks::new_with_refreshed_list() else {
        return (0, 0);
    };
    disks.iter().fold((0, 0), |(total, free), disk| {
        (total + disk.total_space(), free + disk.available_space())
    })
}
