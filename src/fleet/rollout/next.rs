//! What is to be done next, by what the journal says and what is to be seen. Pure.
//!
//! Nothing is remembered but the journal: a process that was killed anywhere is carried on by looking
//! and asking here again. So whatever is done must be seen to be undone first, and doing it twice must
//! do no harm.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::back;
use super::journal::{CAUSE, Journal, shortened};
use super::proof::{self, Before, Cause, Proven, Verdict, Wanted};
use super::quiet::{self, Heard};
use super::seen::Seen;
use super::timeline::Moment;
use super::{Builds, Order, Phase, Strategy, Way, alarms};
use crate::aws::asg::Host;
use crate::aws::asg::refresh::{Refresh, Status};
use crate::group::standing::Standing;
use crate::host::Role;

/// Something that is done to AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// A version of the launch template is made.
    AddVersion,
    /// The group is told not to do these by itself.
    Suspend(Vec<String>),
    /// A host is told to begin no builds.
    Quiet(String),
    /// A refresh to this side is begun.
    Start(Way),
    /// The refresh that is under way is rolled back.
    RollBack,
    /// It is cancelled.
    Cancel,
    /// A host is told to begin builds again.
    Unquiet(String),
    /// What was said to it is taken away.
    Untag(String),
    /// The version becomes the template's default.
    SetDefault,
    /// The group is told to do these by itself again.
    Resume(Vec<String>),
    /// `current` and `previous` are written.
    Point,
    /// It is written into the history.
    Record,
    /// The lock is given back.
    Unlock,
}

impl Act {
    /// Its name in the journal.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::AddVersion => "add-version",
            Self::Suspend(_) => "suspend",
            Self::Quiet(_) => "quiet",
            Self::Start(_) => "start",
            Self::RollBack => "roll-back",
            Self::Cancel => "cancel",
            Self::Unquiet(_) => "unquiet",
            Self::Untag(_) => "untag",
            Self::SetDefault => "set-default",
            Self::Resume(_) => "resume",
            Self::Point => "point",
            Self::Record => "record",
            Self::Unlock => "unlock",
        }
    }
}

/// What is next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// This is done, then it is looked again.
    Act(Act),
    /// The journal is written as it is here, then it is looked again.
    Note(Box<Journal>),
    /// There is nothing to do but to look again: what is waited for.
    Wait(String),
    /// It is over.
    End(End),
}

/// How it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The new image serves.
    Done,
    /// The old one does.
    Back,
    /// Nobody knows.
    Stuck,
}

/// What is next.
pub fn next(journal: &Journal, seen: &Seen, now: Timestamp) -> Next {
    match (journal.way, journal.phase) {
        (_, Phase::Recorded) => recorded(journal, seen),
        (Way::Back, _) => back::next(journal, seen, now),
        (Way::Forward, Phase::Begun) => begun(journal, seen, now),
        (Way::Forward, Phase::Version) => version(journal, seen, now),
        (Way::Forward, Phase::Suspend) => suspend(journal, seen, now),
        (Way::Forward, Phase::Quiet) => quiet(journal, seen, now),
        (Way::Forward, Phase::Refresh) => refresh(journal, seen, now),
        (Way::Forward, Phase::Proof) => proof(journal, seen, now),
        (Way::Forward, Phase::Promote) => promote(journal, seen, now),
    }
}

/// The journal in another phase.
pub(super) fn enter(journal: &Journal, phase: Phase, now: Timestamp) -> Journal {
    Journal { phase, since: now, ..journal.clone() }
}

pub(super) fn note(journal: Journal) -> Next {
    Next::Note(Box::new(journal))
}

/// The journal of a rollout that goes back, and why.
pub fn failed(journal: &Journal, seen: &Seen, now: Timestamp, cause: &str) -> Journal {
    let mut back = enter(journal, Phase::Refresh, now);
    back.answer = None;
    back.way = Way::Back;
    back.cause = Some(shortened(cause, CAUSE));
    back.failed_in = Some(journal.phase);
    back.back.after = seen.newest();
    back.back.marks.mark(Moment::Began, now);
    back
}

fn fail(journal: &Journal, seen: &Seen, now: Timestamp, cause: &str) -> Next {
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

pub(super) fn adopted(journal: &Journal, refresh: &Refresh) -> Next {
    let mut next = journal.clone();
    next.attempt_mut().id = Some(refresh.id.clone());
    note(next)
}

pub(super) fn said(refresh: &Refresh) -> String {
    refresh.reason.as_ref().map_or_else(String::new, |reason| format!(": {reason}"))
}

pub(super) fn with_trouble(cause: &str, seen: &Seen) -> String {
    seen.trouble().map_or_else(|| cause.to_owned(), |trouble| format!("{cause}; {trouble}"))
}

pub(super) fn progress(refresh: &Refresh, seen: &Seen) -> String {
    let percent = refresh.percent.unwrap_or(0);
    let line = format!("the refresh is {:?}, {percent} % done", refresh.status);
    with_trouble(&line, seen)
}

/// Whether the phase lasts longer than a replacement may.
pub(super) fn is_overdue(journal: &Journal, now: Timestamp) -> bool {
    let patience = i64::try_from(journal.order.patience).unwrap_or(i64::MAX);
    journal.phase_lasts(now).as_secs() > patience
}

/// Whether a refresh takes longer than a replacement may. What serves and proves it has come in time:
/// AWS only waits until the hosts have warmed up.
pub(super) fn has_run_out(journal: &Journal, verdict: &Verdict, now: Timestamp) -> bool {
    is_overdue(journal, now) && !matches!(verdict, Verdict::Proven(_))
}

/// Whether it is proven to serve what it shall, the way that it goes.
pub(super) fn judged(journal: &Journal, seen: &Seen, now: Timestamp) -> Verdict {
    let wanted = Wanted::of(&journal.order, journal.way, &journal.before);
    let attempt = match journal.way {
        Way::Forward => &journal.forward,
        Way::Back => &journal.back,
    };
    let ready = attempt.marks.at(Moment::Ready).unwrap_or(now);
    let serving = Duration::try_from(now.duration_since(ready)).unwrap_or_default();
    let seen = proof::Seen {
        crew: seen.crew.clone(),
        standing: seen.standing.clone(),
        said: seen.said,
        target_groups: seen.target_groups.clone(),
        targets: seen.targets.clone(),
        beside: seen.beside.clone(),
        looking: lasts(journal, now),
        serving,
    };
    proof::decide(&seen, &wanted)
}

fn lasts(journal: &Journal, now: Timestamp) -> Duration {
    Duration::try_from(journal.phase_lasts(now)).unwrap_or_default()
}

fn proof(journal: &Journal, seen: &Seen, now: Timestamp) -> Next {
    // With its root volume exchanged it is the same host, which may still have been told to be quiet.
    if let Some(host) = still_quiet(journal, seen) {
        return Next::Act(Act::Unquiet(host));
    }
    match judged(journal, seen, now) {
        Verdict::Proven(proven) => note(proved(journal, Phase::Promote, &proven, now)),
        Verdict::Failed(cause) => fail(journal, seen, now, &cause.to_string()),
        Verdict::Pending(_, why) => Next::Wait(why),
    }
}

pub(super) fn proved(journal: &Journal, phase: Phase, proven: &Proven, now: Timestamp) -> Journal {
    let mut next = enter(journal, phase, now);
    let mut words = format!("{} in service", proven.instances.join(", "));
    if let Some(version) = proven.proof.as_ref().and_then(|proof| proof.jenkins.as_ref()) {
        words += &format!(", Jenkins {version}");
    }
    next.proof = Some(shortened(&words, 200));
    next.warnings = proven.warnings.iter().map(|it| shortened(it, 200)).take(3).collect();
    next.attempt_mut().marks.mark(Moment::Proven, now);
    next
}

/// What was said to a host that stays, and is not needed any more.
pub(super) fn to_untag(journal: &Journal, seen: &Seen) -> Option<Act> {
    let host = journal.quieted.as_ref().filter(|id| seen.staying(id).is_some())?;
    (seen.tag.is_some() && !is_loose(journal, "untag")).then(|| Act::Untag(host.clone()))
}

/// The host that was told to be quiet, stays, and was not told otherwise since.
pub(super) fn still_quiet(journal: &Journal, seen: &Seen) -> Option<String> {
    let host = journal.quieted.as_ref().filter(|id| seen.staying(id).is_some())?;
    let open = !is_loose(journal, "unquiet");
    (open && seen.tag.as_deref() == Some(quiet::QUIET)).then(|| host.clone())
}

/// Whether it was tried, refused, and left to a person.
pub(super) fn is_loose(journal: &Journal, act: &str) -> bool {
    journal.loose.iter().any(|loose| loose.act == act)
}

/// What was suspended for this and is suspended still.
pub(super) fn to_resume(journal: &Journal, seen: &Seen) -> Option<Act> {
    let still = journal.suspended.iter().filter(|one| seen.crew.suspended.contains(one));
    let still: Vec<String> = still.cloned().collect();
    (!still.is_empty() && !is_loose(journal, "resume")).then_some(Act::Resume(still))
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

fn recorded(journal: &Journal, seen: &Seen) -> Next {
    if !seen.recorded && !is_loose(journal, "record") {
        return Next::Act(Act::Record);
    }
    if seen.locked && !is_loose(journal, "unlock") {
        return Next::Act(Act::Unlock);
    }
    Next::End(match journal.way {
        Way::Forward => End::Done,
        Way::Back => End::Back,
    })
}
