//! `hostkit agents refresh`: what a timer runs on a controller that serves.

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::farewell::{self, Left, Moving};
use super::{find, render};
use crate::aws::{self, imds::Imds};
use crate::boot::context::Machine;
use crate::boot::render::FOLDER;
use crate::error::Fault;
use crate::event::{Events, Outcome};
use crate::facts::{Facts, Identity};
use crate::host::{self, HostConfig, Role};
use crate::jenkins::fleet::Place;
use crate::jenkins::offline::Farewell;
use crate::jenkins::{Client, Tokens, Trouble, casc};
use crate::sys::atomic;

/// The name of the step, in what it tells.
pub(super) const STEP: &str = "agents";

/// So long it stays while agents leave, so that each is let go as soon as its builds have ended. The
/// timer starts the next one.
const STAYS: Duration = Duration::from_mins(4);

/// Tells Jenkins which agents there are, if others are there than it knows; and takes those offline
/// that are about to go, for as long as they wait for their builds.
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
    if !machine.run(FOLDER).join(casc::FLEET).exists() {
        return Ok(Outcome::Skipped("this boot has not rendered Jenkins' files".to_owned()));
    }
    let desk = Desk::new(machine, events, config).await?;
    let mut farewell = Farewell::default();
    let mut told = BTreeSet::new();
    let mut changed = false;
    let until = tokio::time::Instant::now() + STAYS.min(machine.step_limit);
    loop {
        let found = find::all(&desk.aws, &desk.config.jenkins.pools, None).await?;
        let news = found.told.iter().filter(|line| told.insert((*line).clone()));
        news.for_each(|line| events.log(STEP, line));
        let text = render(&desk.config, Some(&found), &desk.place());
        let reloaded = desk.tell(&text).await;
        // Also where Jenkins has not read the rest: what runs on an agent that goes is worth more.
        let moving = Moving::of(&found);
        let pause = machine.pause;
        let went = farewell::watch(&desk.client, &mut farewell, &moving, pause, events).await;
        changed |= reloaded?;
        let went = match went {
            Ok(went) => went,
            // Nobody waits for it: a Jenkins that starts is no trouble.
            Err(trouble) if moving.is_idle() => {
                tracing::debug!(%trouble, "whether an agent was given back is not known");
                return Ok(Outcome::changed(changed));
            }
            Err(trouble) => return Err(refused(trouble).into()),
        };
        changed |= went.changed;
        if went.left == Left::Nobody || tokio::time::Instant::now() >= until {
            return Ok(Outcome::changed(changed));
        }
    }
}

/// Without the right, agents go when their time is over.
fn refused(trouble: Trouble) -> Fault {
    if matches!(trouble, Trouble::Refused { .. }) {
        let what = format!("agents that go are not taken offline: {trouble}");
        return Fault::step(what).hint(
            "hostkit's user in Jenkins needs Agent/Connect and Agent/Disconnect, see docs/jenkins.md",
        );
    }
    trouble.into()
}

/// What does not change while it stays.
struct Desk<'a> {
    machine: &'a Machine,
    events: &'a Events,
    config: HostConfig,
    identity: Identity,
    region: String,
    aws: aws_config::SdkConfig,
    client: Client,
}

impl<'a> Desk<'a> {
    async fn new(
        machine: &'a Machine,
        events: &'a Events,
        config: HostConfig,
    ) -> anyhow::Result<Self> {
        let facts = Facts::read(&machine.root)?;
        let identity = Identity::kept(&machine.root, &facts.boot_id)?;
        let region = config.aws.region.clone().unwrap_or_else(|| identity.region.clone());
        let imds = Imds::new(machine.imds.as_deref(), machine.imds_budget)?;
        let role = imds.role().await?;
        let aws = aws::config(&region, config.aws.endpoint_url.as_deref(), &imds, &role);
        let tokens = Tokens::read(&machine.run("secrets")).context("reading hostkit's tokens")?;
        let user = &config.jenkins.security.hostkit_user;
        let client = Client::new(machine.jenkins, user, &tokens);
        Ok(Self { machine, events, config, identity, region, aws, client })
    }

    fn place(&self) -> Place<'_> {
        let address = IpAddr::V4(self.identity.private_ip);
        Place { region: &self.region, account: &self.identity.account_id, address }
    }

    /// Has Jenkins read `text`, if it is not what it has. Says whether it has read it now.
    async fn tell(&self, text: &str) -> anyhow::Result<bool> {
        let path = self.machine.run(FOLDER).join(casc::FLEET);
        let before = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        if before == text {
            return Ok(false);
        }
        put(&path, text)?;
        if let Err(trouble) = self.client.reload().await {
            put(&path, &before)?;
            return Err(Fault::from(trouble).into());
        }
        let nodes = text.matches("    - permanent:\n").count();
        let line = format!("Jenkins has read its configuration again, with {nodes} agents");
        self.events.log(STEP, line);
        Ok(true)
    }
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

fn put(path: &camino::Utf8Path, text: &str) -> anyhow::Result<()> {
    atomic::write(path, text.as_bytes(), 0o644).map(drop).with_context(|| format!("writing {path}"))
}
