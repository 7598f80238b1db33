//! The tables of steps, one a role: the documentation of a boot, and what is run.
//!
//! A name that stands in several tables means the same job of a host, and is as important in each.

mod agent;
mod controller;
mod ecs;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;

use super::context::Context;
use super::{config, hostname, identity, lifecycle, login, mount};
use crate::event::Outcome;
use crate::host::Role;

/// One job of a boot.
#[derive(Debug)]
pub struct Step {
    /// Its name, as in `--plan`, in reports and in messages.
    pub name: &'static str,
    /// What it does, for people.
    pub title: &'static str,
    /// What must have succeeded before.
    pub after: &'static [&'static str],
    /// How long it may take.
    pub timeout: Duration,
    /// Whether the boot fails with it.
    pub required: bool,
    /// Does it.
    pub run: fn(Arc<Context>) -> LocalBoxFuture<'static, anyhow::Result<Outcome>>,
}

/// What every host does before it knows its role.
pub static FIRST: &[Step] = &[IDENTITY];

/// What is left for a host that nothing tells its role: its `config` fails, and the group is told.
static WITHOUT_ROLE: &[Step] = &[IDENTITY, HOSTNAME, CONFIG, LOGIN, HOOK];

/// What a host of this role does; `None` is a host that nothing tells its role.
pub fn table(role: Option<Role>) -> &'static [Step] {
    match role {
        Some(Role::Controller) => controller::TABLE,
        Some(Role::Agent) => agent::TABLE,
        Some(Role::Ecs) => ecs::TABLE,
        None => WITHOUT_ROLE,
    }
}

/// The steps of all tables.
pub fn all() -> impl Iterator<Item = &'static Step> {
    controller::TABLE.iter().chain(agent::TABLE).chain(ecs::TABLE)
}

const IDENTITY: Step = Step {
    name: "identity",
    title: "asking the metadata service who this is",
    after: &[],
    timeout: Duration::from_secs(330),
    required: true,
    run: |context| identity::run(context).boxed_local(),
};

const HOSTNAME: Step = Step {
    name: "hostname",
    title: "naming this host as EC2 does",
    after: &["identity"],
    timeout: Duration::from_mins(1),
    // Where the name cannot be set it is degraded, and what comes after it goes on.
    required: true,
    run: |context| hostname::run(context).boxed_local(),
};

/// The name of the step that reads what this host is to be.
pub const CONFIG_STEP: &str = "config";

const CONFIG: Step = Step {
    name: CONFIG_STEP,
    title: "reading what this host is to be",
    after: &["identity"],
    timeout: Duration::from_secs(10),
    required: true,
    run: |context| config::run(context).boxed_local(),
};

const LOGIN: Step = Step {
    name: "login",
    title: "installing the key pair of the instance",
    // Not after `config`: whoever puts a wrong configuration right must get in.
    after: &["identity"],
    timeout: Duration::from_mins(1),
    // Nobody may be able to log in, and the host still serves.
    required: false,
    run: |context| login::run(context).boxed_local(),
};

const HOOK: Step = Step {
    name: "hook",
    title: "finding the launch hook",
    // Not after `config`: the group must be told of a wrong configuration too.
    after: &["identity"],
    timeout: Duration::from_mins(3),
    required: true,
    run: |context| lifecycle::find(context).boxed_local(),
};

/// Those at whose place containers and builds look come before them.
const MOUNTS: Step = Step {
    name: "mounts",
    title: "mounting the further file systems",
    after: &["config"],
    timeout: Duration::from_mins(5),
    required: true,
    run: |context| mount::several::run(context).boxed_local(),
};

/// The last step of every table, after what `after` names.
const fn lifecycle(after: &'static [&'static str]) -> Step {
    Step {
        name: "lifecycle",
        title: "telling the group that this host is ready",
        after,
        timeout: Duration::from_mins(3),
        required: true,
        run: |context| lifecycle::complete(context).boxed_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_as_important_in_every_table() {
        for step in all() {
            let mut same = all().filter(|other| other.name == step.name);
            assert!(same.all(|other| other.required == step.required), "{}", step.name);
        }
    }
}
