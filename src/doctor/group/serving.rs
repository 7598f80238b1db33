//! By whose word a host is unhealthy, from when on, and what its load balancer says of it.

use std::time::Duration;

use jiff::SignedDuration;

use super::{Subject, Targets};
use crate::aws::asg::{Activity, Transition};
use crate::doctor::{Finding, Verdict};

/// A load balancer takes so long to find a host healthy that is ready: a few checks, and some time
/// to spare.
const FIRST_CHECKS: Duration = Duration::from_mins(2);
/// A controller that nobody has measured boots within this.
const BOOT: Duration = Duration::from_mins(5);
/// Failures that are older are history.
const OF_LATE: SignedDuration = SignedDuration::from_hours(24);

pub(super) fn check(subject: &Subject) -> Vec<Finding> {
    let mut all = Vec::new();
    if subject.is_controller() {
        all.extend([kind(subject), grace(subject)]);
        all.extend(targets(subject));
    }
    all.extend(activities(subject));
    all
}

fn heeds(subject: &Subject) -> bool {
    subject.group.health_checks.iter().any(|check| check == "ELB")
}

fn kind(subject: &Subject) -> Finding {
    const ID: &str = "group.health-check";
    let group = &subject.group;
    let evidence = format!("health check type {}", group.health_checks.join(","));
    match (heeds(subject), group.target_groups.is_empty()) {
        (true, false) => Finding::new(ID, Verdict::Pass, "a host that does not answer is replaced"),
        (true, true) => {
            let says = "the group heeds a load balancer, and is in none: nobody tells it anything";
            Finding::new(ID, Verdict::Warn, says).shown_by(evidence).mended_by(
                subject.mend().asg("attach-traffic-sources", "--traffic-sources Identifier=ARN"),
            )
        }
        (false, false) => {
            let says = "the group does not heed its load balancer: only the host itself can say that \
                        Jenkins hangs";
            Finding::new(ID, Verdict::Warn, says)
                .shown_by(evidence)
                .mended_by(subject.mend().update("--health-check-type ELB"))
        }
        (false, true) => {
            let says = "no load balancer: only the host itself can say that Jenkins hangs";
            Finding::new(ID, Verdict::Warn, says).shown_by(evidence)
        }
    }
}

fn grace(subject: &Subject) -> Finding {
    const ID: &str = "group.grace";
    let grace = subject.group.grace;
    if !heeds(subject) || subject.group.target_groups.is_empty() {
        let says = "no load balancer can end a boot that takes its time";
        return Finding::new(ID, Verdict::Pass, says);
    }
    let hooks = subject.hooks.as_deref().unwrap_or_default();
    if hooks.iter().any(|it| it.hook.transition == Transition::Launching) {
        let says =
            "the launch hook waits until a host is ready, before anybody looks at its health";
        return Finding::new(ID, Verdict::Pass, says);
    }
    let measured = subject.measured().boot;
    let needed = measured.unwrap_or(BOOT).saturating_add(FIRST_CHECKS);
    let evidence = format!("grace period {} s", grace.as_secs());
    if grace >= needed {
        return Finding::new(ID, Verdict::Pass, evidence);
    }
    let says = format!(
        "the grace period is shorter than the {} s in which the load balancer finds a new host \
         healthy: it would be replaced, and the next one, too",
        needed.as_secs()
    );
    let finding = Finding::new(ID, Verdict::Fail, says).shown_by(evidence);
    let seen = measured.map(|it| format!("the longest launch took {} s", it.as_secs()));
    let wanted = needed.as_secs().max(300);
    seen.into_iter()
        .fold(finding, Finding::shown_by)
        .mended_by(subject.mend().update(&format!("--health-check-grace-period {wanted}")))
}

fn targets(subject: &Subject) -> Vec<Finding> {
    match &subject.targets {
        Err(gap) => vec![Finding::untold("group.targets", "what the load balancer says", gap)],
        Ok(targets) => targets.iter().map(|it| target(subject, it)).collect(),
    }
}

fn target(subject: &Subject, targets: &Targets) -> Finding {
    const ID: &str = "group.targets";
    let name = &targets.group.name;
    if !targets.group.used {
        let says = format!("no load balancer uses the target group {name}: nobody reaches Jenkins");
        return Finding::new(ID, Verdict::Warn, says);
    }
    let bad: Vec<_> = targets.health.iter().filter(|(_, health)| !health.is_healthy()).collect();
    if bad.is_empty() && !targets.health.is_empty() {
        return Finding::new(ID, Verdict::Pass, format!("healthy in {name}"));
    }
    let says = format!("the load balancer does not find the host healthy in {name}");
    let finding =
        Finding::new(ID, Verdict::Warn, says).shown_by(format!("it asks {}", targets.group.check));
    let seen = bad.iter().map(|(id, health)| format!("{id}: {}", health.say()));
    let arn = &targets.group.arn;
    let look =
        subject.mend().aws("elbv2", &format!("describe-target-health --target-group-arn {arn}"));
    seen.fold(finding, Finding::shown_by).mended_by(look)
}

#[expect(clippy::unnecessary_wraps, reason = "all checks have one shape")]
fn activities(subject: &Subject) -> Option<Finding> {
    const ID: &str = "group.activities";
    let activities = match &subject.activities {
        Err(gap) => return Some(Finding::untold(ID, "what the group did of late", gap)),
        Ok(activities) => activities,
    };
    let of_late = |it: &&Activity| {
        let ended = it.ended.or(it.started);
        it.has_failed() && ended.is_some_and(|at| subject.now.duration_since(at) < OF_LATE)
    };
    let failed: Vec<_> = activities.iter().filter(of_late).collect();
    let Some(last) = failed.first() else {
        return Some(Finding::new(ID, Verdict::Pass, "nothing failed within a day"));
    };
    let says = match failed.len() {
        1 => "a launch or termination failed within the last day".to_owned(),
        many => format!("{many} launches or terminations failed within the last day"),
    };
    Some(
        Finding::new(ID, Verdict::Warn, says)
            .shown_by(last.message.clone().unwrap_or_else(|| last.description.clone()))
            .mended_by(subject.mend().asg("describe-scaling-activities", "--max-items 5")),
    )
}
