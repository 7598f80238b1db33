//! What a refresh does next, from how its group and the instances are. Pure.
//!
//! It says which instances go and how many more than wanted are to be there meanwhile; the group
//! launches what is lacking then. An instance counts as well once it is in service, healthy to the
//! load balancers, and warmed up.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::bounds::Bounds;
use super::{Encounter, Progress, Refresh, Rollback, Status};
use crate::sim::group::Maintenance;
use crate::sim::group::member::Seen;
use crate::sim::group::source::Source;
use crate::sim::instance::Lifecycle;
use crate::sim::region::Due;

/// For so long AWS tries what does not succeed.
pub const PATIENCE: Duration = Duration::from_hours(1);

/// How the group and its instances are.
#[derive(Clone, Debug)]
pub struct Scene<'a> {
    /// The account's clock.
    pub now: Instant,
    /// The world's.
    pub world: Timestamp,
    /// How many times faster than on AWS time goes.
    pub speed: f64,
    /// How many instances the group wants.
    pub wanted: u64,
    /// Its policy.
    pub policy: Option<Maintenance>,
    /// Its instances, also those that go.
    pub members: &'a [Seen],
    /// How long an instance warms up where the refresh says nothing, in seconds on AWS.
    pub warmup: u64,
    /// The alarms that the refresh heeds, and that fire.
    pub firing: Vec<String>,
    /// Whether refreshes of the group are suspended.
    pub suspended: bool,
}

impl Scene<'_> {
    fn takes(&self, on_aws: Duration) -> Duration {
        let seconds = on_aws.as_secs_f64() / self.speed;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    fn due(&self, on_aws: Duration) -> Due {
        let at = self.now.checked_add(self.takes(on_aws)).unwrap_or(self.now);
        Due { asked: self.world, since: self.now, at }
    }

    fn is_over(&self, due: &Due) -> bool {
        due.at <= self.now
    }
}

/// What is done, and how the refresh stands then.
#[derive(Clone, Debug)]
pub struct Turn {
    /// How it stands.
    pub refresh: Refresh,
    /// The instances that go.
    pub release: Vec<String>,
    /// So many more than wanted are to be there.
    pub surge: u64,
    /// What the group launches for good from now on.
    pub adopt: Option<Source>,
}

/// See the module.
pub fn turn(refresh: &Refresh, scene: &Scene<'_>) -> Turn {
    let mut look = Look { refresh: refresh.clone(), scene, adopt: None };
    let (release, surge) = look.act();
    let Look { mut refresh, adopt, .. } = look;
    if refresh.status.is_over() && refresh.ended.is_none() {
        refresh.ended = Some(scene.world);
    }
    Turn { refresh, release, surge, adopt }
}

/// Somebody, or a failure, has a refresh undone.
pub fn undo(refresh: &mut Refresh, scene: &Scene<'_>, reason: &str) {
    let (started, at) = (scene.world, refresh.progress);
    refresh.rollback = Some(Rollback { reason: reason.to_owned(), started, at });
    refresh.status = Status::RollbackInProgress;
    refresh.reason = None;
    let there = scene.members.iter().filter(|one| !one.is_leaving());
    let all: Vec<_> = there.map(|one| one.id.clone()).collect();
    let fresh = all.iter().filter(|id| !refresh.before.contains(*id)).cloned();
    refresh.targets = fresh.collect();
    refresh.before = all.into_iter().collect();
    (refresh.paused, refresh.baking, refresh.patience) = (None, None, None);
}

struct Look<'a> {
    refresh: Refresh,
    scene: &'a Scene<'a>,
    adopt: Option<Source>,
}

impl<'a> Look<'a> {
    /// Who goes, and how many more than wanted there are to be.
    fn act(&mut self) -> (Vec<String>, u64) {
        let none = (Vec::new(), 0);
        match self.refresh.status {
            Status::Pending => {
                self.refresh.status = Status::InProgress;
                none
            }
            Status::InProgress | Status::Baking if !self.scene.firing.is_empty() => {
                let names = self.scene.firing.join(", ");
                self.fail(&format!("One or more alarms are in the ALARM state: {names}."));
                none
            }
            Status::InProgress | Status::RollbackInProgress if self.scene.suspended => none,
            Status::InProgress => self.forward(),
            Status::RollbackInProgress => self.replace(self.refresh.targets.len()),
            Status::Baking => {
                if self.refresh.baking.is_none_or(|due| self.scene.is_over(&due)) {
                    self.succeed();
                }
                none
            }
            Status::Cancelling => {
                if !(self.refresh.waits && self.is_moving()) {
                    self.refresh.status = Status::Cancelled;
                }
                none
            }
            _ => none,
        }
    }

    fn forward(&mut self) -> (Vec<String>, u64) {
        if let Some(due) = self.refresh.paused {
            if !self.scene.is_over(&due) {
                return (Vec::new(), 0);
            }
            self.refresh.paused = None;
            self.refresh.checkpoint += 1;
            return (Vec::new(), 0);
        }
        let total = self.refresh.targets.len();
        let checkpoints = &self.refresh.preferences.checkpoints;
        let (count, at) = (checkpoints.len(), self.refresh.checkpoint);
        let Some(percent) = checkpoints.get(at).copied() else {
            // Beyond the last checkpoint there is nothing to do, and without any, everything.
            let allowed = if count == 0 { total } else { self.passed() };
            return self.replace(allowed);
        };
        let share = total * usize::try_from(percent).unwrap_or(100);
        let allowed = share.div_ceil(100);
        let is_last = at + 1 == count;
        if !is_last && self.done() >= as_number(allowed) {
            let pause = Duration::from_secs(self.refresh.preferences.pause());
            self.refresh.paused = Some(self.scene.due(pause));
            let reason = format!("Waiting at the checkpoint of {percent} percent.");
            self.refresh.reason = Some(reason);
            self.count();
            return (Vec::new(), 0);
        }
        self.replace(allowed)
    }

    fn passed(&self) -> usize {
        let last = self.refresh.preferences.checkpoints.last().copied().unwrap_or(100);
        let share = self.refresh.targets.len() * usize::try_from(last).unwrap_or(100);
        share.div_ceil(100)
    }

    /// Replaces targets until so many of them are replaced, and ends then.
    fn replace(&mut self, allowed: usize) -> (Vec<String>, u64) {
        self.count();
        let left = self.left();
        let replaced = self.refresh.targets.len() - left.len();
        let wanted = allowed.saturating_sub(replaced);
        if wanted == 0 && self.is_settled() {
            self.finish();
            return (Vec::new(), 0);
        }
        if self.is_stuck(as_number(left.len())) {
            let why = self.trouble(&left);
            self.fail(&why);
            return (Vec::new(), 0);
        }
        self.refresh.reason = self.waits_for(&left);
        let mut able: Vec<&Seen> = left.into_iter().filter(|one| !self.is_blocked(one)).collect();
        // Who is not well first: he is no loss.
        able.sort_by_key(|one| (self.is_well(one), one.joined));
        able.truncate(wanted);
        let scene = self.scene;
        let bounds = Bounds::of(&self.refresh.preferences, scene.policy, scene.wanted);
        let release = self.select(&able, bounds);
        let rest = as_number(able.len() - release.len());
        (release, rest.min(bounds.surge))
    }

    /// Those that can go now.
    fn select(&self, able: &[&Seen], bounds: Bounds) -> Vec<String> {
        let well = self.well();
        let mut spare = well.saturating_sub(bounds.least);
        if bounds.gives_in && well >= self.scene.wanted {
            spare = spare.max(1);
        }
        let mut release = Vec::new();
        for one in able {
            // One in standby is none of those who serve.
            if self.is_well(one) && !one.is_standby() && one.warm.is_none() {
                if spare == 0 {
                    continue;
                }
                spare -= 1;
            }
            release.push(one.id.clone());
        }
        release
    }

    /// The targets that are there and do not go yet.
    fn left(&self) -> Vec<&'a Seen> {
        let members = self.scene.members.iter();
        members.filter(|one| self.refresh.targets.contains(&one.id) && !one.is_leaving()).collect()
    }

    fn is_blocked(&self, member: &Seen) -> bool {
        let Refresh { preferences, .. } = &self.refresh;
        (member.protected && preferences.protected == Encounter::Wait)
            || (member.is_standby() && preferences.standby == Encounter::Wait)
    }

    fn is_well(&self, member: &Seen) -> bool {
        if self.refresh.before.contains(&member.id) {
            return member.is_healthy();
        }
        let warmup = self.refresh.preferences.warmup.unwrap_or(self.scene.warmup);
        let warmup = self.scene.takes(Duration::from_secs(warmup));
        let warm = |since: Instant| self.scene.now.saturating_duration_since(since) >= warmup;
        member.is_healthy() && member.in_service.is_some_and(warm)
    }

    /// So many are well.
    fn well(&self) -> u64 {
        as_number(self.scene.members.iter().filter(|one| self.is_well(one)).count())
    }

    /// So many are replaced by others that are well.
    fn done(&self) -> u64 {
        let replaced = as_number(self.refresh.targets.len() - self.left().len());
        replaced.saturating_sub(self.scene.wanted.saturating_sub(self.well()))
    }

    /// Writes down how far it is. On the way back, that goes back to nothing.
    fn count(&mut self) {
        let (total, done) = (as_number(self.refresh.targets.len()), self.done());
        let percent = (done * 100).checked_div(total).unwrap_or(100);
        self.refresh.progress = match &self.refresh.rollback {
            None => Progress { percent, to_update: total - done.min(total) },
            Some(rollback) => Progress {
                percent: rollback.at.percent * (100 - percent.min(100)) / 100,
                to_update: rollback.at.to_update,
            },
        };
    }

    /// Whether all is there that is wanted, well, and nothing else.
    fn is_settled(&self) -> bool {
        let counted = self.scene.members.iter().filter(|one| one.counts()).count();
        let draining = |one: &Seen| {
            one.lifecycle == Lifecycle::Draining && self.refresh.targets.contains(&one.id)
        };
        self.well() >= self.scene.wanted
            && as_number(counted) <= self.scene.wanted
            && !self.scene.members.iter().any(draining)
    }

    /// Whether something comes or goes.
    fn is_moving(&self) -> bool {
        self.scene.members.iter().any(|one| {
            matches!(one.lifecycle, Lifecycle::Pending | Lifecycle::Waiting | Lifecycle::Draining)
        })
    }

    /// Whether nothing has become better for too long. An instance that drains is let do so.
    fn is_stuck(&mut self, left: u64) -> bool {
        let mark = (left, self.done());
        let targets = &self.refresh.targets;
        let drains = self
            .scene
            .members
            .iter()
            .any(|one| one.lifecycle == Lifecycle::Draining && targets.contains(&one.id));
        match &self.refresh.patience {
            Some((due, then)) if *then == mark && !drains => self.scene.is_over(due),
            _ => {
                self.refresh.patience = Some((self.scene.due(PATIENCE), mark));
                false
            }
        }
    }

    fn trouble(&self, left: &[&Seen]) -> String {
        match left.iter().find(|one| self.is_blocked(one)) {
            Some(one) if one.is_standby() => format!(
                "There are instances in Standby that need to be updated. For example: {}.",
                one.id
            ),
            Some(one) => format!(
                "There are instances protected from scale in that need to be updated. For \
                 example: {}.",
                one.id
            ),
            None => "Timed out while waiting for instances to become healthy.".to_owned(),
        }
    }

    fn waits_for(&self, left: &[&Seen]) -> Option<String> {
        let fresh = |one: &&Seen| one.counts() && !self.is_well(one);
        if let Some(one) = self.scene.members.iter().find(fresh) {
            return Some(format!(
                "Waiting for instances to warm up before continuing. For example: {} is warming up.",
                one.id
            ));
        }
        left.iter().any(|one| self.is_blocked(one)).then(|| self.trouble(left))
    }

    fn finish(&mut self) {
        self.refresh.patience = None;
        self.refresh.reason = None;
        if self.refresh.rollback.is_some() {
            self.refresh.status = Status::RollbackSuccessful;
            return;
        }
        match self.refresh.preferences.bake.filter(|seconds| *seconds > 0) {
            Some(seconds) => {
                self.refresh.status = Status::Baking;
                self.refresh.baking = Some(self.scene.due(Duration::from_secs(seconds)));
            }
            None => self.succeed(),
        }
    }

    fn succeed(&mut self) {
        self.refresh.status = Status::Successful;
        self.adopt.clone_from(&self.refresh.desired);
    }

    fn fail(&mut self, why: &str) {
        if self.refresh.rollback.is_some() {
            self.refresh.status = Status::RollbackFailed;
        } else if self.refresh.preferences.auto_rollback {
            let reason = format!("An automatic rollback was initiated. {why}");
            undo(&mut self.refresh, self.scene, &reason);
        } else {
            self.refresh.status = Status::Failed;
        }
        self.refresh.reason = Some(why.to_owned());
    }
}

fn as_number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
