//! Who waits for a host that comes, and for one that goes.

use std::time::Duration;

use super::Subject;
use crate::aws::asg::{Posted, Transition, Verdict as Word};
use crate::aws::ecs::MANAGED_HOOK;
use crate::doctor::{Finding, Verdict};
use crate::host::{Drain, Layer, section};

const TERMINATE: &str = "group.terminate-hook";

/// A hook hears a heartbeat of hostkit's more often than this.
const HEARTBEAT: Duration = Duration::from_mins(1);
/// A drain takes so much longer than the builds that it waits for: Jenkins stops, the home is released.
const AFTER_BUILDS: Duration = Duration::from_mins(3);

pub(super) fn check(subject: &Subject) -> Vec<Finding> {
    let hooks = match &subject.hooks {
        Err(gap) => return vec![Finding::untold("group.hooks", "who waits for hosts", gap)],
        Ok(hooks) => hooks,
    };
    let of = |transition| -> Vec<&Posted> {
        let fits = |it: &&Posted| it.hook.transition == transition && it.hook.name != MANAGED_HOOK;
        hooks.iter().filter(fits).collect()
    };
    let by_ecs = hooks.iter().any(|it| it.hook.name == MANAGED_HOOK);
    let (launching, terminating) = (of(Transition::Launching), of(Transition::Terminating));
    let going = if by_ecs && terminating.is_empty() {
        Finding::new(TERMINATE, Verdict::Pass, "ECS drains a host before it goes")
    } else {
        terminate(subject, &terminating)
    };
    vec![launch(subject, &launching), going]
}

fn describe(posted: &Posted) -> String {
    let hook = &posted.hook;
    let then = match posted.otherwise {
        Word::Continue => "CONTINUE",
        Word::Abandon => "ABANDON",
    };
    format!(
        "{}: {} s without a heartbeat, {} s at most, then {then}",
        hook.name,
        hook.timeout.as_secs(),
        hook.at_most.as_secs()
    )
}

fn put(subject: &Subject, name: &str, rest: &str) -> String {
    subject.mend().asg("put-lifecycle-hook", &format!("--lifecycle-hook-name {name} {rest}"))
}

fn launch(subject: &Subject, hooks: &[&Posted]) -> Finding {
    const ID: &str = "group.launch-hook";
    const MAKE: &str = "--lifecycle-transition autoscaling:EC2_INSTANCE_LAUNCHING \
                        --heartbeat-timeout 900 --default-result ABANDON";
    let Some(posted) = hooks.first() else {
        let says = "no launch hook: a host counts as in service before it serves anybody";
        return Finding::new(ID, Verdict::Warn, says).mended_by(put(
            subject,
            "hostkit-launch",
            MAKE,
        ));
    };
    let finding = |verdict, says: &str| Finding::new(ID, verdict, says).shown_by(describe(posted));
    let name = &posted.hook.name;
    if hooks.len() > 1 {
        let others: Vec<_> = hooks.iter().map(|it| it.hook.name.as_str()).collect();
        return finding(Verdict::Warn, "several launch hooks: hostkit completes one of them")
            .shown_by(others.join(", "))
            .mended_by("name that one as `asg.hook` in host.toml, or remove the others");
    }
    if let Some(boot) = subject.measured().boot.filter(|boot| *boot >= posted.hook.at_most) {
        let says =
            "a launch may take longer than its hook waits: hosts are given up before they serve";
        return finding(Verdict::Fail, says)
            .shown_by(format!("the longest launch took {} s", boot.as_secs()))
            .mended_by(put(subject, name, &heartbeat(boot)));
    }
    if posted.otherwise == Word::Continue {
        let says = "a host that hangs at its boot is put into service";
        return finding(Verdict::Warn, says).mended_by(put(
            subject,
            name,
            "--default-result ABANDON",
        ));
    }
    finding(Verdict::Pass, "the group waits until a host is ready")
}

fn terminate(subject: &Subject, hooks: &[&Posted]) -> Finding {
    const ID: &str = TERMINATE;
    const MAKE: &str = "--lifecycle-transition autoscaling:EC2_INSTANCE_TERMINATING \
                        --heartbeat-timeout 300 --default-result CONTINUE";
    let Some(posted) = hooks.first() else {
        let (verdict, says) = if subject.is_controller() {
            let says = "no terminate hook: Jenkins is switched off in the middle of what it writes, and \
                        nobody releases the home";
            (Verdict::Fail, says)
        } else {
            (Verdict::Fail, "no terminate hook: builds and tasks die with their host")
        };
        return Finding::new(ID, verdict, says).mended_by(put(subject, "hostkit-terminate", MAKE));
    };
    let finding = |verdict, says: &str| Finding::new(ID, verdict, says).shown_by(describe(posted));
    let name = &posted.hook.name;
    let drain = drain(subject);
    if hooks.len() > 1 && drain.hook.is_none() {
        let others: Vec<_> = hooks.iter().map(|it| it.hook.name.as_str()).collect();
        return finding(Verdict::Warn, "several terminate hooks: hostkit completes one of them")
            .shown_by(others.join(", "))
            .mended_by("name that one as `drain.hook` in host.toml, or remove the others");
    }
    if posted.hook.timeout < HEARTBEAT {
        let says = "the terminate hook gives a host up that is slow to answer for a moment";
        return finding(Verdict::Fail, says).mended_by(put(
            subject,
            name,
            "--heartbeat-timeout 300",
        ));
    }
    let patience = Duration::from_secs(u64::from(drain.patience)) + AFTER_BUILDS;
    let measured = subject.measured().drain;
    let needed = measured.unwrap_or_default().max(patience);
    if needed > posted.hook.at_most {
        let says = "a drain may take longer than the terminate hook waits: it ends in the middle";
        let finding = finding(Verdict::Fail, says)
            .shown_by(format!("builds are waited for {} s (drain.patience)", drain.patience));
        let seen = measured.map(|it| format!("the longest termination took {} s", it.as_secs()));
        return seen.into_iter().fold(finding, Finding::shown_by).mended_by(put(
            subject,
            name,
            "--heartbeat-timeout 300",
        ));
    }
    finding(Verdict::Pass, "the group waits until a host is drained")
}

/// What gives a hook so much time: it waits for a hundred heartbeats at most.
fn heartbeat(needed: Duration) -> String {
    let each = needed.as_secs().div_ceil(100) * 2;
    format!("--heartbeat-timeout {}", each.clamp(300, 7200))
}

/// How hosts are told to go, as far as the user-data says it.
fn drain(subject: &Subject) -> Drain {
    let Some(text) = subject.user_data() else { return Drain::default() };
    section(&[Layer { origin: "user-data", text }], "drain")
}
