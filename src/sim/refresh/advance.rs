//! Has the refresh of a group do what it decides.

use super::decide::{Scene, Turn, turn, undo};
use super::{Refresh, active};
use crate::sim::account::Account;
use crate::sim::alarm::State;
use crate::sim::autoscaling::engine;
use crate::sim::group::cause::Cause;
use crate::sim::group::member::Seen;
use crate::sim::group::process::Process;
use crate::sim::group::{Group, Steering};
use crate::sim::region::Region;

/// How many finished refreshes are told of.
const REMEMBERED: usize = 100;

/// The refresh of a group, if one is under way, goes on. Whether that has changed anything for the
/// group.
pub fn advance(account: &mut Account, region: &str, name: &str) -> bool {
    let Some(before) = active(account.region(region), name).cloned() else { return false };
    let members = engine::members(account, region, name);
    let Some(scene) = scene(account, region, name, &members) else { return false };
    let Turn { refresh, release, surge, adopt } = turn(&before, &scene);
    let moves = refresh.status != before.status || !release.is_empty();
    for id in &release {
        engine::release(account, region, name, id, &Cause::Refresh);
    }
    steer(account, region, &refresh, surge);
    if let (Some(group), Some(source)) = (account.region(region).groups.get_mut(name), adopt) {
        group.launches = Some(source);
        group.configuration = None;
    }
    keep(account, region, refresh);
    moves
}

/// A refresh is undone.
pub(super) fn go_back(account: &mut Account, region: &str, name: &str, reason: &str) {
    let Some(mut refresh) = active(account.region(region), name).cloned() else { return };
    let members = engine::members(account, region, name);
    let Some(scene) = scene(account, region, name, &members) else { return };
    undo(&mut refresh, &scene, reason);
    steer(account, region, &refresh, 0);
    keep(account, region, refresh);
}

fn scene<'a>(
    account: &mut Account,
    region: &str,
    name: &str,
    members: &'a [Seen],
) -> Option<Scene<'a>> {
    let (now, world) = (account.now(), account.world());
    let speed = if account.machines { 1.0 } else { account.conditions.speed };
    let firing = firing(account.region(region), name);
    let group: &Group = account.region(region).groups.get(name)?;
    Some(Scene {
        now,
        world,
        speed,
        wanted: group.desired,
        policy: group.maintenance,
        members,
        warmup: group.warmup.unwrap_or(group.grace),
        firing,
        suspended: group.habits.suspends(Process::InstanceRefresh)
            || group.habits.suspends(Process::Terminate),
    })
}

/// The alarms that the group's refresh heeds, and that fire.
fn firing(region: &mut Region, name: &str) -> Vec<String> {
    let heeded = active(region, name).map(|one| one.preferences.alarms.clone());
    let mut all = heeded.unwrap_or_default();
    all.retain(|name| region.alarms.get(name).is_some_and(|one| one.state == State::Alarm));
    all
}

/// What the group launches meanwhile, and how many more.
fn steer(account: &mut Account, region: &str, refresh: &Refresh, surge: u64) {
    let Some(group) = account.region(region).groups.get_mut(&refresh.group) else { return };
    let steering = Steering { id: refresh.id.clone(), source: refresh.source().cloned(), surge };
    group.steering = (!refresh.status.is_over()).then_some(steering);
}

pub(super) fn keep(account: &mut Account, region: &str, refresh: Refresh) {
    let all = account.region(region).refreshes.entry(refresh.group.clone()).or_default();
    match all.iter_mut().find(|one| one.id == refresh.id) {
        Some(known) => *known = refresh,
        None => all.push(refresh),
    }
    let more = all.len().saturating_sub(REMEMBERED);
    all.drain(..more);
}
