//! The way back to what served before, whatever the way there has left. Pure.
//!
//! Nothing is taken for granted: a refresh may be under way, ours or AWS's own way back; hosts may be
//! new, old, mixed or none. What is to be seen decides.

use jiff::{SignedDuration, Timestamp};

use super::common::{
    adopted, enter, has_run_out, is_overdue, judged, note, progress, proved, said, still_quiet,
    to_resume, to_untag, with_trouble,
};
use super::journal::{CAUSE, Journal, shortened};
use super::next::{Act, End, Next};
use super::proof::Verdict;
use super::seen::Seen;
use super::{Phase, Way};
use crate::aws::asg::refresh::{Refresh, Status};

/// So long a host that was not replaced may say nothing: its group may find it dead, and replace it.
const MUTE: SignedDuration = SignedDuration::from_mins(10);
/// AWS shows a refresh that was begun after this long for certain.
const SHOWN: SignedDuration = SignedDuration::from_secs(20);

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
    if there.is_none() && may_appear(journal, now) {
        return Next::Wait(
            "whether the refresh to the new image was begun is not to be seen yet".to_owned(),
        );
    }
    let rolled_back = there.is_some_and(|it| it.status == Status::RollbackSuccessful);
    // Nothing is under way any more that would replace what is proven.
    if seen.active().is_none() && (rolled_back || seen.serves(from)) {
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

/// Whether a refresh to the new image, which is not to be seen, may still come to light: AWS has
/// answered that it was begun; or somebody who was to begin it may have, and did not live to hear the
/// answer.
fn may_appear(journal: &Journal, now: Timestamp) -> bool {
    if journal.forward.id.is_some() {
        return !is_overdue(journal, now);
    }
    journal.failed_in == Some(Phase::Refresh) && journal.phase_lasts(now) < SHOWN
}

/// The refresh to the new image is under way: it is rolled back by AWS, or else cancelled.
fn undo(journal: &Journal, seen: &Seen, there: &Refresh, now: Timestamp) -> Next {
    if has_run_out(journal, &judged(journal, seen, now), now) {
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
        _ if has_run_out(journal, &judged(journal, seen, now), now) => {
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
    if let Some(active) = seen.active() {
        return disturbed(journal, active, now);
    }
    match judged(journal, seen, now) {
        Verdict::Proven(proven) => note(proved(journal, Phase::Promote, &proven, now)),
        Verdict::Failed(why) => {
            give_up(journal, &format!("what served before is not proven to serve: {why}"))
        }
        Verdict::Pending(_, why) if is_mute(journal, seen, now) => give_up(
            journal,
            &format!("nothing was replaced, and nobody proves that it serves: {why}"),
        ),
        Verdict::Pending(_, why) => Next::Wait(why),
    }
}

/// Whether the host of before was not replaced, its group finds it well, and its guard says nothing any
/// more: that does not come to an end by waiting, as a boot does.
fn is_mute(journal: &Journal, seen: &Seen, now: Timestamp) -> bool {
    let untouched = journal.failed_in.is_some_and(|phase| phase <= Phase::Quiet);
    let well = |id: &&str| seen.staying(id).is_some_and(|host| host.healthy);
    let host = journal.before.instance.as_deref().filter(well);
    let silent = seen.standing.as_ref().is_none_or(|standing| {
        host == Some(standing.instance.as_str())
            && seen.said.is_some_and(|said| standing.is_silent(said))
    });
    untouched && host.is_some() && silent && journal.phase_lasts(now) > MUTE
}

/// A refresh is under way while what served before is to prove itself: what it proves now may be
/// replaced in a moment.
fn disturbed(journal: &Journal, active: &Refresh, now: Timestamp) -> Next {
    let to = &journal.order.to;
    let is_ours = |it: &Refresh| {
        journal.forward.id.as_ref().map_or_else(
            || it.template.as_deref() == Some(&to.template) && it.version == to.version,
            |id| *id == it.id,
        )
    };
    if is_ours(active) {
        return note(enter(journal, Phase::Refresh, now));
    }
    let what = format!("refresh {} of somebody else is under way", active.id);
    if is_overdue(journal, now) {
        return give_up(journal, &what);
    }
    Next::Wait(what)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::model::World;
    use super::super::next::next;
    use super::*;

    /// A guard died while it was to make Jenkins quiet: nothing was replaced, and nobody says any more
    /// how the old host is.
    #[test]
    fn a_guard_that_is_dead_is_not_waited_for_as_a_boot_is() {
        let world = World::of_the_old_one();
        let mut journal = world.journal.clone().unwrap();
        journal.order.patience = 1200;
        let mut seen = world.seen();
        seen.standing.as_mut().unwrap().again = Some(60);
        seen.said = Some(Duration::from_secs(200));
        let after = |seconds| world.now + SignedDuration::from_secs(seconds);
        let Next::Wait(says) = next(&journal, &seen, after(590)) else { panic!("it waits") };
        assert!(says.ends_with("has said nothing for 200 s"), "{says}");
        let Next::Note(stuck) = next(&journal, &seen, after(610)) else { panic!("it is stuck") };
        let why = stuck.stuck.unwrap();
        let says = "nothing was replaced, and nobody proves that it serves: i-1 has said nothing";
        assert!(why.starts_with(says), "{why}");
        // Where something was replaced, the next host boots.
        let refresh = Journal { failed_in: Some(Phase::Refresh), ..journal.clone() };
        let waits = |journal: &Journal, seen: &Seen| {
            matches!(next(journal, seen, after(610)), Next::Wait(_))
        };
        assert!(!waits(&journal, &seen) && waits(&refresh, &seen));
        // Its group finds it unhealthy and replaces it; or who spoke last is another host; or a guard that
        // promises nothing is believed as it was.
        let mut ill = seen.clone();
        ill.crew.hosts[0].healthy = false;
        assert!(waits(&journal, &ill));
        let mut other = seen.clone();
        other.standing.as_mut().unwrap().instance = "i-0".to_owned();
        assert!(waits(&journal, &other));
        let mut never = seen.clone();
        never.standing = None;
        assert!(!waits(&journal, &never));
        // It speaks again: nothing has happened.
        seen.said = Some(Duration::from_secs(10));
        let Next::Note(over) = next(&journal, &seen, after(610)) else { panic!("it is proven") };
        assert_eq!((over.phase, over.stuck), (Phase::Promote, None));
    }
}
