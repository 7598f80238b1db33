//! The target groups that a group puts its instances into: attached, detached, told.

use super::{Asked, habits, list, named, structures, validation};
use crate::sim::account::Account;
use crate::sim::http::Reply;
use crate::sim::region::Region;
use crate::sim::xml::{leaf, node};

/// The target groups that a group is made with.
pub(super) fn listed(region: &Region, asked: &Asked) -> Result<Vec<String>, Reply> {
    let mut arns = list(asked, "TargetGroupARNs");
    for arn in sources(asked)? {
        if !arns.contains(&arn) {
            arns.push(arn);
        }
    }
    check(region, &arns)?;
    Ok(arns)
}

/// The traffic sources of a request, of which only target groups are modelled.
fn sources(asked: &Asked) -> Result<Vec<String>, Reply> {
    let mut arns = Vec::new();
    for one in structures(asked, "TrafficSources") {
        let kind = one.get("Type").map_or("elbv2", String::as_str);
        if kind != "elbv2" {
            let message = format!("Traffic sources of type {kind} are not modelled");
            return Err(validation(&message));
        }
        arns.extend(one.get("Identifier").cloned());
    }
    Ok(arns)
}

fn check(region: &Region, arns: &[String]) -> Result<(), Reply> {
    match arns.iter().find(|arn| !region.target_groups.contains_key(*arn)) {
        None => Ok(()),
        Some(wrong) => Err(validation(&format!(
            "Provided Target Groups may not be valid. Please ensure they exist and try again: \
             {wrong}"
        ))),
    }
}

fn add(
    account: &mut Account,
    region: &str,
    asked: &Asked,
    arns: Vec<String>,
) -> Result<String, Reply> {
    habits(account, region, named(asked)?)?;
    check(account.region(region), &arns)?;
    let habits = habits(account, region, named(asked)?)?;
    for arn in arns {
        if !habits.target_groups.contains(&arn) {
            habits.target_groups.push(arn);
        }
    }
    Ok(String::new())
}

fn take(
    account: &mut Account,
    region: &str,
    asked: &Asked,
    arns: &[String],
) -> Result<String, Reply> {
    let habits = habits(account, region, named(asked)?)?;
    habits.target_groups.retain(|arn| !arns.contains(arn));
    Ok(String::new())
}

/// `AttachLoadBalancerTargetGroups`. Its instances are registered from now on.
pub(super) fn attach(account: &mut Account, region: &str, asked: &Asked) -> Result<String, Reply> {
    add(account, region, asked, list(asked, "TargetGroupARNs"))
}

/// `AttachTrafficSources`.
pub(super) fn attach_sources(
    account: &mut Account,
    region: &str,
    asked: &Asked,
) -> Result<String, Reply> {
    add(account, region, asked, sources(asked)?)
}

/// `DetachLoadBalancerTargetGroups`.
pub(super) fn detach(account: &mut Account, region: &str, asked: &Asked) -> Result<String, Reply> {
    take(account, region, asked, &list(asked, "TargetGroupARNs"))
}

/// `DetachTrafficSources`.
pub(super) fn detach_sources(
    account: &mut Account,
    region: &str,
    asked: &Asked,
) -> Result<String, Reply> {
    take(account, region, asked, &sources(asked)?)
}

/// `DescribeLoadBalancerTargetGroups`.
pub(super) fn describe(
    account: &mut Account,
    region: &str,
    asked: &Asked,
) -> Result<String, Reply> {
    let shape = |arn: &String| {
        node("member", &(leaf("LoadBalancerTargetGroupARN", arn) + &leaf("State", "InService")))
    };
    let habits = habits(account, region, named(asked)?)?;
    let members: String = habits.target_groups.iter().map(shape).collect();
    Ok(node("LoadBalancerTargetGroups", &members))
}

/// `DescribeTrafficSources`.
pub(super) fn describe_sources(
    account: &mut Account,
    region: &str,
    asked: &Asked,
) -> Result<String, Reply> {
    let shape = |arn: &String| {
        let inner = leaf("TrafficSource", arn)
            + &leaf("State", "InService")
            + &leaf("Identifier", arn)
            + &leaf("Type", "elbv2");
        node("member", &inner)
    };
    let habits = habits(account, region, named(asked)?)?;
    let members: String = habits.target_groups.iter().map(shape).collect();
    Ok(node("TrafficSources", &members))
}
