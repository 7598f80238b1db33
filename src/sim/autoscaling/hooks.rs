//! The hooks of the group that the guests are in.

use std::time::Duration;

use super::{Asked, check_group, list, no_action, number, required, validation};
use crate::sim::account::{Account, GROUP};
use crate::sim::http::Reply;
use crate::sim::instance::GLOBAL_TIMEOUTS;
use crate::sim::own_group::{OwnHook, Transition};
use crate::sim::xml::{leaf, node};

/// No hook waits for longer, in seconds.
const LONGEST: u64 = 48 * 3600;
/// A group has so many hooks at most.
const MOST: usize = 50;

pub(super) fn describe(account: &Account, asked: &Asked) -> Result<String, Reply> {
    check_group(asked)?;
    let names = list(asked, "LifecycleHookNames");
    let hooks = &account.group.hooks;
    if let Some(name) = names.iter().find(|name| hooks.iter().all(|hook| hook.name != **name)) {
        return Err(validation(&format!("Lifecycle hook {name} not found")));
    }
    let wanted = hooks.iter().filter(|hook| names.is_empty() || names.contains(&hook.name));
    let members: String = wanted.map(|hook| node("member", &shape(hook))).collect();
    Ok(node("LifecycleHooks", &members))
}

fn shape(hook: &OwnHook) -> String {
    let seconds = hook.timeout.as_secs();
    let global = (seconds * u64::from(GLOBAL_TIMEOUTS)).min(LONGEST);
    leaf("LifecycleHookName", &hook.name)
        + &leaf("AutoScalingGroupName", GROUP)
        + &leaf("LifecycleTransition", hook.transition.word())
        + &leaf("HeartbeatTimeout", &seconds.to_string())
        + &leaf("GlobalTimeout", &global.to_string())
        + &leaf("DefaultResult", if hook.goes_on { "CONTINUE" } else { "ABANDON" })
}

/// `PutLifecycleHook`: it holds instances that come, or go, from now on.
pub(super) fn put(account: &mut Account, asked: &Asked) -> Result<String, Reply> {
    check_group(asked)?;
    let name = required(asked, "LifecycleHookName")?.to_owned();
    let known = account.group.hooks.iter().find(|hook| hook.name == name);
    let transition = match (asked.get("LifecycleTransition"), known) {
        (Some(word), _) => Transition::of(word)
            .ok_or_else(|| validation(&format!("Lifecycle Transition {word} is not supported")))?,
        (None, Some(hook)) => hook.transition,
        (None, None) => return Err(validation("LifecycleTransition is required for a new hook.")),
    };
    if known.is_none() && account.group.hooks.len() >= MOST {
        return Err(super::error(400, "LimitExceeded", "50 lifecycle hooks are the most"));
    }
    let seconds = number(asked, "HeartbeatTimeout", 30, 7200)?;
    let before = known.map_or(3600, |hook| hook.timeout.as_secs());
    let goes_on = match asked.get("DefaultResult").map(String::as_str) {
        Some("CONTINUE") => true,
        Some("ABANDON") | None => false,
        Some(other) => {
            return Err(validation(&format!("DefaultResult is CONTINUE or ABANDON, not {other}")));
        }
    };
    let timeout = Duration::from_secs(seconds.unwrap_or(before));
    account.group.put(OwnHook { name, transition, timeout, goes_on });
    Ok(String::new())
}

/// `DeleteLifecycleHook`: whom it holds is let go on.
pub(super) fn delete(account: &mut Account, asked: &Asked) -> Result<String, Reply> {
    check_group(asked)?;
    let name = required(asked, "LifecycleHookName")?;
    let hooks = &mut account.group.hooks;
    let before = hooks.len();
    hooks.retain(|hook| hook.name != name);
    if hooks.len() == before {
        return Err(validation(&format!("No Lifecycle Hook found with name: {name}")));
    }
    let ids: Vec<_> = account.instances().iter().map(|one| one.id.clone()).collect();
    for id in ids {
        if let Some((instance, now)) = account.instance_mut(&id) {
            instance.complete(now, name, true);
        }
    }
    Ok(String::new())
}

pub(super) fn heartbeat(account: &mut Account, asked: &Asked) -> Result<String, Reply> {
    let (hook, id) = hooked(account, asked)?;
    let found = account.instance_mut(id);
    let waited = found.is_some_and(|(instance, now)| instance.heartbeat(now, hook));
    if waited { Ok(String::new()) } else { Err(no_action(id)) }
}

pub(super) fn complete(account: &mut Account, asked: &Asked) -> Result<String, Reply> {
    let (hook, id) = hooked(account, asked)?;
    let go_on = match required(asked, "LifecycleActionResult")? {
        "CONTINUE" => true,
        "ABANDON" => false,
        other => {
            let message = format!("LifecycleActionResult is CONTINUE or ABANDON, not {other}");
            return Err(validation(&message));
        }
    };
    let found = account.instance_mut(id);
    let waited = found.is_some_and(|(instance, now)| instance.complete(now, hook, go_on));
    if waited { Ok(String::new()) } else { Err(no_action(id)) }
}

/// The hook, and the instance that it may hold.
fn hooked<'a>(account: &Account, asked: &'a Asked) -> Result<(&'a str, &'a str), Reply> {
    check_group(asked)?;
    let hook = required(asked, "LifecycleHookName")?;
    // The token goes to notification targets, and there are none here: the instance's id it is.
    match asked.get("InstanceId") {
        Some(id) if account.group.hooks.iter().any(|one| one.name == hook) => Ok((hook, id)),
        Some(id) => Err(no_action(id)),
        None => Err(validation("Either LifecycleActionToken or InstanceId must be specified")),
    }
}
