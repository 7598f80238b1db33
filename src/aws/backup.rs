//! AWS Backup: recovery points of a file system, and the jobs that make them and restore them.
//! Nothing here deletes one.

use std::collections::{BTreeMap, HashMap};

use aws_config::SdkConfig;
use aws_sdk_backup::Client;
use aws_sdk_backup::primitives::DateTime;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Failure;

/// What can be restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryPoint {
    /// `arn:aws:backup:…:recovery-point:…`
    pub arn: String,
    /// The vault that it lies in.
    pub vault: String,
    /// When it was begun.
    pub created: Option<Timestamp>,
    /// `COMPLETED`, `PARTIAL`, `EXPIRED`, `DELETING`, …
    pub state: String,
    /// What AWS says of that.
    pub message: Option<String>,
    /// Its size in bytes.
    pub bytes: Option<u64>,
}

impl RecoveryPoint {
    /// Whether all that was to be in it is, and it can be restored.
    pub fn is_whole(&self) -> bool {
        matches!(self.state.as_str(), "COMPLETED" | "AVAILABLE")
    }
}

/// A vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vault {
    /// Its name.
    pub name: String,
    /// How many recovery points it holds, of all kinds.
    pub points: u64,
    /// Whether what is in it cannot be deleted.
    pub locked: bool,
}

/// A job: a backup that is made, or a restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// `CREATED`, `PENDING`, `RUNNING`, `COMPLETED`, `FAILED`, `ABORTED`, `EXPIRED`, `PARTIAL`, …
    pub state: String,
    /// What AWS says of that.
    pub message: Option<String>,
    /// How far it is, in percent, where AWS tells.
    pub percent: Option<u64>,
    /// How many bytes it has to do with, where AWS tells.
    pub bytes: Option<u64>,
    /// When it was asked for.
    pub created: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// The recovery point that it makes or restores.
    pub point: Option<String>,
}

impl Job {
    /// Whether nothing more will happen.
    pub fn is_over(&self) -> bool {
        matches!(self.state.as_str(), "COMPLETED" | "FAILED" | "ABORTED" | "EXPIRED" | "PARTIAL")
    }

    /// Whether all of it was done.
    pub fn is_done(&self) -> bool {
        self.state == "COMPLETED"
    }
}

/// A job out of one of the SDK's four shapes of one, which share the names of their fields and no type:
/// the fields of its id and its state alone are called differently.
macro_rules! job {
    ($told:ident, $id:expr, $state:expr) => {
        Job {
            id: $id,
            state: $state.map(|it| it.as_str().to_owned()).unwrap_or_default(),
            message: $told.status_message,
            percent: percent($told.percent_done.as_deref()),
            bytes: $told.backup_size_in_bytes.and_then(count),
            created: $told.creation_date.and_then(moment),
            ended: $told.completion_date.and_then(moment),
            point: $told.recovery_point_arn,
        }
    };
}

/// What is needed to restore a recovery point: whose it is, how it was encrypted, by AWS's names.
pub type Metadata = BTreeMap<String, String>;

/// All recovery points of what has this ARN, in no order. AWS knows nothing of one that was never
/// backed up: then there are none.
pub async fn recovery_points(
    config: &SdkConfig,
    resource: &str,
) -> Result<Vec<RecoveryPoint>, Failure> {
    const CALL: &str = "backup:ListRecoveryPointsByResource";
    let call = Client::new(config).list_recovery_points_by_resource().resource_arn(resource);
    let found = call.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
    let found = match found.map_err(|error| Failure::new(CALL, &error)) {
        Err(failure) if failure.code() == Some("ResourceNotFoundException") => Vec::new(),
        found => found?,
    };
    let points = found.into_iter().map(|it| RecoveryPoint {
        arn: it.recovery_point_arn.unwrap_or_default(),
        vault: it.backup_vault_name.unwrap_or_default(),
        created: it.creation_date.and_then(moment),
        state: it.status.map(|it| it.as_str().to_owned()).unwrap_or_default(),
        message: it.status_message,
        bytes: it.backup_size_bytes.and_then(count),
    });
    Ok(points.collect())
}

/// The vaults of a region.
pub async fn vaults(config: &SdkConfig) -> Result<Vec<Vault>, Failure> {
    const CALL: &str = "backup:ListBackupVaults";
    let call = Client::new(config).list_backup_vaults().into_paginator().items().send();
    let found = call.collect::<Result<Vec<_>, _>>().await;
    let found = found.map_err(|error| Failure::new(CALL, &error))?;
    let vaults = found.into_iter().map(|it| Vault {
        name: it.backup_vault_name.unwrap_or_default(),
        points: count(it.number_of_recovery_points).unwrap_or_default(),
        locked: it.locked.unwrap_or_default(),
    });
    Ok(vaults.collect())
}

/// The backups of what has this ARN that were begun since then, the newest first.
pub async fn backup_jobs(
    config: &SdkConfig,
    resource: &str,
    since: Timestamp,
) -> Result<Vec<Job>, Failure> {
    const CALL: &str = "backup:ListBackupJobs";
    let call = Client::new(config)
        .list_backup_jobs()
        .by_resource_arn(resource)
        .by_created_after(DateTime::from_secs(since.as_second()));
    let found = call.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
    let found = found.map_err(|error| Failure::new(CALL, &error))?;
    let jobs = found.into_iter().map(|it| job!(it, it.backup_job_id.unwrap_or_default(), it.state));
    Ok(newest_first(jobs.collect()))
}

/// The restores of what has this ARN that were begun since then, the newest first.
pub async fn restore_jobs(
    config: &SdkConfig,
    resource: &str,
    since: Timestamp,
) -> Result<Vec<Job>, Failure> {
    const CALL: &str = "backup:ListRestoreJobs";
    let call = Client::new(config)
        .list_restore_jobs()
        .by_resource_type("EFS")
        .by_created_after(DateTime::from_secs(since.as_second()));
    let found = call.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
    let found = found.map_err(|error| Failure::new(CALL, &error))?;
    let of_this = found.into_iter().filter(|it| it.source_resource_arn() == Some(resource));
    let jobs = of_this.map(|it| job!(it, it.restore_job_id.unwrap_or_default(), it.status));
    Ok(newest_first(jobs.collect()))
}

/// Has a backup made. The same token begins it once. Returns the job, as it is begun.
pub async fn start_backup(
    config: &SdkConfig,
    resource: &str,
    vault: &str,
    role: &str,
    token: &str,
) -> Result<Job, Failure> {
    const CALL: &str = "backup:StartBackupJob";
    let call = Client::new(config)
        .start_backup_job()
        .resource_arn(resource)
        .backup_vault_name(vault)
        .iam_role_arn(role)
        .idempotency_token(token);
    let begun = call.send().await.map_err(|error| Failure::new(CALL, &error))?;
    Ok(Job {
        id: named(CALL, begun.backup_job_id)?,
        state: "CREATED".to_owned(),
        message: None,
        percent: None,
        bytes: None,
        created: begun.creation_date.and_then(moment),
        ended: None,
        point: begun.recovery_point_arn,
    })
}

/// How a backup stands.
pub async fn backup_job(config: &SdkConfig, id: &str) -> Result<Job, Failure> {
    const CALL: &str = "backup:DescribeBackupJob";
    let call = Client::new(config).describe_backup_job().backup_job_id(id).send().await;
    let found = call.map_err(|error| Failure::new(CALL, &error))?;
    Ok(job!(found, id.to_owned(), found.state))
}

/// What is needed to restore a recovery point.
pub async fn restore_metadata(
    config: &SdkConfig,
    vault: &str,
    point: &str,
) -> Result<Metadata, Failure> {
    const CALL: &str = "backup:GetRecoveryPointRestoreMetadata";
    let call = Client::new(config).get_recovery_point_restore_metadata();
    let call = call.backup_vault_name(vault).recovery_point_arn(point).send().await;
    let found = call.map_err(|error| Failure::new(CALL, &error))?;
    Ok(found.restore_metadata.unwrap_or_default().into_iter().collect())
}

/// Has a recovery point of a file system restored. The same token begins it once. Returns the job's
/// id.
pub async fn start_restore(
    config: &SdkConfig,
    point: &str,
    metadata: &Metadata,
    role: &str,
    token: &str,
) -> Result<String, Failure> {
    const CALL: &str = "backup:StartRestoreJob";
    let metadata: HashMap<_, _> = metadata.clone().into_iter().collect();
    let call = Client::new(config)
        .start_restore_job()
        .recovery_point_arn(point)
        .set_metadata(Some(metadata))
        .iam_role_arn(role)
        .idempotency_token(token)
        .resource_type("EFS");
    let begun = call.send().await.map_err(|error| Failure::new(CALL, &error))?;
    named(CALL, begun.restore_job_id)
}

/// How a restore stands.
pub async fn restore_job(config: &SdkConfig, id: &str) -> Result<Job, Failure> {
    const CALL: &str = "backup:DescribeRestoreJob";
    let call = Client::new(config).describe_restore_job().restore_job_id(id).send().await;
    let found = call.map_err(|error| Failure::new(CALL, &error))?;
    Ok(job!(found, id.to_owned(), found.status))
}

fn named(call: &'static str, id: Option<String>) -> Result<String, Failure> {
    let cause = "the job has no id".to_owned();
    id.ok_or(Failure::Unreadable { call, cause })
}

fn newest_first(mut jobs: Vec<Job>) -> Vec<Job> {
    jobs.sort_by_key(|job| std::cmp::Reverse(job.created));
    jobs
}

fn moment(time: DateTime) -> Option<Timestamp> {
    Timestamp::from_millisecond(time.to_millis().ok()?).ok()
}

fn count(number: i64) -> Option<u64> {
    number.try_into().ok()
}

/// `12.5%`, or the number alone.
fn percent(text: Option<&str>) -> Option<u64> {
    let number = text?.trim().trim_end_matches('%');
    number.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_a_job_is_comes_as_text() {
        let cases =
            [("0.0%", Some(0)), ("87.5%", Some(87)), ("100", Some(100)), ("", None), ("-", None)];
        for (text, wanted) in cases {
            assert_eq!(percent(Some(text)), wanted, "{text}");
        }
        assert_eq!(percent(None), None);
    }
}
