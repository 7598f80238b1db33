//! Groups and their instances, as answers show them.

use super::{engine, tags};
use crate::sim::account::Account;
use crate::sim::ec2::shape::time;
use crate::sim::group::habits::Habits;
use crate::sim::group::member::Seen;
use crate::sim::group::source::Source;
use crate::sim::group::{Group, WarmPool};
use crate::sim::network;
use crate::sim::region::Region;
use crate::sim::xml::{leaf, node};

/// A launch template and a version of it.
fn template(region: &Region, id: &str, version: &str) -> String {
    let found = region.launch_templates.get(id);
    let name = found.map(|template| leaf("LaunchTemplateName", &template.name));
    leaf("LaunchTemplateId", id) + &name.unwrap_or_default() + &leaf("Version", version)
}

/// What a group launches.
pub(in crate::sim) fn source(region: &Region, source: &Source) -> String {
    let own = template(region, &source.template, &source.version);
    if !source.mixed {
        return node("LaunchTemplate", &own);
    }
    let some = |name: &str, text: &Option<String>| {
        text.as_ref().map(|text| leaf(name, text)).unwrap_or_default()
    };
    let overrides = source.overrides.iter().map(|one| {
        let specification = one.template.as_ref().map(|(id, version)| {
            node("LaunchTemplateSpecification", &template(region, id, version))
        });
        let inner = some("InstanceType", &one.instance_type)
            + &some("WeightedCapacity", &one.weight)
            + &specification.unwrap_or_default()
            + &some("ImageId", &one.image);
        node("member", &inner)
    });
    let usual = [
        ("OnDemandAllocationStrategy", "prioritized"),
        ("OnDemandBaseCapacity", "0"),
        ("OnDemandPercentageAboveBaseCapacity", "100"),
        ("SpotAllocationStrategy", "lowest-price"),
        ("SpotInstancePools", "2"),
    ];
    let distribution = usual.map(|(name, otherwise)| {
        leaf(name, source.distribution.get(name).map_or(otherwise, String::as_str))
    });
    let launches = node("LaunchTemplateSpecification", &own)
        + &node("Overrides", &overrides.collect::<String>());
    let policy =
        node("LaunchTemplate", &launches) + &node("InstancesDistribution", &distribution.concat());
    node("MixedInstancesPolicy", &policy)
}

/// A group with its instances.
pub(super) fn group(account: &mut Account, region: &str, name: &str) -> String {
    let seen = engine::members(account, region, name);
    let (warm, serving): (Vec<_>, Vec<_>) = seen.into_iter().partition(|one| one.warm.is_some());
    let mut instances = String::new();
    for one in &serving {
        instances += &node("member", &instance(account, region, one));
    }
    let there = account.region(region);
    let Some(group) = there.groups.get(name) else { return String::new() };
    instances += &shown(there, group);
    let pool = group.warm_pool.as_ref().map(|it| {
        node("WarmPoolConfiguration", &pool(it)) + &leaf("WarmPoolSize", &warm.len().to_string())
    });
    outline(there, group, region)
        + &node("Instances", &instances)
        + &habits(&group.habits)
        + &pool.unwrap_or_default()
}

/// All but its instances, its warm pool and its habits.
fn outline(region: &Region, group: &Group, in_region: &str) -> String {
    let list = |name: &str, texts: &[String]| {
        node(name, &texts.iter().map(|text| leaf("member", text)).collect::<String>())
    };
    let number = |name: &str, number: u64| leaf(name, &number.to_string());
    let maybe =
        |name: &str, found: Option<u64>| found.map(|it| number(name, it)).unwrap_or_default();
    let some =
        |name: &str, text: Option<&String>| text.map(|text| leaf(name, text)).unwrap_or_default();
    let maintenance = group.maintenance.map(|policy| {
        let inner = leaf("MinHealthyPercentage", &policy.least.to_string())
            + &leaf("MaxHealthyPercentage", &policy.most.to_string());
        node("InstanceMaintenancePolicy", &inner)
    });
    let retains = if group.retains { "retain" } else { "terminate" };
    let lifecycle = node("RetentionTriggers", &leaf("TerminateHookAbandon", retains));
    let tags: String = group
        .tags
        .iter()
        .map(|(key, tag)| node("member", &tags::shape(&group.name, key, tag)))
        .collect();
    let truth = |name: &str, flag: bool| leaf(name, if flag { "true" } else { "false" });
    leaf("AutoScalingGroupName", &group.name)
        + &leaf("AutoScalingGroupARN", &group.arn(in_region))
        + &some("LaunchConfigurationName", group.configuration.as_ref())
        + &group.launches.as_ref().map(|it| source(region, it)).unwrap_or_default()
        + &number("MinSize", group.min)
        + &number("MaxSize", group.max)
        + &number("DesiredCapacity", group.desired)
        + &number("DefaultCooldown", group.cooldown)
        + &list("AvailabilityZones", &group.zones)
        + &node("LoadBalancerNames", "")
        + &number("HealthCheckGracePeriod", group.grace)
        + &leaf("CreatedTime", &time(group.created))
        + &leaf("VPCZoneIdentifier", &group.subnets.join(","))
        + &node("EnabledMetrics", "")
        + &if group.deleting { leaf("Status", "Delete in progress") } else { String::new() }
        + &node("Tags", &tags)
        + &list("TerminationPolicies", &group.termination)
        + &truth("NewInstancesProtectedFromScaleIn", group.protects)
        + &some("ServiceLinkedRoleARN", group.role.as_ref())
        + &maybe("MaxInstanceLifetime", group.lifetime)
        + &truth("CapacityRebalance", group.rebalances)
        + &maybe("DefaultInstanceWarmup", group.warmup)
        + &maintenance.unwrap_or_default()
        + &some("DeletionProtection", group.deletion_protection.as_ref())
        + &if group.retains { node("InstanceLifecyclePolicy", &lifecycle) } else { String::new() }
}

/// What the guests' group has in common with others.
pub(super) fn habits(habits: &Habits) -> String {
    let arns: String = habits.target_groups.iter().map(|arn| leaf("member", arn)).collect();
    let source = |arn: &String| node("member", &(leaf("Identifier", arn) + &leaf("Type", "elbv2")));
    let sources: String = habits.target_groups.iter().map(source).collect();
    let suspended = habits.suspended.iter().map(|process| {
        let reason = leaf("SuspensionReason", "User suspended at the request of a rehearsal");
        node("member", &(leaf("ProcessName", process.word()) + &reason))
    });
    leaf("HealthCheckType", &habits.health_check_type)
        + &node("TargetGroupARNs", &arns)
        + &node("TrafficSources", &sources)
        + &node("SuspendedProcesses", &suspended.collect::<String>())
}

/// A warm pool.
pub(super) fn pool(pool: &WarmPool) -> String {
    let prepared = pool.prepared.map(|it| leaf("MaxGroupPreparedCapacity", &it.to_string()));
    let reuses = pool.reuses.map(|it| {
        node("InstanceReusePolicy", &leaf("ReuseOnScaleIn", if it { "true" } else { "false" }))
    });
    prepared.unwrap_or_default()
        + &leaf("MinSize", &pool.least.to_string())
        + &leaf("PoolState", pool.state.word())
        + &if pool.deleting { leaf("Status", "PendingDelete") } else { String::new() }
        + &reuses.unwrap_or_default()
}

/// An instance, as its group lists it.
pub(super) fn instance(account: &mut Account, region: &str, seen: &Seen) -> String {
    common(account, region, seen, ["Healthy", "Unhealthy"])
}

/// What of an instance is said in both lists; the word for its health differs.
pub(super) fn common(
    account: &mut Account,
    region: &str,
    seen: &Seen,
    healthy: [&str; 2],
) -> String {
    let word = account.instance_mut(&seen.id).map(|(it, now)| it.lifecycle_word(now));
    let launched = seen.template.as_ref().map(|(id, version)| {
        node("LaunchTemplate", &template(account.region(region), id, &version.to_string()))
    });
    leaf("InstanceId", &seen.id)
        + &leaf("InstanceType", &seen.instance_type)
        + &leaf("AvailabilityZone", &seen.zone)
        + &leaf("AvailabilityZoneId", &network::id_of_zone(&seen.zone))
        + &leaf("LifecycleState", &word.unwrap_or_default())
        + &leaf("HealthStatus", healthy[usize::from(seen.ill.is_some())])
        + &launched.unwrap_or_default()
        + &leaf("ImageId", &seen.image)
        + &leaf("ProtectedFromScaleIn", if seen.protected { "true" } else { "false" })
}

/// Instances that are only shown.
fn shown(region: &Region, group: &Group) -> String {
    let id = group.launches.as_ref().map_or("", |source| &source.template);
    let all = group.instances.iter().map(|(instance, version)| {
        let inner = leaf("InstanceId", instance)
            + &leaf("LifecycleState", "InService")
            + &leaf("HealthStatus", "Healthy")
            + &node("LaunchTemplate", &template(region, id, version));
        node("member", &inner)
    });
    all.collect()
}
