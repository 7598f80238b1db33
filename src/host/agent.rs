//! `[agent]`: a build agent.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[agent]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Agent {
    /// As whom the controller logs in. The image must have that user, and it must be another one
    /// than `login.user`.
    pub user: String,
    /// Where the controller may come from, as `10.0.0.0/16`; from anywhere if empty.
    pub from: Vec<String>,
    /// The pool of which this host is. The instance tag `hostkit:pool` wins.
    pub pool: Option<String>,
    /// Labels of its own. The instance tag `hostkit:labels` wins.
    pub labels: Vec<String>,
    /// The SSM parameter with the private host key that all agents of the pool share;
    /// `/hostkit/pools/POOL/host_key` if absent. Without a pool the host has a key of its own.
    pub host_key: Option<String>,
}

impl Default for Agent {
    fn default() -> Self {
        Self {
            user: "jenkins".to_owned(),
            from: Vec::new(),
            pool: None,
            labels: Vec::new(),
            host_key: None,
        }
    }
}
