//! Everything that speaks against a replacement, said at once. Pure: what it looks at was read before.
//!
//! A failure means that it must not be begun; a warning is for what does no harm to go on with. There
//! is no way to wave one through: what could be waved through is a warning.

mod fit;
mod gate;
mod host;
mod image;
mod permissions;
mod records;
#[cfg(test)]
mod tests;

pub use permissions::untried;

use super::survey::Survey;
use super::{Ask, Strategy, agents, ecs};
use crate::doctor::group;
use crate::doctor::{Finding, Verdict};
use crate::host::Role;

/// All that was found, of the group and of what is to be done with it.
pub fn check(survey: &Survey, ask: &Ask) -> Vec<Finding> {
    let checks: [fn(&Survey, &Ask) -> Vec<Finding>; 8] = [
        permissions::check,
        records::check,
        image::check,
        fit::check,
        gate::check,
        host::check,
        agents::check,
        ecs::check,
    ];
    let ours = checks.into_iter().flat_map(|check| check(survey, ask));
    let mut all: Vec<_> =
        ours.chain(strategy(survey, ask)).chain(group::check(&survey.subject)).collect();
    ecs::forgive(survey, &mut all);
    all
}

/// Whether the hosts can be replaced in the way that somebody asks for.
fn strategy(survey: &Survey, ask: &Ask) -> Option<Finding> {
    const ID: &str = "upgrade.strategy";
    let (role, asked) = (survey.subject.part.role, ask.strategy?);
    let (says, takes) = match (asked, role) {
        (Strategy::TerminateFirst, Role::Controller)
        | (Strategy::Rolling, Role::Agent | Role::Ecs) => return None,
        (Strategy::ReplaceRootVolume, Role::Controller) => {
            let says = "replacing root volumes is not verified against AWS: a replacement that fails \
                        ends with a new instance";
            return Some(Finding::new(ID, Verdict::Warn, says));
        }
        (Strategy::Rolling, Role::Controller) => (
            "a controller's next host would come before the last one goes, and wait for a home that \
             this one keeps until it goes",
            "--strategy terminate-first, or none: it is what a controller takes",
        ),
        (Strategy::TerminateFirst, Role::Agent | Role::Ecs) => (
            "all hosts would go at once: nobody would run builds or tasks meanwhile",
            "--strategy rolling, or none: it is what hosts beside each other take",
        ),
        (Strategy::ReplaceRootVolume, Role::Agent | Role::Ecs) => (
            "no host would be drained: with a new root volume it stays in the group, so that no \
             terminate hook waits for its builds or tasks",
            "--strategy rolling, or none: it is what hosts beside each other take",
        ),
    };
    let told = format!("role {}, by {}", role.name(), survey.subject.part.told_by);
    Some(Finding::new(ID, Verdict::Fail, says).shown_by(told).mended_by(takes))
}
