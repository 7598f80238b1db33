//! One step of a boot alone, by hand: what failed is done again without waiting for the rest.
//!
//! What the boot did before is believed, so what comes before the step must have succeeded in this
//! boot. Nothing is given up when it fails, and no group is told.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use camino::Utf8PathBuf;

use super::context::{Context, Machine};
use super::run::{self, Ended};
use super::status::{State, Status};
use super::steps::{self, Step};
use crate::error::Fault;
use crate::event::{Events, Outcome};
use crate::facts::Facts;
use crate::sys::atomic;

/// What leaves its result with the process that does it, so that it is done again.
const IN_MEMORY: &[&str] = &["identity", "config", "hook"];

/// Does `name` again, with what it needs.
pub async fn only(
    machine: Machine,
    config: Utf8PathBuf,
    events: Events,
    name: &str,
) -> anyhow::Result<()> {
    let facts = Facts::read(&machine.root)?;
    let before = of_this_boot(&machine, &facts.boot_id)?;
    atomic::make_directory(&machine.run(""), 0o755).context("making /run/hostkit")?;
    let mut context = Context::new(machine, facts, config, events);
    context.by_hand = true;
    let context = Arc::new(context);
    let first = run::all(steps::FIRST, Vec::new(), &context).await;
    let role = context.role();
    let table = *context.table.get_or_init(|| steps::table(role));
    let wanted = find(table, name)?;
    let needed = needed(table, wanted);
    require(&needed, before.as_ref(), name)?;
    let done = |step: &&'static Step| {
        let again = step.name == name || needed.contains(step) && IN_MEMORY.contains(&step.name);
        !again
    };
    let skipped = table.iter().filter(done);
    let skipped = skipped.map(|step| Ended { step, outcome: Outcome::Unchanged });
    // The identity is there already, however it ended.
    let done = first.into_iter().chain(skipped).collect();
    let began = Instant::now();
    let ended = run::all(table, done, &context).await;
    let of = |name: &str| ended.iter().find(|it| it.step.name == name).map(|it| &it.outcome);
    let outcome = of(name).expect("the step is one of the table").clone();
    if let Some(status) = before {
        amend(status, table, wanted, &outcome, began, &context.machine)?;
    }
    match outcome {
        Outcome::Failed(cause) => Err(anyhow::anyhow!(cause)
            .context(Fault::step(format!("`{name}` failed; nobody was told")))),
        Outcome::Blocked(by) => {
            let fault = Fault::step(format!("`{name}` was not tried, because `{by}` failed"));
            match of(&by) {
                Some(Outcome::Failed(cause)) => Err(anyhow::anyhow!(cause.clone()).context(fault)),
                _ => Err(fault.into()),
            }
        }
        _ => Ok(()),
    }
}

/// The report of this boot, if it is over.
fn of_this_boot(machine: &Machine, boot_id: &str) -> anyhow::Result<Option<Status>> {
    let Ok(status) = Status::read(machine) else { return Ok(None) };
    if status.state == State::Running {
        return Err(Fault::environment("the boot is under way, and does the steps itself")
            .hint("hostkit status")
            .into());
    }
    Ok(Some(status).filter(|status| status.boot_id == boot_id))
}

fn find(table: &'static [Step], name: &str) -> Result<&'static Step, Fault> {
    table.iter().find(|step| step.name == name).ok_or_else(|| {
        let names: Vec<_> = table.iter().map(|step| step.name).collect();
        Fault::usage(format!("a boot of this host has no step `{}`", name.escape_debug()))
            .hint(format!("there are: {}", names.join(", ")))
    })
}

/// Everything that comes before a step, directly or through others.
fn needed(table: &'static [Step], wanted: &Step) -> Vec<&'static Step> {
    let mut names = wanted.after.to_vec();
    let mut found = Vec::new();
    while let Some(name) = names.pop() {
        if let Some(step) = table.iter().find(|step| step.name == name)
            && !found.contains(&step)
        {
            names.extend(step.after);
            found.push(step);
        }
    }
    found
}

/// What is not done again must have been done: a Jenkins must not start on a home that nobody has
/// made sure of.
fn require(needed: &[&Step], before: Option<&Status>, name: &str) -> Result<(), Fault> {
    let mut lacking = Vec::new();
    for step in needed.iter().filter(|step| !IN_MEMORY.contains(&step.name)) {
        let reports = before.iter().flat_map(|status| &status.report.steps);
        let report = reports.into_iter().find(|report| report.step == step.name);
        match report.and_then(|report| report.outcome.as_ref()) {
            Some(outcome) if outcome.is_ok() => {}
            Some(outcome) => lacking.push(format!("`{}` ({})", step.name, outcome.word())),
            None => lacking.push(format!("`{}` (not done)", step.name)),
        }
    }
    if lacking.is_empty() {
        return Ok(());
    }
    lacking.reverse();
    let what = format!("`{name}` comes after {}, in this boot", lacking.join(", "));
    Err(Fault::environment(what)
        .hint("do those first, or everything: systemctl restart hostkit-boot"))
}

/// Puts the outcome where `hostkit status` finds it.
fn amend(
    mut status: Status,
    table: &'static [Step],
    step: &Step,
    outcome: &Outcome,
    began: Instant,
    machine: &Machine,
) -> anyhow::Result<()> {
    let took = began.elapsed().as_secs_f64();
    status.amend(step, outcome.clone(), took);
    let ok = |row: &Step| {
        let report = status.report.steps.iter().find(|report| report.step == row.name);
        let outcome = report.and_then(|report| report.outcome.as_ref());
        !row.required || outcome.is_some_and(Outcome::is_ok)
    };
    status.state = if table.iter().all(ok) { State::Ready } else { State::Failed };
    status.write(machine)
}

impl PartialEq for Step {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}
