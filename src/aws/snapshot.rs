//! EBS snapshots as EC2 sees them. What is in them is another service's: `ebs`.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    self, CreateVolumePermission, CreateVolumePermissionModifications, Filter,
    SnapshotAttributeName, SnapshotState,
};
use jiff::Timestamp;

use super::{Failure, patience, tag};

const DESCRIBE: &str = "ec2:DescribeSnapshots";

/// What EC2 says of a snapshot that it does not know, or not yet.
pub const UNKNOWN: &str = "InvalidSnapshot.NotFound";

/// How far a snapshot is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It is being written or copied.
    Pending,
    /// It is whole.
    Completed,
    /// It never will be: `error`, or a state of the archive.
    Broken(String),
}

/// A snapshot as EC2 describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// `snap-…`
    pub id: String,
    /// See [`State`].
    pub state: State,
    /// Why it is in that state, where EC2 says so.
    pub reason: Option<String>,
    /// How far it is, in percent.
    pub percent: u8,
    /// The size of its volume in GiB.
    pub gib: u64,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// The ARN of the key that it is encrypted with.
    pub kms_key: Option<String>,
    /// When it was begun.
    pub started: Option<Timestamp>,
    /// What was said of it.
    pub description: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// A snapshot; none where EC2 says itself that it knows no such one.
pub async fn describe(config: &SdkConfig, id: &str) -> Result<Option<Snapshot>, Failure> {
    let answer = Client::new(config).describe_snapshots().snapshot_ids(id).send().await;
    match answer.map_err(|error| Failure::new(DESCRIBE, &error)) {
        Err(failure) if failure.code() == Some(UNKNOWN) => Ok(None),
        Err(failure) => Err(failure),
        Ok(answer) => Ok(answer.snapshots().iter().find_map(read)),
    }
}

/// The snapshots of our own account that have all these tags, in whatever state they are.
pub async fn by_tags(config: &SdkConfig, tags: &[(&str, &str)]) -> Result<Vec<Snapshot>, Failure> {
    let filter = |(key, value): &(&str, &str)| {
        Filter::builder().name(format!("tag:{key}")).values(*value).build()
    };
    let call = Client::new(config).describe_snapshots().owner_ids("self");
    let call = call.set_filters(Some(tags.iter().map(filter).collect()));
    let mut pages = call.into_paginator().send();
    let mut snapshots = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Failure::new(DESCRIBE, &error))?;
        snapshots.extend(page.snapshots().iter().filter_map(read));
    }
    Ok(snapshots)
}

fn read(snapshot: &types::Snapshot) -> Option<Snapshot> {
    let percent = snapshot.progress().and_then(|text| text.trim_end_matches('%').parse().ok());
    Some(Snapshot {
        id: snapshot.snapshot_id()?.to_owned(),
        state: match snapshot.state()? {
            SnapshotState::Pending => State::Pending,
            SnapshotState::Completed => State::Completed,
            other => State::Broken(other.as_str().to_owned()),
        },
        reason: snapshot.state_message().map(str::to_owned),
        percent: percent.unwrap_or(0),
        gib: snapshot.volume_size().and_then(|gib| u64::try_from(gib).ok()).unwrap_or(0),
        encrypted: snapshot.encrypted().unwrap_or(false),
        kms_key: snapshot.kms_key_id().map(str::to_owned),
        started: snapshot.start_time().and_then(|it| Timestamp::from_second(it.secs()).ok()),
        description: snapshot.description().unwrap_or_default().to_owned(),
        tags: tag::read(snapshot.tags()),
    })
}

/// How the wait for a snapshot ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It is whole.
    Completed(Snapshot),
    /// It never will be, as EC2 says.
    Broken(Snapshot),
    /// It is not there: deleted by somebody, or EC2 has not heard of it for all that time.
    Gone,
    /// It was still pending when the patience was at its end.
    Late,
}

/// Waits until a snapshot is whole. `progress` is told of each look at one that is pending.
pub async fn wait(
    config: &SdkConfig,
    id: &str,
    patience: Duration,
    mut progress: impl FnMut(&Snapshot),
) -> Result<Wait, Failure> {
    let mut seen = false;
    let end = patience::until(patience, async || {
        let Some(snapshot) = describe(config, id).await? else {
            return Ok(seen.then_some(Wait::Gone));
        };
        seen = true;
        Ok(match snapshot.state {
            State::Completed => Some(Wait::Completed(snapshot)),
            State::Broken(_) => Some(Wait::Broken(snapshot)),
            State::Pending => {
                progress(&snapshot);
                None
            }
        })
    });
    let end = end.await?;
    Ok(end.unwrap_or(if seen { Wait::Late } else { Wait::Gone }))
}

/// The accounts that may make volumes of a snapshot beside its own.
pub async fn accounts(config: &SdkConfig, id: &str) -> Result<Vec<String>, Failure> {
    let call = Client::new(config).describe_snapshot_attribute().snapshot_id(id);
    let answer = call.attribute(SnapshotAttributeName::CreateVolumePermission).send().await;
    let answer = answer.map_err(|error| Failure::new("ec2:DescribeSnapshotAttribute", &error))?;
    let all = answer.create_volume_permissions.unwrap_or_default();
    Ok(all.into_iter().filter_map(|one| one.user_id).collect())
}

/// Lets these accounts make volumes of a snapshot. Who may already stays.
pub async fn share(config: &SdkConfig, id: &str, accounts: &[String]) -> Result<(), Failure> {
    let added = accounts.iter().map(|it| CreateVolumePermission::builder().user_id(it).build());
    let change = CreateVolumePermissionModifications::builder();
    let call = Client::new(config)
        .modify_snapshot_attribute()
        .snapshot_id(id)
        .attribute(SnapshotAttributeName::CreateVolumePermission)
        .create_volume_permission(change.set_add(Some(added.collect())).build());
    let answer = call.send().await;
    answer.map(drop).map_err(|error| Failure::new("ec2:ModifySnapshotAttribute", &error))
}
