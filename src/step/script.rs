//! A program as the last resort: `sh -eu` inside the tree, shown as it runs, killed in time.
//!
//! hostkit cannot know what it changes, so it always says `changed`.

use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::Site;
use crate::error::Fault;
use crate::event::Outcome;
use crate::sys::{Cmd, Owner, Tool};

/// Where it stands while it runs.
const PATH: &str = "/var/lib/hostkit-script";

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Its name.
    pub name: String,
    /// What the shell runs.
    pub run: String,
    /// Seconds until it is killed.
    pub timeout: u64,
}

impl Script {
    pub(super) fn title(&self) -> String {
        format!("running the script {}", self.name)
    }

    pub(super) async fn apply(&self, site: &Site<'_>) -> anyhow::Result<Outcome> {
        // From a file and without an input: a program that reads its input would read the rest
        // of the script. Not below /tmp or /run, which are fresh for each program.
        site.host.root.write(PATH, self.run.as_bytes(), 0o700, Owner::ROOT)?;
        let cmd =
            Cmd::new(Tool::Shell).args(["-eu", PATH]).timeout(Duration::from_secs(self.timeout));
        let done = site.host.runner.run_with(&cmd, |line| site.log(line)).await;
        site.host.root.remove(PATH)?;
        done.with_context(|| Fault::step(format!("the script `{}` failed", self.name)))?;
        Ok(Outcome::Changed)
    }
}
