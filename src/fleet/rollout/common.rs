//! What both ways have in common: how the journal goes on, and what is asked of what is to be seen.
//! Pure.

use std::time::Duration;

use jiff::Timestamp;

use super::journal::{Journal, shortened};
use super::next::{Act, Next};
use super::proof::{self, Proven, Verdict, Wanted};
use super::seen::Seen;
use super::timeline::Moment;
use super::{Phase, Way, quiet, soak};
use crate::aws::asg::refresh::Refresh;

/// The journal in another phase.
pub(super) fn enter(journal: &Journal, phase: Phase, now: Timestamp) -> Journal {
    Journal { phase, since: now, ..journal.clone() }
}

pub(super) fn note(journal: Journal) -> Next {
    Next::Note(Box::new(journal))
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
        soaking: soak::is_on(journal),
    };
    proof::decide(&seen, &wanted)
}

pub(super) fn lasts(journal: &Journal, now: Timestamp) -> Duration {
    Duration::try_from(journal.phase_lasts(now)).unwrap_or_default()
}

pub(super) fn proved(journal: &Journal, phase: Phase, proven: &Proven, now: Timestamp) -> Journal {
    let mut next = enter(journal, phase, now);
    let mut words = match proven.instances.as_slice() {
        [] => "the group has no host".to_owned(),
        hosts => format!("{} in service", hosts.join(", ")),
    };
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
