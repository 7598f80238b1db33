//! The Auto Scaling Group that the guests of the account are in: its hooks, what it does with an
//! unhealthy instance, and the target groups that it puts its instances into.

use std::collections::BTreeSet;
use std::time::Duration;

use super::account::{HEARTBEAT_TIMEOUT, HOOK};

/// The processes that can be suspended, as Auto Scaling calls them.
pub const PROCESSES: [&str; 10] = [
    "AZRebalance",
    "AddToLoadBalancer",
    "AlarmNotification",
    "HealthCheck",
    "InstanceRefresh",
    "Launch",
    "RemoveFromLoadBalancerLowPriority",
    "ReplaceUnhealthy",
    "ScheduledActions",
    "Terminate",
];

/// When a hook waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// An instance comes.
    Launching,
    /// An instance goes.
    Terminating,
}

impl Transition {
    /// As Auto Scaling calls it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Launching => "autoscaling:EC2_INSTANCE_LAUNCHING",
            Self::Terminating => "autoscaling:EC2_INSTANCE_TERMINATING",
        }
    }

    /// The one that Auto Scaling calls so.
    pub fn of(word: &str) -> Option<Self> {
        [Self::Launching, Self::Terminating].into_iter().find(|one| one.word() == word)
    }
}

/// A hook of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnHook {
    /// Its name.
    pub name: String,
    /// When it waits.
    pub transition: Transition,
    /// How long it waits for a heartbeat.
    pub timeout: Duration,
    /// What it takes for its answer when it hears nothing: whether the instance goes on.
    pub goes_on: bool,
}

impl OwnHook {
    /// A hook that is abandoned when it hears nothing.
    pub fn new(name: &str, transition: Transition, timeout: Duration) -> Self {
        Self { name: name.to_owned(), transition, timeout, goes_on: false }
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct OwnGroup {
    /// Its hooks.
    pub hooks: Vec<OwnHook>,
    /// What it does not do at the moment.
    pub suspended: BTreeSet<String>,
    /// The ARNs of its target groups.
    pub target_groups: Vec<String>,
    /// `EC2`, `ELB`.
    pub health_check_type: String,
}

impl Default for OwnGroup {
    fn default() -> Self {
        Self {
            hooks: vec![OwnHook::new(HOOK, Transition::Launching, HEARTBEAT_TIMEOUT)],
            suspended: BTreeSet::new(),
            target_groups: Vec::new(),
            health_check_type: "EC2".to_owned(),
        }
    }
}

impl OwnGroup {
    /// The hooks that wait for an instance that comes, or that goes.
    pub fn hooks(&self, transition: Transition) -> impl Iterator<Item = &OwnHook> {
        self.hooks.iter().filter(move |hook| hook.transition == transition)
    }

    /// How long all its hooks wait for a heartbeat from now on.
    pub fn hold_for(&mut self, timeout: Duration) {
        for hook in &mut self.hooks {
            hook.timeout = timeout;
        }
    }

    /// Makes a hook, or changes the one of that name.
    pub fn put(&mut self, hook: OwnHook) {
        self.hooks.retain(|one| one.name != hook.name);
        self.hooks.push(hook);
    }

    /// Whether it does not do `process` at the moment.
    pub fn suspends(&self, process: &str) -> bool {
        self.suspended.contains(process)
    }
}
