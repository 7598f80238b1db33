//! A boot that waits until a recovery of the home is over: what it says of that, in memory that a reboot
//! wipes.
//!
//! It is read by `hostkit status`, and by whoever carries the recovery out on this host: a boot that
//! waits is no boot that would start Jenkins. That holds because a boot takes this away first, and only
//! then looks once more whether it is barred.

use std::io;

use camino::Utf8Path;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::sys::atomic;

const PATH: &str = "run/hostkit/barred.json";

/// What a boot waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Barred {
    /// Which recovery is under way.
    pub why: String,
    /// What to do about it.
    pub hint: String,
    /// Since when it waits.
    pub since: Timestamp,
}

impl Barred {
    /// A boot of the machine whose files are below `root` waits from now on.
    pub fn say(&self, root: &Utf8Path) -> io::Result<()> {
        let json = serde_json::to_vec(self).expect("it is plain data");
        atomic::write(&root.join(PATH), &json, 0o644).map(drop)
    }

    /// What a boot waits for, if one does. It says nothing of whether that boot still runs.
    pub fn read(root: &Utf8Path) -> Option<Self> {
        let text = std::fs::read_to_string(root.join(PATH)).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// No boot waits any more.
    pub fn end(root: &Utf8Path) -> io::Result<()> {
        match std::fs::remove_file(root.join(PATH)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}
