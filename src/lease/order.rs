//! What the boot tells the lease: who this host is, and how to behave. Its unit reads it again
//! whenever it restarts, and so does everybody who looks at the lease of this host.

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::claim::{Manner, Pace};
use super::record::Holder;
use crate::error::Fault;
use crate::host::LeasePolicy;

/// Where it is, below the machine's root. For root only: it names who may be terminated.
pub const PATH: &str = "run/hostkit/lease/order.json";

/// What the boot tells the lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// This host, as it stands in the records that it writes (`since` is set then).
    pub me: Holder,
    /// Where the file system is mounted.
    pub mount_point: Utf8PathBuf,
    /// What to do about a holder that runs.
    pub policy: LeasePolicy,
    /// How long a holder that runs is waited for before it is terminated, in seconds.
    pub patience: u32,
    /// The Auto Scaling Group of this host, if it is in one.
    pub group: Option<String>,
    /// Where AWS is, if not at its own addresses.
    pub endpoint_url: Option<String>,
    /// Where the metadata service is, if not at its own address.
    pub imds: Option<String>,
}

impl Order {
    /// Reads it.
    pub fn read(root: &Utf8Path) -> Result<Self, Fault> {
        let path = root.join(PATH);
        let hint = "it is written by `hostkit boot`: `journalctl -u hostkit-boot` tells why not";
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Fault::environment(format!("{path} cannot be read: {error}")).hint(hint)
        })?;
        serde_json::from_str(&text).map_err(|error| {
            Fault::environment(format!("{path} is not what the boot writes: {error}")).hint(hint)
        })
    }

    /// How a newcomer is told to behave.
    pub fn manner(&self) -> Manner {
        let (policy, group) = (self.policy, self.group.clone());
        Manner { policy, group, patience: self.patience, pace: Pace::default() }
    }

    /// How long a holder that runs is waited for before it is terminated.
    pub const fn patience(&self) -> Duration {
        Duration::from_secs(self.patience as u64)
    }
}
