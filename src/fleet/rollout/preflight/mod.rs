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

use super::survey::Survey;
use super::{Ask, Strategy, agents, ecs};
use crate::doctor::group;
use crate::doctor::{Finding, Gap, Verdict};

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
    let mut all: Vec<_> = ours.chain(strategy(ask)).chain(group::check(&survey.subject)).collect();
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

/// What is said of a way of replacing that nobody has tried on AWS.
fn strategy(ask: &Ask) -> Option<Finding> {
    (ask.strategy == Some(Strategy::ReplaceRootVolume)).then(|| {
        let says = "replacing root volumes is not verified against AWS: a replacement that fails ends \
                    with a new instance";
        let finding = Finding::new("upgrade.strategy", Verdict::Warn, says);
        if ask.alarms.is_empty() {
            return finding;
        }
        // Its interface takes them with either strategy; no documentation says what becomes of them.
        finding.shown_by("whether AWS heeds alarms while it replaces root volumes is not known")
    })
}
