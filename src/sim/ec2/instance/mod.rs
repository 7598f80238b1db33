//! Instances, as far as the control plane has them. Their machines are somebody else's.

pub mod change;
pub mod console;
pub mod describe;
pub mod disks;
pub mod image;
pub mod plan;
pub mod run;
pub mod shape;
pub mod status;
pub mod types;
pub mod volumes;

use std::time::Duration;

use super::Call;
use super::id::Kind;
use super::query::Query;
use super::refusal::{Answer, Refusal};
use crate::sim::account::Account;
use crate::sim::instance::{Instance, State};

/// How long an instance is pending on AWS, and how long it takes to switch off.
pub const STARTS: Duration = Duration::from_secs(20);
/// See [`STARTS`].
pub const ENDS: Duration = Duration::from_secs(30);

/// Lets happen what is due: hooks that have waited too long take their default result; where nobody
/// plays machines, time does; the disks of what is terminated go with it.
pub fn settle(call: &mut Call<'_>) {
    pass(call.account);
}

/// The same, for who has no request.
pub fn pass(account: &mut Account) {
    let ids: Vec<String> = account.instances().iter().map(|one| one.id.clone()).collect();
    for id in &ids {
        account.lifecycle(id);
    }
    let machines = account.machines;
    let takes = |time: Duration| account.conditions.takes(time);
    let (starts, ends) = (takes(STARTS), takes(ENDS));
    let mut gone = Vec::new();
    for id in &ids {
        let Some((instance, now)) = account.instance_mut(id) else { continue };
        if instance.launch.is_none() {
            continue;
        }
        let state = instance.state();
        // It happened when it was due, not when somebody looks.
        let due = |time: Duration| {
            let at = instance.since(state)?.checked_add(time)?;
            (!machines && at <= now).then_some(at)
        };
        match state {
            State::Pending => {
                if let Some(at) = due(starts) {
                    instance.switched_on(at);
                }
            }
            State::Stopping | State::ShuttingDown => {
                if let Some(at) = due(ends) {
                    instance.switched_off(at);
                }
            }
            State::Running | State::Stopped | State::Terminated => {}
        }
        if instance.state() == State::Terminated {
            gone.push((instance.region().to_owned(), id.clone()));
        }
    }
    for (region, id) in gone {
        let volumes = &mut account.region(&region).volumes;
        volumes.retain(|_, volume| volume.instance != id || !volume.delete_on_termination);
    }
}

/// The ids that a request must name, all of instances that there are, in its region.
fn named(call: &Call<'_>, query: &mut Query) -> Answer<Vec<String>> {
    let ids = query.list("InstanceId");
    if ids.is_empty() {
        return Err(Refusal::missing("InstanceId"));
    }
    check(call, &ids)?;
    Ok(ids)
}

/// Refuses ids of no instance that EC2 tells of now.
fn check(call: &Call<'_>, ids: &[String]) -> Answer<()> {
    let now = call.account.now();
    let there = |one: &Instance| one.state_at(now).is_some() && one.region() == call.region;
    Kind::Instance.check_all(ids, |id| call.account.instance(id).is_some_and(there))
}

/// Something cannot be done with an instance in its state.
fn incorrect(message: String) -> Refusal {
    Refusal::new("IncorrectInstanceState", message)
}

#[cfg(test)]
mod guest_tests;
#[cfg(test)]
mod tests;
