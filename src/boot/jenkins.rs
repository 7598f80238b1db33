//! Starts Jenkins.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::context::Context;
use super::permission;
use super::service::Service;
use crate::event::Outcome;

pub(super) const UNIT: &str = "jenkins.service";

/// Beside what a start may take: for the mount, the lease, and a second attempt.
const SLACK: Duration = Duration::from_mins(2);

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
    JENKINS.start_within(&context, &before, patience, |_| {}).await
}
