//! The clerk: a child that does all the file work of the lease on the mounted file system.
//!
//! A dead NFS server hangs whoever touches the mount, so the process that feeds the watchdog never
//! does. It writes a [`Request`] as a line of JSON to the clerk and reads an [`Answer`]; a clerk
//! that does not answer in time is killed, or left to the kernel, and another one is started.
//! The clerk decides nothing.

mod desk;
mod place;
#[cfg(test)]
mod tests;
mod trouble;
mod work;

use std::time::Duration;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use super::claim::Head;
use super::record::Record;

pub use desk::Desk;
pub use trouble::Trouble;
pub use work::{Clerk, attend};

/// The file that says what the last generation is.
pub const HEAD: &str = "head";

/// The file that the holder overwrites while it lives.
pub const HEARTBEAT: &str = "heartbeat";

/// What the clerk may be asked to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// First of all: on which file system it works. It opens the lease's directory once.
    Open {
        /// Where the file system is mounted.
        mount_point: Utf8PathBuf,
        /// Its id.
        fs_id: String,
    },
    /// Read the head, by `open()`.
    Look,
    /// Create the claim of the record's generation exclusively, with the record in it.
    Claim(Box<Record>),
    /// Make the claim that was just created the head.
    Announce,
    /// Read the claim of a generation.
    ReadClaim(u64),
    /// How old the claim of a generation is, by the file server's clock.
    Age(u64),
    /// Replace the head by this record: the holder's own, put right or released.
    Replace(Box<Record>),
    /// Write everything of the file system that this machine still has in memory to the server.
    Sync,
    /// Write the heartbeat.
    Beat(Box<Beat>),
    /// Everything that people may want to see.
    Show,
}

impl Request {
    /// Whether it changes nothing, so that it may be done again.
    pub const fn only_reads(&self) -> bool {
        match self {
            Self::Open { .. } | Self::Look | Self::ReadClaim(_) | Self::Age(_) | Self::Show => true,
            Self::Claim(_) | Self::Announce | Self::Replace(_) | Self::Sync | Self::Beat(_) => {
                false
            }
        }
    }
}

/// What the clerk answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// To [`Request::Look`].
    Head(Head),
    /// To [`Request::Claim`]: it is there now.
    Claimed,
    /// To [`Request::Claim`]: it was there.
    Taken,
    /// To [`Request::ReadClaim`]; none where the name is not seen.
    Claim(Option<Head>),
    /// To [`Request::Age`].
    Age(Duration),
    /// To all that only have to be done.
    Done,
    /// To [`Request::Show`].
    Shown(Box<Shown>),
    /// It could not be done: why, and what may help.
    Failed {
        /// Why.
        why: String,
        /// What may help.
        hint: String,
    },
}

/// The heartbeat: for people and alerts, never for a decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// The generation that is held.
    pub generation: u64,
    /// Who holds it.
    pub holder: String,
    /// Counts the heartbeats of this generation.
    pub count: u64,
    /// When, by the holder's clock.
    pub at: jiff::Timestamp,
}

/// Everything that people may want to see of a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The head.
    pub head: Head,
    /// The newest claim beyond the head, if there is one.
    pub beyond: Option<Head>,
    /// The highest generation that has a claim, whether it can be read or not.
    pub highest: Option<u64>,
    /// The age of the last claim, by the file server's clock.
    pub age: Option<Duration>,
    /// The last heartbeat, and how old it is by the file server's clock.
    pub beat: Option<(Beat, Duration)>,
    /// What time it is by the file server's clock.
    pub clock: Option<jiff::Timestamp>,
    /// The id that the file system is marked with.
    pub mark: Option<String>,
}
