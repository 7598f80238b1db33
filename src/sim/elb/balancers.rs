//! Load balancers and their listeners: what makes a target group one that is used.

use super::{Asked, arn, error, list, no_group, number, required, validation};
use crate::sim::account::{VPC, ZONE};
use crate::sim::http::Reply;
use crate::sim::random;
use crate::sim::region::Region;
use crate::sim::target_group::LoadBalancer;
use crate::sim::xml::{leaf, node};

pub(super) fn create(region: &mut Region, name: &str, asked: &Asked) -> Result<String, Reply> {
    let own = required(asked, "Name")?;
    if region.load_balancers.values().any(|one| one.name == own) {
        let message = format!("A load balancer with the name '{own}' exists");
        return Err(error(400, "DuplicateLoadBalancerName", &message));
    }
    let kind = asked.get("Type").map_or("application", String::as_str);
    let path = match kind {
        "application" => "app",
        "network" => "net",
        other => return Err(validation(&format!("Type '{other}' is not modelled here"))),
    };
    let subnets = list(asked, "Subnets");
    if let Some(wrong) = subnets.iter().find(|id| !region.subnets.contains_key(*id)) {
        let message = format!("The subnet ID '{wrong}' does not exist");
        return Err(error(400, "SubnetNotFound", &message));
    }
    let balancer = LoadBalancer {
        arn: arn(name, &format!("loadbalancer/{path}/{own}/{}", random::hex(16))),
        name: own.to_owned(),
        kind: kind.to_owned(),
        subnets,
        listeners: Vec::new(),
    };
    let described = node("LoadBalancers", &node("member", &shape(&balancer, name)));
    region.load_balancers.insert(balancer.arn.clone(), balancer);
    Ok(described)
}

/// `CreateListener`, with one action: to forward to one target group.
pub(super) fn listen(region: &mut Region, name: &str, asked: &Asked) -> Result<String, Reply> {
    let balancer = required(asked, "LoadBalancerArn")?;
    let action = "DefaultActions.member.1";
    let group = required(asked, &format!("{action}.TargetGroupArn"))?;
    if required(asked, &format!("{action}.Type"))? != "forward" {
        return Err(validation("only actions of the type `forward` are modelled here"));
    }
    let port = number(asked, "Port", 1, 65_535)?.unwrap_or(80);
    let protocol = asked.get("Protocol").map_or("HTTP", String::as_str).to_owned();
    let Some(found) = region.load_balancers.get_mut(balancer) else {
        return Err(no_balancer(balancer));
    };
    let target = region.target_groups.get_mut(group).ok_or_else(|| no_group(group))?;
    let port = u16::try_from(port).unwrap_or_default();
    if found.listeners.iter().any(|(_, _, taken, _)| *taken == port) {
        let message = "A listener already exists on this port for this load balancer";
        return Err(error(400, "DuplicateListener", message));
    }
    if !target.load_balancers.contains(&found.arn) {
        target.load_balancers.push(found.arn.clone());
    }
    let path = found.arn.split_once("loadbalancer/").map_or("", |(_, path)| path);
    let own = arn(name, &format!("listener/{path}/{}", random::hex(16)));
    found.listeners.push((own.clone(), protocol.clone(), port, group.to_owned()));
    let actions = leaf("Type", "forward") + &leaf("TargetGroupArn", group);
    let listener = leaf("ListenerArn", &own)
        + &leaf("LoadBalancerArn", balancer)
        + &leaf("Port", &port.to_string())
        + &leaf("Protocol", &protocol)
        + &node("DefaultActions", &node("member", &actions));
    Ok(node("Listeners", &node("member", &listener)))
}

pub(super) fn delete(region: &mut Region, asked: &Asked) -> Result<String, Reply> {
    let balancer = required(asked, "LoadBalancerArn")?;
    region.load_balancers.remove(balancer);
    for group in region.target_groups.values_mut() {
        group.load_balancers.retain(|arn| arn != balancer);
    }
    Ok(String::new())
}

pub(super) fn describe(region: &Region, asked: &Asked) -> Result<String, Reply> {
    let (arns, names) = (list(asked, "LoadBalancerArns"), list(asked, "Names"));
    let there = &region.load_balancers;
    if let Some(wrong) = arns.iter().find(|arn| !there.contains_key(*arn)) {
        return Err(no_balancer(wrong));
    }
    if let Some(wrong) = names.iter().find(|name| there.values().all(|one| one.name != **name)) {
        return Err(no_balancer(wrong));
    }
    let wanted = there.values().filter(|one| {
        (arns.is_empty() || arns.contains(&one.arn))
            && (names.is_empty() || names.contains(&one.name))
    });
    let members: String = wanted
        .map(|one| {
            let region = one.arn.split(':').nth(3).unwrap_or_default();
            node("member", &shape(one, region))
        })
        .collect();
    Ok(node("LoadBalancers", &members))
}

fn no_balancer(arn: &str) -> Reply {
    error(400, "LoadBalancerNotFound", &format!("Load balancers '[{arn}]' not found"))
}

fn shape(balancer: &LoadBalancer, region: &str) -> String {
    let zones = balancer
        .subnets
        .iter()
        .map(|subnet| node("member", &(leaf("ZoneName", ZONE) + &leaf("SubnetId", subnet))));
    leaf("LoadBalancerArn", &balancer.arn)
        + &leaf("LoadBalancerName", &balancer.name)
        + &leaf("DNSName", &format!("{}-1.{region}.elb.amazonaws.com", balancer.name))
        + &leaf("Scheme", "internet-facing")
        + &leaf("VpcId", VPC)
        + &node("State", &leaf("Code", "active"))
        + &leaf("Type", &balancer.kind)
        + &leaf("IpAddressType", "ipv4")
        + &leaf("CreatedTime", "2026-11-20T00:00:00Z")
        + &node("AvailabilityZones", &zones.collect::<String>())
}
