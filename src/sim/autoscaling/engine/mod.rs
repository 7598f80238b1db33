//! Has groups do what they decide to do: the shell around [`decide`], which launches, releases and
//! writes activities down.
//!
//! [`settle`] is called by whoever looks at groups or at instances, and now and then by who serves
//! the account, so that groups go on when nobody looks. What an instance refresh does beside goes
//! through [`members`], [`release`] and [`launch::launch`], as what groups do by themselves.

pub mod activities;
pub mod launch;

use std::time::Duration;

use crate::sim::account::Account;
use crate::sim::ec2::instance::pass;
use crate::sim::elb;
use crate::sim::endpoint::{Shared, with};
use crate::sim::group::activity::{Activity, Kind};
use crate::sim::group::cause::Cause;
use crate::sim::group::decide::{Action, Wanted, decide};
use crate::sim::group::hook::Transition;
use crate::sim::group::member::Seen;
use crate::sim::instance::{Instance, Lifecycle, State};
use crate::sim::refresh;

/// So often at most is looked again at once. What is not done then is done the next time.
const ROUNDS: usize = 32;
/// How often groups go on when nobody looks.
const GLANCE: Duration = Duration::from_millis(50);

/// Has all groups do what is due.
pub fn settle(account: &mut Account) {
    let groups: Vec<(String, String)> = account
        .regions
        .iter()
        .flat_map(|(region, there)| there.groups.keys().map(|name| (region.clone(), name.clone())))
        .collect();
    if !groups.is_empty() {
        pass(account);
        // The health of targets is that of now.
        elb::follow_groups(account);
    }
    let mut acts = false;
    for (region, name) in &groups {
        for _ in 0..ROUNDS {
            let refreshes = refresh::advance(account, region, name);
            if !step(account, region, name) && !refreshes {
                break;
            }
            acts = true;
        }
    }
    elb::follow_groups(account);
    account.changes += u64::from(acts);
}

/// Has groups go on when nobody looks, for ever.
pub async fn watch(account: Shared) {
    loop {
        with(&account, settle);
        tokio::time::sleep(GLANCE).await;
    }
}

/// Does what a group decides. False where there is nothing to do.
fn step(account: &mut Account, region: &str, name: &str) -> bool {
    let seen = members(account, region, name);
    let now = account.now();
    let Some(group) = account.region(region).groups.get(name) else { return false };
    let grace = Duration::from_secs(group.grace);
    let grace = account.waits(grace);
    let Some(group) = account.region(region).groups.get_mut(name) else { return false };
    let actions = decide(group, &seen, now, grace);
    if actions.is_empty() {
        let serve = seen.iter().filter(|one| one.is_in_service()).count();
        if u64::try_from(serve) == Ok(group.desired) {
            group.asked = None;
        }
    }
    let acts = !actions.is_empty();
    for action in actions {
        apply(account, region, name, action);
    }
    activities::follow(account, region, name);
    acts
}

fn apply(account: &mut Account, region: &str, name: &str, action: Action) {
    match action {
        Action::Arrive(id) => {
            let hooks = account.hooks_of(&id, Transition::Launching);
            change(account, &id, |instance, now| instance.arrive(now, &hooks));
        }
        Action::Ail(id, ill) => change(account, &id, |instance, _| instance.say_health(Some(ill))),
        Action::Launch(wanted) => {
            let wanted = Wanted { cause: owed(account, region, name, wanted.cause), ..wanted };
            drop(launch::launch(account, region, name, &wanted));
        }
        Action::Draw(id, cause) => {
            let description = format!("Launching a new EC2 instance from warm pool: {id}");
            begin(account, region, name, Kind::Launch, description, &cause, &id);
            change(account, &id, Instance::draw);
        }
        Action::Rest(id) => change(account, &id, Instance::stop),
        Action::Release(id, cause) => {
            if cause == Cause::NeverInService {
                launch::trouble(account, region, name);
            }
            let sick = [Cause::NotRunning, Cause::TargetUnhealthy, Cause::SaidUnhealthy];
            if let Some(group) = account.region(region).groups.get_mut(name) {
                group.owes += u64::from(sick.contains(&cause) && !group.launches_first());
            }
            release(account, region, name, &id, &cause);
        }
        Action::DropPool => {
            if let Some(group) = account.region(region).groups.get_mut(name) {
                group.warm_pool = None;
            }
        }
        Action::Remove => {
            let region = account.region(region);
            region.groups.remove(name);
            region.refreshes.remove(name);
        }
    }
}

/// Why an instance comes: in place of an unhealthy one, while such are missing.
fn owed(account: &mut Account, region: &str, name: &str, cause: Cause) -> Cause {
    let Some(group) = account.region(region).groups.get_mut(name) else { return cause };
    match cause {
        Cause::Difference(..) if group.owes > 0 => {
            group.owes -= 1;
            Cause::Replacement
        }
        other => other,
    }
}

fn change(account: &mut Account, id: &str, change: impl FnOnce(&mut Instance, std::time::Instant)) {
    if let Some((instance, now)) = account.instance_mut(id) {
        change(instance, now);
    }
}

/// The members of a group, also those that go; not those that are gone.
pub fn members(account: &mut Account, region: &str, group: &str) -> Vec<Seen> {
    let of_group = |one: &&Instance| {
        let member = one.member.as_ref();
        one.region() == region && member.is_some_and(|member| member.group == group)
    };
    let ids: Vec<_> = account.instances().iter().filter(of_group).map(|it| it.id.clone()).collect();
    ids.iter().filter_map(|id| see(account, id)).collect()
}

/// A member of any group as its group sees it, unless it is gone.
pub fn see(account: &mut Account, id: &str) -> Option<Seen> {
    let lifecycle = account.lifecycle(id)?;
    let targets = targets(account, id);
    let instance = account.instance(id)?;
    let (member, launch) = (instance.member.as_ref()?, instance.launch.as_ref()?);
    if lifecycle == Lifecycle::Terminating && instance.state() == State::Terminated {
        return None;
    }
    Some(Seen {
        id: id.to_owned(),
        image: instance.image.clone(),
        instance_type: launch.instance_type.clone(),
        template: launch.template.clone(),
        zone: launch.zone.clone(),
        state: instance.state(),
        lifecycle,
        ill: member.ill,
        target_healthy: (!targets.is_empty()).then(|| targets.iter().all(|it| *it == "healthy")),
        target_unhealthy: targets.contains(&"unhealthy"),
        joined: member.joined,
        in_service: member.in_service,
        protected: member.protected,
        warm: member.warm,
        at_risk: launch.spot.is_some() && instance.announced.rebalance.is_some(),
    })
}

/// How the target groups of its group find an instance: those that a load balancer uses. In another one
/// nobody is asked, so that none is found unhealthy there.
fn targets(account: &mut Account, id: &str) -> Vec<&'static str> {
    let Some(instance) = account.instance(id) else { return Vec::new() };
    let (state, region) = (instance.state(), instance.region().to_owned());
    let Some(group) = instance.member.as_ref().map(|it| it.group.clone()) else {
        return Vec::new();
    };
    let there = account.region(&region);
    let arns = there.groups.get(&group).map(|it| it.habits.target_groups.clone());
    let found = arns.unwrap_or_default().into_iter().filter_map(|arn| {
        let group = there.target_groups.get(&arn)?;
        if group.load_balancers.is_empty() {
            return None;
        }
        let health = |it: &crate::sim::target_group::Target| {
            it.health(&group.check, Some(state), true).state
        };
        Some(group.targets.get(id).map_or("unused", health))
    });
    found.collect()
}

/// A group lets an instance go: an activity begins, terminate hooks hold it, then it is terminated.
/// The id of the activity, unless the instance goes already or is no member.
pub fn release(
    account: &mut Account,
    region: &str,
    group: &str,
    id: &str,
    cause: &Cause,
) -> Option<String> {
    let seen = see(account, id).filter(|it| it.lifecycle != Lifecycle::Draining)?;
    if seen.lifecycle == Lifecycle::Terminating {
        return None;
    }
    let from = if seen.warm.is_some() { " from warm pool" } else { "" };
    let description = format!("Terminating EC2 instance{from}: {id}");
    let activity = begin(account, region, group, Kind::Terminate, description, cause, id);
    let retains = account.region(region).groups.get(group).is_some_and(|group| group.retains);
    let hooks = account.hooks_of(id, Transition::Terminating);
    change(account, id, |instance, now| {
        if let Some(member) = &mut instance.member {
            member.retains = retains;
        }
        instance.leave(now, &hooks);
    });
    Some(activity)
}

/// Writes down that something begins with an instance.
pub(super) fn begin(
    account: &mut Account,
    region: &str,
    name: &str,
    kind: Kind,
    description: String,
    cause: &Cause,
    id: &str,
) -> String {
    let now = account.world();
    let place = account.instance(id).and_then(|one| one.launch.as_ref());
    let place = place.map(|launch| (launch.subnet.clone(), launch.zone.clone()));
    let Some(group) = account.region(region).groups.get_mut(name) else { return String::new() };
    let own = match kind {
        Kind::Launch => cause.of_coming(now),
        Kind::Terminate | Kind::Move => cause.of_going(now, id),
    };
    let asked = group.asked.as_ref().filter(|_| matches!(cause, Cause::Difference(..)));
    let cause = asked.map_or_else(|| own.clone(), |asked| format!("{asked}  {own}"));
    let activity = Activity::begin(kind, description, cause, now).with(id);
    group.note(Activity { place, ..activity })
}

#[cfg(test)]
mod tests;
