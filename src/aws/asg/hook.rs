//! The hooks of a group: what waits for an instance that comes or goes.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_autoscaling::Client;

use super::Failure;

/// No hook waits for longer, whatever it hears.
const LONGEST: Duration = Duration::from_hours(48);
/// Nor for more of its time-outs.
const MOST_TIMEOUTS: u32 = 100;
/// The time-out of a hook that says none.
const USUAL: Duration = Duration::from_hours(1);

/// When a hook waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// An instance comes: it waits until that is ready.
    Launching,
    /// An instance goes: it waits until that is drained.
    Terminating,
}

impl Transition {
    /// As Auto Scaling calls it.
    const fn word(self) -> &'static str {
        match self {
            Self::Launching => "autoscaling:EC2_INSTANCE_LAUNCHING",
            Self::Terminating => "autoscaling:EC2_INSTANCE_TERMINATING",
        }
    }

    /// What people call a hook of this kind.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Launching => "launch hook",
            Self::Terminating => "terminate hook",
        }
    }
}

/// A hook: it holds an instance until it is told to let it go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The group.
    pub group: String,
    /// Its name.
    pub name: String,
    /// When it waits.
    pub transition: Transition,
    /// After this long without a heartbeat the group decides for itself.
    pub timeout: Duration,
    /// After this long it does so, heartbeats or not.
    pub at_most: Duration,
}

/// What is said to a hook at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Let the instance go on: into service, or away.
    Continue,
    /// Terminate it: a launch has failed, or a drain is given up.
    Abandon,
}

/// A hook, and what the group takes for its answer when it hears nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    /// The hook.
    pub hook: Hook,
    /// What becomes of an instance when its time is over.
    pub otherwise: Verdict,
}

/// The hooks of a group that wait for instances that come, or that go.
pub async fn hooks(
    config: &SdkConfig,
    group: &str,
    transition: Transition,
) -> Result<Vec<Hook>, Failure> {
    let all = posted(config, group).await?.into_iter().map(|posted| posted.hook);
    Ok(all.filter(|hook| hook.transition == transition).collect())
}

/// All hooks of a group.
pub async fn posted(config: &SdkConfig, group: &str) -> Result<Vec<Posted>, Failure> {
    let answer = Client::new(config)
        .describe_lifecycle_hooks()
        .auto_scaling_group_name(group)
        .send()
        .await
        .map_err(|error| Failure::new("autoscaling:DescribeLifecycleHooks", &error))?;
    let hooks = answer.lifecycle_hooks().iter().filter_map(|hook| {
        let word = hook.lifecycle_transition();
        let kinds = [Transition::Launching, Transition::Terminating];
        let timeout = seconds(hook.heartbeat_timeout()).unwrap_or(USUAL);
        let cap = timeout.saturating_mul(MOST_TIMEOUTS).min(LONGEST);
        let goes_on = hook.default_result() == Some("CONTINUE");
        Some(Posted {
            hook: Hook {
                group: group.to_owned(),
                name: hook.lifecycle_hook_name()?.to_owned(),
                transition: kinds.into_iter().find(|kind| word == Some(kind.word()))?,
                timeout,
                at_most: seconds(hook.global_timeout()).map_or(cap, |told| told.min(cap)),
            },
            otherwise: if goes_on { Verdict::Continue } else { Verdict::Abandon },
        })
    });
    Ok(hooks.collect())
}

fn seconds(told: Option<i32>) -> Option<Duration> {
    let seconds = told.and_then(|seconds| u64::try_from(seconds).ok());
    seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs)
}

/// Asks the hook for more time.
pub async fn heartbeat(config: &SdkConfig, hook: &Hook, instance_id: &str) -> Result<(), Failure> {
    Client::new(config)
        .record_lifecycle_action_heartbeat()
        .auto_scaling_group_name(&hook.group)
        .lifecycle_hook_name(&hook.name)
        .instance_id(instance_id)
        .send()
        .await
        .map(drop)
        .map_err(|error| Failure::new("autoscaling:RecordLifecycleActionHeartbeat", &error))
}

/// Tells the hook how it went.
pub async fn complete(
    config: &SdkConfig,
    hook: &Hook,
    instance_id: &str,
    verdict: Verdict,
) -> Result<(), Failure> {
    let result = match verdict {
        Verdict::Continue => "CONTINUE",
        Verdict::Abandon => "ABANDON",
    };
    Client::new(config)
        .complete_lifecycle_action()
        .auto_scaling_group_name(&hook.group)
        .lifecycle_hook_name(&hook.name)
        .instance_id(instance_id)
        .lifecycle_action_result(result)
        .send()
        .await
        .map(drop)
        .map_err(|error| Failure::new("autoscaling:CompleteLifecycleAction", &error))
}
