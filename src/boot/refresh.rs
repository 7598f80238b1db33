//! Reads the keys of this host again while it serves: `hostkit keys refresh`, run by
//! `hostkit-keys.timer`.
//!
//! An agent lets in what the list says now. A controller writes its secrets anew and has Jenkins read
//! them, without a restart. What this host is was told to its boot, which has left it on `/run`.

use std::fs;
use std::io;
use std::time::Duration;

use anyhow::Context as _;

use super::context::Machine;
use super::keys::{self, Given};
use super::secrets::{Secrets, write};
use super::site::Site;
use super::{authorize, credentials, render};
use crate::aws::{self, imds::Imds};
use crate::error::Fault;
use crate::event::Events;
use crate::facts::{Facts, Identity};
use crate::host::{self, HostConfig, Role};
use crate::jenkins::{Client, Tokens};
use crate::keys::ask::PATIENCE;
use crate::sys::{Runner, atomic, systemd};

const STEP: &str = "keys";

/// The user of hostkit in Jenkins. A reload goes by another token, so the name does not matter.
const USER: &str = "hostkit";

/// Says that Jenkins has not read secrets yet that were written: a run may be killed in between.
const PENDING: &str = "keys-pending";

/// The service that asks has a minute more.
const METADATA: Duration = Duration::from_secs(30);

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Everything is as it was.
    None,
    /// Keys have changed, and whoever uses them has them.
    Taken,
    /// Parameter Store could not be asked: what was good before stays.
    Kept,
    /// Secrets have changed, and Jenkins will have them later.
    Later,
}

/// Reads the keys again.
pub async fn refresh(machine: &Machine, events: &Events) -> anyhow::Result<News> {
    let config = told(machine)?;
    if config.keys.refresh == 0 {
        return Ok(News::None);
    }
    let boot_id = Facts::read(&machine.root)?.boot_id;
    let identity = Identity::kept(&machine.root, &boot_id)?;
    let imds = Imds::new(machine.imds.as_deref(), machine.imds_budget.min(METADATA))?;
    let role = imds.role().await?;
    let region = config.aws.region.as_deref().unwrap_or(&identity.region);
    let aws = aws::config(region, config.aws.endpoint_url.as_deref(), &imds, &role);
    let budget = PATIENCE.min(machine.step_limit);
    let site = Site { machine, config: &config, aws: &aws, events, step: STEP, budget };
    match config.role {
        Some(Role::Agent) => agent(&site).await,
        Some(Role::Controller) => controller(&site).await,
        Some(Role::Ecs) | None => Ok(News::None),
    }
}

/// What this host was told to be.
fn told(machine: &Machine) -> anyhow::Result<HostConfig> {
    let path = machine.path(host::EFFECTIVE);
    let text = fs::read_to_string(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Fault::environment("this host has not booted yet")
            .hint("hostkit status; systemctl start hostkit-boot"),
        _ => Fault::environment(format!("{path} cannot be read: {error}")),
    })?;
    Ok(host::effective(&text)?)
}

async fn agent(site: &Site<'_>) -> anyhow::Result<News> {
    use crate::event::Outcome;
    Ok(match authorize::take(site, None).await? {
        authorize::Taken::Letting(Outcome::Changed, _) => News::Taken,
        authorize::Taken::Letting(..) => News::None,
        authorize::Taken::Kept(why) => {
            site.events.log(STEP, why);
            News::Kept
        }
    })
}

async fn controller(site: &Site<'_>) -> anyhow::Result<News> {
    let machine = site.machine;
    let given = keys::get(site).await?;
    let secrets = Secrets::open(machine)?;
    let news = given.news(&secrets);
    let pending = machine.run(PENDING);
    if !news.is_empty() {
        site.events.log(STEP, format!("changed: {}", news.join(", ")));
        // Before the secrets: afterwards nothing would tell that Jenkins has older ones.
        let before = fs::read_to_string(&pending).unwrap_or_default();
        write(&pending, format!("{before}{}\n", news.join("\n")).as_bytes(), 0o600)?;
    }
    given.put(site, &secrets)?;
    let Ok(text) = fs::read_to_string(&pending) else { return Ok(News::None) };
    let names: Vec<&str> = text.lines().collect();
    hand_over(site, &given, &names).await
}

/// Has Jenkins take the secrets `names`.
async fn hand_over(site: &Site<'_>, given: &Given, names: &[&str]) -> anyhow::Result<News> {
    let machine = site.machine;
    let done = || fs::remove_file(machine.run(PENDING)).context("forgetting what was pending");
    match state(&machine.runner).await?.as_str() {
        // It reads them when it starts.
        "inactive" | "failed" => return done().map(|()| News::Taken),
        "active" => {}
        state => {
            let what = format!("Jenkins is {state}: it is given the new secrets when it is up");
            site.events.log(STEP, what);
            return Ok(News::Later);
        }
    }
    credentials::copy(machine, given.values().filter(|(name, _)| names.contains(name)))?;
    let folder = machine.run(render::FOLDER);
    for entry in folder.read_dir_utf8().with_context(|| format!("reading {folder}"))? {
        let path = entry.context("reading Jenkins' configuration")?.into_path();
        if matches!(path.extension(), Some("yaml" | "yml")) && path.is_file() {
            let text = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
            let text = credentials::refer_to_copies(machine, &text);
            let wrote = atomic::write(&path, text.as_bytes(), 0o644);
            wrote.with_context(|| format!("writing {path}"))?;
        }
    }
    reload(machine).await.context("having Jenkins take the new secrets")?;
    site.events.log(STEP, "Jenkins has read them");
    done().map(|()| News::Taken)
}

async fn state(runner: &Runner) -> anyhow::Result<String> {
    let mut shown = systemd::show(runner, super::jenkins::UNIT, &["ActiveState"]).await?;
    Ok(shown.remove("ActiveState").unwrap_or_default())
}

/// Has the running Jenkins read its configuration again.
async fn reload(machine: &Machine) -> anyhow::Result<()> {
    let tokens = Tokens::read(&machine.run("secrets")).map_err(|error| {
        Fault::environment(format!("hostkit's token for Jenkins cannot be read: {error}"))
            .hint("systemctl restart jenkins has it take the new secrets")
    })?;
    let client = Client::new(machine.jenkins, USER, &tokens);
    client.reload().await.map_err(|trouble| {
        let fault = Fault::step(format!("Jenkins did not take them: {trouble}"));
        fault.hint("the timer tries again; systemctl restart jenkins does it, too").into()
    })
}
