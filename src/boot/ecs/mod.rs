//! A container host: the metadata service kept from its containers, Docker, and the ECS agent.
//!
//! The agent's configuration is written ([`settings`]) and what another instance left is removed
//! ([`state`]) before it is started, and only this starts it: its own unit may come after cloud-init,
//! and whoever starts it from there waits for ever. In a warm pool it is not started ([`pool`]). That
//! it is in its cluster is what it says itself, and what ECS says ([`proof`]). Nothing here drains.

pub(super) mod pool;
pub(super) mod proof;
mod settings;
pub(super) mod state;
mod words;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Context as _;
use tokio::time::Instant;

use super::cadence::Cadence;
use super::context::Context;
use super::permission;
use super::service::Service;
use crate::error::Fault;
use crate::event::Outcome;
use crate::facts::ecs_agent;
use crate::host::EcsAgent;
use crate::sys::atomic;
use settings::Place;

/// The rules that keep containers from the metadata service. Docker needs it, in the image.
const SHIELD: Service =
    Service { step: "shield", unit: "hostkit-shield.service", name: "The shield" };

const DOCKER: Service = Service { step: "docker", unit: "docker.service", name: "Docker" };

const AGENT: Service = Service { step: "ecs", unit: "ecs.service", name: "The ECS agent" };

const JOINED: &str = "joined";

/// What the agent exits with when it will not try again, as after a refused registration.
const TERMINAL: i32 = 5;

const NO_AGENT: &str = "this image has no ECS agent";

pub(super) async fn shield(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let hint =
        "whoever runs a container would have this host's role; recipe `ecs-node` has the unit";
    let before = SHIELD.must_look(&context, hint).await?;
    SHIELD.start(&context, &before).await
}

#[expect(clippy::unused_async, reason = "every row of the table has the same shape")]
pub(super) async fn render(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let known = context.must_know();
    let place = Place {
        region: known.aws.region.as_deref().unwrap_or(&known.identity.region),
        endpoint: known.aws.endpoint_url.as_deref(),
        memory: context.facts.memory,
        warm: pool::may_be_warm(&context),
    };
    let text = settings::render(&context.config().ecs, place);
    let folder = context.machine.path("etc/ecs");
    atomic::make_directory(&folder, 0o755).with_context(|| format!("making {folder}"))?;
    let path = folder.join("ecs.config");
    // A setting may hold the password of a registry.
    let changed =
        atomic::write(&path, text.as_bytes(), 0o600).with_context(|| format!("writing {path}"))?;
    context.news.fetch_or(changed, Ordering::Relaxed);
    Ok(Outcome::changed(changed))
}

pub(super) async fn docker(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let before = DOCKER.must_look(&context, "the recipe must install Docker").await?;
    DOCKER.start(&context, &before).await
}

pub(super) async fn agent(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let Some(before) = AGENT.look(&context).await? else {
        return match context.config().ecs.agent {
            EcsAgent::Optional => Ok(Outcome::Skipped(NO_AGENT.to_owned())),
            EcsAgent::Required => Err(Fault::environment(NO_AGENT)
                .hint("a host without it runs no task; `ecs.agent = \"optional\"` is for one that need not")
                .into()),
        };
    };
    permission::grant(&context.machine)?;
    if !before.is_active() {
        permission::starts(&context, AGENT.unit);
    } else if context.news.load(Ordering::Relaxed) {
        let what = "it runs with what it read before: `systemctl restart ecs` has it take the new \
            configuration";
        context.events.log(AGENT.step, what);
        return Ok(Outcome::Skipped(what.to_owned()));
    }
    let started = AGENT.start(&context, &before).await;
    match (started, AGENT.look(&context).await?) {
        (Err(_), Some(now)) if now.is_down() && now.exit() == Some(TERMINAL) => {
            Err(has_given_up(&context).await?.expect("it is down"))
        }
        (started, _) => started,
    }
}

/// The agent says itself of which cluster it is an instance.
pub(super) async fn joined(context: Arc<Context>) -> anyhow::Result<Outcome> {
    if AGENT.look(&context).await?.is_none() {
        return Ok(Outcome::Skipped(NO_AGENT.to_owned()));
    }
    let wanted = context.config().ecs.cluster.as_deref().unwrap_or(settings::DEFAULT_CLUSTER);
    let until = Instant::now() + context.time_for(JOINED);
    let cadence = Cadence::new(context.machine.pause);
    let mut last = String::new();
    loop {
        let problem = match ecs_agent::ask(context.machine.ecs).await {
            Ok(said) => match said.place_in(wanted)? {
                Some(arn) => {
                    context.events.log(JOINED, arn);
                    return Ok(Outcome::Unchanged);
                }
                None => "it is not registered yet".to_owned(),
            },
            Err(error) => format!("the ECS agent does not answer: {error:#}"),
        };
        if let Some(over) = has_given_up(&context).await? {
            return Err(over);
        }
        if Instant::now() > until {
            let seconds = context.time_for(JOINED).as_secs();
            let what = format!("this host is not in {wanted} after {seconds} s: {problem}");
            let hint = "journalctl -u ecs; /var/log/ecs; the role needs \
                `ecs:RegisterContainerInstance` and what else the managed policy \
                AmazonEC2ContainerServiceforEC2Role has";
            return Err(words::blame(&context.machine, Fault::step(what).hint(hint)));
        }
        if problem != last {
            context.events.log(JOINED, &problem);
            last = problem;
        }
        cadence.pause().await;
    }
}

/// An agent that has ended for good is not waited for; one that systemd starts again is.
async fn has_given_up(context: &Context) -> anyhow::Result<Option<anyhow::Error>> {
    let Some(look) = AGENT.look(context).await? else { return Ok(None) };
    if !look.is_down() {
        return Ok(None);
    }
    let fault = match look.exit() {
        Some(TERMINAL) => Fault::step(format!(
            "the ECS agent has given up (exit status {TERMINAL}): what is wrong does not pass, and it \
             is not started again"
        )),
        _ => Fault::step(format!("the ECS agent has ended: its unit is {}", look.state())),
    };
    Ok(Some(words::blame(&context.machine, fault.hint(words::HINT))))
}
