//! Starts Jenkins.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::context::Context;
use super::permission;
use super::service::Service;
use crate::event::Outcome;

pub(super) const UNIT: &str = "jenkins.service";

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
    JENKINS.start(&context, &before).await
}
