//! A lifecycle hook: it holds instances that come, or that go, until somebody answers it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A hook cannot be kept waiting for more heartbeat time-outs than this, heartbeats or not.
pub const GLOBAL_TIMEOUTS: u32 = 100;
/// And no longer than this.
pub const LONGEST: Duration = Duration::from_hours(48);

/// When a hook waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transition {
    /// An instance comes.
    Launching,
    /// An instance goes.
    Terminating,
}

impl Transition {
    /// As Auto Scaling calls it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Launching => "autoscaling:EC2_INSTANCE_LAUNCHING",
            Self::Terminating => "autoscaling:EC2_INSTANCE_TERMINATING",
        }
    }

    /// The one that Auto Scaling calls so.
    pub fn of(word: &str) -> Option<Self> {
        [Self::Launching, Self::Terminating].into_iter().find(|one| one.word() == word)
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hook {
    /// Its name.
    pub name: String,
    /// When it waits.
    pub transition: Transition,
    /// How long it waits for a heartbeat, by the clock of AWS.
    pub timeout: Duration,
    /// What it takes for its answer when it hears nothing: whether the instance goes on.
    pub goes_on: bool,
    /// Whatever it tells its listeners.
    #[serde(default)]
    pub metadata: Option<String>,
    /// Who is told that it waits, and as which role: ARNs. Nobody is told here.
    #[serde(default)]
    pub target: Option<(String, String)>,
}

impl Hook {
    /// A hook that is abandoned when it hears nothing.
    pub fn new(name: &str, transition: Transition, timeout: Duration) -> Self {
        let name = name.to_owned();
        Self { name, transition, timeout, goes_on: false, metadata: None, target: None }
    }

    /// After how long it gives up whatever it hears.
    pub fn global_timeout(&self) -> Duration {
        (self.timeout * GLOBAL_TIMEOUTS).min(LONGEST)
    }
}
