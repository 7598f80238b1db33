//! Everything that speaks against a replacement, said at once. Pure: what it looks at was read before.
//!
//! A failure means that it must not be begun; a warning is for what does no harm to go on with. There
//! is no way to wave one through: what could be waved through is a warning.

mod alarms;
mod fit;
mod gate;
mod host;
mod image;
mod permissions;
mod records;
mod room;
#[cfg(test)]
mod tests;

pub use permissions::untried;

use super::survey::Survey;
use super::{Ask, Strategy, agents, ecs};
use crate::doctor::group;
use crate::doctor::{Finding, Gap, Verdict};
use crate::host::Role;

/// Whether nobody is at it, and what serves is what was proven to: then an image that serves already is
/// nothing to do. What cannot be told is not so.
pub fn is_settled(findings: &[Finding]) -> bool {
    let ours = |finding: &&Finding| records::SETTLED.contains(&finding.id);
    findings.iter().filter(ours).all(|finding| finding.verdict == Verdict::Pass)
}

/// All that was found, of the group and of what is to be done with it.
pub fn check(survey: &Survey, ask: &Ask) -> Vec<Finding> {
    let checks: [fn(&Survey, &Ask) -> Vec<Finding>; 10] = [
        permissions::check,
        records::check,
        image::check,
        fit::check,
        gate::check,
        host::check,
        alarms::check,
        room::check,
        agents::check,
        ecs::check,
    ];
    let ours = checks.into_iter().flat_map(|check| check(survey, ask));
    let mut all: Vec<_> =
        ours.chain(strategy(survey, ask)).chain(group::check(&survey.subject)).collect();
    ecs::forgive(survey, &mut all);
    all
}

/// That something could not be looked at that nothing depends on but foresight: a warning.
fn unseen(survey: &Survey, id: &'static str, what: &str, gap: &Gap) -> Finding {
    let finding = Finding { verdict: Verdict::Warn, ..Finding::untold(id, what, gap) };
    if !gap.denied {
        return finding;
    }
    let (account, region) = (&survey.identity.account, &survey.subject.region);
    finding.mended_by(format!("hostkit iam upgrade --account {account} --region {region}"))
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
            let finding = Finding::new(ID, Verdict::Warn, says);
            if ask.alarms.is_empty() {
                return Some(finding);
            }
            // Its interface takes them with either strategy; no documentation says what becomes of them.
            let says = "whether AWS heeds alarms while it replaces root volumes is not known";
            return Some(finding.shown_by(says));
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
