//! `[logs]`: where a host's journal goes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[logs]`: shipping to CloudWatch Logs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Logs {
    /// The log group, which must be there; nothing is shipped if absent. Its stream has the
    /// instance's id.
    pub group: Option<String>,
}
