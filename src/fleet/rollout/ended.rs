//! How a rollout ends, for whoever began it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Phase, Side, Way};

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "ended")]
pub enum Ended {
    /// The new image serves, proven. Exit code 0.
    Done(Summary),
    /// Something failed, and the former version serves, proven. Exit code 5.
    Back(Summary),
    /// Something failed, and so did the way back. The lock and the journal stay. Exit code 5.
    Stuck(Stuck),
    /// Somebody asked to stop, and it was stopped where that is safe. The lock and the journal stay.
    /// Exit code 130.
    Stopped(Stopped),
    /// There was nothing to carry on: in a line. Exit code 0.
    Nothing {
        /// What was found, and what was done about it.
        says: String,
    },
}

impl Ended {
    /// The exit code of the command.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Done(_) | Self::Nothing { .. } => 0,
            Self::Back(_) | Self::Stuck(_) => 5,
            Self::Stopped(_) => 130,
        }
    }
}

/// What has become of it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Summary {
    /// Its id.
    pub rollout: String,
    /// The group.
    pub group: String,
    /// What served before.
    pub from: Side,
    /// What was to serve.
    pub to: Side,
    /// Why it went back, in a paragraph; absent where it did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What proves that what serves now does serve.
    pub proof: String,
    /// What somebody should look at nevertheless.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What could not be done at the end and is no reason to go back: each with what AWS said, and the
    /// command that does it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub loose: Vec<String>,
    /// Where the time went.
    pub times: Times,
}

/// Where the time went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Times {
    /// From the lock to now, in seconds.
    pub seconds: f64,
    /// What of this hostkit itself took: what was neither Jenkins, nor AWS's, nor builds.
    pub own: f64,
    /// Since when nobody was served.
    #[schemars(with = "Option<String>")]
    pub down_from: Option<Timestamp>,
    /// Until when.
    #[schemars(with = "Option<String>")]
    pub down_to: Option<Timestamp>,
    /// How long nobody was served in all, in seconds.
    pub down: f64,
    /// `quiet`, `drain`, `release`, `boot`, `claim`, `ready`, `proof`, `soak`: each in seconds, in their order;
    /// those of the way back begin with `back `.
    pub spans: Vec<Span>,
}

/// A part of the time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    /// Its name.
    pub name: String,
    /// Its length.
    pub seconds: f64,
}

/// Neither serves for certain: what stands where, and what to do.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Stuck {
    /// The rollout.
    pub rollout: String,
    /// The group.
    pub group: String,
    /// Why it went back, and why it could not: a paragraph.
    pub cause: String,
    /// What stands where, a line each.
    pub stands: Vec<String>,
    /// What to do, to be copied.
    pub commands: Vec<String>,
}

/// It was stopped on purpose.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Stopped {
    /// The rollout.
    pub rollout: String,
    /// The group.
    pub group: String,
    /// Which way it went.
    pub way: Way,
    /// Where it was.
    pub phase: Phase,
    /// What goes on by itself meanwhile, and what is suspended or quiet: a line each.
    pub stands: Vec<String>,
    /// How to carry on, and how to go back.
    pub commands: Vec<String>,
}
