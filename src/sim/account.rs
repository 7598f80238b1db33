//! The state of the rehearsal account: one instance, its group, its parameters, its file system.
//!
//! Handlers change it; nothing here speaks a protocol or touches the machine.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::parameters::Parameters;
use super::random;
use super::timeline::{Milestone, Recorder};

/// The account's id, as in AWS's own examples.
pub const ACCOUNT_ID: &str = "123456789012";
/// The region.
pub const REGION: &str = "eu-west-1";
/// The availability zone.
pub const ZONE: &str = "eu-west-1a";
/// The availability zone's id.
pub const ZONE_ID: &str = "euw1-az1";
/// The instance role.
pub const ROLE: &str = "hostkit-vm";
/// The Auto Scaling Group.
pub const GROUP: &str = "hostkit-vm";
/// Its launch hook.
pub const HOOK: &str = "launch";
/// How long the hook waits for a heartbeat.
pub const HEARTBEAT_TIMEOUT: Duration = Duration::from_mins(10);
/// A hook cannot be kept waiting longer than this, heartbeats or not: 100 heartbeat time-outs,
/// at most 48 hours.
const GLOBAL_TIMEOUT: Duration = Duration::from_mins(1000);
/// The first network card's address: QEMU's user network gives it to every first guest.
pub const PRIVATE_IP: &str = "10.0.2.15";
/// Where the guest finds its file system.
pub const MOUNT_TARGET_IP: &str = "10.0.2.100";
/// The subnet and the network of everything here.
pub const SUBNET: &str = "subnet-0f00d0000000000a1";
/// The network.
pub const VPC: &str = "vpc-0f00d000000000001";

/// The one instance.
#[derive(Clone, Debug)]
pub struct Instance {
    /// `i-…`
    pub id: String,
    /// `ami-…`
    pub image: String,
    /// The first network card's hardware address.
    pub mac: String,
    /// When it was started.
    pub started: Timestamp,
    /// The OpenSSH public key of its EC2 key pair.
    pub public_key: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// The keys of the instance role. They last as long as the machine.
#[derive(Clone)]
pub struct Credentials {
    /// `ASIA…`
    pub access_key: String,
    /// The secret.
    pub secret_key: String,
    /// The session token.
    pub session: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("access_key", &self.access_key).finish_non_exhaustive()
    }
}

/// The one file system.
#[derive(Clone, Debug)]
pub struct FileSystem {
    /// `fs-…`
    pub id: String,
    /// `fsmt-…`
    pub mount_target: String,
}

impl FileSystem {
    /// The same folder is the same file system, in every boot.
    pub fn of_folder(canonical: &str) -> Self {
        let digits = random::derived(canonical, 17);
        Self { mount_target: format!("fsmt-{digits}"), id: format!("fs-{digits}") }
    }
}

/// Where the instance is in the life that its group gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// `Pending:Wait`: the launch hook holds it.
    Waiting {
        /// When the hook gives up if it hears nothing.
        until: Instant,
        /// When it gives up whatever it hears.
        at_most: Instant,
    },
    /// The hook got CONTINUE.
    InService,
    /// The hook got ABANDON, or nothing in time.
    Terminating,
}

impl Lifecycle {
    /// AWS's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting { .. } => "Pending:Wait",
            Self::InService => "InService",
            Self::Terminating => "Terminating",
        }
    }
}

/// Everything there is.
#[derive(Debug)]
pub struct Account {
    /// The instance.
    pub instance: Instance,
    /// Its keys.
    pub credentials: Credentials,
    /// The Parameter Store.
    pub parameters: Parameters,
    /// The file system.
    pub file_system: FileSystem,
    /// What the instance reads as its user-data.
    pub user_data: String,
    /// Metadata tokens, and when they expire.
    pub tokens: BTreeMap<String, Instant>,
    /// Where things that happen are written down.
    pub recorder: Recorder,
    lifecycle: Lifecycle,
    ahead: Duration,
}

impl Account {
    /// A fresh account with one instance, held by its launch hook from now on.
    pub fn new(parameters: Parameters, file_system: FileSystem, recorder: Recorder) -> Self {
        let now = Instant::now();
        let mac = random::hex(6);
        let instance = Instance {
            id: format!("i-{}", random::hex(17)),
            image: format!("ami-{}", random::hex(17)),
            mac: format!("52:54:00:{}:{}:{}", &mac[..2], &mac[2..4], &mac[4..]),
            started: Timestamp::now(),
            public_key: String::new(),
            tags: BTreeMap::from([
                ("Name".to_owned(), GROUP.to_owned()),
                ("aws:autoscaling:groupName".to_owned(), GROUP.to_owned()),
            ]),
        };
        let credentials = Credentials {
            access_key: format!("ASIA{}", random::capitals(16)),
            secret_key: random::hex(40),
            session: random::hex(64),
        };
        Self {
            instance,
            credentials,
            parameters,
            file_system,
            user_data: String::new(),
            tokens: BTreeMap::new(),
            recorder,
            lifecycle: Lifecycle::Waiting {
                until: now + HEARTBEAT_TIMEOUT,
                at_most: now + GLOBAL_TIMEOUT,
            },
            ahead: Duration::ZERO,
        }
    }

    /// The account's clock.
    pub fn now(&self) -> Instant {
        Instant::now() + self.ahead
    }

    /// Puts the account's clock forward: tests do not wait.
    #[cfg(test)]
    pub fn skip(&mut self, time: Duration) {
        self.ahead += time;
    }

    /// Where the instance is now. A hook that has waited too long takes its default result.
    pub fn lifecycle(&mut self) -> Lifecycle {
        if let Lifecycle::Waiting { until, at_most } = self.lifecycle
            && self.now() >= until.min(at_most)
        {
            self.recorder.mark(Milestone::HookTimeout);
            self.lifecycle = Lifecycle::Terminating;
        }
        self.lifecycle
    }

    /// The instance is still at work. False when no hook waits.
    pub fn heartbeat(&mut self) -> bool {
        let Lifecycle::Waiting { at_most, .. } = self.lifecycle() else { return false };
        self.recorder.mark(Milestone::Heartbeat);
        self.lifecycle = Lifecycle::Waiting { until: self.now() + HEARTBEAT_TIMEOUT, at_most };
        true
    }

    /// The hook's result. False when no hook waits.
    pub fn complete(&mut self, go_on: bool) -> bool {
        let Lifecycle::Waiting { .. } = self.lifecycle() else { return false };
        let (state, milestone) = if go_on {
            (Lifecycle::InService, Milestone::Continue)
        } else {
            (Lifecycle::Terminating, Milestone::Abandon)
        };
        self.recorder.mark(milestone);
        self.lifecycle = state;
        true
    }

    /// An account for tests.
    #[cfg(test)]
    pub fn for_tests() -> Self {
        let file_system = FileSystem::of_folder("/srv/home");
        Self::new(Parameters::default(), file_system, Recorder::silent())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heartbeats_keep_a_hook_waiting_but_not_for_ever() {
        let mut account = Account::for_tests();
        for _ in 0..99 {
            account.skip(HEARTBEAT_TIMEOUT.saturating_sub(Duration::from_secs(1)));
            assert!(account.heartbeat());
        }
        account.skip(HEARTBEAT_TIMEOUT);
        assert!(!account.heartbeat());
        assert_eq!(account.lifecycle(), Lifecycle::Terminating);
    }

    #[test]
    fn a_hook_that_hears_nothing_abandons_the_instance() {
        let mut account = Account::for_tests();
        account.skip(HEARTBEAT_TIMEOUT);
        assert_eq!(account.lifecycle(), Lifecycle::Terminating);
        assert!(account.recorder.timeline().at(&Milestone::HookTimeout).is_some());
    }

    #[test]
    fn a_hook_completes_once() {
        let mut account = Account::for_tests();
        assert!(account.complete(true));
        assert!(!account.complete(false));
        assert_eq!(account.lifecycle(), Lifecycle::InService);
    }

    #[test]
    fn the_same_folder_is_the_same_file_system() {
        let id = FileSystem::of_folder("/a").id;
        assert_eq!(FileSystem::of_folder("/a").id, id);
        assert_ne!(FileSystem::of_folder("/b").id, id);
        assert!(id.starts_with("fs-") && id.len() == 20, "{id}");
    }
}
