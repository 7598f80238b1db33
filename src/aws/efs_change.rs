//! EFS: what is changed of a file system from outside. What one is, [`super::efs`] tells.

use aws_config::SdkConfig;
use aws_sdk_efs::Client;
use aws_sdk_efs::types::ThroughputMode;
use serde::{Deserialize, Serialize};

use super::Failure;

/// How throughput is paid for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// As much as is used.
    Elastic,
    /// So many MiB/s, used or not.
    Provisioned(f64),
    /// By size, with credits.
    Bursting,
}

impl Mode {
    /// AWS's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Elastic => "elastic",
            Self::Provisioned(_) => "provisioned",
            Self::Bursting => "bursting",
        }
    }
}

/// Whether AWS Backup makes a backup each day by EFS's own plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Policy {
    /// It does, or will from now on.
    Enabled,
    /// It does not, or will not any more.
    Disabled,
}

/// Changes how throughput is paid for. AWS allows it once in 24 hours, but for more that is
/// provisioned.
pub async fn set_throughput(config: &SdkConfig, id: &str, mode: Mode) -> Result<(), Failure> {
    const CALL: &str = "elasticfilesystem:UpdateFileSystem";
    let call = Client::new(config).update_file_system().file_system_id(id);
    let call = match mode {
        Mode::Elastic => call.throughput_mode(ThroughputMode::Elastic),
        Mode::Bursting => call.throughput_mode(ThroughputMode::Bursting),
        Mode::Provisioned(mibps) => {
            call.throughput_mode(ThroughputMode::Provisioned).provisioned_throughput_in_mibps(mibps)
        }
    };
    call.send().await.map(|_| ()).map_err(|error| Failure::new(CALL, &error))
}

/// Makes an address in a subnet at which a file system can be mounted. Without security groups it
/// gets the default one of the network. Returns its id.
pub async fn make_target(
    config: &SdkConfig,
    file_system: &str,
    subnet: &str,
    groups: &[String],
) -> Result<String, Failure> {
    const CALL: &str = "elasticfilesystem:CreateMountTarget";
    let call = Client::new(config).create_mount_target().file_system_id(file_system);
    let groups = (!groups.is_empty()).then(|| groups.to_vec());
    let call = call.subnet_id(subnet).set_security_groups(groups);
    let made = call.send().await.map_err(|error| Failure::new(CALL, &error))?;
    Ok(made.mount_target_id().to_owned())
}

/// Whether EFS's own daily backup is on.
pub async fn backup_policy(config: &SdkConfig, id: &str) -> Result<Policy, Failure> {
    let is_on = super::efs::is_backed_up(config, id).await?;
    Ok(if is_on { Policy::Enabled } else { Policy::Disabled })
}
