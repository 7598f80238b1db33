//! Targets: registered, deregistered, and how they are.

use std::collections::BTreeMap;

use super::{Asked, delay, error, no_group, required, validation};
use crate::sim::account::{ACCOUNT_ID, Account};
use crate::sim::http::Reply;
use crate::sim::instance::State;
use crate::sim::target_group::{Health, Target, TargetGroup};
use crate::sim::xml::{leaf, node};

/// The targets of a request: ids, and the ports that were said.
fn named(asked: &Asked) -> Result<Vec<(String, Option<u16>)>, Reply> {
    let mut found: BTreeMap<&str, (Option<&str>, Option<&str>)> = BTreeMap::new();
    for (key, value) in asked {
        let Some(rest) = key.strip_prefix("Targets.member.") else { continue };
        match rest.split_once('.') {
            Some((index, "Id")) => found.entry(index).or_default().0 = Some(value),
            Some((index, "Port")) => found.entry(index).or_default().1 = Some(value),
            // The zone of an address that is not in the network.
            _ => {}
        }
    }
    let mut targets = Vec::new();
    for (id, port) in found.into_values() {
        let id = id.ok_or_else(|| validation("A target id must be specified"))?;
        let port = port.map(|text| text.parse().map_err(|_| validation("Port is not a number")));
        targets.push((id.to_owned(), port.transpose()?));
    }
    Ok(targets)
}

/// What EC2 says of a target, where it is an instance.
fn state(account: &Account, id: &str) -> Option<State> {
    account.instance(id).map(crate::sim::instance::Instance::state)
}

fn group<'a>(
    account: &'a mut Account,
    region: &str,
    asked: &Asked,
) -> Result<&'a mut TargetGroup, Reply> {
    let arn = required(asked, "TargetGroupArn")?;
    let found = account.region(region).target_groups.get_mut(arn);
    found.ok_or_else(|| no_group(arn))
}

pub(super) fn register(
    account: &mut Account,
    region: &str,
    asked: &Asked,
) -> Result<String, Reply> {
    let (targets, now) = (named(asked)?, account.now());
    if targets.is_empty() {
        return Err(validation("Targets must be specified"));
    }
    let is_instance = group(account, region, asked)?.target_type == "instance";
    for (id, _) in &targets {
        let address = id.parse::<std::net::Ipv4Addr>();
        if !is_instance && address.is_err() {
            let message = format!("The IP address '{id}' is not a valid IPv4 address");
            return Err(validation(&message));
        }
        if is_instance && !id.starts_with("i-") {
            return Err(error(400, "InvalidTarget", &format!("'{id}' is not an instance id")));
        }
        if is_instance && state(account, id) != Some(State::Running) {
            let message = format!(
                "The following targets are not in a running state and cannot be registered: '{id}'"
            );
            return Err(error(400, "InvalidTarget", &message));
        }
    }
    let group = group(account, region, asked)?;
    for (id, port) in targets {
        group.register(&id, port.unwrap_or(group.port), false, now);
    }
    Ok(String::new())
}

pub(super) fn deregister(
    account: &mut Account,
    region: &str,
    asked: &Asked,
) -> Result<String, Reply> {
    let (targets, now) = (named(asked)?, account.now());
    let arn = group(account, region, asked)?.arn.clone();
    let delay = delay(account, region, &arn);
    let group = group(account, region, asked)?;
    for (id, _) in targets {
        group.deregister(&id, delay, now);
    }
    Ok(String::new())
}

/// `DescribeTargetHealth`: of those that are named, or of all.
pub(super) fn health(account: &mut Account, region: &str, asked: &Asked) -> Result<String, Reply> {
    let wanted = named(asked)?;
    let group = group(account, region, asked)?.clone();
    let mut members = String::new();
    if wanted.is_empty() {
        for (id, target) in &group.targets {
            members += &one(account, &group, id, Some(target), target.port);
        }
    }
    for (id, port) in wanted {
        let target = group.targets.get(&id);
        let port = port.unwrap_or_else(|| target.map_or(group.port, |one| one.port));
        members += &one(account, &group, &id, target, port);
    }
    Ok(node("TargetHealthDescriptions", &members))
}

fn one(
    account: &Account,
    group: &TargetGroup,
    id: &str,
    target: Option<&Target>,
    port: u16,
) -> String {
    let used = !group.load_balancers.is_empty();
    let state = state(account, id);
    let health = target
        .map_or_else(Health::not_registered, |target| target.health(&group.check, state, used));
    let optional = |name: &str, text: &str| {
        if text.is_empty() { String::new() } else { leaf(name, text) }
    };
    let told = leaf("State", health.state)
        + &optional("Reason", health.reason)
        + &optional("Description", &health.description);
    let check_port = target.map_or(port, |target| group.check_port(target));
    let inner = node("Target", &(leaf("Id", id) + &leaf("Port", &port.to_string())))
        + &leaf("HealthCheckPort", &check_port.to_string())
        + &node("TargetHealth", &told);
    node("member", &inner)
}

impl Account {
    /// Makes a target group that a load balancer uses, and attaches it to the guests' group: for
    /// rehearsals. Returns its ARN.
    pub fn balance(&mut self, name: &str, port: u16, path: &str) -> String {
        use crate::sim::account::REGION;
        let arn = format!(
            "arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT_ID}:targetgroup/{name}/{}",
            crate::sim::random::hex(16)
        );
        let check = crate::sim::target_group::Check {
            path: path.to_owned(),
            interval: 5,
            timeout: 4,
            healthy: 2,
            ..crate::sim::target_group::Check::default()
        };
        let group = TargetGroup {
            arn: arn.clone(),
            name: name.to_owned(),
            protocol: "HTTP".to_owned(),
            port,
            target_type: "instance".to_owned(),
            vpc: crate::sim::account::VPC.to_owned(),
            check,
            deregistration_delay: 15,
            load_balancers: vec![format!(
                "arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT_ID}:loadbalancer/app/{name}/1"
            )],
            ..TargetGroup::default()
        };
        self.region(REGION).target_groups.insert(arn.clone(), group);
        self.group.target_groups.push(arn.clone());
        arn
    }
}
