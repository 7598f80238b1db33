//! The options of machines for the instances of `hostkit sim`.

use std::path::PathBuf;

use clap::Args;

use super::vm::Accel;
use crate::event::Events;
use crate::sim::cloud::Cloud;
use crate::sim::machines::{self, Options};
use crate::sim::vm::options::parse_memory;

/// Whether instances have machines, and which.
#[derive(Debug, Args)]
pub struct Machines {
    /// Give every instance a virtual machine that boots its image; needs root
    #[arg(long = "machines", id = "machines")]
    wanted: bool,
    /// A folder that instances find as their EFS file system
    #[arg(long, value_name = "DIR", requires = "machines")]
    efs: Option<PathBuf>,
    /// How the processors of machines run
    #[arg(long, value_enum, default_value_t, requires = "machines")]
    accel: Accel,
    /// The memory of each machine, whatever its instance type has
    #[arg(long, default_value = "2048M", value_parser = parse_memory, requires = "machines")]
    memory: u64,
    /// The processors of each machine
    #[arg(long, default_value_t = 2, requires = "machines",
        value_parser = clap::value_parser!(u8).range(1..=64))]
    cpus: u8,
}

impl Machines {
    /// Gives the instances of an account machines, if that is wanted.
    pub async fn open(
        self,
        cloud: &Cloud,
        events: &Events,
    ) -> anyhow::Result<Option<machines::Machines>> {
        if !self.wanted {
            return Ok(None);
        }
        let options = Options {
            efs: self.efs,
            acceleration: self.accel.acceleration(),
            memory_mib: self.memory,
            cpus: self.cpus,
            ..Options::default()
        };
        machines::Machines::of(cloud, options, events).await.map(Some)
    }
}
