//! The way back to what served before, whatever the way there has left. Pure.
//!
//! Nothing is taken for granted: a refresh may be under way, ours or AWS's own way back; hosts may be
//! new, old, mixed or none. What is to be seen decides.

use jiff::Timestamp;

use super::journal::{CAUSE, Journal, shortened};
use super::next::{
    Act, End, Next, adopted, enter, is_overdue, judged, note, progress, proved, said, still_quiet,
    to_resume, to_untag, with_trouble,
};
use super::proof::Verdict;
use super::seen::Seen;
use super::{Phase, Way};
use crate::aws::asg::refresh::{Refresh, Status};

/// What is next on the way back.
pub(super) fn next(journal: &Journal, seen: &Seen, now: Timestamp) -> Next {
    if journal.stuck.is_some() {
        return Next::End(End::Stuck);
    }
    match journal.phase {
        Phase::Promote => match to_resume(journal, seen).or_else(|| to_untag(journal, seen)) {
            Some(act) => Next::Act(act),
            None => note(enter(journal, Phase::Recorded, now)),
        },
        Phase::Proof => proof(journal, seen, now),
        _ => refresh(journal, seen, now),
    }
}

/// The journal of a rollout that can go neither way.
pub fn stuck(journal: &Journal, why: &str) -> Journal {
    Journal { stuck: Some(shortened(why, CAUSE)), ..journal.clone() }
}

fn give_up(journal: &Journal, why: &str) -> Next {
    note(stuck(journal, why))
}

/// Hosts are as they were.
fn refresh(journal: &Journal, seen: &Seen, now: Timestamp) -> Next {
    let (from, to) = (&journal.order.from, &journal.order.to);
    let there = journal.forward.find(&seen.refreshes, &to.template, to.version);
    if let Some(there) = there.filter(|there| there.status.is_active()) {
        return undo(journal, seen, there, now);
    }
    if let Some(ours) = journal.back.find(&seen.refreshes, &from.template, from.version) {
        return watch(journal, seen, ours, now);
    }
    let rolled_back = there.is_some_and(|it| it.status == Status::RollbackSuccessful);
    // Nothing that this rollout has begun is under way any more.
    if rolled_back || seen.serves(from) {
        return note(enter(journal, Phase::Proof, now));
    }
    if is_overdue(journal, now) {
        return give_up(journal, &with_trouble("the way back took too long", seen));
    }
    match seen.active() {
        Some(other) => Next::Wait(format!("refresh {} of somebody else is under way", other.id)),
        None if journal.back.id.is_some() => {
            Next::Wait("the refresh back is not to be seen yet".to_owned())
        }
        None => Next::Act(Act::Start(Way::Back)),
    }
}

/// The refresh to the new image is under way: it is rolled back by AWS, or else cancelled.
fn undo(journal: &Journal, seen: &Seen, there: &Refresh, now: Timestamp) -> Next {
    if is_overdue(journal, now) {
        let why = format!("the refresh {} does not end{}", there.id, said(there));
        return give_up(journal, &with_trouble(&why, seen));
    }
    match there.status {
        Status::Pending | Status::InProgress | Status::Baking if journal.forward.irreversible => {
            Next::Act(Act::Cancel)
        }
        Status::Pending | Status::InProgress | Status::Baking => Next::Act(Act::RollBack),
        _ => Next::Wait(progress(there, seen)),
    }
}

/// The refresh to the old image.
fn watch(journal: &Journal, seen: &Seen, ours: &Refresh, now: Timestamp) -> Next {
    if journal.back.id.is_none() {
        return adopted(journal, ours);
    }
    match ours.status {
        Status::Successful => note(enter(journal, Phase::Proof, now)),
        status if !status.is_active() => {
            let why = format!("the refresh back ended as {status:?}{}", said(ours));
            give_up(journal, &with_trouble(&why, seen))
        }
        _ if is_overdue(journal, now) => {
            let why = format!("the refresh back took too long{}", said(ours));
            give_up(journal, &with_trouble(&why, seen))
        }
        _ => Next::Wait(progress(ours, seen)),
    }
}

fn proof(journal: &Journal, seen: &Seen, now: Timestamp) -> Next {
    if let Some(host) = still_quiet(journal, seen) {
        return Next::Act(Act::Unquiet(host));
    }
    match judged(journal, seen, now) {
        Verdict::Proven(proven) => note(proved(journal, Phase::Promote, &proven, now)),
        Verdict::Failed(why) => {
            give_up(journal, &format!("what served before is not proven to serve: {why}"))
        }
        Verdict::Pending(_, why) => Next::Wait(why),
    }
}
