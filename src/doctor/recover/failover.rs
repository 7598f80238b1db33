//! A region is lost, and its home lives on as a read-only copy: the copy becomes the home.
//!
//! It is asked of the side that lives. What hostkit does with `--apply` is done here: the replication
//! is ended, the copy becomes writeable, and gets addresses at which it can be mounted. Where hosts are
//! told of it, and that the old holder is dead, is for a person: two homes that both serve are two
//! histories that nobody brings together again.

mod text;

use std::time::Duration;

use aws_config::SdkConfig;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::backup::no_file_system;
use super::steps::told;
use crate::aws::cloudwatch::{Question, Statistic, metrics};
use crate::aws::efs::{self, FileSystem, TargetState};
use crate::aws::efs_change::make_target;
use crate::aws::efs_replication::{self, Replication, replication};
use crate::aws::operator::{fault, in_region, region};
use crate::aws::{Failure, patience};
use crate::doctor::{Gap, Look};
use crate::error::Fault;
use crate::event::Events;

/// How long AWS may take to end a replication: minutes, mostly.
const ENDING: Duration = Duration::from_hours(1);
/// How long AWS may take to make mount targets: a minute or two, mostly.
const MOUNTING: Duration = Duration::from_mins(15);
/// A client that was connected so lately still is.
const LATELY: SignedDuration = SignedDuration::from_mins(10);

/// What a person says.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// The copy: it is in the region of the calls.
    pub copy: String,
    /// The subnets in which hosts will mount it.
    pub subnets: Vec<String>,
    /// The security groups of the mount targets; the network's default one if there are none.
    pub groups: Vec<String>,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Situation {
    /// What was asked for.
    pub wish: Wish,
    /// The region of the copy.
    pub region: String,
    /// The copy.
    pub copy: FileSystem,
    /// Its replication; nothing if that has ended.
    pub replication: Option<Replication>,
    /// The subnets in which it has a mount target already.
    pub mounted: Vec<String>,
    /// How many clients the old home had in the last minutes, as the old region says.
    pub old_clients: Look<Option<u64>>,
    /// When this was.
    pub now: Timestamp,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ended {
    /// The file system that is the home from now on.
    pub file_system: String,
    /// Its region.
    pub region: String,
    /// Whether a replication was ended.
    pub released: bool,
    /// The mount targets that were made.
    pub targets: Vec<String>,
}

/// Looks at both sides. Changes nothing, and does not fail because the old region does not answer.
///
/// # Errors
/// There is no such file system, it is no copy, or AWS does not say.
pub async fn prepare(config: &SdkConfig, wish: Wish) -> anyhow::Result<Situation> {
    let region = region(config).to_owned();
    let fail = |failure: Failure| fault(&failure);
    let copy = efs::found(config, &wish.copy).await.map_err(fail)?;
    let copy = copy.ok_or_else(|| no_file_system(&wish.copy, &region))?;
    let replication = replication(config, &wish.copy).await.map_err(fail)?;
    if let Some(replication) = &replication
        && replication.source == wish.copy
    {
        let to = replication.destinations.first();
        let to = to.map(|it| format!("--file-system {} --region {}", it.id, it.region));
        let what = format!("{} is the home that is copied, and not the copy", wish.copy);
        let hint = format!("a failover is asked of the copy: {}", to.unwrap_or_default());
        return Err(Fault::usage(what).hint(hint).into());
    }
    let targets = efs::targets(config, &wish.copy).await.map_err(fail)?;
    let mounted = targets.into_iter().map(|target| target.subnet).collect();
    let old_clients = match &replication {
        Some(replication) => clients(config, replication).await,
        None => Ok(None),
    };
    let now = Timestamp::now();
    Ok(Situation { wish, region, copy, replication, mounted, old_clients, now })
}

/// The clients of the source in the last minutes, by its own region.
async fn clients(config: &SdkConfig, of: &Replication) -> Look<Option<u64>> {
    let there = in_region(config, &of.source_region);
    let until = Timestamp::now();
    let question = Question {
        namespace: "AWS/EFS",
        of: &[("FileSystemId", &of.source)],
        metrics: &[("ClientConnections", Statistic::Sum)],
        from: until - LATELY,
        until,
        period: Duration::from_mins(1),
    };
    // A region that is down does not refuse: it says nothing.
    let answer = tokio::time::timeout(Duration::from_secs(20), metrics(&there, &question)).await;
    let Ok(answer) = answer else {
        let why = format!("{} did not answer within 20 s", of.source_region);
        let needs = "cloudwatch:GetMetricData".to_owned();
        return Err(Gap { needs, denied: false, why });
    };
    let points = answer.map_err(Gap::from)?.remove("ClientConnections").unwrap_or_default();
    let most = points.into_iter().map(|point| point.value).reduce(f64::max);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few clients")]
    Ok(most.map(|most| most.max(0.0).round() as u64))
}

impl Situation {
    /// Whether the copy cannot be written yet.
    pub fn is_read_only(&self) -> bool {
        self.replication.is_some()
            || self.copy.overwrite_protection.as_deref() == Some("REPLICATING")
    }

    /// The subnets that have no mount target yet.
    fn missing(&self) -> Vec<&String> {
        self.wish.subnets.iter().filter(|subnet| !self.mounted.contains(subnet)).collect()
    }

    /// Whether somebody seems to have the old home mounted still.
    pub fn old_home_is_in_use(&self) -> Option<u64> {
        self.old_clients.as_ref().ok().copied().flatten().filter(|clients| *clients > 0)
    }
}

/// Ends the replication, waits until the copy can be written, and makes it mountable. Carries on where
/// it was stopped.
///
/// # Errors
/// The old home is in use and nobody said that this is known; AWS refuses something, or does not do
/// it in time.
pub async fn apply(
    config: &SdkConfig,
    situation: &Situation,
    though_in_use: bool,
    events: &Events,
) -> anyhow::Result<Ended> {
    if let Some(clients) = situation.old_home_is_in_use()
        && !though_in_use
    {
        let who = text::clients(clients);
        let what = format!("{who} the old home mounted, as its region says");
        return Err(Fault::step(what)
            .hint(
                "stop them first: two homes that both serve never become one again; if they are \
                   known to be dead, --though-in-use",
            )
            .into());
    }
    let copy = &situation.copy.id;
    let released = situation.is_read_only();
    if let Some(replication) = &situation.replication {
        let title = format!("ending the replication of {}", replication.source);
        told(events, "replication", title, end(config, &replication.source)).await?;
    }
    if released {
        let title = format!("waiting until {copy} can be written");
        told(events, "writeable", title, writeable(config, copy)).await?;
    }
    let mut targets = Vec::new();
    for subnet in situation.missing() {
        let title = format!("making a mount target in {subnet}");
        let made = made(config, situation, subnet);
        targets.push(told(events, &format!("mount-{subnet}"), title, made).await?);
    }
    if !targets.is_empty() {
        let title = "waiting until it can be mounted".to_owned();
        told(events, "mountable", title, mountable(config, copy)).await?;
    }
    let region = situation.region.clone();
    Ok(Ended { file_system: copy.clone(), region, released, targets })
}

async fn end(config: &SdkConfig, source: &str) -> anyhow::Result<()> {
    match efs_replication::end(config, source).await {
        // It has ended meanwhile, or somebody else has ended it.
        Err(failure) if failure.code() == Some("ReplicationNotFound") => Ok(()),
        ended => Ok(ended.map_err(|failure| fault(&failure))?),
    }
}

async fn writeable(config: &SdkConfig, copy: &str) -> anyhow::Result<()> {
    let seen = patience::until(ENDING, async || {
        if replication(config, copy).await?.is_some() {
            return Ok(None);
        }
        let found = efs::file_system(config, copy).await?;
        let free = found.overwrite_protection.as_deref() != Some("REPLICATING");
        Ok((free && found.state == "available").then_some(()))
    });
    let seen = seen.await.map_err(|failure| fault(&failure))?;
    let minutes = ENDING.as_secs() / 60;
    seen.ok_or_else(|| {
        Fault::aws(format!("{copy} cannot be written after {minutes} minutes"))
            .hint("the same command carries on")
            .into()
    })
}

async fn made(config: &SdkConfig, situation: &Situation, subnet: &str) -> anyhow::Result<String> {
    let copy = &situation.copy.id;
    let made = make_target(config, copy, subnet, &situation.wish.groups).await;
    Ok(made.map_err(|failure| match failure.code() {
        Some("MountTargetConflict") => Fault::aws(failure.to_string()).hint(
            "there is a mount target in that zone already: leave the subnet out, and all of one \
             network",
        ),
        _ => fault(&failure),
    })?)
}

async fn mountable(config: &SdkConfig, copy: &str) -> anyhow::Result<()> {
    let seen = patience::until(MOUNTING, async || {
        let targets = efs::targets(config, copy).await?;
        let ready = targets.iter().all(|target| target.state() == TargetState::Available);
        Ok((ready && !targets.is_empty()).then_some(()))
    });
    let seen = seen.await.map_err(|failure| fault(&failure))?;
    let minutes = MOUNTING.as_secs() / 60;
    seen.ok_or_else(|| {
        Fault::aws(format!("{copy} cannot be mounted after {minutes} minutes"))
            .hint("`hostkit efs check` says which mount target is not available")
            .into()
    })
}

#[cfg(test)]
mod tests;
