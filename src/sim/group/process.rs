//! What a group does by itself, piece by piece: each can be suspended.

use serde::{Deserialize, Serialize};

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Process {
    /// Its instances are spread over its zones.
    AZRebalance,
    /// Who comes into service is registered as a target.
    AddToLoadBalancer,
    /// Alarms change its capacity. There are none here.
    AlarmNotification,
    /// Its instances are looked at.
    HealthCheck,
    /// Instance refreshes go on.
    InstanceRefresh,
    /// Instances are launched.
    Launch,
    /// Targets of low priority are deregistered. There are none here.
    RemoveFromLoadBalancerLowPriority,
    /// Who is unhealthy is replaced.
    ReplaceUnhealthy,
    /// Schedules change its capacity. There are none here.
    ScheduledActions,
    /// Instances are terminated.
    Terminate,
}

impl Process {
    /// All of them, in the order of their names.
    pub const ALL: [Self; 10] = [
        Self::AZRebalance,
        Self::AddToLoadBalancer,
        Self::AlarmNotification,
        Self::HealthCheck,
        Self::InstanceRefresh,
        Self::Launch,
        Self::RemoveFromLoadBalancerLowPriority,
        Self::ReplaceUnhealthy,
        Self::ScheduledActions,
        Self::Terminate,
    ];

    /// As Auto Scaling calls it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::AZRebalance => "AZRebalance",
            Self::AddToLoadBalancer => "AddToLoadBalancer",
            Self::AlarmNotification => "AlarmNotification",
            Self::HealthCheck => "HealthCheck",
            Self::InstanceRefresh => "InstanceRefresh",
            Self::Launch => "Launch",
            Self::RemoveFromLoadBalancerLowPriority => "RemoveFromLoadBalancerLowPriority",
            Self::ReplaceUnhealthy => "ReplaceUnhealthy",
            Self::ScheduledActions => "ScheduledActions",
            Self::Terminate => "Terminate",
        }
    }

    /// The one that Auto Scaling calls so.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.word() == word)
    }
}
