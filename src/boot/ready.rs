//! Proves that what answers is the right Jenkins: on its own, a page that loads proves little.
//!
//! A Jenkins that was started on the empty folder below the mount also serves `/login`, and so does
//! one that never read its configuration and lets everybody in.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::time::Instant;

use super::context::Context;
use super::home::MOUNT_POINT;
use super::jenkins::UNIT;
use crate::error::Fault;
use crate::event::Outcome;
use crate::jenkins::{Page, page};
use crate::sys::{mountinfo, systemd};

const STEP: &str = "ready";

pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    check_home(&context).await?;
    let until = Instant::now() + context.time_for(STEP);
    let mut last = String::new();
    loop {
        let problem = match look(context.machine.jenkins).await? {
            Ok(version) => {
                context.events.log(STEP, format!("Jenkins {version} serves"));
                return Ok(Outcome::Unchanged);
            }
            Err(problem) => problem,
        };
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
        tokio::time::sleep(context.machine.pause).await;
    }
}

/// The version of the Jenkins that serves those who log in and nobody else; or what is not there
/// yet.
async fn look(address: SocketAddr) -> Result<Result<String, String>, Fault> {
    let version = match page(address, "/login").await {
        Ok(Page { status: 200, version: Some(version), .. }) => version,
        Ok(Page { status: 200, version: None, .. }) => {
            return Err(Fault::step(format!("what answers on {address} is not Jenkins"))
                .hint("another program has the port: ss -ltnp"));
        }
        Ok(Page { status, .. }) => return Ok(Err(format!("/login answers {status}"))),
        Err(error) => return Ok(Err(format!("/login does not answer: {error:#}"))),
    };
    match page(address, "/").await {
        Ok(Page { status: 401 | 403, .. }) => Ok(Ok(version)),
        // Whoever reaches it may run programs on it: it must not serve a second longer.
        Ok(Page { status: 200, .. }) => Err(Fault::step("Jenkins is open to everybody")
            .hint("it did not take the rendered configuration: systemctl cat jenkins; the plug-in `configuration-as-code`")),
        Ok(Page { status, .. }) => Ok(Err(format!("/ answers {status}, and not 403"))),
        Err(error) => Ok(Err(format!("/ does not answer: {error:#}"))),
    }
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
