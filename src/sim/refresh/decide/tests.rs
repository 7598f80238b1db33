use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::sim::instance::State;
use crate::sim::refresh::Preferences;

/// A little group: it launches what is lacking, and instances come and go in two ticks each.
struct World {
    begun: Instant,
    tick: u64,
    wanted: u64,
    members: Vec<(Seen, u64)>,
    launched: usize,
    /// Of so many launches the last is never well.
    bad: usize,
    refresh: Refresh,
    surge: u64,
    firing: Vec<String>,
}

const TICK: Duration = Duration::from_mins(1);

impl World {
    fn new(wanted: u64, preferences: Preferences, bad: usize) -> Self {
        let begun = Instant::now();
        let mut world = Self {
            begun,
            tick: 0,
            wanted,
            members: Vec::new(),
            launched: 0,
            bad: 0,
            refresh: fresh(preferences),
            surge: 0,
            firing: Vec::new(),
        };
        (0..wanted).for_each(|_| world.launch());
        (0..4).for_each(|_| world.go_on());
        let ids: BTreeSet<_> = world.members.iter().map(|(one, _)| one.id.clone()).collect();
        world.refresh.before.clone_from(&ids);
        world.refresh.targets = ids;
        world.bad = bad;
        world
    }

    fn now(&self) -> Instant {
        self.begun + TICK * u32::try_from(self.tick).unwrap()
    }

    fn launch(&mut self) {
        self.launched += 1;
        let seen = Seen {
            id: format!("i-{:03}", self.launched),
            image: String::new(),
            instance_type: String::new(),
            template: None,
            zone: String::new(),
            state: State::Running,
            lifecycle: Lifecycle::Pending,
            ill: None,
            target_healthy: None,
            target_unhealthy: false,
            joined: self.now(),
            in_service: None,
            protected: false,
            warm: None,
            at_risk: false,
        };
        self.members.push((seen, self.tick));
    }

    /// What the group and its instances do.
    fn go_on(&mut self) {
        let (now, tick) = (self.now(), self.tick);
        for (one, since) in &mut self.members {
            let number: usize = one.id[2..].parse().unwrap();
            let is_bad = self.bad > 0 && number.is_multiple_of(self.bad);
            if one.lifecycle == Lifecycle::Pending && tick >= *since + 2 && !is_bad {
                one.lifecycle = Lifecycle::InService;
                one.in_service = Some(now);
            }
            // The hook of what is bad gives up.
            if one.lifecycle == Lifecycle::Pending && tick >= *since + 5 {
                (one.lifecycle, *since) = (Lifecycle::Draining, tick);
            }
        }
        self.members.retain(|(one, since)| !(one.is_leaving() && tick >= *since + 2));
        let counted = self.members.iter().filter(|(one, _)| one.counts()).count();
        let target = usize::try_from(self.wanted + self.surge).unwrap();
        (counted..target).for_each(|_| self.launch());
        self.tick += 1;
    }

    fn turn(&mut self) {
        let members: Vec<Seen> = self.members.iter().map(|(one, _)| one.clone()).collect();
        let scene = Scene {
            now: self.now(),
            world: Timestamp::UNIX_EPOCH,
            speed: 1.0,
            wanted: self.wanted,
            policy: None,
            members: &members,
            warmup: 0,
            firing: self.firing.clone(),
            suspended: false,
        };
        let turn = turn(&self.refresh, &scene);
        self.refresh = turn.refresh;
        self.surge = turn.surge;
        let tick = self.tick;
        for (one, since) in &mut self.members {
            if turn.release.contains(&one.id) {
                (one.lifecycle, *since) = (Lifecycle::Draining, tick);
            }
        }
    }

    fn well(&self) -> u64 {
        as_number(self.members.iter().filter(|(one, _)| one.is_healthy()).count())
    }

    fn there(&self) -> u64 {
        as_number(self.members.iter().filter(|(one, _)| one.counts()).count())
    }
}

fn fresh(preferences: Preferences) -> Refresh {
    let source = |version| Some(Source::of("lt-1", version));
    Refresh {
        id: "1".to_owned(),
        group: "ci".to_owned(),
        status: Status::Pending,
        reason: None,
        started: Timestamp::UNIX_EPOCH,
        ended: None,
        preferences,
        desired: source("2"),
        former: source("1"),
        before: BTreeSet::new(),
        targets: BTreeSet::new(),
        checkpoint: 0,
        paused: None,
        baking: None,
        patience: None,
        progress: Progress::default(),
        rollback: None,
        waits: true,
    }
}

fn preferences() -> impl Strategy<Value = Preferences> {
    let least = prop::option::of(prop::sample::select(vec![0, 34, 50, 90, 100]));
    let more = prop::option::of(0..=100_u64);
    let checkpoints = prop::sample::select(vec![vec![], vec![50, 100], vec![34]]);
    let bake = prop::option::of(0..600_u64);
    (least, more, checkpoints, bake, any::<bool>()).prop_map(
        |(least, more, checkpoints, bake, auto_rollback)| Preferences {
            least,
            most: least.and(more).map(|more| 100 + more.min(least.unwrap_or(0))),
            checkpoint_delay: (!checkpoints.is_empty()).then_some(300),
            checkpoints,
            bake,
            auto_rollback,
            ..Preferences::default()
        },
    )
}

proptest! {
    #[test]
    fn bounds_are_kept_and_it_ends(wanted in 1..7_u64, preferences in preferences(), bad in 0..4_usize) {
        // Where no launch is ever well, nothing can be promised of how many are.
        let bounds = Bounds::of(&preferences, None, wanted);
        let mut world = World::new(wanted, preferences, bad);
        let floor = bounds.least.saturating_sub(u64::from(bounds.gives_in));
        for _ in 0..4000 {
            world.turn();
            prop_assert!(world.well() >= floor, "{} of {floor}: {:?}", world.well(), world.refresh);
            world.go_on();
            prop_assert!(world.there() <= wanted + bounds.surge, "{:?}", world.refresh);
            if world.refresh.status.is_over() {
                break;
            }
        }
        let status = world.refresh.status;
        prop_assert!(status.is_over(), "{:?}", world.refresh);
        if bad == 0 {
            prop_assert_eq!(status, Status::Successful);
            let old = world.members.iter().filter(|(one, _)| world.refresh.before.contains(&one.id));
            let all = world.refresh.preferences.checkpoints != [34];
            prop_assert!(!all || old.count() == 0);
            prop_assert_eq!(world.refresh.progress.percent == 100, all || wanted == 1);
        }
    }
}

#[test]
fn nothing_is_released_before_the_refresh_is_asked_to_begin() {
    let mut world = World::new(2, Preferences { least: Some(0), ..Preferences::default() }, 0);
    world.turn();
    assert_eq!((world.well(), world.refresh.status), (2, Status::InProgress));
    world.turn();
    assert_eq!(world.well(), 0, "both may go at once");
}

/// Until it is over, with the alarm that fires at one of its turns.
fn with_alarm(preferences: Preferences, at: usize) -> Refresh {
    let mut world = World::new(2, preferences, 0);
    for turn in 0..200 {
        world.firing = if turn >= at { vec!["slow".to_owned()] } else { Vec::new() };
        world.turn();
        world.go_on();
        if world.refresh.status.is_over() {
            break;
        }
    }
    world.refresh
}

#[test]
fn an_alarm_that_fires_ends_a_refresh_and_not_the_way_back() {
    let preferences =
        || Preferences { alarms: vec!["slow".into()], bake: Some(600), ..Preferences::default() };
    let back = with_alarm(Preferences { auto_rollback: true, ..preferences() }, 3);
    assert_eq!(back.status, Status::RollbackSuccessful, "{back:?}");
    let reason = back.rollback.unwrap().reason;
    assert!(reason.contains("automatic rollback") && reason.contains("slow"), "{reason}");
    let failed = with_alarm(preferences(), 3);
    assert_eq!(failed.status, Status::Failed, "{failed:?}");
    assert!(failed.reason.unwrap().contains("slow"));
    // All are replaced, and it is waited whether they stay well.
    let baking =
        (0..200).map(|at| with_alarm(preferences(), at)).find(|it| it.progress.percent == 100);
    assert_eq!(baking.unwrap().status, Status::Failed);
}
