//! The running hostkit binary, put into the image as `/usr/bin/hostkit`.

use anyhow::Context as _;
use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use super::Site;
use crate::digest::{sha256, sha256_of};
use crate::error::Fault;
use crate::event::Outcome;
use crate::sys::Owner;

/// Where it goes.
const PATH: &str = "/usr/bin/hostkit";

/// Everybody may ask it for the status.
const MODE: u32 = 0o755;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// The SHA-256 of the binary that was planned with.
    pub sha256: String,
    /// Where it is on this machine, if it is not the binary that runs: one for another processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl Agent {
    #[expect(clippy::unused_self, reason = "the same shape for every kind")]
    pub(super) fn title(&self) -> String {
        "installing hostkit".to_owned()
    }

    #[expect(clippy::unused_async, reason = "the same shape for every kind")]
    pub(super) async fn apply(&self, site: &Site<'_>) -> anyhow::Result<Outcome> {
        let binary = Utf8Path::new(self.path.as_deref().unwrap_or("/proc/self/exe"));
        if sha256_of(binary).with_context(|| format!("reading {binary}"))? != self.sha256 {
            return Err(Fault::step("the plan was made by another build of hostkit")
                .hint("plan and apply with the same binary")
                .into());
        }
        let root = &site.host.root;
        let there = root.read(PATH)?.is_some_and(|now| sha256(&now) == self.sha256);
        if there && root.mode(PATH)? == Some(MODE) {
            return Ok(Outcome::Unchanged);
        }
        root.copy_in(binary, PATH, MODE, Owner::ROOT)?;
        Ok(Outcome::Changed)
    }
}
