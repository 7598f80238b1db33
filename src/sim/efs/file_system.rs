//! File systems, and their policies.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::access_point::AccessPoint;
use super::target::Target;
use super::{Call, Change, error, no_file_system, reply};
use crate::sim::account::ACCOUNT_ID;
use crate::sim::http::Reply;
use crate::sim::random;
use crate::sim::region::Due;

/// A file system. Whoever sets a stage changes what it is; it changes nothing by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct FileSystem {
    /// `fs-…`
    pub id: String,
    /// The tag `Name`.
    pub name: String,
    /// The one region that it is in; absent for the folder that guests have wherever they are.
    pub region: Option<String>,
    /// `creating`, `available`, `updating`, `deleting`, `deleted` or `error`.
    pub state: String,
    /// The one availability zone that it is in, by name and id, if it is in one only.
    pub zone: Option<(String, String)>,
    /// `bursting`, `provisioned` or `elastic`.
    pub throughput_mode: String,
    /// In MiB/s, where it is provisioned.
    pub provisioned: Option<f64>,
    /// `generalPurpose` or `maxIO`.
    pub performance_mode: String,
    /// The ARN of the key that encrypts it; absent where it is not encrypted.
    pub key: Option<String>,
    /// Its size.
    pub bytes: u64,
    /// `ENABLED`, `DISABLED` or `REPLICATING`.
    pub overwrite_protection: String,
    /// Its policy, as it was written.
    pub policy: Option<String>,
    /// Where it is mounted.
    pub targets: Vec<Target>,
    /// Its access points.
    pub access_points: Vec<AccessPoint>,
    /// Whether EFS has it backed up each day.
    pub backed_up: bool,
    /// When it is available again.
    pub changing: Option<Due>,
    /// When somebody last changed how its throughput is paid for.
    pub mode_changed: Option<Timestamp>,
}

impl FileSystem {
    /// The same folder is the same file system, in every boot: with one mount target.
    pub fn of_folder(canonical: &str) -> Self {
        let digits = random::derived(canonical, 17);
        let id = format!("fs-{digits}");
        Self {
            targets: vec![Target::of_guests(&digits)],
            name: "hostkit-vm".to_owned(),
            region: None,
            state: "available".to_owned(),
            zone: None,
            throughput_mode: "elastic".to_owned(),
            provisioned: None,
            performance_mode: "generalPurpose".to_owned(),
            key: None,
            bytes: 6144,
            overwrite_protection: "ENABLED".to_owned(),
            policy: None,
            access_points: Vec::new(),
            backed_up: true,
            changing: None,
            mode_changed: None,
            id,
        }
    }

    /// Whether it is in this region.
    pub fn is_in(&self, region: &str) -> bool {
        self.region.as_deref().is_none_or(|it| it == region)
    }
}

/// `DescribeFileSystems`.
pub(super) fn describe(call: &Call<'_>) -> Reply {
    let asked = call.request.parameters();
    let found: Vec<Value> = match (asked.get("FileSystemId"), asked.get("CreationToken")) {
        (Some(_), Some(_)) => {
            let message = "only one of FileSystemId and CreationToken can be given";
            return error(400, "BadRequest", message);
        }
        (Some(id), None) => match call.file_system(id) {
            Some(found) => vec![shape(call, found)],
            None => return no_file_system(id),
        },
        (None, token) => {
            let fits = |one: &&FileSystem| token.is_none_or(|token| *token == one.id);
            call.here().filter(fits).map(|one| shape(call, one)).collect()
        }
    };
    reply(200, &json!({ "FileSystems": found }))
}

/// `DescribeFileSystemPolicy`.
pub(super) fn policy(call: &Call<'_>, id: &str) -> Reply {
    let Some(found) = call.file_system(id) else { return no_file_system(id) };
    match &found.policy {
        Some(policy) => reply(200, &json!({ "FileSystemId": found.id, "Policy": policy })),
        None => error(404, "PolicyNotFound", "No policy associated with this file system"),
    }
}

/// `DescribeBackupPolicy`.
pub(super) fn backup_policy(call: &Call<'_>, id: &str) -> Reply {
    match call.file_system(id) {
        Some(found) => {
            let status = if found.backed_up { "ENABLED" } else { "DISABLED" };
            reply(200, &json!({ "BackupPolicy": { "Status": status } }))
        }
        None => no_file_system(id),
    }
}

/// A file system as it is after a change.
pub(super) fn described(change: &Change<'_>, id: &str) -> Option<Value> {
    let Change { account, region, request } = change;
    let call = Call { account, caller: "", region, request };
    call.file_system(id).map(|found| shape(&call, found))
}

fn shape(call: &Call<'_>, of: &FileSystem) -> Value {
    let created = call.account.parameters.written.as_second();
    let mut shape = json!({
        "OwnerId": ACCOUNT_ID,
        "CreationToken": of.id,
        "FileSystemId": of.id,
        "FileSystemArn": call.arn("file-system", &of.id),
        "CreationTime": created,
        "LifeCycleState": of.state,
        "Name": of.name,
        "NumberOfMountTargets": of.targets.len(),
        "SizeInBytes": {
            "Value": of.bytes, "Timestamp": created, "ValueInIA": 0, "ValueInStandard": of.bytes,
        },
        "PerformanceMode": of.performance_mode,
        "Encrypted": of.key.is_some(),
        "ThroughputMode": of.throughput_mode,
        "Tags": [{ "Key": "Name", "Value": of.name }],
        "FileSystemProtection": { "ReplicationOverwriteProtection": of.overwrite_protection },
    });
    if let Some(key) = &of.key {
        shape["KmsKeyId"] = json!(key);
    }
    if let Some((name, id)) = &of.zone {
        shape["AvailabilityZoneName"] = json!(name);
        shape["AvailabilityZoneId"] = json!(id);
    }
    if let Some(provisioned) = of.provisioned {
        shape["ProvisionedThroughputInMibps"] = json!(provisioned);
    }
    shape
}
