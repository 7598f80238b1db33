//! Where an instance is in the life that its group gives it, and the hooks that hold it there.

use std::time::Instant;

use jiff::Timestamp;

use super::{Ending, Instance, State};
use crate::sim::group::hook::Hook;
use crate::sim::group::member::{Ill, Member, PoolState};
use crate::sim::notice::Notice;
use crate::sim::timeline::Milestone;

/// Where the instance is in the life that its group gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// `Pending`: its group has launched it, and it does not run yet.
    Pending,
    /// `Pending:Wait`: launch hooks hold it.
    Waiting,
    /// The hooks got CONTINUE, or there is none.
    InService,
    /// `Standby`: it is out of service for a while.
    Standby,
    /// It waits in the warm pool.
    Warm,
    /// `Terminating:Wait`: its group lets it go, and terminate hooks hold it.
    Draining,
    /// `Terminating:Retained`: its terminate hook was abandoned, and its group keeps it for that.
    Retained,
    /// Its group has let it go: it is being terminated.
    Terminating,
}

impl Lifecycle {
    /// AWS's word for it, outside of a warm pool.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Waiting => "Pending:Wait",
            Self::InService => "InService",
            Self::Standby => "Standby",
            Self::Warm => "Warmed:Running",
            Self::Draining => "Terminating:Wait",
            Self::Retained => "Terminating:Retained",
            Self::Terminating => "Terminating",
        }
    }
}

/// A hook that waits for the instance.
#[derive(Clone, Debug)]
pub(super) struct Action {
    hook: Hook,
    /// When it gives up if it hears nothing.
    until: Instant,
    /// When it gives up whatever it hears.
    at_most: Instant,
}

impl Action {
    pub(super) fn new(hook: &Hook, now: Instant) -> Self {
        let (until, at_most) = (now + hook.timeout, now + hook.global_timeout());
        Self { hook: hook.clone(), until, at_most }
    }
}

impl Instance {
    /// Where its group has it. A hook that has waited too long takes its default result, and a spot
    /// instance whose time is over is taken back.
    pub fn lifecycle(&mut self, now: Instant) -> Lifecycle {
        if self.announced.spot.is_some_and(|(_, at)| now >= at)
            && self.lifecycle != Lifecycle::Terminating
            && !matches!(self.state(), State::ShuttingDown | State::Terminated)
        {
            self.recorder.mark(Milestone::TakenBack);
            self.terminate(now, Ending::SkipOsShutdown);
        }
        let expired = |action: &Action| now >= action.until.min(action.at_most);
        while let Some(index) = self.actions.iter().position(expired) {
            self.recorder.mark(Milestone::HookTimeout);
            let action = self.actions.remove(index);
            self.concluded(now, action.hook.goes_on, "Heartbeat Timeout");
        }
        self.lifecycle
    }

    /// The names of the hooks that wait for it.
    pub fn hooks_that_wait(&self) -> Vec<String> {
        self.actions.iter().map(|action| action.hook.name.clone()).collect()
    }

    /// Where its group had it when it was last looked at.
    pub const fn place(&self) -> Lifecycle {
        self.lifecycle
    }

    /// Where its group has it, in AWS's words.
    pub fn lifecycle_word(&mut self, now: Instant) -> String {
        let lifecycle = self.lifecycle(now);
        let word = match lifecycle {
            Lifecycle::Terminating if self.drained => "Terminating:Proceed",
            other => other.word(),
        };
        match self.member.as_ref().and_then(|member| member.warm) {
            // It is on its way until it is as it shall be.
            Some(wanted) if lifecycle == Lifecycle::Warm => match self.state() {
                State::Stopped if wanted != PoolState::Running => {
                    format!("Warmed:{}", wanted.word())
                }
                State::Running if wanted == PoolState::Running => word.to_owned(),
                _ => "Warmed:Pending:Proceed".to_owned(),
            },
            Some(_) => format!("Warmed:{word}"),
            None => word.to_owned(),
        }
    }

    /// Where its group wants it to be, as its metadata service tells it.
    pub fn target_lifecycle(&mut self, now: Instant) -> String {
        let warm = self.member.as_ref().and_then(|member| member.warm);
        match (self.lifecycle(now), warm) {
            (Lifecycle::Draining | Lifecycle::Retained | Lifecycle::Terminating, None) => {
                "Terminated".to_owned()
            }
            (Lifecycle::Draining | Lifecycle::Retained | Lifecycle::Terminating, Some(_)) => {
                "Warmed:Terminated".to_owned()
            }
            (_, Some(state)) => format!("Warmed:{}", state.word()),
            (Lifecycle::Standby, None) => "Standby".to_owned(),
            (_, None) => "InService".to_owned(),
        }
    }

    /// Whether it is in a group.
    pub fn is_in_a_group(&self) -> bool {
        self.launch.is_none() || self.member.is_some()
    }

    /// A group has launched it.
    pub fn join(&mut self, member: Member) {
        self.member = Some(Box::new(member));
        self.lifecycle = Lifecycle::Pending;
    }

    /// It runs: these hooks hold it now, or it is where its group wants it.
    pub fn arrive(&mut self, now: Instant, hooks: &[Hook]) {
        if self.lifecycle(now) != Lifecycle::Pending {
            return;
        }
        self.actions = hooks.iter().map(|hook| Action::new(hook, now)).collect();
        self.lifecycle = Lifecycle::Waiting;
        if self.actions.is_empty() {
            self.settle_in(now);
        }
    }

    /// No launch hook waits any more.
    fn settle_in(&mut self, now: Instant) {
        self.lifecycle = Lifecycle::InService;
        if let Some(member) = &mut self.member {
            if member.warm.is_some() {
                self.lifecycle = Lifecycle::Warm;
            } else {
                member.in_service = Some(now);
            }
        }
    }

    /// It leaves the warm pool for service: it is switched on where it is off, and launch hooks will
    /// hold it again.
    pub fn draw(&mut self, now: Instant) {
        if self.lifecycle(now) == Lifecycle::Warm {
            self.lifecycle = Lifecycle::Pending;
            self.start(now);
            if let Some(member) = &mut self.member {
                member.warm = None;
            }
        }
    }

    /// It goes out of service for a while, or comes back.
    pub fn stand_by(&mut self, now: Instant, by: bool) {
        match (self.lifecycle(now), by) {
            (Lifecycle::InService, true) => self.lifecycle = Lifecycle::Standby,
            (Lifecycle::Standby, false) => self.settle_in(now),
            _ => {}
        }
    }

    /// Its group was told how it is.
    pub fn say_health(&mut self, ill: Option<Ill>) {
        self.unhealthy = ill.is_some();
        if let Some(member) = &mut self.member {
            member.ill = ill;
        }
    }

    /// It is still at work. False when no such hook waits.
    pub fn heartbeat(&mut self, now: Instant, hook: &str) -> bool {
        self.lifecycle(now);
        let Some(action) = self.actions.iter_mut().find(|one| one.hook.name == hook) else {
            return false;
        };
        action.until = now + action.hook.timeout;
        self.recorder.mark(Milestone::Heartbeat);
        true
    }

    /// A hook's result. False when no such hook waits.
    pub fn complete(&mut self, now: Instant, hook: &str, go_on: bool) -> bool {
        let before = self.lifecycle(now);
        let Some(index) = self.actions.iter().position(|one| one.hook.name == hook) else {
            return false;
        };
        self.actions.remove(index);
        self.recorder.mark(match (before, go_on) {
            (Lifecycle::Draining, _) => Milestone::Drained,
            (_, true) => Milestone::Continue,
            (_, false) => Milestone::Abandon,
        });
        self.concluded(now, go_on, "Lifecycle Action Completed with ABANDON Result");
        true
    }

    /// One hook does not wait any more. What is abandoned is not held by the others either.
    fn concluded(&mut self, now: Instant, go_on: bool, why: &'static str) {
        if let Some(member) = self.member.as_mut().filter(|_| !go_on) {
            member.abandoned = Some(why);
        }
        let retains = self.member.as_ref().is_some_and(|member| member.retains);
        match self.lifecycle {
            Lifecycle::Waiting if !go_on => self.depart(now),
            Lifecycle::Waiting if self.actions.is_empty() => self.settle_in(now),
            Lifecycle::Draining if !go_on && retains => {
                self.actions.clear();
                self.lifecycle = Lifecycle::Retained;
            }
            Lifecycle::Draining if !go_on || self.actions.is_empty() => {
                self.drained = true;
                self.depart(now);
            }
            _ => {}
        }
    }

    /// Its group lets it go: these hooks wait before it is terminated. One that is not in service
    /// yet has nothing to drain, and neither has one that does not run.
    pub fn leave(&mut self, now: Instant, hooks: &[Hook]) {
        match self.lifecycle(now) {
            Lifecycle::Terminating | Lifecycle::Draining => {}
            Lifecycle::Pending | Lifecycle::Waiting | Lifecycle::Retained => self.depart(now),
            Lifecycle::InService | Lifecycle::Standby | Lifecycle::Warm => {
                self.recorder.mark(Milestone::Leaving);
                // A guest may be let go before it is known to run.
                let runs = matches!(self.state(), State::Pending | State::Running);
                let held = hooks.iter().filter(|_| runs);
                self.actions = held.map(|hook| Action::new(hook, now)).collect();
                self.lifecycle = Lifecycle::Draining;
                if self.actions.is_empty() {
                    self.depart(now);
                }
            }
        }
    }

    /// Its group terminates it, whatever hooks say.
    pub fn depart(&mut self, now: Instant) {
        self.lifecycle = Lifecycle::Terminating;
        self.actions.clear();
        self.terminate(now, Ending::Graceful);
    }

    /// Something is announced to it, or changed about it. Its group is told apart.
    pub(in crate::sim) fn notice(&mut self, now: Instant, world: Timestamp, notice: &Notice) {
        self.recorder.mark(Milestone::Notice(notice.to_string()));
        self.announced.announce(notice, now, world);
        if let Notice::Tag(key, value) = notice {
            if value.is_empty() {
                self.tags.remove(key);
            } else {
                self.tags.insert(key.clone(), value.clone());
            }
        }
    }
}
