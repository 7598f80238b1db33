//! What this host is told to be: read strictly, so that a misspelt key is found at the first boot.

use std::sync::Arc;

use super::context::Context;
use crate::error::Fault;
use crate::event::Outcome;
use crate::host::{self, EcsAgent, HostConfig, Role};

#[expect(clippy::unused_async, reason = "every row of the table has the same shape")]
pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let texts = &context.must_know().texts;
    for text in [&texts.image, &texts.user_data] {
        text.as_ref().map_err(Clone::clone)?;
    }
    let path = context.config_file.as_str();
    let config = host::read(&texts.layers(path))?;
    check(&config, path)?;
    let first = context.config.set(config).is_ok();
    debug_assert!(first, "this step runs once");
    Ok(Outcome::Unchanged)
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
