//! One instance: what it is, where it is in the life that EC2 and its group give it.
//!
//! The account's clock is handed in; nothing here waits, and nothing here is a machine. Who plays
//! the machines tells what became of them: an instance is `terminated` or `stopped` only once its
//! machine is gone.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::account::{GROUP, REGION};
use super::ec2::launch::{Launch, Shutdown};
use super::notice::{Announced, Notice};
use super::own_group::OwnHook;
use super::random;
use super::timeline::{Milestone, Recorder};

/// A hook cannot be kept waiting for more heartbeat time-outs than this, heartbeats or not. AWS: at
/// most 48 hours, too; no time-out here is that long.
pub const GLOBAL_TIMEOUTS: u32 = 100;
/// How long EC2 still tells of an instance that is terminated. AWS: "usually less than an hour".
pub const TERMINATED_VISIBLE: Duration = Duration::from_hours(1);

/// Keys that requests are signed with. Those of an instance role last as long as the machine.
#[derive(Clone, Serialize, Deserialize)]
pub struct Credentials {
    /// `ASIA…`, or `AKIA…` of an operator.
    pub access_key: String,
    /// The secret.
    pub secret_key: String,
    /// The session token. Keys that somebody was given for good have none.
    pub session: Option<String>,
}

impl Credentials {
    /// Those of an operator: for good, without a session token.
    pub fn of_an_operator() -> Self {
        Self {
            access_key: format!("AKIA{}", random::capitals(16)),
            secret_key: random::hex(40),
            session: None,
        }
    }

    fn fresh() -> Self {
        Self {
            access_key: format!("ASIA{}", random::capitals(16)),
            secret_key: random::hex(40),
            session: Some(random::hex(64)),
        }
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// What EC2 says that an instance does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It is being launched or started.
    Pending,
    /// It runs.
    Running,
    /// It is being terminated: its processors may still run.
    ShuttingDown,
    /// It is gone.
    Terminated,
    /// It is being stopped: its processors may still run.
    Stopping,
    /// It is off.
    Stopped,
}

impl State {
    /// AWS's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }

    /// AWS's number for it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Pending => "0",
            Self::Running => "16",
            Self::ShuttingDown => "32",
            Self::Terminated => "48",
            Self::Stopping => "64",
            Self::Stopped => "80",
        }
    }
}

/// How the machine of an instance that is being terminated is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By its power button, and by the plug if it does not react.
    Graceful,
    /// By the plug.
    SkipOsShutdown,
}

/// Where the instance is in the life that its group gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// `Pending:Wait`: launch hooks hold it.
    Waiting,
    /// The hooks got CONTINUE, or there is none.
    InService,
    /// `Terminating:Wait`: its group lets it go, and terminate hooks hold it.
    Draining,
    /// A launch hook got ABANDON, or nothing in time; or the instance is being terminated.
    Terminating,
}

impl Lifecycle {
    /// AWS's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "Pending:Wait",
            Self::InService => "InService",
            Self::Draining => "Terminating:Wait",
            Self::Terminating => "Terminating",
        }
    }
}

/// A hook that waits for the instance.
#[derive(Clone, Debug)]
struct Action {
    hook: OwnHook,
    /// When it gives up if it hears nothing.
    until: Instant,
    /// When it gives up whatever it hears.
    at_most: Instant,
}

impl Action {
    fn new(hook: &OwnHook, now: Instant) -> Self {
        let (until, at_most) = (now + hook.timeout, now + hook.timeout * GLOBAL_TIMEOUTS);
        Self { hook: hook.clone(), until, at_most }
    }
}

/// An instance.
#[derive(Clone, Debug)]
pub struct Instance {
    /// `i-…`
    pub id: String,
    /// `ami-…`
    pub image: String,
    /// The first network card's hardware address.
    pub mac: String,
    /// When it was launched, or started again.
    pub launched: Timestamp,
    /// The OpenSSH public key of its EC2 key pair.
    pub public_key: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// What it reads as its user-data.
    pub user_data: String,
    /// Whether it was launched with hibernation configured.
    pub hibernation: bool,
    /// The keys of its role: they tell who sends a request.
    pub credentials: Credentials,
    /// Metadata tokens, and when they expire.
    pub tokens: BTreeMap<String, Instant>,
    /// Where things that happen to it are written down.
    pub recorder: Recorder,
    /// How its machine is to end, if it is being terminated.
    pub ending: Option<Ending>,
    /// Why it is in its state, in EC2's words: a code and a message.
    pub reason: Option<(&'static str, &'static str)>,
    /// What was said of it when somebody launched it; none of a guest, which its group launched.
    pub launch: Option<Box<Launch>>,
    /// Whether its group was told that it is unhealthy.
    pub unhealthy: bool,
    /// What was announced to it.
    pub announced: Announced,
    /// Its ports that can be reached from here, and the ports of 127.0.0.1 that lead to them.
    pub ports: BTreeMap<u16, u16>,
    /// The hooks that wait for it.
    actions: Vec<Action>,
    lifecycle: Lifecycle,
    /// Whether its terminate hooks have waited.
    drained: bool,
    /// What EC2 said of it, and since when: for answers that lag behind.
    history: Vec<(Instant, State)>,
}

const USER_INITIATED: (&str, &str) =
    ("Client.UserInitiatedShutdown", "Client.UserInitiatedShutdown: User initiated shutdown");
/// What EC2 says where a machine failed, and where there was none.
const DIED: (&str, &str) = (
    "Server.InternalError",
    "Server.InternalError: An internal error caused the instance to stop running",
);
const NOT_STARTED: (&str, &str) =
    ("Server.InternalError", "Server.InternalError: Internal error on launch");
const INSTANCE_INITIATED: (&str, &str) = (
    "Client.InstanceInitiatedShutdown",
    "Client.InstanceInitiatedShutdown: Instance initiated shutdown",
);

impl Instance {
    /// A fresh one, `pending`, held by these hooks from `now` on.
    pub(super) fn launch<'a>(
        now: Instant,
        hooks: impl Iterator<Item = &'a OwnHook>,
        recorder: Recorder,
    ) -> Self {
        let actions: Vec<_> = hooks.map(|hook| Action::new(hook, now)).collect();
        let held = !actions.is_empty();
        let mac = random::hex(6);
        Self {
            id: format!("i-{}", random::hex(17)),
            image: format!("ami-{}", random::hex(17)),
            mac: format!("52:54:00:{}:{}:{}", &mac[..2], &mac[2..4], &mac[4..]),
            launched: Timestamp::now(),
            public_key: String::new(),
            tags: BTreeMap::from([
                ("Name".to_owned(), GROUP.to_owned()),
                ("aws:autoscaling:groupName".to_owned(), GROUP.to_owned()),
            ]),
            user_data: String::new(),
            hibernation: false,
            credentials: Credentials::fresh(),
            tokens: BTreeMap::new(),
            recorder,
            ending: None,
            reason: None,
            launch: None,
            unhealthy: false,
            announced: Announced::default(),
            ports: BTreeMap::new(),
            actions,
            lifecycle: if held { Lifecycle::Waiting } else { Lifecycle::InService },
            drained: false,
            history: vec![(now, State::Pending)],
        }
    }

    /// One that somebody launches himself: `pending`, and no group's.
    pub fn run(now: Instant, image: &str, launch: Launch) -> Self {
        Self {
            image: image.to_owned(),
            tags: BTreeMap::new(),
            launch: Some(Box::new(launch)),
            lifecycle: Lifecycle::InService,
            ..Self::launch(now, std::iter::empty(), Recorder::silent())
        }
    }

    /// Its region.
    pub fn region(&self) -> &str {
        self.launch.as_ref().map_or(REGION, |launch| &launch.region)
    }

    /// What EC2 says of it.
    pub fn state(&self) -> State {
        self.history.last().map_or(State::Pending, |(_, state)| *state)
    }

    /// What EC2 said of it at some time; nothing before its launch, and nothing when it has been
    /// terminated for so long that EC2 has forgotten it.
    pub fn state_at(&self, time: Instant) -> Option<State> {
        let (since, state) = self.history.iter().rev().find(|(since, _)| *since <= time)?;
        let forgotten = *state == State::Terminated && time > *since + TERMINATED_VISIBLE;
        (!forgotten).then_some(*state)
    }

    /// When it came into a state, the last time.
    pub fn since(&self, state: State) -> Option<Instant> {
        self.history.iter().rev().find(|(_, one)| *one == state).map(|(since, _)| *since)
    }

    /// Where its group has it. A hook that has waited too long takes its default result, and a spot
    /// instance whose time is over is taken back.
    pub fn lifecycle(&mut self, now: Instant) -> Lifecycle {
        if self.announced.spot.is_some_and(|(_, at)| now >= at)
            && self.lifecycle != Lifecycle::Terminating
        {
            self.recorder.mark(Milestone::TakenBack);
            self.terminate(now, Ending::SkipOsShutdown);
        }
        let expired = |action: &Action| now >= action.until.min(action.at_most);
        while let Some(index) = self.actions.iter().position(expired) {
            self.recorder.mark(Milestone::HookTimeout);
            let action = self.actions.remove(index);
            self.concluded(now, action.hook.goes_on);
        }
        self.lifecycle
    }

    /// The names of the hooks that wait for it.
    pub fn hooks_that_wait(&self) -> Vec<String> {
        self.actions.iter().map(|action| action.hook.name.clone()).collect()
    }

    /// Where its group has it, in AWS's words.
    pub fn lifecycle_word(&mut self, now: Instant) -> &'static str {
        match self.lifecycle(now) {
            Lifecycle::Terminating if self.drained => "Terminating:Proceed",
            lifecycle => lifecycle.word(),
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
        self.concluded(now, go_on);
        true
    }

    /// One hook does not wait any more. What is abandoned is not held by the others either.
    fn concluded(&mut self, now: Instant, go_on: bool) {
        match self.lifecycle {
            Lifecycle::Waiting if !go_on => self.terminate(now, Ending::Graceful),
            Lifecycle::Waiting if self.actions.is_empty() => self.lifecycle = Lifecycle::InService,
            Lifecycle::Draining if !go_on || self.actions.is_empty() => {
                self.drained = true;
                self.terminate(now, Ending::Graceful);
            }
            _ => {}
        }
    }

    /// Its group lets it go: these hooks wait before it is terminated. One that is not in service
    /// yet has nothing to drain.
    pub fn leave<'a>(&mut self, now: Instant, hooks: impl Iterator<Item = &'a OwnHook>) {
        match self.lifecycle(now) {
            Lifecycle::Terminating | Lifecycle::Draining => {}
            Lifecycle::Waiting => self.terminate(now, Ending::Graceful),
            Lifecycle::InService => {
                self.recorder.mark(Milestone::Leaving);
                self.actions = hooks.map(|hook| Action::new(hook, now)).collect();
                self.lifecycle = Lifecycle::Draining;
                if self.actions.is_empty() {
                    self.terminate(now, Ending::Graceful);
                }
            }
        }
    }

    /// Something is announced to it, or changed about it. Its group is told apart.
    pub(super) fn notice(&mut self, now: Instant, world: Timestamp, notice: &Notice) {
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

    /// Its machine was switched on.
    pub fn switched_on(&mut self, now: Instant) {
        if self.state() == State::Pending {
            self.enter(now, State::Running);
        }
    }

    /// Somebody terminates it: its group, or who asks EC2.
    pub fn terminate(&mut self, now: Instant, ending: Ending) {
        self.lifecycle = Lifecycle::Terminating;
        self.actions.clear();
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
        self.lifecycle = Lifecycle::Terminating;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::account::{HEARTBEAT_TIMEOUT, HOOK};
    use crate::sim::notice::SPOT_WARNING;
    use crate::sim::own_group::{OwnGroup, Transition};

    fn launched(now: Instant) -> Instance {
        let group = OwnGroup::default();
        Instance::launch(now, group.hooks(Transition::Launching), Recorder::silent())
    }

    fn running() -> (Instance, Instant) {
        let now = Instant::now();
        let mut instance = launched(now);
        instance.switched_on(now);
        (instance, now)
    }

    #[test]
    fn heartbeats_keep_a_hook_waiting_but_not_for_ever() {
        let (mut instance, mut now) = running();
        for _ in 0..99 {
            now += HEARTBEAT_TIMEOUT.saturating_sub(Duration::from_secs(1));
            assert!(instance.heartbeat(now, HOOK));
        }
        now += HEARTBEAT_TIMEOUT;
        assert!(!instance.heartbeat(now, HOOK));
        assert_eq!(instance.lifecycle(now), Lifecycle::Terminating);
    }

    #[test]
    fn a_hook_that_hears_nothing_abandons_the_instance() {
        let (mut instance, now) = running();
        assert_eq!(instance.lifecycle(now + HEARTBEAT_TIMEOUT), Lifecycle::Terminating);
        assert!(instance.recorder.timeline().at(&Milestone::HookTimeout).is_some());
        assert_eq!(instance.state(), State::ShuttingDown);
    }

    #[test]
    fn a_hook_completes_once() {
        let (mut instance, now) = running();
        assert!(instance.complete(now, HOOK, true));
        assert!(!instance.complete(now, HOOK, false));
        assert_eq!(instance.lifecycle(now), Lifecycle::InService);
    }

    #[test]
    fn it_is_terminated_only_once_its_machine_is_gone() {
        let (mut instance, now) = running();
        instance.terminate(now, Ending::Graceful);
        assert_eq!(
            (instance.state(), instance.ending),
            (State::ShuttingDown, Some(Ending::Graceful))
        );
        instance.terminate(now, Ending::SkipOsShutdown);
        assert_eq!(instance.ending, Some(Ending::SkipOsShutdown));
        let gone = now + Duration::from_hours(3);
        assert_eq!(instance.state_at(gone), Some(State::ShuttingDown));
        instance.switched_off(gone);
        assert_eq!(instance.state_at(gone + TERMINATED_VISIBLE), Some(State::Terminated));
        assert_eq!(instance.state_at(gone + TERMINATED_VISIBLE + Duration::from_secs(1)), None);
    }

    #[test]
    fn who_switches_itself_off_is_stopped_and_a_start_changes_the_launch_time() {
        let (mut instance, now) = running();
        let launched = instance.launched;
        instance.switched_off(now);
        assert_eq!(instance.state(), State::Stopped);
        assert_eq!(instance.reason, Some(INSTANCE_INITIATED));
        instance.start(now);
        instance.switched_on(now);
        assert_eq!(instance.state(), State::Running);
        assert!(instance.launched > launched);
        instance.stop(now);
        assert_eq!(instance.state(), State::Stopping);
        instance.switched_off(now);
        instance.terminate(now, Ending::Graceful);
        assert_eq!(instance.state(), State::Terminated, "there is no machine that could still run");
    }

    #[test]
    fn what_does_not_start_is_what_it_was_before() {
        let now = Instant::now();
        let mut instance = launched(now);
        instance.not_started(now);
        assert_eq!((instance.state(), instance.reason), (State::Terminated, Some(NOT_STARTED)));
        let (mut instance, now) = running();
        instance.switched_off(now);
        instance.start(now);
        instance.not_started(now);
        assert_eq!((instance.state(), instance.reason), (State::Stopped, Some(NOT_STARTED)));
    }

    #[test]
    fn an_answer_may_lag_behind() {
        let (mut instance, now) = running();
        let minute = Duration::from_mins(1);
        instance.terminate(now + minute, Ending::Graceful);
        assert_eq!(instance.state_at(now + minute), Some(State::ShuttingDown));
        assert_eq!(instance.state_at(now + minute / 2), Some(State::Running));
        let before = now.checked_sub(minute).unwrap();
        assert_eq!(instance.state_at(before), None, "not launched yet");
    }

    #[test]
    fn of_several_hooks_all_must_go_on() {
        let now = Instant::now();
        let mut group = OwnGroup::default();
        group.put(OwnHook::new("dns", Transition::Launching, HEARTBEAT_TIMEOUT));
        let hooks = || group.hooks(Transition::Launching);
        let mut instance = Instance::launch(now, hooks(), Recorder::silent());
        assert!(!instance.complete(now, "other", true));
        assert!(instance.complete(now, "dns", true));
        assert_eq!(instance.lifecycle(now), Lifecycle::Waiting);
        assert!(instance.complete(now, HOOK, true));
        assert_eq!(instance.lifecycle(now), Lifecycle::InService);
        let mut instance = Instance::launch(now, hooks(), Recorder::silent());
        assert!(instance.complete(now, "dns", false));
        assert_eq!(instance.lifecycle(now), Lifecycle::Terminating);
        assert!(!instance.heartbeat(now, HOOK), "nobody waits any more");
        let without = Instance::launch(now, std::iter::empty(), Recorder::silent()).lifecycle(now);
        assert_eq!(without, Lifecycle::InService);
    }

    #[test]
    fn a_terminate_hook_holds_the_machine_until_it_is_told_or_gives_up() {
        let (mut instance, now) = running();
        instance.complete(now, HOOK, true);
        let hook = OwnHook::new("drain", Transition::Terminating, HEARTBEAT_TIMEOUT);
        let mut other = instance.clone();
        instance.leave(now, [&hook].into_iter());
        assert_eq!(instance.lifecycle_word(now), "Terminating:Wait");
        assert_eq!(instance.state(), State::Running);
        assert!(instance.heartbeat(now, "drain"));
        assert!(instance.complete(now, "drain", true));
        assert_eq!(instance.lifecycle_word(now), "Terminating:Proceed");
        assert_eq!(instance.state(), State::ShuttingDown);
        other.leave(now, [&hook].into_iter());
        assert_eq!(other.lifecycle(now + HEARTBEAT_TIMEOUT), Lifecycle::Terminating);
        let (mut bare, now) = running();
        bare.complete(now, HOOK, true);
        bare.leave(now, std::iter::empty());
        assert_eq!(bare.state(), State::ShuttingDown);
    }

    #[test]
    fn a_spot_instance_is_taken_back_at_the_time_that_was_announced() {
        let (mut instance, now) = running();
        instance.complete(now, HOOK, true);
        instance.notice(now, Timestamp::now(), &Notice::SpotInterruption);
        let early = SPOT_WARNING.saturating_sub(Duration::from_secs(1));
        assert_eq!(instance.lifecycle(now + early), Lifecycle::InService);
        assert_eq!(instance.lifecycle(now + SPOT_WARNING), Lifecycle::Terminating);
        assert_eq!(instance.ending, Some(Ending::SkipOsShutdown));
    }

    #[test]
    fn a_tag_comes_and_goes() {
        let (mut instance, now) = running();
        let tag = |value: &str| Notice::Tag("hostkit:drain".to_owned(), value.to_owned());
        instance.notice(now, Timestamp::now(), &tag("quiet"));
        assert_eq!(instance.tags["hostkit:drain"], "quiet");
        instance.notice(now, Timestamp::now(), &tag(""));
        assert!(!instance.tags.contains_key("hostkit:drain"));
    }
}
