//! The controller's secrets: from Parameter Store to files that only root and systemd can read.
//!
//! One batched call, in which a boot asks for the host keys of the pools, too. The files lie on tmpfs, never on EFS; `LoadCredential=` hands them to Jenkins.
//! Nothing of an earlier boot is used where the store cannot be asked: there is none.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use zeroize::Zeroizing;

use super::context::Context;
use super::secrets::{self, Secrets};
use super::site::Site;
use super::{agents, credentials};
use crate::aws::ssm;
use crate::error::Fault;
use crate::event::Outcome;
use crate::host::{HostConfig, SecurityMode};
use crate::keys::ask::{Wanted, ask_along, warnings};
use crate::keys::{PrivateKey, PublicKey, lines};

const STEP: &str = "keys";

/// The names under which Jenkins finds its own two.
pub(super) const AGENT_KEY: &str = "agent_key";
const ADMIN_PASSWORD: &str = "admin_password";

/// What a controller was given, checked and not written yet.
pub(super) struct Given {
    secrets: BTreeMap<String, Zeroizing<String>>,
    public: String,
}

pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let site = Site::of(&context, STEP).await?;
    let pools = agents::parameters(&site.config.jenkins.pools);
    let (given, found) = get_along(&site, &pools).await?;
    if let Some(found) = found {
        let _ = context.pool_keys.set(found);
    }
    let secrets = Secrets::open(site.machine)?;
    let mut outcome = Outcome::changed(given.put(&site, &secrets)?);
    context.news.fetch_or(outcome == Outcome::Changed, Ordering::Relaxed);
    let listed = credentials::list(site.machine, &names(site.config))?;
    outcome = outcome.and(Outcome::changed(listed));
    super::timer::set(&site).await;
    Ok(outcome)
}

/// Gets and checks everything.
pub(super) async fn get(site: &Site<'_>) -> anyhow::Result<Given> {
    get_along(site, &[]).await.map(|(given, _)| given)
}

/// The same, and in the same call the parameters `also`, as far as they are there. `None` where they
/// were not asked for.
async fn get_along(
    site: &Site<'_>,
    also: &[String],
) -> anyhow::Result<(Given, Option<BTreeMap<String, String>>)> {
    let wanted = wanted(site.config);
    let (values, along) =
        ask_along(site.aws, &wanted, also, site.budget).await.map_err(Fault::from)?;
    let found = |name: &String| Some((name.clone(), values.get(name)?.to_owned()));
    let found = along.then(|| also.iter().filter_map(found).collect());
    for line in warnings(&wanted, &values) {
        site.events.log(site.step, line);
    }
    let keys = &site.config.keys;
    let private = private(site, &keys.private, &values)?;
    let public = values.get(&keys.public).unwrap_or_default().to_owned();
    check_list(site, &private, &public);
    let mut secrets = BTreeMap::new();
    secrets.insert(AGENT_KEY.to_owned(), Zeroizing::new(private.text().to_owned()));
    for (name, parameter) in named(site.config) {
        let value = values.get(parameter).unwrap_or_default();
        secrets.insert(name.to_owned(), Zeroizing::new(value.to_owned()));
    }
    Ok((Given { secrets, public }, found))
}

impl Given {
    /// The names of those that are not there yet, or with another value.
    pub(super) fn news(&self, secrets: &Secrets) -> Vec<String> {
        let is_new = |(name, value): &(&String, &Zeroizing<String>)| !secrets.has(name, value);
        self.secrets.iter().filter(is_new).map(|(name, _)| name.clone()).collect()
    }

    /// Writes all of them. Says whether any was not there already.
    pub(super) fn put(&self, site: &Site<'_>, secrets: &Secrets) -> anyhow::Result<bool> {
        let mut changed = false;
        for (name, value) in &self.secrets {
            changed |= secrets.put(name, value)?;
        }
        changed |= credentials::renew(site.machine, self.values())?;
        let public = site.machine.run("agent_key.pub");
        Ok(changed | secrets::write(&public, self.public.as_bytes(), 0o444)?)
    }

    /// The names and values.
    pub(super) fn values(&self) -> impl Iterator<Item = (&str, &str)> {
        self.secrets.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

fn wanted(config: &HostConfig) -> Vec<Wanted> {
    let keys = &config.keys;
    let mut wanted =
        vec![Wanted::secret(&keys.private, "[keys]"), Wanted::plain(&keys.public, "[keys]")];
    wanted.extend(named(config).into_iter().map(|(name, parameter)| {
        let own = name == ADMIN_PASSWORD;
        let setting = if own { "jenkins.security".to_owned() } else { "secrets".to_owned() };
        Wanted::secret(parameter, &format!("`{setting}.{name}`"))
    }));
    wanted
}

/// Secrets beside the key: their names for Jenkins, and their parameters.
fn named(config: &HostConfig) -> Vec<(&str, &str)> {
    let security = &config.jenkins.security;
    let password = (ADMIN_PASSWORD, security.admin_password.as_str());
    // The user's own file says where users come from, and may need none.
    let password = (security.mode != Some(SecurityMode::Casc)).then_some(password);
    let others = config.secrets.iter().map(|(name, parameter)| (name.as_str(), parameter.as_str()));
    password.into_iter().chain(others).collect()
}

/// The names of the credentials that not every controller has.
pub(super) fn names(config: &HostConfig) -> Vec<String> {
    named(config).into_iter().map(|(name, _)| name.to_owned()).collect()
}

fn private(site: &Site<'_>, name: &str, values: &ssm::Values) -> Result<PrivateKey, Fault> {
    let key = PrivateKey::read(values.get(name).unwrap_or_default()).map_err(|wrong| {
        Fault::aws(format!("the parameter `{name}` {wrong}")).hint(wrong.hint())
    })?;
    if key.mended {
        let what = format!("the lines of `{name}` end as on Windows; they are mended here");
        site.events.log(site.step, what);
    }
    Ok(key)
}

/// Tells what is wrong with the list. The controller could work with a wrong one: agents read it.
fn check_list(site: &Site<'_>, private: &PrivateKey, list: &str) {
    let name = &site.config.keys.public;
    let (keys, wrong) = lines(list);
    for (number, why) in wrong {
        site.events.log(site.step, format!("line {number} of `{name}` lets nobody in: {why}"));
    }
    let listed = |half: &PublicKey| keys.iter().any(|key| key.is(half));
    if let Some(half) = private.public().filter(|half| !listed(half)) {
        let print = half.fingerprint();
        let what =
            format!("no line of `{name}` is the private key's ({print}): no agent lets it in");
        site.events.log(site.step, what);
    }
}
