//! The instances of groups, those of the guests too: `DescribeAutoScalingInstances`, and which
//! instance is in which group.

use super::{Asked, engine, is_of, list, number, shape, validation};
use crate::sim::account::{Account, GROUP, REGION, ZONE, ZONE_ID};
use crate::sim::http::Reply;
use crate::sim::instance::{Instance, State};
use crate::sim::xml::{leaf, node};

const TEMPLATE: &str = "lt-0f00d000000000001";

/// The guests: all that are not gone.
fn ids(account: &Account) -> Vec<String> {
    let member = |one: &&Instance| one.launch.is_none() && one.state() != State::Terminated;
    account.instances().iter().filter(member).map(|one| one.id.clone()).collect()
}

/// `DescribeAutoScalingInstances`. An id that no group knows is left out, without an error.
pub(super) fn describe(
    account: &mut Account,
    region: &str,
    asked: &Asked,
) -> Result<String, Reply> {
    let most = number(asked, "MaxRecords", 1, 50)?.unwrap_or(50);
    let after = asked.get("NextToken").map_or("", String::as_str);
    let wanted = list(asked, "InstanceIds");
    let names: Vec<_> = account.region(region).groups.keys().cloned().collect();
    let mut found = Vec::new();
    if region == REGION {
        for id in ids(account) {
            let shown = of_guest(account, &id);
            found.push((id, shown));
        }
    }
    for name in names {
        for seen in engine::members(account, region, &name) {
            let inner = shape::common(account, region, &seen, ["HEALTHY", "UNHEALTHY"])
                + &leaf("AutoScalingGroupName", &name);
            found.push((seen.id, inner));
        }
    }
    found.retain(|(id, _)| wanted.is_empty() || wanted.contains(id));
    let from = found.iter().position(|(id, _)| id == after).map_or(0, |at| at + 1);
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let part = found.iter().skip(from).take(most);
    let members: String = part.map(|(_, inner)| node("member", inner)).collect();
    let next = found.get(from + most).and(found.get(from + most - 1));
    let token = next.map(|(id, _)| leaf("NextToken", id));
    Ok(node("AutoScalingInstances", &members) + &token.unwrap_or_default())
}

fn template() -> String {
    let template = leaf("LaunchTemplateId", TEMPLATE)
        + &leaf("LaunchTemplateName", GROUP)
        + &leaf("Version", "1");
    node("LaunchTemplate", &template)
}

/// What of a guest is said in both lists; the word for its health differs.
fn common(account: &mut Account, id: &str, healthy: [&str; 2]) -> String {
    let (state, unhealthy) =
        account.instance_mut(id).map_or(("Terminating".to_owned(), false), |(it, now)| {
            (it.lifecycle_word(now), it.unhealthy)
        });
    leaf("InstanceId", id)
        + &leaf("InstanceType", "m5.large")
        + &leaf("AvailabilityZone", ZONE)
        + &leaf("AvailabilityZoneId", ZONE_ID)
        + &leaf("LifecycleState", &state)
        + &leaf("HealthStatus", healthy[usize::from(unhealthy)])
        + &template()
        + &leaf("ProtectedFromScaleIn", "false")
}

fn of_guest(account: &mut Account, id: &str) -> String {
    let image = account.instance(id).map(|one| one.image.clone()).unwrap_or_default();
    common(account, id, ["HEALTHY", "UNHEALTHY"])
        + &leaf("AutoScalingGroupName", GROUP)
        + &leaf("ImageId", &image)
}

/// The group of the guests, as `DescribeAutoScalingGroups` tells it.
pub(super) fn guests(account: &mut Account) -> String {
    let ids = ids(account);
    let instances: String = ids
        .iter()
        .map(|id| node("member", &common(account, id, ["Healthy", "Unhealthy"])))
        .collect();
    leaf("AutoScalingGroupName", GROUP)
        + &template()
        + &leaf("MinSize", "1")
        + &leaf("MaxSize", "1")
        + &leaf("DesiredCapacity", "1")
        + &leaf("DefaultCooldown", "300")
        + &node("AvailabilityZones", &leaf("member", ZONE))
        + &leaf("HealthCheckGracePeriod", "0")
        + &node("Instances", &instances)
        + &shape::habits(&account.group)
        + &leaf("CreatedTime", "2026-11-20T00:00:00Z")
}

/// The group of an instance that is in one and not gone.
pub(super) fn known(account: &mut Account, region: &str, id: &str) -> Result<String, Reply> {
    let unknown = || {
        validation(&format!(
            "Instance Id not found - No managed instance found for instance ID: {id}"
        ))
    };
    if region == REGION && ids(account).iter().any(|one| one == id) {
        return Ok(GROUP.to_owned());
    }
    engine::see(account, id).ok_or_else(unknown)?;
    let instance = account.instance(id).filter(|instance| instance.region() == region);
    let member = instance.and_then(|instance| instance.member.as_ref());
    member.map(|member| member.group.clone()).ok_or_else(unknown)
}

/// Refuses an instance that is not in this group.
pub(super) fn of(account: &mut Account, region: &str, group: &str, id: &str) -> Result<(), Reply> {
    let is_member = account.instance(id).is_some_and(|one| is_of(one, region, group));
    if is_member && engine::see(account, id).is_some() {
        return Ok(());
    }
    Err(validation(&format!("The instance {id} is not part of Auto Scaling group {group}.")))
}

/// The instances of a group that a request names, all of which must be in service.
pub(super) fn serving(
    account: &mut Account,
    region: &str,
    group: &str,
    ids: &[String],
) -> Result<Vec<String>, Reply> {
    for id in ids {
        of(account, region, group, id)?;
        let serves = engine::see(account, id).is_some_and(|seen| seen.is_in_service());
        if !serves {
            let word = account.instance_mut(id).map(|(it, now)| it.lifecycle_word(now));
            return Err(validation(&format!(
                "The instance {id} is not in InService: it is in {}.",
                word.unwrap_or_default()
            )));
        }
    }
    Ok(ids.to_vec())
}
