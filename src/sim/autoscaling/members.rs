//! The group that the guests are in: its instances and their health, what it does not do at the
//! moment, and the target groups that it puts them into.

use super::{Asked, check_group, list, required, validation};
use crate::sim::account::{Account, GROUP, ZONE, ZONE_ID};
use crate::sim::http::Reply;
use crate::sim::instance::{Instance, State};
use crate::sim::own_group::PROCESSES;
use crate::sim::xml::{leaf, node};

const TEMPLATE: &str = "lt-0f00d000000000001";

/// Its instances: all that are not gone.
fn ids(account: &Account) -> Vec<String> {
    let member = |one: &&Instance| one.launch.is_none() && one.state() != State::Terminated;
    account.instances().iter().filter(member).map(|one| one.id.clone()).collect()
}

/// `DescribeAutoScalingInstances`. An id that no group knows is left out, without an error.
pub(super) fn describe(account: &mut Account, asked: &Asked) -> String {
    let wanted = list(asked, "InstanceIds");
    let ids = ids(account).into_iter().filter(|id| wanted.is_empty() || wanted.contains(id));
    let ids: Vec<_> = ids.collect();
    let members: String = ids.iter().map(|id| node("member", &member(account, id))).collect();
    node("AutoScalingInstances", &members)
}

fn template() -> String {
    let template = leaf("LaunchTemplateId", TEMPLATE)
        + &leaf("LaunchTemplateName", GROUP)
        + &leaf("Version", "1");
    node("LaunchTemplate", &template)
}

/// What of an instance is said in both lists; the word for its health differs.
fn common(account: &mut Account, id: &str, healthy: [&str; 2]) -> String {
    let (state, unhealthy) = account
        .instance_mut(id)
        .map_or(("Terminating", false), |(it, now)| (it.lifecycle_word(now), it.unhealthy));
    leaf("InstanceId", id)
        + &leaf("InstanceType", "m5.large")
        + &leaf("AvailabilityZone", ZONE)
        + &leaf("AvailabilityZoneId", ZONE_ID)
        + &leaf("LifecycleState", state)
        + &leaf("HealthStatus", healthy[usize::from(unhealthy)])
        + &template()
        + &leaf("ProtectedFromScaleIn", "false")
}

fn member(account: &mut Account, id: &str) -> String {
    let image = account.instance(id).map(|one| one.image.clone()).unwrap_or_default();
    common(account, id, ["HEALTHY", "UNHEALTHY"])
        + &leaf("AutoScalingGroupName", GROUP)
        + &leaf("ImageId", &image)
}

/// The group, as `DescribeAutoScalingGroups` tells it.
pub(super) fn group(account: &mut Account) -> String {
    let ids = ids(account);
    let instances: String = ids
        .iter()
        .map(|id| node("member", &common(account, id, ["Healthy", "Unhealthy"])))
        .collect();
    let group = &account.group;
    let arns: String = group.target_groups.iter().map(|arn| leaf("member", arn)).collect();
    let source = |arn: &String| node("member", &(leaf("Identifier", arn) + &leaf("Type", "elbv2")));
    let sources: String = group.target_groups.iter().map(source).collect();
    let suspended = group.suspended.iter().map(|process| {
        let reason = leaf("SuspensionReason", "User suspended at the request of a rehearsal");
        node("member", &(leaf("ProcessName", process) + &reason))
    });
    leaf("AutoScalingGroupName", GROUP)
        + &template()
        + &leaf("MinSize", "1")
        + &leaf("MaxSize", "1")
        + &leaf("DesiredCapacity", "1")
        + &leaf("DefaultCooldown", "300")
        + &node("AvailabilityZones", &leaf("member", ZONE))
        + &leaf("HealthCheckType", &group.health_check_type)
        + &leaf("HealthCheckGracePeriod", "0")
        + &node("TargetGroupARNs", &arns)
        + &node("TrafficSources", &sources)
        + &node("SuspendedProcesses", &suspended.collect::<String>())
        + &leaf("CreatedTime", "2026-11-20T00:00:00Z")
        + &node("Instances", &instances)
}

/// `SetInstanceHealth`: an unhealthy instance is let go, unless that is suspended.
pub(super) fn set_health(account: &mut Account, asked: &Asked) -> Result<String, Reply> {
    let id = required(asked, "InstanceId")?;
    let unhealthy = match required(asked, "HealthStatus")? {
        "Healthy" => false,
        "Unhealthy" => true,
        other => {
            let message =
                format!("Invalid Health Status: {other}. Valid values: Healthy, Unhealthy");
            return Err(validation(&message));
        }
    };
    known(account, id)?;
    if let Some((instance, _)) = account.instance_mut(id) {
        instance.unhealthy = unhealthy;
    }
    if unhealthy && !["ReplaceUnhealthy", "Terminate"].iter().any(|it| account.group.suspends(it)) {
        account.let_go(id);
    }
    Ok(String::new())
}

fn known(account: &Account, id: &str) -> Result<(), Reply> {
    if ids(account).iter().any(|one| one == id) {
        return Ok(());
    }
    Err(validation(&format!(
        "Instance Id not found - No managed instance found for instance ID: {id}"
    )))
}

/// `TerminateInstanceInAutoScalingGroup`.
pub(super) fn terminate(account: &mut Account, asked: &Asked) -> Result<String, Reply> {
    let id = required(asked, "InstanceId")?;
    required(asked, "ShouldDecrementDesiredCapacity")?;
    known(account, id)?;
    account.let_go(id);
    let activity = leaf("ActivityId", &crate::sim::random::hex(32))
        + &leaf("AutoScalingGroupName", GROUP)
        + &leaf("Cause", "an instance was taken out of service in response to a user request")
        + &leaf("StartTime", &jiff::Timestamp::now().to_string())
        + &leaf("StatusCode", "InProgress")
        + &leaf("Progress", "0");
    Ok(node("Activity", &activity))
}

/// `SuspendProcesses` and `ResumeProcesses`: those that are named, or all.
pub(super) fn suspend(
    account: &mut Account,
    asked: &Asked,
    suspend: bool,
) -> Result<String, Reply> {
    check_group(asked)?;
    let mut named = list(asked, "ScalingProcesses");
    if let Some(wrong) = named.iter().find(|name| !PROCESSES.contains(&name.as_str())) {
        return Err(validation(&format!("Invalid scaling process type: {wrong}")));
    }
    if named.is_empty() {
        named = PROCESSES.iter().map(|&name| name.to_owned()).collect();
    }
    for name in named {
        if suspend {
            account.group.suspended.insert(name);
        } else {
            account.group.suspended.remove(&name);
        }
    }
    Ok(String::new())
}

/// `AttachLoadBalancerTargetGroups`. Its instances are registered from now on.
pub(super) fn attach(account: &mut Account, asked: &Asked) -> Result<String, Reply> {
    check_group(asked)?;
    let arns = list(asked, "TargetGroupARNs");
    let there = account.region(crate::sim::account::REGION);
    if let Some(wrong) = arns.iter().find(|arn| !there.target_groups.contains_key(*arn)) {
        let message = format!(
            "Provided Target Groups may not be valid. Please ensure they exist and try again: {wrong}"
        );
        return Err(validation(&message));
    }
    for arn in arns {
        if !account.group.target_groups.contains(&arn) {
            account.group.target_groups.push(arn);
        }
    }
    Ok(String::new())
}

/// `DetachLoadBalancerTargetGroups`.
pub(super) fn detach(account: &mut Account, asked: &Asked) -> Result<String, Reply> {
    check_group(asked)?;
    let arns = list(asked, "TargetGroupARNs");
    account.group.target_groups.retain(|arn| !arns.contains(arn));
    Ok(String::new())
}

/// `DescribeLoadBalancerTargetGroups`.
pub(super) fn target_groups(account: &Account, asked: &Asked) -> Result<String, Reply> {
    check_group(asked)?;
    let shape = |arn: &String| {
        node("member", &(leaf("LoadBalancerTargetGroupARN", arn) + &leaf("State", "InService")))
    };
    let members: String = account.group.target_groups.iter().map(shape).collect();
    Ok(node("LoadBalancerTargetGroups", &members))
}
