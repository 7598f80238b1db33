//! Drains of made-up hosts: whatever these do, what must not be is not, and each drain ends.

use proptest::prelude::*;

use super::budget::{Budget, SPOT_NOTICE};
use super::drain::{Drain, Next, Seen, Stage};
use crate::host::Role;

/// How a host of the test behaves, in seconds; none: never.
#[derive(Clone, Debug)]
struct Temper {
    builds: Option<u32>,
    answers: bool,
    stops: Option<u32>,
    dies: Option<u32>,
    releases: Option<u32>,
    unmounts: Option<u32>,
    waits: bool,
}

/// The host, while it is drained.
#[derive(Clone, Debug, Default)]
struct World {
    now: f64,
    quiet: bool,
    stopping: Option<f64>,
    killed: Option<f64>,
    releasing: Option<f64>,
    unmounting: Option<f64>,
    told: bool,
    /// What was done, when, and whether by force.
    done: Vec<(Stage, f64, bool)>,
}

impl World {
    fn since(&self, begun: Option<f64>, takes: Option<u32>) -> bool {
        begun.zip(takes).is_some_and(|(begun, takes)| self.now >= begun + f64::from(takes))
    }

    fn is_down(&self, temper: &Temper) -> bool {
        self.since(self.stopping, temper.stops) || self.since(self.killed, temper.dies)
    }

    /// The lease refuses as long as somebody may write.
    fn is_released(&self, temper: &Temper) -> bool {
        self.is_down(temper) && self.since(self.releasing, temper.releases)
    }

    fn look(&self, temper: &Temper, stage: Stage) -> Seen {
        let seen =
            |done: bool| if done { Seen::Done(None) } else { Seen::Left("something".into()) };
        let down = self.is_down(temper);
        match stage {
            Stage::Targets | Stage::Boot | Stage::Door | Stage::Leave => Seen::Done(None),
            Stage::Quiet | Stage::Builds if !down && !temper.answers => Seen::Unclear("hm".into()),
            Stage::Quiet => seen(down || self.quiet),
            Stage::Builds | Stage::Tasks | Stage::Sessions => {
                seen(down || temper.builds.is_some_and(|takes| self.now >= f64::from(takes)))
            }
            Stage::Stop => seen(down),
            Stage::Release => seen(self.is_released(temper)),
            Stage::Unmount => seen(self.since(self.unmounting, temper.unmounts)),
            Stage::Hook => seen(!temper.waits || self.told),
        }
    }

    fn act(&mut self, stage: Stage, force: bool) {
        let now = self.now;
        self.done.push((stage, now, force));
        let begun = match (stage, force) {
            (Stage::Stop, true) => &mut self.killed,
            (Stage::Stop, false) => &mut self.stopping,
            (Stage::Release, _) => &mut self.releasing,
            (Stage::Unmount, _) => &mut self.unmounting,
            (other, _) => {
                self.quiet |= other == Stage::Quiet;
                self.told |= other == Stage::Hook;
                return;
            }
        };
        begun.get_or_insert(now);
    }

    /// Drains until the end, or until nothing more can come; is killed at the moments of `kills`, and
    /// begins again. Says whether it came to its end.
    fn drain(&mut self, temper: &Temper, budget: Budget, kills: &[u32]) -> bool {
        let mut drain = Drain::new(budget.rows());
        let mut kills: Vec<_> = kills.iter().map(|at| f64::from(*at)).collect();
        kills.sort_by(|a, b| b.total_cmp(a));
        while self.now < 20_000.0 {
            if kills.last().is_some_and(|at| self.now >= *at) {
                kills.pop();
                drain = Drain::new(budget.rows());
            }
            let Some(stage) = drain.stage() else { return true };
            let next = drain.hear(self.now, &self.look(temper, stage));
            match next {
                Next::Ended(_) | Next::GivenUp(_) => continue,
                Next::Act | Next::Force => self.act(stage, next == Next::Force),
                Next::Wait | Next::Stuck(_) => {}
            }
            self.now += 1.0;
        }
        false
    }

    fn first(&self, stage: Stage, force: bool) -> Option<f64> {
        let mut done = self.done.iter();
        done.find(|(it, _, forced)| (*it, *forced) == (stage, force)).map(|it| it.1)
    }
}

fn temper() -> impl Strategy<Value = Temper> {
    let some = |most: u32| prop::option::weighted(0.8, 0..most);
    let times = (some(900), some(200), some(20), some(400), some(40));
    (times, prop::bool::weighted(0.8), any::<bool>()).prop_map(|(times, answers, waits)| {
        let (builds, stops, dies, releases, unmounts) = times;
        Temper { builds, answers, stops, dies, releases, unmounts, waits }
    })
}

fn budget(gone: Option<f64>) -> Budget {
    Budget { role: Role::Controller, patience: 600.0, gone, explicit: true }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn the_group_never_hears_go_before_the_home_is_released_and_the_order_is_kept(
        temper in temper(),
        spot in any::<bool>(),
        kills in prop::collection::vec(0_u32..1500, 0..6),
    ) {
        let mut world = World::default();
        let ended = world.drain(&temper, budget(spot.then_some(SPOT_NOTICE)), &kills);
        if let Some(told) = world.first(Stage::Hook, false) {
            let then = World { now: told, ..world.clone() };
            prop_assert!(then.is_released(&temper));
        }
        // The order of what was begun for the first time is that of the stages.
        let firsts = [Stage::Quiet, Stage::Stop, Stage::Release, Stage::Unmount, Stage::Hook];
        let moments: Vec<_> = firsts.iter().filter_map(|it| world.first(*it, false)).collect();
        prop_assert!(moments.is_sorted(), "{:?}", world);
        // What has to be done and can be is done, however often the guard was killed.
        prop_assert_eq!(ended, world.is_released(&temper), "{:?}", world);
        let can = temper.stops.is_some_and(|takes| takes < 100) && temper.releases.is_some();
        prop_assert!(ended || !can, "{:?}", world);
    }

    #[test]
    fn of_a_spot_instance_jenkins_is_stopped_in_time(
        temper in temper(),
        kills in prop::collection::vec(0_u32..120, 0..6),
        noticed in 0_u32..100,
    ) {
        // Its clock begins when the interruption is noticed.
        let gone = SPOT_NOTICE - f64::from(noticed);
        let mut world = World::default();
        world.drain(&temper, budget(Some(gone)), &kills);
        let stop = world.first(Stage::Stop, false).expect("it always is");
        // A Jenkins that does not answer is asked for ten seconds at most, in each life of the guard.
        let late = |usual: f64| usual.max(12.0) + 2.0;
        prop_assert!(stop <= late(gone - 60.0), "{stop} of {gone}");
        if let Some(kill) = world.first(Stage::Stop, true) {
            prop_assert!(kill <= late((gone - 45.0).max(15.0)) + 3.0, "{kill} of {gone}");
        }
    }

    #[test]
    fn builds_get_their_time_and_no_more(temper in temper()) {
        let mut world = World::default();
        world.drain(&temper, budget(None), &[]);
        let stop = world.first(Stage::Stop, false).expect("it always is");
        let wanted = temper.builds.filter(|_| temper.answers).map_or(600.0, f64::from);
        let builds = wanted.min(600.0);
        prop_assert!(stop >= builds && stop <= builds + 40.0, "{stop}, {builds}");
    }
}

#[test]
fn the_times_read_like_this() {
    let mut text = String::new();
    for (name, role, gone) in [
        ("a controller", Role::Controller, None),
        ("a controller on a spot instance", Role::Controller, Some(SPOT_NOTICE)),
        ("one whose interruption is noticed late", Role::Controller, Some(40.0)),
        ("a build agent", Role::Agent, None),
        ("a container host on a spot instance", Role::Ecs, Some(SPOT_NOTICE)),
    ] {
        text.push_str(&format!("{name}\n"));
        for row in (Budget { role, patience: 600.0, gone, explicit: false }).rows() {
            let (stage, limit, until) = (row.stage.name(), row.limit, row.until);
            text.push_str(&format!(
                "  {stage:<9} {limit:>5} s, until {until:>5}, {:?}\n",
                row.late
            ));
        }
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_hurried_drain_goes_on_where_it_is() {
    let mut drain = Drain::new(budget(None).rows());
    while drain.stage() != Some(Stage::Builds) {
        drain.hear(0.0, &Seen::Done(None));
    }
    let left = Seen::Left("1 build".into());
    assert_eq!(drain.hear(0.0, &left), Next::Wait);
    assert_eq!(drain.hear(500.0, &left), Next::Wait);
    // The clock begins anew with the interruption.
    drain.hurry(budget(Some(SPOT_NOTICE)).rows());
    assert_eq!(drain.stage(), Some(Stage::Builds));
    assert_eq!(drain.hear(59.0, &left), Next::Wait);
    assert_eq!(drain.hear(61.0, &left), Next::GivenUp("1 build".into()));
    assert_eq!(drain.stage(), Some(Stage::Stop));
}
