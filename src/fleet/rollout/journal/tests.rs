use proptest::prelude::*;

use super::*;
use crate::fleet::rollout::{Crowd, Side};
use crate::group::standing::State;

/// One that is as long as can be in all that AWS and people may make long.
fn longest(told: &str, name: &str, count: usize) -> Journal {
    let mut journal: Journal =
        serde_json::from_str(include_str!("../fixtures/journal-1.json")).unwrap();
    let at = "2026-09-21T14:15:00.123456789Z".parse().unwrap();
    let moments = [
        Moment::Asked,
        Moment::Quiet,
        Moment::Began,
        Moment::Draining,
        Moment::Drained,
        Moment::Launched,
        Moment::Claimed,
        Moment::Ready,
        Moment::Proven,
        Moment::Soaked,
    ];
    for attempt in [&mut journal.forward, &mut journal.back] {
        attempt.id = Some("08b91cf7-8fa6-48af-b6a6-d227f40f1b9b".to_owned());
        attempt.after.clone_from(&attempt.id);
        attempt.irreversible = true;
        for moment in moments {
            attempt.marks.mark(moment, at);
        }
    }
    let side = |version| Side {
        image: "ami-0123456789abcdef0".to_owned(),
        name: told.chars().take(128).collect(),
        template: "lt-0123456789abcdef0".to_owned(),
        version: Some(version),
        recipe: Some(told.chars().take(255).collect()),
        jenkins: Some("2.516.1".to_owned()),
    };
    let order = &mut journal.order;
    order.group = name.to_owned();
    (order.from, order.to) = (side(123_456), side(123_457));
    order.alarms = vec!["a".repeat(195); 3];
    order.home = Some("fs-0123456789abcdef0".to_owned());
    order.crowd = Crowd {
        bounds: Some((100, 200)),
        protected: true,
        controller: Some(name.to_owned()),
        cluster: Some(name.to_owned()),
        apart: vec![name.to_owned(); count],
    };
    journal.hosts = vec!["i-0123456789abcdef0".to_owned(); count];
    journal.suspended = vec!["HealthCheck".to_owned(), "ReplaceUnhealthy".to_owned()];
    journal.answer = Some(Standing {
        version: 1,
        instance: "i-0123456789abcdef0".to_owned(),
        state: State::Quiet,
        builds: Some(u32::MAX),
        since: at,
        why: Some(told.to_owned()),
        cannot: Some(told.to_owned()),
        again: None,
        proof: None,
    });
    let cause: String = told.chars().take(CAUSE).collect();
    journal.cause = Some(cause.clone());
    journal.stuck = Some(cause);
    journal.proof = Some(told.chars().take(200).collect());
    journal.warnings = vec![told.chars().take(200).collect(); 3];
    let acts = ["unquiet", "untag", "set-default", "resume", "point", "record", "unlock"];
    let says: String = told.chars().take(300).collect();
    journal.loose =
        acts.map(|act| Loose { act: act.to_owned(), says: says.clone() }).into_iter().collect();
    (journal.down, journal.outage) = (Some(at), Some((at, at)));
    (journal.own, journal.outages) = (12_345.678_901_234_567, 12_345.678_901_234_567);
    (journal.faltered, journal.order.soak) = (Some(at), u64::from(u32::MAX));
    journal.way = Way::Back;
    journal
}

/// One that goes forward: nothing is told of a way back.
fn forward(journal: Journal) -> Journal {
    Journal {
        way: Way::Forward,
        phase: Phase::Proof,
        back: Attempt::default(),
        cause: None,
        stuck: None,
        ..journal
    }
}

proptest! {
    /// Whatever is to be told, it fits into a parameter, and who carries on has what is needed.
    #[test]
    fn a_journal_is_short_enough_whatever_it_has_to_tell(
        told in "[a-zü😀\" \u{1}]{0,1200}",
        name in "[A-Za-z0-9/_-]{1,255}",
        count in 0..=10_usize,
        keep: [bool; 6],
        goes_on: bool,
    ) {
        let mut journal = longest(&told, &name, count);
        if goes_on { journal = forward(journal); }
        let [answer, cause, stuck, proof, warnings, loose] = keep;
        if !answer { journal.answer = None; }
        if !cause { journal.cause = None; }
        if !stuck { journal.stuck = None; }
        if !proof { journal.proof = None; }
        if !warnings { journal.warnings.clear(); }
        if !loose { journal.loose.clear(); }
        let text = journal.text();
        prop_assert!(text.len() <= LIMIT, "{} bytes: {text}", text.len());
        let read: Journal = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(
            (&read.rollout, read.way, read.phase, read.since, &read.before, &read.quieted),
            (&journal.rollout, journal.way, journal.phase, journal.since, &journal.before,
             &journal.quieted)
        );
        prop_assert_eq!((&read.forward, &read.back), (&journal.forward, &journal.back));
        prop_assert_eq!(&read.suspended, &journal.suspended);
        let order = |journal: &Journal| {
            let mut order = journal.order.clone();
            for side in [&mut order.from, &mut order.to] {
                (side.name, side.recipe) = (String::new(), None);
            }
            order.crowd.apart.clear();
            if !goes_on { order.alarms.clear(); }
            order
        };
        prop_assert_eq!(order(&read), order(&journal));
        let acts = |journal: &Journal| -> Vec<String> {
            journal.loose.iter().map(|loose| loose.act.clone()).collect()
        };
        prop_assert_eq!(acts(&read), acts(&journal));
        let answer = |journal: &Journal| {
            journal.answer.as_ref().map(|it| (it.instance.clone(), it.state, it.since))
        };
        prop_assert_eq!(answer(&read), answer(&journal));
    }
}

/// The longest of all, which no chance may find.
#[test]
fn the_longest_journal_is_short_enough() {
    for told in ["\u{1}".repeat(2000), "😀".repeat(2000), "\"".repeat(2000)] {
        let back = longest(&told, &"g".repeat(255), 10);
        for journal in [forward(back.clone()), back] {
            let text = journal.text();
            assert!(text.len() <= LIMIT, "{} bytes", text.len());
            let read: Journal = serde_json::from_str(&text).unwrap();
            let goes_on = journal.way == Way::Forward;
            assert_eq!(read.order.alarms.is_empty(), !goes_on, "who carries on watches them");
        }
    }
    let short = longest("", "ci", 0);
    let read: Journal = serde_json::from_str(&short.text()).unwrap();
    assert_eq!(read, short, "nothing is left out of what fits");
}

#[test]
fn what_is_of_a_later_term_or_of_a_later_rollout_fences() {
    let journal = Journal { term: 3, ..longest("", "ci", 0) };
    let glance = |change: fn(&mut Journal)| {
        let mut other = Journal { writer: "another".to_owned(), ..journal.clone() };
        change(&mut other);
        Glance::of(&other.text()).unwrap().fences(&journal)
    };
    assert!(glance(|it| it.term = 3) && glance(|it| it.term = 4), "it was taken over");
    assert!(!glance(|it| it.term = 2), "it was one of before");
    let older = |it: &mut Journal| {
        it.rollout = "r-0".to_owned();
        it.begun -= SignedDuration::from_hours(1);
    };
    let newer = |it: &mut Journal| {
        it.rollout = "r-2".to_owned();
        it.begun += SignedDuration::from_hours(1);
    };
    let with = |change: &dyn Fn(&mut Journal), term| {
        let mut other = Journal { term, ..journal.clone() };
        change(&mut other);
        Glance::of(&other.text()).unwrap().fences(&journal)
    };
    assert!(!with(&older, 2), "the last word of a rollout of before");
    assert!(with(&older, 3) && with(&newer, 4));
    assert!(with(&newer, 0), "the journal was removed in between");
}
