//! The way to the new image, phase by phase. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::common::{
    adopted, enter, has_run_out, is_loose, is_overdue, judged, lasts, note, progress, said,
    still_quiet, to_resume, to_untag, with_trouble,
};
use super::journal::{CAUSE, Journal, shortened};
use super::next::{Act, Next};
use super::proof::{Before, Cause, Verdict};
use super::quiet::{self, Heard};
use super::seen::Seen;
use super::timeline::Moment;
use super::{Builds, Order, Phase, Strategy, Way, alarms, soak};
use crate::aws::asg::Host;
use crate::aws::asg::refresh::Status;
use crate::group::standing::Standing;
use crate::host::Role;

/// What is next on the way to the new image.
pub(super) fn next(journal: &Journal, seen: &Seen, now: Timestamp) -> Next {
    match journal.phase {
        Phase::Begun => begun(journal, seen, now),
        Phase::Version => version(journal, seen, now),
        Phase::Suspend => suspend(journal, seen, now),
        Phase::Quiet => quiet(journal, seen, now),
        Phase::Refresh => refresh(journal, seen, now),
        Phase::Proof => proof(journal, seen, now),
        // What is recorded goes neither way any more: whoever asks here has asked that before.
        Phase::Promote | Phase::Recorded => promote(journal, seen, now),
    }
}

/// The journal of a rollout that goes back, and why.
pub(super) fn failed(journal: &Journal, seen: &Seen, now: Timestamp, cause: &str) -> Journal {
    let mut back = enter(journal, Phase::Refresh, now);
    if soak::is_on(journal) {
        back.forward.marks.mark(Moment::Soaked, now);
    }
    (back.answer, back.faltered) = (None, None);
    back.way = Way::Back;
    back.cause = Some(shortened(cause, CAUSE));
    back.failed_in = Some(journal.phase);
    back.back.after = seen.newest();
    back.back.marks.mark(Moment::Began, now);
    back
}

pub(super) fn fail(journal: &Journal, seen: &Seen, now: Timestamp, cause: &str) -> Next {
    note(failed(journal, seen, now, cause))
}

fn begun(journal: &Journal, seen: &Seen, now: Timestamp) -> Next {
    let mut next = enter(journal, Phase::Version, now);
    let serving = seen.crew.hosts.iter().filter(|host| host.is_in_service());
    // Many hosts are a fleet, of which none counts by itself.
    next.hosts = serving.map(|host| host.id.clone()).take(10).collect();
    if journal.order.role == Role::Controller {
        let before = Before::of(next.hosts.first().map(String::as_str), seen.standing.as_ref());
        // What the guard does not say, its user-data does.
        let home = before.file_system.clone().or_else(|| journal.order.home.clone());
        next.before = Before { file_system: home, ..before };
    }
    note(next)
}

fn version(journal: &Journal, seen: &Seen, now: Timestamp) -> Next {
    let mut next = enter(journal, Phase::Suspend, now);
    match (journal.order.to.version, seen.made) {
        (Some(_), _) => {
            let needed = unavoidable(journal.order.strategy).iter();
            let ours = needed.filter(|one| !seen.crew.suspended.iter().any(|it| it == *one));
            next.suspended = ours.map(|one| (*one).to_owned()).collect();
            note(next)
        }
        (None, Some(made)) => {
            let mut next = journal.clone();
            next.order.to.version = Some(made);
            note(next)
        }
        (None, None) => Next::Act(Act::AddVersion),
    }
}

/// What a group must not do by itself meanwhile.
///
/// As long as Jenkins serves until the group lets the host go, a group that replaces it does no harm:
/// the host goes in order, whoever has decided that it goes. A new root volume is another matter: the
/// host is in the group while it does not serve.
const fn unavoidable(strategy: Strategy) -> &'static [&'static str] {
    match strategy {
        Strategy::TerminateFirst | Strategy::Rolling => &[],
        Strategy::ReplaceRootVolume => &["HealthCheck", "ReplaceUnhealthy"],
    }
}

fn suspend(journal: &Journal, seen: &Seen, now: Timestamp) -> Next {
    let missing: Vec<String> = journal
        .suspended
        .iter()
        .filter(|one| !seen.crew.suspended.contains(one))
        .cloned()
        .collect();
    if !missing.is_empty() {
        return Next::Act(Act::Suspend(missing));
    }
    let mut next = enter(journal, Phase::Quiet, now);
    // Hosts that are not a controller are drained one by one, when each is replaced.
    if journal.order.role == Role::Controller {
        let to = journal.order.to.version;
        let old = |id: &&String| seen.staying(id).is_some_and(|host| host.version != to);
        if let Some(host) = journal.hosts.iter().find(old) {
            next = to_quiet(next, host, seen, now);
        }
    }
    note(next)
}

/// The journal in which this host is the one to be made quiet, from now on.
fn to_quiet(mut journal: Journal, host: &str, seen: &Seen, now: Timestamp) -> Journal {
    journal.quieted = Some(host.to_owned());
    journal.since = now;
    journal.forward.marks.mark(Moment::Asked, now);
    journal.answer =
        seen.standing.clone().map(|answer| Standing { proof: None, again: None, ..answer });
    journal
}

fn quiet(journal: &Journal, seen: &Seen, now: Timestamp) -> Next {
    let Some(host) = journal.quieted.as_deref().filter(|id| seen.staying(id).is_some()) else {
        return gone(journal, seen, now);
    };
    let order = &journal.order;
    let waits = lasts(journal, now);
    let overdue = |cause: &str| match order.builds {
        Builds::Wait => fail(journal, seen, now, cause),
        Builds::WaitThenForce | Builds::Force => replace(journal, seen, now),
    };
    let patience = Duration::from_secs(order.builds_patience);
    let before = journal.answer.as_ref();
    match quiet::hear(host, before, seen.standing.as_ref(), waits >= quiet::SETTLED) {
        Heard::Goes | Heard::Quiet(Some(0)) => replace(journal, seen, now),
        Heard::Quiet(_) if order.builds == Builds::Force => replace(journal, seen, now),
        Heard::Nothing | Heard::NotYet if waits > quiet::ANSWER => overdue(&format!(
            "the guard of {host} does not say within {} s that Jenkins begins no builds",
            quiet::ANSWER.as_secs()
        )),
        Heard::Cannot(why) if waits > quiet::CANNOT => {
            overdue(&format!("the guard of {host} cannot have Jenkins begin no builds: {why}"))
        }
        Heard::Quiet(builds) if waits > patience => {
            let minutes = patience.as_secs().div_ceil(60);
            overdue(&format!("after {minutes} minutes {} on {host}", quiet::running(builds)))
        }
        _ if seen.tag.as_deref() != Some(quiet::QUIET) => Next::Act(Act::Quiet(host.to_owned())),
        Heard::Nothing | Heard::NotYet => Next::Wait(format!("{host} has not answered yet")),
        Heard::Cannot(why) => Next::Wait(why),
        Heard::Quiet(builds) => Next::Wait(quiet::running(builds)),
    }
}

/// The host that was made quiet is gone: the group replaces it by itself. Where the next one serves
/// already, in the old version, its builds are waited for as those of the one before were; as long as
/// builds are waited for at all, however often the group does that.
fn gone(journal: &Journal, seen: &Seen, now: Timestamp) -> Next {
    let Order { role, builds, builds_patience, ref to, .. } = journal.order;
    let patience = SignedDuration::from_secs(i64::try_from(builds_patience).unwrap_or(i64::MAX));
    let asked = journal.forward.marks.at(Moment::Asked).unwrap_or(now);
    let waits = now.duration_since(asked) <= patience;
    let old = |host: &&Host| host.is_in_service() && host.version != to.version;
    match seen.crew.hosts.iter().find(old) {
        Some(host) if role == Role::Controller && builds != Builds::Force && waits => {
            note(to_quiet(journal.clone(), &host.id, seen, now))
        }
        _ => replace(journal, seen, now),
    }
}

/// The replacement begins.
fn replace(journal: &Journal, seen: &Seen, now: Timestamp) -> Next {
    let mut next = enter(journal, Phase::Refresh, now);
    next.answer = None;
    if next.quieted.is_some() {
        next.forward.marks.mark(Moment::Quiet, now);
    }
    next.forward.after = seen.newest();
    next.forward.marks.mark(Moment::Began, now);
    note(next)
}

fn refresh(journal: &Journal, seen: &Seen, now: Timestamp) -> Next {
    let to = &journal.order.to;
    let Some(ours) = journal.forward.find(&seen.refreshes, &to.template, to.version) else {
        return not_there(journal, seen, now);
    };
    if journal.forward.id.is_none() {
        return adopted(journal, ours);
    }
    let said = said(ours);
    match ours.status {
        Status::Successful => note(enter(journal, Phase::Proof, now)),
        Status::Failed | Status::RollbackFailed => {
            let watched = alarms::watched(&journal.order.alarms, &said, None);
            let cause = format!("the refresh failed{said}{watched}");
            fail(journal, seen, now, &with_trouble(&cause, seen))
        }
        Status::Cancelling | Status::Cancelled => {
            fail(journal, seen, now, &format!("somebody cancelled the refresh{said}"))
        }
        Status::RollbackInProgress | Status::RollbackSuccessful => {
            let said = ours.rollback.as_ref().map_or(said, |why| format!(": {why}"));
            let watched = alarms::watched(&journal.order.alarms, &said, ours.reason.as_deref());
            let cause = format!("AWS rolls the refresh back by itself{said}{watched}");
            fail(journal, seen, now, &with_trouble(&cause, seen))
        }
        Status::Pending | Status::InProgress | Status::Baking => {
            match judged(journal, seen, now) {
                // Whether it takes too long is asked below: what AWS says of it is in the cause then.
                Verdict::Failed(cause) if !matches!(cause, Cause::Late { .. }) => {
                    fail(journal, seen, now, &cause.to_string())
                }
                verdict if has_run_out(journal, &verdict, now) => {
                    let minutes = journal.order.patience / 60;
                    let cause = format!("no host was well within {minutes} minutes{said}");
                    fail(journal, seen, now, &with_trouble(&cause, seen))
                }
                _ => Next::Wait(progress(ours, seen)),
            }
        }
    }
}

/// The refresh is not to be seen: it is not begun, or AWS has not heard of it everywhere.
fn not_there(journal: &Journal, seen: &Seen, now: Timestamp) -> Next {
    if is_overdue(journal, now) {
        return fail(journal, seen, now, "the refresh that was begun is nowhere to be seen");
    }
    if journal.forward.id.is_some() {
        return Next::Wait("the refresh is not to be seen yet".to_owned());
    }
    match seen.active() {
        Some(other) => {
            let cause = format!("refresh {} of somebody else is under way", other.id);
            fail(journal, seen, now, &cause)
        }
        None => Next::Act(Act::Start(Way::Forward)),
    }
}

fn proof(journal: &Journal, seen: &Seen, now: Timestamp) -> Next {
    // With its root volume exchanged it is the same host, which may still have been told to be quiet.
    if let Some(host) = still_quiet(journal, seen) {
        return Next::Act(Act::Unquiet(host));
    }
    if !seen.alarms.firing.is_empty() {
        let cause = format!("an alarm fires: {}", seen.alarms.firing.join("; "));
        return fail(journal, seen, now, &cause);
    }
    match judged(journal, seen, now) {
        Verdict::Proven(mut proven) => {
            proven.warnings.extend(seen.alarms.blind.iter().cloned());
            soak::holds(journal, &proven, seen, now)
        }
        Verdict::Failed(Cause::Late { missing, .. }) if soak::is_on(journal) => {
            soak::falters(journal, seen, &missing, now)
        }
        Verdict::Failed(cause) => fail(journal, seen, now, &cause.to_string()),
        Verdict::Pending(_, why) => Next::Wait(why),
    }
}

fn promote(journal: &Journal, seen: &Seen, now: Timestamp) -> Next {
    if let Some(act) = to_resume(journal, seen).or_else(|| to_untag(journal, seen)) {
        return Next::Act(act);
    }
    if seen.default != journal.order.to.version && !is_loose(journal, "set-default") {
        return Next::Act(Act::SetDefault);
    }
    if !seen.pointed && !is_loose(journal, "point") {
        return Next::Act(Act::Point);
    }
    note(enter(journal, Phase::Recorded, now))
}
