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

impl Membership {
    /// Whether the instance is still on its way into service.
    pub fn is_pending(&self) -> bool {
        is_pending(&self.state)
    }
}

/// Whether a lifecycle state is one on the way into service, or into a warm pool.
fn is_pending(state: &str) -> bool {
    state.strip_prefix("Warmed:").unwrap_or(state).starts_with("Pending")
}

/// The launch hooks of a group.
pub async fn launch_hooks(config: &SdkConfig, group: &str) -> Result<Vec<LaunchHook>, Failure> {
    let answer = Client::new(config)
        .describe_lifecycle_hooks()
        .auto_scaling_group_name(group)
        .send()
        .await
        .map_err(|error| Failure::new("autoscaling:DescribeLifecycleHooks", &error))?;
    let hooks = answer.lifecycle_hooks().iter();
    let launching = hooks.filter(|hook| hook.lifecycle_transition() == Some(LAUNCHING));
    let hooks = launching.filter_map(|hook| {
        let seconds = hook.heartbeat_timeout().and_then(|s| u64::try_from(s).ok());
        Some(LaunchHook {
            group: group.to_owned(),
            name: hook.lifecycle_hook_name()?.to_owned(),
            timeout: Duration::from_secs(seconds.filter(|s| *s > 0).unwrap_or(3600)),
        })
    });
    Ok(hooks.collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_on_its_way_into_a_warm_pool_is_pending_too() {
        for state in ["Pending", "Pending:Wait", "Warmed:Pending:Wait"] {
            assert!(is_pending(state), "{state}");
        }
        assert!(!is_pending("InService") && !is_pending("Warmed:Stopped"));
    }
}
