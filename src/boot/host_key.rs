//! Gives an agent the host key that all agents of its pool share.
//!
//! The controller knows the public half, so it checks every agent that it logs in on, also one that
//! was replaced a minute ago; nobody ever trusts a key because it is there. Without a pool an agent
//! keeps the key of its own, which `hostkit-ssh-host-keys.service` has made.

use std::sync::Arc;

use anyhow::Context as _;

use super::context::Context;
use super::service::Service;
use crate::error::Fault;
use crate::event::Outcome;
use crate::keys::PublicKey;
use crate::sys::{atomic, systemd};

const STEP: &str = "host-key";

/// The one host key that sshd is told to use, below the root.
const PATH: &str = "etc/ssh/ssh_host_ed25519_key";

/// The names that the SSH server has in distributions.
const UNITS: [&str; 2] = ["ssh.service", "sshd.service"];

pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    if context.config().agent.pool.is_none() {
        return Ok(Outcome::Skipped("it is in no pool: the host has a key of its own".to_owned()));
    }
    let machine = &context.machine;
    let path = machine.path(PATH);
    let key = context.host_key.get().and_then(Option::as_ref);
    let Some((key, public)) = key.and_then(|key| Some((key, key.public()?))) else {
        // The store cannot be asked, or the step before would have failed.
        if path.exists() {
            let what = "Parameter Store cannot be asked: the host key of an earlier boot stays";
            return Ok(Outcome::Skipped(what.to_owned()));
        }
        return Err(Fault::aws("there is no host key, and Parameter Store cannot be asked").into());
    };
    let mut changed = atomic::write(&path, key.text().as_bytes(), 0o600)
        .with_context(|| format!("writing {path}"))?;
    let half = path.with_extension("pub");
    changed |= atomic::write(&half, (public.bare() + "\n").as_bytes(), 0o644)
        .with_context(|| format!("writing {half}"))?;
    if changed {
        context.events.log(STEP, format!("the host key of the pool: {}", public.fingerprint()));
        reload(&context).await?;
    }
    Ok(Outcome::changed(changed))
}

/// Has a server that runs take the key; one that is started later reads it then.
async fn reload(context: &Context) -> anyhow::Result<()> {
    for unit in UNITS {
        let service = Service { step: STEP, unit, name: "SSH" };
        if service.look(context).await?.is_some() {
            let runner = &context.machine.runner;
            return systemd::reload_if_running(runner, unit)
                .await
                .context("having SSH take the key");
        }
    }
    context.events.log(STEP, "this image has no ssh.service and no sshd.service");
    Ok(())
}

/// The public half of the host key that the SSH server of an agent in a pool must show; none where it
/// is in no pool.
pub(super) fn expected(context: &Context) -> anyhow::Result<Option<PublicKey>> {
    if context.config().agent.pool.is_none() {
        return Ok(None);
    }
    let path = context.machine.path(PATH).with_extension("pub");
    let text = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    Ok(Some(PublicKey::parse(&text).with_context(|| format!("{path} is no public key"))?))
}
