//! Starts Jenkins.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::context::Context;
use super::service::Service;
use super::{permission, render};
use crate::event::Outcome;
use crate::sys::systemd;

pub(super) const UNIT: &str = "jenkins.service";

/// Beside what a start may take: for the mount, the lease, and a second attempt.
const SLACK: Duration = Duration::from_mins(2);

/// How long it may take to stop, as systemd allows it.
const STOPPING: Duration = Duration::from_mins(2);

/// What stands in the journal where the configuration is at fault.
const REFUSED: &str = "ConfiguratorException";

/// How many of its last lines are looked at: a Java exception has many.
const WORDS: u32 = 400;

const JENKINS: Service = Service { step: "jenkins", unit: UNIT, name: "Jenkins" };

pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    permission::grant(&context.machine)?;
    let before = JENKINS.must_look(&context, "the recipe must install Jenkins").await?;
    if !before.is_active() {
        permission::starts(&context, UNIT);
    } else if context.news.load(Ordering::Relaxed) {
        // It has read its secrets and its configuration when it started.
        let what = "it runs with what it read before: `systemctl restart jenkins` has it \
            take the new secrets and configuration";
        context.events.log(JENKINS.step, what);
        return Ok(Outcome::Skipped(what.to_owned()));
    }
    let configured = u64::from(context.config().jenkins.start_timeout);
    // One that ends at once is started again within the slack.
    let patience = Duration::from_secs(configured) + SLACK;
    let patience = patience.min(context.time_for(JENKINS.step));
    match JENKINS.start_within(&context, &before, patience, |_| {}).await {
        Err(error) => Box::pin(with_last_good(&context, error, patience)).await,
        end => end,
    }
}

/// Starts it once more with the last known good configuration, if it is the present one that it does
/// not take: what a plugin says of its own part, nobody can check before.
async fn with_last_good(
    context: &Context,
    error: anyhow::Error,
    patience: Duration,
) -> anyhow::Result<Outcome> {
    let runner = &context.machine.runner;
    let said = systemd::last_lines(runner, UNIT, WORDS).await;
    let Some(why) = said.lines().find(|line| line.contains(REFUSED)) else { return Err(error) };
    let why = format!("Jenkins does not take the configuration: {}", why.trim());
    let Some(instead) = render::with_last_good(context, &why).await else { return Err(error) };
    stop(context).await?;
    let before = JENKINS.must_look(context, "its package was removed meanwhile").await?;
    JENKINS.start_within(context, &before, patience, |_| {}).await?;
    Ok(Outcome::Degraded(instead))
}

/// Stops it, and waits until it is down: it lives on without having started.
async fn stop(context: &Context) -> anyhow::Result<()> {
    systemd::stop_no_block(&context.machine.runner, UNIT).await?;
    let until = Instant::now() + STOPPING;
    loop {
        let look = JENKINS.must_look(context, "its package was removed meanwhile").await?;
        if look.is_down() {
            return Ok(());
        }
        anyhow::ensure!(Instant::now() < until, "{UNIT} does not stop");
        tokio::time::sleep(context.machine.pause).await;
    }
}
