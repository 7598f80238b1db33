//! What this host is told to be: read strictly, so that a misspelt key is found at the first boot.

use std::sync::Arc;

use anyhow::Context as _;

use super::context::Context;
use super::shipping;
use super::steps::CONFIG_STEP as STEP;
use super::texts::Tags;
use crate::error::Fault;
use crate::event::Outcome;
use crate::host::{self, HostConfig};
use crate::sys::atomic;

pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let texts = &context.must_know().texts;
    if let Some(fault) = texts.fault() {
        return Err(fault.clone().into());
    }
    for line in texts.tags.iter().flat_map(Tags::told) {
        context.events.log(STEP, line);
    }
    let path = context.config_file.as_str();
    let config = host::read(&texts.layers(path))?;
    check(&config, path)?;
    // Those that run later, as the guard, ask neither the image nor the metadata service. A value
    // may be a password, as in `ecs.settings`: for root alone.
    let effective = context.machine.path(host::EFFECTIVE);
    let changed = atomic::write(&effective, host::to_effective(&config).as_bytes(), 0o600)
        .with_context(|| format!("writing {effective}"))?;
    if config.logs.group.is_some() {
        shipping::start(&context).await;
    }
    let first = context.config.set(config).is_ok();
    debug_assert!(first, "this step runs once");
    Ok(Outcome::changed(changed))
}

/// What no host can do without.
fn check(config: &HostConfig, path: &str) -> Result<(), Fault> {
    let missing = host::missing(config);
    let [first, ..] = missing[..] else { return Ok(()) };
    let hints = missing.iter().map(|it| it.hint);
    let hints = hints.collect::<Vec<_>>().join("; ");
    Err(Fault::recipe(first.what).hint(format!("{hints}: in {path} or in user-data")))
}
