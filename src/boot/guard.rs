//! The first guard of the home: a host that reads another holder's name does not go on.
//!
//! It only reads. Taking and giving up the home is the lease's business.

use std::sync::Arc;

use super::context::Context;
use super::home;
use super::inside::{self, Answer, Request};
use crate::aws::ec2;
use crate::error::Fault;
use crate::event::Outcome;
use crate::lease::{Reading, Record, State, record};

pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let known = context.must_know();
    let mount_point = context.machine.path(home::MOUNT_POINT);
    let answer = inside::ask(&context.machine.runner, &Request::ReadHead { mount_point }).await?;
    let Answer::Head(record) = answer else { anyhow::bail!("the child answered {answer:?}") };
    let Some(text) = record else { return Ok(Outcome::Unchanged) };
    let id = known.identity.instance_id.as_str();
    let why = match record::read(&text) {
        Reading::Record(record) => {
            let ours = record.holder.instance_id.as_deref() == Some(id);
            if ours || record.state == State::Released {
                return Ok(Outcome::Unchanged);
            }
            let evidence = evidence(&context, &record).await;
            return Err(held(&record, &evidence).into());
        }
        Reading::Newer { version, .. } => format!("it has form {version}, of a newer hostkit"),
        Reading::Garbage(why) => why,
    };
    Err(Fault::step(format!("the record of the home's holder cannot be trusted: {why}"))
        .hint("read .hostkit/lease/head on the file system; two controllers on one home destroy it")
        .into())
}

/// What EC2 says of the holder: for the person who reads the error, never for a decision.
async fn evidence(context: &Context, head: &Record) -> String {
    let known = context.must_know();
    let id = head.holder.name();
    if (&head.holder.account, &head.holder.region)
        != (&known.identity.account_id, &known.identity.region)
    {
        let holder = &head.holder;
        return format!("it is in account {}, region {}", holder.account, holder.region);
    }
    let aws = match context.aws().await {
        Ok(aws) => aws,
        Err(fault) => return format!("EC2 could not be asked: {fault}"),
    };
    match ec2::instance_state(aws, id).await {
        Ok(Some(state)) => format!("EC2 says that it is {state}"),
        Ok(None) => "EC2 knows no such instance".to_owned(),
        Err(failure) => format!("EC2 could not be asked: {failure}"),
    }
}

fn held(head: &Record, evidence: &str) -> Fault {
    let since =
        head.holder.since.map_or_else(|| "an unknown time".to_owned(), |since| since.to_string());
    Fault::step(format!(
        "the home is held by {} (generation {}, since {since}); {evidence}",
        head.holder.name(),
        head.generation
    ))
    .hint("stop the other controller first; two on one home destroy it")
}
