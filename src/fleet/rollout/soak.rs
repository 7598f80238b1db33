//! The time in which what is proven must go on serving before it counts, where somebody asks for one:
//! what AWS calls bake time, with all that hostkit proves in place of alarms alone. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::common::{lasts, note, proved};
use super::forward::fail;
use super::journal::Journal;
use super::next::Next;
use super::proof::Proven;
use super::seen::Seen;
use super::timeline::Moment;
use super::{Phase, Way};
use crate::error::Fault;

/// So long what was proven may be otherwise: a Jenkins that is restarted for a plugin, or one bad answer
/// to a load balancer, is no reason to go back.
const FALTERS: SignedDuration = SignedDuration::from_mins(5);
/// Who has not looked for so long has not watched: it begins anew.
pub(super) const GAP: SignedDuration = SignedDuration::from_mins(3);
/// A guard's word takes so long to get here.
const UNDER_WAY: Duration = Duration::from_secs(30);

/// Why a host that gets a new root volume is not watched: what its group does by itself is suspended until
/// the image counts.
pub fn unattended() -> Fault {
    let hint = "the group would neither look after its host nor replace it for all that time";
    Fault::usage("--soak does not go with --strategy replace-root-volume").hint(hint)
}

/// Whether what is proven is watched.
pub(super) fn is_on(journal: &Journal) -> bool {
    let proven = journal.forward.marks.at(Moment::Proven).is_some();
    (journal.way, journal.phase) == (Way::Forward, Phase::Proof) && proven
}

/// The journal in which it is watched anew, from now on.
pub(super) fn anew(journal: &Journal, now: Timestamp) -> Journal {
    Journal { since: now, faltered: None, ..journal.clone() }
}

/// The journal of whoever carries on, where the one before has looked at it until now: then it counts
/// what that one has seen.
pub(super) fn carried_on(
    next: Journal,
    before: &Journal,
    written: Option<Timestamp>,
    now: Timestamp,
) -> Journal {
    let lately = written.is_some_and(|at| now.duration_since(at) <= GAP);
    if lately && is_on(&next) {
        return Journal { since: before.since, faltered: before.faltered, ..next };
    }
    next
}

/// What is next where it is proven now.
pub(super) fn holds(journal: &Journal, proven: &Proven, seen: &Seen, now: Timestamp) -> Next {
    let soak = Duration::from_secs(journal.order.soak);
    if !is_on(journal) {
        let phase = if soak.is_zero() { Phase::Promote } else { Phase::Proof };
        return note(proved(journal, phase, proven, now));
    }
    if journal.faltered.is_some() {
        return note(Journal { faltered: None, ..journal.clone() });
    }
    let left = soak.saturating_sub(lasts(journal, now));
    if !left.is_zero() {
        return Next::Wait(format!("it is proven, and watched for {} more", minutes(left)));
    }
    if !is_fresh(seen) {
        return Next::Wait("it is proven, and its guard is to say so once more".to_owned());
    }
    let mut next = proved(journal, Phase::Promote, proven, now);
    next.forward.marks.mark(Moment::Soaked, now);
    note(next)
}

/// Whether the guard has said it no longer ago than it promises to say it again: what counts at the end
/// is how the host stands then.
fn is_fresh(seen: &Seen) -> bool {
    let again = seen.standing.as_ref().and_then(|standing| standing.again);
    let again = again.map(|seconds| Duration::from_secs(u64::from(seconds)) + UNDER_WAY);
    again.zip(seen.said).is_none_or(|(again, said)| said <= again)
}

/// What is next where it was proven, and now something is missing.
pub(super) fn falters(journal: &Journal, seen: &Seen, missing: &str, now: Timestamp) -> Next {
    match journal.faltered {
        None => note(Journal { faltered: Some(now), ..journal.clone() }),
        Some(at) if now.duration_since(at) >= FALTERS => {
            let long = FALTERS.as_mins();
            let cause = format!("it was proven, and for {long} minutes is so no more: {missing}");
            fail(journal, seen, now, &cause)
        }
        Some(_) => Next::Wait(format!("it was proven, and is so no more: {missing}")),
    }
}

/// So many minutes, in words; every second would be news.
fn minutes(left: Duration) -> String {
    match left.as_secs().div_ceil(60) {
        1 => "a minute".to_owned(),
        many => format!("{many} minutes"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::model::{NEW, World};
    use super::super::next::next;
    use super::*;

    const SOAK: u64 = 600;

    /// A world in which the new host is proven to serve, and is watched from now on.
    fn proven() -> (World, Journal) {
        let mut world = World::of_the_new_one();
        let mut journal = world.journal.clone().unwrap();
        journal.order.soak = SOAK;
        let Next::Note(journal) = next(&journal, &world.seen(), world.now) else {
            panic!("it is proven")
        };
        assert_eq!((journal.phase, journal.since), (Phase::Proof, world.now));
        assert!(is_on(&journal) && journal.proof.is_some());
        world.journal = Some((*journal).clone());
        (world, *journal)
    }

    fn after(world: &mut World, seconds: i64) -> Timestamp {
        world.now += SignedDuration::from_secs(seconds);
        world.now
    }

    #[test]
    fn what_goes_on_serving_counts_when_the_time_is_over() {
        let (mut world, journal) = proven();
        let now = after(&mut world, 540);
        let says = |words: &str| Next::Wait(words.to_owned());
        let more = says("it is proven, and watched for a minute more");
        assert_eq!(next(&journal, &world.seen(), now), more);
        let now = after(&mut world, 60);
        let mut seen = world.seen();
        // A guard that may be dead is waited for, until it speaks or is silent for too long.
        seen.standing.as_mut().unwrap().again = Some(300);
        seen.said = Some(Duration::from_secs(500));
        let once_more = says("it is proven, and its guard is to say so once more");
        assert_eq!(next(&journal, &seen, now), once_more);
        seen.said = Some(Duration::from_secs(310));
        let Next::Note(over) = next(&journal, &seen, now) else { panic!("it counts") };
        assert_eq!(over.phase, Phase::Promote);
        let spans = super::super::timeline::times(&over, now).spans;
        let soak = spans.iter().find(|span| span.name == "soak").unwrap();
        assert!((soak.seconds - 600.0).abs() < 0.1, "{spans:?}");
    }

    #[test]
    fn whoever_carries_on_goes_on_watching_or_begins_anew() {
        let (mut world, journal) = proven();
        let before = journal.since;
        let now = after(&mut world, 400);
        let next = Journal { since: now, ..journal.clone() };
        let since = |ago: i64, next: &Journal| {
            let written = now - SignedDuration::from_secs(ago);
            carried_on(next.clone(), &journal, Some(written), now).since
        };
        assert_eq!((since(170, &next), since(190, &next)), (before, now));
        assert_eq!(carried_on(next.clone(), &journal, None, now).since, now);
        // Another phase lasts since it is carried on.
        let refresh = Journal { phase: Phase::Refresh, ..next };
        assert_eq!(since(10, &refresh), now);
        let faltered = Journal { faltered: Some(before), ..journal.clone() };
        let anew = anew(&faltered, now);
        assert_eq!((anew.since, anew.faltered), (now, None));
        // Nobody wants it watched any more.
        let mut enough = journal;
        enough.order.soak = 0;
        let Next::Note(over) = super::super::next::next(&enough, &world.seen(), now) else {
            panic!("it counts")
        };
        assert!(over.phase == Phase::Promote && over.forward.marks.at(Moment::Soaked).is_some());
    }

    #[test]
    fn a_bad_moment_is_borne_and_five_bad_minutes_are_not() {
        let (mut world, journal) = proven();
        world.hosts[0].healthy = false;
        let now = after(&mut world, 30);
        let Next::Note(faltered) = next(&journal, &world.seen(), now) else { panic!("noted") };
        assert_eq!((faltered.way, faltered.faltered), (Way::Forward, Some(now)));
        // It is well again.
        let now = after(&mut world, 290);
        let Next::Wait(says) = next(&faltered, &world.seen(), now) else { panic!("it waits") };
        assert!(says.starts_with("it was proven, and is so no more: the group finds"), "{says}");
        world.hosts[0].healthy = true;
        let Next::Note(well) = next(&faltered, &world.seen(), now) else { panic!("noted") };
        assert_eq!((well.way, well.faltered, well.since), (Way::Forward, None, journal.since));
        // Or it is not.
        world.hosts[0].healthy = false;
        let now = after(&mut world, 10);
        let Next::Note(back) = next(&faltered, &world.seen(), now) else { panic!("it goes back") };
        assert_eq!((back.way, back.failed_in), (Way::Back, Some(Phase::Proof)));
        let cause = back.cause.clone().unwrap();
        let says = "it was proven, and for 5 minutes is so no more: the group finds";
        assert!(cause.starts_with(says), "{cause}");
        assert_eq!(back.faltered, None);
        let spans = super::super::timeline::times(&back, now).spans;
        assert!(spans.iter().any(|span| span.name == "soak"), "{spans:?}");
    }

    #[test]
    fn an_alarm_that_fires_and_another_image_are_not_borne_at_all() {
        let (mut world, journal) = proven();
        let now = after(&mut world, 30);
        let mut seen = world.seen();
        seen.alarms.firing = vec!["ci-errors is ALARM: 3 errors".to_owned()];
        let Next::Note(back) = next(&journal, &seen, now) else { panic!("it goes back") };
        assert_eq!(back.way, Way::Back);
        let says = "an alarm fires: ci-errors is ALARM: 3 errors";
        assert_eq!(back.cause.as_deref(), Some(says));
        let mut seen = world.seen();
        let proof = seen.standing.as_mut().unwrap().proof.as_mut().unwrap();
        proof.image = Some("ami-c".to_owned());
        let Next::Note(back) = next(&journal, &seen, now) else { panic!("it goes back") };
        assert!(back.way == Way::Back && back.cause.unwrap().contains("ami-c"));
    }

    #[test]
    fn an_alarm_that_cannot_fire_is_told_when_it_counts() {
        let (mut world, journal) = proven();
        let now = after(&mut world, 600);
        let mut seen = world.seen();
        let blind = "alarm ci-errors is not there any more";
        seen.alarms.blind = vec![blind.to_owned()];
        let Next::Note(over) = next(&journal, &seen, now) else { panic!("it counts") };
        assert_eq!((over.phase, over.warnings.last().unwrap().as_str()), (Phase::Promote, blind));
    }

    /// A group of many lives on while it is watched.
    #[test]
    fn a_group_that_grows_or_shrinks_is_as_well_as_before() {
        let (mut world, mut journal) = proven();
        journal.order.role = crate::host::Role::Agent;
        let now = after(&mut world, 60);
        let watched = |seen: &Seen| match next(&journal, seen, now) {
            Next::Wait(says) => says.ends_with("9 minutes more"),
            _ => false,
        };
        let mut seen = world.seen();
        assert!(watched(&seen));
        let mut coming = seen.crew.hosts[0].clone();
        (coming.id, coming.state) = ("i-9".to_owned(), "Pending:Wait".to_owned());
        seen.crew.hosts.push(coming);
        seen.crew.desired = 3;
        assert!(watched(&seen), "it grows");
        seen.crew.hosts[1].version = Some(NEW - 1);
        assert!(!watched(&seen), "what comes is another version");
        seen.crew.hosts.clear();
        seen.crew.desired = 0;
        assert!(watched(&seen), "it sleeps");
        let mut seen = world.seen();
        seen.crew.hosts[0].healthy = false;
        assert!(!watched(&seen), "one is not well");
    }
}
