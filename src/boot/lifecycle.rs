//! The launch hook of the Auto Scaling group: found early, kept waiting, and told how it ended.
//!
//! A group that is not told waits for an hour, so nothing here gives up before its time is over.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::context::Context;
use crate::aws::Failure;
use crate::aws::asg::{self, LaunchHook, Membership, Verdict};
use crate::error::Fault;
use crate::event::Outcome;

const HOOK: &str = "hook";
const LIFECYCLE: &str = "lifecycle";

/// How long a host that gives up tries to say so.
const LAST_WORDS: Duration = Duration::from_mins(2);

/// What is known of this instance's launch.
#[derive(Clone, Debug)]
pub(super) struct Launch {
    hook: LaunchHook,
    /// The place of the instance when the boot began.
    member: Membership,
}

/// Why a call did not do what it should.
enum Trouble {
    /// It may when it is repeated.
    Passing(Fault),
    /// It will not.
    Final(Fault),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        if failure.is_passing() {
            Self::Passing(failure.into())
        } else {
            Self::Final(failure.into())
        }
    }
}

/// Finds the hook, and keeps it waiting while the boot runs.
pub(super) async fn find(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let until = Instant::now() + context.time_for(HOOK);
    Ok(look(&context, until).await?)
}

async fn look(context: &Context, until: Instant) -> Result<Outcome, Fault> {
    let found = insist(context, HOOK, until, async || Box::pin(search(context)).await).await?;
    let (launch, outcome) = match found {
        Ok(launch) => (Some(launch), Outcome::Unchanged),
        Err(why) => (None, Outcome::Skipped(why)),
    };
    if let Some(Launch { hook, member }) = &launch {
        let (group, state) = (&hook.group, &member.state);
        context.events.log(HOOK, format!("{group}: {} holds this host ({state})", hook.name));
        if member.is_pending() {
            let beat = keep_waiting(context, context.aws().await?.clone(), hook.clone());
            context.background.lock().expect("nobody panics with this lock").spawn(beat);
        }
    }
    let first = context.launch.set(launch).is_ok();
    debug_assert!(first, "this is looked for once");
    Ok(outcome)
}

/// The hook that holds this instance, or why there is none.
async fn search(context: &Context) -> Result<Result<Launch, String>, Trouble> {
    let aws = context.aws().await.map_err(Trouble::Final)?;
    let known = context.must_know();
    let Some(member) = asg::membership(aws, &known.identity.instance_id).await? else {
        return Ok(Err("not in an Auto Scaling group".to_owned()));
    };
    let hooks = asg::launch_hooks(aws, &member.group).await?;
    let hook = choose(hooks, known.asg.hook.as_deref(), &member.group).map_err(Trouble::Final)?;
    let none = || format!("the group {} has no launch hook", member.group);
    Ok(hook.ok_or_else(none).map(|hook| Launch { hook, member }))
}

/// The hook that was named, else the only one.
fn choose(
    mut hooks: Vec<LaunchHook>,
    wanted: Option<&str>,
    group: &str,
) -> Result<Option<LaunchHook>, Fault> {
    let names: Vec<_> = hooks.iter().map(|hook| hook.name.clone()).collect();
    let names = names.join(", ");
    let Some(wanted) = wanted else {
        if hooks.len() < 2 {
            return Ok(hooks.pop());
        }
        return Err(Fault::recipe(format!("the group {group} has several launch hooks: {names}"))
            .hint("name the one that waits for this host as `asg.hook` in host.toml"));
    };
    match hooks.into_iter().find(|hook| hook.name == wanted) {
        Some(hook) => Ok(Some(hook)),
        None => Err(Fault::recipe(format!("the group {group} has no launch hook `{wanted}`"))
            .hint(format!("`asg.hook` can be one of: {names}"))),
    }
}

/// Never ends by itself; the boot drops it.
fn keep_waiting(
    context: &Context,
    aws: aws_config::SdkConfig,
    hook: LaunchHook,
) -> impl Future<Output = ()> + Send + use<> {
    let id = context.must_know().identity.instance_id.clone();
    let events = context.events.clone();
    async move {
        loop {
            // Two may be lost before the group loses its patience.
            tokio::time::sleep(hook.timeout / 3).await;
            if let Err(failure) = asg::heartbeat(&aws, &hook, &id).await {
                events.log(HOOK, format!("a heartbeat was lost: {failure}"));
            }
        }
    }
}

/// Tells the hook that this host is ready.
pub(super) async fn complete(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let until = Instant::now() + context.time_for(LIFECYCLE);
    let Some(Some(launch)) = context.launch.get() else {
        return Ok(Outcome::Skipped("no launch hook".to_owned()));
    };
    if !launch.member.is_pending() {
        return Ok(Outcome::Unchanged);
    }
    let outcome = tell(&context, launch, Verdict::Continue, until).await?;
    stop_waiting(&context);
    Ok(outcome)
}

/// Tells the hook that this host will not become ready. Says what came of it.
pub(super) async fn abandon(context: &Context) -> String {
    let until = Instant::now() + LAST_WORDS;
    if context.known().is_none() {
        return "nobody could be told".to_owned();
    }
    // What was not found in its time may be found now.
    if context.launch.get().is_none()
        && let Err(fault) = look(context, until).await
    {
        return format!("the launch hook could not be found: {fault}");
    }
    let Some(Some(launch)) = context.launch.get() else {
        return "there is no launch hook to tell".to_owned();
    };
    let Launch { hook, member } = launch;
    if !member.is_pending() {
        return format!("the host is {} already, so the launch hook was not told", member.state);
    }
    let told = tell(context, launch, Verdict::Abandon, until).await;
    stop_waiting(context);
    match told {
        Ok(_) => format!("the launch hook {} was told to abandon this host", hook.name),
        Err(fault) => format!("the launch hook {} could not be told: {fault}", hook.name),
    }
}

/// Says whether it had to be told.
async fn tell(
    context: &Context,
    launch: &Launch,
    verdict: Verdict,
    until: Instant,
) -> Result<Outcome, Fault> {
    insist(context, LIFECYCLE, until, async || Box::pin(say(context, &launch.hook, verdict)).await)
        .await
}

async fn say(context: &Context, hook: &LaunchHook, verdict: Verdict) -> Result<Outcome, Trouble> {
    let aws = context.aws().await.map_err(Trouble::Final)?;
    let id = &context.must_know().identity.instance_id;
    let failure = match asg::complete(aws, hook, id, verdict).await {
        Ok(()) => return Ok(Outcome::Changed),
        Err(failure) => failure,
    };
    if !failure.message().contains("No active Lifecycle Action") {
        return Err(failure.into());
    }
    // A boot may be faster than the group: the action becomes active in a moment. Or somebody
    // else has completed it.
    match asg::membership(aws, id).await? {
        Some(member) if member.state == "InService" => Ok(Outcome::Unchanged),
        Some(member) if member.is_pending() => {
            let what = format!("the hook is not active yet ({})", member.state);
            Err(Trouble::Passing(Fault::aws(what).hint("look at the activities of the group")))
        }
        other => {
            let state = other.map_or("in no group any more".to_owned(), |member| member.state);
            Err(Trouble::Final(Fault::aws(format!("the hook is gone and this host is {state}"))))
        }
    }
}

/// Repeats `attempt` while its trouble may pass, and ends with the last trouble.
async fn insist<T>(
    context: &Context,
    step: &str,
    until: Instant,
    attempt: impl AsyncFn() -> Result<T, Trouble>,
) -> Result<T, Fault> {
    let mut last: Option<Fault> = None;
    loop {
        match timeout_at(until, attempt()).await {
            Ok(Ok(done)) => return Ok(done),
            Ok(Err(Trouble::Final(fault))) => return Err(fault),
            Ok(Err(Trouble::Passing(fault))) => {
                let text = fault.to_string();
                if last.replace(fault).is_none_or(|before| before.to_string() != text) {
                    context.events.log(step, text);
                }
            }
            Err(_elapsed) => {}
        }
        let pause = context.machine.pause * 2;
        if Instant::now() + pause >= until {
            let silent = || Fault::aws("Auto Scaling did not answer in time");
            return Err(last.unwrap_or_else(silent));
        }
        tokio::time::sleep(pause).await;
    }
}

fn stop_waiting(context: &Context) {
    context.background.lock().expect("nobody panics with this lock").abort_all();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_hooks_one_must_be_named() {
        let hook = |name: &str| LaunchHook {
            group: "ci".to_owned(),
            name: name.to_owned(),
            timeout: Duration::from_mins(10),
        };
        let both = vec![hook("dns"), hook("boot")];
        let error = choose(both.clone(), None, "ci").unwrap_err();
        assert!(error.to_string().contains("dns, boot"), "{error}");
        assert_eq!(choose(both.clone(), Some("boot"), "ci").unwrap(), Some(hook("boot")));
        assert!(choose(both, Some("other"), "ci").is_err());
        assert_eq!(choose(vec![hook("boot")], None, "ci").unwrap(), Some(hook("boot")));
        assert_eq!(choose(Vec::new(), None, "ci").unwrap(), None);
    }
}
