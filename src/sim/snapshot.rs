//! An EBS snapshot: what is known of it, and which block of it has which content.
//!
//! Contents are kept elsewhere (the store of blocks), each under its SHA-256.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::region::{Due, Tags};

/// The size of a block, in bytes: the only one that EBS has.
pub const BLOCK_BYTES: usize = 512 << 10;

/// What EC2 says of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is being written by somebody (none), or on its way to be completed.
    Pending(Option<Due>),
    /// It is whole.
    Completed,
    /// It will never be.
    Error(String),
}

/// See the module.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// `snap-…`
    pub id: String,
    /// The size of the volume, in GiB.
    pub volume_gib: u64,
    /// Its state.
    pub state: State,
    /// When it was started, by the clock of the world.
    pub started: jiff::Timestamp,
    /// Whatever was said of it.
    pub description: String,
    /// Its tags.
    pub tags: Tags,
    /// The key that it is encrypted with.
    pub kms_key: Option<String>,
    /// The volume that it was made of; none where its blocks were put.
    pub volume: Option<String>,
    /// The snapshot that it was started from.
    pub parent: Option<String>,
    /// The SHA-256 of every block that it has, its parents' blocks included.
    pub blocks: BTreeMap<u32, [u8; 32]>,
    /// Those that were put into it.
    pub put: BTreeSet<u32>,
    /// The accounts that may make volumes of it; `all` is everybody.
    pub shared_with: BTreeSet<String>,
}

impl Snapshot {
    /// Whether it is whole.
    pub const fn is_completed(&self) -> bool {
        matches!(self.state, State::Completed)
    }

    /// Lets happen what is due.
    pub fn settle(&mut self, now: Instant) {
        if let State::Pending(Some(due)) = self.state
            && due.at <= now
        {
            self.state = State::Completed;
        }
    }
}
