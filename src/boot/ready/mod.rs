//! Proves that what answers is the right Jenkins: on its own, a page that loads proves little.
//!
//! A Jenkins that was started on the empty folder below the mount also serves `/login`, and so does
//! one that never read its configuration and lets everybody in.

mod judge;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Context as _;
use tokio::time::Instant;

use super::cadence::Cadence;
use super::context::Context;
use super::home::MOUNT_POINT;
use super::jenkins::UNIT;
use super::render;
use crate::error::Fault;
use crate::event::Outcome;
use crate::host::SecurityMode;
use crate::jenkins::{Client, Tokens, Trouble, Version, page};
use crate::sys::{mountinfo, systemd};

use judge::{Seen, Verdict, judge};

const STEP: &str = "ready";

pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    check_home(&context).await?;
    let version = prove(&context).await?;
    context.events.log(STEP, format!("Jenkins {version} serves"));
    let worse = [keep(&context).await, ask(&context).await];
    let worse: Vec<_> = worse.into_iter().flatten().collect();
    if worse.is_empty() {
        return Ok(Outcome::Unchanged);
    }
    Ok(Outcome::Degraded(worse.join("; ")))
}

/// Waits until it is the right Jenkins that serves. Its version.
async fn prove(context: &Context) -> anyhow::Result<String> {
    // Where nothing tells, the step `home` has told that.
    let expected = Version::installed(&context.machine.root).unwrap_or_default();
    let security = context.config().jenkins.security.mode.unwrap_or(SecurityMode::Local);
    let until = Instant::now() + context.time_for(STEP);
    let cadence = Cadence::new(context.machine.pause);
    let mut last = String::new();
    loop {
        let seen = look(context.machine.jenkins).await;
        let problem = match judge(&seen, context.machine.jenkins, expected.as_ref(), security) {
            Verdict::Serves(version) => return Ok(version),
            Verdict::Wrong(fault) => return Err(fault.into()),
            Verdict::NotYet(problem) => problem,
        };
        lives(context, &problem).await?;
        if Instant::now() > until {
            let seconds = context.time_for(STEP).as_secs();
            return Err(Fault::step(format!(
                "Jenkins does not serve after {seconds} s: {problem}"
            ))
            .hint("journalctl -u jenkins")
            .into());
        }
        if problem != last {
            context.events.log(STEP, &problem);
            last = problem;
        }
        cadence.pause().await;
    }
}

/// What it shows to somebody who has not logged in.
async fn look(address: SocketAddr) -> Seen {
    let login = page(address, "/login").await;
    if !login.as_ref().is_ok_and(|page| page.status == 200) {
        return Seen { login, front: None, console: None };
    }
    let front = page(address, "/").await;
    let console = page(address, "/script").await;
    Seen { login, front: Some(front), console: Some(console) }
}

/// A unit that has ended for good will not serve any more.
async fn lives(context: &Context, problem: &str) -> anyhow::Result<()> {
    let runner = &context.machine.runner;
    let shown = systemd::show(runner, UNIT, &["ActiveState", "Result"]).await?;
    let property = |name: &str| shown.get(name).map(String::as_str).unwrap_or_default();
    if property("ActiveState") != "failed" {
        return Ok(());
    }
    let said = systemd::last_lines(runner, UNIT, 12).await;
    let result = property("Result");
    Err(anyhow::anyhow!(said).context(
        Fault::step(format!("Jenkins was up and has ended ({result}): {problem}"))
            .hint("journalctl -u jenkins"),
    ))
}

/// Keeps the configuration with which it serves. A boot does not fail because of it.
async fn keep(context: &Context) -> Option<String> {
    if context.fell_back.load(Ordering::Relaxed) {
        return None;
    }
    match render::keep(context).await {
        Ok(None) => None,
        Ok(Some(why)) => {
            Some(format!("this configuration is not kept as the last known good: {why}"))
        }
        Err(error) => {
            Some(format!("this configuration could not be kept as the last known good: {error:#}"))
        }
    }
}

/// Whether hostkit's own user can do what it must when this host goes.
async fn ask(context: &Context) -> Option<String> {
    let told = |why: &str| format!("hostkit cannot quiet Jenkins before this host goes: {why}");
    let tokens = match Tokens::read(&context.machine.run("secrets")) {
        Ok(tokens) => tokens,
        Err(error) => return Some(told(&format!("its tokens cannot be read: {error}"))),
    };
    let user = &context.config().jenkins.security.hostkit_user;
    let client = Client::new(context.machine.jenkins, user, &tokens);
    match rights(&client).await {
        Ok(()) => None,
        Err(trouble) => {
            let fault = Fault::from(trouble);
            let hint = fault.hint_text().unwrap_or_default().to_owned();
            Some(told(&format!("{fault} ({hint})")))
        }
    }
}

/// That builds are let in where they are let in already changes nothing, and needs the right.
async fn rights(client: &Client) -> Result<(), Trouble> {
    client.builds().await?;
    if client.quiet().await?.is_quiet { Ok(()) } else { client.cancel_quiet_down().await }
}

/// The running unit's `JENKINS_HOME` lies on the mounted file system.
async fn check_home(context: &Context) -> anyhow::Result<()> {
    let shown = systemd::show(&context.machine.runner, UNIT, &["Environment"]).await?;
    let environment = shown.get("Environment").map(String::as_str).unwrap_or_default();
    let home = systemd::environment(environment, "JENKINS_HOME")
        .context("jenkins.service has no JENKINS_HOME")?;
    let mounts = mountinfo::read(&context.machine.root).context("reading the table of mounts")?;
    let point = MOUNT_POINT;
    let mount = mountinfo::containing(&mounts, home);
    if mount.is_some_and(|mount| mount.point == point && mount.kind.starts_with("nfs")) {
        return Ok(());
    }
    let on = mount.map_or("nothing", |mount| mount.source.as_str());
    Err(Fault::step(format!(
        "Jenkins' home {home} is on {on}, and not on the file system at {point}"
    ))
    .hint("systemctl cat jenkins: something overrides hostkit's JENKINS_HOME")
    .into())
}
