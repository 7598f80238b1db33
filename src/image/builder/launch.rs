//! Launches a builder: down the list of ways until one is to be had.

use std::time::Duration;

use anyhow::Context as _;
use zeroize::Zeroizing;

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
use crate::teardown::{Fate, Journal, Kind};

/// AWS's limit for a client token, in characters. Names are ASCII.
const TOKEN: usize = 64;

/// How long AWS may need until it has heard everywhere of what was made a moment ago.
const KNOWN: Duration = Duration::from_mins(1);

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

/// What all ways to launch it have in common.
#[derive(Debug)]
pub(super) struct Search<'a> {
    pub job: &'a Job<'a>,
    pub base: &'a Base,
    pub doors: &'a Doors,
    pub tags: &'a Tags,
    /// What it reads at its first boot.
    pub user_data: Zeroizing<String>,
}

/// How one attempt ended.
enum Tried {
    Runs(Instance),
    Refused(Verdict, String),
}

/// What a builder reads at its first boot.
pub(super) fn user_data(job: &Job<'_>, keys: &Keys) -> anyhow::Result<Zeroizing<String>> {
    let host = keys.host_private()?;
    Ok(Zeroizing::new(user_data::text(&host, &keys.host_public, job.options.lifetime)))
}

impl Search<'_> {
    /// Launches one, and waits until it runs.
    pub(super) async fn launch(
        &self,
        subnets: &[Subnet],
        journal: &mut Journal,
    ) -> anyhow::Result<Instance> {
        let options = self.job.options;
        let mut rest = place::attempts(&options.instance_types, subnets, options.spot);
        let mut refusals = Vec::new();
        while let Some(attempt) = rest.pop_front() {
            let what = told(&attempt);
            match self.attempt(&attempt, journal).await? {
                Tried::Runs(instance) => {
                    self.job.events.log(STEP, format!("{} runs: {what}", instance.id));
                    return Ok(instance);
                }
                Tried::Refused(verdict, why) => {
                    let why = format!("{what}: {why}");
                    self.job.events.log(STEP, format!("not to be had: {why}"));
                    refusals.push(why);
                    place::narrow(&mut rest, &attempt, verdict);
                }
            }
        }
        Err(exhausted(&refusals).into())
    }

    async fn attempt(&self, attempt: &Attempt, journal: &mut Journal) -> anyhow::Result<Tried> {
        let Self { job, base, doors, tags, user_data } = self;
        // A token is good for one launch only, also in a bake that is carried on with.
        let token = token(&job.own_name(), journal.resources().count());
        let number = journal.intend(Kind::Instance, region(job.config), &token)?;
        let wanted = Launch {
            token: &token,
            image: &base.ami.id,
            instance_type: &attempt.instance_type,
            subnet: &attempt.subnet.id,
            public: job.options.interface == Interface::Public,
            key: &doors.key,
            groups: &doors.groups,
            profile: job.options.profile.as_deref(),
            user_data,
            root_device: &base.ami.root_device,
            more_devices: &base.ami.more_devices,
            root_gib: job.options.root_gib,
            spot: attempt.spot,
            tags,
        };
        let id = match launched(job, &wanted).await {
            Ok(id) => id,
            Err(failure) => {
                // Where there was no answer there may be an instance: it stays open.
                let Some(code) = failure.code() else { return Err(refused(&failure)) };
                let verdict = place::verdict(code, failure.message());
                // Where AWS only had too much to do, an earlier attempt of the call may have made one.
                if verdict != Verdict::GiveUp || !failure.is_passing() {
                    journal.settle(number, Fate::Gone)?;
                }
                if verdict == Verdict::GiveUp {
                    let what = format!("launching {}", told(attempt));
                    return Err(refused(&failure)).context(what);
                }
                return Ok(Tried::Refused(verdict, code.to_owned()));
            }
        };
        journal.made(number, &id)?;
        match running(job, &id).await? {
            Ok(instance) => Ok(Tried::Runs(instance)),
            Err(why) => {
                journal.settle(number, Fate::Gone)?;
                Ok(Tried::Refused(Verdict::ElsewherePerhaps, format!("it ended at once: {why}")))
            }
        }
    }
}

/// Launches one; a key pair, a group or a profile that was made a moment ago may not be known yet.
async fn launched(job: &Job<'_>, wanted: &Launch<'_>) -> Result<String, Failure> {
    const UNKNOWN: &[&str] = &["InvalidKeyPair.NotFound", "InvalidGroup.NotFound"];
    patience::while_unknown(KNOWN, UNKNOWN, async || instances::launch(job.config, wanted).await)
        .await
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
        let capacity = place::verdict(why.split(':').next().unwrap_or_default(), &why);
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
