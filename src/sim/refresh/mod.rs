//! Instance refresh: a group replaces its instances, some at a time, and goes back where that fails.
//!
//! [`decide`] says what a refresh does next, from how its group and the instances are: pure. What it
//! decides is carried out by [`advance`], through what groups do by themselves: instances are
//! released like others, and what is launched instead the group launches, which a refresh only
//! steers. One file an operation or two. The root volumes of instances are never replaced here.

mod advance;
mod bounds;
mod cancel;
pub mod decide;
mod describe;
mod preferences;
mod start;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::advance::advance;
pub(super) use self::cancel::{cancel, rollback};
pub(super) use self::describe::describe;
pub use self::preferences::{Encounter, Preferences};
pub(super) use self::start::start;
use super::group::source::Source;
use super::region::{Due, Region};

/// How a refresh stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// It was asked for.
    Pending,
    /// Instances are replaced.
    InProgress,
    /// All are replaced; it is waited whether they stay well.
    Baking,
    /// They did.
    Successful,
    /// It came to nothing.
    Failed,
    /// Somebody wants it to end.
    Cancelling,
    /// It has.
    Cancelled,
    /// What was replaced is replaced again, by what was there before.
    RollbackInProgress,
    /// All is as it was.
    RollbackSuccessful,
    /// It is not.
    RollbackFailed,
}

impl Status {
    /// AWS's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::InProgress => "InProgress",
            Self::Baking => "Baking",
            Self::Successful => "Successful",
            Self::Failed => "Failed",
            Self::Cancelling => "Cancelling",
            Self::Cancelled => "Cancelled",
            Self::RollbackInProgress => "RollbackInProgress",
            Self::RollbackSuccessful => "RollbackSuccessful",
            Self::RollbackFailed => "RollbackFailed",
        }
    }

    /// Whether it has come to its end.
    pub const fn is_over(self) -> bool {
        matches!(
            self,
            Self::Successful
                | Self::Failed
                | Self::Cancelled
                | Self::RollbackSuccessful
                | Self::RollbackFailed
        )
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// In percent of what is to be replaced.
    pub percent: u64,
    /// So many instances are not updated yet.
    pub to_update: u64,
}

/// How a refresh is undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// Why.
    pub reason: String,
    /// Since when.
    pub started: Timestamp,
    /// How far the refresh was then.
    pub at: Progress,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refresh {
    /// Like a UUID.
    pub id: String,
    /// The group.
    pub group: String,
    /// How it stands.
    pub status: Status,
    /// Why it stands so, or what it waits for.
    pub reason: Option<String>,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How it was to be done.
    pub preferences: Preferences,
    /// What the group is to launch, if that was said.
    pub desired: Option<Source>,
    /// What it launched before, for the way back.
    pub former: Option<Source>,
    /// The instances that were there when it began, or when the way back did.
    pub before: BTreeSet<String>,
    /// Those of them that are to be replaced.
    pub targets: BTreeSet<String>,
    /// So many checkpoints are passed.
    pub checkpoint: usize,
    /// Until when it stays at a checkpoint.
    pub paused: Option<Due>,
    /// Until when it bakes.
    pub baking: Option<Due>,
    /// When it gives up if nothing moves, and what had moved when that was set.
    pub patience: Option<(Due, (u64, u64))>,
    /// How far it is.
    pub progress: Progress,
    /// How it is undone, if it is.
    pub rollback: Option<Rollback>,
    /// Whether the end waits for what is under way, once somebody wants it to end.
    pub waits: bool,
}

impl Refresh {
    /// What is launched while it is under way: none where that is what the group launches anyway.
    pub fn source(&self) -> Option<&Source> {
        if self.rollback.is_some() { self.former.as_ref() } else { self.desired.as_ref() }
    }
}

/// The refresh of a group that is under way.
pub fn active<'a>(region: &'a mut Region, group: &str) -> Option<&'a mut Refresh> {
    let last = region.refreshes.get_mut(group)?.last_mut()?;
    (!last.status.is_over()).then_some(last)
}
