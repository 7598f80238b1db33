//! What is to be seen of a group while it is changed: read again before every decision, and nothing of
//! it remembered. Pure.

use std::time::Duration;

use crate::aws::asg::refresh::Refresh;
use crate::aws::asg::{Activity, Crew, Host};
use crate::group::standing::Standing;

use super::Side;
use super::alarms::AlarmStates;
use super::proof::{Beside, Target};

/// See the module. What a phase does not need is not read, and absent.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The group and its hosts.
    pub crew: Crew,
    /// Its refreshes, the newest first.
    pub refreshes: Vec<Refresh>,
    /// What it has done of late, the newest first.
    pub activities: Vec<Activity>,
    /// What its controller says of itself.
    pub standing: Option<Standing>,
    /// How long ago it said that, by AWS's clock; absent where that is not known.
    pub said: Option<Duration>,
    /// The version of the launch template that this rollout has made.
    pub made: Option<i64>,
    /// The version of the launch template that is its default.
    pub default: Option<i64>,
    /// What was last said to the host that was made quiet, by its tag.
    pub tag: Option<String>,
    /// Those target groups of the group that a load balancer uses, and whose targets are instances.
    pub target_groups: Vec<String>,
    /// How the hosts in service are, in each of them.
    pub targets: Vec<Target>,
    /// What those say of the hosts that work with them.
    pub beside: Beside,
    /// How those alarms are that the order names.
    pub alarms: AlarmStates,
    /// Whether `current` and `previous` say what they shall.
    pub pointed: bool,
    /// Whether this rollout is in the history.
    pub recorded: bool,
    /// Whether the lock is there, and this rollout's.
    pub locked: bool,
}

impl Seen {
    /// The newest refresh.
    pub fn newest(&self) -> Option<String> {
        self.refreshes.first().map(|refresh| refresh.id.clone())
    }

    /// The refresh that the group is busy with.
    pub fn active(&self) -> Option<&Refresh> {
        self.refreshes.iter().find(|refresh| refresh.status.is_active())
    }

    /// A host that does not go.
    pub fn staying(&self, id: &str) -> Option<&Host> {
        self.crew.hosts.iter().find(|host| host.id == id && !host.is_leaving())
    }

    /// Whether all hosts are in service as `side` has them, and the group would launch them so.
    pub fn serves(&self, side: &Side) -> bool {
        let is_its = |host: &Host| {
            host.is_in_service()
                && host.version == side.version
                && host.template.as_deref() == Some(&side.template)
        };
        let number = side.version.map(|version| version.to_string());
        self.crew.template.as_deref() == Some(&side.template)
            && self.crew.version == number
            && self.crew.hosts.iter().all(is_its)
            && self.crew.hosts.len() >= self.crew.desired as usize
    }

    /// What the group last failed to do.
    pub fn trouble(&self) -> Option<String> {
        let failed = self.activities.first().filter(|activity| activity.has_failed())?;
        let message = failed.message.as_deref().unwrap_or("AWS does not say why");
        Some(format!("{}: {message}", failed.description))
    }
}
