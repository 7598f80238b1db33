//! An AMI: everything that was said when it was registered, and how far it is.

use std::collections::BTreeSet;
use std::time::Instant;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::region::{Due, Tags};

/// What EC2 says of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// It is being made.
    Pending(Due),
    /// Instances can be launched from it.
    Available,
    /// It could not be made: the reason.
    Failed(String),
    /// Its owner has switched it off.
    Disabled,
}

/// A disk of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// `/dev/xvda`
    pub device: String,
    /// Its snapshot.
    pub snapshot: Option<String>,
    /// The size of the volume, in GiB.
    pub volume_gib: u64,
    /// `gp3`, …
    pub volume_type: String,
    /// Input and output operations a second.
    pub iops: Option<u64>,
    /// MiB a second.
    pub throughput: Option<u64>,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// The key that it is encrypted with.
    pub kms_key: Option<String>,
    /// Whether the volume goes with its instance.
    pub delete_on_termination: bool,
    /// `ephemeral0`, and then there is no volume.
    pub virtual_name: Option<String>,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// `ami-…`
    pub id: String,
    /// Its name, of which a region has one.
    pub name: String,
    /// Whose it is: an account.
    pub owner: String,
    /// `amazon` and such, where the owner has one.
    pub owner_alias: Option<String>,
    /// What was said of it.
    pub description: String,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// `/dev/xvda`
    pub root_device: String,
    /// `hvm` or `paravirtual`.
    pub virtualization: String,
    /// Its disks.
    pub mappings: Vec<Mapping>,
    /// `uefi-preferred`, …
    pub boot_mode: Option<String>,
    /// `v2.0`
    pub tpm_support: Option<String>,
    /// `v2.0`
    pub imds_support: Option<String>,
    /// Base64.
    pub uefi_data: Option<String>,
    /// Whether instances have an elastic network adapter.
    pub ena: bool,
    /// `simple`
    pub sriov: Option<String>,
    /// Its tags.
    pub tags: Tags,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is deprecated.
    pub deprecated: Option<Timestamp>,
    /// Whether it is protected from deregistration; `enabled-with-cooldown`, …
    pub protection: Option<String>,
    /// Who may launch it: `userId` and an account, `group` and `all`, `organizationArn` and
    /// `organizationalUnitArn` and an ARN.
    pub shared_with: BTreeSet<(String, String)>,
    /// Until when it cannot be deregistered although its protection was taken away.
    pub cooldown: Option<Timestamp>,
    /// Its state.
    pub state: State,
    /// The reason for which it will have failed instead of being available.
    pub fails: Option<String>,
    /// When an instance was launched from it, the last time.
    pub last_launched: Option<Timestamp>,
    /// The public parameter that points to it.
    pub public_parameter: Option<String>,
    /// The instance that it was made from.
    pub source_instance: Option<String>,
    /// The image that it is a copy of: region and id.
    pub source_image: Option<(String, String)>,
}

impl State {
    /// AWS's word for it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Pending(_) => "pending",
            Self::Available => "available",
            Self::Failed(_) => "failed",
            Self::Disabled => "disabled",
        }
    }
}

impl Image {
    /// Lets happen what is due.
    pub fn settle(&mut self, now: Instant) {
        if let State::Pending(due) = self.state
            && due.at <= now
        {
            self.state = self.fails.take().map_or(State::Available, State::Failed);
        }
    }

    /// Whether everybody may launch it.
    pub fn is_public(&self) -> bool {
        self.shared_with.iter().any(|(kind, who)| kind == "group" && who == "all")
    }

    /// Its root disk.
    pub fn root(&self) -> Option<&Mapping> {
        self.mappings.iter().find(|mapping| mapping.device == self.root_device)
    }

    /// Its snapshots.
    pub fn snapshots(&self) -> impl Iterator<Item = &str> {
        self.mappings.iter().filter_map(|mapping| mapping.snapshot.as_deref())
    }
}
