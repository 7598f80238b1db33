//! A directory with its mode and owner.

use serde::{Deserialize, Serialize};

use super::Site;
use crate::event::Outcome;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    /// Where it is.
    pub path: String,
    /// Its mode.
    pub mode: u32,
    /// Its user.
    pub owner: String,
    /// Its group.
    pub group: String,
}

impl Directory {
    pub(super) fn title(&self) -> String {
        format!("making {}", self.path)
    }

    #[expect(clippy::unused_async, reason = "the same shape for every kind")]
    pub(super) async fn apply(&self, site: &Site<'_>) -> anyhow::Result<Outcome> {
        site.make_dir(&self.path, self.mode, site.owner(&self.owner, &self.group)?)
    }
}
