//! Whatever is found: what is named was seen to be wrong, and is named again the next time.

use proptest::prelude::*;

use super::rules::EFFECTS;
use super::*;
use crate::doctor::efs::scene::Asked;
use crate::doctor::efs::table::Observed;

fn asked() -> Asked {
    Asked {
        file_system: "fs-0123456789abcdef0".to_owned(),
        region: "eu-west-1".to_owned(),
        host: None,
        benchmark: false,
    }
}

fn named(findings: &[Finding]) -> Option<Cause> {
    let (asked, observed) = (asked(), Observed::default());
    name(findings, &Case { asked: &asked, observed: &observed, now: jiff::Timestamp::UNIX_EPOCH })
}

fn verdicts() -> impl Strategy<Value = Vec<Verdict>> {
    let one = prop_oneof![
        4 => Just(Verdict::Pass),
        2 => Just(Verdict::Skip),
        2 => Just(Verdict::Warn),
        2 => Just(Verdict::Fail),
    ];
    prop::collection::vec(one, CHECKS.len())
}

fn findings(verdicts: &[Verdict]) -> Vec<Finding> {
    let all = CHECKS.iter().zip(verdicts);
    all.map(|(check, verdict)| Finding::new(check.id.name(), *verdict, "so")).collect()
}

fn only(wrong: &[(Id, Verdict)]) -> Vec<Finding> {
    let verdict = |id: Id| wrong.iter().find(|it| it.0 == id).map_or(Verdict::Pass, |it| it.1);
    CHECKS.iter().map(|it| Finding::new(it.id.name(), verdict(it.id), "so")).collect()
}

proptest! {
    #[test]
    fn what_is_named_was_seen_to_be_wrong_and_all_that_failed_is_accounted_for(
        verdicts in verdicts(),
        turn in 0..CHECKS.len(),
    ) {
        let findings = findings(&verdicts);
        let of = |id: &str| findings.iter().find(|it| it.id == id).unwrap().verdict;
        let cause = named(&findings);
        prop_assert_eq!(cause.is_some(), verdicts.contains(&Verdict::Fail));
        if let Some(cause) = &cause {
            let explained: Vec<_> = cause.explains.iter().map(|it| it.id).collect();
            prop_assert!(of(cause.id) == Verdict::Fail || of(cause.id) == Verdict::Warn
                && explained.iter().any(|id| of(id) == Verdict::Fail));
            prop_assert!(explained.iter().all(|id| of(id) >= Verdict::Warn && *id != cause.id));
            prop_assert!(cause.others.iter().all(|id| of(id) == Verdict::Fail));
            for finding in findings.iter().filter(|it| it.verdict == Verdict::Fail) {
                let places = usize::from(finding.id == cause.id)
                    + explained.iter().filter(|id| **id == finding.id).count()
                    + cause.others.iter().filter(|id| **id == finding.id).count();
                prop_assert_eq!(places, 1, "{} is told once", finding.id);
            }
        }
        // The order in which they ended says nothing.
        let mut turned = findings;
        turned.rotate_left(turn);
        prop_assert_eq!(named(&turned), cause);
    }

    #[test]
    fn what_explains_all_others_is_named(verdicts in verdicts()) {
        let findings = findings(&verdicts);
        if let Some(cause) = named(&findings) && !cause.others.is_empty() {
            // No other failure would have left less.
            let (asked, observed) = (asked(), Observed::default());
            let now = jiff::Timestamp::UNIX_EPOCH;
            let case = Case { asked: &asked, observed: &observed, now };
            let is = |verdict| -> BTreeSet<Id> {
                let those = findings.iter().filter(|it| it.verdict == verdict);
                those.map(|it| Id::find(it.id).unwrap()).collect()
            };
            let (failed, warned) = (is(Verdict::Fail), is(Verdict::Warn));
            for id in &failed {
                let reach = consequences(*id, &failed, &warned, &case);
                prop_assert!(!failed.iter().all(|it| it == id || reach.contains_key(it)), "{id:?}");
            }
        }
    }
}

#[test]
fn nothing_follows_from_itself_and_nothing_is_said_twice() {
    let all: BTreeSet<Id> = CHECKS.iter().map(|check| check.id).collect();
    let (asked, observed) = (asked(), Observed::default());
    let case = Case { asked: &asked, observed: &observed, now: jiff::Timestamp::UNIX_EPOCH };
    for id in &all {
        for on in consequences(*id, &all, &all, &case).keys() {
            let back = consequences(*on, &all, &all, &case);
            assert!(
                !back.contains_key(id),
                "{} and {} follow from each other",
                id.name(),
                on.name()
            );
        }
    }
    let pairs: Vec<_> = EFFECTS.iter().flat_map(|it| it.on.iter().map(|on| (it.of, *on))).collect();
    assert_eq!(pairs.iter().collect::<BTreeSet<_>>().len(), pairs.len());
}

#[test]
fn one_failure_is_its_own_cause_and_none_has_none() {
    assert_eq!(named(&only(&[(Id::Bloat, Verdict::Warn)])), None);
    let cause = named(&only(&[(Id::Backup, Verdict::Fail)])).unwrap();
    assert_eq!((cause.id, cause.explains.len(), cause.others.len()), ("efs.backup", 0, 0));
}

#[test]
fn an_unrelated_failure_that_comes_earlier_does_not_hide_the_one_that_matters() {
    let cause = named(&only(&[
        (Id::Hygiene, Verdict::Warn),
        (Id::Backup, Verdict::Fail),
        (Id::Groups, Verdict::Fail),
        (Id::Port, Verdict::Fail),
        (Id::There, Verdict::Fail),
    ]));
    let cause = cause.unwrap();
    assert_eq!((cause.id, cause.others), ("net.groups", vec!["efs.backup"]));
}

#[test]
fn a_warning_is_named_where_it_alone_explains_a_failure() {
    let wrong =
        [(Id::Watchdog, Verdict::Warn), (Id::Alive, Verdict::Fail), (Id::Rpc, Verdict::Warn)];
    let cause = named(&only(&wrong)).unwrap();
    assert_eq!(cause.id, "mount.watchdog");
    let told: Vec<_> = cause.explains.iter().map(|it| it.id).collect();
    assert_eq!(told, ["mount.alive", "mount.rpc"]);
    // What is known of the throughput is nothing: its warning leads nowhere.
    let wrong = [(Id::Throughput, Verdict::Warn), (Id::Alive, Verdict::Fail)];
    assert_eq!(named(&only(&wrong)).unwrap().id, "mount.alive");
}
