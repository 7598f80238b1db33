//! Launches a builder: down the list of ways until one is to be had.

use std::time::Duration;

use anyhow::Context as _;

use super::base::Base;
use super::doors::{Doors, STEP};
use super::keys::Keys;
use super::options::Interface;
use super::place::{self, Attempt, Verdict};
use super::{Called as _, Job, user_data};
use crate::aws::instances::{self, Launch, Seen, Subnet};
use crate::aws::operator::region;
use crate::aws::{Failure, operator, patience};
use crate::error::Fault;
use crate::image::ami::name::Tags;
use crate::teardown::{Fate, Journal, Kind, Number};

/// AWS's limit for a client token, in characters. Names are ASCII.
const TOKEN: usize = 64;

/// How long an instance may take to run.
const RUNNING: Duration = Duration::from_mins(10);

/// An instance that runs.
#[derive(Clone, Debug)]
pub(super) struct Instance {
    /// `i-…`
    pub id: String,
    /// Where we reach it, by the interface that was asked for.
    pub address: String,
    /// `/dev/xvda`
    pub root_device: String,
}

/// The subnets that it may be launched in.
pub(super) async fn subnets(job: &Job<'_>) -> anyhow::Result<Vec<Subnet>> {
    let found = instances::subnets(job.config, &job.options.subnets).await;
    found.called(|| "the subnets cannot be looked up".to_owned())
}

/// Launches one, and waits until it runs.
pub(super) async fn launch(
    job: &Job<'_>,
    base: &Base,
    subnets: &[Subnet],
    doors: &Doors,
    keys: &Keys,
    tags: &Tags,
    journal: &mut Journal,
) -> anyhow::Result<Instance> {
    let options = job.options;
    let user_data = user_data::text(&keys.host_private()?, &keys.host_public, options.lifetime);
    let mut rest = place::attempts(&options.instance_types, subnets, options.spot);
    let mut refusals = Vec::new();
    while let Some(attempt) = rest.pop_front() {
        // A token is good for one launch only, also in a bake that is carried on with.
        let token = token(&job.own_name(), journal.resources().count());
        let number = journal.intend(Kind::Instance, region(job.config), &token)?;
        let wanted = Launch {
            token: &token,
            image: &base.ami.id,
            instance_type: &attempt.instance_type,
            subnet: &attempt.subnet.id,
            public: options.interface == Interface::Public,
            key: &doors.key,
            groups: &doors.groups,
            profile: options.profile.as_deref(),
            user_data: &user_data,
            root_device: &base.ami.root_device,
            root_gib: options.root_gib,
            spot: attempt.spot,
            tags,
        };
        match instances::launch(job.config, &wanted).await {
            Ok(id) => {
                journal.made(number, &id)?;
                let what = told(&attempt);
                match running(job, &id).await? {
                    Ok(instance) => {
                        job.events.log(STEP, format!("{id} runs: {what}"));
                        return Ok(instance);
                    }
                    Err(lost) => refusals.push(pass(job, journal, number, &attempt, lost)?),
                }
                place::narrow(&mut rest, &attempt, Verdict::ElsewherePerhaps);
            }
            Err(failure) => {
                let verdict = failure.code().map_or(Verdict::GiveUp, place::verdict);
                // Where there was no answer there may be an instance: it stays open.
                if failure.code().is_some() {
                    journal.settle(number, Fate::Gone)?;
                }
                let what = told(&attempt);
                if verdict == Verdict::GiveUp {
                    return Err(refused(&failure)).context(format!("launching {what}"));
                }
                let why = format!("{what}: {}", failure.code().unwrap_or_default());
                job.events.log(STEP, format!("not to be had: {why}"));
                refusals.push(why);
                place::narrow(&mut rest, &attempt, verdict);
            }
        }
    }
    Err(exhausted(&refusals).into())
}

/// An instance that ended before it ran is written off.
fn pass(
    job: &Job<'_>,
    journal: &mut Journal,
    number: Number,
    attempt: &Attempt,
    lost: String,
) -> anyhow::Result<String> {
    journal.settle(number, Fate::Gone)?;
    let why = format!("{}: {lost}", told(attempt));
    job.events.log(STEP, format!("it ended at once: {why}"));
    Ok(why)
}

/// Of a long name the end tells builds apart.
fn token(name: &str, number: usize) -> String {
    let all = format!("{name}-{number}");
    all[all.len().saturating_sub(TOKEN)..].to_owned()
}

fn told(attempt: &Attempt) -> String {
    let Attempt { instance_type, subnet, spot } = attempt;
    let market = if *spot { "spot " } else { "" };
    format!("{market}{instance_type} in {} ({})", subnet.zone, subnet.id)
}

fn refused(failure: &Failure) -> anyhow::Error {
    let fault = operator::fault(failure);
    let hint = match failure.code() {
        Some("PendingVerification") => "AWS verifies the account: try again in some minutes",
        Some("OptInRequired") => "subscribe to the AMI in AWS Marketplace first",
        Some("InvalidParameterValue" | "InvalidParameterCombination") => {
            "does the instance type fit the AMI (boot mode, network)? See --instance-type"
        }
        Some("InvalidBlockDeviceMapping") => {
            "the root volume cannot be smaller than that of the base: see --root-size"
        }
        _ => return fault.into(),
    };
    fault.hint(hint).into()
}

/// Nothing on the list was to be had.
fn exhausted(refusals: &[String]) -> Fault {
    let quota = refusals.iter().all(|why| why.contains("LimitExceeded"));
    let what = format!("no builder is to be had:\n{}", refusals.join("\n"));
    Fault::aws(what).hint(if quota {
        "the quota of the account is used up: ask for more in Service Quotas, or give other \
         --instance-type"
    } else {
        "give more --instance-type, or --subnet in other zones, or try again later"
    })
}

/// Waits until an instance runs; what EC2 says of one that has ended instead.
async fn running(job: &Job<'_>, id: &str) -> anyhow::Result<Result<Instance, String>> {
    let seen = patience::until(RUNNING, async || {
        let seen = instances::see(job.config, id).await?;
        Ok(seen.filter(|seen| seen.state != "pending"))
    });
    let seen = seen.await.called(|| format!("the builder {id} cannot be looked at"))?;
    let seen = seen.ok_or_else(|| {
        let minutes = RUNNING.as_secs() / 60;
        Fault::aws(format!("the builder {id} does not run after {minutes} minutes"))
    })?;
    if seen.state != "running" {
        let why = seen.reason.unwrap_or_else(|| "AWS gives no reason".to_owned());
        let capacity = place::verdict(why.split(':').next().unwrap_or_default());
        if capacity == Verdict::ElsewherePerhaps {
            return Ok(Err(why));
        }
        return Err(Fault::aws(format!("the builder {id} is {}: {why}", seen.state))
            .hint("an encrypted base needs a key that the caller may use, and room for volumes")
            .into());
    }
    Ok(Ok(reached(seen, job)?))
}

fn reached(seen: Seen, job: &Job<'_>) -> Result<Instance, Fault> {
    let Seen { id, private, public, root_device, .. } = seen;
    let address = match job.options.interface {
        Interface::Public => public,
        Interface::Private => private,
    };
    let address = address.ok_or_else(|| {
        Fault::environment(format!("the builder {id} has no such address"))
            .hint("give --ssh-interface private, or another --subnet")
    })?;
    Ok(Instance { id, address, root_device })
}
