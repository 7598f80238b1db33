//! What is changed of a file system: how its throughput is paid for, its backups, its protection, and
//! where it is mounted.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{Change, FileSystem, Target, error, file_system, no_file_system, reply, target};
use crate::sim::account::{ACCOUNT_ID, Account};
use crate::sim::http::Reply;
use crate::sim::region::Due;

/// How long AWS takes to change how throughput is paid for.
const UPDATE: Duration = Duration::from_secs(45);
/// How long AWS takes until a mount target can be used.
const TARGET: Duration = Duration::from_secs(90);
/// How long nobody can change how throughput is paid for once somebody has.
const RESTS: SignedDuration = SignedDuration::from_hours(24);

/// What others must know of a file system by its ARN: the key that encrypts it, and its size.
pub fn facts(account: &Account, region: &str, arn: &str) -> Option<(Option<String>, u64)> {
    let id =
        arn.strip_prefix(&format!("arn:aws:elasticfilesystem:{region}:{ACCOUNT_ID}:file-system/"))?;
    let found = account.file_systems.iter().find(|it| it.is_in(region) && it.id == id)?;
    Some((found.key.clone(), found.bytes))
}

/// Lets happen what is due.
pub(super) fn settle(account: &mut Account) {
    let now = account.now();
    let over = |due: &mut Due| due.at <= now;
    for file_system in &mut account.file_systems {
        if file_system.changing.take_if(over).is_some() {
            "available".clone_into(&mut file_system.state);
        }
        for target in &mut file_system.targets {
            if target.coming.take_if(over).is_some() {
                "available".clone_into(&mut target.state);
            }
        }
    }
    super::replication::settle(account, now);
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AskedUpdate {
    throughput_mode: Option<String>,
    #[serde(rename = "ProvisionedThroughputInMibps")]
    provisioned: Option<f64>,
}

/// `UpdateFileSystem`.
pub(super) fn update(change: &mut Change<'_>, id: &str) -> Reply {
    let asked: AskedUpdate = match input(change) {
        Ok(asked) => asked,
        Err(refusal) => return refusal,
    };
    let (world, due) = (change.account.world(), change.account.due(UPDATE));
    let Some(found) = change.file_system(id) else { return no_file_system(id) };
    if found.state != "available" {
        return not_now(found);
    }
    let mode = asked.throughput_mode.unwrap_or_else(|| found.throughput_mode.clone());
    match (mode.as_str(), asked.provisioned) {
        ("provisioned", Some(mibps)) if (1.0..=3414.0).contains(&mibps) => {}
        ("elastic" | "bursting", None) => {}
        _ => {
            return error(
                400,
                "BadRequest",
                "the throughput mode and what is provisioned do not fit",
            );
        }
    }
    let less = found.provisioned.is_some_and(|before| asked.provisioned < Some(before));
    let restricted = mode != found.throughput_mode || less;
    let rested = found.mode_changed.is_none_or(|at| at + RESTS <= world);
    if restricted && !rested {
        let message = "You have to wait for at least 1 day since last throughput mode change or \
                       provisioned throughput decrease.";
        return error(429, "TooManyRequests", message);
    }
    if restricted {
        found.mode_changed = Some(world);
    }
    (found.throughput_mode, found.provisioned) = (mode, asked.provisioned);
    "updating".clone_into(&mut found.state);
    found.changing = Some(due);
    let id = found.id.clone();
    file_system::described(change, &id)
        .map_or_else(|| no_file_system(&id), |told| reply(202, &told))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AskedProtection {
    replication_overwrite_protection: Option<String>,
}

/// `UpdateFileSystemProtection`.
pub(super) fn protect(change: &mut Change<'_>, id: &str) -> Reply {
    let asked: AskedProtection = match input(change) {
        Ok(asked) => asked,
        Err(refusal) => return refusal,
    };
    let Some(found) = change.file_system(id) else { return no_file_system(id) };
    if found.overwrite_protection == "REPLICATING" {
        let message = "The file system is the destination of a replication.";
        return error(409, "ReplicationAlreadyExists", message);
    }
    match asked.replication_overwrite_protection.as_deref() {
        Some(wanted @ ("ENABLED" | "DISABLED")) => {
            wanted.clone_into(&mut found.overwrite_protection);
            reply(200, &json!({ "ReplicationOverwriteProtection": wanted }))
        }
        _ => error(400, "BadRequest", "ReplicationOverwriteProtection must be ENABLED or DISABLED"),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AskedPolicy {
    backup_policy: Option<Policy>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Policy {
    status: String,
}

/// `PutBackupPolicy`.
pub(super) fn back_up(change: &mut Change<'_>, id: &str) -> Reply {
    let asked: AskedPolicy = match input(change) {
        Ok(asked) => asked,
        Err(refusal) => return refusal,
    };
    let Some(found) = change.file_system(id) else { return no_file_system(id) };
    match asked.backup_policy.map(|policy| policy.status).as_deref() {
        Some(wanted @ ("ENABLED" | "DISABLED")) => {
            found.backed_up = wanted == "ENABLED";
            reply(200, &json!({ "BackupPolicy": { "Status": wanted } }))
        }
        _ => error(400, "ValidationException", "Status must be ENABLED or DISABLED"),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AskedTarget {
    file_system_id: Option<String>,
    subnet_id: Option<String>,
    #[serde(default)]
    security_groups: Vec<String>,
}

/// `CreateMountTarget`.
pub(super) fn mount(change: &mut Change<'_>) -> Reply {
    let asked: AskedTarget = match input(change) {
        Ok(asked) => asked,
        Err(refusal) => return refusal,
    };
    let (Some(id), Some(subnet_id)) = (asked.file_system_id, asked.subnet_id) else {
        return error(400, "BadRequest", "FileSystemId and SubnetId are needed");
    };
    let due = change.account.due(TARGET);
    let here = change.account.region(change.region);
    let Some(subnet) = here.subnets.get(&subnet_id).cloned() else {
        return error(
            400,
            "SubnetNotFound",
            &format!("The subnet ID '{subnet_id}' does not exist"),
        );
    };
    if let Some(absent) =
        asked.security_groups.iter().find(|it| !here.security_groups.contains_key(*it))
    {
        let message = format!("The security group '{absent}' does not exist");
        return error(400, "SecurityGroupNotFound", &message);
    }
    let Some(found) = change.file_system(&id) else { return no_file_system(&id) };
    if found.state != "available" {
        return not_now(found);
    }
    if found.targets.iter().any(|it| it.zone == subnet.zone) {
        return error(409, "MountTargetConflict", "mount target already exists in this AZ");
    }
    if found.targets.iter().any(|it| it.vpc != subnet.vpc) {
        let message = "requested subnet for new mount target is not in the same VPC as existing \
                       mount targets";
        return error(409, "MountTargetConflict", message);
    }
    let mut made = Target::in_subnet(&found.id, &subnet);
    "creating".clone_into(&mut made.state);
    made.coming = Some(due);
    if !asked.security_groups.is_empty() {
        made.security_groups = asked.security_groups;
    }
    found.targets.push(made.clone());
    reply(200, &target::shape(found, &made))
}

fn not_now(found: &FileSystem) -> Reply {
    let message = format!("file system '{}' is {}", found.id, found.state);
    error(409, "IncorrectFileSystemLifeCycleState", &message)
}

pub(super) fn input<T: DeserializeOwned>(change: &Change<'_>) -> Result<T, Reply> {
    serde_json::from_slice(&change.request.body)
        .map_err(|cause| error(400, "BadRequest", &cause.to_string()))
}

/// Whether something is due that has not come to pass.
pub(super) fn waits(due: Option<Due>, now: Instant) -> bool {
    due.is_some_and(|due| due.at > now)
}
