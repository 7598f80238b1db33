//! A file with its content, mode and owner. Missing parents are made as root's 0755.

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use super::Site;
use crate::event::Outcome;
use crate::sys::Owner;

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
        let root = &site.host.root;
        let owner = site.host.owner(&self.owner, &self.group)?;
        make_parents(root, &self.path)?;
        let changed = root.write(&self.path, self.content.as_bytes(), self.mode, owner)?;
        Ok(Outcome::changed(changed))
    }
}

/// Makes the missing parents of `path`; leaves those that are there as they are.
pub(super) fn make_parents(root: &crate::sys::Root, path: &str) -> std::io::Result<()> {
    match Utf8Path::new(path).parent() {
        Some(parent) if parent.file_name().is_some() && !root.exists(parent)? => {
            root.make_dir(parent, 0o755, Owner::ROOT).map(|_| ())
        }
        _ => Ok(()),
    }
}
