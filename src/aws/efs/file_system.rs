//! What a file system is, and its policy.

use aws_config::SdkConfig;
use aws_sdk_efs::Client;
use aws_sdk_efs::types::FileSystemDescription;
use serde::{Deserialize, Serialize};

use crate::aws::Failure;

/// A file system, as EFS describes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FileSystem {
    /// `fs-…`
    pub id: String,
    /// Its ARN; empty where AWS did not say it.
    pub arn: String,
    /// The tag `Name`.
    pub name: Option<String>,
    /// `creating`, `available`, `updating`, `deleting`, `deleted` or `error`.
    pub state: String,
    /// The name of the one availability zone that it is in, if it is in one only.
    pub zone: Option<String>,
    /// The id of that zone.
    pub zone_id: Option<String>,
    /// `bursting`, `provisioned` or `elastic`.
    pub throughput_mode: String,
    /// What is paid for, in MiB/s, where it is provisioned.
    pub provisioned: Option<f64>,
    /// `generalPurpose` or `maxIO`.
    pub performance_mode: String,
    /// Whether it is encrypted at rest.
    pub encrypted: bool,
    /// The ARN of the key that encrypts it.
    pub key: Option<String>,
    /// Its size in bytes, as of some hours ago at most.
    pub bytes: u64,
    /// How many mount targets it has.
    pub targets: u32,
    /// `ENABLED`, `DISABLED`, or `REPLICATING` for the read-only copy of another.
    pub overwrite_protection: Option<String>,
}

impl FileSystem {
    /// Whether it is in one availability zone only.
    pub const fn is_in_one_zone(&self) -> bool {
        self.zone.is_some() || self.zone_id.is_some()
    }
}

/// What a file system is.
///
/// # Errors
/// There is none of this id, among all else.
pub async fn file_system(config: &SdkConfig, id: &str) -> Result<FileSystem, Failure> {
    let answer = Client::new(config)
        .describe_file_systems()
        .file_system_id(id)
        .send()
        .await
        .map_err(|error| Failure::new("elasticfilesystem:DescribeFileSystems", &error))?;
    Ok(answer.file_systems().first().map(read).unwrap_or_default())
}

/// What a file system is; nothing if there is none of this id in this region.
pub async fn found(config: &SdkConfig, id: &str) -> Result<Option<FileSystem>, Failure> {
    match file_system(config, id).await {
        Err(failure) if failure.code() == Some("FileSystemNotFound") => Ok(None),
        // Some answer with none instead.
        answer => Ok(Some(answer?).filter(|found| !found.id.is_empty())),
    }
}

/// The file systems of the region: the first hundred.
pub async fn file_systems(config: &SdkConfig) -> Result<Vec<FileSystem>, Failure> {
    let answer = Client::new(config).describe_file_systems().send().await;
    let answer =
        answer.map_err(|error| Failure::new("elasticfilesystem:DescribeFileSystems", &error))?;
    Ok(answer.file_systems().iter().map(read).collect())
}

/// The policy of a file system, as it was written; nothing if it has none, which lets everybody in
/// who reaches a mount target.
pub async fn policy(config: &SdkConfig, id: &str) -> Result<Option<String>, Failure> {
    const CALL: &str = "elasticfilesystem:DescribeFileSystemPolicy";
    let answer = Client::new(config).describe_file_system_policy().file_system_id(id).send().await;
    match answer.map_err(|error| Failure::new(CALL, &error)) {
        Err(failure) if failure.code() == Some("PolicyNotFound") => Ok(None),
        answer => Ok(answer?.policy),
    }
}

fn read(found: &FileSystemDescription) -> FileSystem {
    let text = |text: Option<&str>| text.map(str::to_owned);
    let protection = found.file_system_protection();
    let protection = protection.and_then(|it| it.replication_overwrite_protection());
    FileSystem {
        id: found.file_system_id().to_owned(),
        arn: found.file_system_arn().unwrap_or_default().to_owned(),
        name: text(found.name()),
        state: found.life_cycle_state().as_str().to_owned(),
        zone: text(found.availability_zone_name()),
        zone_id: text(found.availability_zone_id()),
        throughput_mode: found.throughput_mode().map_or("", |it| it.as_str()).to_owned(),
        provisioned: found.provisioned_throughput_in_mibps(),
        performance_mode: found.performance_mode().as_str().to_owned(),
        encrypted: found.encrypted().unwrap_or_default(),
        key: text(found.kms_key_id()),
        bytes: found.size_in_bytes().map_or(0, |it| it.value().try_into().unwrap_or_default()),
        targets: found.number_of_mount_targets().try_into().unwrap_or_default(),
        overwrite_protection: protection.map(|it| it.as_str().to_owned()),
    }
}
