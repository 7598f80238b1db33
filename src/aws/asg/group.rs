//! What a group is told to do with its instances, and how each of them stands.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::types::{
    AutoScalingGroup, Instance, InstancesDistribution, LaunchTemplate, LaunchTemplateSpecification,
    MixedInstancesPolicy,
};

use super::Failure;

/// A launch template, as a group names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Launches {
    /// `lt-…`; empty where the group says only a name.
    pub id: String,
    /// Its name, where AWS says it.
    pub name: String,
    /// A number, `$Latest` or `$Default`; empty where nothing was said, which means `$Default`.
    pub version: String,
}

impl Launches {
    /// Its version, where that is a number.
    pub fn number(&self) -> Option<i64> {
        self.version.parse().ok()
    }

    /// What it is called by.
    pub fn called(&self) -> &str {
        if self.id.is_empty() { &self.name } else { &self.id }
    }
}

/// One way in which a group of mixed instances launches some.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Override {
    /// `m5.large`; absent where it is chosen by what it must have.
    pub instance_type: Option<String>,
    /// A launch template of its own.
    pub template: Option<Launches>,
    /// An image of its own.
    pub image: Option<String>,
}

/// What is kept ready for a group beside what serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WarmPool {
    /// How many are there at least.
    pub min: u32,
    /// In which state: `Stopped`, `Running`, `Hibernated`.
    pub state: String,
    /// How many there are now.
    pub size: u32,
}

/// An instance of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Member {
    /// `i-…`
    pub id: String,
    /// `InService`, `Standby`, `Pending:Wait`, …
    pub state: String,
    /// Whether the group finds it healthy.
    pub healthy: bool,
    /// Whether it is protected from scale-in, and so from a refresh.
    pub protected: bool,
    /// What it was launched with.
    pub template: Option<Launches>,
    /// `m5.large`
    pub instance_type: String,
    /// Where it is: `eu-west-1a`.
    pub zone: String,
    /// The id of that zone.
    pub zone_id: String,
}

/// A group, as far as its hosts, and who replaces them, must know it.
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
    /// For how long after a launch health checks do not count.
    pub grace: Duration,
    /// For how long an instance warms up, where the group says so.
    pub warmup: Option<Duration>,
    /// The availability zones, by their names.
    pub zones: Vec<String>,
    /// The subnets.
    pub subnets: Vec<String>,
    /// What it launches; absent where it still has a launch configuration.
    pub template: Option<Launches>,
    /// Whether it launches several kinds of instances: a mixed instances policy.
    pub mixed: bool,
    /// Of a mixed instances policy: so many are on-demand instances, and so many percent of what is
    /// beyond these; the others are spot instances.
    pub on_demand: Option<(u32, u32)>,
    /// What those are, beside what the template says.
    pub overrides: Vec<Override>,
    /// What it launches, as groups did before there were launch templates.
    pub configuration: Option<String>,
    /// Its instances, but those of the warm pool.
    pub members: Vec<Member>,
    /// Its warm pool.
    pub warm_pool: Option<WarmPool>,
    /// How many percent of its instances must be there while some are replaced: at least, at most.
    pub maintenance: Option<(i32, i32)>,
    /// Whether it replaces spot instances that may soon be taken away, before they are.
    pub rebalances_capacity: bool,
    /// Whether what it launches is protected from scale-in.
    pub protects_new: bool,
    /// What becomes of an instance whose terminate hook is abandoned: `retain`, `terminate`.
    pub retention: Option<String>,
    /// For how long an instance lives at most.
    pub max_lifetime: Option<Duration>,
    /// What it is about, where it is being deleted.
    pub status: Option<String>,
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

    /// The instances that serve.
    pub fn in_service(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| member.state == "InService")
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
    let seconds =
        |number: Option<i32>| number.and_then(|n| u64::try_from(n).ok()).map(Duration::from_secs);
    let mixed = group.mixed_instances_policy();
    let template = group
        .launch_template()
        .or_else(|| mixed.and_then(|it| it.launch_template())?.launch_template_specification());
    let subnets = group.vpc_zone_identifier().unwrap_or_default().split(',');
    let maintenance = group.instance_maintenance_policy();
    let retention = group.instance_lifecycle_policy().and_then(|it| it.retention_triggers());
    Group {
        name: group.auto_scaling_group_name().unwrap_or_default().to_owned(),
        target_groups,
        health_checks: checks.map(|check| check.trim().to_owned()).collect(),
        suspended: suspended.map(str::to_owned).collect(),
        desired: count(group.desired_capacity()),
        min: count(group.min_size()),
        max: count(group.max_size()),
        grace: seconds(group.health_check_grace_period()).unwrap_or_default(),
        warmup: seconds(group.default_instance_warmup()),
        zones: group.availability_zones().to_vec(),
        subnets: subnets.map(str::trim).filter(|it| !it.is_empty()).map(str::to_owned).collect(),
        template: template.map(launches),
        mixed: mixed.is_some(),
        on_demand: mixed.map(on_demand),
        overrides: mixed.map(overrides).unwrap_or_default(),
        configuration: group.launch_configuration_name().map(str::to_owned),
        members: group.instances().iter().filter_map(member).collect(),
        warm_pool: group.warm_pool_configuration().map(|pool| WarmPool {
            min: count(pool.min_size()),
            state: pool.pool_state().map_or("Stopped", |it| it.as_str()).to_owned(),
            size: count(group.warm_pool_size()),
        }),
        // An end that is not set is -1.
        maintenance: maintenance.and_then(|it| {
            let both = (it.min_healthy_percentage()?, it.max_healthy_percentage()?);
            (both.0 >= 0 && both.1 >= 0).then_some(both)
        }),
        rebalances_capacity: group.capacity_rebalance() == Some(true),
        protects_new: group.new_instances_protected_from_scale_in() == Some(true),
        retention: retention.and_then(|it| Some(it.terminate_hook_abandon()?.as_str().to_owned())),
        max_lifetime: seconds(group.max_instance_lifetime()).filter(|it| !it.is_zero()),
        status: group.status().map(str::to_owned),
    }
}

fn count(number: Option<i32>) -> u32 {
    number.and_then(|n| u32::try_from(n).ok()).unwrap_or(0)
}

fn launches(told: &LaunchTemplateSpecification) -> Launches {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    Launches {
        id: text(told.launch_template_id()),
        name: text(told.launch_template_name()),
        version: text(told.version()),
    }
}

/// AWS's own words where nothing is said: all of them.
fn on_demand(policy: &MixedInstancesPolicy) -> (u32, u32) {
    let spread = policy.instances_distribution();
    let percent = spread.and_then(InstancesDistribution::on_demand_percentage_above_base_capacity);
    let base = spread.and_then(InstancesDistribution::on_demand_base_capacity);
    (count(base), percent.map_or(100, |percent| count(Some(percent))))
}

fn overrides(policy: &MixedInstancesPolicy) -> Vec<Override> {
    let all = policy.launch_template().map(LaunchTemplate::overrides).unwrap_or_default();
    let one = all.iter().map(|it| Override {
        instance_type: it.instance_type().map(str::to_owned),
        template: it.launch_template_specification().map(launches),
        image: it.image_id().map(str::to_owned),
    });
    one.collect()
}

fn member(instance: &Instance) -> Option<Member> {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    Some(Member {
        id: instance.instance_id()?.to_owned(),
        state: instance.lifecycle_state().map_or("", |it| it.as_str()).to_owned(),
        healthy: instance.health_status().is_none_or(|it| it.eq_ignore_ascii_case("healthy")),
        protected: instance.protected_from_scale_in() == Some(true),
        template: instance.launch_template().map(launches),
        instance_type: text(instance.instance_type()),
        zone: text(instance.availability_zone()),
        zone_id: text(instance.availability_zone_id()),
    })
}

#[cfg(test)]
mod tests {
    use aws_sdk_autoscaling::types::{
        InstanceMaintenancePolicy, SuspendedProcess, TrafficSourceIdentifier,
    };

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
            .vpc_zone_identifier("subnet-1, subnet-2")
            .instance_maintenance_policy(
                InstanceMaintenancePolicy::builder()
                    .min_healthy_percentage(-1)
                    .max_healthy_percentage(-1)
                    .build(),
            )
            .max_instance_lifetime(0)
            .build();
        let seen = read(&told);
        assert_eq!(seen.target_groups, [ARN.to_owned(), format!("{ARN}4")]);
        assert!(seen.heeds_load_balancer() && seen.suspends("Launch"));
        assert_eq!(seen.subnets, ["subnet-1", "subnet-2"]);
        assert_eq!((seen.maintenance, seen.max_lifetime), (None, None), "it says that none is set");
        let suspended = Group { suspended: vec!["ReplaceUnhealthy".to_owned()], ..seen };
        assert!(!suspended.heeds_load_balancer());
    }
}
