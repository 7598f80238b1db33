//! EC2 Auto Scaling, query protocol: groups that launch, hold, look after and replace their
//! instances; and the group of the guests of `hostkit vm`, which launches nothing.
//!
//! One file an operation or a few that belong together. What a group does by itself is decided in
//! [`super::group::decide`] and carried out by [`engine`]; requests change what that decides from.

mod activities;
mod balancing;
mod capacity;
mod create;
mod delete;
pub mod engine;
mod groups;
mod health;
mod hooks;
mod members;
mod processes;
mod protection;
mod settings;
pub(in crate::sim) mod shape;
pub(in crate::sim) mod source;
mod standby;
mod tags;
mod terminate;
mod update;
mod warm;

use std::collections::BTreeMap;

use super::account::{Account, GROUP, REGION};
use super::group::Group;
use super::group::habits::Habits;
use super::http::{Reply, Request};
use super::instance::Instance;
use super::xml::{leaf, node};
use super::{random, refresh};

/// The version of the protocol.
pub const VERSION: &str = "2011-01-01";

/// The parameters of a request.
pub(in crate::sim) type Asked = BTreeMap<String, String>;

/// Answers one signed request, for one region.
pub fn answer(account: &mut Account, request: &Request, region: &str) -> Reply {
    let asked = request.parameters();
    let action = asked.get("Action").map_or("", String::as_str);
    engine::settle(account);
    let result = perform(account, region, action, &asked);
    // What was asked for begins at once.
    engine::settle(account);
    result.map_or_else(|refusal| refusal, |inner| reply(action, &inner))
}

fn perform(
    account: &mut Account,
    region: &str,
    action: &str,
    asked: &Asked,
) -> Result<String, Reply> {
    match action {
        "AttachLoadBalancerTargetGroups" => balancing::attach(account, region, asked),
        "AttachTrafficSources" => balancing::attach_sources(account, region, asked),
        "CancelInstanceRefresh" => refresh::cancel(account, region, asked),
        "CompleteLifecycleAction" => hooks::complete(account, region, asked),
        "CreateAutoScalingGroup" => create::create(account, region, asked),
        "CreateOrUpdateTags" => tags::put(account, region, asked),
        "DeleteAutoScalingGroup" => delete::delete(account, region, asked),
        "DeleteLifecycleHook" => hooks::delete(account, region, asked),
        "DeleteTags" => tags::delete(account, region, asked),
        "DeleteWarmPool" => warm::delete(account, region, asked),
        "DescribeAutoScalingGroups" => groups::describe(account, region, asked),
        "DescribeAutoScalingInstances" => members::describe(account, region, asked),
        "DescribeInstanceRefreshes" => refresh::describe(account, region, asked),
        "DescribeLaunchConfigurations" => {
            Ok(groups::describe_configurations(account.region(region), asked))
        }
        "DescribeLifecycleHooks" => hooks::describe(account, region, asked),
        "DescribeLoadBalancerTargetGroups" => balancing::describe(account, region, asked),
        "DescribeScalingActivities" => activities::describe(account, region, asked),
        "DescribeTags" => tags::describe(account, region, asked),
        "DescribeTrafficSources" => balancing::describe_sources(account, region, asked),
        "DescribeWarmPool" => warm::describe(account, region, asked),
        "DetachLoadBalancerTargetGroups" => balancing::detach(account, region, asked),
        "DetachTrafficSources" => balancing::detach_sources(account, region, asked),
        "EnterStandby" => standby::enter(account, region, asked),
        "ExitStandby" => standby::exit(account, region, asked),
        "PutLifecycleHook" => hooks::put(account, region, asked),
        "PutWarmPool" => warm::put(account, region, asked),
        "RecordLifecycleActionHeartbeat" => hooks::heartbeat(account, region, asked),
        "ResumeProcesses" => processes::suspend(account, region, asked, false),
        "RollbackInstanceRefresh" => refresh::rollback(account, region, asked),
        "SetDesiredCapacity" => capacity::set(account, region, asked),
        "SetInstanceHealth" => health::set(account, region, asked),
        "SetInstanceProtection" => protection::set(account, region, asked),
        "StartInstanceRefresh" => refresh::start(account, region, asked),
        "SuspendProcesses" => processes::suspend(account, region, asked, true),
        "TerminateInstanceInAutoScalingGroup" => terminate::terminate(account, region, asked),
        "UpdateAutoScalingGroup" => update::update(account, region, asked),
        _ => {
            let message = format!("Could not find operation {action} for version {VERSION}");
            Err(error(400, "InvalidAction", &message))
        }
    }
}

/// An error in the shape of this protocol.
pub fn error(status: u16, code: &str, message: &str) -> Reply {
    let error = leaf("Type", "Sender") + &leaf("Code", code) + &leaf("Message", message);
    let body = format!(
        "<ErrorResponse xmlns=\"http://autoscaling.amazonaws.com/doc/{VERSION}/\">{}{}\
         </ErrorResponse>",
        node("Error", &error),
        leaf("RequestId", &random::uuid())
    );
    Reply::new(status, "text/xml", body)
}

/// The group that a request names.
pub(in crate::sim) fn named(asked: &Asked) -> Result<&str, Reply> {
    required(asked, "AutoScalingGroupName")
}

pub(in crate::sim) fn no_group() -> Reply {
    validation("AutoScalingGroup name not found - null")
}

/// What every group has, that of the guests too.
pub(in crate::sim) fn habits<'a>(
    account: &'a mut Account,
    region: &str,
    name: &str,
) -> Result<&'a mut Habits, Reply> {
    if is_guests(region, name) {
        return Ok(&mut account.group);
    }
    group(account, region, name).map(|group| &mut group.habits)
}

/// A group that launches.
pub(in crate::sim) fn group<'a>(
    account: &'a mut Account,
    region: &str,
    name: &str,
) -> Result<&'a mut Group, Reply> {
    if is_guests(region, name) {
        return Err(validation(
            "The group of the guests does not do that in the rehearsal account",
        ));
    }
    account.region(region).groups.get_mut(name).ok_or_else(no_group)
}

/// Whether it is the group of the guests of `hostkit vm`.
fn is_guests(region: &str, name: &str) -> bool {
    region == REGION && name == GROUP
}

/// Whether an instance is in a group.
pub(in crate::sim) fn is_of(instance: &Instance, region: &str, name: &str) -> bool {
    let own = match &instance.member {
        Some(member) => member.group == name,
        None => instance.launch.is_none() && name == GROUP,
    };
    own && instance.region() == region
}

fn no_action(id: &str) -> Reply {
    validation(&format!("No active Lifecycle Action found with instance ID {id}"))
}

pub(in crate::sim) fn validation(message: &str) -> Reply {
    error(400, "ValidationError", message)
}

pub(in crate::sim) fn required<'a>(asked: &'a Asked, name: &str) -> Result<&'a str, Reply> {
    asked.get(name).filter(|value| !value.is_empty()).map(String::as_str).ok_or_else(|| {
        let at = name[..1].to_lowercase() + &name[1..];
        validation(&format!(
            "1 validation error detected: Value null at '{at}' failed to satisfy constraint: \
             Member must not be null"
        ))
    })
}

/// A number of seconds or instances within bounds.
pub(in crate::sim) fn number(
    asked: &Asked,
    name: &str,
    least: u64,
    most: u64,
) -> Result<Option<u64>, Reply> {
    let Some(text) = asked.get(name) else { return Ok(None) };
    match text.parse() {
        Ok(number) if (least..=most).contains(&number) => Ok(Some(number)),
        _ => {
            let message = format!("{name} must be between {least} and {most} inclusive.");
            Err(validation(&message))
        }
    }
}

/// `true` or `false`.
pub(in crate::sim) fn flag(asked: &Asked, name: &str) -> Result<Option<bool>, Reply> {
    match asked.get(name).map(String::as_str) {
        None => Ok(None),
        Some("true") => Ok(Some(true)),
        Some("false") => Ok(Some(false)),
        Some(other) => Err(validation(&format!("{name} is true or false, not {other}"))),
    }
}

/// The values of `Name.member.1`, `Name.member.2`, …, in the order of their numbers.
pub(in crate::sim) fn list(asked: &Asked, name: &str) -> Vec<String> {
    let prefix = format!("{name}.member.");
    let numbered = asked.iter().filter_map(|(key, value)| {
        Some((key.strip_prefix(&prefix)?.parse::<u32>().ok()?, value.clone()))
    });
    let mut numbered: Vec<_> = numbered.collect();
    numbered.sort();
    numbered.into_iter().map(|(_, value)| value).collect()
}

/// The structures `Name.member.1.…`, `Name.member.2.…`, …, each with its own fields.
pub(in crate::sim) fn structures(asked: &Asked, name: &str) -> Vec<Asked> {
    let prefix = format!("{name}.member.");
    let mut found: BTreeMap<u32, Asked> = BTreeMap::new();
    for (key, value) in asked {
        let rest = key.strip_prefix(&prefix).and_then(|rest| rest.split_once('.'));
        if let Some((number, field)) = rest.and_then(|(it, field)| Some((it.parse().ok()?, field)))
        {
            found.entry(number).or_default().insert(field.to_owned(), value.clone());
        }
    }
    found.into_values().collect()
}

/// The fields of the structure `Name.…`, if anything is said of it.
pub(in crate::sim) fn structure(asked: &Asked, name: &str) -> Option<Asked> {
    let prefix = format!("{name}.");
    let fields = asked
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?.to_owned(), value.clone())));
    let fields: Asked = fields.collect();
    (!fields.is_empty()).then_some(fields)
}

pub(in crate::sim) fn reply(action: &str, inner: &str) -> Reply {
    let body = format!(
        "<{action}Response xmlns=\"http://autoscaling.amazonaws.com/doc/{VERSION}/\">{}{}\
         </{action}Response>",
        node(&format!("{action}Result"), inner),
        node("ResponseMetadata", &leaf("RequestId", &random::uuid()))
    );
    Reply::new(200, "text/xml", body)
}

#[cfg(test)]
mod tests;
