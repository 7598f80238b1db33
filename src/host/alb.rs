//! `[alb]`: the load balancer in front.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[alb]`: the load balancer in front.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Alb {
    /// Who registers the host as a target.
    pub mode: AlbMode,
    /// The ARN of the target group; those of the Auto Scaling group if absent. Required by
    /// `explicit` for a host that is in no group.
    pub target_group: Option<String>,
    /// How long the target may take to become healthy, in seconds.
    pub patience: u32,
}

impl Default for Alb {
    fn default() -> Self {
        Self { mode: AlbMode::default(), target_group: None, patience: 300 }
    }
}

/// Who registers a host as a target of the load balancer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AlbMode {
    /// Its group does, once the launch hook is completed; then its health is watched.
    #[default]
    Asg,
    /// hostkit does, and the launch hook is completed only when it is healthy.
    Explicit,
}
