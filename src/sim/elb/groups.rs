//! Target groups: made, changed, described, deleted.

use super::{Asked, arn, error, list, no_group, number, required, validation};
use crate::sim::account::VPC;
use crate::sim::http::Reply;
use crate::sim::random;
use crate::sim::region::Region;
use crate::sim::target_group::{Check, TargetGroup};
use crate::sim::xml::{leaf, node};

/// What is not said otherwise.
const DELAY: u64 = 300;

pub(super) fn create(region: &mut Region, name: &str, asked: &Asked) -> Result<String, Reply> {
    let own = required(asked, "Name")?;
    let letters = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if own.len() > 32 || !own.chars().all(letters) || own.starts_with('-') || own.ends_with('-') {
        return Err(validation(&format!("Target group name '{own}' is not valid")));
    }
    if region.target_groups.values().any(|group| group.name == own) {
        let message = "A target group with the same name exists, but with different settings";
        return Err(error(400, "DuplicateTargetGroupName", message));
    }
    let target_type = asked.get("TargetType").map_or("instance", String::as_str);
    if !["instance", "ip", "lambda", "alb"].contains(&target_type) {
        return Err(validation(&format!("TargetType '{target_type}' is not valid")));
    }
    let port = match number(asked, "Port", 1, 65_535)? {
        Some(port) => u16::try_from(port).unwrap_or_default(),
        None if target_type == "lambda" => 0,
        None => return Err(validation("A port must be specified")),
    };
    let protocol = required(asked, "Protocol")?.to_owned();
    let default = Check {
        protocol: if protocol == "TCP" { "TCP".to_owned() } else { "HTTP".to_owned() },
        ..Check::default()
    };
    let group = TargetGroup {
        arn: arn(name, &format!("targetgroup/{own}/{}", random::hex(16))),
        name: own.to_owned(),
        protocol,
        port,
        target_type: target_type.to_owned(),
        vpc: asked.get("VpcId").cloned().unwrap_or_else(|| VPC.to_owned()),
        check: check(default, asked)?,
        deregistration_delay: DELAY,
        ..TargetGroup::default()
    };
    let described = node("TargetGroups", &node("member", &shape(&group)));
    region.target_groups.insert(group.arn.clone(), group);
    Ok(described)
}

pub(super) fn modify(region: &mut Region, asked: &Asked) -> Result<String, Reply> {
    let arn = required(asked, "TargetGroupArn")?;
    let group = region.target_groups.get_mut(arn).ok_or_else(|| no_group(arn))?;
    group.check = check(group.check.clone(), asked)?;
    Ok(node("TargetGroups", &node("member", &shape(group))))
}

pub(super) fn delete(region: &mut Region, asked: &Asked) -> Result<String, Reply> {
    let arn = required(asked, "TargetGroupArn")?;
    if region.target_groups.get(arn).is_some_and(|group| !group.load_balancers.is_empty()) {
        let message = format!("Target group '{arn}' is currently in use by a listener or a rule");
        return Err(error(400, "ResourceInUse", &message));
    }
    region.target_groups.remove(arn);
    Ok(String::new())
}

/// A health check, as far as it is said, on top of another.
fn check(mut check: Check, asked: &Asked) -> Result<Check, Reply> {
    let text = |name: &str, into: &mut String| {
        if let Some(said) = asked.get(name) {
            into.clone_from(said);
        }
    };
    text("HealthCheckProtocol", &mut check.protocol);
    text("HealthCheckPort", &mut check.port);
    text("HealthCheckPath", &mut check.path);
    text("Matcher.HttpCode", &mut check.codes);
    if let Some(seconds) = number(asked, "HealthCheckIntervalSeconds", 5, 300)? {
        check.interval = seconds;
    }
    if let Some(seconds) = number(asked, "HealthCheckTimeoutSeconds", 2, 120)? {
        check.timeout = seconds;
    }
    if let Some(count) = number(asked, "HealthyThresholdCount", 2, 10)? {
        check.healthy = u32::try_from(count).unwrap_or_default();
    }
    if let Some(count) = number(asked, "UnhealthyThresholdCount", 2, 10)? {
        check.unhealthy = u32::try_from(count).unwrap_or_default();
    }
    if let Some(enabled) = asked.get("HealthCheckEnabled") {
        check.enabled = enabled == "true";
    }
    if check.timeout >= check.interval {
        let message = "Health check timeout must be smaller than the interval";
        return Err(validation(message));
    }
    if check.port != "traffic-port" && check.port.parse::<u16>().is_err() {
        return Err(validation(&format!("Health check port '{}' is not valid", check.port)));
    }
    Ok(check)
}

pub(super) fn describe(region: &Region, asked: &Asked) -> Result<String, Reply> {
    let (arns, names) = (list(asked, "TargetGroupArns"), list(asked, "Names"));
    let there = &region.target_groups;
    if arns.iter().any(|arn| !there.contains_key(arn))
        || names.iter().any(|name| there.values().all(|group| group.name != *name))
    {
        return Err(no_group(""));
    }
    let balancer = asked.get("LoadBalancerArn");
    let wanted = there.values().filter(|group| {
        (arns.is_empty() || arns.contains(&group.arn))
            && (names.is_empty() || names.contains(&group.name))
            && balancer.is_none_or(|arn| group.load_balancers.contains(arn))
    });
    let members: String = wanted.map(|group| node("member", &shape(group))).collect();
    Ok(node("TargetGroups", &members))
}

fn shape(group: &TargetGroup) -> String {
    let check = &group.check;
    let balancers: String = group.load_balancers.iter().map(|arn| leaf("member", arn)).collect();
    let http = check.protocol.starts_with("HTTP");
    let of_http =
        leaf("HealthCheckPath", &check.path) + &node("Matcher", &leaf("HttpCode", &check.codes));
    leaf("TargetGroupArn", &group.arn)
        + &leaf("TargetGroupName", &group.name)
        + &leaf("Protocol", &group.protocol)
        + &leaf("Port", &group.port.to_string())
        + &leaf("VpcId", &group.vpc)
        + &leaf("HealthCheckProtocol", &check.protocol)
        + &leaf("HealthCheckPort", &check.port)
        + &leaf("HealthCheckEnabled", if check.enabled { "true" } else { "false" })
        + &leaf("HealthCheckIntervalSeconds", &check.interval.to_string())
        + &leaf("HealthCheckTimeoutSeconds", &check.timeout.to_string())
        + &leaf("HealthyThresholdCount", &check.healthy.to_string())
        + &leaf("UnhealthyThresholdCount", &check.unhealthy.to_string())
        + &(if http { of_http } else { String::new() })
        + &node("LoadBalancerArns", &balancers)
        + &leaf("TargetType", &group.target_type)
        + &leaf("IpAddressType", "ipv4")
}
