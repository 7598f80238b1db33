//! What this host is told to be: read strictly, so that a misspelt key is found at the first boot.

use std::sync::Arc;

use anyhow::Context as _;

use super::context::Context;
use crate::error::Fault;
use crate::event::Outcome;
use crate::host::{self, EcsAgent, HostConfig, Role};
use crate::sys::atomic;

#[expect(clippy::unused_async, reason = "every row of the table has the same shape")]
pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let texts = &context.must_know().texts;
    for text in [&texts.image, &texts.user_data] {
        text.as_ref().map_err(Clone::clone)?;
    }
    let path = context.config_file.as_str();
    let config = host::read(&texts.layers(path))?;
    check(&config, path)?;
    // Those that run later, as the guard, ask neither the image nor the metadata service. A value
    // may be a password, as in `ecs.settings`: for root alone.
    let effective = context.machine.path(host::EFFECTIVE);
    let changed = atomic::write(&effective, host::to_effective(&config).as_bytes(), 0o600)
        .with_context(|| format!("writing {effective}"))?;
    let first = context.config.set(config).is_ok();
    debug_assert!(first, "this step runs once");
    Ok(Outcome::changed(changed))
}

fn check(config: &HostConfig, path: &str) -> Result<(), Fault> {
    let needs = |what: &str, key: &str| {
        Err(Fault::recipe(what).hint(format!("set `{key}` in {path} or in user-data")))
    };
    match config.role {
        None => needs("nothing tells this host its role", "role"),
        Some(Role::Controller) if config.efs.id.is_none() => {
            needs("a controller needs the file system of its home", "efs.id")
        }
        // A host that joins `default` because nobody named a cluster runs what was meant for others.
        Some(Role::Ecs)
            if config.ecs.cluster.is_none() && config.ecs.agent == EcsAgent::Required =>
        {
            needs("a container host needs the cluster that it joins", "ecs.cluster")
        }
        Some(Role::Controller | Role::Agent | Role::Ecs) => Ok(()),
    }
}
