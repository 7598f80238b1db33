//! What people read when a rollout is over, or was stopped. Pure.

use jiff::Timestamp;

use super::ended::{Stuck, Summary};
use super::journal::{Journal, Loose};
use super::reaction::{by_hand, phase_name};
use super::seen::Seen;
use super::timeline::{Moment, times};
use super::{Phase, Side, Way, lock, soak};
use crate::host::Role;

/// How it ended.
pub(super) fn summary(journal: &Journal, who: &str, now: Timestamp) -> Summary {
    Summary {
        rollout: journal.rollout.clone(),
        group: journal.order.group.clone(),
        from: journal.order.from.clone(),
        to: journal.order.to.clone(),
        cause: (journal.way == Way::Back).then(|| cause(journal)),
        proof: journal.proof.clone().unwrap_or_default(),
        warnings: journal.warnings.clone(),
        loose: journal.loose.iter().map(|it| left(journal, it, who, now)).collect(),
        times: times(journal, now),
    }
}

/// What was left to a person: what AWS said, and the command that does it.
fn left(journal: &Journal, loose: &Loose, who: &str, now: Timestamp) -> String {
    // Journals of before have the command in them.
    if loose.says.contains("`aws ") {
        return loose.says.clone();
    }
    format!("{}: {}", loose.says, by_hand(journal, &loose.act, who, now))
}

/// A side in a few words.
fn name(side: &Side) -> String {
    let version = side.version.map_or_else(String::new, |number| format!(", version {number}"));
    if side.name.is_empty() {
        format!("{} ({}{version})", side.image, side.template)
    } else {
        format!("{} ({}, {}{version})", side.name, side.image, side.template)
    }
}

/// Why it went back, what was done, what serves now and what to look at: a paragraph.
fn cause(journal: &Journal) -> String {
    let order = &journal.order;
    let phase = phase_name(journal.failed_in.unwrap_or(journal.phase));
    let said = journal.cause.as_deref().unwrap_or("nothing is known of why");
    let done = done(journal);
    let mut text = format!(
        "At `{phase}` {} was given up: {}. {done}",
        name(&order.to),
        said.trim_end_matches('.')
    );
    if journal.phase == Phase::Recorded {
        let proof = journal.proof.as_deref().unwrap_or("it is proven");
        text += &format!(" {} serves: {proof}.", name(&order.from));
    }
    if journal.forward.marks.at(Moment::Began).is_some() && order.role == Role::Controller {
        text += " What the new host said is on its serial console (`aws ec2 get-console-output`) \
                 and in `.hostkit/boots/` on the home.";
    }
    text
}

/// What was done to go back.
fn done(journal: &Journal) -> &'static str {
    match (&journal.forward.id, &journal.back.id) {
        (_, Some(_)) => "A refresh back to the former version was begun.",
        (Some(_), None) if journal.forward.irreversible => "The refresh was cancelled.",
        (Some(_), None) => "The refresh was rolled back.",
        (None, None) => "No host was replaced.",
    }
}

/// What stands where, a line each.
pub(super) fn stands(journal: &Journal, seen: &Seen) -> Vec<String> {
    let order = &journal.order;
    let group = &order.group;
    let mut lines = Vec::new();
    if let (Some(template), Some(version)) = (&seen.crew.template, &seen.crew.version) {
        lines.push(format!("{group} launches version {version} of {template}"));
    }
    for host in &seen.crew.hosts {
        let version =
            host.version.map_or("of no known version".to_owned(), |it| format!("version {it}"));
        let health = if host.healthy { "healthy" } else { "unhealthy" };
        lines.push(format!("{} is {}, {health}, {version}", host.id, host.state));
    }
    if seen.crew.hosts.is_empty() {
        lines.push(format!("{group} has no hosts"));
    }
    if let Some(refresh) = seen.active() {
        lines
            .push(format!("refresh {} is {:?}, and goes on by itself", refresh.id, refresh.status));
    }
    if let Some(host) = journal.quieted.as_ref().filter(|id| seen.staying(id).is_some())
        && journal.phase >= Phase::Quiet
    {
        lines.push(format!("Jenkins on {host} was told to begin no builds"));
    }
    let suspended = journal.suspended.iter().filter(|one| seen.crew.suspended.contains(one));
    let suspended: Vec<&str> = suspended.map(String::as_str).collect();
    if !suspended.is_empty() {
        lines.push(format!("suspended for this, and still so: {}", suspended.join(", ")));
    }
    let kept = format!("lock and journal are kept: {}", lock::parameter(group));
    lines.push(kept.replace("/lock", "/{lock,journal}"));
    lines
}

/// What stands where when it was stopped on purpose. `seen` is absent where AWS has told nothing, and
/// `heard` tells whether the journal says that nobody is at work.
pub(super) fn put_down(journal: &Journal, seen: Option<&Seen>, heard: bool) -> Vec<String> {
    let nothing = || vec!["AWS has told nothing of how the group stands".to_owned()];
    let mut lines = seen.map_or_else(nothing, |seen| stands(journal, seen));
    if soak::is_on(journal) {
        let says = "the new image is proven and does not count yet: --resume watches it on, and --resume \
                    --soak 0s has it count";
        lines.push(says.to_owned());
    }
    if !heard {
        let says = "AWS did not hear that it was stopped: --resume on another machine waits until three \
                    minutes are over, or needs --take-over";
        lines.push(says.to_owned());
    }
    lines
}

/// How to carry on, and how to go back.
pub(super) fn ways_on(journal: &Journal) -> Vec<String> {
    let order = &journal.order;
    let on = format!("hostkit upgrade --asg {} --resume", order.group);
    if journal.way == Way::Forward && journal.phase < Phase::Promote {
        let back = format!("{on} --back");
        return vec![order.command(&on), order.command(&back)];
    }
    vec![order.command(&on)]
}

/// Neither serves for certain.
pub(super) fn stuck(journal: &Journal, seen: &Seen) -> Stuck {
    let order = &journal.order;
    let group = &order.group;
    let why = journal.stuck.as_deref().unwrap_or("nobody knows why");
    let mut commands = ways_on(journal);
    let untouched = journal.forward.id.is_none() && journal.back.id.is_none();
    if let Some(host) = journal.before.instance.as_ref().filter(|_| untouched) {
        commands.insert(0, format!("systemctl status hostkit-guard jenkins   # on {host}"));
    }
    let mut push = |words: String| commands.push(order.command(&words));
    push(format!(
        "aws autoscaling describe-scaling-activities --auto-scaling-group-name {group} \
         --max-items 5"
    ));
    push(format!(
        "aws autoscaling start-instance-refresh --auto-scaling-group-name {group} \
         --desired-configuration \
         'LaunchTemplate={{LaunchTemplateId={},Version={}}}' \
         --preferences 'MinHealthyPercentage=0,MaxHealthyPercentage=100,SkipMatching=true'",
        order.from.template,
        order.from.version.unwrap_or_default()
    ));
    if !journal.suspended.is_empty() {
        push(format!(
            "aws autoscaling resume-processes --auto-scaling-group-name {group} \
             --scaling-processes {}",
            journal.suspended.join(" ")
        ));
    }
    Stuck {
        rollout: journal.rollout.clone(),
        group: group.clone(),
        cause: format!("{} The way back failed, too: {why}.", cause(journal)),
        stands: stands(journal, seen),
        commands,
    }
}
