//! The load balancer in front: who registers this host as a target, and whether that is well.
//!
//! A group registers its instances when their launch hook has been completed. Waiting for the load
//! balancer before that never ends, so in mode `asg` it is only watched afterwards, and what it finds
//! is told; a host that serves is not undone because a health check cannot reach it: a group that
//! is told to heed its load balancer (`HealthCheckType = ELB`) replaces it by itself. In mode
//! `explicit` hostkit registers the host, and completes the hook only once it is healthy.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::context::Context;
use super::lifecycle;
use crate::aws::asg::{self, Membership};
use crate::aws::elb::{self, Health, Kind, TargetGroup};
use crate::error::Fault;
use crate::event::Outcome;
use crate::group::{Found, Trouble, Us, insist};
use crate::host::AlbMode;

const TARGET: &str = "target";
const TRAFFIC: &str = "traffic";

/// Before the launch hook is completed: in mode `explicit` the host becomes a healthy target.
pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    if context.config().alb.mode == AlbMode::Asg {
        return Ok(Outcome::Skipped("its group registers this host, after its hook".to_owned()));
    }
    let us = lifecycle::us(&context, TARGET).await?;
    let until = Instant::now() + patience(&context, TARGET);
    let groups = match groups(&context, &us, until).await? {
        Ok(groups) => groups,
        Err(why) => return Ok(Outcome::Skipped(why)),
    };
    for group in &groups {
        let target = target(&context, group)?;
        insist(&us, until, async || Ok(elb::register(&us.aws, &group.arn, &target).await?)).await?;
        us.events.log(TARGET, format!("registered in {}", group.name));
    }
    wait(&context, &us, &groups, until).await?;
    Ok(Outcome::Changed)
}

/// After it was: in mode `asg` the load balancer is watched until it finds the host healthy.
pub(super) async fn watch(context: Arc<Context>) -> anyhow::Result<Outcome> {
    if context.config().alb.mode == AlbMode::Explicit {
        return Ok(Outcome::Skipped("proven before the launch hook was completed".to_owned()));
    }
    if context.config().alb.target_group.is_none() && !is_in_group(&context) {
        return Ok(Outcome::Skipped("no target group".to_owned()));
    }
    let us = lifecycle::us(&context, TRAFFIC).await?;
    let until = Instant::now() + patience(&context, TRAFFIC);
    let groups = match groups(&context, &us, until).await? {
        Ok(groups) => groups,
        Err(why) => return Ok(Outcome::Skipped(why)),
    };
    wait(&context, &us, &groups, until).await?;
    Ok(Outcome::Unchanged)
}

fn is_in_group(context: &Context) -> bool {
    member(context).is_some()
}

fn member(context: &Context) -> Option<&Membership> {
    match context.launch.get()? {
        Found::Hook(_, member) | Found::NoHook(member) => Some(member),
        Found::NoGroup => None,
    }
}

fn patience(context: &Context, step: &str) -> Duration {
    let said = Duration::from_secs(context.config().alb.patience.into());
    said.min(context.time_for(step))
}

/// The target groups that this host belongs into, or why there are none.
async fn groups(
    context: &Context,
    us: &Us,
    until: Instant,
) -> anyhow::Result<Result<Vec<TargetGroup>, String>> {
    let member = member(context);
    if member.is_some_and(Membership::is_warm) {
        return Ok(Err("on its way into the warm pool, where nothing is sent to it".to_owned()));
    }
    let arns = match (&context.config().alb.target_group, member) {
        (Some(arn), _) => vec![arn.clone()],
        (None, None) => Vec::new(),
        (None, Some(member)) => {
            let look = async || Ok(asg::describe(&us.aws, &member.group).await?);
            insist(us, until, look).await?.unwrap_or_default().target_groups
        }
    };
    if arns.is_empty() {
        return Ok(Err("no target group".to_owned()));
    }
    let look = async || Ok(elb::target_groups(&us.aws, &arns).await?);
    Ok(Ok(insist(us, until, look).await?))
}

/// By what name this host is a target of the group.
fn target(context: &Context, group: &TargetGroup) -> Result<String, Fault> {
    let identity = &context.must_know().identity;
    match group.kind {
        Kind::Instance => Ok(identity.instance_id.clone()),
        Kind::Address => Ok(identity.private_ip.to_string()),
        Kind::Other => Err(Fault::recipe(format!(
            "the targets of the target group {} are no hosts",
            group.name
        ))
        .hint("`alb.target_group` needs one whose type is `instance` or `ip`")),
    }
}

/// Until the host is healthy in all groups. What is wrong is said every time that it changes.
async fn wait(
    context: &Context,
    us: &Us,
    groups: &[TargetGroup],
    until: Instant,
) -> anyhow::Result<()> {
    for group in groups {
        let target = target(context, group)?;
        let mut last = None;
        loop {
            match elb::health(&us.aws, &group.arn, &target).await.map_err(Trouble::from) {
                Ok(health) if health.is_healthy() => {
                    us.events.log(us.step, format!("{}: healthy", group.name));
                    break;
                }
                Ok(health) => {
                    if last.as_ref() != Some(&health) {
                        us.events.log(us.step, format!("{}: {}", group.name, health.say()));
                    }
                    last = Some(health);
                }
                Err(Trouble::Passing(fault)) => us.events.log(us.step, fault.to_string()),
                Err(Trouble::Final(fault)) => return Err(fault.into()),
            }
            let pause = context.machine.pause * 5;
            if Instant::now() + pause > until {
                return Err(never(group, last.as_ref(), patience(context, us.step)).into());
            }
            tokio::time::sleep(pause).await;
        }
    }
    Ok(())
}

fn never(group: &TargetGroup, health: Option<&Health>, after: Duration) -> Fault {
    let said = health.map_or("it did not say how this host is".to_owned(), Health::say);
    let reason = health.map_or("", |health| health.reason.as_str());
    Fault::step(format!(
        "the load balancer does not find this host healthy after {} s: {}: {said}",
        after.as_secs(),
        group.name
    ))
    .hint(advice(reason, group))
}

/// What helps against a reason of Elastic Load Balancing.
fn advice(reason: &str, group: &TargetGroup) -> String {
    let check = &group.check;
    match reason {
        "Target.Timeout" | "Elb.RegistrationInProgress" | "Elb.InitialHealthChecking" => {
            format!("the security group of this host must let the load balancer in for {check}")
        }
        "Target.ResponseCodeMismatch" | "Target.FailedHealthChecks" => format!(
            "{check} is asked: for Jenkins it must be /login on port 8080 with the code 200, and the \
             security group must let the load balancer in"
        ),
        "Target.NotInUse" => {
            "no listener sends anything to this target group, or its load balancer \
             is not enabled in this availability zone"
                .to_owned()
        }
        "Target.NotRegistered" => "its group did not register it: is the target group attached to \
             it, and `AddToLoadBalancer` not suspended?"
            .to_owned(),
        "Target.DeregistrationInProgress" => "somebody deregisters this host".to_owned(),
        "Target.HealthCheckDisabled" => {
            "the health check of the target group is switched off".to_owned()
        }
        _ => format!("aws elbv2 describe-target-health --target-group-arn {}", group.arn),
    }
}
