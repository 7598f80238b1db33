//! Brings a home back from a restore, a set that was kept aside, or a copy: by renames on the file
//! system, with a journal, and with a way back. It never copies where a rename does, and never
//! deletes.
//!
//! [`prepare()`] looks and decides, [`Prospect`] is what would be done, [`carry_out()`] does it: stage
//! after stage, each written to the journal (`lease::recovery`) before it is begun, and each done again
//! without harm by whoever comes after. The file system is touched by a child alone ([`inside`]), and
//! only while this host holds the home and Jenkins is down. [`hang`] is what is done about a mount that
//! does not answer.
//!
//! What is asked of AWS alone is beside it: [`backup`], [`throughput`] and [`failover`], which show their
//! [`steps`] before anything is done.

mod ask;
pub mod backup;
mod carry;
pub mod failover;
mod group;
pub mod hang;
mod host;
pub mod inside;
mod plan;
mod prepare;
pub mod steps;
#[cfg(test)]
mod tests;
pub mod throughput;

use std::time::Duration;

use aws_config::SdkConfig;
use camino::Utf8Path;

pub use carry::{Ended, carry_out};
pub use plan::{Course, Prospect};
pub use prepare::prepare;

use crate::aws;
use crate::aws::imds::Imds;
use crate::event::Events;
use crate::jenkins::Version;
use crate::lease::memory::Memory;
use crate::lease::order::Order;
use crate::sys::Runner;

/// The step that its events are about.
const STEP: &str = "recover";

/// How long the metadata service may take.
const IMDS: Duration = Duration::from_secs(5);

/// Where a recovery is done, and by whom.
#[derive(Debug)]
pub struct Setting<'a> {
    /// Below which the files of this machine are.
    pub root: &'a Utf8Path,
    /// How programs are run.
    pub runner: &'a Runner,
    /// Who this host is, and where the file system is mounted.
    pub order: &'a Order,
    /// Whose the home is.
    pub user: &'a str,
    /// How AWS is called, or why it cannot be.
    pub aws: Result<SdkConfig, String>,
    /// The person who asked for it.
    pub by: &'a str,
    /// What is said meanwhile.
    pub events: &'a Events,
    /// What is called a second.
    pub second: Duration,
}

/// What is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// What to bring back.
    pub from: Option<String>,
    /// Whether to take the last recovery back.
    pub undo: bool,
    /// Whether Jenkins may be stopped.
    pub stop_jenkins: bool,
    /// What may be missing or broken in what is brought back, by its path.
    pub accept_missing: Vec<String>,
    /// Whether the group is none of our business.
    pub leave_group: bool,
}

impl Setting<'_> {
    fn memory(&self) -> Memory {
        Memory::new(self.root, &self.order.me.boot_id)
    }

    fn log(&self, line: impl Into<String>) {
        self.events.log(STEP, line);
    }

    fn seconds(&self, count: u32) -> Duration {
        self.second * count
    }

    fn jenkins(&self) -> Option<Version> {
        Version::installed(self.root).ok().flatten()
    }
}

/// How AWS is called from this host.
pub async fn connect(order: &Order) -> Result<SdkConfig, String> {
    let brief = |error: anyhow::Error| format!("{error:#}");
    let imds = Imds::new(order.imds.as_deref(), IMDS).map_err(brief)?;
    let role = imds.role().await.map_err(brief)?;
    Ok(aws::config(&order.me.region, order.endpoint_url.as_deref(), &imds, &role))
}
