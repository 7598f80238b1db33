//! Elastic File System: where a file system can be mounted, what it is, and whom it lets in.
//!
//! Only reads. What a check of a file system needs is told as EFS tells it ([`FileSystem`],
//! [`Target`], [`AccessPoint`]); [`MountTarget`] is what little a boot decides by.

mod access_point;
mod file_system;
mod target;

use aws_config::SdkConfig;
use aws_sdk_efs::Client;
use aws_sdk_efs::types::Status;

pub use access_point::{AccessPoint, Creation, PosixUser, access_point, access_points};
pub use file_system::{FileSystem, file_system, file_systems, found, policy};
pub use target::{MountTarget, Target, TargetState, mount_targets, security_groups, targets};

use super::Failure;

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
