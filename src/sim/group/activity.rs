//! A scaling activity: what a group has done with an instance or has tried to, why, and what came
//! of it, in AWS's words.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::sim::random;

/// What a group does with an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It launches one.
    Launch,
    /// It lets one go.
    Terminate,
    /// It takes one out of service for a while, or takes it back.
    Move,
}

/// How far an activity is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// The instance is not running yet.
    PreInService,
    /// A hook waits.
    MidLifecycleAction,
    /// It is at work.
    InProgress,
    /// It is done.
    Successful,
    /// It could not be done.
    Failed,
    /// It was given up.
    Cancelled,
}

impl Status {
    /// AWS's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::PreInService => "PreInService",
            Self::MidLifecycleAction => "MidLifecycleAction",
            Self::InProgress => "InProgress",
            Self::Successful => "Successful",
            Self::Failed => "Failed",
            Self::Cancelled => "Cancelled",
        }
    }

    /// Whether nothing comes after it.
    pub const fn is_over(self) -> bool {
        matches!(self, Self::Successful | Self::Failed | Self::Cancelled)
    }

    /// How far that is, in percent.
    pub const fn progress(self) -> u32 {
        match self {
            Self::PreInService => 30,
            Self::InProgress => 50,
            Self::MidLifecycleAction => 60,
            Self::Successful | Self::Failed | Self::Cancelled => 100,
        }
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// Like a UUID.
    pub id: String,
    /// What is done.
    pub kind: Kind,
    /// With which instance, if there is one yet.
    pub instance: Option<String>,
    /// `Launching a new EC2 instance: i-…`
    pub description: String,
    /// Why, in sentences that begin with a time.
    pub cause: String,
    /// Since when.
    pub start: Timestamp,
    /// Until when.
    pub end: Option<Timestamp>,
    /// How far it is.
    pub status: Status,
    /// What went wrong.
    pub message: Option<String>,
    /// Where: the subnet and its zone.
    pub place: Option<(String, String)>,
}

impl Activity {
    /// One that begins.
    pub fn begin(kind: Kind, description: String, cause: String, start: Timestamp) -> Self {
        let status = match kind {
            Kind::Launch => Status::PreInService,
            Kind::Terminate | Kind::Move => Status::InProgress,
        };
        let id = random::uuid();
        let (instance, end, message, place) = (None, None, None, None);
        Self { id, kind, instance, description, cause, start, end, status, message, place }
    }

    /// With this instance.
    #[must_use]
    pub fn with(self, instance: &str) -> Self {
        Self { instance: Some(instance.to_owned()), ..self }
    }

    /// It is over.
    pub fn end(&mut self, status: Status, message: Option<String>, now: Timestamp) {
        (self.status, self.end) = (status, Some(now));
        if message.is_some() {
            self.message = message;
        }
    }
}
