//! Whether the mount targets are available.

use serde::{Deserialize, Serialize};

use super::targets::{self, line};
use crate::aws::efs::Target;
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Look, Verdict};

/// What was seen: nothing beside what the check of the targets has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {}

/// There is nothing to look at that was not seen before.
#[expect(clippy::unused_async, reason = "all checks look alike")]
pub async fn look(_scene: &Scene<'_>) -> Look<Seen> {
    Ok(Seen {})
}

/// Says what it means.
pub fn judge(_seen: &Seen, case: &Case<'_>) -> Finding {
    let Some(seen) = case.observed.targets.seen() else {
        return say(Verdict::Skip, "which mount targets there are is not known".to_owned());
    };
    let Some(first) = worst(seen) else {
        let count = seen.targets.len();
        return say(Verdict::Pass, format!("{count} mount target(s) are available"));
    };
    let ours = matters(seen, first);
    let what = match first.state.as_str() {
        "creating" => "is still being created",
        "updating" => "is being changed",
        "deleting" | "deleted" => "is being deleted",
        "error" => "is broken, as AWS has it",
        other => return unknown(seen, first, other),
    };
    let verdict = if ours && first.state != "updating" { Verdict::Fail } else { Verdict::Warn };
    let whose = if ours { "the mount target of this zone" } else { "a mount target" };
    let says = format!("{whose}, {}, {what}", first.id);
    mended(shown(say(verdict, says), seen), seen, first, case)
}

/// Of those that are not available the one that matters most.
fn worst(seen: &targets::Seen) -> Option<&Target> {
    let odd = seen.targets.iter().filter(|target| target.state != "available");
    odd.min_by_key(|target| {
        let transient = matches!(target.state.as_str(), "creating" | "updating");
        (!matters(seen, target), transient)
    })
}

/// Whether it is this host's; where nobody knows which that is, whether it is the only one.
fn matters(seen: &targets::Seen, target: &Target) -> bool {
    match seen.here() {
        Some(here) => here.id == target.id,
        None => seen.targets.iter().all(|it| it.state != "available"),
    }
}

fn mended(finding: Finding, seen: &targets::Seen, of: &Target, case: &Case<'_>) -> Finding {
    let (id, region) = (&of.id, &case.asked.region);
    let groups = of.security_groups.as_deref();
    let groups =
        groups.or_else(|| seen.targets.iter().find_map(|it| it.security_groups.as_deref()));
    let groups = groups.unwrap_or_default();
    let with = if groups.is_empty() {
        String::new()
    } else {
        format!(" --security-groups {}", groups.join(" "))
    };
    let again = format!(
        "aws efs create-mount-target --file-system-id {} --subnet-id {}{with} --region {region}",
        case.asked.file_system, of.subnet
    );
    let look = format!("aws efs describe-mount-targets --mount-target-id {id} --region {region}");
    match of.state.as_str() {
        "creating" => finding.mended_by(format!("wait a minute or two, and look again: {look}")),
        "updating" => finding.mended_by(format!("look again in a minute: {look}")),
        "error" => finding
            .mended_by(format!(
                "aws efs delete-mount-target --mount-target-id {id} --region {region}"
            ))
            .mended_by(format!("when it is gone: {again}")),
        _ => finding
            .mended_by(format!("until it is gone no other can be made in this zone: {look}"))
            .mended_by(format!("then: {again}")),
    }
}

fn unknown(seen: &targets::Seen, of: &Target, state: &str) -> Finding {
    let says = format!("the mount target {} is {state}, which is not known here", of.id);
    shown(say(Verdict::Warn, says), seen)
}

fn shown(finding: Finding, seen: &targets::Seen) -> Finding {
    seen.targets.iter().fold(finding, |finding, target| finding.shown_by(line(target)))
}

fn say(verdict: Verdict, says: String) -> Finding {
    Finding::new(Id::State.name(), verdict, says)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::efs::api::sample::{asked, case, host, target};
    use crate::doctor::efs::observed::Cell;
    use crate::doctor::efs::table::Observed;
    use crate::doctor::render;

    fn judged(states: [&str; 2], zone: Option<&str>) -> Finding {
        let mut targets = vec![target('a'), target('b')];
        for (target, state) in targets.iter_mut().zip(states) {
            target.state = state.to_owned();
        }
        let seen = targets::Seen { targets, zone_id: zone.map(str::to_owned) };
        let observed = Observed { targets: Cell::of(seen), ..Observed::default() };
        let asked = asked(zone.map(|_| host()));
        judge(&Seen {}, &case(&asked, &observed))
    }

    #[test]
    fn all_that_are_available_are_counted() {
        let finding = judged(["available"; 2], Some("euw1-az1"));
        assert_eq!(
            (finding.verdict, finding.says.as_str()),
            (Verdict::Pass, "2 mount target(s) are available")
        );
        let asked = asked(None);
        let unknown = judge(&Seen {}, &case(&asked, &Observed::default()));
        assert_eq!(unknown.verdict, Verdict::Skip);
    }

    #[test]
    fn that_of_this_zone_fails_and_others_warn() {
        let here = Some("euw1-az1");
        let findings = [
            judged(["creating", "available"], here),
            judged(["error", "creating"], here),
            judged(["deleting", "available"], here),
            judged(["updating", "error"], here),
            judged(["available", "error"], here),
            judged(["creating", "error"], None),
            judged(["odd", "available"], here),
        ];
        insta::assert_snapshot!(render(&findings));
    }
}
