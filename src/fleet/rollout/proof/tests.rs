use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use super::super::{Side, Strategy as How, Way};
use super::{AGENTS, Before, Cause, Seen, Stage, Target, Verdict, Wanted, decide};
use crate::aws::asg::{Crew, Host};
use crate::aws::elb::Health;
use crate::group::standing::{Agents, Proof, Standing, State};
use crate::host::Role;

const OLD: &str = "i-0aaaaaaaaaaaaaaaa";
const NEW: &str = "i-0bbbbbbbbbbbbbbbb";
const TARGETS: &str = "arn:aws:elasticloadbalancing:eu-west-1:1:targetgroup/ci/1";

fn side(version: i64) -> Side {
    Side {
        image: format!("ami-{version}"),
        name: String::new(),
        template: "lt-1".to_owned(),
        version: Some(version),
        recipe: None,
        jenkins: Some(format!("2.{version}")),
    }
}

fn host(id: &str, version: i64, state: &str) -> Host {
    let (template, image) = (Some("lt-1".to_owned()), None);
    let (id, state, version) = (id.to_owned(), state.to_owned(), Some(version));
    Host { id, state, healthy: true, template, version, image }
}

fn standing(instance: &str, version: i64, generation: u64) -> Standing {
    let proof = Proof {
        ready: true,
        jenkins: Some(format!("2.{version}")),
        file_system: Some("fs-1".to_owned()),
        generation: Some(generation),
        image: Some(format!("ami-{version}")),
        agents: Some(Agents { known: 3, online: 3 }),
        boot: None,
    };
    Standing {
        version: 1,
        instance: instance.to_owned(),
        state: State::Serving,
        builds: Some(0),
        since: Timestamp::UNIX_EPOCH,
        why: None,
        cannot: None,
        again: None,
        proof: Some(proof),
    }
}

fn target(instance: &str, state: &str) -> Target {
    let health =
        Health { state: state.to_owned(), reason: String::new(), description: String::new() };
    Target { group: TARGETS.to_owned(), instance: instance.to_owned(), health }
}

/// The new host serves, and all is well.
fn well() -> Seen {
    Seen {
        crew: Crew {
            desired: 1,
            hosts: vec![host(NEW, 8, "InService")],
            // The second one is used by no load balancer.
            target_groups: vec![TARGETS.to_owned(), "arn:spare".to_owned()],
            ..Crew::default()
        },
        target_groups: vec![TARGETS.to_owned()],
        standing: Some(standing(NEW, 8, 5)),
        targets: vec![target(NEW, "healthy")],
        looking: Duration::from_secs(40),
        serving: Duration::from_secs(2),
        ..Seen::default()
    }
}

fn before() -> Before {
    Before::of(Some(OLD), Some(&standing(OLD, 7, 4)))
}

fn wanted<'a>(side: &'a Side, before: &'a Before) -> Wanted<'a> {
    Wanted {
        role: Role::Controller,
        side,
        strategy: How::TerminateFirst,
        way: Way::Forward,
        before,
        patience: Duration::from_mins(20),
    }
}

/// The verdict on what is well but for one thing.
fn but(change: impl FnOnce(&mut Seen)) -> String {
    let mut seen = well();
    change(&mut seen);
    let (side, before) = (side(8), before());
    match decide(&seen, &wanted(&side, &before)) {
        Verdict::Pending(stage, why) => format!("{stage:?}: {why}"),
        Verdict::Proven(proven) => format!("proven: {}", proven.warnings.join("; ")),
        Verdict::Failed(cause) => format!("never: {cause}"),
    }
}

fn proof(seen: &mut Seen) -> &mut Proof {
    seen.standing.as_mut().unwrap().proof.as_mut().unwrap()
}

#[test]
fn every_part_of_the_proof_is_needed() {
    let lines = [
        but(|_| {}),
        but(|seen| seen.crew.hosts.clear()),
        but(|seen| seen.crew.hosts = vec![host(OLD, 7, "Terminating:Wait")]),
        but(|seen| seen.crew.hosts.push(host(OLD, 7, "InService"))),
        but(|seen| seen.crew.hosts[0] = host(NEW, 8, "Pending")),
        but(|seen| seen.crew.hosts[0] = host(NEW, 8, "Pending:Wait")),
        but(|seen| seen.crew.hosts[0] = host(NEW, 7, "InService")),
        but(|seen| seen.crew.hosts[0].healthy = false),
        but(|seen| seen.standing = None),
        but(|seen| seen.standing = Some(standing(OLD, 7, 4))),
        but(|seen| seen.standing.as_mut().unwrap().proof = None),
        but(|seen| seen.standing.as_mut().unwrap().state = State::Quiet),
        but(|seen| seen.standing.as_mut().unwrap().state = State::Draining),
        but(|seen| {
            seen.standing.as_mut().unwrap().why = Some("Jenkins shows its setup wizard".to_owned());
            proof(seen).ready = false;
        }),
        but(|seen| proof(seen).jenkins = None),
        but(|seen| proof(seen).jenkins = Some("2.7".to_owned())),
        but(|seen| proof(seen).image = Some("ami-7".to_owned())),
        but(|seen| proof(seen).file_system = None),
        but(|seen| proof(seen).file_system = Some("fs-2".to_owned())),
        but(|seen| proof(seen).generation = None),
        but(|seen| proof(seen).generation = Some(4)),
        but(|seen| seen.targets.clear()),
        but(|seen| seen.targets = vec![target(NEW, "initial")]),
        but(|seen| {
            // The load balancer has no subnet in the zone of the host.
            seen.targets = vec![target(NEW, "unused")];
            seen.targets[0].health.reason = "Target.NotInUse".to_owned();
        }),
        but(|seen| {
            // No load balancer is in front of it.
            seen.target_groups.clear();
            seen.targets.clear();
        }),
        but(|seen| {
            seen.standing.as_mut().unwrap().again = Some(60);
            seen.said = Some(Duration::from_mins(3));
        }),
        but(|seen| {
            seen.standing.as_mut().unwrap().again = Some(60);
            seen.said = Some(Duration::from_secs(181));
        }),
        // A guard of before promises nothing.
        but(|seen| seen.said = Some(Duration::from_hours(3))),
        but(|seen| proof(seen).agents = Some(Agents { known: 3, online: 1 })),
        but(|seen| {
            proof(seen).agents = Some(Agents { known: 3, online: 1 });
            seen.serving = AGENTS;
        }),
        but(|seen| {
            seen.standing = None;
            seen.looking = Duration::from_mins(20);
        }),
    ];
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn what_cannot_be_compared_with_before_is_said() {
    let side = side(8);
    let told = |before: &Before| match decide(&well(), &wanted(&side, before)) {
        Verdict::Proven(proven) => proven.warnings.join("\n"),
        other => panic!("{other:?}"),
    };
    assert_eq!(told(&before()), "");
    let home = Before { generation: None, ..before() };
    assert!(told(&home).starts_with("that the lease is newer"), "{}", told(&home));
    let nothing = Before { instance: Some(OLD.to_owned()), ..Before::default() };
    assert_eq!(told(&nothing).lines().count(), 2, "{}", told(&nothing));
    // The file system that its user-data names is held against it without any guard.
    let other = Before { file_system: Some("fs-2".to_owned()), ..nothing };
    let verdict = decide(&well(), &wanted(&side, &other));
    assert!(matches!(verdict, Verdict::Failed(Cause::Home { .. })), "{verdict:?}");
}

#[test]
fn on_the_way_back_the_host_of_before_proves_itself_if_it_was_never_replaced() {
    let (old, before) = (side(7), before());
    let back = Wanted { way: Way::Back, ..wanted(&old, &before) };
    let mut seen = well();
    seen.crew.hosts = vec![host(OLD, 7, "InService")];
    seen.standing = Some(standing(OLD, 7, 4));
    seen.targets = vec![target(OLD, "healthy")];
    assert!(matches!(decide(&seen, &back), Verdict::Proven(_)));
    // It is not what was wanted on the way there.
    let forward = wanted(&old, &before);
    assert!(matches!(decide(&seen, &forward), Verdict::Pending(Stage::Boot, _)));
    // Another one of the old version is as good, with a newer lease.
    seen.crew.hosts = vec![host(NEW, 7, "InService")];
    seen.standing = Some(standing(NEW, 7, 6));
    seen.targets = vec![target(NEW, "healthy")];
    assert!(matches!(decide(&seen, &back), Verdict::Proven(_)));
}

#[test]
fn a_host_that_gets_a_new_root_volume_keeps_its_id_and_needs_a_newer_lease() {
    let (new, before) = (side(8), before());
    let in_place = Wanted { strategy: How::ReplaceRootVolume, ..wanted(&new, &before) };
    let mut seen = well();
    seen.crew.hosts = vec![host(OLD, 8, "InService")];
    seen.targets = vec![target(OLD, "healthy")];
    seen.standing = Some(standing(OLD, 8, 4));
    assert!(matches!(decide(&seen, &in_place), Verdict::Pending(Stage::Ready, _)));
    seen.standing = Some(standing(OLD, 8, 5));
    assert!(matches!(decide(&seen, &in_place), Verdict::Proven(_)));
}

#[test]
fn of_a_group_of_many_all_must_be_new_and_well() {
    let (new, before) = (side(8), Before::default());
    let many = Wanted { role: Role::Agent, strategy: How::Rolling, ..wanted(&new, &before) };
    let mut seen = Seen::default();
    seen.crew.desired = 2;
    seen.crew.hosts = vec![host("i-1", 8, "InService"), host("i-2", 7, "InService")];
    let Verdict::Pending(stage, why) = decide(&seen, &many) else { panic!("one is old") };
    assert_eq!((stage, why.as_str()), (Stage::Ready, "1 of 2 hosts are new and in service"));
    seen.crew.hosts[1] = host("i-2", 7, "Terminating:Wait");
    assert!(matches!(decide(&seen, &many), Verdict::Pending(..)), "one is missing");
    seen.crew.hosts.push(host("i-3", 8, "InService"));
    let Verdict::Proven(proven) = decide(&seen, &many) else { panic!("the old one goes") };
    assert_eq!(proven.instances, ["i-1", "i-3"]);
}

#[test]
fn a_group_of_no_host_proves_nothing_and_hinders_no_way_back() {
    let (new, before) = (side(8), Before::default());
    let many = Wanted { role: Role::Agent, strategy: How::Rolling, ..wanted(&new, &before) };
    assert!(matches!(decide(&Seen::default(), &many), Verdict::Pending(Stage::Boot, _)));
    let late = Seen { looking: many.patience, ..Seen::default() };
    assert!(matches!(decide(&late, &many), Verdict::Failed(Cause::Late { .. })));
    let back = Wanted { way: Way::Back, ..many };
    let Verdict::Proven(proven) = decide(&late, &back) else { panic!("nothing serves there") };
    assert_eq!((proven.instances.len(), proven.warnings.len()), (0, 1));
}

/// What is well in most cases, or something else: what is proven must be met often.
fn mostly<T: Clone + std::fmt::Debug + 'static>(
    well: T,
    other: Vec<T>,
) -> impl Strategy<Value = T> {
    prop_oneof![4 => Just(well), 1 => prop::sample::select(other)]
}

fn any_host() -> impl Strategy<Value = Host> {
    let states = vec!["Pending", "Pending:Wait", "Terminating:Wait", "Terminated"];
    (
        mostly(NEW, vec![OLD]),
        mostly(8, vec![7]),
        mostly("InService", states),
        mostly(true, vec![false]),
    )
        .prop_map(|(id, version, state, healthy)| Host { healthy, ..host(id, version, state) })
}

fn any_standing() -> impl Strategy<Value = Standing> {
    let states = vec![State::Quiet, State::Draining, State::Drained];
    let generation = mostly(5, vec![3, 4, 6]);
    let (state, ready) = (mostly(State::Serving, states), mostly(true, vec![false]));
    (mostly(NEW, vec![OLD]), mostly(8, vec![7]), generation, state, ready, 0..4_u32).prop_map(
        |(id, version, generation, state, ready, online)| {
            let mut standing = Standing { state, ..standing(id, version, generation) };
            let proof = standing.proof.as_mut().unwrap();
            (proof.ready, proof.agents) = (ready, Some(Agents { known: 3, online }));
            standing
        },
    )
}

fn any_seen() -> impl Strategy<Value = Seen> {
    let hosts = prop_oneof![
        4 => prop::collection::vec(any_host(), 1),
        1 => prop::collection::vec(any_host(), 0..3),
    ];
    let health = || mostly("healthy", vec!["initial", "unhealthy"]);
    let standing = prop::option::weighted(0.9, any_standing());
    // In front of it is a load balancer, or none; its health is known of both hosts either way.
    let used = mostly(well().target_groups, vec![Vec::new()]);
    (hosts, standing, health(), health(), used, 0..1500_u64).prop_map(
        |(hosts, standing, old, new, target_groups, looking)| {
            let targets = vec![target(OLD, old), target(NEW, new)];
            let looking = Duration::from_secs(looking);
            let crew = Crew { desired: 1, hosts, ..well().crew };
            let serving = looking / 2;
            Seen { crew, standing, target_groups, targets, looking, serving, ..Seen::default() }
        },
    )
}

proptest! {
    /// Whatever the old host says and whatever is said of it: on the way to the new version it proves
    /// nothing, and nothing is proven that the new host does not say itself.
    #[test]
    fn the_old_host_never_proves(seen in any_seen()) {
        let (new, before) = (side(8), before());
        if let Verdict::Proven(proven) = decide(&seen, &wanted(&new, &before)) {
            prop_assert_eq!(&proven.instances, &[NEW.to_owned()]);
            let standing = seen.standing.unwrap();
            let proof = standing.proof.unwrap();
            prop_assert_eq!(standing.instance.as_str(), NEW);
            prop_assert!(proof.ready && proof.generation > before.generation);
            prop_assert_eq!(proof.jenkins, new.jenkins);
            let there: Vec<_> = seen.crew.hosts.iter().filter(|host| !host.is_leaving()).collect();
            let [host] = there.as_slice() else { panic!("{there:?}") };
            prop_assert_eq!((host.id.as_str(), host.version), (NEW, Some(8)));
            prop_assert!(host.is_in_service() && host.healthy);
            // A target group that no load balancer uses has nothing to say, and how the old host is does not
            // matter.
            let counts = |target: &&Target| {
                target.instance == NEW && seen.target_groups.contains(&target.group)
            };
            let mut counting = seen.targets.iter().filter(counts);
            prop_assert!(counting.all(|target| target.health.is_healthy()));
        }
    }

    /// It always ends: after the patience nothing is pending.
    #[test]
    fn nothing_is_pending_for_ever(seen in any_seen()) {
        let (new, before) = (side(8), before());
        let seen = Seen { looking: Duration::from_mins(20), ..seen };
        let is_pending = matches!(decide(&seen, &wanted(&new, &before)), Verdict::Pending(..));
        prop_assert!(!is_pending);
    }
}
