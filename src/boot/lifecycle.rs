//! The launch hook of the Auto Scaling group: found early, kept waiting, and told how it ended.

use std::sync::Arc;
use std::time::Duration;

use super::context::Context;
use crate::aws::asg::{self, LaunchHook, Membership, Verdict};
use crate::error::Fault;
use crate::event::Outcome;

const STEP: &str = "lifecycle";

/// What is known of this instance's launch.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    hook: LaunchHook,
    /// The state of the instance when the boot began.
    state: String,
}

/// Finds the hook, and keeps it waiting while the boot runs.
pub(super) async fn find(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let known = context.must_know();
    let id = &known.identity.instance_id;
    let member = asg::membership(&known.aws, id).await.map_err(Fault::from)?;
    let Some(Membership { group, state }) = member else {
        return Ok(Outcome::Skipped("not in an Auto Scaling group".to_owned()));
    };
    let hook = asg::launch_hook(&known.aws, &group).await.map_err(Fault::from)?;
    let Some(hook) = hook else {
        return Ok(Outcome::Skipped(format!("the group {group} has no launch hook")));
    };
    context.events.log("hook", format!("{group}: {} holds this host ({state})", hook.name));
    if state.starts_with("Pending") {
        let beat = keep_waiting(&context, hook.clone());
        context.background.lock().expect("nobody panics with this lock").spawn(beat);
    }
    let first = context.launch.set(Launch { hook, state }).is_ok();
    debug_assert!(first, "this step runs once");
    Ok(Outcome::Unchanged)
}

/// Never ends by itself; the boot drops it.
fn keep_waiting(context: &Context, hook: LaunchHook) -> impl Future<Output = ()> + Send + use<> {
    let id = context.must_know().identity.instance_id.clone();
    let (aws, events) = (context.must_know().aws.clone(), context.events.clone());
    async move {
        loop {
            // Two may be lost before the group loses its patience.
            tokio::time::sleep(hook.timeout / 3).await;
            if let Err(failure) = asg::heartbeat(&aws, &hook, &id).await {
                events.log("hook", format!("a heartbeat was lost: {failure}"));
            }
        }
    }
}

/// Tells the hook that this host is ready.
pub(super) async fn complete(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let Some(Launch { hook, state }) = context.launch.get() else {
        return Ok(Outcome::Skipped("no launch hook".to_owned()));
    };
    if !state.starts_with("Pending") {
        return Ok(Outcome::Unchanged);
    }
    let known = context.must_know();
    let id = &known.identity.instance_id;
    loop {
        let failure = match asg::complete(&known.aws, hook, id, Verdict::Continue).await {
            Ok(()) => break,
            Err(failure) => failure,
        };
        // A boot may be faster than the group: the action becomes active in a moment. Or somebody
        // else has completed it.
        if !failure.message().contains("No active Lifecycle Action") {
            return Err(Fault::from(failure).into());
        }
        let member = asg::membership(&known.aws, id).await.map_err(Fault::from)?;
        match member.as_ref().map(|member| member.state.as_str()) {
            Some("InService") => return Ok(Outcome::Unchanged),
            Some(state) if state.starts_with("Pending") => {
                context.events.log(STEP, format!("the hook is not active yet ({state})"));
            }
            state => {
                let state = state.unwrap_or("in no group any more");
                return Err(Fault::aws(format!("the hook is gone and this host is {state}")).into());
            }
        }
        tokio::time::sleep(context.machine.pause * 2).await;
    }
    stop_waiting(&context);
    Ok(Outcome::Changed)
}

/// Tells the hook that this host will not become ready. Says what came of it.
pub(super) async fn abandon(context: &Context) -> String {
    const LIMIT: Duration = Duration::from_mins(1);
    stop_waiting(context);
    let (Some(Launch { hook, state }), Some(known)) = (context.launch.get(), context.known())
    else {
        return "there is no launch hook to tell".to_owned();
    };
    if !state.starts_with("Pending") {
        return format!("the host is {state} already, so the launch hook was not told");
    }
    let call = asg::complete(&known.aws, hook, &known.identity.instance_id, Verdict::Abandon);
    match tokio::time::timeout(LIMIT, call).await {
        Ok(Ok(())) => format!("the launch hook {} was told to abandon this host", hook.name),
        Ok(Err(failure)) => format!("the launch hook {} could not be told: {failure}", hook.name),
        Err(_) => format!("the launch hook {} could not be told in time", hook.name),
    }
}

fn stop_waiting(context: &Context) {
    context.background.lock().expect("nobody panics with this lock").abort_all();
}
