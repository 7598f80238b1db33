//! What ECS itself says of this host. That its agent is registered does not mean that ECS is in
//! touch with it, or that it places tasks here.

use std::sync::Arc;

use tokio::time::Instant;

use super::settings::DEFAULT_CLUSTER;
use super::words;
use crate::aws::Failure;
use crate::aws::ecs::{self, ContainerInstance, State};
use crate::boot::context::Context;
use crate::error::Fault;
use crate::event::Outcome;
use crate::facts::ecs_agent;

const STEP: &str = "active";

/// How ECS has this host.
enum Sight {
    /// Tasks can be placed on it.
    Serves(ContainerInstance),
    /// It is known and gets no task.
    Drains,
    /// Not yet as it should be: why.
    NotYet(String),
    /// It will not become so.
    Lost(String),
}

pub(in crate::boot) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let cluster = context.config().ecs.cluster.as_deref().unwrap_or(DEFAULT_CLUSTER);
    let Ok(said) = ecs_agent::ask(context.machine.ecs).await else {
        return Ok(Outcome::Skipped("no ECS agent says who it is".to_owned()));
    };
    let Some(arn) = said.place_in(cluster)? else {
        return Ok(Outcome::Skipped("the ECS agent is in no cluster".to_owned()));
    };
    match wait(&context, cluster, arn).await? {
        Ok(host) => attributes(&context, cluster, &host).await,
        Err(why) => {
            context.events.log(STEP, &why);
            Ok(Outcome::Skipped(why))
        }
    }
}

/// The host as ECS has it once it takes tasks; or why it is put into service without.
async fn wait(
    context: &Context,
    cluster: &str,
    arn: &str,
) -> anyhow::Result<Result<ContainerInstance, String>> {
    let until = Instant::now() + context.time_for(STEP);
    let mut last = String::new();
    loop {
        let problem = match ecs::look(context.aws().await?, cluster, arn).await {
            Ok(host) => match sight(host) {
                Sight::Serves(host) => return Ok(Ok(host)),
                Sight::Drains => return Ok(Err(drains(cluster, arn))),
                Sight::Lost(why) => return Err(Fault::step(why).hint(words::HINT).into()),
                Sight::NotYet(why) => why,
            },
            Err(failure) if failure.is_denied() => return Ok(Err(denied(&failure))),
            Err(failure) if failure.is_passing() => failure.to_string(),
            Err(failure) => return Err(Fault::from(failure).into()),
        };
        if Instant::now() > until {
            return Err(late(context, &problem));
        }
        if problem != last {
            context.events.log(STEP, &problem);
            last = problem;
        }
        tokio::time::sleep(context.machine.pause).await;
    }
}

fn sight(host: Option<ContainerInstance>) -> Sight {
    let Some(host) = host else {
        // It answers from several places, which hear of a registration one after the other.
        return Sight::NotYet("ECS does not know this host yet".to_owned());
    };
    match &host.state {
        State::Active if host.connected => Sight::Serves(host),
        State::Active => {
            Sight::NotYet("ECS is not in touch with the agent of this host".to_owned())
        }
        State::Draining => Sight::Drains,
        State::Registering => Sight::NotYet("ECS still registers this host".to_owned()),
        State::Other(word) => {
            let reason = host.reason.as_deref().unwrap_or("it does not say why");
            Sight::Lost(format!("ECS has this host as {word}: {reason}"))
        }
    }
}

fn drains(cluster: &str, arn: &str) -> String {
    format!(
        "ECS has this host as DRAINING and gives it no task; to undo that: aws ecs \
         update-container-instances-state --cluster {cluster} --container-instances {arn} --status \
         ACTIVE"
    )
}

fn denied(failure: &Failure) -> String {
    format!(
        "only the ECS agent says that this host is in its cluster: ECS could not be asked, the role \
         needs `{}`",
        failure.wanted()
    )
}

fn late(context: &Context, problem: &str) -> anyhow::Error {
    let seconds = context.time_for(STEP).as_secs();
    let hint = "the agent keeps a connection to ecs-a-*.REGION.amazonaws.com: look at routes, VPC \
        endpoints (ecs, ecs-agent, ecs-telemetry) and proxies, and at /var/log/ecs";
    let fault = Fault::step(format!("after {seconds} s: {problem}")).hint(hint);
    words::blame(&context.machine, fault)
}

/// ECS takes attributes from the agent at its first registration only; what has changed since is
/// told here.
async fn attributes(
    context: &Context,
    cluster: &str,
    host: &ContainerInstance,
) -> anyhow::Result<Outcome> {
    let wanted = &context.config().ecs.attributes;
    let differ = |(name, value): &(&String, &String)| host.attributes.get(*name) != Some(*value);
    let other = wanted.iter().filter(differ);
    let other: std::collections::BTreeMap<_, _> =
        other.map(|(name, value)| (name.clone(), value.clone())).collect();
    if other.is_empty() {
        return Ok(Outcome::Unchanged);
    }
    let names = other.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    match ecs::put_attributes(context.aws().await?, cluster, &host.arn, &other).await {
        Ok(()) => {
            context.events.log(STEP, format!("ECS was told new attributes: {names}"));
            Ok(Outcome::Changed)
        }
        Err(failure) if failure.is_denied() => {
            let what = format!(
                "ECS has other attributes ({names}) and could not be told: the role needs `{}`",
                failure.wanted()
            );
            context.events.log(STEP, &what);
            Ok(Outcome::Skipped(what))
        }
        Err(failure) => Err(Fault::from(failure).into()),
    }
}
