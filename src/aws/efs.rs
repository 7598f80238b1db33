//! Elastic File System: where a file system can be mounted.

use std::net::Ipv4Addr;

use aws_config::SdkConfig;
use aws_sdk_efs::Client;
use aws_sdk_efs::types::{LifeCycleState, Status};

use super::Failure;

/// An address at which a file system can be mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountTarget {
    /// Its id.
    pub id: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// The id of its availability zone.
    pub zone_id: String,
    /// Whether it can be used now.
    pub state: TargetState,
}

/// Whether a mount target can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetState {
    /// It answers.
    Available,
    /// It will be there in a minute or two.
    Coming,
    /// It goes, or is broken.
    Gone,
}

/// A file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// The name of the one availability zone that it is in, if it is in one only.
    pub zone: Option<String>,
}

/// What a file system is.
pub async fn file_system(config: &SdkConfig, id: &str) -> Result<FileSystem, Failure> {
    let answer = Client::new(config)
        .describe_file_systems()
        .file_system_id(id)
        .send()
        .await
        .map_err(|error| Failure::new("elasticfilesystem:DescribeFileSystems", &error))?;
    let found = answer.file_systems().first();
    let zone = found.and_then(|it| it.availability_zone_name()).map(str::to_owned);
    Ok(FileSystem { zone })
}

/// Whether AWS Backup keeps a backup of a file system each day. How old the last one is, EFS does not
/// say.
pub async fn is_backed_up(config: &SdkConfig, id: &str) -> Result<bool, Failure> {
    let call = Client::new(config).describe_backup_policy().file_system_id(id).send().await;
    let call = call.map_err(|error| Failure::new("elasticfilesystem:DescribeBackupPolicy", &error));
    match call {
        Err(failure) if failure.code() == Some("PolicyNotFound") => Ok(false),
        answer => {
            let status = answer?.backup_policy.map(|policy| policy.status);
            Ok(matches!(status, Some(Status::Enabled | Status::Enabling)))
        }
    }
}

/// The ids of the security groups of a mount target.
pub async fn security_groups(config: &SdkConfig, target: &str) -> Result<Vec<String>, Failure> {
    let call = "elasticfilesystem:DescribeMountTargetSecurityGroups";
    let answer = Client::new(config)
        .describe_mount_target_security_groups()
        .mount_target_id(target)
        .send()
        .await
        .map_err(|error| Failure::new(call, &error))?;
    Ok(answer.security_groups().to_vec())
}

/// All mount targets of a file system.
pub async fn mount_targets(config: &SdkConfig, id: &str) -> Result<Vec<MountTarget>, Failure> {
    let answer = Client::new(config)
        .describe_mount_targets()
        .file_system_id(id)
        .send()
        .await
        .map_err(|error| Failure::new("elasticfilesystem:DescribeMountTargets", &error))?;
    let targets = answer.mount_targets().iter().filter_map(|target| {
        Some(MountTarget {
            id: target.mount_target_id().to_owned(),
            address: target.ip_address()?.parse().ok()?,
            zone_id: target.availability_zone_id()?.to_owned(),
            state: match target.life_cycle_state() {
                LifeCycleState::Available => TargetState::Available,
                LifeCycleState::Creating | LifeCycleState::Updating => TargetState::Coming,
                _ => TargetState::Gone,
            },
        })
    });
    Ok(targets.collect())
}
