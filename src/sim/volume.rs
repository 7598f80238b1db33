//! An EBS volume: a disk of an instance.
//!
//! Its content is that of its snapshot, and what the machine wrote since: whoever plays the machine
//! has it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::region::Tags;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// `vol-…`
    pub id: String,
    /// Its size, in GiB.
    pub gib: u64,
    /// `gp3`, …
    pub kind: String,
    /// Input and output operations a second.
    pub iops: Option<u64>,
    /// MiB a second.
    pub throughput: Option<u64>,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// The key that it is encrypted with.
    pub kms_key: Option<String>,
    /// The snapshot that it was made of.
    pub snapshot: Option<String>,
    /// Its availability zone.
    pub zone: String,
    /// When it was made.
    pub created: Timestamp,
    /// Its tags.
    pub tags: Tags,
    /// The instance whose disk it is.
    pub instance: String,
    /// Under which name: `/dev/xvda`.
    pub device: String,
    /// Whether it goes with its instance.
    pub delete_on_termination: bool,
}
