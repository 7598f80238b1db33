use std::time::Duration;

use serde_json::Value;

use super::{Does, Part, Role, Script, Stage, What, step};
use crate::sim::account::{Account, GROUP, REGION};
use crate::sim::group::hook::{Hook, Transition};
use crate::sim::instance::{Ending, Lifecycle, State};
use crate::sim::parameters::Parameters;
use crate::sim::timeline::Recorder;

/// An account at AWS's speed whose guests have this script, and a terminate hook.
fn account(parts: impl IntoIterator<Item = Part>) -> Account {
    let mut account = Account::new(Parameters::default());
    account.conditions.speed = 1.0;
    account.hosts.script = Script::of(parts);
    account.group.put(Hook::new("drain", Transition::Terminating, Duration::from_mins(5)));
    account
}

fn launch(account: &mut Account) -> String {
    account.launch(Recorder::silent()).id.clone()
}

/// Time goes by, and hosts do what is due all the while.
fn pass(account: &mut Account, seconds: u64) {
    for _ in 0..seconds {
        account.skip(Duration::from_secs(1));
        step(account);
    }
}

fn stage(account: &Account, id: &str) -> Stage {
    account.hosts.hosts[id].stage
}

fn standing(account: &mut Account) -> Value {
    let text = account.parameter(REGION, &format!("/hostkit/asg/{GROUP}/host")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn tag(account: &mut Account, id: &str, value: &str) {
    let (instance, _) = account.instance_mut(id).unwrap();
    instance.tags.insert("hostkit:drain".to_owned(), value.to_owned());
}

#[test]
fn a_controller_boots_takes_the_home_serves_and_says_so() {
    let mut account = account([Part { boot_seconds: 30.0, ..Part::controller("2.516.1") }]);
    let id = launch(&mut account);
    pass(&mut account, 45);
    assert_eq!(stage(&account, &id), Stage::Booting);
    assert_eq!(account.lifecycle(&id), Some(Lifecycle::Waiting));
    pass(&mut account, 10);
    assert_eq!(stage(&account, &id), Stage::Serving);
    assert_eq!(account.lifecycle(&id), Some(Lifecycle::InService));
    let said = standing(&mut account);
    assert_eq!((&said["state"], &said["instance"]), (&"serving".into(), &id.as_str().into()));
    assert_eq!(said["proof"]["jenkins"], "2.516.1");
    assert_eq!(said["proof"]["generation"], 1);
    assert_eq!(said["proof"]["file_system"], account.file_systems[0].id.as_str());
}

#[test]
fn builds_are_waited_for_and_then_the_home_is_free() {
    let part = Part { builds: vec![100.0, 200.0], ..Part::controller("2.516.1") };
    let mut account = account([part]);
    let id = launch(&mut account);
    pass(&mut account, 90);
    tag(&mut account, &id, "quiet");
    pass(&mut account, 2);
    assert_eq!(standing(&mut account)["state"], "quiet");
    assert_eq!(standing(&mut account)["builds"], 2);
    pass(&mut account, 100);
    assert_eq!(standing(&mut account)["builds"], 1);
    assert!(account.let_go(&id));
    pass(&mut account, 20);
    assert_eq!(standing(&mut account)["state"], "draining");
    assert_eq!(account.lifecycle(&id), Some(Lifecycle::Draining));
    let home = |account: &Account| account.hosts.homes.values().next().cloned().unwrap();
    assert_eq!(home(&account).holder.as_deref(), Some(id.as_str()));
    pass(&mut account, 110);
    assert_eq!(standing(&mut account)["state"], "drained");
    assert!(standing(&mut account)["proof"].is_null());
    assert_eq!(account.lifecycle(&id), Some(Lifecycle::Terminating));
    assert_eq!(home(&account).holder, None);
    assert_eq!((account.hosts.lost(), account.hosts.hosts[&id].finished), (0, 2));
}

#[test]
fn what_somebody_began_is_taken_back() {
    let mut account =
        account([Part { builds: vec![10.0], keeps_building: true, ..Part::controller("2") }]);
    let id = launch(&mut account);
    pass(&mut account, 120);
    assert_eq!(account.hosts.hosts[&id].builds(), 1, "another one has begun");
    tag(&mut account, &id, "quiet");
    pass(&mut account, 15);
    assert_eq!(
        (standing(&mut account)["builds"].as_u64(), stage(&account, &id)),
        (Some(0), Stage::Serving)
    );
    tag(&mut account, &id, "cancel");
    pass(&mut account, 2);
    assert_eq!(standing(&mut account)["state"], "serving");
    assert_eq!(standing(&mut account)["builds"], 1);
}

#[test]
fn a_second_controller_waits_for_the_first_to_be_gone() {
    let mut account = account([Part::controller("2")]);
    let first = launch(&mut account);
    pass(&mut account, 90);
    let second = launch(&mut account);
    pass(&mut account, 90);
    assert_eq!(stage(&account, &second), Stage::Waiting);
    let (instance, now) = account.instance_mut(&first).unwrap();
    instance.terminate(now, Ending::Graceful);
    pass(&mut account, 20);
    assert_eq!(stage(&account, &second), Stage::Waiting, "it may still write");
    pass(&mut account, 20);
    assert_eq!(stage(&account, &second), Stage::Serving);
    let home = account.hosts.homes.values().next().unwrap();
    let story: Vec<_> = home.log.iter().map(|entry| entry.what).collect();
    assert_eq!(story, [What::Claimed, What::Waits, What::Gone, What::Claimed]);
    assert_eq!((home.generation, account.hosts.violations()), (2, Vec::new()));
}

#[test]
fn bad_hosts_are_as_bad_as_they_are_said_to_be() {
    let play = |does| {
        let part = Part { builds: vec![1e6], gives_up_after: Some(300.0), ..Part::controller("2") };
        let mut account = account([part.that(does)]);
        let id = launch(&mut account);
        pass(&mut account, 200);
        (account, id)
    };
    let (mut never, id) = play(Does::NeverReady);
    assert_eq!(stage(&never, &id), Stage::Stuck);
    assert_eq!(never.lifecycle(&id), Some(Lifecycle::Waiting));
    assert!(never.hosts.homes.values().all(|home| home.holder.is_some()), "it holds the home");
    assert_eq!(never.parameter(REGION, &format!("/hostkit/asg/{GROUP}/host")), None);
    pass(&mut never, 200);
    assert_eq!(never.instance(&id).unwrap().state(), State::Terminated);
    let (unwell, id) = play(Does::NeverHealthy);
    assert_eq!(stage(&unwell, &id), Stage::Stuck);
    assert!(unwell.hosts.homes.values().all(|home| home.seen.last.is_some()), "it has served it");
    let (abandoned, id) = play(Does::HookAbandon);
    assert_eq!(abandoned.instance(&id).unwrap().state(), State::Terminated);
    assert!(abandoned.hosts.homes.is_empty());
    let (mut wrong, _) = play(Does::WrongHome);
    assert_ne!(standing(&mut wrong)["proof"]["file_system"], "");
    assert!(!wrong.file_systems.iter().any(|one| standing_is(&one.id, &wrong)));
    let (dead, id) = play(Does::Dies);
    assert_eq!(dead.instance(&id).unwrap().state(), State::Terminated);
    assert_eq!(dead.hosts.lost(), 1);
    let (slow, id) = play(Does::Slow);
    assert_eq!(stage(&slow, &id), Stage::Booting);
    let (mut old, _) = play(Does::WrongVersion);
    assert_eq!(standing(&mut old)["proof"]["jenkins"], "2");
}

fn standing_is(file_system: &str, account: &Account) -> bool {
    account.hosts.homes.contains_key(file_system)
}

#[test]
fn a_container_host_registers_and_loses_no_task_when_it_drains() {
    let part = Part { role: Role::Ecs, tasks: vec!["web".into(), "api".into()], ..Part::default() };
    let mut account = account([part]);
    let id = launch(&mut account);
    pass(&mut account, 100);
    let cluster = |account: &mut Account| account.region(REGION).clusters["hostkit-vm"].clone();
    let now = account.now();
    let there = cluster(&mut account);
    let host = there.hosts.values().next().unwrap();
    assert_eq!((host.instance.as_str(), there.running_on(&host.id, now)), (id.as_str(), 2));
    assert!(host.connected(now));
    account.let_go(&id);
    pass(&mut account, 10);
    assert_eq!(account.lifecycle(&id), Some(Lifecycle::Draining));
    pass(&mut account, 30);
    assert_eq!(account.instance(&id).unwrap().state(), State::ShuttingDown);
    assert_eq!(account.hosts.lost(), 0);
    assert_eq!(account.lifecycle(&id).map(Lifecycle::word), Some("Terminating"));
}

#[test]
fn a_controller_knows_the_agents_that_there_are() {
    let agent = Part { role: Role::Agent, version: Some(7), ..Part::default() };
    let mut account = account([agent, Part::controller("2")]);
    launch(&mut account);
    let agent = launch(&mut account);
    let (instance, _) = account.instance_mut(&agent).unwrap();
    instance.tags.insert("aws:ec2launchtemplate:version".to_owned(), "7".to_owned());
    pass(&mut account, 120);
    let agents = |account: &mut Account| standing(account)["proof"]["agents"].clone();
    assert_eq!(agents(&mut account), serde_json::json!({ "known": 1, "online": 1 }));
    account.let_go(&agent);
    pass(&mut account, 60);
    assert!(agents(&mut account).is_null(), "it went");
}
