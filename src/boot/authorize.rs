//! Lets the controller's keys in on a build agent.
//!
//! Only the public half is ever asked for; with it, in the same call, the host key that all agents of
//! a pool share. The keys get a file of their own, which sshd reads beside the user's; what was let in
//! before stays until there is something better.

use std::sync::Arc;

use anyhow::Context as _;
use camino::Utf8Path;

use super::context::Context;
use super::site::Site;
use crate::aws::ssm;
use crate::error::Fault;
use crate::event::Outcome;
use crate::host::HostConfig;
use crate::keys::ask::{Trouble, Wanted, ask, warnings};
use crate::keys::public::ED25519;
use crate::keys::{POOL_SETTING, PrivateKey, PublicKey, host_key_of, lines};
use crate::sys::atomic;

const STEP: &str = "keys";

/// Where sshd looks for more keys than a user has at home.
pub(super) const FOLDER: &str = "etc/ssh/authorized_keys.d";

pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let site = Site::of(&context, STEP).await?;
    let host_key = host_key(site.config);
    match take(&site, host_key.as_deref()).await? {
        Taken::Letting(outcome, values) => {
            let key = host_key.map(|name| host_key_in(&name, &values)).transpose()?;
            let first = context.host_key.set(key).is_ok();
            debug_assert!(first, "this step runs once");
            super::timer::set(&site).await;
            Ok(outcome)
        }
        Taken::Kept(why) => Ok(Outcome::Skipped(why)),
    }
}

/// The parameter with the private host key of this agent's pool.
pub(super) fn host_key(config: &HostConfig) -> Option<String> {
    let agent = &config.agent;
    let pool = agent.pool.as_deref()?;
    Some(agent.host_key.clone().unwrap_or_else(|| host_key_of(pool)))
}

/// The host key of the pool, which is always of the kind that sshd is told to use.
fn host_key_in(name: &str, values: &ssm::Values) -> Result<PrivateKey, Fault> {
    let key = PrivateKey::read(values.get(name).unwrap_or_default()).map_err(|wrong| {
        Fault::aws(format!("the parameter `{name}` {wrong}")).hint(wrong.hint())
    })?;
    if key.public().is_some_and(|public| public.kind() == ED25519) {
        return Ok(key);
    }
    Err(Fault::aws(format!("the parameter `{name}` holds no host key of the kind {ED25519}"))
        .hint("hostkit keys generate --pool POOL makes one"))
}

/// What came of asking.
#[derive(Debug)]
pub(super) enum Taken {
    /// These keys are let in; and all that was asked for.
    Letting(Outcome, ssm::Values),
    /// The store cannot be asked, and the keys that were good before still are.
    Kept(String),
}

/// Asks for the keys, and for the parameter `host_key` with them, and lets the keys in.
pub(super) async fn take(site: &Site<'_>, host_key: Option<&str>) -> anyhow::Result<Taken> {
    let name = site.config.keys.public.as_str();
    let path = site.machine.path(FOLDER).join(&site.config.agent.user);
    let mut wanted = vec![Wanted::plain(name, "`keys.public`")];
    wanted.extend(host_key.map(|name| Wanted::secret(name, POOL_SETTING)));
    match ask(site.aws, &wanted, site.budget).await {
        Ok(values) => {
            for line in warnings(&wanted, &values) {
                site.events.log(site.step, line);
            }
            let text = values.get(name).unwrap_or_default();
            Ok(Taken::Letting(let_in(site, name, text, &path)?, values))
        }
        Err(Trouble::Passing(problem)) if has_keys(&path) => {
            site.events.log(site.step, problem.to_string());
            let what = "Parameter Store cannot be asked: the keys of an earlier boot stay";
            Ok(Taken::Kept(what.to_owned()))
        }
        Err(trouble) => Err(Fault::from(trouble).into()),
    }
}

/// Writes the keys of the parameter `name`, which are in `text`, to `path`.
fn let_in(site: &Site<'_>, name: &str, text: &str, path: &Utf8Path) -> anyhow::Result<Outcome> {
    let (keys, wrong) = lines(text);
    for (number, why) in wrong {
        site.events.log(site.step, format!("line {number} of `{name}` is left out: {why}"));
    }
    if keys.is_empty() {
        return Err(no_keys(name, text).into());
    }
    let options = options(&site.config.agent.from);
    let lines: Vec<_> = keys.iter().map(|key| format!("{options} {}", key.line())).collect();
    let folder = site.machine.path(FOLDER);
    atomic::make_directory(&folder, 0o755).with_context(|| format!("making {folder}"))?;
    let changed = atomic::write(path, (lines.join("\n") + "\n").as_bytes(), 0o644)
        .with_context(|| format!("writing {path}"))?;
    if changed {
        let prints: Vec<_> = keys.iter().map(PublicKey::fingerprint).collect();
        site.events.log(site.step, format!("let in: {}", prints.join(", ")));
    }
    Ok(Outcome::changed(changed))
}

fn no_keys(name: &str, value: &str) -> Fault {
    let fault = Fault::aws(format!("the parameter `{name}` holds no public key"));
    if value.contains("PRIVATE KEY") {
        fault.hint("it holds a private one: an agent must not be able to read that")
    } else {
        fault.hint(
            "one a line, as `ssh-ed25519 AAAA… comment`; whom it let in before, it still does",
        )
    }
}

/// What the controller may do with its keys: run programs and copy files, and nothing else.
fn options(from: &[String]) -> String {
    match from {
        [] => "restrict".to_owned(),
        from => format!("restrict,from=\"{}\"", from.join(",")),
    }
}

fn has_keys(path: &Utf8Path) -> bool {
    std::fs::read_to_string(path).is_ok_and(|text| !text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_controller_comes_from_is_an_option_of_its_keys() {
        assert_eq!(options(&[]), "restrict");
        let from = ["10.0.0.0/16".to_owned(), "10.1.0.0/16".to_owned()];
        assert_eq!(options(&from), "restrict,from=\"10.0.0.0/16,10.1.0.0/16\"");
    }
}
