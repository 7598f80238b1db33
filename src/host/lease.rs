//! `[lease]`: what a new controller does about one that still runs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[lease]`: what a new controller does about one that still runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Lease {
    /// Whether it waits for its death, sees to it, or gives up.
    pub policy: LeasePolicy,
    /// How long a holder that runs is waited for before `stonith` terminates it, in seconds.
    pub patience: u32,
}

impl Default for Lease {
    fn default() -> Self {
        Self { policy: LeasePolicy::default(), patience: 120 }
    }
}

/// What a new controller does about a holder that runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LeasePolicy {
    /// It waits until the holder has released the home or is proven dead.
    #[default]
    Wait,
    /// After `patience` it terminates the holder's instance, if that is in the same Auto Scaling
    /// group, and waits until EC2 says that it is gone.
    Stonith,
    /// The boot fails, and the group replaces this host.
    Fail,
}
