//! What a group does next, as a pure function of the group, its members and the time.
//!
//! Whoever carries the actions out looks again afterwards, until there is nothing to do: an action
//! may rest on another. Nothing here changes anything.

use std::time::{Duration, Instant};

use super::Group;
use super::cause::Cause;
use super::member::{Ill, PoolState, Seen};
use super::process::Process;
use crate::sim::instance::{Lifecycle, State};

/// What is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// An instance that comes runs: launch hooks hold it, or it comes into service.
    Arrive(String),
    /// An instance is unhealthy.
    Ail(String, Ill),
    /// An instance is launched, for service or for the warm pool.
    Launch(Wanted),
    /// An instance of the warm pool comes into service.
    Draw(String, Cause),
    /// An instance of the warm pool is switched off until it is wanted.
    Rest(String),
    /// An instance goes: terminate hooks hold it, then it is terminated.
    Release(String, Cause),
    /// The warm pool is empty and was to be deleted.
    DropPool,
    /// The group is empty and was to be deleted.
    Remove,
}

/// An instance that there is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its zone.
    pub zone: String,
    /// Why.
    pub cause: Cause,
    /// How it is to wait in the warm pool, if it is for that.
    pub warm: Option<PoolState>,
}

/// See the module. For so long an instance in service is not asked how it is: `grace`.
pub fn decide(group: &Group, members: &[Seen], now: Instant, grace: Duration) -> Vec<Action> {
    if group.deleting {
        return if members.is_empty() { vec![Action::Remove] } else { Vec::new() };
    }
    let look = Look { group, members, now, grace };
    let steps = [Look::arrivals, Look::ailments, Look::replaced, Look::capacity, Look::pool];
    // What is not settled yet decides what comes after it.
    steps.iter().map(|step| step(&look)).find(|actions| !actions.is_empty()).unwrap_or_default()
}

struct Look<'a> {
    group: &'a Group,
    members: &'a [Seen],
    now: Instant,
    grace: Duration,
}

impl Look<'_> {
    fn does(&self, process: Process) -> bool {
        !self.group.habits.suspends(process)
    }

    /// Those who come: they run, or never will.
    fn arrivals(&self) -> Vec<Action> {
        let all = self.members.iter().filter_map(|member| match (member.lifecycle, member.state) {
            (Lifecycle::Pending, State::Running) => Some(Action::Arrive(member.id.clone())),
            (Lifecycle::Pending | Lifecycle::Waiting, State::Pending)
            | (Lifecycle::Waiting, State::Running) => None,
            (Lifecycle::Pending | Lifecycle::Waiting, _) => {
                Some(Action::Release(member.id.clone(), Cause::NeverInService))
            }
            _ => None,
        });
        all.collect()
    }

    /// Those in service who are found unhealthy.
    fn ailments(&self) -> Vec<Action> {
        if !self.does(Process::HealthCheck) {
            return Vec::new();
        }
        let well = self.members.iter().filter(|one| one.is_in_service() && one.ill.is_none());
        let found = well.filter_map(|member| {
            let asks = self.group.habits.asks_load_balancers();
            let spared = member.in_service.is_some_and(|since| self.now < since + self.grace);
            let ill = if member.state != State::Running {
                Ill::NotRunning
            } else if asks && member.target_unhealthy && !spared {
                Ill::Target
            } else {
                return None;
            };
            Some(Action::Ail(member.id.clone(), ill))
        });
        found.collect()
    }

    /// Whether a member goes once others serve in its place.
    fn is_doomed(&self, member: &Seen) -> bool {
        let replaces = self.does(Process::ReplaceUnhealthy) && self.does(Process::Terminate);
        let ill = member.ill.is_some() && self.group.launches_first() && replaces;
        let at_risk = member.at_risk && self.group.rebalances && self.does(Process::Terminate);
        member.is_in_service()
            && member.state == State::Running
            && self.does(Process::Launch)
            && (ill || at_risk)
    }

    /// Those who go because they are unhealthy or at risk.
    fn replaced(&self) -> Vec<Action> {
        if !self.does(Process::Terminate) {
            return Vec::new();
        }
        let serve = self.members.iter().filter(|one| one.is_healthy() && !self.is_doomed(one));
        let enough = as_number(serve.count()) >= self.group.desired;
        let goes = |member: &&Seen| match (self.is_doomed(member), member.ill) {
            (true, _) => enough,
            (false, Some(_)) => member.is_in_service() && self.does(Process::ReplaceUnhealthy),
            (false, None) => {
                member.lifecycle == Lifecycle::Warm
                    && matches!(member.state, State::ShuttingDown | State::Terminated)
            }
        };
        let going = self.members.iter().filter(goes);
        going.map(|one| Action::Release(one.id.clone(), cause_of(one))).collect()
    }

    /// As many in service as there are to be.
    fn capacity(&self) -> Vec<Action> {
        let counted: Vec<_> = self.members.iter().filter(|one| one.counts()).collect();
        let sound: Vec<_> = counted.iter().copied().filter(|one| !self.is_doomed(one)).collect();
        let target = self.group.desired + self.group.surge();
        let have = as_number(sound.len());
        if have < target {
            return self.grow(&counted, have, target);
        }
        if have > target && self.does(Process::Terminate) {
            return self.shrink(&sound, have, target);
        }
        if have == target && sound.len() == counted.len() {
            self.balance(&sound)
        } else {
            Vec::new()
        }
    }

    fn grow(&self, counted: &[&Seen], have: u64, target: u64) -> Vec<Action> {
        let tries = self.group.trouble.next.is_none_or(|next| self.now >= next);
        if !self.does(Process::Launch) || !tries || self.group.source().is_none() {
            return Vec::new();
        }
        let mut zones = self.zones(counted);
        let mut waiting = self.members.iter().filter(|one| one.lifecycle == Lifecycle::Warm);
        let at_risk = counted.iter().any(|one| one.at_risk && self.is_doomed(one));
        let replaced = as_number(counted.iter().filter(|one| one.ill.is_some()).count());
        let cause = |number: u64| {
            if self.group.steering.is_some() {
                Cause::Refresh
            } else if at_risk {
                Cause::Rebalance
            } else if number < replaced {
                Cause::Replacement
            } else {
                Cause::Difference(have, target)
            }
        };
        let launch = |number| {
            if let Some(warm) = waiting.next() {
                Action::Draw(warm.id.clone(), cause(number))
            } else {
                let zone = zones.next(self.group.trouble.failures);
                Action::Launch(Wanted { zone, cause: cause(number), warm: None })
            }
        };
        (0..target - have).map(launch).collect()
    }

    fn shrink(&self, sound: &[&Seen], have: u64, target: u64) -> Vec<Action> {
        // Who was launched to be there first is awaited. What somebody asks for is done at once.
        if self.group.asked.is_none() && sound.iter().any(|one| !one.is_in_service()) {
            return Vec::new();
        }
        let mut left = sound.to_vec();
        let mut actions = Vec::new();
        for number in 0..have - target {
            let zones = self.zones(&left);
            let free = left.iter().filter(|one| !one.protected);
            let most = free.clone().map(|one| zones.of(&one.zone)).max();
            let crowded = free.filter(|one| Some(zones.of(&one.zone)) == most);
            let Some(first) = crowded.min_by_key(|one| self.order(one)) else { break };
            let (id, cause) =
                (first.id.clone(), Cause::Difference(have - number, have - number - 1));
            left.retain(|one| one.id != id);
            actions.push(Action::Release(id, cause));
        }
        actions
    }

    /// Who goes first, by the first of the group's policies.
    fn order(&self, member: &Seen) -> (u64, Duration) {
        let age = self.now.saturating_duration_since(member.joined);
        let oldest_first = Duration::MAX.saturating_sub(age);
        let version = member.template.as_ref().map_or(0, |(_, version)| *version);
        match self.group.termination.first().map(String::as_str) {
            Some("NewestInstance") => (0, age),
            Some("OldestInstance") => (0, oldest_first),
            _ => (version, oldest_first),
        }
    }

    /// One more where there are too few, so that one goes where there are too many.
    fn balance(&self, sound: &[&Seen]) -> Vec<Action> {
        let processes = [Process::AZRebalance, Process::Launch, Process::Terminate];
        let tries = self.group.trouble.next.is_none_or(|next| self.now >= next);
        let settled = sound.iter().all(|one| one.is_in_service()) && self.group.steering.is_none();
        if !(settled && tries && processes.iter().all(|process| self.does(*process))) {
            return Vec::new();
        }
        let zones = self.zones(sound);
        let free = sound.iter().filter(|one| !one.protected);
        let most = free.map(|one| zones.of(&one.zone)).max();
        let (Some(least), Some(most)) = (zones.least(), most) else { return Vec::new() };
        if most < least.1 + 2 {
            return Vec::new();
        }
        let wanted = Wanted { zone: least.0.to_owned(), cause: Cause::Uneven, warm: None };
        vec![Action::Launch(wanted)]
    }

    /// As many in the warm pool as there are to be, in the state that they are to be in.
    fn pool(&self) -> Vec<Action> {
        let Some(pool) = &self.group.warm_pool else { return Vec::new() };
        let warm = || self.members.iter().filter(|one| one.warm.is_some());
        let there: Vec<_> = warm().filter(|one| !one.is_leaving()).collect();
        let (have, wanted) = (as_number(there.len()), self.group.warm_wanted());
        let tries = self.group.trouble.next.is_none_or(|next| self.now >= next);
        if have < wanted && self.does(Process::Launch) && tries && self.group.source().is_some() {
            let mut zones = self.zones(&there);
            let launch = |_| {
                let zone = zones.next(self.group.trouble.failures);
                Action::Launch(Wanted { zone, cause: Cause::WarmPool, warm: Some(pool.state) })
            };
            return (have..wanted).map(launch).collect();
        }
        if have > wanted && self.does(Process::Terminate) {
            let more = usize::try_from(have - wanted).unwrap_or(usize::MAX);
            let going = there.iter().take(more);
            return going
                .map(|one| Action::Release(one.id.clone(), Cause::WarmPoolShrinks))
                .collect();
        }
        if pool.deleting && warm().next().is_none() {
            return vec![Action::DropPool];
        }
        let awake = there.iter().filter(|one| {
            let off = one.warm.is_some_and(|state| state != PoolState::Running);
            one.lifecycle == Lifecycle::Warm && one.state == State::Running && off
        });
        awake.map(|one| Action::Rest(one.id.clone())).collect()
    }

    fn zones(&self, members: &[&Seen]) -> Zones {
        let count = |zone: &String| members.iter().filter(|one| one.zone == *zone).count();
        Zones(self.group.zones.iter().map(|zone| (zone.clone(), count(zone))).collect())
    }
}

/// How many there are in each zone.
struct Zones(Vec<(String, usize)>);

impl Zones {
    /// The zone for one more: where there are the fewest, or another one where that has failed.
    fn next(&mut self, failures: u32) -> String {
        let mut order: Vec<usize> = (0..self.0.len()).collect();
        order.sort_by_key(|&at| self.0[at].1);
        if order.is_empty() {
            return String::new();
        }
        let at = order[failures as usize % order.len()];
        self.0[at].1 += 1;
        self.0[at].0.clone()
    }

    fn least(&self) -> Option<(&str, usize)> {
        self.0.iter().min_by_key(|one| one.1).map(|(zone, count)| (zone.as_str(), *count))
    }

    /// How many there are in a zone.
    fn of(&self, zone: &str) -> usize {
        self.0.iter().find(|(name, _)| name == zone).map_or(0, |(_, count)| *count)
    }
}

fn cause_of(member: &Seen) -> Cause {
    match member.ill {
        Some(Ill::NotRunning) => Cause::NotRunning,
        Some(Ill::Target) => Cause::TargetUnhealthy,
        Some(Ill::Said) => Cause::SaidUnhealthy,
        None if member.warm.is_some() => Cause::WarmPoolShrinks,
        None => Cause::Rebalance,
    }
}

fn as_number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
