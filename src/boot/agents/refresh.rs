//! `hostkit agents refresh`: what a timer runs on a controller that serves.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::time::Instant;

use anyhow::Context as _;

use super::{find, render};
use crate::aws::{self, imds::Imds};
use crate::boot::context::Machine;
use crate::boot::render::FOLDER;
use crate::error::Fault;
use crate::event::{Events, Outcome};
use crate::facts::{Facts, Identity};
use crate::host::{self, HostConfig, Role};
use crate::jenkins::fleet::Place;
use crate::jenkins::{Client, Tokens, casc};
use crate::sys::atomic;

/// The name of the step, in what it tells.
const STEP: &str = "agents";

/// Tells Jenkins which agents there are, if others are there than it knows.
///
/// Where Jenkins does not take it, the file is put back: then the next run tries again, and a Jenkins
/// that is started meanwhile reads what the last one took.
pub async fn refresh(machine: &Machine, events: &Events) -> anyhow::Result<Outcome> {
    events.started(STEP, "telling Jenkins which build agents there are");
    let began = Instant::now();
    let outcome = work(machine, events).await?;
    events.finished(STEP, outcome.clone(), began.elapsed());
    Ok(outcome)
}

async fn work(machine: &Machine, events: &Events) -> anyhow::Result<Outcome> {
    let config = told(machine)?;
    if config.role != Some(Role::Controller) {
        return Ok(Outcome::Skipped("this host is no controller".to_owned()));
    }
    if config.jenkins.pools.is_empty() {
        return Ok(Outcome::Skipped("it has no pools of build agents".to_owned()));
    }
    let facts = Facts::read(&machine.root)?;
    let identity = Identity::kept(&machine.root, &facts.boot_id)?;
    let region = config.aws.region.clone().unwrap_or_else(|| identity.region.clone());
    let imds = Imds::new(machine.imds.as_deref(), machine.imds_budget)?;
    let role = imds.role().await?;
    let aws = aws::config(&region, config.aws.endpoint_url.as_deref(), &imds, &role);
    let found = find::all(&aws, &config.jenkins.pools, None).await?;
    found.told.iter().for_each(|line| events.log(STEP, line));
    let address = IpAddr::V4(identity.private_ip);
    let place = Place { region: &region, account: &identity.account_id, address };
    tell(machine, events, &config, &render(&config, Some(&found), &place)).await
}

/// What this host was told to be at boot.
fn told(machine: &Machine) -> anyhow::Result<HostConfig> {
    let path = machine.path(host::EFFECTIVE);
    let text = fs::read_to_string(&path).map_err(|error| {
        Fault::environment(format!("{path} cannot be read: {error}"))
            .hint("`systemctl status hostkit-boot` tells whether this host has booted")
    })?;
    Ok(host::effective(&text)?)
}

async fn tell(
    machine: &Machine,
    events: &Events,
    config: &HostConfig,
    text: &str,
) -> anyhow::Result<Outcome> {
    let path = machine.run(FOLDER).join(casc::FLEET);
    let before = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Outcome::Skipped("this boot has not rendered Jenkins' files".to_owned()));
        }
        other => other.with_context(|| format!("reading {path}"))?,
    };
    if before == text {
        return Ok(Outcome::Unchanged);
    }
    let tokens = Tokens::read(&machine.run("secrets")).context("reading hostkit's tokens")?;
    let client = Client::new(machine.jenkins, &config.jenkins.security.hostkit_user, &tokens);
    put(&path, text)?;
    if let Err(trouble) = client.reload().await {
        put(&path, &before)?;
        return Err(Fault::from(trouble).into());
    }
    let nodes = text.matches("    - permanent:\n").count();
    events.log(STEP, format!("Jenkins has read its configuration again, with {nodes} agents"));
    Ok(Outcome::Changed)
}

fn put(path: &camino::Utf8Path, text: &str) -> anyhow::Result<()> {
    atomic::write(path, text.as_bytes(), 0o644).map(drop).with_context(|| format!("writing {path}"))
}
