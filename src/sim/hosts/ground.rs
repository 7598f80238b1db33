//! What scripted hosts see of the account, and what they change there.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Cast;
use super::gate::{Rollout, Software};
use super::home::Home;
use super::host::{Act, Host, Sight, Stage};
use super::script::{Agents, Does, Role, Who};
use super::standing;
use crate::sim::account::{Account, FileSystem};
use crate::sim::cluster::{self, Standing};
use crate::sim::ec2::instance::{ENDS, STARTS};
use crate::sim::instance::{Ending, Instance, State};
use crate::sim::parameter_store::{Tier, Version};
use crate::sim::parameters::Kind;
use crate::sim::random;
use crate::sim::refresh::Status;

/// How EC2 tags an instance of a group, and one that was launched from a template.
const GROUP_TAG: &str = "aws:autoscaling:groupName";
const VERSION_TAG: &str = "aws:ec2launchtemplate:version";
/// The operator's tag.
const DRAIN_TAG: &str = "hostkit:drain";
/// The file system that `wrong-home` takes, where no other is said.
const WRONG_HOME: &str = "fs-0bad000000000000f";
/// The folder that the file system of an account is named after that has none.
const FOLDER: &str = "/the-home-of-scripted-hosts";

/// Gives a part to every instance of a group that has none.
pub(super) fn enlist(account: &mut Account, cast: &mut Cast) {
    let fresh = |one: &&Instance| {
        let over = matches!(one.state(), State::Terminated);
        !over && !cast.hosts.contains_key(&one.id)
    };
    let fresh: Vec<Instance> = account.instances().iter().filter(fresh).cloned().collect();
    for instance in fresh {
        let Some(group) = instance.tags.get(GROUP_TAG).cloned() else { continue };
        let region = instance.region().to_owned();
        let image = account.region(&region).images.get(&instance.image);
        let name = image.map(|image| image.name.clone()).unwrap_or_default();
        let version = instance.tags.get(VERSION_TAG).and_then(|text| text.parse().ok());
        let who = Who { image: &instance.image, name: &name, version, group: &group };
        let Some(part) = cast.script.part(&who).cloned() else { continue };
        let file_system = home_of(account, &part);
        let mut host = Host::new(&instance.id, &group, &region, &instance.image, part);
        host.file_system = file_system;
        cast.hosts.insert(instance.id, host);
    }
}

fn home_of(account: &mut Account, part: &super::Part) -> String {
    if let Some(said) = &part.file_system {
        return said.clone();
    }
    if part.does == Does::WrongHome {
        return WRONG_HOME.to_owned();
    }
    if account.file_systems.is_empty() {
        account.file_systems.push(FileSystem::of_folder(FOLDER));
    }
    account.file_systems[0].id.clone()
}

/// Has the machine of an instance be on, or off, when AWS would have it so.
pub(super) fn power(account: &mut Account, id: &str) {
    let (starts, ends) = (account.conditions.takes(STARTS), account.conditions.takes(ENDS));
    let Some((instance, now)) = account.instance_mut(id) else { return };
    let state = instance.state();
    let due = |time: Duration| instance.since(state).is_some_and(|since| since + time <= now);
    match state {
        State::Pending if due(starts) => instance.switched_on(now),
        State::Stopping | State::ShuttingDown if due(ends) => instance.switched_off(now),
        _ => {}
    }
}

/// What a host sees.
pub(super) fn sight(account: &mut Account, cast: &Cast, host: &Host) -> Option<Sight> {
    let (world, conditions) = (account.world(), account.conditions.clone());
    let tasks = tasks(account, host);
    let (instance, now) = account.instance_mut(&host.instance)?;
    Some(Sight {
        now,
        world,
        conditions,
        lifecycle: instance.lifecycle_word(now),
        hooks: instance.hooks_that_wait(),
        state: instance.state(),
        running: instance.since(State::Running),
        tag: instance.tags.get(DRAIN_TAG).cloned(),
        tasks,
        agents: agents(cast),
    })
}

/// The scripted agents that there are, as a controller knows them.
fn agents(cast: &Cast) -> Option<Agents> {
    let there = cast.hosts.values().filter(|host| {
        host.part.role == Role::Agent && !matches!(host.stage, Stage::Gone | Stage::Drained)
    });
    let (mut known, mut online) = (0, 0);
    for host in there {
        known += 1;
        online += u32::from(matches!(host.stage, Stage::Serving | Stage::Draining));
    }
    (known > 0).then_some(Agents { known, online })
}

fn tasks(account: &mut Account, host: &Host) -> usize {
    if host.part.role != Role::Ecs {
        return 0;
    }
    let now = account.now();
    let cluster = account.region(&host.region).clusters.get(&host.part.cluster);
    cluster.map_or(0, |cluster| {
        let own = cluster.hosts.values().filter(|one| one.instance == host.instance);
        own.map(|one| cluster.running_on(&one.id, now)).sum()
    })
}

/// What a host can know of the rollout of its group.
fn rollout(account: &mut Account, host: &Host) -> Rollout {
    let journal = format!("/hostkit/asg/{}/journal", host.group);
    let journal = account.parameter(&host.region, &journal);
    let refreshes = account.region(&host.region).refreshes.get(&host.group);
    let refresh = refreshes.and_then(|all| all.last()).map(|newest| {
        let taken_back = matches!(
            newest.status,
            Status::RollbackInProgress | Status::RollbackFailed | Status::RollbackSuccessful
        );
        (newest.id.clone(), taken_back)
    });
    Rollout { journal, refresh }
}

/// A host does something.
pub(super) fn perform(
    account: &mut Account,
    cast: &mut Cast,
    host: &mut Host,
    sight: &Sight,
    act: Act,
) {
    let world = account.world();
    match act {
        Act::Claim => {
            let rollout = rollout(account, host);
            let home = cast.homes.entry(host.file_system.clone());
            let home = home.or_insert_with(|| Home::new(&host.file_system));
            let gone = |id: &str| {
                let state = account.instance(id).map(Instance::state);
                matches!(state, None | Some(State::Terminated | State::Stopped))
            };
            let Some(generation) = home.claim(world, &host.instance, gone) else { return };
            // What never comes up has not served it.
            let serves = host.part.jenkins.clone().filter(|_| host.part.does != Does::NeverReady);
            let own = serves.map(|jenkins| Software { jenkins, image: host.image.clone() });
            if own.is_none_or(|own| home.pass(world, own, &rollout)) {
                host.took(sight, generation);
            } else {
                host.refused(generation);
            }
        }
        Act::Release => {
            if let Some(home) = cast.homes.get_mut(&host.file_system) {
                home.release(world, &host.instance);
            }
        }
        Act::Beat(hook) => {
            change(account, &host.instance, |one, now| {
                one.heartbeat(now, &hook);
            });
        }
        Act::Complete(hook, go_on) => {
            change(account, &host.instance, |one, now| {
                one.complete(now, &hook, go_on);
            });
        }
        Act::Die => change(account, &host.instance, |one, now| {
            one.terminate(now, Ending::SkipOsShutdown);
        }),
        Act::Tell(text) => tell(account, host, text),
        Act::Register => register(account, host),
        Act::DrainTasks => drain(account, host),
    }
    account.changes += 1;
}

fn change(account: &mut Account, id: &str, change: impl FnOnce(&mut Instance, std::time::Instant)) {
    if let Some((instance, now)) = account.instance_mut(id) {
        change(instance, now);
    }
}

fn tell(account: &mut Account, host: &Host, value: String) {
    let written = account.world();
    let stored = account.region(&host.region).parameters.place(&standing::parameter(&host.group));
    stored.add(Version {
        number: stored.next_number(),
        value,
        kind: Kind::String,
        tier: Tier::Standard,
        data_type: "text".to_owned(),
        description: None,
        allowed_pattern: None,
        key: None,
        written,
        writer: host.instance.clone(),
        labels: BTreeSet::new(),
    });
}

/// Its agent lives; the first time, it registers, and its services put a task there each.
fn register(account: &mut Account, host: &Host) {
    let (now, world) = (account.now(), account.world());
    let clusters = &mut account.region(&host.region).clusters;
    let name = &host.part.cluster;
    let cluster = clusters.entry(name.clone()).or_insert_with(|| cluster::Cluster::new(name));
    let known = cluster.hosts.values_mut().find(|one| one.instance == host.instance);
    if let Some(known) = known {
        known.heard = Some(now);
        return;
    }
    let id = random::hex(32);
    let fresh = cluster::Host {
        id: id.clone(),
        instance: host.instance.clone(),
        standing: Standing::Active,
        attributes: std::collections::BTreeMap::new(),
        tags: crate::sim::region::Tags::new(),
        resources: serde_json::json!([]),
        versions: serde_json::json!({}),
        registered: world,
        version: 1,
        heard: Some(now),
        cut: false,
    };
    cluster.hosts.insert(id.clone(), fresh);
    for service in &host.part.tasks {
        cluster.start_task(&id, &format!("{service}:1"), Some(service), world);
    }
}

fn drain(account: &mut Account, host: &Host) {
    let (now, due) = (account.now(), account.due(cluster::STOPS));
    let Some(cluster) = account.region(&host.region).clusters.get_mut(&host.part.cluster) else {
        return;
    };
    let Some(own) = cluster.hosts.values_mut().find(|one| one.instance == host.instance) else {
        return;
    };
    own.heard = Some(now);
    if own.standing == Standing::Active {
        own.standing = Standing::Draining;
        let id = own.id.clone();
        cluster.move_away(&id, due);
    }
}

/// The ports on which the load balancers of an instance ask it, beside its own.
pub(super) fn ports(account: &mut Account, host: &Host) -> BTreeSet<u16> {
    let groups = account.region(&host.region).target_groups.values();
    let asked = groups.filter_map(|group| {
        let target = group.targets.get(&host.instance)?;
        Some(group.check_port(target))
    });
    asked.chain([host.part.port]).collect()
}
