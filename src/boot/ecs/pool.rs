//! A warm pool: hosts that are prepared and then wait, switched off or on, until their group needs
//! them.
//!
//! Such a host must not join its cluster: ECS would place tasks on a machine that is stopped in the
//! next moment. So everything is prepared, the launch hook is completed, which lets the host into the
//! pool, and nothing is started. A host that is stopped there boots again when it is needed, and finds
//! that it is to be in service. One that goes on running, or sleeps, is still here and sees it.

use std::sync::Arc;
use std::time::Duration;

use crate::boot::context::Context;
use crate::boot::lifecycle;
use crate::event::Outcome;
use crate::group::Found;
use crate::sys::notify;

const STEP: &str = "pool";

/// What the group wants this host to be next.
const TARGET: &str = "/latest/meta-data/autoscaling/target-lifecycle-state";

/// systemd is more patient than any step, and this waits as long as nobody needs the host: how
/// much longer it is asked for, again and again.
const LONGER: Duration = Duration::from_mins(30);

pub(in crate::boot) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    if !may_be_warm(&context) {
        return Ok(Outcome::Unchanged);
    }
    let Some(target) = warm_target(&context).await? else {
        return Ok(Outcome::Unchanged);
    };
    let told = lifecycle::enter_pool(&context).await;
    let what = format!("prepared, and not in its cluster: its group wants it {target}; {told}");
    context.events.log(STEP, what);
    // The agent itself would ask once a minute, for two hours.
    loop {
        match warm_target(&context).await {
            Ok(None) => break,
            Ok(Some(_)) => {}
            // A machine that has slept finds its metadata service a moment later.
            Err(error) => tracing::debug!(error = format!("{error:#}"), "the pool is asked again"),
        }
        notify::extend(LONGER);
        tokio::time::sleep(context.machine.pause * 2).await;
    }
    context.events.log(STEP, "its group wants it in service");
    lifecycle::leave_pool(&context).await?;
    Ok(Outcome::Changed)
}

/// Whether this host may be in a warm pool, as far as its group says. For what comes after `hook`.
pub(super) fn may_be_warm(context: &Context) -> bool {
    match context.launch.get() {
        Some(Found::Hook(_, member) | Found::NoHook(member)) => {
            member.is_warm() || member.is_unknown()
        }
        Some(Found::NoGroup) | None => false,
    }
}

/// What the group wants this host to be, where that is to wait in a warm pool.
async fn warm_target(context: &Context) -> anyhow::Result<Option<String>> {
    let target = context.must_know().imds.get(TARGET, |_| {}).await?;
    Ok(target.filter(|target| target.starts_with("Warmed:")))
}
