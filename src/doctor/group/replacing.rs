//! When a group replaces a host by itself, and whether it would start the next one first.

use super::Subject;
use crate::doctor::{Finding, Verdict};

/// Without these nothing can be replaced.
const NEEDED: [&str; 4] = ["Launch", "Terminate", "AddToLoadBalancer", "InstanceRefresh"];
/// Without these a dead host stays dead.
const CARE: [&str; 2] = ["HealthCheck", "ReplaceUnhealthy"];

pub(super) fn check(subject: &Subject) -> Vec<Finding> {
    let mut all: Vec<_> = [suspended(subject), refresh(subject)].into_iter().flatten().collect();
    if subject.is_controller() {
        all.extend([
            maintenance(subject),
            rebalance(subject),
            capacity(subject),
            warm_pool(subject),
            retention(subject),
        ]);
        all.extend(lifetime(subject));
    }
    all
}

#[expect(clippy::unnecessary_wraps, reason = "all checks have one shape")]
fn suspended(subject: &Subject) -> Option<Finding> {
    const ID: &str = "group.suspended";
    let among = |names: &[&'static str]| -> Vec<&'static str> {
        names.iter().copied().filter(|name| subject.group.suspends(name)).collect()
    };
    let (needed, care) = (among(&NEEDED), among(&CARE));
    let both: Vec<_> = needed.iter().chain(&care).copied().collect();
    if both.is_empty() {
        return Some(Finding::new(ID, Verdict::Pass, "nothing that is needed is suspended"));
    }
    let names = both.join(" ");
    let says = if needed.is_empty() {
        format!("a host that dies is not replaced: {} suspended", are(&both))
    } else {
        format!("no host can be replaced: {} suspended", are(&both))
    };
    let fix = subject.mend().asg("resume-processes", &format!("--scaling-processes {names}"));
    Some(
        Finding::new(ID, Verdict::Fail, says)
            .shown_by(format!("suspended: {}", subject.group.suspended.join(", ")))
            .mended_by(fix),
    )
}

fn are(names: &[&str]) -> String {
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", names.join(" and "))
}

#[expect(clippy::unnecessary_wraps, reason = "all checks have one shape")]
fn refresh(subject: &Subject) -> Option<Finding> {
    const ID: &str = "group.refresh";
    let refreshes = match &subject.refreshes {
        Err(gap) => return Some(Finding::untold(ID, "whether a refresh runs", gap)),
        Ok(refreshes) => refreshes,
    };
    let Some(first) = refreshes.first() else {
        return Some(Finding::new(ID, Verdict::Pass, "no refresh runs"));
    };
    let began = first.started.map(|at| at.strftime(", since %Y-%m-%d %H:%M:%S UTC").to_string());
    let began = began.unwrap_or_default();
    let percent = first.percent.unwrap_or(0);
    let evidence = format!("{} is {:?}, {percent} %{began}", first.id, first.status);
    let fix = subject.mend().asg("cancel-instance-refresh", "");
    Some(
        Finding::new(ID, Verdict::Fail, "a refresh runs already: a group has one at a time")
            .shown_by(evidence)
            .mended_by("wait until it is over; if nobody wants it any more:")
            .mended_by(fix),
    )
}

fn maintenance(subject: &Subject) -> Finding {
    const ID: &str = "group.maintenance";
    let policy = "--instance-maintenance-policy MinHealthyPercentage=0,MaxHealthyPercentage=100";
    let fix = subject.mend().update(policy);
    match subject.group.maintenance {
        Some((0, 100)) => {
            Finding::new(ID, Verdict::Pass, "a host goes before the next one comes: 0/100")
        }
        Some((min, max)) if max > 100 => {
            let says = "the group starts the next controller before the last one is gone";
            Finding::new(ID, Verdict::Fail, says)
                .shown_by(format!("maintenance policy {min}/{max}"))
                .mended_by(fix)
        }
        Some((min, max)) => {
            let says = "the group may not let its only host go, so that nothing is ever replaced";
            Finding::new(ID, Verdict::Warn, says)
                .shown_by(format!("maintenance policy {min}/{max}"))
                .mended_by(fix)
        }
        None => {
            let says = "the group has no maintenance policy: AWS decides for each reason whether the \
                        next host comes before the last one is gone";
            Finding::new(ID, Verdict::Warn, says).mended_by(fix)
        }
    }
}

fn rebalance(subject: &Subject) -> Finding {
    const ID: &str = "group.az-rebalance";
    let zones = subject.group.zones.len();
    if subject.group.suspends("AZRebalance") {
        return Finding::new(ID, Verdict::Pass, "AZRebalance is suspended");
    }
    if zones < 2 {
        return Finding::new(ID, Verdict::Pass, "there is one zone: nothing to balance");
    }
    let says =
        "AZRebalance runs: it starts a host in another zone before the one that serves is gone";
    let fix = subject.mend().asg("suspend-processes", "--scaling-processes AZRebalance");
    Finding::new(ID, Verdict::Warn, says)
        .shown_by(format!("{zones} zones: {}", subject.group.zones.join(", ")))
        .mended_by(fix)
}

fn capacity(subject: &Subject) -> Finding {
    const ID: &str = "group.capacity-rebalance";
    if !subject.group.rebalances_capacity {
        return Finding::new(ID, Verdict::Pass, "it does not replace what may soon be taken away");
    }
    let says = "capacity rebalancing is on: a spot instance at risk gets a second one beside it";
    Finding::new(ID, Verdict::Fail, says)
        .mended_by(subject.mend().update("--no-capacity-rebalance"))
}

fn warm_pool(subject: &Subject) -> Finding {
    const ID: &str = "group.warm-pool";
    let Some(pool) = &subject.group.warm_pool else {
        return Finding::new(ID, Verdict::Pass, "there is no warm pool");
    };
    let says = "the group has a warm pool: what waits there has booted the image of its day, and beside \
                a controller that serves";
    let fix = subject.mend().asg("delete-warm-pool", "--force-delete");
    Finding::new(ID, Verdict::Fail, says)
        .shown_by(format!("{} instances, {}, {} at least", pool.size, pool.state, pool.min))
        .mended_by(fix)
}

fn retention(subject: &Subject) -> Finding {
    const ID: &str = "group.retention";
    if subject.group.retention.as_deref() != Some("retain") {
        let says = "a host whose terminate hook is abandoned is terminated";
        return Finding::new(ID, Verdict::Pass, says);
    }
    let says = "a host whose terminate hook is abandoned is kept: as long as it runs, no other one may \
                have the home";
    let policy = "--instance-lifecycle-policy 'RetentionTriggers={TerminateHookAbandon=terminate}'";
    Finding::new(ID, Verdict::Fail, says)
        .shown_by("TerminateHookAbandon is retain")
        .mended_by(subject.mend().update(policy))
}

fn lifetime(subject: &Subject) -> Option<Finding> {
    let days = subject.group.max_lifetime?.as_secs() / 86_400;
    let says = "the group replaces the controller after some days, at a time that nobody chooses";
    Some(
        Finding::new("group.lifetime", Verdict::Warn, says)
            .shown_by(format!("an instance lives for {days} days at most"))
            .mended_by(subject.mend().update("--max-instance-lifetime 0")),
    )
}
