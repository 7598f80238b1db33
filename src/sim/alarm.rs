//! The alarms of CloudWatch in a region, as they were asked for and as somebody set them.
//!
//! Nothing is evaluated: an alarm stands as it was last set, whatever its metric or the alarms of its
//! rule do.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Where an alarm is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// All is well.
    Ok,
    /// It fires.
    Alarm,
    /// Nothing is known, as of a new one.
    InsufficientData,
}

impl State {
    /// AWS's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Alarm => "ALARM",
            Self::InsufficientData => "INSUFFICIENT_DATA",
        }
    }

    /// By AWS's word.
    pub fn of(word: &str) -> Option<Self> {
        [Self::Ok, Self::Alarm, Self::InsufficientData].into_iter().find(|it| it.word() == word)
    }
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    /// Whether it is one of other alarms.
    pub composite: bool,
    /// Where it is.
    pub state: State,
    /// Why.
    pub reason: String,
    /// The same for programs, if whoever set it said it.
    pub reason_data: Option<String>,
    /// When it was last asked for.
    pub configured: Timestamp,
    /// When it was last set.
    pub updated: Timestamp,
    /// When it was last set to another state than before.
    pub changed: Timestamp,
    /// What was asked for, by AWS's names.
    pub said: BTreeMap<String, serde_json::Value>,
}

impl Alarm {
    /// As CloudWatch makes one.
    pub fn new(composite: bool, now: Timestamp) -> Self {
        Self {
            composite,
            state: State::InsufficientData,
            reason: "Unchecked: Initial alarm creation".to_owned(),
            reason_data: None,
            configured: now,
            updated: now,
            changed: now,
            said: BTreeMap::new(),
        }
    }

    /// Somebody, or what it looks at, has it stand so.
    pub fn set(&mut self, state: State, reason: &str, now: Timestamp) {
        if state != self.state {
            self.changed = now;
        }
        (self.state, self.updated, self.reason_data) = (state, now, None);
        reason.clone_into(&mut self.reason);
    }
}
