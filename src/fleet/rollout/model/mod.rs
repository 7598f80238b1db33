//! A group in a few lines, and rollouts on it that are killed, or hear nothing, at every step: each
//! ends in one of the two good states.

mod world;

use proptest::prelude::*;

use self::world::{Aws, Fate, Image, OLD, order, refused};
pub(super) use self::world::{NEW, World};
use super::journal::{self, Journal};
use super::next::{Act, End, Next, next};
use super::reaction::{Reaction, react};
use super::resume::revived;
use super::scribe::Scribe;
use super::{Builds, Order, Phase, Side, Strategy as Way_, Way, timeline};
use crate::aws::asg::refresh::{BUSY, IRREVERSIBLE, NONE};
use crate::group::standing::State;
use crate::group::way_back;

/// How it ended, and how often something was done to the world or written.
struct Course {
    end: End,
    effects: usize,
    journal: Journal,
}

/// Carries a rollout out, with the fates of what is done in their order; what comes later is fine.
/// `back`: whoever carries on after a kill wants to go back.
fn run(world: &mut World, fates: &[Fate], back: bool) -> Course {
    let mut journal = world.journal.clone().unwrap();
    let mut effects = 0;
    for _ in 0..2_000 {
        let seen = world.seen();
        timeline::observe(&mut journal, &seen, world.now);
        let what = match next(&journal, &seen, world.now) {
            Next::Wait(_) => {
                world.tick();
                continue;
            }
            Next::End(end) => return Course { end, effects, journal },
            what => what,
        };
        let fate = fates.get(effects).copied().unwrap_or(Fate::Fine);
        effects += 1;
        let done = match (&what, fate) {
            (_, Fate::KilledBefore) => None,
            (_, Fate::Throttled) => Some(Err(refused(503, "Throttling"))),
            (Next::Note(noted), _) => {
                world.journal = Some((**noted).clone());
                Some(Ok(Some((**noted).clone())))
            }
            (Next::Act(act), _) => Some(world.perform(&journal, act)),
            (Next::Wait(_) | Next::End(_), _) => unreachable!("they are above"),
        };
        match (done, fate) {
            (None, _) | (_, Fate::KilledAfter) => {
                // Nobody is at work for a while.
                (0..2).for_each(|_| world.tick());
                let stored = world.journal.clone().unwrap();
                let wants = back && stored.phase < Phase::Promote;
                journal = revived(&stored, &world.seen(), wants, world.now).unwrap();
                world.journal = Some(journal.clone());
            }
            (Some(done), _) => {
                let lost = fate == Fate::AnswerLost;
                let done = if lost { Err(refused(500, "InternalFailure")) } else { done };
                match (done, &what) {
                    (Ok(Some(noted)), _) => {
                        journal = noted;
                        world.journal = Some(journal.clone());
                    }
                    // The journal is written again and again until it stands there.
                    (Err(_), Next::Act(act)) => {
                        let failure = if lost || fate == Fate::Throttled {
                            refused(500, "InternalFailure")
                        } else {
                            refused(400, rejected(world.aws, act))
                        };
                        match react(&journal, &seen, act, &failure, world.now) {
                            Reaction::Note(noted) => {
                                journal = *noted;
                                world.journal = Some(journal.clone());
                            }
                            // It is tried again after a while.
                            Reaction::Again | Reaction::Leave => world.tick(),
                        }
                    }
                    (Ok(None) | Err(_), _) => {}
                }
                if fate != Fate::Fine {
                    world.tick();
                }
            }
        }
    }
    panic!("it does not come to an end: {journal:?}");
}

/// With what AWS refuses this.
fn rejected(aws: Aws, act: &Act) -> &'static str {
    match act {
        Act::Start(_) => BUSY,
        Act::RollBack if aws == Aws::CannotRollBack => IRREVERSIBLE,
        _ => NONE,
    }
}

/// Whether it is one of the two good states, and nothing was left behind.
fn check(world: &World, course: &Course) {
    let told = format!("{course:?}", course = course.journal);
    let version = match course.end {
        End::Done => NEW,
        End::Back => OLD,
        End::Stuck => panic!("it is stuck: {told}"),
    };
    assert_eq!(world.hosts.len(), 1, "{told}");
    let host = &world.hosts[0];
    assert!(host.is_in_service() && host.version == Some(version), "{host:?} {told}");
    assert_eq!(world.launches, version, "{told}");
    assert_eq!(world.home_is_newer, version == NEW, "{told}");
    assert_eq!(world.standing.as_ref().map(|it| it.state), Some(State::Serving), "{told}");
    assert_eq!(world.suspended, ["AZRebalance"], "what was suspended before stays so: {told}");
    assert!(!world.locked && world.recorded >= 1, "{told}");
    assert!(world.made.len() <= 1, "{told}");
    assert_eq!((world.default, world.pointed), (version, course.end == End::Done), "{told}");
    let tag_left = world.tag.is_some() && course.journal.quieted.as_ref() == Some(&host.id);
    assert!(!tag_left, "the host that stays was told to be quiet: {told}");
    if world.image == Image::Serves && course.journal.cause.is_none() {
        assert_eq!(course.end, End::Done, "nothing was wrong with it: {told}");
    }
}

const IMAGES: [Image; 5] =
    [Image::Serves, Image::NeverHealthy, Image::NeverReady, Image::WrongVersion, Image::Falters];
const CLOUDS: [Aws; 3] = [Aws::RollsBackWhenAsked, Aws::RollsBackByItself, Aws::CannotRollBack];
const STRATEGIES: [Way_; 2] = [Way_::TerminateFirst, Way_::ReplaceRootVolume];

fn worlds() -> impl Iterator<Item = (Image, Aws, Way_)> {
    let clouds = |image| CLOUDS.iter().map(move |aws| (image, *aws));
    let all = IMAGES.iter().flat_map(move |image| clouds(*image));
    all.flat_map(|(image, aws)| STRATEGIES.iter().map(move |it| (image, aws, *it)))
}

#[test]
fn undisturbed_the_new_one_serves_or_the_old_one_does() {
    for (image, aws, strategy) in worlds() {
        let mut world = World::new(image, aws, strategy);
        let course = run(&mut world, &[], false);
        check(&world, &course);
        let good = image == Image::Serves;
        assert_eq!(course.end, if good { End::Done } else { End::Back }, "{image:?} {aws:?}");
        assert_eq!(world.recorded, 1);
        assert_eq!(course.journal.cause.is_none(), good);
        let times = timeline::times(&course.journal, world.now);
        assert!(times.down > 0.0 && times.down_to.is_some(), "{times:?}");
        assert!(times.spans.iter().any(|span| span.name == "quiet"), "{times:?}");
    }
}

/// Every write and every act is one at which it is killed, before and after.
#[test]
fn killed_at_every_step_and_carried_on_it_ends_well() {
    let mut kills = 0;
    for (image, aws, strategy) in worlds() {
        let steps = run(&mut World::new(image, aws, strategy), &[], false).effects;
        assert!(steps > 12, "{steps}");
        for step in 0..steps {
            let ends = [Fate::KilledBefore, Fate::KilledAfter, Fate::Throttled, Fate::AnswerLost];
            for (fate, back) in ends.into_iter().flat_map(|it| [(it, false), (it, true)]) {
                let mut world = World::new(image, aws, strategy);
                let mut fates = vec![Fate::Fine; step];
                fates.push(fate);
                let course = run(&mut world, &fates, back);
                check(&world, &course);
                kills += 1;
            }
        }
    }
    assert!(kills > 1_000, "{kills}");
}

/// Runs until it is killed at this step, and never again: what AWS and the hosts do by themselves goes on
/// for hours.
fn abandoned(world: &mut World, step: usize, fate: Fate) {
    let mut fates = vec![Fate::Fine; step];
    fates.push(fate);
    let mut journal = world.journal.clone().unwrap();
    for fate in fates {
        let what = loop {
            let seen = world.seen();
            timeline::observe(&mut journal, &seen, world.now);
            match next(&journal, &seen, world.now) {
                Next::Wait(_) => world.tick(),
                Next::End(_) => return,
                what => break what,
            }
        };
        if fate == Fate::KilledBefore {
            break;
        }
        let noted = match &what {
            Next::Note(noted) => Some((**noted).clone()),
            Next::Act(act) => match world.perform(&journal, act) {
                Ok(noted) => noted.filter(|_| fate == Fate::Fine),
                Err(_) if *act == Act::RollBack => {
                    let failure = refused(400, rejected(world.aws, act));
                    let seen = world.seen();
                    match react(&journal, &seen, act, &failure, world.now) {
                        Reaction::Note(noted) => Some(*noted),
                        _ => None,
                    }
                }
                Err(failure) => panic!("{failure}"),
            },
            Next::Wait(_) | Next::End(_) => unreachable!("they are above"),
        };
        if let Some(noted) = noted {
            journal = noted;
            world.journal = Some(journal.clone());
        }
    }
    (0..1_000).for_each(|_| world.tick());
}

/// The machine that ran the rollout is gone for good, and AWS takes its refresh back by itself: the old
/// image serves again before anybody comes, and whoever comes finds it so.
#[test]
fn killed_for_good_aws_brings_the_old_one_back_and_it_serves() {
    let (mut taken_back, mut gone_forward) = (0, 0);
    for image in IMAGES {
        let aws = Aws::RollsBackByItself;
        let strategy = Way_::TerminateFirst;
        let steps = run(&mut World::new(image, aws, strategy), &[], false).effects;
        for (step, fate) in
            (0..steps).flat_map(|it| [(it, Fate::KilledBefore), (it, Fate::KilledAfter)])
        {
            let mut world = World::new(image, aws, strategy);
            abandoned(&mut world, step, fate);
            let told = format!("{image:?} killed at {step} ({fate:?}): {:?}", world.hosts);
            let [host] = world.hosts.as_slice() else { panic!("{told}") };
            assert!(host.is_in_service(), "{told}");
            assert_eq!(host.version, Some(world.launches), "{told}");
            assert_eq!(world.home_is_newer, world.launches == NEW, "{told}");
            let by_aws = world.refreshes.iter().any(|it| it.rollback.is_some());
            taken_back += u32::from(by_aws);
            gone_forward += u32::from(world.launches == NEW);
            assert!(!by_aws || world.launches == OLD, "{told}");
            // Whoever comes days later.
            let stored = world.journal.clone().unwrap();
            if stored.is_over() {
                continue;
            }
            let revived = revived(&stored, &world.seen(), false, world.now).unwrap();
            world.journal = Some(revived);
            let course = run(&mut world, &[], false);
            check(&world, &course);
            assert!(!by_aws || course.end == End::Back, "{told}");
        }
    }
    assert!(taken_back > 10 && gone_forward > 10, "{taken_back} {gone_forward}");
}

/// AWS waits for longer than a replacement may take until a host that serves is warm: it is proven all
/// the same, there and back.
#[test]
fn a_group_that_warms_up_for_longer_than_a_replacement_may_take_loses_no_good_host() {
    for (image, aws, strategy) in worlds() {
        let mut world = World::new(image, aws, strategy);
        world.warmup = 100;
        assert!(u64::from(world.warmup) * 10 > order(strategy).patience);
        let course = run(&mut world, &[], false);
        check(&world, &course);
        let good = image == Image::Serves;
        assert_eq!(course.end, if good { End::Done } else { End::Back }, "{image:?} {aws:?}");
    }
}

/// A refresh that was begun and is not to be seen yet is not overlooked: neither on the way there nor,
/// which is worse, on the way back, where the old host still proves itself.
#[test]
fn a_refresh_that_comes_to_light_late_is_taken_back() {
    for (image, aws, strategy) in worlds() {
        let steps = run(&mut World::new(image, aws, strategy), &[], false).effects;
        for (step, back) in (0..steps).flat_map(|step| [(step, false), (step, true)]) {
            for fate in [Fate::KilledBefore, Fate::KilledAfter, Fate::AnswerLost] {
                let mut world = World::new(image, aws, strategy);
                // Two ticks pass until somebody carries it on.
                world.shown_after = 4;
                let mut fates = vec![Fate::Fine; step];
                fates.push(fate);
                let course = run(&mut world, &fates, back);
                check(&world, &course);
                // Whatever was begun has come to its end.
                (0..40).for_each(|_| world.tick());
                check(&world, &course);
            }
        }
    }
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Fine),
        1 => Just(Fate::KilledBefore),
        1 => Just(Fate::KilledAfter),
        1 => Just(Fate::Throttled),
        1 => Just(Fate::AnswerLost),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// However often it is killed, and whatever AWS does in between.
    #[test]
    fn killed_again_and_again_it_ends_well(
        fates in prop::collection::vec(fate(), 0..60),
        image in prop::sample::select(IMAGES.to_vec()),
        aws in prop::sample::select(CLOUDS.to_vec()),
        strategy in prop::sample::select(STRATEGIES.to_vec()),
        (warmup, shown_after) in (0..90_u32, 0..3_u32),
        (back, soaks) in any::<(bool, bool)>(),
    ) {
        let mut world = World::new(image, aws, strategy);
        if soaks {
            world.journal.as_mut().unwrap().order.soak = 60;
        }
        (world.warmup, world.shown_after) = (warmup, shown_after);
        let course = run(&mut world, &fates, back);
        check(&world, &course);
    }
}

/// The group replaces the host that was made quiet, while its builds are waited for.
#[test]
fn a_host_that_comes_in_between_is_made_quiet_and_its_builds_are_waited_for() {
    let mut world = World::new(Image::Serves, Aws::RollsBackWhenAsked, Way_::TerminateFirst);
    world.launch(OLD);
    world.hosts.remove(0);
    world.serve();
    let mut journal = Journal {
        phase: Phase::Quiet,
        quieted: Some("i-1".to_owned()),
        since: world.now,
        ..world.journal.clone().unwrap()
    };
    journal.forward.marks.mark(timeline::Moment::Asked, world.now);
    // It is not there yet: the refresh is what brings the next one.
    world.hosts[0].state = "Pending".to_owned();
    let Next::Note(on) = next(&journal, &world.seen(), world.now) else { panic!("it waits") };
    assert_eq!((on.phase, on.answer), (Phase::Refresh, None));
    world.hosts[0].state = "InService".to_owned();
    let later = world.now + jiff::SignedDuration::from_mins(5);
    let Next::Note(noted) = next(&journal, &world.seen(), later) else { panic!("it waits") };
    assert_eq!((noted.phase, noted.quieted.as_deref()), (Phase::Quiet, Some("i-2")));
    assert_eq!(noted.since, later);
    assert!(noted.answer.is_some(), "an answer of before is told from one to this");
    // Its builds are worth as much, and are asked for by the tag.
    let seen = world.seen();
    assert_eq!(next(&noted, &seen, later), Next::Act(Act::Quiet("i-2".to_owned())));
    world.tag = Some(("i-2".to_owned(), "quiet".to_owned()));
    world.obey();
    assert!(matches!(next(&noted, &world.seen(), later), Next::Wait(_)), "a build runs");
    world.obey();
    let Next::Note(on) = next(&noted, &world.seen(), later) else { panic!("none runs") };
    assert_eq!(on.phase, Phase::Refresh);
    // A group that does that again and again does not keep it for ever, nor whoever gives builds up.
    let much = world.now + jiff::SignedDuration::from_mins(11);
    let Next::Note(on) = next(&journal, &world.seen(), much) else { panic!("it waits") };
    assert_eq!(on.phase, Phase::Refresh);
    journal.order.builds = Builds::Force;
    let Next::Note(on) = next(&journal, &world.seen(), later) else { panic!("it waits") };
    assert_eq!(on.phase, Phase::Refresh);
}

/// Journals of all forms that were ever written are read for ever.
#[test]
fn journals_of_old_are_read() {
    let first = include_str!("../fixtures/journal-1.json");
    let journal: Journal = serde_json::from_str(first).unwrap();
    assert_eq!((journal.form, journal.way, journal.phase), (1, Way::Forward, Phase::Refresh));
    assert_eq!(
        journal.order,
        Order {
            to: Side { version: Some(NEW), ..order(Way_::TerminateFirst).to },
            ..order(Way_::TerminateFirst)
        }
    );
    assert_eq!(journal.forward.id.as_deref(), Some("refresh-0"));
    assert_eq!(journal::parameter("ci"), way_back::parameter("ci"));
    assert!(!first.contains("alarms") && journal.order.alarms.is_empty());
    let second = include_str!("../fixtures/journal-2.json");
    let journal: Journal = serde_json::from_str(second).unwrap();
    assert_eq!(journal.order.alarms, ["ci-slow", "ci errors"]);
    assert!(!second.contains("soak") && journal.order.soak == 0 && journal.faltered.is_none());
    let third = include_str!("../fixtures/journal-3.json");
    let journal: Journal = serde_json::from_str(third).unwrap();
    assert_eq!((journal.order.soak, journal.faltered.is_some()), (1800, true));
    let moments = [timeline::Moment::Proven, timeline::Moment::Soaked];
    let [proven, soaked] = moments.map(|moment| journal.forward.marks.at(moment).unwrap());
    assert_eq!(soaked.duration_since(proven).as_mins(), 30);
    let least = include_str!("../fixtures/journal-least.json");
    let journal: Journal = serde_json::from_str(least).unwrap();
    assert_eq!((journal.phase, journal.stopped, journal.cause), (Phase::Begun, false, None));
}

/// Parameter Store takes no more than 4 KiB.
#[test]
fn a_journal_with_much_to_tell_is_short_enough() {
    let mut world = World::new(Image::NeverReady, Aws::CannotRollBack, Way_::ReplaceRootVolume);
    let mut journal = run(&mut world, &[], false).journal;
    let long = "ü".repeat(900);
    (journal.cause, journal.stuck, journal.proof) =
        (Some(long.clone()), Some(long.clone()), Some(long));
    // As many and as long names as somebody may choose.
    journal.order.alarms = vec!["a".repeat(60); 10];
    journal.hosts = vec!["i-0123456789abcdef0".to_owned(); 10];
    let text = journal.text();
    assert!(text.len() <= 4096, "{} bytes", text.len());
    let read: Journal = serde_json::from_str(&text).unwrap();
    assert_eq!((read.order, read.phase, read.back), (journal.order, journal.phase, journal.back));
    assert!(format!("{:?}", Scribe::new("ci", 0)).contains("writer"));
}
