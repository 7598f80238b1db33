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
use crate::lease::{self, Claim, Head};

pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let known = context.must_know();
    let mount_point = context.machine.path(home::MOUNT_POINT);
    let answer = inside::ask(&context.machine.runner, &Request::ReadHead { mount_point }).await?;
    let Answer::Head(record) = answer else { anyhow::bail!("the child answered {answer:?}") };
    match lease::judge(record.as_deref(), &known.identity.instance_id) {
        Claim::Free => Ok(Outcome::Unchanged),
        Claim::HeldBy(head) => {
            let evidence = evidence(&context, &head).await;
            Err(held(&head, &evidence).into())
        }
        Claim::Unreadable(why) => Err(Fault::step(format!(
            "the record of the home's holder cannot be trusted: {why}"
        ))
        .hint("read .hostkit/lease/head on the file system; two controllers on one home destroy it")
        .into()),
    }
}

/// What EC2 says of the holder: for the person who reads the error, never for a decision.
async fn evidence(context: &Context, head: &Head) -> String {
    let known = context.must_know();
    let id = &head.holder.instance_id;
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

fn held(head: &Head, evidence: &str) -> Fault {
    let since = head.holder.since.as_deref().unwrap_or("an unknown time");
    Fault::step(format!(
        "the home is held by {} (generation {}, since {since}); {evidence}",
        head.holder.instance_id, head.generation
    ))
    .hint("stop the other controller first; two on one home destroy it")
}
