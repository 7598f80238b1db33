//! What becomes of activities: told from what became of their instances.

use crate::sim::account::Account;
use crate::sim::group::activity::{Activity, Kind, Status};
use crate::sim::instance::{Instance, Lifecycle, State};
use crate::sim::random;

/// Brings a group's activities up to date.
pub(super) fn follow(account: &mut Account, region: &str, name: &str) {
    let now = account.world();
    let Some(group) = account.region(region).groups.get(name) else { return };
    let open: Vec<Activity> =
        group.activities.iter().filter(|one| !one.status.is_over()).cloned().collect();
    for activity in open {
        let Some(id) = &activity.instance else { continue };
        account.lifecycle(id);
        let (status, message) = match account.instance(id) {
            Some(instance) => judge(&activity, instance),
            // It was another process's.
            None => (Status::Cancelled, None),
        };
        let group = account.region(region).groups.get_mut(name);
        let all = group.map(|group| group.activities.iter_mut()).into_iter().flatten();
        for one in all.filter(|one| one.id == activity.id) {
            if status.is_over() {
                one.end(status, message.clone(), now);
            } else {
                one.status = status;
            }
        }
    }
}

fn judge(activity: &Activity, instance: &Instance) -> (Status, Option<String>) {
    let lifecycle = instance.place();
    match (activity.kind, lifecycle) {
        (Kind::Move, _) => (Status::Successful, None),
        (Kind::Launch, Lifecycle::Pending) => (Status::PreInService, None),
        (Kind::Launch, Lifecycle::Waiting) | (Kind::Terminate, Lifecycle::Draining) => {
            (Status::MidLifecycleAction, None)
        }
        (Kind::Launch, Lifecycle::InService | Lifecycle::Standby | Lifecycle::Warm) => {
            (Status::Successful, None)
        }
        (Kind::Launch, _) => came_to_nothing(instance),
        (Kind::Terminate, Lifecycle::Terminating) if instance.state() == State::Terminated => {
            (Status::Successful, None)
        }
        (Kind::Terminate, _) => (Status::InProgress, None),
    }
}

/// An instance that goes: whether it ever served.
fn came_to_nothing(instance: &Instance) -> (Status, Option<String>) {
    let Some(member) = &instance.member else { return (Status::Cancelled, None) };
    if member.in_service.is_some() {
        return (Status::Successful, None);
    }
    if let Some(why) = member.abandoned {
        let token = random::uuid();
        let message = format!(
            "Instance failed to complete user's Lifecycle Action: Lifecycle Action with token \
             {token} was abandoned: {why}"
        );
        return (Status::Cancelled, Some(message));
    }
    let (status, why) = match instance.reason {
        Some((code, message)) if !code.starts_with("Client.User") => (Status::Failed, message),
        _ => (Status::Cancelled, "Client.UserInitiatedShutdown: User initiated shutdown"),
    };
    let message = format!(
        "Instance became unhealthy while waiting for instance to be in InService state. \
         Termination Reason: {why}"
    );
    (status, Some(message))
}
