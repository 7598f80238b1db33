//! What a host is told to be: the types of `host.toml`.
//!
//! The image carries `/etc/hostkit/host.toml`; an instance's user-data has the same format and
//! wins key by key; three tags of the instance win over both, each for its own key. Pure: it reads text and never files, and knows nothing of machines or of AWS.
//! Unknown keys are errors, because a misspelt key that is ignored is found out in production.

mod agent;
mod alb;
mod asg;
mod aws;
mod check;
mod drain;
mod ecs;
mod efs;
mod jenkins;
mod keys;
mod layer;
mod lease;
mod logs;
mod tag;
mod value;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use agent::Agent;
pub use alb::{Alb, AlbMode};
pub use asg::{Asg, OnFailure};
pub use aws::Aws;
pub use check::{Missing, Part, Refused, is_region, missing, refused};
pub use drain::{Drain, Guard};
pub use ecs::{Ecs, EcsAgent};
pub use efs::{Efs, Mount};
pub use jenkins::{Cloud, Jenkins, Pool, Security, SecurityMode};
pub use keys::{Keys, Login};
pub use layer::{
    Layer, Told, effective, login_user, merge, read, role, section, to_effective, told,
};
pub use lease::{Lease, LeasePolicy};
pub use logs::Logs;
pub use tag::Tag;
pub use value::{Value, values};

/// Where the image keeps it.
pub const PATH: &str = "/etc/hostkit/host.toml";

/// Where a boot leaves what it was told after all layers, for those that run later.
pub const EFFECTIVE: &str = "/run/hostkit/host.toml";

/// Where the home of the controller is mounted.
pub const HOME: &str = "/var/lib/jenkins";

/// What a host is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The one Jenkins controller on its EFS home.
    Controller,
    /// A build agent.
    Agent,
    /// An ECS container host.
    Ecs,
}

impl Role {
    /// Its name, as in `host.toml`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Controller => "controller",
            Self::Agent => "agent",
            Self::Ecs => "ecs",
        }
    }
}

/// A whole `host.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HostConfig {
    /// What the host is for. Required, in the image or in user-data.
    pub role: Option<Role>,
    /// Where AWS is.
    pub aws: Aws,
    /// The Auto Scaling group.
    pub asg: Asg,
    /// The load balancer in front.
    pub alb: Alb,
    /// The file system of the home.
    pub efs: Efs,
    /// Further file systems.
    pub mount: Vec<Mount>,
    /// Who may serve the home.
    pub lease: Lease,
    /// The key pair for build agents.
    pub keys: Keys,
    /// What Jenkins' configuration finds as `${NAME}`: a name to the SSM parameter with the value.
    pub secrets: BTreeMap<String, String>,
    /// Who may log in.
    pub login: Login,
    /// The controller.
    pub jenkins: Jenkins,
    /// A build agent.
    pub agent: Agent,
    /// A container host.
    pub ecs: Ecs,
    /// How the host goes.
    pub drain: Drain,
    /// What is watched while it serves.
    pub guard: Guard,
    /// Where its journal goes.
    pub logs: Logs,
}
