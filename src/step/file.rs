//! A file with its content, mode and owner. Missing parents are made as root's 0755.

use serde::{Deserialize, Serialize};

use super::Site;
use crate::event::Outcome;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Where it is.
    pub path: String,
    /// What is in it.
    pub content: String,
    /// Its mode.
    pub mode: u32,
    /// Its user.
    pub owner: String,
    /// Its group.
    pub group: String,
}

impl File {
    pub(super) fn title(&self) -> String {
        format!("writing {}", self.path)
    }

    #[expect(clippy::unused_async, reason = "the same shape for every kind")]
    pub(super) async fn apply(&self, site: &Site<'_>) -> anyhow::Result<Outcome> {
        let owner = site.owner(&self.owner, &self.group)?;
        site.write(&self.path, self.content.as_bytes(), self.mode, owner)
    }
}
