//! The launch hook of the Auto Scaling group: found early, kept waiting, and told how it ended.
//!
//! A group that is not told waits for an hour, so nothing here gives up before its time is over. How
//! the group is spoken to is in [`crate::group`].

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::context::Context;
use crate::aws::asg::{Hook, Membership, Transition, Verdict};
use crate::error::Fault;
use crate::event::Outcome;
use crate::group::{self, Found, Released, Told, Us};

const HOOK: &str = "hook";
/// The step that completes the hook.
pub(super) const LIFECYCLE: &str = "lifecycle";

/// How long a host tries to say that it may enter its warm pool.
const ENTERING: Duration = Duration::from_mins(3);

/// This host, as its group knows it.
pub(super) async fn us(context: &Context, step: &'static str) -> Result<Us, Fault> {
    let known = context.must_know();
    Ok(Us {
        aws: context.aws().await?.clone(),
        imds: known.imds.clone(),
        instance_id: known.identity.instance_id.clone(),
        events: context.events.clone(),
        step,
        pause: context.machine.pause,
    })
}

/// Finds the hook, and keeps it waiting while the boot runs.
pub(super) async fn find(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let until = Instant::now() + context.time_for(HOOK);
    Ok(match look(&context, until).await? {
        Found::Hook(..) => Outcome::Unchanged,
        Found::NoHook(member) => {
            Outcome::Skipped(format!("the group {} has no launch hook", member.group))
        }
        Found::NoGroup => Outcome::Skipped("not in an Auto Scaling group".to_owned()),
    })
}

/// Looks for the hook, and keeps one that waits waiting from now on.
pub(super) async fn look(context: &Context, until: Instant) -> Result<Found, Fault> {
    let us = us(context, HOOK).await?;
    let wanted = context.must_know().asg.hook.as_deref();
    let found = group::find(&us, Transition::Launching, wanted, until).await?;
    if let Found::Hook(hook, member) = &found {
        let state = if member.is_unknown() { "its state may not be seen" } else { &member.state };
        let what = format!("{}: {} holds this host ({state})", hook.group, hook.name);
        context.events.log(HOOK, what);
        if member.is_leaving() {
            context.taken.send_replace(Some(member.state.clone()));
        }
        if waits(member) {
            let beat = keep_waiting(context, us, hook.clone(), waited(context));
            context.background.lock().expect("nobody panics with this lock").spawn(beat);
        }
    }
    let first = context.launch.set(found.clone()).is_ok();
    debug_assert!(first, "this is looked for once");
    Ok(found)
}

/// Whether a hook waits for a host in this place, as far as that is known.
pub(super) fn waits(member: &Membership) -> bool {
    member.is_pending() || member.is_unknown()
}

/// How long a launch hook has waited: it began when AWS started the instance, or later.
pub(super) fn waited(context: &Context) -> Duration {
    let launched = context.must_know().identity.launched.unwrap_or_else(Timestamp::now);
    Duration::try_from(Timestamp::now().duration_since(launched)).unwrap_or_default()
}

/// Ends when there is nothing left to wait for; the boot drops it before.
fn keep_waiting(
    context: &Context,
    us: Us,
    hook: Hook,
    waited: Duration,
) -> impl Future<Output = ()> + Send + use<> {
    let taken = context.taken.clone();
    async move {
        match group::keep_waiting(&us, &hook, waited).await {
            Released::Finished(state) => {
                let name = &hook.name;
                us.events.log(HOOK, format!("{name} waits no more: this host is {state}"));
            }
            Released::Leaving(state) => {
                taken.send_replace(Some(state));
            }
        }
    }
}

/// Ends when the group takes this host away while it boots: with the state that it is in.
pub(super) async fn taken_away(context: &Context) -> String {
    let mut taken = context.taken.subscribe();
    loop {
        if let Some(state) = taken.borrow_and_update().clone() {
            return state;
        }
        if taken.changed().await.is_err() {
            // The context has the sender.
            std::future::pending::<()>().await;
        }
    }
}

/// Tells the hook that this host is ready.
pub(super) async fn complete(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let until = Instant::now() + context.time_for(LIFECYCLE);
    let Some(Found::Hook(hook, member)) = context.launch.get() else {
        return Ok(Outcome::Skipped("no launch hook".to_owned()));
    };
    // Out of a warm pool a hook waits a second time.
    if !waits(member) && !member.is_warm() {
        return Ok(Outcome::Unchanged);
    }
    let us = us(&context, LIFECYCLE).await?;
    match group::tell(&us, hook, Verdict::Continue, until).await {
        Ok(told) => {
            stop_waiting(&context);
            Ok(Outcome::changed(told == Told::Heard))
        }
        // Perhaps it is in service for long: a hook that does not wait is all that can be seen.
        Err(fault) if member.is_unknown() => Ok(Outcome::Skipped(fault.to_string())),
        Err(fault) => Err(fault.into()),
    }
}

/// Lets this host into its warm pool, where a hook holds it back from that. Says what came of it.
pub(super) async fn enter_pool(context: &Context) -> String {
    let until = Instant::now() + context.machine.limit(ENTERING);
    let Some(Found::Hook(hook, member)) = context.launch.get() else {
        return "no launch hook holds it".to_owned();
    };
    if !waits(member) {
        return format!("it is {}", member.state);
    }
    let told =
        async { group::tell(&us(context, HOOK).await?, hook, Verdict::Continue, until).await };
    match told.await {
        Ok(_) => {
            stop_waiting(context);
            format!("the launch hook {} lets it into the warm pool", hook.name)
        }
        Err(fault) => format!("the launch hook {} could not be told: {fault}", hook.name),
    }
}

/// Out of the pool the hook waits a second time: it is kept waiting from now on.
pub(super) async fn leave_pool(context: &Context) -> Result<(), Fault> {
    if let Some(Found::Hook(hook, _)) = context.launch.get() {
        let beat = keep_waiting(context, us(context, HOOK).await?, hook.clone(), Duration::ZERO);
        context.background.lock().expect("nobody panics with this lock").spawn(beat);
    }
    Ok(())
}

/// Stops keeping the hook waiting.
pub(super) fn stop_waiting(context: &Context) {
    context.background.lock().expect("nobody panics with this lock").abort_all();
}
