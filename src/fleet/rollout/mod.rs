//! A new image in service, proven, or the old one back: `hostkit upgrade` and `hostkit rollback`.
//!
//! Everything is read first, and every reason not to begin is told at once. Then the plan is shown;
//! then it is carried out, each phase written to the journal on AWS before it is done, so that
//! whatever ends this process, `--resume` carries it on from there.
//!
//! Nothing here prints or asks a person, and nothing here stops Jenkins: the group's terminate hook
//! has the guard of the host do that.

mod act;
pub mod agents;
pub mod alarms;
pub mod ask;
pub mod back;
mod common;
mod controller;
pub mod crowd;
pub mod ecs;
pub mod ended;
mod engine;
mod forward;
pub mod journal;
pub mod lock;
mod look;
#[cfg(test)]
mod model;
mod neighbours;
pub mod next;
pub mod picture;
pub mod plan;
pub mod preflight;
pub mod process;
pub mod proof;
pub mod prospect;
pub mod quiet;
pub mod reaction;
pub mod record;
pub mod relations;
mod resume;
pub mod room;
#[cfg(test)]
mod sample;
pub mod scribe;
pub mod seen;
pub mod soak;
mod stop;
pub mod survey;
mod telling;
pub mod text;
pub mod timeline;
pub mod unfinished;
mod words;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use ask::Ask;
pub use crowd::Crowd;
pub use ended::Ended;
pub use engine::{Pace, Setting, carry_out};
pub use lock::Operator;
pub use plan::Plan;
pub use prospect::{Outlook, Prospect, prepare};
pub use resume::{Amended, Resume, resume};

use crate::aws::Failure;
use crate::error::Fault;
use crate::host::Role;

/// How the hosts of a group are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// The only host goes, then the new one comes: a controller.
    TerminateFirst,
    /// Some at a time, each drained before it goes: agents and container hosts.
    Rolling,
    /// The host keeps its id and gets a new root volume. Not verified against AWS.
    ReplaceRootVolume,
}

/// What builds that run are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Builds {
    /// They are waited for; when they take too long, nothing is replaced.
    Wait,
    /// They are waited for; when they take too long, they are lost.
    WaitThenForce,
    /// They are not waited for.
    Force,
}

/// What a group launches, or shall launch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Side {
    /// `ami-…`
    pub image: String,
    /// The name of the image.
    #[serde(default)]
    pub name: String,
    /// The launch template: `lt-…`
    pub template: String,
    /// The number of its version; absent while it is not made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// What the image's recipe is called, where it is one of hostkit's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<String>,
    /// The version of Jenkins in it, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jenkins: Option<String>,
}

/// Where a rollout is. The order is that in which they are gone through; each is in the journal
/// before it is done.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The lock is held, nothing is changed.
    Begun,
    /// A version of the launch template is made.
    Version,
    /// What would replace the host behind our back is suspended, where that is needed.
    Suspend,
    /// Jenkins begins no builds; those that run are waited for.
    Quiet,
    /// The group replaces its hosts.
    Refresh,
    /// The new host proves that it serves.
    Proof,
    /// Defaults and pointers are moved, what was suspended is resumed.
    Promote,
    /// It is recorded, and the lock is given back.
    Recorded,
}

/// Which way a rollout goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// To the new image.
    Forward,
    /// Back to the old one, since something failed.
    Back,
}

/// What is to be done, decided and shown before anything is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Order {
    /// The group.
    pub group: String,
    /// Where it is, for the commands that people are told; absent in journals of before.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub region: String,
    /// What its hosts are.
    pub role: Role,
    /// What serves now.
    pub from: Side,
    /// What shall serve.
    pub to: Side,
    /// How.
    pub strategy: Strategy,
    /// What builds are worth.
    pub builds: Builds,
    /// How long builds are waited for, in seconds.
    pub builds_patience: u64,
    /// How long a replacement may take until it is proven, in seconds.
    pub patience: u64,
    /// Whether this is a way back that somebody asked for.
    pub rollback: bool,
    /// Whether the home is put back, too, as what shall serve had left it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restores_home: bool,
    /// How long what is proven must go on serving before it counts, in seconds.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub soak: u64,
    /// The CloudWatch alarms that AWS watches while hosts are replaced, and hostkit until it counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<String>,
    /// The file system of a controller's home, as its user-data names it: what counts where its guard
    /// does not say on which one it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
    /// What matters where there are many hosts.
    #[serde(default, skip_serializing_if = "Crowd::is_empty")]
    pub crowd: Crowd,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
const fn is_nothing(seconds: &u64) -> bool {
    *seconds == 0
}

impl Order {
    /// A command for a person, in the region of the group.
    fn command(&self, words: &str) -> String {
        if self.region.is_empty() {
            return words.to_owned();
        }
        format!("{words} --region {}", self.region)
    }
}

/// A call that AWS refused.
fn refused(failure: &Failure) -> Fault {
    super::refused(failure, "upgrade")
}
