//! A symbolic link.

use serde::{Deserialize, Serialize};

use super::Site;
use crate::event::Outcome;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// Where the link is.
    pub path: String,
    /// What it names. It need not be there.
    pub to: String,
}

impl Link {
    pub(super) fn title(&self) -> String {
        format!("linking {} to {}", self.path, self.to)
    }

    #[expect(clippy::unused_async, reason = "the same shape for every kind")]
    pub(super) async fn apply(&self, site: &Site<'_>) -> anyhow::Result<Outcome> {
        site.link(&self.path, &self.to)
    }
}
