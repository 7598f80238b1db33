//! A plain snapshot of the host: what decisions are made on.
//!
//! Facts are read once and passed on as values; nothing here acts.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

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
        let read = |path: &str| {
            std::fs::read_to_string(root.join(path)).with_context(|| format!("reading /{path}"))
        };
        let boot_id = read("proc/sys/kernel/random/boot_id")?.trim().to_owned();
        let memory = memory(&read("proc/meminfo")?).context("/proc/meminfo has no MemTotal")?;
        Ok(Self { boot_id, memory })
    }
}

fn memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Who this instance is, as its metadata service says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The instance.
    pub instance_id: String,
    /// The account that owns it.
    pub account_id: String,
    /// Its region.
    pub region: String,
    /// Its availability zone's name in this account.
    pub availability_zone: String,
    /// Its availability zone's name in every account.
    pub availability_zone_id: String,
    /// The image that it was started from.
    pub image_id: String,
    /// Its address in the network.
    pub private_ip: std::net::Ipv4Addr,
    /// The name that the instance should have.
    pub hostname: String,
    /// For which boot this was read.
    pub boot_id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_memory_of_the_machine_in_bytes() {
        assert_eq!(memory("MemTotal:        2030112 kB\nMemFree: 1 kB\n"), Some(2_078_834_688));
        assert_eq!(memory("MemFree: 1 kB\n"), None);
    }
}
