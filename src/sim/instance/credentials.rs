//! The keys that requests are signed with.

use serde::{Deserialize, Serialize};

use crate::sim::random;

/// Keys that requests are signed with. Those of an instance role last as long as the machine.
#[derive(Clone, Serialize, Deserialize)]
pub struct Credentials {
    /// `ASIA…`, or `AKIA…` of an operator.
    pub access_key: String,
    /// The secret.
    pub secret_key: String,
    /// The session token. Keys that somebody was given for good have none.
    pub session: Option<String>,
}

impl Credentials {
    /// Those of an operator: for good, without a session token.
    pub fn of_an_operator() -> Self {
        Self {
            access_key: format!("AKIA{}", random::capitals(16)),
            secret_key: random::hex(40),
            session: None,
        }
    }

    pub(super) fn fresh() -> Self {
        Self {
            access_key: format!("ASIA{}", random::capitals(16)),
            secret_key: random::hex(40),
            session: Some(random::hex(64)),
        }
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}
