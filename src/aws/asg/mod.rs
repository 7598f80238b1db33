//! Auto Scaling: groups and their hosts, the hooks that wait for one, its health, and how hosts are
//! replaced.

mod group;
mod hook;
mod hosts;
pub mod process;
pub mod refresh;

use aws_config::SdkConfig;
use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::primitives::DateTime;
use jiff::Timestamp;

pub use group::{Group, Launches, Member, Override, WarmPool, describe};
pub use hook::{Hook, Posted, Transition, Verdict, complete, heartbeat, hooks, posted};
pub use hosts::{Activity, Crew, Host, Kind, activities, crew};

use super::Failure;

/// An instance's place in its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The group.
    pub group: String,
    /// `Pending`, `Pending:Wait`, `InService`, …; empty where only the name of the group is known.
    pub state: String,
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
    /// Whether the instance is still on its way into service, or into a warm pool.
    pub fn is_pending(&self) -> bool {
        self.bare().starts_with("Pending")
    }

    /// Whether the group lets it go: it is being terminated, or is gone.
    pub fn is_leaving(&self) -> bool {
        self.bare().starts_with("Terminat")
    }

    /// Whether it serves.
    pub fn is_in_service(&self) -> bool {
        self.state == "InService"
    }

    /// Whether it is in the warm pool, or on its way into or out of it.
    pub fn is_warm(&self) -> bool {
        self.state.starts_with("Warmed:")
    }

    /// Whether nothing but the name of the group is known.
    pub const fn is_unknown(&self) -> bool {
        self.state.is_empty()
    }

    fn bare(&self) -> &str {
        self.state.strip_prefix("Warmed:").unwrap_or(&self.state)
    }
}

/// Tells the group that an instance does not serve any more: it is terminated and replaced. The
/// grace period of the group does not matter.
pub async fn set_unhealthy(config: &SdkConfig, instance_id: &str) -> Result<(), Failure> {
    Client::new(config)
        .set_instance_health()
        .instance_id(instance_id)
        .health_status("Unhealthy")
        .should_respect_grace_period(false)
        .send()
        .await
        .map(drop)
        .map_err(|error| Failure::new("autoscaling:SetInstanceHealth", &error))
}

/// Tells the group that an instance serves again: else it is replaced for what was said of it before.
pub async fn set_healthy(config: &SdkConfig, instance_id: &str) -> Result<(), Failure> {
    Client::new(config)
        .set_instance_health()
        .instance_id(instance_id)
        .health_status("Healthy")
        .send()
        .await
        .map(drop)
        .map_err(|error| Failure::new("autoscaling:SetInstanceHealth", &error))
}

fn time(at: &DateTime) -> Option<Timestamp> {
    Timestamp::from_millisecond(at.to_millis().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_told_apart_in_a_warm_pool_too() {
        let member = |state: &str| Membership { group: "ci".to_owned(), state: state.to_owned() };
        for state in ["Pending", "Pending:Wait", "Warmed:Pending:Wait"] {
            assert!(member(state).is_pending() && !member(state).is_leaving(), "{state}");
        }
        for state in ["Terminating", "Terminating:Wait", "Warmed:Terminating:Wait", "Terminated"] {
            assert!(member(state).is_leaving() && !member(state).is_pending(), "{state}");
        }
        let warm = member("Warmed:Stopped");
        assert!(warm.is_warm() && !warm.is_pending() && !warm.is_in_service());
        assert!(member("InService").is_in_service() && member("").is_unknown());
    }
}
