//! Backups of a home by AWS Backup: how it stands, one more, what there is, and one put back beside
//! what is there. Nothing is ever overwritten or deleted: a restore makes a folder at the top of the
//! file system, and `hostkit efs recover` moves that in.

mod restore;
pub mod text;

use std::time::Duration;

use anyhow::Context as _;
use aws_config::SdkConfig;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

pub use restore::{Asked, Restored, restore};

use super::steps::told;
use crate::aws::backup::{self, Job, RecoveryPoint, Vault};
use crate::aws::efs::{self, FileSystem};
use crate::aws::operator::{fault, identity, region};
use crate::aws::{Failure, patience};
use crate::doctor::{Gap, Look};
use crate::error::Fault;
use crate::event::{Events, Unit};

/// A first backup of a large home takes hours; those after it are small.
const PATIENCE: Duration = Duration::from_hours(24);
/// The role that AWS Backup itself makes, in the console, when somebody first uses it.
const ROLE: &str = "service-role/AWSBackupDefaultServiceRole";
/// Jobs that were begun longer ago are nobody's news.
const NEWS: SignedDuration = SignedDuration::from_hours(24 * 3);

/// How backups of a file system stand.
#[derive(Clone, Debug, Serialize)]
pub struct Standing {
    /// The file system.
    pub file_system: String,
    /// Whether EFS's own daily backup is on.
    pub automatic: Look<bool>,
    /// Its recovery points, the newest first.
    pub points: Vec<RecoveryPoint>,
    /// The vaults of the region.
    pub vaults: Look<Vec<Vault>>,
    /// The backups of the last days, the newest first.
    pub backups: Look<Vec<Job>>,
    /// The restores of the last days, the newest first.
    pub restores: Look<Vec<Job>>,
    /// When this was.
    #[serde(skip)]
    pub now: Timestamp,
}

/// How backups stand. What may not be read is said to be so.
///
/// # Errors
/// There is no such file system, or its recovery points cannot be read.
pub async fn status(config: &SdkConfig, id: &str) -> anyhow::Result<Standing> {
    let file_system = find(config, id).await?;
    let (now, arn) = (Timestamp::now(), &file_system.arn);
    let since = now - NEWS;
    let gap = |failure: Failure| Gap::from(failure);
    Ok(Standing {
        automatic: efs::is_backed_up(config, id).await.map_err(gap),
        points: points(config, &file_system).await?,
        vaults: backup::vaults(config).await.map_err(gap),
        backups: backup::backup_jobs(config, arn, since).await.map_err(gap),
        restores: backup::restore_jobs(config, arn, since).await.map_err(gap),
        file_system: file_system.id,
        now,
    })
}

/// What there is to restore, the newest first.
///
/// # Errors
/// There is no such file system, or AWS does not say.
pub async fn list(config: &SdkConfig, id: &str) -> anyhow::Result<Vec<RecoveryPoint>> {
    points(config, &find(config, id).await?).await
}

/// What one more backup is to be.
#[derive(Clone, Debug)]
pub struct Order {
    /// The file system.
    pub file_system: String,
    /// The vault that it goes into.
    pub vault: String,
    /// The role that AWS Backup takes: a name or an ARN; its own default one if nothing is said.
    pub role: Option<String>,
    /// Whether to wait until it is done.
    pub wait: bool,
    /// What makes it one backup, however often it is asked for.
    pub token: String,
}

/// Has a backup made. With `wait`, returns once it is whole.
///
/// # Errors
/// AWS refuses it; with `wait`, it does not end well.
pub async fn start(config: &SdkConfig, order: &Order, events: &Events) -> anyhow::Result<Job> {
    let file_system = find(config, &order.file_system).await?;
    let role = role(config, order.role.as_deref(), &file_system).await?;
    let title = format!("backing up {} into {}", file_system.id, order.vault);
    told(events, "backup", title, async {
        let (vault, token) = (&order.vault, &order.token);
        let begun = backup::start_backup(config, &file_system.arn, vault, &role, token).await;
        let job = begun.map_err(|failure| refused(&failure, vault))?;
        events.log("backup", format!("job {}", job.id));
        if !order.wait {
            return Ok(job);
        }
        let job =
            ended(events, "backup", async || backup::backup_job(config, &job.id).await).await?;
        if job.is_done() {
            return Ok(job);
        }
        Err(failed("the backup", &job))
    })
    .await
}

/// A word that nobody has said before: a job of its own.
///
/// # Errors
/// The kernel has no random bytes.
pub fn token() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).context("asking the kernel for random bytes")?;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("hostkit-{digits}"))
}

/// What AWS Backup refuses, and what a person can do about it.
fn refused(failure: &Failure, vault: &str) -> Fault {
    let message = failure.message();
    match failure.code() {
        Some("ResourceNotFoundException") if message.contains("vault") => {
            Fault::aws(failure.to_string()).hint(format!(
                "make it: `aws backup create-backup-vault --backup-vault-name {vault}`, or name another \
                 with --vault"
            ))
        }
        Some("InvalidParameterValueException") if message.contains("role") => {
            Fault::aws(failure.to_string()).hint(
                "the role that AWS Backup takes must be there, and trust backup.amazonaws.com: opening \
                 AWS Backup in the console makes the default one; --role names another",
            )
        }
        _ => fault(failure),
    }
}

/// A job that did not end well.
fn failed(what: &str, job: &Job) -> anyhow::Error {
    let why = job.message.as_deref().unwrap_or("AWS does not say why");
    let text = format!("{what} ended as {}: {why}", job.state);
    Fault::aws(text).hint("`hostkit efs backup status` shows it among the last jobs").into()
}

/// Waits for a job, and says how far it is.
async fn ended(
    events: &Events,
    step: &str,
    mut look: impl AsyncFnMut() -> Result<Job, Failure>,
) -> anyhow::Result<Job> {
    let mut last = String::new();
    let job = patience::until(PATIENCE, async || {
        let job = look().await?;
        if job.state != last {
            events.log(step, job.state.to_lowercase());
            last.clone_from(&job.state);
        }
        if let (Some(percent), Some(bytes)) = (job.percent, job.bytes.filter(|bytes| *bytes > 0)) {
            events.progress(step, bytes / 100 * percent.min(100), Some(bytes), Unit::Bytes);
        }
        Ok(job.is_over().then_some(job))
    });
    let job = job.await.map_err(|failure| fault(&failure))?;
    Ok(job.ok_or_else(|| {
        let hours = PATIENCE.as_secs() / 3600;
        Fault::aws(format!("the job has not ended after {hours} hours"))
            .hint("`hostkit efs backup status` shows how far it is")
    })?)
}

/// There is no file system of this id where it was looked for.
pub(super) fn no_file_system(id: &str, region: &str) -> Fault {
    Fault::usage(format!("there is no file system {id} in {region}")).hint(
        "check the id and the region: `aws efs describe-file-systems` lists those of a region",
    )
}

async fn find(config: &SdkConfig, id: &str) -> anyhow::Result<FileSystem> {
    let found = efs::found(config, id).await.map_err(|failure| fault(&failure))?;
    found.ok_or_else(|| no_file_system(id, region(config)).into())
}

async fn points(
    config: &SdkConfig,
    file_system: &FileSystem,
) -> anyhow::Result<Vec<RecoveryPoint>> {
    let found = backup::recovery_points(config, &file_system.arn).await;
    let mut points = found.map_err(|failure| fault(&failure))?;
    points.sort_by_key(|point| std::cmp::Reverse(point.created));
    Ok(points)
}

/// The ARN of a role.
async fn role(config: &SdkConfig, asked: Option<&str>, of: &FileSystem) -> anyhow::Result<String> {
    let name = match asked {
        Some(arn) if arn.starts_with("arn:") => return Ok(arn.to_owned()),
        Some(name) => name,
        None => ROLE,
    };
    let account = identity(config).await.map_err(|failure| fault(&failure))?.account;
    let partition = of.arn.split(':').nth(1).unwrap_or("aws");
    Ok(format!("arn:{partition}:iam::{account}:role/{name}"))
}
