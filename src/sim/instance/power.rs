//! What becomes of an instance and of its machine: on, off, gone.

use std::time::Instant;

use jiff::Timestamp;

use super::{Ending, Instance, Lifecycle, State};
use crate::sim::ec2::launch::Shutdown;

const USER_INITIATED: (&str, &str) =
    ("Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown");
/// What EC2 says where a machine failed, and where there was none.
const DIED: (&str, &str) = (
    "Server.InternalError",
    "Server.InternalError: An internal error caused the instance to stop running",
);
pub(super) const NOT_STARTED: (&str, &str) =
    ("Server.InternalError", "Server.InternalError: Internal error on launch");
pub(super) const INSTANCE_INITIATED: (&str, &str) = (
    "Client.InstanceInitiatedShutdown",
    "Client.InstanceInitiatedShutdown: Instance initiated shutdown",
);

impl Instance {
    /// Its machine was switched on.
    pub fn switched_on(&mut self, now: Instant) {
        if self.state() == State::Pending {
            self.enter(now, State::Running);
        }
    }

    /// Somebody terminates it: its group, or who asks EC2.
    pub fn terminate(&mut self, now: Instant, ending: Ending) {
        self.lost();
        match self.state() {
            State::Terminated => {}
            // No machine: nothing that would have to end.
            State::Stopped => self.enter(now, State::Terminated),
            // A second request may be in more of a hurry than the first.
            State::ShuttingDown => {
                if ending == Ending::SkipOsShutdown {
                    self.ending = Some(ending);
                }
            }
            State::Pending | State::Running | State::Stopping => {
                self.ending = Some(ending);
                self.reason = Some(USER_INITIATED);
                self.enter(now, State::ShuttingDown);
            }
        }
    }

    /// It will not run any more. The group that launched it sees that when it looks after its
    /// members; that of the guests does not look.
    fn lost(&mut self) {
        if self.member.is_none() {
            self.lifecycle = Lifecycle::Terminating;
            self.actions.clear();
        }
    }

    /// There is no machine for it, and there will be none. A fresh one is terminated; one that was
    /// stopped is so again.
    pub fn not_started(&mut self, now: Instant) {
        if self.state() != State::Pending {
            return self.switched_off(now);
        }
        self.reason = Some(NOT_STARTED);
        if self.since(State::Stopped).is_some() {
            return self.enter(now, State::Stopped);
        }
        self.lost();
        self.enter(now, State::ShuttingDown);
        self.enter(now, State::Terminated);
    }

    /// Its machine failed: the instance had no part in it.
    pub fn died(&mut self, now: Instant) {
        let surprised = matches!(self.state(), State::Pending | State::Running);
        self.switched_off(now);
        if surprised {
            self.reason = Some(DIED);
        }
    }

    /// Its machine is gone. One that nobody stopped has switched itself off, which stops it.
    pub fn switched_off(&mut self, now: Instant) {
        match self.state() {
            State::Terminated | State::Stopped => {}
            State::ShuttingDown => self.enter(now, State::Terminated),
            State::Stopping => self.enter(now, State::Stopped),
            State::Pending | State::Running => {
                self.reason = Some(INSTANCE_INITIATED);
                let (first, then) = match self.launch.as_ref().map(|launch| launch.shutdown) {
                    Some(Shutdown::Terminate) => (State::ShuttingDown, State::Terminated),
                    Some(Shutdown::Stop) | None => (State::Stopping, State::Stopped),
                };
                self.enter(now, first);
                self.enter(now, then);
            }
        }
    }

    /// Somebody stops it.
    pub fn stop(&mut self, now: Instant) {
        if self.state() == State::Running {
            self.reason = Some(USER_INITIATED);
            self.enter(now, State::Stopping);
        }
    }

    /// It is started again after it was stopped: another launch time, the same instance.
    pub fn start(&mut self, now: Instant) {
        if self.state() == State::Stopped {
            self.launched = Timestamp::now();
            (self.reason, self.ending) = (None, None);
            self.enter(now, State::Pending);
        }
    }

    fn enter(&mut self, now: Instant, state: State) {
        self.history.push((now, state));
    }
}
