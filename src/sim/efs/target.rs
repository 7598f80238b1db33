//! Mount targets.

use serde_json::{Value, json};

use super::file_system::FileSystem;
use super::{Call, error, no_access_point, no_file_system, reply};
use crate::sim::account::{ACCOUNT_ID, MOUNT_TARGET_IP, SUBNET, VPC, ZONE, ZONE_ID};
use crate::sim::http::Reply;
use crate::sim::network::Subnet;
use crate::sim::random;
use crate::sim::region::Due;
use crate::sim::security_group::SecurityGroup;
use crate::sim::timeline::Milestone;

/// A mount target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `fsmt-…`
    pub id: String,
    /// Its subnet.
    pub subnet: String,
    /// Its network.
    pub vpc: String,
    /// Its zone.
    pub zone: String,
    /// The id of that zone.
    pub zone_id: String,
    /// Its address.
    pub address: String,
    /// `creating`, `available`, `updating`, `deleting`, `deleted` or `error`.
    pub state: String,
    /// Its security groups.
    pub security_groups: Vec<String>,
    /// When it will be available.
    pub coming: Option<Due>,
}

impl Target {
    /// That of the guests, which all find it at the same address.
    pub(super) fn of_guests(digits: &str) -> Self {
        Self {
            id: format!("fsmt-{digits}"),
            subnet: SUBNET.to_owned(),
            vpc: VPC.to_owned(),
            zone: ZONE.to_owned(),
            zone_id: ZONE_ID.to_owned(),
            address: MOUNT_TARGET_IP.to_owned(),
            state: "available".to_owned(),
            security_groups: vec![SecurityGroup::default_of(VPC).id],
            coming: None,
        }
    }

    /// One in a subnet, at its hundredth address, in the default group of the network.
    pub fn in_subnet(file_system: &str, subnet: &Subnet) -> Self {
        Self {
            id: format!("fsmt-0{}", random::derived(&format!("{file_system} {}", subnet.id), 16)),
            subnet: subnet.id.clone(),
            vpc: subnet.vpc.clone(),
            zone: subnet.zone.clone(),
            zone_id: subnet.zone_id.clone(),
            address: format!("172.31.{}.100", subnet.third),
            state: "available".to_owned(),
            security_groups: vec![SecurityGroup::default_of(&subnet.vpc).id],
            coming: None,
        }
    }

    /// Its network card; it has none before it is there.
    fn card(&self) -> Option<String> {
        (self.state != "creating").then(|| self.id.replace("fsmt-", "eni-"))
    }
}

/// `DescribeMountTargets`: all of a file system, or one.
pub(super) fn describe(call: &Call<'_>) -> Reply {
    let asked = call.request.parameters();
    let all = |of: &FileSystem| of.targets.iter().map(|it| shape(of, it)).collect::<Vec<_>>();
    let selectors = ["FileSystemId", "MountTargetId", "AccessPointId"].map(|name| asked.get(name));
    let found = match selectors {
        [Some(id), None, None] => call.file_system(id).map(all).ok_or_else(|| no_file_system(id)),
        [None, Some(id), None] => {
            find(call, id).map(|(of, it)| vec![shape(of, it)]).ok_or_else(|| absent(id))
        }
        [None, None, Some(id)] => {
            let has = |of: &&FileSystem| of.access_points.iter().any(|point| point.id == *id);
            call.here().find(has).map(all).ok_or_else(|| no_access_point(id))
        }
        _ => {
            let message = "exactly one of FileSystemId, MountTargetId, AccessPointId is needed";
            Err(error(400, "BadRequest", message))
        }
    };
    match found {
        Ok(targets) => {
            call.account.mark(call.caller, Milestone::MountTarget);
            reply(200, &json!({ "MountTargets": targets }))
        }
        Err(refusal) => refusal,
    }
}

/// `DescribeMountTargetSecurityGroups`.
pub(super) fn security_groups(call: &Call<'_>, id: &str) -> Reply {
    match find(call, id) {
        None => absent(id),
        Some((_, target)) if target.card().is_none() || target.state == "deleted" => {
            let message = format!("Mount target '{id}' has no network interface.");
            error(409, "IncorrectMountTargetState", &message)
        }
        Some((_, target)) => reply(200, &json!({ "SecurityGroups": target.security_groups })),
    }
}

fn find<'a>(call: &'a Call<'_>, id: &str) -> Option<(&'a FileSystem, &'a Target)> {
    call.here().find_map(|of| of.targets.iter().find(|it| it.id == id).map(|it| (of, it)))
}

fn absent(id: &str) -> Reply {
    error(404, "MountTargetNotFound", &format!("Mount target '{id}' does not exist."))
}

pub(super) fn shape(of: &FileSystem, target: &Target) -> Value {
    let mut shape = json!({
        "OwnerId": ACCOUNT_ID,
        "MountTargetId": target.id,
        "FileSystemId": of.id,
        "SubnetId": target.subnet,
        "LifeCycleState": target.state,
        "IpAddress": target.address,
        "AvailabilityZoneId": target.zone_id,
        "AvailabilityZoneName": target.zone,
        "VpcId": target.vpc,
    });
    if let Some(card) = target.card() {
        shape["NetworkInterfaceId"] = json!(card);
    }
    shape
}
