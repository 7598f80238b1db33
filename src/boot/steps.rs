//! The table of steps: the documentation of a boot, and what is run.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;

use super::context::Context;
use super::{
    config, guard, home, identity, jenkins, keys, lifecycle, login, mount, plugins, ready, render,
};
use crate::event::Outcome;

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

/// What a controller does.
pub static CONTROLLER: &[Step] = &[
    Step {
        name: "identity",
        title: "asking the metadata service who this is",
        after: &[],
        timeout: Duration::from_secs(330),
        required: true,
        run: |context| identity::run(context).boxed_local(),
    },
    Step {
        name: "config",
        title: "reading what this host is to be",
        after: &["identity"],
        timeout: Duration::from_secs(10),
        required: true,
        run: |context| config::run(context).boxed_local(),
    },
    Step {
        name: "login",
        title: "installing the key pair of the instance",
        after: &["config"],
        timeout: Duration::from_mins(1),
        // Nobody may be able to log in, and Jenkins still serves.
        required: false,
        run: |context| login::run(context).boxed_local(),
    },
    Step {
        name: "hook",
        title: "finding the launch hook",
        // Not after `config`: the group must be told of a wrong configuration too.
        after: &["identity"],
        timeout: Duration::from_mins(3),
        required: true,
        run: |context| lifecycle::find(context).boxed_local(),
    },
    Step {
        name: "keys",
        title: "getting keys from Parameter Store",
        after: &["config"],
        timeout: Duration::from_mins(3),
        required: true,
        run: |context| keys::run(context).boxed_local(),
    },
    Step {
        name: "efs",
        title: "mounting the home",
        after: &["config"],
        timeout: Duration::from_mins(5),
        required: true,
        run: |context| mount::run(context).boxed_local(),
    },
    Step {
        name: "guard",
        title: "making sure that nobody else holds the home",
        after: &["efs"],
        timeout: Duration::from_mins(2),
        required: true,
        run: |context| guard::run(context).boxed_local(),
    },
    Step {
        name: "home",
        title: "preparing the home",
        after: &["guard"],
        timeout: Duration::from_mins(2),
        required: true,
        run: |context| home::run(context).boxed_local(),
    },
    Step {
        name: "plugins",
        title: "putting the plugins of the image into the home",
        after: &["home"],
        timeout: Duration::from_mins(11),
        required: true,
        run: |context| plugins::run(context).boxed_local(),
    },
    Step {
        name: "render",
        title: "rendering the configuration of Jenkins",
        after: &["home", "keys"],
        timeout: Duration::from_secs(30),
        required: true,
        run: |context| render::run(context).boxed_local(),
    },
    Step {
        name: "jenkins",
        title: "starting Jenkins",
        after: &["render", "plugins"],
        timeout: Duration::from_mins(20),
        required: true,
        run: |context| jenkins::run(context).boxed_local(),
    },
    Step {
        name: "ready",
        title: "proving that Jenkins serves from the home",
        after: &["jenkins"],
        timeout: Duration::from_mins(3),
        required: true,
        run: |context| ready::run(context).boxed_local(),
    },
    Step {
        name: "lifecycle",
        title: "telling the group that this host is ready",
        after: &["ready", "hook"],
        timeout: Duration::from_mins(3),
        required: true,
        run: |context| lifecycle::complete(context).boxed_local(),
    },
];
