//! What a group is told to do with its instances.

use aws_config::SdkConfig;
use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::types::AutoScalingGroup;

use super::Failure;

/// A group, as far as one of its hosts must know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// The ARNs of the target groups that it puts its instances into.
    pub target_groups: Vec<String>,
    /// By whose word an instance is unhealthy: `EC2`, and perhaps `ELB`.
    pub health_checks: Vec<String>,
    /// What it does not do at the moment: `ReplaceUnhealthy`, `Launch`, …
    pub suspended: Vec<String>,
    /// How many instances it wants.
    pub desired: u32,
    /// How many it has at least.
    pub min: u32,
    /// How many it has at most.
    pub max: u32,
}

impl Group {
    /// Whether it replaces an instance that the load balancer finds unhealthy.
    pub fn heeds_load_balancer(&self) -> bool {
        self.health_checks.iter().any(|check| check == "ELB") && self.replaces()
    }

    /// Whether it replaces an unhealthy instance at all.
    pub fn replaces(&self) -> bool {
        !["ReplaceUnhealthy", "Terminate", "HealthCheck"].iter().any(|one| self.suspends(one))
    }

    /// Whether it does not do `process` at the moment.
    pub fn suspends(&self, process: &str) -> bool {
        self.suspended.iter().any(|suspended| suspended == process)
    }
}

/// Looks at a group; `None` where there is no such group.
pub async fn describe(config: &SdkConfig, name: &str) -> Result<Option<Group>, Failure> {
    let answer = Client::new(config)
        .describe_auto_scaling_groups()
        .auto_scaling_group_names(name)
        .send()
        .await
        .map_err(|error| Failure::new("autoscaling:DescribeAutoScalingGroups", &error))?;
    let named = |group: &&AutoScalingGroup| group.auto_scaling_group_name() == Some(name);
    Ok(answer.auto_scaling_groups().iter().find(named).map(read))
}

pub(super) fn read(group: &AutoScalingGroup) -> Group {
    // A target group is attached in one of two ways; the newer one tells those of the older, too.
    let sources = group.traffic_sources().iter().filter_map(|source| source.identifier());
    let mut target_groups: Vec<String> = group.target_group_arns().to_vec();
    target_groups.extend(sources.filter(|arn| arn.contains(":targetgroup/")).map(str::to_owned));
    target_groups.sort_unstable();
    target_groups.dedup();
    let checks = group.health_check_type().unwrap_or("EC2").split(',');
    let suspended = group.suspended_processes().iter().filter_map(|one| one.process_name());
    let count = |number: Option<i32>| number.and_then(|n| u32::try_from(n).ok()).unwrap_or(0);
    Group {
        name: group.auto_scaling_group_name().unwrap_or_default().to_owned(),
        target_groups,
        health_checks: checks.map(|check| check.trim().to_owned()).collect(),
        suspended: suspended.map(str::to_owned).collect(),
        desired: count(group.desired_capacity()),
        min: count(group.min_size()),
        max: count(group.max_size()),
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_autoscaling::types::{SuspendedProcess, TrafficSourceIdentifier};

    use super::*;

    const ARN: &str = "arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/ci/0123";

    #[test]
    fn a_target_group_is_found_by_whichever_way_it_was_attached() {
        let source = |id: &str| TrafficSourceIdentifier::builder().identifier(id).build();
        let told = AutoScalingGroup::builder()
            .target_group_arns(ARN)
            .traffic_sources(source(ARN))
            .traffic_sources(source(&format!("{ARN}4")))
            .traffic_sources(source("a-classic-one"))
            .health_check_type("EC2,ELB")
            .suspended_processes(SuspendedProcess::builder().process_name("Launch").build())
            .build();
        let seen = read(&told);
        assert_eq!(seen.target_groups, [ARN.to_owned(), format!("{ARN}4")]);
        assert!(seen.heeds_load_balancer() && seen.suspends("Launch"));
        let suspended = Group { suspended: vec!["ReplaceUnhealthy".to_owned()], ..seen };
        assert!(!suspended.heeds_load_balancer());
    }
}
