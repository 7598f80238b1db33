//! Where a file system can be mounted.

use std::net::{Ipv4Addr, Ipv6Addr};

use aws_config::SdkConfig;
use aws_sdk_efs::Client;
use aws_sdk_efs::types::MountTargetDescription;
use serde::{Deserialize, Serialize};

use crate::aws::Failure;

/// An address at which a file system can be mounted: what a boot decides by.
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

/// A mount target, as EFS describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// `fsmt-…`
    pub id: String,
    /// Its address.
    pub address: Option<Ipv4Addr>,
    /// Its address in version 6, if it has one.
    pub address6: Option<Ipv6Addr>,
    /// The name of its availability zone, in the account of whoever asks; may be empty.
    pub zone: String,
    /// The id of that zone; may be empty.
    pub zone_id: String,
    /// `creating`, `available`, `updating`, `deleting`, `deleted` or `error`.
    pub state: String,
    /// `subnet-…`
    pub subnet: String,
    /// `vpc-…`; may be empty.
    pub vpc: String,
    /// `eni-…`
    pub network_interface: Option<String>,
    /// Its security groups; nothing where they were not asked for, or might not be read.
    pub security_groups: Option<Vec<String>>,
}

impl Target {
    /// Whether it can be used.
    pub fn state(&self) -> TargetState {
        match self.state.as_str() {
            "available" => TargetState::Available,
            "creating" | "updating" => TargetState::Coming,
            _ => TargetState::Gone,
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

/// All mount targets of a file system, without their security groups.
pub async fn targets(config: &SdkConfig, id: &str) -> Result<Vec<Target>, Failure> {
    let answer = Client::new(config)
        .describe_mount_targets()
        .file_system_id(id)
        .send()
        .await
        .map_err(|error| Failure::new("elasticfilesystem:DescribeMountTargets", &error))?;
    Ok(answer.mount_targets().iter().map(read).collect())
}

/// All mount targets of a file system that have an address and a zone.
pub async fn mount_targets(config: &SdkConfig, id: &str) -> Result<Vec<MountTarget>, Failure> {
    let fit = |target: Target| {
        let state = target.state();
        let address = target.address?;
        let (id, zone_id) = (target.id, target.zone_id);
        (!zone_id.is_empty()).then_some(MountTarget { id, address, zone_id, state })
    };
    Ok(targets(config, id).await?.into_iter().filter_map(fit).collect())
}

fn read(target: &MountTargetDescription) -> Target {
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    Target {
        id: target.mount_target_id().to_owned(),
        address: target.ip_address().and_then(|it| it.parse().ok()),
        address6: target.ipv6_address().and_then(|it| it.parse().ok()),
        zone: text(target.availability_zone_name()),
        zone_id: text(target.availability_zone_id()),
        state: target.life_cycle_state().as_str().to_owned(),
        subnet: target.subnet_id().to_owned(),
        vpc: text(target.vpc_id()),
        network_interface: target.network_interface_id().map(str::to_owned),
        security_groups: None,
    }
}
