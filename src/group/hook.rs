//! The hook that waits for this host.

use tokio::time::Instant;

use super::{Us, insist};
use crate::aws::asg::{self, Hook, Membership, Transition};
use crate::error::Fault;

/// Who waits for this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A hook, and the place of this host when it was looked for.
    Hook(Hook, Membership),
    /// The host is in a group that has no such hook.
    NoHook(Membership),
    /// The host is in no group.
    NoGroup,
}

/// Looks for the hook of this kind: the one that is `wanted`, else the only one.
pub async fn find(
    us: &Us,
    transition: Transition,
    wanted: Option<&str>,
    until: Instant,
) -> Result<Found, Fault> {
    insist(us, until, async || {
        let Some(member) = Box::pin(us.membership()).await? else { return Ok(Found::NoGroup) };
        let hooks = asg::hooks(&us.aws, &member.group, transition).await?;
        Ok(match choose(hooks, wanted, &member.group).map_err(super::Trouble::Final)? {
            Some(hook) => Found::Hook(hook, member),
            None => Found::NoHook(member),
        })
    })
    .await
}

fn choose(mut hooks: Vec<Hook>, wanted: Option<&str>, group: &str) -> Result<Option<Hook>, Fault> {
    let kind = hooks.first().map_or("launch hook", |hook| hook.transition.name());
    let names: Vec<_> = hooks.iter().map(|hook| hook.name.clone()).collect();
    let names = names.join(", ");
    let Some(wanted) = wanted else {
        if hooks.len() < 2 {
            return Ok(hooks.pop());
        }
        return Err(Fault::recipe(format!("the group {group} has several {kind}s: {names}"))
            .hint("name the one that waits for this host as `asg.hook` in host.toml"));
    };
    match hooks.into_iter().find(|hook| hook.name == wanted) {
        Some(hook) => Ok(Some(hook)),
        None => Err(Fault::recipe(format!("the group {group} has no {kind} `{wanted}`")).hint(
            if names.is_empty() {
                "it has none at all: make it, or take `asg.hook` out of host.toml".to_owned()
            } else {
                format!("`asg.hook` can be one of: {names}")
            },
        )),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn of_several_hooks_one_must_be_named() {
        let hook = |name: &str| Hook {
            group: "ci".to_owned(),
            name: name.to_owned(),
            transition: Transition::Launching,
            timeout: Duration::from_mins(10),
            at_most: Duration::from_hours(16),
        };
        let both = vec![hook("dns"), hook("boot")];
        let error = choose(both.clone(), None, "ci").unwrap_err();
        assert!(error.to_string().contains("dns, boot"), "{error}");
        assert_eq!(choose(both.clone(), Some("boot"), "ci").unwrap(), Some(hook("boot")));
        assert!(choose(both, Some("other"), "ci").is_err());
        assert_eq!(choose(vec![hook("boot")], None, "ci").unwrap(), Some(hook("boot")));
        assert_eq!(choose(Vec::new(), None, "ci").unwrap(), None);
    }
}
