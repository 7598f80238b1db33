//! A program as the last resort: `sh -eu` on the host, shown as it runs, killed in time.
//!
//! hostkit cannot know what it changes, so it always says `changed`, unless the script has a guard
//! (`creates`, `unless`) that says that nothing is left to do. In a check only the guards speak: a
//! script without one is skipped and counts for nothing.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::Site;
use crate::error::Fault;
use crate::event::Outcome;
use crate::sys::{Cmd, CmdError, Owner, Tool};

/// Where it stands while it runs.
const PATH: &str = "/var/lib/hostkit-script";

/// How many of its last lines an error shows.
const LAST_LINES: usize = 20;

/// How long the question may take whether there is anything to do.
const UNLESS_TIMEOUT: Duration = Duration::from_mins(1);

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// Its name.
    pub name: String,
    /// What the shell runs.
    pub run: String,
    /// What stands on its standard input.
    pub input: Option<String>,
    /// Variables of its environment; a value may be a reference to a secret.
    pub env: BTreeMap<String, String>,
    /// A path that it makes: where that is, there is nothing to do.
    pub creates: Option<String>,
    /// A command that only looks: where it succeeds, there is nothing to do.
    pub unless: Option<String>,
    /// Seconds until it is killed.
    pub timeout: u64,
}

impl Script {
    pub(super) fn title(&self) -> String {
        format!("running the script {}", self.name)
    }

    pub(super) async fn apply(&self, site: &Site<'_>) -> anyhow::Result<Outcome> {
        if self.is_done(site).await? {
            return Ok(Outcome::Unchanged);
        }
        if site.is_check() {
            return Ok(match (&self.creates, &self.unless) {
                (None, None) => Outcome::Skipped("it would run; what it changes is unknown".into()),
                _ => Outcome::Changed,
            });
        }
        // From a file: a program that reads its input would read the rest of the script. Not below
        // /tmp or /run, which are fresh for each program.
        site.host.root.make_parents(PATH)?;
        site.host.root.write(PATH, self.run.as_bytes(), 0o700, Owner::ROOT)?;
        let end = self.run(site).await;
        let gone = site.host.root.remove(PATH);
        // Why the script failed matters more than what it left.
        end?;
        gone?;
        Ok(Outcome::Changed)
    }

    async fn is_done(&self, site: &Site<'_>) -> anyhow::Result<bool> {
        if let Some(path) = &self.creates
            && site.host.root.exists(path)?
        {
            return Ok(true);
        }
        let Some(unless) = &self.unless else { return Ok(false) };
        let cmd = self.with_env(Cmd::new(Tool::Shell).args(["-euc", unless]), site)?;
        match site.host.runner.run(&cmd.timeout(UNLESS_TIMEOUT)).await {
            Ok(_) => Ok(true),
            Err(CmdError::Failed { .. }) => Ok(false),
            Err(error) => Err(error).context(format!("asking whether to run {}", self.name)),
        }
    }

    async fn run(&self, site: &Site<'_>) -> anyhow::Result<()> {
        let mut cmd = Cmd::new(Tool::Shell).args(["-eu", PATH]);
        cmd.stdin = self.input.as_ref().map(|text| text.clone().into_bytes());
        let cmd = self.with_env(cmd, site)?.timeout(Duration::from_secs(self.timeout));
        let mut last = VecDeque::new();
        let end = site
            .host
            .runner
            .run_with(&cmd, |line| {
                site.log(line);
                last.push_back(site.secrets.redact(line));
                if last.len() > LAST_LINES {
                    last.pop_front();
                }
            })
            .await;
        let how = match end {
            Ok(_) => return Ok(()),
            Err(CmdError::Failed { code: Some(code), .. }) => format!("ended with {code}"),
            Err(CmdError::Failed { code: None, .. }) => "was killed by a signal".to_owned(),
            Err(CmdError::Timeout { .. }) => {
                format!("did not end within {} s and was killed", self.timeout)
            }
            Err(error) => return Err(error.into()),
        };
        let fault = Fault::step(format!("the script `{}` {how}", self.name));
        if last.is_empty() {
            return Err(fault.hint("it printed nothing").into());
        }
        // What it printed is redacted; the error of the call itself would hold it as it came.
        let last = last.make_contiguous().join("\n");
        Err(anyhow::anyhow!("its last lines:\n{last}").context(fault))
    }

    fn with_env(&self, mut cmd: Cmd, site: &Site<'_>) -> anyhow::Result<Cmd> {
        for (name, value) in &self.env {
            let value = site.secrets.resolve(value).with_context(|| {
                Fault::recipe(format!(
                    "the script `{}` needs a secret that nobody gave: {value}",
                    self.name
                ))
                .hint("set it with --var-file or HOSTKIT_VAR_…")
            })?;
            cmd = cmd.env(name, value);
        }
        Ok(cmd)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Events;
    use crate::secret::Secrets;
    use crate::step::Mode;
    use crate::sys::runner::Script as Answers;
    use crate::sys::{Host, Root};

    #[tokio::test]
    async fn a_script_that_fails_is_told_whatever_it_leaves_in_its_own_place() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::open(camino::Utf8Path::from_path(folder.path()).unwrap()).unwrap();
        let own = folder.path().join(&PATH[1..]);
        let (runner, _) = Answers::default()
            .on("sh -eu", move |_| {
                std::fs::remove_file(&own).unwrap();
                std::fs::create_dir(&own).unwrap();
                Err((7, String::new()))
            })
            .runner();
        let host = Host { runner, ..Host::folder(root) };
        let (events, secrets) = (Events::silent(), Secrets::default());
        let (mode, diff) = (Mode::Apply, false);
        let site = Site { host: &host, events: &events, secrets: &secrets, id: "x", mode, diff };
        let script = Script {
            name: "mine".into(),
            run: "exit 7".into(),
            input: None,
            env: BTreeMap::new(),
            creates: None,
            unless: None,
            timeout: 1,
        };
        let error = script.apply(&site).await.unwrap_err();
        assert_eq!(error.to_string(), "the script `mine` ended with 7");
    }
}
