//! What an image does with a systemd unit: enabled, disabled or masked; and the files that change
//! parts of it. Nothing is started or stopped.
//!
//! One question tells the states of many units, and one call changes many: units that follow each
//! other in a plan are settled together ([`settle`]).

use std::collections::BTreeMap;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::Site;
use crate::error::Fault;
use crate::event::Outcome;
use crate::sys::{Cmd, CmdError, Host, Owner, Tool};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unit {
    /// Its full name.
    pub name: String,
    /// What the image does with it; nothing said: what its package wants.
    pub state: Option<State>,
    /// Files that change parts of it.
    pub drop_ins: Vec<DropIn>,
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

/// A file that changes parts of a unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropIn {
    /// Its file name.
    pub name: String,
    /// What is in it.
    pub content: String,
}

/// The words that systemd has for the states of units, by name.
type States = BTreeMap<String, String>;

/// How several units were and are.
#[derive(Debug, Default)]
pub struct Settled {
    before: States,
    after: States,
    complaints: BTreeMap<String, CmdError>,
}

/// Brings all of `units` to their states. What went wrong with one of them, its own
/// [`Unit::finish`] says.
pub async fn settle(units: &[&Unit], site: &Site<'_>) -> anyhow::Result<Settled> {
    let wanted: Vec<_> =
        units.iter().filter_map(|unit| Some((unit.name.as_str(), unit.state?))).collect();
    let names: Vec<_> = wanted.iter().map(|(name, _)| *name).collect();
    if names.is_empty() {
        return Ok(Settled::default());
    }
    let before = states(&names, site).await?;
    let is_now = |name: &str| before.get(name).map_or(NOT_FOUND, String::as_str);
    let wrong: Vec<_> = wanted.iter().filter(|(name, state)| !is(*state, is_now(name))).collect();
    if wrong.is_empty() || site.is_check() {
        return Ok(Settled { before, ..Settled::default() });
    }
    let masked = wrong.iter().filter(|(name, _)| is_now(name) == "masked").map(|(name, _)| *name);
    let mut complaints = change("unmask", &masked.collect::<Vec<_>>(), site).await;
    for state in [State::Enabled, State::Disabled, State::Masked] {
        let names = wrong.iter().filter(|(_, wanted)| *wanted == state).map(|(name, _)| *name);
        complaints.extend(change(verb(state), &names.collect::<Vec<_>>(), site).await);
    }
    Ok(Settled { before, after: states(&names, site).await?, complaints })
}

/// One call for all; if it does not succeed one for each, to know which it is.
async fn change(verb: &str, names: &[&str], site: &Site<'_>) -> BTreeMap<String, CmdError> {
    let mut complaints = BTreeMap::new();
    let call = |names: &[&str]| systemctl(site.host).arg(verb).args(names.iter().copied());
    if names.is_empty() || site.host.runner.run(&call(names)).await.is_ok() {
        return complaints;
    }
    for name in names {
        if let Err(error) = site.host.runner.run(&call(&[name])).await {
            complaints.insert((*name).to_owned(), error);
        }
    }
    complaints
}

impl Unit {
    pub(super) fn title(&self) -> String {
        match self.state {
            Some(state) => format!("{} {}", gerund(state), self.name),
            None => format!("changing {}", self.name),
        }
    }

    pub(super) async fn apply(&self, site: &Site<'_>) -> anyhow::Result<Outcome> {
        let mut settled = settle(&[self], site).await?;
        self.finish(&mut settled, site).await
    }

    /// Writes the unit's own files, and says how it ended.
    pub async fn finish(&self, settled: &mut Settled, site: &Site<'_>) -> anyhow::Result<Outcome> {
        let mut outcome = Outcome::Unchanged;
        for DropIn { name, content } in &self.drop_ins {
            let path = format!("/etc/systemd/system/{}.d/{name}", self.name);
            outcome = outcome.and(site.write(&path, content.as_bytes(), 0o644, Owner::ROOT)?);
        }
        if outcome == Outcome::Changed && !site.is_check() && has_manager(site.host)? {
            let reload = systemctl(site.host).arg("daemon-reload");
            site.host.runner.run(&reload).await.context("having systemd read its units again")?;
        }
        Ok(outcome.and(self.ended(settled, site)?))
    }

    fn ended(&self, settled: &mut Settled, site: &Site<'_>) -> anyhow::Result<Outcome> {
        let Some(wanted) = self.state else { return Ok(Outcome::Unchanged) };
        let word =
            |states: &States| states.get(&self.name).map_or(NOT_FOUND, String::as_str).to_owned();
        let (before, after) = (word(&settled.before), word(&settled.after));
        if is(wanted, &before) {
            return Ok(Outcome::Unchanged);
        }
        if !site.may(&self.title()) || is(wanted, &after) {
            return Ok(Outcome::Changed);
        }
        let fault = Fault::step(format!("{} cannot be {}", self.name, participle(wanted)));
        let complaint = settled.complaints.remove(&self.name);
        let fault = match after.as_str() {
            // Not the unit's fault, and the cause is told below.
            _ if !complaint.as_ref().is_none_or(systemctl_ran) => {
                fault.hint("systemctl could not be run there; is systemd installed?")
            }
            NOT_FOUND => fault.hint("there is no such unit; is its package installed?"),
            "static" => fault.hint("it has no [Install] section"),
            _ => fault.hint(format!("it is `{after}`")),
        };
        Err(match complaint {
            Some(complaint) => anyhow::Error::new(complaint).context(fault),
            None => fault.into(),
        })
    }
}

/// Whether it was systemctl itself that failed, and not its start.
fn systemctl_ran(error: &CmdError) -> bool {
    matches!(error, CmdError::Failed { stderr, .. } if !stderr.contains("starting systemctl"))
}

/// The word for a unit that is not there.
const NOT_FOUND: &str = "not-found";

/// The states of all these units. Instances of templates, and services of the old kind, are not in
/// the list of unit files: they are asked for by themselves.
async fn states(names: &[&str], site: &Site<'_>) -> anyhow::Result<States> {
    let list = systemctl(site.host).args(["list-unit-files", "--no-legend", "--plain"]);
    let list = match site.host.runner.run(&list.args(names.iter().copied())).await {
        Ok(output) => output.text(),
        // Some versions end so when they know none of them.
        Err(CmdError::Failed { .. }) => String::new(),
        Err(error) => return Err(error).context("asking for the states of units"),
    };
    let mut states = parse(&list);
    for name in names.iter().filter(|name| !name.is_empty()) {
        if !states.contains_key(*name) {
            let word = state_of(name, site).await?;
            states.insert((*name).to_owned(), word);
        }
    }
    Ok(states)
}

/// Reads lines `UNIT STATE PRESET`.
fn parse(list: &str) -> States {
    let words = list.lines().map(|line| line.split_whitespace());
    words
        .filter_map(|mut words| Some((words.next()?.to_owned(), words.next()?.to_owned())))
        .collect()
}

/// What `systemctl is-enabled` calls one unit. Its exit status only repeats the word.
async fn state_of(name: &str, site: &Site<'_>) -> anyhow::Result<String> {
    let mut cmd = systemctl(site.host);
    cmd.tool = Tool::Shell;
    let cmd = cmd.args(["-c", "systemctl is-enabled \"$1\" 2>/dev/null || :", "sh", name]);
    let word = site.host.runner.run(&cmd).await.context("asking for the state of a unit")?.text();
    Ok(if word.is_empty() { NOT_FOUND.to_owned() } else { word })
}

/// In a tree it works on the files: there is no manager inside to talk to.
fn systemctl(host: &Host) -> Cmd {
    let cmd = Cmd::new(Tool::Systemctl);
    if has_manager(host).unwrap_or(false) { cmd } else { cmd.env("SYSTEMD_OFFLINE", "1") }
}

/// Whether systemd runs on the host.
fn has_manager(host: &Host) -> std::io::Result<bool> {
    Ok(host.is_live() && host.root.exists("/run/systemd/system")?)
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

const fn participle(state: State) -> &'static str {
    match state {
        State::Enabled => "enabled",
        State::Disabled => "disabled",
        State::Masked => "masked",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Events;
    use crate::secret::Secrets;
    use crate::step::Mode;
    use crate::sys::Root;
    use crate::sys::runner::Script;

    /// The error about a unit where systemctl complains so.
    async fn error(complaint: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::open(camino::Utf8Path::from_path(folder.path()).unwrap()).unwrap();
        let (runner, _) = Script::default().fail("systemctl", 1, complaint).runner();
        let host = Host { runner, ..Host::folder(root) };
        let (events, secrets) = (Events::silent(), Secrets::default());
        let (mode, diff) = (Mode::Apply, false);
        let site = Site { host: &host, events: &events, secrets: &secrets, id: "x", mode, diff };
        let (name, state) = ("a.service".into(), Some(State::Enabled));
        let end = Unit { name, state, drop_ins: vec![] }.apply(&site).await;
        crate::error::render(&end.unwrap_err())
    }

    #[tokio::test]
    async fn a_tree_without_systemctl_is_not_told_to_lack_the_unit() {
        let lacks_unit = error("Failed to enable unit: Unit a.service does not exist").await;
        assert!(lacks_unit.contains("there is no such unit"), "{lacks_unit}");
        let lacks_all = error("error: starting systemctl\n  caused by: ENOENT").await;
        assert!(lacks_all.contains("is systemd installed?"), "{lacks_all}");
        assert!(!lacks_all.contains("no such unit"), "{lacks_all}");
    }
}
