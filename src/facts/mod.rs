//! A plain snapshot of the host: what decisions are made on.
//!
//! Facts are read once and passed on as values; nothing here acts.

pub mod ecs_agent;
mod identity;
mod partition;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

pub use identity::{Identity, LifeCycle};
pub use partition::Partition;

/// What the kernel says of this machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Differs after every reboot.
    pub boot_id: String,
    /// Memory that the machine has, in bytes.
    pub memory: u64,
}

impl Facts {
    /// Reads them below `root` (`/` on a machine).
    pub fn read(root: &camino::Utf8Path) -> anyhow::Result<Self> {
        let path = root.join("proc/sys/kernel/random/boot_id");
        let boot_id = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        Ok(Self { boot_id: boot_id.trim().to_owned(), memory: memory()? })
    }
}

/// What the machine has, or less where a control group allows less.
fn memory() -> anyhow::Result<u64> {
    let only_memory = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(only_memory).context("measuring the memory")?;
    let all = system.total_memory();
    Ok(system.cgroup_limits().map_or(all, |limits| limits.total_memory.min(all)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_machine_has_memory_and_a_boot_id() {
        let facts = Facts::read("/".into()).unwrap();
        assert!(facts.memory > 64 << 20, "{}", facts.memory);
        assert_eq!(facts.boot_id.len(), 36);
    }
}
