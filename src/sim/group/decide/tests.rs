use proptest::prelude::*;

use super::*;
use crate::sim::group::source::Source;
use crate::sim::group::{Maintenance, Steering, Trouble, WarmPool};

const GRACE: Duration = Duration::from_mins(1);

fn group(desired: u64) -> Group {
    Group {
        name: "ci".to_owned(),
        launches: Some(Source::of("lt-1", "1")),
        min: 0,
        max: 10,
        desired,
        zones: vec!["a".to_owned(), "b".to_owned()],
        ..Group::default()
    }
}

fn member(id: &str, zone: &str, now: Instant) -> Seen {
    Seen {
        id: id.to_owned(),
        image: "ami-1".to_owned(),
        instance_type: "t3.micro".to_owned(),
        template: Some(("lt-1".to_owned(), 1)),
        zone: zone.to_owned(),
        state: State::Running,
        lifecycle: Lifecycle::InService,
        ill: None,
        target_healthy: None,
        target_unhealthy: false,
        joined: now,
        in_service: Some(now),
        protected: false,
        warm: None,
        at_risk: false,
    }
}

fn decided(group: &Group, members: &[Seen], now: Instant) -> Vec<Action> {
    decide(group, members, now, GRACE)
}

fn launch(zone: &str, cause: Cause) -> Action {
    Action::Launch(Wanted { zone: zone.to_owned(), cause, warm: None })
}

#[test]
fn it_launches_what_is_missing_where_there_are_the_fewest() {
    let now = Instant::now();
    let one = member("i-1", "a", now);
    let more = decided(&group(3), std::slice::from_ref(&one), now);
    let cause = Cause::Difference(1, 3);
    assert_eq!(more, [launch("b", cause.clone()), launch("a", cause)]);
    assert!(decided(&group(1), std::slice::from_ref(&one), now).is_empty());
    let mut suspended = group(3);
    suspended.habits.suspended.insert(Process::Launch);
    assert!(decided(&suspended, &[one], now).is_empty());
}

#[test]
fn what_failed_is_tried_later_and_elsewhere() {
    let now = Instant::now();
    let next = Some(now + Duration::from_secs(15));
    let troubled = Group { trouble: Trouble { failures: 1, next }, ..group(1) };
    assert!(decided(&troubled, &[], now).is_empty());
    let later = now + Duration::from_secs(15);
    assert_eq!(decided(&troubled, &[], later), [launch("b", Cause::Difference(0, 1))]);
}

#[test]
fn it_lets_the_oldest_of_the_crowded_zone_go_and_spares_the_protected() {
    let now = Instant::now() + Duration::from_mins(1);
    let ago = |seconds| now.checked_sub(Duration::from_secs(seconds)).unwrap();
    let mut members =
        vec![member("i-1", "a", ago(30)), member("i-2", "b", ago(20)), member("i-3", "b", ago(10))];
    let gone = |members: &[Seen]| match &decided(&group(2), members, now)[..] {
        [Action::Release(id, Cause::Difference(3, 2))] => Some(id.clone()),
        _ => None,
    };
    assert_eq!(gone(&members).as_deref(), Some("i-2"));
    members[1].protected = true;
    assert_eq!(gone(&members).as_deref(), Some("i-3"));
    members[2].protected = true;
    assert_eq!(gone(&members).as_deref(), Some("i-1"), "nobody else may go");
    for one in &mut members {
        one.protected = true;
    }
    assert_eq!(gone(&members), None);
}

#[test]
fn an_unhealthy_one_goes_and_another_comes_at_the_same_time_unless_the_policy_wants_it_first() {
    let now = Instant::now();
    let mut sick = member("i-1", "a", now);
    sick.target_unhealthy = true;
    let mut asks = group(1);
    assert!(decided(&asks, std::slice::from_ref(&sick), now + GRACE).is_empty(), "nobody asks");
    asks.habits.health_check_type = "ELB".to_owned();
    assert!(decided(&asks, std::slice::from_ref(&sick), now).is_empty(), "it is spared");
    let found = decided(&asks, std::slice::from_ref(&sick), now + GRACE);
    assert_eq!(found, [Action::Ail("i-1".to_owned(), Ill::Target)]);
    sick.ill = Some(Ill::Target);
    let goes = [Action::Release("i-1".to_owned(), Cause::TargetUnhealthy)];
    assert_eq!(decided(&asks, std::slice::from_ref(&sick), now), goes);
    let mut leaving = sick.clone();
    leaving.lifecycle = Lifecycle::Draining;
    assert_eq!(decided(&asks, &[leaving], now), [launch("a", Cause::Difference(0, 1))]);

    asks.maintenance = Some(Maintenance { least: 100, most: 200 });
    let first = decided(&asks, std::slice::from_ref(&sick), now);
    assert_eq!(first, [launch("b", Cause::Replacement)]);
    let both = [sick, member("i-2", "b", now)];
    assert_eq!(decided(&asks, &both, now), goes);
    asks.habits.suspended.insert(Process::ReplaceUnhealthy);
    assert!(decided(&asks, &both[..1], now).is_empty(), "it counts until it is replaced");
}

#[test]
fn one_that_ec2_terminated_is_noticed_unless_nobody_looks() {
    let now = Instant::now();
    let mut gone = member("i-1", "a", now);
    gone.state = State::Terminated;
    let noticed = decided(&group(1), std::slice::from_ref(&gone), now);
    assert_eq!(noticed, [Action::Ail("i-1".to_owned(), Ill::NotRunning)]);
    let mut blind = group(1);
    blind.habits.suspended.insert(Process::HealthCheck);
    assert!(decided(&blind, &[gone], now).is_empty());
}

#[test]
fn a_refresh_may_want_more_for_a_while_and_standby_does_not_count() {
    let now = Instant::now();
    let mut one = member("i-1", "a", now);
    let steering = Steering { id: "r".to_owned(), source: None, surge: 1 };
    let steered = Group { steering: Some(steering), ..group(1) };
    let more = decided(&steered, std::slice::from_ref(&one), now);
    assert_eq!(more, [launch("b", Cause::Refresh)]);
    one.lifecycle = Lifecycle::Standby;
    assert_eq!(decided(&group(1), &[one], now), [launch("a", Cause::Difference(0, 1))]);
}

#[test]
fn a_warm_pool_is_filled_put_to_rest_and_drawn_from() {
    let now = Instant::now();
    let pool = WarmPool { prepared: Some(2), ..WarmPool::default() };
    let mut warm_group = Group { warm_pool: Some(pool), ..group(1) };
    let serves = member("i-1", "a", now);
    let filled = decided(&warm_group, std::slice::from_ref(&serves), now);
    let wanted =
        Wanted { zone: "a".to_owned(), cause: Cause::WarmPool, warm: Some(PoolState::Stopped) };
    assert_eq!(filled, [Action::Launch(wanted)]);
    let mut warm = member("i-2", "b", now);
    (warm.warm, warm.lifecycle) = (Some(PoolState::Stopped), Lifecycle::Warm);
    let rests = decided(&warm_group, &[serves.clone(), warm.clone()], now);
    assert_eq!(rests, [Action::Rest("i-2".to_owned())]);
    warm.state = State::Stopped;
    warm_group.desired = 2;
    let drawn = decided(&warm_group, &[serves.clone(), warm.clone()], now);
    assert_eq!(drawn, [Action::Draw("i-2".to_owned(), Cause::Difference(1, 2))]);
    warm_group.desired = 1;
    warm_group.warm_pool = Some(WarmPool { deleting: true, ..pool });
    let emptied = decided(&warm_group, &[serves.clone(), warm], now);
    assert_eq!(emptied, [Action::Release("i-2".to_owned(), Cause::WarmPoolShrinks)]);
    assert_eq!(decided(&warm_group, &[serves], now), [Action::DropPool]);
}

#[test]
fn instances_are_spread_again_one_more_first() {
    let now = Instant::now();
    let mut members = vec![member("i-1", "a", now), member("i-2", "a", now)];
    assert_eq!(decided(&group(2), &members, now), [launch("b", Cause::Uneven)]);
    let mut comes = member("i-3", "b", now);
    (comes.lifecycle, comes.state) = (Lifecycle::Waiting, State::Running);
    members.push(comes);
    assert!(decided(&group(2), &members, now).is_empty(), "the new one is awaited");
    members[2].lifecycle = Lifecycle::InService;
    let goes = decided(&group(2), &members, now);
    assert!(matches!(&goes[..], [Action::Release(id, _)] if id != "i-3"), "{goes:?}");
    let mut suspended = group(2);
    suspended.habits.suspended.insert(Process::AZRebalance);
    assert!(decided(&suspended, &members[..2], now).is_empty());
}

/// Carries actions out as the account would, where launches succeed and hooks answer at once.
fn carry_out(members: &mut Vec<Seen>, actions: Vec<Action>, now: Instant, launched: &mut u32) {
    for action in actions {
        match action {
            Action::Launch(wanted) => {
                *launched += 1;
                let mut new = member(&format!("n-{launched}"), &wanted.zone, now);
                (new.lifecycle, new.state, new.in_service) =
                    (Lifecycle::Pending, State::Running, None);
                new.warm = wanted.warm;
                members.push(new);
            }
            Action::Release(id, _) => members.retain(|one| one.id != id),
            Action::Arrive(id) => {
                for one in members.iter_mut().filter(|one| one.id == id) {
                    one.in_service = Some(now);
                    one.lifecycle =
                        if one.warm.is_some() { Lifecycle::Warm } else { Lifecycle::InService };
                }
            }
            Action::Ail(id, ill) => {
                for one in members.iter_mut().filter(|one| one.id == id) {
                    one.ill = Some(ill);
                }
            }
            Action::Draw(id, _) => {
                for one in members.iter_mut().filter(|one| one.id == id) {
                    (one.warm, one.lifecycle, one.state) =
                        (None, Lifecycle::Pending, State::Running);
                }
            }
            Action::Rest(id) => {
                for one in members.iter_mut().filter(|one| one.id == id) {
                    one.state = State::Stopped;
                }
            }
            Action::DropPool | Action::Remove => {}
        }
    }
}

fn any_member() -> impl Strategy<Value = Seen> {
    let states = prop_oneof![
        Just(State::Running),
        Just(State::Pending),
        Just(State::Stopped),
        Just(State::Terminated)
    ];
    let lifecycles = prop_oneof![
        4 => Just(Lifecycle::InService),
        1 => Just(Lifecycle::Pending),
        1 => Just(Lifecycle::Waiting),
        1 => Just(Lifecycle::Standby),
    ];
    let ill = prop_oneof![4 => Just(None), 1 => Just(Some(Ill::Said))];
    (any::<bool>(), states, lifecycles, ill, any::<bool>(), any::<bool>()).prop_map(
        |(zone, state, lifecycle, ill, protected, at_risk)| Seen {
            state,
            lifecycle,
            ill,
            protected,
            at_risk,
            ..member("", if zone { "a" } else { "b" }, Instant::now())
        },
    )
}

proptest! {
    /// From wherever it begins, a group that may do everything comes to rest with as many healthy
    /// instances in service as it wants, and shrinking never takes a protected one.
    #[test]
    fn a_group_comes_to_rest_with_what_it_wants(
        begin in proptest::collection::vec(any_member(), 0..6),
        desired in 0_u64..5,
        first in any::<bool>(),
        rebalances in any::<bool>(),
    ) {
        let now = Instant::now();
        let maintenance = first.then_some(Maintenance { least: 100, most: 200 });
        let group = Group { maintenance, rebalances, ..group(desired) };
        let mut members = begin;
        for (number, one) in members.iter_mut().enumerate() {
            one.id = format!("i-{number}");
            if matches!(one.lifecycle, Lifecycle::Pending | Lifecycle::Waiting) {
                // Those that come do come; what they were told of does not count yet.
                (one.lifecycle, one.state, one.ill) = (Lifecycle::Pending, State::Running, None);
            }
        }
        let mut launched = 0;
        for round in 0.. {
            let actions = decide(&group, &members, now, GRACE);
            if actions.is_empty() {
                break;
            }
            prop_assert!(round < 100, "it never rests: {actions:?}");
            for action in &actions {
                let Action::Release(id, Cause::Difference(..)) = action else { continue };
                let one = members.iter().find(|one| one.id == *id);
                prop_assert!(one.is_some_and(|one| !one.protected));
            }
            carry_out(&mut members, actions, now, &mut launched);
        }
        let serve = as_number(members.iter().filter(|one| one.is_healthy()).count());
        let spared = as_number(members.iter().filter(|one| one.counts() && one.protected).count());
        prop_assert!(serve >= desired, "{members:?}");
        prop_assert!(serve <= desired.max(spared) , "{members:?}");
    }

    /// Nothing is launched or terminated by a group that does not do that at the moment.
    #[test]
    fn what_is_suspended_is_not_done(
        begin in proptest::collection::vec(any_member(), 0..6),
        desired in 0_u64..5,
    ) {
        let mut group = group(desired);
        group.habits.suspended.extend([Process::Launch, Process::Terminate]);
        for action in decide(&group, &begin, Instant::now(), GRACE) {
            let harmless = matches!(
                action,
                Action::Arrive(_) | Action::Ail(..) | Action::Release(_, Cause::NeverInService)
            );
            prop_assert!(harmless, "{action:?}");
        }
    }
}
