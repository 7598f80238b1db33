//! What the guests' group and every other have in common: hooks, what is suspended, how instances
//! are looked at, and the target groups that they are put into.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::hook::{Hook, Transition};
use super::process::Process;
use crate::sim::account::{HEARTBEAT_TIMEOUT, HOOK};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Habits {
    /// Its hooks.
    pub hooks: Vec<Hook>,
    /// What it does not do at the moment.
    pub suspended: BTreeSet<Process>,
    /// The ARNs of its target groups.
    pub target_groups: Vec<String>,
    /// `EC2`, `ELB`, `EC2,ELB`.
    pub health_check_type: String,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            hooks: Vec::new(),
            suspended: BTreeSet::new(),
            target_groups: Vec::new(),
            health_check_type: "EC2".to_owned(),
        }
    }
}

impl Habits {
    /// Those of the guests' group: one launch hook.
    pub fn of_the_guests() -> Self {
        let hook = Hook::new(HOOK, Transition::Launching, HEARTBEAT_TIMEOUT);
        Self { hooks: vec![hook], ..Self::default() }
    }

    /// The hooks that wait for an instance that comes, or that goes.
    pub fn hooks(&self, transition: Transition) -> Vec<Hook> {
        let all = self.hooks.iter().filter(|hook| hook.transition == transition);
        all.cloned().collect()
    }

    /// How long all its hooks wait for a heartbeat from now on.
    pub fn hold_for(&mut self, timeout: Duration) {
        for hook in &mut self.hooks {
            hook.timeout = timeout;
        }
    }

    /// Makes a hook, or changes the one of that name.
    pub fn put(&mut self, hook: Hook) {
        self.hooks.retain(|one| one.name != hook.name);
        self.hooks.push(hook);
    }

    /// Whether it does not do `process` at the moment.
    pub fn suspends(&self, process: Process) -> bool {
        self.suspended.contains(&process)
    }

    /// Whether what load balancers say counts.
    pub fn asks_load_balancers(&self) -> bool {
        self.health_check_type.split(',').any(|kind| kind.trim() == "ELB")
    }
}
