//! Starts Jenkins and watches it until it says itself that it is up.
//!
//! The start is enqueued and not waited for: a unit that waits for another one can wait for ever.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Context as _;
use tokio::time::Instant;

use super::context::{Context, Machine};
use crate::error::Fault;
use crate::event::Outcome;
use crate::sys::{atomic, systemd};

pub(super) const UNIT: &str = "jenkins.service";

const STEP: &str = "jenkins";

/// The unit asserts that this file exists: nobody else's start gets past that.
const MAY_START: &str = "may-start";

/// Takes away the permission to start. A Jenkins that runs goes on.
pub(super) fn forbid(machine: &Machine) -> anyhow::Result<()> {
    match std::fs::remove_file(machine.run(MAY_START)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).context("forbidding Jenkins to start")
        }
        _ => Ok(()),
    }
}

/// Stops the Jenkins that this boot has started: its successor may start any moment. Says what
/// could not be done.
pub(super) async fn stop(context: &Context) {
    if let Err(error) = forbid(&context.machine) {
        context.events.log(STEP, format!("{error:#}"));
    }
    if !context.started_jenkins.load(Ordering::Relaxed) {
        return;
    }
    if let Err(error) = systemd::stop_no_block(&context.machine.runner, UNIT).await {
        context.events.log(STEP, format!("Jenkins could not be stopped: {error}"));
    }
}

pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let machine = &context.machine;
    atomic::write(&machine.run(MAY_START), b"", 0o444).context("allowing Jenkins to start")?;
    let before = look(&context).await?;
    match before.state.as_str() {
        // It has read its secrets and its configuration when it started.
        "active" if context.news.load(Ordering::Relaxed) => {
            let what = "it runs with what it read before: `systemctl restart jenkins` has it \
                take the new secrets and configuration";
            context.events.log(STEP, what);
            return Ok(Outcome::Skipped(what.to_owned()));
        }
        "active" => return Ok(Outcome::Unchanged),
        // Too many starts in a short time: until that is forgotten, no start is even tried.
        "failed" => systemd::reset_failed(&machine.runner, UNIT).await?,
        _ => {}
    }
    let until = Instant::now() + context.time_for(STEP);
    context.started_jenkins.store(true, Ordering::Relaxed);
    systemd::start_no_block(&machine.runner, UNIT).await?;
    let mut last = String::new();
    loop {
        tokio::time::sleep(machine.pause).await;
        let now = look(&context).await?;
        match now.state.as_str() {
            "active" => return Ok(Outcome::Changed),
            // Both are also what a unit is between two looks, before its job runs.
            "failed" | "inactive" if now.job.is_empty() => return Err(failed(&context, &now).await),
            _ if Instant::now() > until => return Err(late(&context, &now).await),
            _ => {}
        }
        if !now.status.is_empty() && now.status != last {
            context.events.log(STEP, &now.status);
            last = now.status;
        }
    }
}

struct Look {
    state: String,
    result: String,
    status: String,
    job: String,
}

async fn look(context: &Context) -> anyhow::Result<Look> {
    let names = ["LoadState", "ActiveState", "Result", "StatusText", "Job"];
    let mut shown = systemd::show(&context.machine.runner, UNIT, &names).await?;
    let mut take = |name: &str| shown.remove(name).unwrap_or_default();
    if take("LoadState") == "not-found" {
        return Err(Fault::environment("this image has no jenkins.service")
            .hint("the recipe must install Jenkins")
            .into());
    }
    Ok(Look {
        state: take("ActiveState"),
        result: take("Result"),
        status: take("StatusText"),
        job: take("Job"),
    })
}

async fn failed(context: &Context, look: &Look) -> anyhow::Error {
    // Not started at all: an assertion of the unit did not hold, or its mount has gone.
    let result = if look.state == "inactive" { "an assertion or its mount" } else { &look.result };
    let state = &look.state;
    blame(context, format!("Jenkins did not start: the unit is {state} ({result})")).await
}

async fn late(context: &Context, look: &Look) -> anyhow::Error {
    let seconds = context.time_for(STEP).as_secs();
    let status = if look.status.is_empty() { "nothing" } else { look.status.as_str() };
    let state = &look.state;
    let what =
        format!("Jenkins was not up within {seconds} s: the unit is {state} and says {status}");
    blame(context, what).await
}

/// With the last lines of Jenkins' own log as the cause.
async fn blame(context: &Context, what: String) -> anyhow::Error {
    let said = systemd::last_lines(&context.machine.runner, UNIT, 12).await;
    let said = if said.is_empty() { "it wrote nothing to the journal".to_owned() } else { said };
    anyhow::anyhow!(said).context(Fault::step(what).hint("journalctl -u jenkins"))
}
