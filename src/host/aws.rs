//! `[aws]`: where AWS is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[aws]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Aws {
    /// The region; from the identity document if absent.
    pub region: Option<String>,
    /// Where all calls go; for rehearsals.
    pub endpoint_url: Option<String>,
}
