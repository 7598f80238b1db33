//! Proves that what answers is the right Jenkins: on its own, a page that loads proves little.
//!
//! A Jenkins that was started on the empty folder below the mount also serves `/login`.

use std::sync::Arc;

use anyhow::Context as _;

use super::context::Context;
use super::jenkins::UNIT;
use crate::error::Fault;
use crate::event::Outcome;
use crate::jenkins::{Page, login_page};
use crate::sys::{mountinfo, systemd};

const STEP: &str = "ready";

pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    check_home(&context).await?;
    let mut last = String::new();
    loop {
        let problem = match login_page(context.machine.jenkins).await {
            Ok(Page { status: 200, version: Some(version) }) => {
                context.events.log(STEP, format!("Jenkins {version} serves"));
                return Ok(Outcome::Unchanged);
            }
            Ok(Page { status: 200, version: None }) => {
                return Err(Fault::step(format!(
                    "what answers on {} is not Jenkins",
                    context.machine.jenkins
                ))
                .hint("another program has the port: ss -ltnp")
                .into());
            }
            Ok(Page { status, .. }) => format!("/login answers {status}"),
            Err(error) => format!("/login does not answer: {error:#}"),
        };
        if problem != last {
            context.events.log(STEP, &problem);
            last = problem;
        }
        tokio::time::sleep(context.machine.pause).await;
    }
}

/// The running unit's `JENKINS_HOME` lies on the mounted file system.
async fn check_home(context: &Context) -> anyhow::Result<()> {
    let shown = systemd::show(&context.machine.runner, UNIT, &["Environment"]).await?;
    let environment = shown.get("Environment").map(String::as_str).unwrap_or_default();
    let home = systemd::environment(environment, "JENKINS_HOME")
        .context("jenkins.service has no JENKINS_HOME")?;
    let mounts = mountinfo::read(&context.machine.root).context("reading the table of mounts")?;
    let point = &context.must_know().config.efs.mount_point;
    let mount = mountinfo::containing(&mounts, home);
    if mount.is_some_and(|mount| mount.point == *point && mount.kind.starts_with("nfs")) {
        return Ok(());
    }
    let on = mount.map_or("nothing", |mount| mount.source.as_str());
    Err(Fault::step(format!(
        "Jenkins' home {home} is on {on}, and not on the file system at {point}"
    ))
    .hint("systemctl cat jenkins: something overrides hostkit's JENKINS_HOME")
    .into())
}
