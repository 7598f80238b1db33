//! The hooks of a group, and the answers of who is held by them.

use std::time::Duration;

use super::{Asked, habits, list, named, no_action, number, required, validation};
use crate::sim::account::Account;
use crate::sim::group::hook::{Hook, Transition};
use crate::sim::http::Reply;
use crate::sim::instance::Instance;
use crate::sim::xml::{leaf, node};

/// A group has so many hooks at most.
const MOST: usize = 50;

pub(super) fn describe(
    account: &mut Account,
    region: &str,
    asked: &Asked,
) -> Result<String, Reply> {
    let group = named(asked)?;
    let names = list(asked, "LifecycleHookNames");
    let hooks = &habits(account, region, group)?.hooks;
    if let Some(name) = names.iter().find(|name| hooks.iter().all(|hook| hook.name != **name)) {
        return Err(validation(&format!("Lifecycle hook {name} not found")));
    }
    let wanted = hooks.iter().filter(|hook| names.is_empty() || names.contains(&hook.name));
    let members: String = wanted.map(|hook| node("member", &shape(hook, group))).collect();
    Ok(node("LifecycleHooks", &members))
}

fn shape(hook: &Hook, group: &str) -> String {
    let target = hook
        .target
        .as_ref()
        .map(|(target, role)| leaf("NotificationTargetARN", target) + &leaf("RoleARN", role));
    let metadata = hook.metadata.as_ref().map(|text| leaf("NotificationMetadata", text));
    leaf("LifecycleHookName", &hook.name)
        + &leaf("AutoScalingGroupName", group)
        + &leaf("LifecycleTransition", hook.transition.word())
        + &target.unwrap_or_default()
        + &metadata.unwrap_or_default()
        + &leaf("HeartbeatTimeout", &hook.timeout.as_secs().to_string())
        + &leaf("GlobalTimeout", &hook.global_timeout().as_secs().to_string())
        + &leaf("DefaultResult", if hook.goes_on { "CONTINUE" } else { "ABANDON" })
}

/// `PutLifecycleHook`: it holds instances that come, or go, from now on.
pub(super) fn put(account: &mut Account, region: &str, asked: &Asked) -> Result<String, Reply> {
    let habits = habits(account, region, named(asked)?)?;
    let said = |name: &str| asked.get(name).map(String::as_str);
    let hook = parse(&habits.hooks, required(asked, "LifecycleHookName")?, said)?;
    if habits.hooks.iter().all(|one| one.name != hook.name) && habits.hooks.len() >= MOST {
        return Err(super::error(400, "LimitExceeded", "50 lifecycle hooks are the most"));
    }
    habits.put(hook);
    Ok(String::new())
}

/// The hooks that a group is made with.
pub(super) fn listed(asked: &Asked) -> Result<Vec<Hook>, Reply> {
    let mut hooks: Vec<Hook> = Vec::new();
    for number in 1..=MOST {
        let prefix = format!("LifecycleHookSpecificationList.member.{number}.");
        let said = |name: &str| asked.get(&format!("{prefix}{name}")).map(String::as_str);
        let Some(name) = said("LifecycleHookName") else { break };
        let hook = parse(&hooks, name, said)?;
        hooks.push(hook);
    }
    Ok(hooks)
}

fn parse<'a>(
    known: &[Hook],
    name: &str,
    said: impl Fn(&str) -> Option<&'a str>,
) -> Result<Hook, Reply> {
    let known = known.iter().find(|hook| hook.name == name);
    let transition = match (said("LifecycleTransition"), known) {
        (Some(word), _) => Transition::of(word)
            .ok_or_else(|| validation(&format!("Lifecycle Transition {word} is not supported")))?,
        (None, Some(hook)) => hook.transition,
        (None, None) => return Err(validation("LifecycleTransition is required for a new hook.")),
    };
    let before = known.map_or(3600, |hook| hook.timeout.as_secs());
    let seconds = match said("HeartbeatTimeout") {
        None => before,
        Some(text) => number(
            &Asked::from([("HeartbeatTimeout".to_owned(), text.to_owned())]),
            "HeartbeatTimeout",
            30,
            7200,
        )?
        .unwrap_or(before),
    };
    let goes_on = match said("DefaultResult") {
        Some("CONTINUE") => true,
        Some("ABANDON") => false,
        None => known.is_some_and(|hook| hook.goes_on),
        Some(other) => {
            return Err(validation(&format!("DefaultResult is CONTINUE or ABANDON, not {other}")));
        }
    };
    let owned = |name: &str| said(name).filter(|text| !text.is_empty()).map(str::to_owned);
    let target = owned("NotificationTargetARN").zip(owned("RoleARN"));
    let metadata = owned("NotificationMetadata");
    let timeout = Duration::from_secs(seconds);
    Ok(Hook { name: name.to_owned(), transition, timeout, goes_on, metadata, target })
}

/// `DeleteLifecycleHook`: whom it holds is let go on.
pub(super) fn delete(account: &mut Account, region: &str, asked: &Asked) -> Result<String, Reply> {
    let group = named(asked)?;
    let name = required(asked, "LifecycleHookName")?;
    let hooks = &mut habits(account, region, group)?.hooks;
    let before = hooks.len();
    hooks.retain(|hook| hook.name != name);
    if hooks.len() == before {
        return Err(validation(&format!("No Lifecycle Hook found with name: {name}")));
    }
    let all = account.instances().iter().filter(|one| super::is_of(one, region, group));
    let ids: Vec<_> = all.map(|one| one.id.clone()).collect();
    for id in ids {
        if let Some((instance, now)) = account.instance_mut(&id) {
            instance.complete(now, name, true);
        }
    }
    Ok(String::new())
}

pub(super) fn heartbeat(
    account: &mut Account,
    region: &str,
    asked: &Asked,
) -> Result<String, Reply> {
    answered(account, region, asked, Instance::heartbeat)
}

pub(super) fn complete(
    account: &mut Account,
    region: &str,
    asked: &Asked,
) -> Result<String, Reply> {
    let go_on = match required(asked, "LifecycleActionResult")? {
        "CONTINUE" => true,
        "ABANDON" => false,
        other => {
            let message = format!("LifecycleActionResult is CONTINUE or ABANDON, not {other}");
            return Err(validation(&message));
        }
    };
    answered(account, region, asked, |instance, now, hook| instance.complete(now, hook, go_on))
}

/// Tells a hook what somebody says for the instance that it holds.
fn answered(
    account: &mut Account,
    region: &str,
    asked: &Asked,
    tell: impl Fn(&mut Instance, std::time::Instant, &str) -> bool,
) -> Result<String, Reply> {
    let group = named(asked)?;
    let habits = habits(account, region, group)?;
    let hook = required(asked, "LifecycleHookName")?;
    // The token goes to notification targets, and there are none here: the instance's id it is.
    let Some(id) = asked.get("InstanceId") else {
        return Err(validation("Either LifecycleActionToken or InstanceId must be specified"));
    };
    if habits.hooks.iter().all(|one| one.name != hook) {
        return Err(no_action(id));
    }
    let found = account.instance_mut(id).filter(|(one, _)| super::is_of(one, region, group));
    let waited = found.is_some_and(|(instance, now)| tell(instance, now, hook));
    if waited { Ok(String::new()) } else { Err(no_action(id)) }
}
