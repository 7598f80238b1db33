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

/// So long what was proven may be otherwise: one bad answer to a load balancer is no reason to go back.
const FALTERS: SignedDuration = SignedDuration::from_mins(2);

/// Whether what is proven is watched.
pub(super) fn is_on(journal: &Journal) -> bool {
    let proven = journal.forward.marks.at(Moment::Proven).is_some();
    (journal.way, journal.phase) == (Way::Forward, Phase::Proof) && proven
}

/// What is next where it is proven now.
pub(super) fn holds(journal: &Journal, proven: &Proven, now: Timestamp) -> Next {
    let soak = Duration::from_secs(journal.order.soak);
    if soak.is_zero() {
        return note(proved(journal, Phase::Promote, proven, now));
    }
    if !is_on(journal) {
        return note(proved(journal, Phase::Proof, proven, now));
    }
    if journal.faltered.is_some() {
        return note(Journal { faltered: None, ..journal.clone() });
    }
    let left = soak.saturating_sub(lasts(journal, now));
    if left.is_zero() {
        let mut next = proved(journal, Phase::Promote, proven, now);
        next.forward.marks.mark(Moment::Soaked, now);
        return note(next);
    }
    let left = SignedDuration::from_secs(i64::try_from(left.as_secs()).unwrap_or(i64::MAX));
    Next::Wait(format!("it is proven, and must go on so for {left:#}"))
}

/// What is next where it was proven, and now something is missing.
pub(super) fn falters(journal: &Journal, seen: &Seen, missing: &str, now: Timestamp) -> Next {
    match journal.faltered {
        None => note(Journal { faltered: Some(now), ..journal.clone() }),
        Some(at) if now.duration_since(at) > FALTERS => {
            let minutes = FALTERS.as_mins();
            let cause = format!("it was proven to serve, and for {minutes} minutes {missing}");
            fail(journal, seen, now, &cause)
        }
        Some(_) => Next::Wait(format!("it was proven to serve, and now {missing}")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::forward;
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
        let says = Next::Wait("it is proven, and must go on so for 1m".to_owned());
        assert_eq!(next(&journal, &world.seen(), now), says);
        let now = after(&mut world, 60);
        let Next::Note(over) = next(&journal, &world.seen(), now) else { panic!("it counts") };
        assert_eq!(over.phase, Phase::Promote);
        let spans = super::super::timeline::times(&over, now).spans;
        let soak = spans.iter().find(|span| span.name == "soak").unwrap();
        assert!((soak.seconds - 600.0).abs() < 0.1, "{spans:?}");
    }

    #[test]
    fn a_bad_moment_is_borne_and_two_bad_minutes_are_not() {
        let (mut world, journal) = proven();
        world.hosts[0].healthy = false;
        let now = after(&mut world, 30);
        let Next::Note(faltered) = next(&journal, &world.seen(), now) else { panic!("noted") };
        assert_eq!((faltered.way, faltered.faltered), (Way::Forward, Some(now)));
        // It is well again.
        let now = after(&mut world, 60);
        let Next::Wait(says) = next(&faltered, &world.seen(), now) else { panic!("it waits") };
        assert!(says.starts_with("it was proven to serve, and now the group finds"), "{says}");
        world.hosts[0].healthy = true;
        let Next::Note(well) = next(&faltered, &world.seen(), now) else { panic!("noted") };
        assert_eq!((well.way, well.faltered, well.since), (Way::Forward, None, journal.since));
        // It stays so, for longer than the soak may last even.
        world.hosts[0].healthy = false;
        let now = after(&mut world, i64::try_from(SOAK).unwrap());
        let Next::Wait(_) = next(&faltered, &world.seen(), faltered.faltered.unwrap()) else {
            panic!("it waits")
        };
        let Next::Note(back) = next(&faltered, &world.seen(), now) else { panic!("it goes back") };
        assert_eq!((back.way, back.failed_in), (Way::Back, Some(Phase::Proof)));
        let cause = back.cause.unwrap();
        let says = "it was proven to serve, and for 2 minutes the group finds";
        assert!(cause.starts_with(says), "{cause}");
        assert_eq!(back.faltered, None);
    }

    #[test]
    fn an_alarm_that_fires_and_another_image_are_not_borne_at_all() {
        let (mut world, journal) = proven();
        let now = after(&mut world, 30);
        let mut seen = world.seen();
        seen.alarms = vec!["ci-errors is ALARM: 3 errors".to_owned()];
        let Next::Note(back) = forward::next(&journal, &seen, now) else { panic!("it goes back") };
        assert_eq!(back.way, Way::Back);
        let says = "an alarm fires: ci-errors is ALARM: 3 errors";
        assert_eq!(back.cause.as_deref(), Some(says));
        let mut seen = world.seen();
        let proof = seen.standing.as_mut().unwrap().proof.as_mut().unwrap();
        proof.image = Some("ami-c".to_owned());
        let Next::Note(back) = next(&journal, &seen, now) else { panic!("it goes back") };
        assert_eq!(back.way, Way::Back);
        assert_eq!(world.hosts[0].version, Some(NEW));
    }
}
