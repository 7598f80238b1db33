//! `[drain]` and `[guard]`: how a host is watched, and how it goes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[drain]`: how a host goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Drain {
    /// How long builds or tasks may go on, in seconds. A spot interruption leaves less.
    pub patience: u32,
    /// What people read in Jenkins meanwhile.
    pub message: String,
    /// Whether a rebalance recommendation drains the host; it is only told otherwise.
    pub on_rebalance: bool,
    /// The terminate hook that is told when the host may go; needed where the group has several.
    pub hook: Option<String>,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            patience: 600,
            message: "This controller is being replaced and will be back in a moment".to_owned(),
            on_rebalance: false,
            hook: None,
        }
    }
}

/// `[guard]`: what is watched while a host serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Guard {
    /// Whether a host that no longer serves tells its group that it is unhealthy.
    pub report_unhealthy: bool,
    /// How long it must not serve before that, in seconds.
    pub unhealthy_after: u32,
    /// Where numbers for Prometheus are written; nowhere if empty.
    pub metrics: String,
    /// Files with certificates (PEM) whose end is watched, beside those of amazon-efs-utils.
    pub certificates: Vec<String>,
}

impl Default for Guard {
    fn default() -> Self {
        Self {
            report_unhealthy: true,
            unhealthy_after: 300,
            metrics: "/run/hostkit/metrics.prom".to_owned(),
            certificates: Vec::new(),
        }
    }
}
