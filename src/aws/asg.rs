//! Auto Scaling: the group that an instance is in, and its launch hook.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_autoscaling::Client;

use super::Failure;

const LAUNCHING: &str = "autoscaling:EC2_INSTANCE_LAUNCHING";

/// An instance's place in its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The group.
    pub group: String,
    /// `Pending`, `Pending:Wait`, `InService`, …
    pub state: String,
}

/// The hook that holds an instance back until it is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaunchHook {
    /// The group.
    pub group: String,
    /// The hook.
    pub name: String,
    /// After this long without a heartbeat the group decides for itself.
    pub timeout: Duration,
}

/// What is said to a hook at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Put the instance into service.
    Continue,
    /// Terminate it and try another one.
    Abandon,
}

/// In which group the instance is, if in any.
pub async fn membership(
    config: &SdkConfig,
    instance_id: &str,
) -> Result<Option<Membership>, Failure> {
    let answer = Client::new(config)
        .describe_auto_scaling_instances()
        .instance_ids(instance_id)
        .send()
        .await
        .map_err(|error| Failure::new("autoscaling:DescribeAutoScalingInstances", &error))?;
    let instance = answer.auto_scaling_instances().iter().find_map(|instance| {
        let group = instance.auto_scaling_group_name()?.to_owned();
        let state = instance.lifecycle_state().unwrap_or_default().to_owned();
        (instance.instance_id() == Some(instance_id)).then_some(Membership { group, state })
    });
    Ok(instance)
}

/// The launch hook of a group, if it has one.
pub async fn launch_hook(config: &SdkConfig, group: &str) -> Result<Option<LaunchHook>, Failure> {
    let answer = Client::new(config)
        .describe_lifecycle_hooks()
        .auto_scaling_group_name(group)
        .send()
        .await
        .map_err(|error| Failure::new("autoscaling:DescribeLifecycleHooks", &error))?;
    let mut hooks = answer.lifecycle_hooks().iter();
    let hook = hooks.find(|hook| hook.lifecycle_transition() == Some(LAUNCHING));
    Ok(hook.and_then(|hook| {
        let seconds = hook.heartbeat_timeout().and_then(|s| u64::try_from(s).ok());
        Some(LaunchHook {
            group: group.to_owned(),
            name: hook.lifecycle_hook_name()?.to_owned(),
            timeout: Duration::from_secs(seconds.filter(|s| *s > 0).unwrap_or(3600)),
        })
    }))
}

/// Asks the hook for more time.
pub async fn heartbeat(
    config: &SdkConfig,
    hook: &LaunchHook,
    instance_id: &str,
) -> Result<(), Failure> {
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

/// Tells the hook how the launch went.
pub async fn complete(
    config: &SdkConfig,
    hook: &LaunchHook,
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
