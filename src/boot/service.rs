//! A unit of this host that a step starts and watches until it says itself that it is up.
//!
//! The start is enqueued and not waited for: a unit that waits for another one can wait for ever.

use std::time::Duration;

use tokio::time::Instant;

use super::cadence::Cadence;
use super::context::Context;
use crate::error::Fault;
use crate::event::Outcome;
use crate::sys::systemd;

/// The unit of the boot itself: its job is always under way.
const OURSELVES: &str = "hostkit-boot.service";

/// After so many pauses a start that has not begun is worth a line.
const LONG_QUEUED: u32 = 10;

/// A unit, and how it is spoken of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Service {
    /// The step that starts it: its time-out is the service's.
    pub(super) step: &'static str,
    /// The unit.
    pub(super) unit: &'static str,
    /// What people call it, at the beginning of a sentence.
    pub(super) name: &'static str,
}

/// How a unit stands.
#[derive(Debug)]
pub(super) struct Look {
    state: String,
    result: String,
    status: String,
    job: String,
    /// Whether systemd knows an older unit than the one on disk.
    is_stale: bool,
    /// How often systemd has started it again by itself.
    restarts: u32,
    exit: Option<i32>,
}

impl Look {
    /// Whether it is up.
    pub(super) fn is_active(&self) -> bool {
        self.state == "active"
    }

    /// Whether it was started and ended badly.
    pub(super) fn has_failed(&self) -> bool {
        self.state == "failed"
    }

    /// Whether it does not run and nothing is about to start it.
    pub(super) fn is_down(&self) -> bool {
        ["inactive", "failed"].contains(&self.state.as_str()) && self.job.is_empty()
    }

    /// How it stands, in systemd's word.
    pub(super) fn state(&self) -> &str {
        &self.state
    }

    /// The exit status of its program, once that has ended.
    pub(super) const fn exit(&self) -> Option<i32> {
        self.exit
    }

    /// How it ended, in systemd's words.
    pub(super) fn result(&self) -> &str {
        &self.result
    }
}

impl Service {
    /// How it stands; `None` where there is no such unit.
    pub(super) async fn look(&self, context: &Context) -> anyhow::Result<Option<Look>> {
        let names = [
            "LoadState",
            "ActiveState",
            "Result",
            "StatusText",
            "Job",
            "NRestarts",
            "NeedDaemonReload",
            "ExecMainStatus",
        ];
        let mut shown = systemd::show(&context.machine.runner, self.unit, &names).await?;
        let mut take = |name: &str| shown.remove(name).unwrap_or_default();
        if take("LoadState") == "not-found" {
            return Ok(None);
        }
        Ok(Some(Look {
            state: take("ActiveState"),
            result: take("Result"),
            status: take("StatusText"),
            job: take("Job"),
            is_stale: take("NeedDaemonReload") == "yes",
            restarts: take("NRestarts").parse().unwrap_or(0),
            exit: take("ExecMainStatus").parse().ok(),
        }))
    }

    /// As [`Service::look`], and an error with `hint` where there is no such unit.
    pub(super) async fn must_look(&self, context: &Context, hint: &str) -> anyhow::Result<Look> {
        let none = || Fault::environment(format!("this image has no {}", self.unit)).hint(hint);
        Ok(self.look(context).await?.ok_or_else(none)?)
    }

    /// Starts it, if it does not run `before`, and waits until it does.
    pub(super) async fn start(&self, context: &Context, before: &Look) -> anyhow::Result<Outcome> {
        self.start_and_tell(context, before, |_| {}).await
    }

    /// As [`Service::start`], and hands on what the unit says of itself meanwhile.
    pub(super) async fn start_and_tell(
        &self,
        context: &Context,
        before: &Look,
        tell: impl Fn(&str),
    ) -> anyhow::Result<Outcome> {
        self.start_within(context, before, context.time_for(self.step), tell).await
    }

    /// As [`Service::start_and_tell`], and waits no longer than `patience`.
    pub(super) async fn start_within(
        &self,
        context: &Context,
        before: &Look,
        patience: Duration,
        tell: impl Fn(&str),
    ) -> anyhow::Result<Outcome> {
        let machine = &context.machine;
        match before.state.as_str() {
            "active" => return Ok(Outcome::Unchanged),
            // Too many starts in a short time: until that is forgotten, no start is even tried.
            "failed" => systemd::reset_failed(&machine.runner, self.unit).await?,
            _ => {}
        }
        // Somebody had it loaded before the boot wrote what belongs to it.
        if before.is_stale {
            systemd::daemon_reload(&machine.runner).await?;
        }
        let until = Instant::now() + patience;
        systemd::start_no_block(&machine.runner, self.unit).await?;
        let cadence = Cadence::new(machine.pause);
        let mut last = String::new();
        let mut long_queued = Some(Instant::now() + machine.pause * LONG_QUEUED);
        loop {
            cadence.pause().await;
            let now = self.must_look(context, "its package was removed meanwhile").await?;
            match now.state.as_str() {
                "active" => return Ok(Outcome::Changed),
                // Both are also what a unit is between two looks, before its job runs.
                "failed" | "inactive" if now.job.is_empty() => {
                    return Err(self.failed(context, &now).await);
                }
                _ if Instant::now() > until => {
                    return Err(self.late(context, &now, patience).await);
                }
                _ => {}
            }
            if now.state == "inactive" && long_queued.take_if(|at| Instant::now() > *at).is_some() {
                self.tell_what_it_waits_for(context).await;
            }
            if !now.status.is_empty() && now.status != last {
                context.events.log(self.step, &now.status);
                tell(&now.status);
                last = now.status;
            }
        }
    }

    /// Its start is a job that has not begun: it comes after another one that is under way.
    async fn tell_what_it_waits_for(&self, context: &Context) {
        let jobs = systemd::running_jobs(&context.machine.runner).await;
        let others: Vec<_> = jobs.into_iter().filter(|unit| unit != OURSELVES).collect();
        let what =
            if others.is_empty() { "nothing that can be seen".into() } else { others.join(", ") };
        context.events.log(self.step, format!("the start of {} waits for: {what}", self.unit));
    }

    async fn failed(&self, context: &Context, look: &Look) -> anyhow::Error {
        // Not started at all: an assertion of the unit did not hold, or it lacks its mount.
        let inactive = look.state == "inactive";
        let result = if inactive { "an assertion, or a unit that it needs" } else { &look.result };
        let (name, state) = (self.name, &look.state);
        let again = match look.restarts {
            0 => String::new(),
            often => format!(", and ended each of the {} times that it was started", often + 1),
        };
        let what = format!("{name} did not start: the unit is {state} ({result}){again}");
        self.blame(context, what).await
    }

    async fn late(&self, context: &Context, look: &Look, patience: Duration) -> anyhow::Error {
        let seconds = patience.as_secs();
        let status = if look.status.is_empty() { "nothing" } else { look.status.as_str() };
        let (name, state) = (self.name, &look.state);
        let again = match look.restarts {
            0 => String::new(),
            often => format!(", and systemd has started it again {often} times"),
        };
        let what = format!(
            "{name} was not up within {seconds} s: the unit is {state} and says {status}{again}"
        );
        self.blame(context, what).await
    }

    /// With the last lines of the unit's own log as the cause.
    async fn blame(&self, context: &Context, what: String) -> anyhow::Error {
        let said = systemd::last_lines(&context.machine.runner, self.unit, 12).await;
        let said =
            if said.is_empty() { "it wrote nothing to the journal".to_owned() } else { said };
        let unit = self.unit.trim_end_matches(".service");
        anyhow::anyhow!(said).context(Fault::step(what).hint(format!("journalctl -u {unit}")))
    }
}
