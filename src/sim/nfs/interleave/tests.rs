//! Histories made by hand, and honest ones at random.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::sim::nfs::change::{End, What};
use crate::sim::nfs::decode::number::Status;
use crate::sim::nfs::names::Path;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A removal by `machine` that takes from `called` to `ended`.
fn change(machine: &str, path: Path, called: u64, end: End) -> Change {
    let machine = Machine::new(machine);
    Change { trip: 1, machine, called: seconds(called), end, what: What::Remove { path } }
}

fn done(machine: &str, path: &str, called: u64, at: u64) -> Change {
    let end = End::Answered { at: seconds(at), status: Status::OK };
    change(machine, Path::new(path), called, end)
}

/// The record of the lease, changed by `machine` between two moments.
fn version(machine: &str, holder: &str, generation: u64, state: &str, called: u64) -> Version {
    let content = serde_json::json!({
        "version": 1, "generation": generation, "state": state, "holder": { "instance_id": holder },
    });
    Version {
        machine: Some(Machine::new(machine)),
        called: seconds(called),
        answered: seconds(called + 1),
        content: Some(content.to_string()),
    }
}

fn nothing() -> Version {
    Version { machine: None, called: seconds(0), answered: seconds(0), content: None }
}

/// A holds from 11, releases at 50, B holds from 61.
fn handover() -> Vec<Version> {
    vec![
        nothing(),
        version("A", "A", 1, "held", 10),
        version("A", "A", 1, "released", 50),
        version("B", "B", 2, "held", 60),
    ]
}

fn judge(changes: &[Change], versions: &[Version]) -> Verdict {
    check(changes, versions, Blind::default())
}

#[test]
fn changes_within_the_periods_are_right() {
    let changes = [
        done("A", "home/a", 11, 12),
        done("A", "home/a", 49, 50),
        done("B", "home", 61, 62),
        done("B", ".hostkit/boots/B.json", 5, 6),
        done("B", "homestead/a", 5, 6),
    ];
    let verdict = judge(&changes, &handover());
    assert!(verdict.holds(), "{verdict}");
    assert_eq!((verdict.changes, verdict.periods.len()), (3, 2));
    insta::assert_snapshot!(verdict);
}

#[test]
fn changes_outside_the_periods_are_found() {
    let lost = End::Lost { at: seconds(55) };
    let refused = End::Answered { at: seconds(71), status: Status(70) };
    let changes = [
        done("A", "home/before-the-claim", 9, 11),
        done("B", "home/while-another-holds", 20, 21),
        done("A", "home/answered-after-the-release", 49, 51),
        change("A", Path::new("home/lost"), 40, lost),
        done("B", "home/before-its-claim-was-answered", 60, 61),
        change("A", Path::unknown("#0a1b2c3d"), 70, End::Open),
        change("A", Path::new("home/refused"), 70, refused),
        change("A", Path::new("home/not-reached"), 70, End::NotReached),
    ];
    let verdict = judge(&changes, &handover());
    assert_eq!((verdict.violations.len(), verdict.unplaced), (6, 1));
    insta::assert_snapshot!(verdict);
}

#[test]
fn a_home_without_a_lease_is_nobodys() {
    let verdict = judge(&[done("A", "home/a", 1, 2)], &[nothing()]);
    assert!(matches!(verdict.violations[..], [Violation::Intruder { holder: None, .. }]));
}

#[test]
fn a_holder_that_writes_its_record_anew_goes_on_holding() {
    let versions = [
        version("A", "A", 1, "held", 10),
        version("A", "A", 1, "held", 20),
        version("A", "A", 2, "held", 30),
    ];
    let changes =
        [done("A", "home/a", 15, 16), done("A", "home/a", 20, 25), done("A", "home/a", 31, 32)];
    assert!(judge(&changes, &versions).holds());
    // A second claim of the same instance follows a reboot: nothing is under way meanwhile.
    assert!(!judge(&[done("A", "home/a", 29, 31)], &versions).holds());
}

#[test]
fn the_record_that_was_there_from_the_beginning_counts() {
    let mut there = version("A", "A", 7, "held", 0);
    (there.machine, there.answered) = (None, seconds(0));
    assert!(judge(&[done("A", "home/a", 0, 1)], &[there.clone()]).holds());
    assert!(!judge(&[done("B", "home/a", 0, 1)], &[there]).holds());
}

#[test]
fn a_break_by_an_operator_ends_the_period_and_tells_what_came_after() {
    let versions = [
        version("A", "A", 1, "held", 10),
        version("B", "B", 2, "released", 50),
        version("B", "B", 3, "held", 51),
    ];
    let changes = [
        done("A", "home/before", 49, 50),
        done("A", "home/meanwhile", 50, 51),
        done("B", "home/right", 55, 56),
        done("A", "home/resumed", 80, 81),
        done("A", ".hostkit/boots/A.json", 80, 81),
    ];
    let verdict = judge(&changes, &versions);
    assert_eq!(verdict.violations.len(), 2, "{verdict}");
    let after: Vec<_> = written_after(&changes, &versions, "A", 1);
    assert_eq!(after, [&changes[1], &changes[3]]);
    assert!(written_after(&changes, &versions, "A", 3).is_empty());
}

#[test]
fn a_record_that_cannot_be_right_is_a_violation() {
    let mut garbage = version("B", "B", 3, "held", 30);
    garbage.content = Some("{".to_owned());
    let mut gone = version("B", "B", 3, "held", 40);
    gone.content = None;
    let versions = [
        nothing(),
        version("A", "A", 2, "held", 10),
        version("A", "B", 2, "held", 20),
        garbage,
        gone,
    ];
    insta::assert_snapshot!(judge(&[], &versions));
}

#[test]
fn a_record_that_did_not_see_everything_proves_nothing() {
    let blind =
        Blind { unread: 2, why: Some("an operation that is not known"), ..Blind::default() };
    let verdict = check(&[], &handover(), blind);
    assert!(verdict.violations.is_empty() && !verdict.holds());
    insta::assert_snapshot!(verdict);
}

/// What happens in a period of a holder: its length, whether it is released, and changes within.
type Reign = (u8, u64, bool, Vec<(u64, u64)>);

/// An honest history: each holder claims after the one before, and writes only meanwhile.
fn honest(reigns: &[Reign]) -> (Vec<Change>, Vec<Version>) {
    let (mut now, mut generation) = (1, 0);
    let (mut changes, mut versions) = (Vec::new(), vec![nothing()]);
    for (who, length, released, within) in reigns {
        let machine = format!("i-{who}");
        generation += 1;
        versions.push(version(&machine, &machine, generation, "held", now));
        let (from, until) = (now + 1, now + 1 + length);
        changes.extend(within.iter().map(|(start, took)| {
            let called = from + start % length;
            done(&machine, "home/x", called, (called + took).min(until))
        }));
        if *released {
            versions.push(version(&machine, &machine, generation, "released", until));
        }
        now = until + 2;
    }
    (changes, versions)
}

fn reigns() -> impl Strategy<Value = Vec<Reign>> {
    let within = proptest::collection::vec((0..1000_u64, 0..20_u64), 0..20);
    proptest::collection::vec((0..3_u8, 5..200_u64, any::<bool>(), within), 1..8)
}

proptest! {
    #[test]
    fn honest_histories_hold_and_each_intruder_is_found(
        reigns in reigns(),
        when in 0..2000_u64,
        who in 0..4_u8,
    ) {
        let (mut changes, versions) = honest(&reigns);
        let verdict = judge(&changes, &versions);
        prop_assert!(verdict.holds(), "{verdict}");

        let intruder = format!("i-{who}");
        let theirs = |period: &Period| {
            period.machine.id() == intruder
                && period.from <= seconds(when)
                && period.until.is_none_or(|until| seconds(when) <= until)
        };
        let allowed = verdict.periods.iter().any(theirs);
        changes.push(done(&intruder, "home/y", when, when));
        let verdict = judge(&changes, &versions);
        prop_assert_eq!(verdict.violations.len(), usize::from(!allowed), "{}", verdict);
    }

    #[test]
    fn no_two_periods_overlap_whatever_the_record_says(
        states in proptest::collection::vec((0..3_u8, 0..4_u64, 0..3_u8), 0..20),
    ) {
        let versions: Vec<_> = states.iter().enumerate().map(|(index, (who, generation, state))| {
            let state = ["held", "released", "nonsense"][usize::from(*state)];
            version("A", &format!("i-{who}"), *generation, state, index as u64 * 10)
        }).collect();
        let periods = judge(&[], &versions).periods;
        for pair in periods.windows(2) {
            prop_assert!(pair[0].until.is_some_and(|until| until <= pair[1].from));
        }
    }
}
