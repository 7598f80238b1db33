//! One instance: what it is, where it is in the life that EC2 and its group give it.
//!
//! The account's clock is handed in; nothing here waits, and nothing here is a machine. Who plays
//! the machines tells what became of them: an instance is `terminated` or `stopped` only once its
//! machine is gone.

mod credentials;
mod lifecycle;
mod power;
mod state;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;

pub use self::credentials::Credentials;
pub use self::lifecycle::Lifecycle;
pub use self::state::{Ending, State};

use self::lifecycle::Action;
use super::account::{GROUP, REGION};
use super::ec2::launch::Launch;
use super::group::hook::Hook;
use super::group::member::Member;
use super::notice::Announced;
use super::random;
use super::timeline::Recorder;

/// How long EC2 still tells of an instance that is terminated. AWS: "usually less than an hour".
pub const TERMINATED_VISIBLE: Duration = Duration::from_hours(1);

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
    /// Its place in the group that launched it; none of a guest, nor of one that is in no group.
    pub member: Option<Box<Member>>,
    /// The hooks that wait for it.
    actions: Vec<Action>,
    lifecycle: Lifecycle,
    /// Whether its terminate hooks have waited.
    drained: bool,
    /// What EC2 said of it, and since when: for answers that lag behind.
    history: Vec<(Instant, State)>,
}

impl Instance {
    /// A fresh one, `pending`, held by these hooks from `now` on.
    pub(super) fn launch(now: Instant, hooks: &[Hook], recorder: Recorder) -> Self {
        let actions: Vec<_> = hooks.iter().map(|hook| Action::new(hook, now)).collect();
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
            member: None,
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
            ..Self::launch(now, &[], Recorder::silent())
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
}

#[cfg(test)]
mod tests;
