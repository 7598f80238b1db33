//! How a host stands now, beside how its boot went: what systemd says of the units that matter, and
//! what is not as it was meant to be. Asked with a short deadline; no mount is touched.

use std::fmt::Write as _;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::timeout;

use super::context::Machine;
use super::status::{State, Status};
use super::steps;
use crate::event::Outcome;
use crate::lease::barred::Barred;
use crate::secret;
use crate::sys::systemd;

/// A systemd that is busy is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

/// The units that a host may have, and that are worth a line.
const UNITS: &[&str] = &[
    "hostkit-lease.service",
    "hostkit-guard.service",
    "hostkit-logs.service",
    "jenkins.service",
    "ecs.service",
];

/// How a host stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Live {
    /// The units that there are and that were started, or failed.
    pub units: Vec<Unit>,
    /// What is not as it was meant to be, a line each.
    pub notes: Vec<String>,
}

/// A unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Unit {
    /// Its name.
    pub name: String,
    /// `active`, `failed`, …
    pub state: String,
    /// What it says of itself.
    pub says: Option<String>,
}

impl Live {
    /// Looks.
    pub async fn look(machine: &Machine, status: &Status) -> Self {
        let mut live = Self { units: Vec::new(), notes: notes(status) };
        live.notes.extend(held(machine, status));
        match timeout(PATIENCE, units(machine)).await {
            Ok(Ok(units)) => live.units = units,
            Ok(Err(why)) => live.notes.push(format!("systemd could not be asked: {why}")),
            Err(_elapsed) => live.notes.push("systemd does not answer".to_owned()),
        }
        for unit in live.units.iter().filter(|unit| unit.state == "failed") {
            live.notes.push(format!("{} has failed: journalctl -u {}", unit.name, unit.name));
        }
        let problems = |word: &str, unit: &Unit| {
            unit.says.as_ref().and_then(|says| says.strip_prefix(word)).map(str::to_owned)
        };
        let guard = live.units.iter().find(|unit| unit.name == "hostkit-guard.service");
        let found = guard.and_then(|unit| {
            problems("degraded: ", unit).or_else(|| problems("not serving: ", unit))
        });
        live.notes.extend(found.map(|found| format!("the guard finds: {found}")));
        live
    }

    /// For people, below the story of the boot.
    pub fn render(&self) -> String {
        let mut out = String::new();
        for unit in &self.units {
            let name = unit.name.trim_end_matches(".service");
            let says = unit.says.as_deref().unwrap_or_default();
            let line = format!("   {name:<16}{:<12}{says}", unit.state);
            let _ = writeln!(out, "{}", line.trim_end());
        }
        for note in &self.notes {
            let _ = writeln!(out, " ! {note}");
        }
        if out.is_empty() { out } else { format!("\n{out}") }
    }
}

/// What a boot left that is not as it was meant to be, though the host serves.
fn notes(status: &Status) -> Vec<String> {
    let may_fail = |name: &str| steps::all().any(|row| row.name == name && !row.required);
    let steps = status.report.steps.iter();
    let told = steps.filter_map(|step| match &step.outcome {
        Some(Outcome::Failed(why)) if may_fail(&step.step) => {
            let why = why.lines().next().unwrap_or_default();
            Some(format!("the step `{}` failed, and the host serves without it: {why}", step.step))
        }
        Some(Outcome::Degraded(why)) => {
            let why = why.lines().next().unwrap_or_default();
            Some(format!("the step `{}` is not as it was meant to be: {why}", step.step))
        }
        _ => None,
    });
    told.collect()
}

/// What a boot waits for that is under way, and has not failed.
fn held(machine: &Machine, status: &Status) -> Option<String> {
    let barred = Barred::read(&machine.root).filter(|_| status.state == State::Running)?;
    let Barred { why, hint, since } = barred;
    let since = since.strftime("%H:%M UTC");
    let hint = hint.replace('\n', "\n   ");
    Some(format!("held since {since}, and no failure: {why}\n   {hint}"))
}

async fn units(machine: &Machine) -> Result<Vec<Unit>, String> {
    let names = ["LoadState", "ActiveState", "StatusText"];
    let mut units = Vec::new();
    for name in UNITS {
        let shown = systemd::show(&machine.runner, name, &names).await;
        let shown = shown.map_err(|error| error.to_string())?;
        let value = |key: &str| shown.get(key).map_or("", String::as_str);
        if value("LoadState") != "loaded" || value("ActiveState") == "inactive" {
            continue;
        }
        let says = secret::redact(value("StatusText")).into_owned();
        let says = (!says.is_empty()).then_some(says);
        units.push(Unit { name: (*name).to_owned(), state: value("ActiveState").to_owned(), says });
    }
    Ok(units)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::StepReport;
    use crate::sys::runner::Script;

    #[tokio::test]
    async fn what_serves_and_is_not_well_is_told() {
        let guard =
            "LoadState=loaded\nActiveState=active\nStatusText=degraded: /run has 3 MiB left\n";
        let (runner, _) = Script::default()
            .answer("systemctl show hostkit-guard.service", guard)
            .answer("systemctl show hostkit-logs.service", "LoadState=loaded\nActiveState=failed\n")
            .answer("systemctl show ecs.service", "LoadState=not-found\nActiveState=inactive\n")
            .answer("systemctl show", "LoadState=loaded\nActiveState=active\nStatusText=\n")
            .runner();
        let machine = Machine { runner, ..Machine::default() };
        let mut status = Status::new("boot".to_owned(), None);
        status.report.steps = vec![StepReport {
            step: "login".to_owned(),
            title: String::new(),
            outcome: Some(Outcome::Failed("no key\n  hint: x".to_owned())),
            at: 0.0,
            took: 0.1,
        }];
        insta::assert_snapshot!(Live::look(&machine, &status).await.render());
    }

    #[tokio::test]
    async fn a_boot_that_waits_for_a_recovery_is_told_while_it_does() {
        let (runner, _) =
            Script::default().answer("systemctl show", "LoadState=not-found\n").runner();
        let directory = tempfile::tempdir().unwrap();
        let root = camino::Utf8Path::from_path(directory.path()).unwrap().to_owned();
        std::fs::create_dir_all(root.join("run/hostkit")).unwrap();
        let barred = Barred {
            why: "a home is being brought back".to_owned(),
            hint: "one of:\n  hostkit efs recover\n  hostkit efs recover --undo".to_owned(),
            since: "2026-11-27T03:10:00Z".parse().unwrap(),
        };
        barred.say(&root).unwrap();
        let machine = Machine { root, runner, ..Machine::default() };
        let mut status = Status::new("boot".to_owned(), None);
        insta::assert_snapshot!(Live::look(&machine, &status).await.render());
        status.state = State::Ready;
        assert_eq!(Live::look(&machine, &status).await.render(), "");
    }

    #[tokio::test]
    async fn a_systemd_that_cannot_be_asked_does_not_hide_how_the_boot_went() {
        let (runner, _) = Script::default().fail("systemctl", 1, "no bus").runner();
        let machine = Machine { runner, ..Machine::default() };
        let live = Live::look(&machine, &Status::new("boot".to_owned(), None)).await;
        assert!(live.notes[0].contains("no bus"), "{live:?}");
    }
}
