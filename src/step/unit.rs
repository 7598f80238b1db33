//! What an image does with a systemd unit: enabled, disabled or masked.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::Site;
use crate::error::Fault;
use crate::event::Outcome;
use crate::sys::{Cmd, CmdError, Tool};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unit {
    /// Its full name.
    pub name: String,
    /// What the image does with it.
    pub state: State,
}

/// What an image does with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Started at boot.
    Enabled,
    /// Not started at boot.
    Disabled,
    /// Cannot be started at all.
    Masked,
}

impl Unit {
    pub(super) fn title(&self) -> String {
        format!("{} {}", gerund(self.state), self.name)
    }

    pub(super) async fn apply(&self, site: &Site<'_>) -> anyhow::Result<Outcome> {
        let before = self.state_of(site).await?;
        if is(self.state, &before) {
            return Ok(Outcome::Unchanged);
        }
        let cmd = systemctl(&[verb(self.state), &self.name]);
        site.host.runner.run(&cmd).await.with_context(|| self.title())?;
        let after = self.state_of(site).await?;
        if self.state == State::Enabled && after == "static" {
            let fault = Fault::step(format!("{} cannot be enabled", self.name));
            return Err(fault.hint("it has no [Install] section").into());
        }
        anyhow::ensure!(is(self.state, &after), "{} is still `{after}`", self.name);
        Ok(Outcome::Changed)
    }

    /// What `systemctl is-enabled` calls it. Its exit status only repeats the word.
    async fn state_of(&self, site: &Site<'_>) -> anyhow::Result<String> {
        let cmd = systemctl(&["is-enabled", &self.name]);
        match site.host.runner.run_with(&cmd, |_| {}).await {
            Ok(output) => Ok(output.text()),
            // The word stands on standard output, which a failed call does not return; any state
            // but an enabled one ends with 1.
            Err(CmdError::Failed { .. }) => {
                let cmd = systemctl(&["list-unit-files", "--no-legend", "--plain", &self.name]);
                let list = site.host.runner.run(&cmd).await.map(|output| output.text());
                let list = list.unwrap_or_default();
                Ok(list.split_whitespace().nth(1).unwrap_or("not-found").to_owned())
            }
            Err(error) => Err(error).context("asking for the state of a unit"),
        }
    }
}

/// Works on the files of the tree; there is no manager inside to talk to.
fn systemctl(args: &[&str]) -> Cmd {
    Cmd::new(Tool::Systemctl).args(args.iter().copied()).env("SYSTEMD_OFFLINE", "1")
}

fn is(wanted: State, word: &str) -> bool {
    match wanted {
        State::Enabled => matches!(word, "enabled" | "alias"),
        State::Disabled => matches!(word, "disabled" | "static" | "indirect"),
        State::Masked => word == "masked",
    }
}

const fn verb(state: State) -> &'static str {
    match state {
        State::Enabled => "enable",
        State::Disabled => "disable",
        State::Masked => "mask",
    }
}

const fn gerund(state: State) -> &'static str {
    match state {
        State::Enabled => "enabling",
        State::Disabled => "disabling",
        State::Masked => "masking",
    }
}
