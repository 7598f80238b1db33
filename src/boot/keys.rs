//! The controller's secrets: from Parameter Store to files that only root and systemd can read.
//!
//! One batched call. The files lie on tmpfs, never on EFS; `LoadCredential=` hands them to Jenkins.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Context as _;

use super::context::Context;
use crate::aws::ssm;
use crate::error::Fault;
use crate::event::Outcome;
use crate::sys::atomic;

pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let config = context.config();
    let (keys, jenkins) = (&config.keys, &config.jenkins);
    let aws = context.aws().await?;
    let names = [keys.private.as_str(), &keys.public, &jenkins.security.admin_password];
    let found = ssm::parameters(aws, &names).await.map_err(Fault::from)?;
    if !found.missing.is_empty() {
        let region = aws.region().map_or("this region", |region| region.as_ref());
        return Err(missing(&found.missing, region, &jenkins.security.admin_password).into());
    }
    let value = |name: &str| {
        let value = found.values.get(name).filter(|value| !value.trim().is_empty());
        value.ok_or_else(|| Fault::aws(format!("the parameter `{name}` is empty")))
    };
    let private = value(&keys.private)?;
    if !private.trim_start().starts_with("-----BEGIN ") {
        return Err(Fault::aws(format!("the parameter `{}` is not a private key", keys.private))
            .hint("it must hold the whole file, from `-----BEGIN` on")
            .into());
    }
    let machine = &context.machine;
    atomic::make_directory(&machine.run("secrets"), 0o700).context("making the secrets' folder")?;
    // OpenSSH refuses a private key whose last line has no end; Parameter Store's console cuts it.
    let private = zeroize::Zeroizing::new(format!("{}\n", private.trim_end()));
    let mut outcome = Outcome::Unchanged;
    for (name, value, mode) in [
        ("secrets/agent_key", private.as_str(), 0o400),
        ("secrets/admin_password", value(&jenkins.security.admin_password)?, 0o400),
        ("agent_key.pub", value(&keys.public)?, 0o444),
    ] {
        let changed = atomic::write(&machine.run(name), value.as_bytes(), mode)
            .with_context(|| format!("writing /run/hostkit/{name}"))?;
        outcome = outcome.and(Outcome::changed(changed));
    }
    context.news.fetch_or(outcome == Outcome::Changed, Ordering::Relaxed);
    Ok(outcome)
}

fn missing(names: &[String], region: &str, password: &str) -> Fault {
    let key = if names.iter().any(|name| name == password) {
        "`jenkins.security.admin_password`"
    } else {
        "[keys]"
    };
    let list: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    let (noun, verb) = if list.len() == 1 { ("parameter", "does") } else { ("parameters", "do") };
    Fault::aws(format!("the {noun} {} {verb} not exist in {region}", list.join(", "))).hint(
        format!(
            "create it in Parameter Store of this region, or name another one in {key} of host.toml"
        ),
    )
}
