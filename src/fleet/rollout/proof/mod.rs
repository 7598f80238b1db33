//! The proof that what serves is what shall: what the new host says of itself, what its group says of
//! it, and what the load balancer says. Looked at again and again, until it is proven or cannot be.
//!
//! An HTTP status of 200 is no proof: the old host answers with it, and the setup wizard too.

mod cause;
mod decide;
mod many;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Order, Side, Strategy, Way};
use crate::aws::asg::Crew;
use crate::aws::ecs::Container;
use crate::aws::elb::Health;
use crate::group::standing::{Agents, Proof, Standing};
use crate::host::Role;

pub use cause::Cause;
pub use decide::decide;

/// So long agents have to come back, from the moment in which the new host serves. Fewer than before
/// are a warning then: they are no fault of the image.
pub const AGENTS: Duration = Duration::from_mins(3);

/// What is known of the host that served before anything was done. It stands in the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Before {
    /// Its instance; none where there was none.
    pub instance: Option<String>,
    /// The generation of the lease that it held.
    pub generation: Option<u64>,
    /// The file system of its home.
    pub file_system: Option<String>,
    /// Its build agents.
    pub agents: Option<Agents>,
}

impl Before {
    /// Of what the guard said last, if that was the one of `instance`.
    pub fn of(instance: Option<&str>, standing: Option<&Standing>) -> Self {
        let standing = standing.filter(|standing| Some(standing.instance.as_str()) == instance);
        let proof = standing.and_then(|standing| standing.proof.clone()).unwrap_or_default();
        Self {
            instance: instance.map(str::to_owned),
            generation: proof.generation,
            file_system: proof.file_system,
            agents: proof.agents,
        }
    }
}

/// What must be proven.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// What the hosts are.
    pub role: Role,
    /// What they shall be launched from.
    pub side: &'a Side,
    /// How hosts are replaced.
    pub strategy: Strategy,
    /// Which way it goes: on the way back the host of before may be the one that serves.
    pub way: Way,
    /// What served before.
    pub before: &'a Before,
    /// How long it may take.
    pub patience: Duration,
}

impl<'a> Wanted<'a> {
    /// That of an order.
    pub const fn of(order: &'a Order, way: Way, before: &'a Before) -> Self {
        Self {
            role: order.role,
            side: match way {
                Way::Forward => &order.to,
                Way::Back => &order.from,
            },
            strategy: order.strategy,
            way,
            before,
            patience: Duration::from_secs(order.patience),
        }
    }
}

/// What is seen of a group at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The group and its hosts.
    pub crew: Crew,
    /// What a guard has said last.
    pub standing: Option<Standing>,
    /// How long ago, by AWS's clock; absent where that is not known.
    pub said: Option<Duration>,
    /// The target groups in which all hosts must be well.
    pub target_groups: Vec<String>,
    /// How load balancers find its hosts.
    pub targets: Vec<Target>,
    /// What those say of the hosts that work with them.
    pub beside: Beside,
    /// Since when it is looked at.
    pub looking: Duration,
    /// Since when the new host says that it serves.
    pub serving: Duration,
    /// It was proven, and is watched: nothing more is waited for.
    pub soaking: bool,
}

/// What those say of hosts that work with them. What is not known, or nobody's, is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// What the controller of agents says of itself, if it says anything.
    pub controller: Option<Option<Standing>>,
    /// The hosts of the cluster of container hosts.
    pub cluster: Option<Vec<Container>>,
    /// Hosts that were there before.
    pub former: Vec<String>,
}

/// How a load balancer finds a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The target group.
    pub group: String,
    /// The host.
    pub instance: String,
    /// How it is.
    pub health: Health,
}

/// How far a replacement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The group brings up an instance.
    Boot,
    /// The instance runs, and does not say yet that it serves.
    Ready,
    /// It serves; the rest is looked at.
    Proof,
}

/// What follows from what is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not yet, and what is missing.
    Pending(Stage, String),
    /// It is.
    Proven(Proven),
    /// It never will be.
    Failed(Cause),
}

/// What was proven.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proven {
    /// The hosts that serve.
    pub instances: Vec<String>,
    /// What a controller says of itself.
    pub proof: Option<Proof>,
    /// What somebody should look at nevertheless.
    pub warnings: Vec<String>,
}
