//! What this host is told to be: read strictly, so that a misspelt key is found at the first boot.

use std::sync::Arc;

use super::context::Context;
use crate::error::Fault;
use crate::event::Outcome;
use crate::host::{self, HostConfig, Role};

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
    match config.role {
        Some(Role::Controller) => {}
        Some(role) => {
            let what = format!("role {role:?} cannot be booted yet").to_lowercase();
            return Err(Fault::recipe(what)
                .hint("this version of hostkit boots `role = \"controller\"` only"));
        }
        None => {
            return Err(Fault::recipe("nothing tells this host its role")
                .hint(format!("set `role = \"controller\"` in {path} or in user-data")));
        }
    }
    if config.efs.id.is_none() {
        return Err(Fault::recipe("a controller needs the file system of its home")
            .hint(format!("set `efs.id` in {path} or in user-data")));
    }
    Ok(())
}
