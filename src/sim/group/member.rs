//! An instance's place in its group, and how the group sees it.

use std::time::Instant;

use super::source::Source;
use crate::sim::instance::{Lifecycle, State};

/// How instances of a warm pool wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum PoolState {
    /// Switched off.
    #[default]
    Stopped,
    /// Running.
    Running,
    /// Asleep. Here they are switched off.
    Hibernated,
}

impl PoolState {
    /// AWS's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Stopped => "Stopped",
            Self::Running => "Running",
            Self::Hibernated => "Hibernated",
        }
    }

    /// The one that Auto Scaling calls so.
    pub fn of(word: &str) -> Option<Self> {
        [Self::Stopped, Self::Running, Self::Hibernated].into_iter().find(|it| it.word() == word)
    }
}

/// What an instance that a group has launched knows of that.
#[derive(Clone, Debug)]
pub struct Member {
    /// The group's name, in the instance's region.
    pub group: String,
    /// Whether it is spared when the group shrinks.
    pub protected: bool,
    /// In which way it waits in the warm pool, if it is there.
    pub warm: Option<PoolState>,
    /// Since when it is in the group.
    pub joined: Instant,
    /// Since when it is in service, the last time that it came.
    pub in_service: Option<Instant>,
    /// Why a hook was abandoned.
    pub abandoned: Option<&'static str>,
    /// Whether it stays when its terminate hook is abandoned.
    pub retains: bool,
    /// What its group was told of its health, and by whom.
    pub ill: Option<Ill>,
}

/// Who says that an instance is unhealthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ill {
    /// EC2: it does not run.
    NotRunning,
    /// A load balancer.
    Target,
    /// Somebody.
    Said,
}

/// A member as its group sees it at some moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// `i-…`
    pub id: String,
    /// `ami-…`
    pub image: String,
    /// `t3.micro`
    pub instance_type: String,
    /// The launch template and its version that it was launched from.
    pub template: Option<(String, u64)>,
    /// Its availability zone.
    pub zone: String,
    /// What EC2 says of it.
    pub state: State,
    /// Where its group has it.
    pub lifecycle: Lifecycle,
    /// Who says that it is unhealthy, if anybody does.
    pub ill: Option<Ill>,
    /// Whether all load balancers of its group find it healthy; none where it has none.
    pub target_healthy: Option<bool>,
    /// Whether one finds it unhealthy, which is another thing than not healthy yet.
    pub target_unhealthy: bool,
    /// Since when it is in the group.
    pub joined: Instant,
    /// Since when it is in service.
    pub in_service: Option<Instant>,
    /// Whether it is spared when the group shrinks.
    pub protected: bool,
    /// In which way it waits in the warm pool, if it is there.
    pub warm: Option<PoolState>,
    /// Whether its spot instance is at more risk.
    pub at_risk: bool,
}

impl Seen {
    /// Whether it serves, or is on its way into service: it counts for the capacity.
    pub fn counts(&self) -> bool {
        use Lifecycle::{InService, Pending, Waiting};
        self.warm.is_none() && matches!(self.lifecycle, Pending | Waiting | InService)
    }

    /// Whether it serves.
    pub fn is_in_service(&self) -> bool {
        self.warm.is_none() && self.lifecycle == Lifecycle::InService
    }

    /// Whether it serves, nobody says that it is unhealthy, and all load balancers find it healthy.
    pub fn is_healthy(&self) -> bool {
        self.is_in_service() && self.ill.is_none() && self.target_healthy != Some(false)
    }

    /// Whether it is in standby.
    pub fn is_standby(&self) -> bool {
        self.lifecycle == Lifecycle::Standby
    }

    /// Whether it goes.
    pub fn is_leaving(&self) -> bool {
        matches!(self.lifecycle, Lifecycle::Draining | Lifecycle::Terminating | Lifecycle::Retained)
    }

    /// Whether it is what `source` launches, where that means this version of its template.
    pub fn is_of(&self, source: &Source, version: u64) -> bool {
        self.template
            .as_ref()
            .is_some_and(|(id, number)| *id == source.template && *number == version)
    }
}
