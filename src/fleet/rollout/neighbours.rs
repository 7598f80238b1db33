//! The other groups of the account, by what rollouts have written of them: whose agents a group has,
//! and whether it is being changed.
//!
//! A controller that finds its agents by a tag names no group of them. Those that roll agents know
//! their controller, and their journal says which it is; it stays when the rollout is over.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use serde::Deserialize;

use super::Order;
use super::relations::holder;
use crate::aws::inventory::Parameter;
use crate::aws::{Failure, inventory};
use crate::host::Role;

/// Below it every group has its parameters.
const GROUPS: &str = "/hostkit/asg";

/// What is written of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Neighbour {
    /// Whether a guard has spoken there: it is the group of a controller.
    pub(super) speaks: bool,
    /// What its hosts are, as its last rollout has it.
    pub(super) role: Option<Role>,
    /// The group of its controller, as its last rollout has it.
    pub(super) controller: Option<String>,
    /// Who holds its lock.
    pub(super) held: Option<String>,
}

/// All groups of which anything is written, by their names.
pub(super) async fn all(config: &SdkConfig) -> Result<BTreeMap<String, Neighbour>, Failure> {
    Ok(read(&inventory::below(config, GROUPS).await?))
}

/// The groups that are not changed at the same time as that of the order, as it is known now: since the
/// order was shown, agents may have begun to be rolled as this controller's.
pub(super) async fn apart(config: &SdkConfig, order: &Order) -> Result<Vec<String>, Failure> {
    let mut apart = order.crowd.apart.clone();
    if order.role == Role::Controller {
        apart.extend(rolled_as_agents(&all(config).await?, &order.group));
        apart.sort_unstable();
        apart.dedup();
    }
    Ok(apart)
}

/// The groups that were rolled as the agents of a controller.
pub(super) fn rolled_as_agents(
    all: &BTreeMap<String, Neighbour>,
    controller: &str,
) -> impl Iterator<Item = String> {
    let its = move |(name, it): &(&String, &Neighbour)| {
        it.controller.as_deref() == Some(controller) && *name != controller
    };
    all.iter().filter(its).map(|(name, _)| name.clone())
}

fn read(parameters: &[Parameter]) -> BTreeMap<String, Neighbour> {
    let mut all: BTreeMap<String, Neighbour> = BTreeMap::new();
    for Parameter { name, value, .. } in parameters {
        let Some((group, what)) = parts(name) else { continue };
        let neighbour = all.entry(group.to_owned()).or_default();
        match what {
            "host" => neighbour.speaks = true,
            "lock" => neighbour.held = Some(holder(value)),
            "journal" => (neighbour.role, neighbour.controller) = told(value),
            _ => {}
        }
    }
    all
}

/// The group of a parameter, and what the parameter is.
fn parts(parameter: &str) -> Option<(&str, &str)> {
    let (group, what) = parameter.strip_prefix(GROUPS)?.strip_prefix('/')?.split_once('/')?;
    (!what.contains('/')).then_some((group, what))
}

/// What a journal says of its group, whichever hostkit has written it.
fn told(journal: &str) -> (Option<Role>, Option<String>) {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Journal {
        order: Said,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Said {
        role: Option<Role>,
        crowd: Crowd,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Crowd {
        controller: Option<String>,
    }
    let Journal { order } = serde_json::from_str(journal).unwrap_or_default();
    (order.role, order.crowd.controller)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(name: &str, value: &str) -> Parameter {
        Parameter { name: name.to_owned(), value: value.to_owned(), arn: None }
    }

    #[test]
    fn a_group_is_what_its_guard_its_lock_and_its_journal_say() {
        let journal = r#"{"form":1,"rollout":"r-1","order":{"group":"linux","role":"agent",
            "crowd":{"bounds":[90,110],"controller":"ci"}},"new":7}"#;
        let lock = r#"{"form":1,"rollout":"r-1","who":"ada","host":"laptop","pid":1,
            "since":"2026-11-27T03:00:00Z"}"#;
        let all = read(&[
            parameter("/hostkit/asg/ci/host", "{}"),
            parameter("/hostkit/asg/ci/current", "{}"),
            parameter("/hostkit/asg/linux/journal", journal),
            parameter("/hostkit/asg/linux/lock", lock),
            parameter("/hostkit/asg/odd/journal", "of another hostkit"),
            parameter("/hostkit/asg/odd/lock", "of another hostkit"),
            parameter("/hostkit/asg/a/b/host", "{}"),
            parameter("/hostkit/asg/host", "{}"),
        ]);
        let ci = Neighbour { speaks: true, ..Neighbour::default() };
        let linux = Neighbour {
            role: Some(Role::Agent),
            controller: Some("ci".into()),
            held: Some("ada".into()),
            ..Neighbour::default()
        };
        let odd = Neighbour { held: Some("somebody".into()), ..Neighbour::default() };
        let wanted = [("ci", ci), ("linux", linux), ("odd", odd)];
        assert!(rolled_as_agents(&all, "ci").eq(["linux"]));
        assert_eq!(rolled_as_agents(&all, "odd").count(), 0);
        assert_eq!(all, wanted.map(|(name, it)| (name.to_owned(), it)).into());
    }
}
