//! `[asg]`: the Auto Scaling group, and what a host does that could not be brought up.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[asg]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Asg {
    /// The launch hook that is told how a boot ended; needed where the group has several.
    pub hook: Option<String>,
    /// What a host does that could not be brought up.
    pub on_failure: OnFailure,
}

/// What a host does that could not be brought up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// It tells its group, which terminates it and starts another one.
    #[default]
    Abandon,
    /// It stays as it is, so that somebody can look, and keeps its launch hook waiting.
    Hold,
    /// It starts again, twice at most; then it tells its group.
    Reboot,
}
