//! The instances of a group: what would not be replaced, or is in the middle of something.

use super::Subject;
use crate::aws::asg::Member;
use crate::doctor::{Finding, Verdict};

pub(super) fn check(subject: &Subject) -> Vec<Finding> {
    let all =
        [standby(subject), protected(subject), moving(subject), unhealthy(subject), none(subject)];
    let mut found: Vec<_> = all.into_iter().flatten().collect();
    if found.is_empty() {
        let ids: Vec<_> = subject.group.members.iter().map(|it| it.id.as_str()).collect();
        let says = format!("{} in service", ids.join(", "));
        found.push(Finding::new("group.instances", Verdict::Pass, says));
    }
    found
}

fn those(subject: &Subject, is: impl Fn(&Member) -> bool) -> Vec<&Member> {
    subject.group.members.iter().filter(|member| is(member)).collect()
}

fn ids(members: &[&Member]) -> String {
    members.iter().map(|member| member.id.as_str()).collect::<Vec<_>>().join(" ")
}

fn standby(subject: &Subject) -> Option<Finding> {
    let members = those(subject, |it| it.state.contains("Standby"));
    let first = members.first()?;
    let says = format!("{} in standby: a refresh waits for an hour, and fails", told(&members));
    let fix = format!("--instance-ids {}", ids(&members));
    Some(
        Finding::new("group.standby", Verdict::Fail, says)
            .shown_by(format!("{} is {}", first.id, first.state))
            .mended_by(subject.mend().asg("exit-standby", &fix)),
    )
}

fn protected(subject: &Subject) -> Option<Finding> {
    const ID: &str = "group.protected";
    let members = those(subject, |it| it.protected);
    let mend = subject.mend();
    if !members.is_empty() {
        let says = format!("{} protected: a refresh waits for an hour, and fails", told(&members));
        let fix = format!("--instance-ids {} --no-protected-from-scale-in", ids(&members));
        let finding = Finding::new(ID, Verdict::Fail, says);
        let finding = finding.mended_by(mend.asg("set-instance-protection", &fix));
        return Some(if subject.group.protects_new {
            finding.mended_by(mend.update("--no-new-instances-protected-from-scale-in"))
        } else {
            finding
        });
    }
    subject.group.protects_new.then(|| {
        let says =
            "the group protects what it launches: the next refresh would wait for it, and fail";
        Finding::new(ID, Verdict::Fail, says)
            .mended_by(mend.update("--no-new-instances-protected-from-scale-in"))
    })
}

fn moving(subject: &Subject) -> Option<Finding> {
    let going = ["Pending", "Terminat", "Entering", "Detach", "Warmed", "Replac", "Retain"];
    let members = those(subject, |it| going.iter().any(|word| it.state.starts_with(word)));
    if members.is_empty() {
        return None;
    }
    let finding = Finding::new(
        "group.moving",
        Verdict::Fail,
        "the group is replacing a host, or has one that neither serves nor is gone",
    );
    let seen = members.iter().map(|it| format!("{} is {}", it.id, it.state));
    Some(
        seen.fold(finding, Finding::shown_by)
            .mended_by("wait until it is in service or gone: `hostkit asg check` again"),
    )
}

fn unhealthy(subject: &Subject) -> Option<Finding> {
    let members = those(subject, |it| !it.healthy && it.state == "InService");
    let first = members.first()?;
    let says = format!("the group finds {} unhealthy and is about to replace it", first.id);
    Some(
        Finding::new("group.unhealthy", Verdict::Fail, says)
            .mended_by("`hostkit status` on the host says why; wait until it is replaced"),
    )
}

fn none(subject: &Subject) -> Option<Finding> {
    let empty = subject.is_controller() && subject.group.members.is_empty();
    let says = "no host is there, so that nothing proves that what the group launches works";
    empty.then(|| {
        Finding::new("group.instances", Verdict::Fail, says)
            .mended_by(subject.mend().asg("describe-scaling-activities", "--max-items 5"))
    })
}

fn told(members: &[&Member]) -> String {
    match members {
        [one] => format!("{} is", one.id),
        many => format!("{} instances are", many.len()),
    }
}
