//! Elastic Load Balancing version 2, query protocol: target groups whose targets are really asked
//! where they can be reached, and load balancers that are there to be looked at.

mod balancers;
mod groups;
pub mod health;
mod targets;

use std::collections::BTreeMap;
use std::time::Duration;

use super::account::{ACCOUNT_ID, Account, REGION};
use super::autoscaling::engine;
use super::group::habits::Habits;
use super::group::process::Process;
use super::http::{Reply, Request};
use super::instance::Lifecycle;
use super::random;
use super::xml::{leaf, node};

/// The version of the protocol.
pub const VERSION: &str = "2015-12-01";

type Asked = BTreeMap<String, String>;

/// Answers one signed request, for one region.
pub fn answer(account: &mut Account, request: &Request, region: &str) -> Reply {
    let asked = request.parameters();
    let action = asked.get("Action").map_or("", String::as_str);
    // Who came into service, or leaves it, is registered, or is not any more.
    engine::settle(account);
    let now = account.now();
    for group in account.region(region).target_groups.values_mut() {
        group.settle(now);
    }
    let result = match action {
        "CreateListener" => balancers::listen(account.region(region), region, &asked),
        "CreateLoadBalancer" => balancers::create(account.region(region), region, &asked),
        "CreateTargetGroup" => groups::create(account.region(region), region, &asked),
        "DeleteLoadBalancer" => balancers::delete(account.region(region), &asked),
        "DeleteTargetGroup" => groups::delete(account.region(region), &asked),
        "DeregisterTargets" => targets::deregister(account, region, &asked),
        "DescribeLoadBalancers" => balancers::describe(account.region(region), &asked),
        "DescribeTargetGroups" => groups::describe(account.region(region), &asked),
        "DescribeTargetHealth" => targets::health(account, region, &asked),
        "ModifyTargetGroup" => groups::modify(account.region(region), &asked),
        "RegisterTargets" => targets::register(account, region, &asked),
        _ => {
            let message = format!("Could not find operation {action} for version {VERSION}");
            Err(error(400, "InvalidAction", &message))
        }
    };
    result.map_or_else(|refusal| refusal, |inner| reply(action, &inner))
}

/// Every group registers who is in service and deregisters who is not any more, in its target groups.
pub fn follow_groups(account: &mut Account) {
    let guests = account.instances().iter().filter(|one| one.launch.is_none());
    let guests: Vec<_> = guests.map(|one| one.id.clone()).collect();
    let habits = account.group.clone();
    follow(account, REGION, &habits, &guests);
    let mut groups = Vec::new();
    for (region, there) in &account.regions {
        for (name, group) in &there.groups {
            groups.push((region.clone(), name.clone(), group.habits.clone()));
        }
    }
    for (region, name, habits) in groups {
        let all = account.instances().iter();
        let members = all.filter(|one| {
            one.region() == region && one.member.as_ref().is_some_and(|it| it.group == name)
        });
        let members: Vec<_> = members.map(|one| one.id.clone()).collect();
        follow(account, &region, &habits, &members);
    }
}

fn follow(account: &mut Account, region: &str, habits: &Habits, ids: &[String]) {
    if habits.target_groups.is_empty() {
        return;
    }
    let now = account.now();
    let adds = !habits.suspends(Process::AddToLoadBalancer);
    for id in ids {
        let serves = account.lifecycle(id) == Some(Lifecycle::InService);
        for arn in &habits.target_groups {
            let delay = delay(account, region, arn);
            let Some(group) = account.region(region).target_groups.get_mut(arn) else { continue };
            let is_target = group.targets.get(id).is_some_and(|one| one.draining.is_none());
            if serves && adds && !group.targets.contains_key(id) {
                group.register(id, group.port, true, now);
            } else if !serves && is_target && group.targets[id].by_group {
                group.deregister(id, delay, now);
            }
        }
    }
}

/// How long a target of a group is let end what it has begun.
fn delay(account: &mut Account, region: &str, arn: &str) -> Duration {
    let group = account.region(region).target_groups.get(arn);
    let seconds = group.map_or(0, |group| group.deregistration_delay);
    account.conditions.takes(Duration::from_secs(seconds))
}

/// An error in the shape of this protocol.
pub fn error(status: u16, code: &str, message: &str) -> Reply {
    let error = leaf("Type", "Sender") + &leaf("Code", code) + &leaf("Message", message);
    let body = format!(
        "<ErrorResponse xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/{VERSION}/\">{}{}\
         </ErrorResponse>",
        node("Error", &error),
        leaf("RequestId", &random::hex(32))
    );
    Reply::new(status, "text/xml", body)
}

fn reply(action: &str, inner: &str) -> Reply {
    let body = format!(
        "<{action}Response xmlns=\"http://elasticloadbalancing.amazonaws.com/doc/{VERSION}/\">{}{}\
         </{action}Response>",
        node(&format!("{action}Result"), inner),
        node("ResponseMetadata", &leaf("RequestId", &random::hex(32)))
    );
    Reply::new(200, "text/xml", body)
}

fn validation(message: &str) -> Reply {
    error(400, "ValidationError", message)
}

fn required<'a>(asked: &'a Asked, name: &str) -> Result<&'a str, Reply> {
    asked
        .get(name)
        .filter(|value| !value.is_empty())
        .map(String::as_str)
        .ok_or_else(|| validation(&format!("The request must contain the parameter {name}")))
}

fn list(asked: &Asked, name: &str) -> Vec<String> {
    let prefix = format!("{name}.member.");
    asked.iter().filter(|(key, _)| key.starts_with(&prefix)).map(|(_, v)| v.clone()).collect()
}

fn number(asked: &Asked, name: &str, least: u64, most: u64) -> Result<Option<u64>, Reply> {
    let Some(text) = asked.get(name) else { return Ok(None) };
    match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
        _ => Err(validation(&format!("{name} must be between {least} and {most}"))),
    }
}

fn arn(region: &str, what: &str) -> String {
    format!("arn:aws:elasticloadbalancing:{region}:{ACCOUNT_ID}:{what}")
}

fn no_group(arn: &str) -> Reply {
    let message = if arn.is_empty() {
        "One or more target groups not found".to_owned()
    } else {
        format!("Target groups '{arn}' not found")
    };
    error(400, "TargetGroupNotFound", &message)
}
