//! Elastic File System, REST JSON: each file system has one mount target, and is backed up.

use serde_json::{Value, json};

use super::account::{
    ACCOUNT_ID, Account, FileSystem, MOUNT_TARGET_IP, REGION, SUBNET, VPC, ZONE, ZONE_ID,
};
use super::http::{Reply, Request};
use super::timeline::Milestone;

/// Where this service's paths begin.
pub const PREFIX: &str = "/2015-02-01/";

/// Answers one signed request.
pub fn answer(account: &Account, caller: &str, request: &Request) -> Reply {
    match action(request) {
        "DescribeMountTargets" => describe_mount_targets(account, caller, request),
        "DescribeFileSystems" => describe_file_systems(account, request),
        "DescribeBackupPolicy" => describe_backup_policy(account, request),
        _ => error(404, "UnknownOperationException", ""),
    }
}

/// What a request asks for, by the name that policies give it; nothing if no such operation is here.
pub fn action(request: &Request) -> &'static str {
    let operation = request.path.strip_prefix(PREFIX).unwrap_or_default().trim_end_matches('/');
    match (request.method.as_str(), operation) {
        ("GET", "mount-targets") => "DescribeMountTargets",
        ("GET", "file-systems") => "DescribeFileSystems",
        ("GET", rest) if of_backups(rest).is_some() => "DescribeBackupPolicy",
        _ => "",
    }
}

/// The file system whose backups a path is about.
fn of_backups(operation: &str) -> Option<&str> {
    operation.strip_prefix("file-systems/")?.strip_suffix("/backup-policy")
}

/// An error in the shape of this service.
pub fn error(status: u16, code: &str, message: &str) -> Reply {
    let body = json!({ "ErrorCode": code, "Message": message, "message": message });
    reply(status, &body).header("x-amzn-errortype", code)
}

fn describe_mount_targets(account: &Account, caller: &str, request: &Request) -> Reply {
    let asked = request.parameters();
    let all = &account.file_systems;
    let selectors = ["FileSystemId", "MountTargetId", "AccessPointId"].map(|name| asked.get(name));
    let (found, absent) = match selectors {
        [Some(id), None, None] => (all.iter().find(|one| names(id, &one.id)), no_file_system(id)),
        [None, Some(id), None] => {
            let message = format!("Mount target '{id}' does not exist.");
            let absent = error(404, "MountTargetNotFound", &message);
            (all.iter().find(|one| one.mount_target == *id), absent)
        }
        [None, None, Some(id)] => {
            let message = format!("Access point '{id}' does not exist.");
            (None, error(404, "AccessPointNotFound", &message))
        }
        _ => {
            let message = "exactly one of FileSystemId, MountTargetId, AccessPointId is needed";
            (None, error(400, "BadRequest", message))
        }
    };
    let Some(file_system) = found else { return absent };
    account.mark(caller, Milestone::MountTarget);
    let target = json!({
        "OwnerId": ACCOUNT_ID,
        "MountTargetId": file_system.mount_target,
        "FileSystemId": file_system.id,
        "SubnetId": SUBNET,
        "LifeCycleState": "available",
        "IpAddress": MOUNT_TARGET_IP,
        "NetworkInterfaceId": file_system.id.replace("fs-", "eni-"),
        "AvailabilityZoneId": ZONE_ID,
        "AvailabilityZoneName": ZONE,
        "VpcId": VPC,
    });
    reply(200, &json!({ "MountTargets": [target] }))
}

fn describe_file_systems(account: &Account, request: &Request) -> Reply {
    let asked = request.parameters();
    let wanted = asked.get("FileSystemId");
    let fits = |one: &&FileSystem| wanted.is_none_or(|id| names(id, &one.id));
    let found: Vec<Value> =
        account.file_systems.iter().filter(fits).map(|one| describe(account, &one.id)).collect();
    match wanted {
        Some(id) if found.is_empty() => no_file_system(id),
        _ => reply(200, &json!({ "FileSystems": found })),
    }
}

/// Every file system is backed up each day: nobody can change that here.
fn describe_backup_policy(account: &Account, request: &Request) -> Reply {
    let operation = request.path.strip_prefix(PREFIX).unwrap_or_default().trim_end_matches('/');
    let id = of_backups(operation).unwrap_or_default();
    if account.file_systems.iter().any(|one| names(id, &one.id)) {
        reply(200, &json!({ "BackupPolicy": { "Status": "ENABLED" } }))
    } else {
        no_file_system(id)
    }
}

fn describe(account: &Account, id: &str) -> Value {
    let created = account.parameters.written.as_second();
    json!({
        "OwnerId": ACCOUNT_ID,
        "CreationToken": id,
        "FileSystemId": id,
        "FileSystemArn": arn(id),
        "CreationTime": created,
        "LifeCycleState": "available",
        "Name": "hostkit-vm",
        "NumberOfMountTargets": 1,
        "SizeInBytes": { "Value": 6144, "Timestamp": created, "ValueInIA": 0, "ValueInStandard": 6144 },
        "PerformanceMode": "generalPurpose",
        "Encrypted": false,
        "ThroughputMode": "elastic",
        "Tags": [{ "Key": "Name", "Value": "hostkit-vm" }],
        "FileSystemProtection": { "ReplicationOverwriteProtection": "ENABLED" },
    })
}

fn names(asked: &str, id: &str) -> bool {
    asked == id || asked == arn(id)
}

fn arn(id: &str) -> String {
    format!("arn:aws:elasticfilesystem:{REGION}:{ACCOUNT_ID}:file-system/{id}")
}

fn no_file_system(id: &str) -> Reply {
    error(404, "FileSystemNotFound", &format!("File system '{id}' does not exist."))
}

fn reply(status: u16, body: &Value) -> Reply {
    Reply::new(status, "application/json", body.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(path: &str, query: String) -> Reply {
        let request =
            Request { method: "GET".into(), path: path.into(), query, ..Request::default() };
        answer(&Account::for_tests(), "i-0", &request)
    }

    #[test]
    fn tells_that_a_file_system_is_backed_up() {
        let id = Account::for_tests().file_systems[0].id.clone();
        let of =
            |id: &str| ask(&format!("/2015-02-01/file-systems/{id}/backup-policy"), String::new());
        assert!(of(&id).body.contains("ENABLED"), "{}", of(&id).body);
        assert_eq!(of("fs-0123").status, 404);
    }

    #[test]
    fn tells_where_the_file_system_is_mounted() {
        let id = Account::for_tests().file_systems[0].id.clone();
        let reply = ask("/2015-02-01/mount-targets", format!("FileSystemId={id}"));
        let body: Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(body["MountTargets"][0]["IpAddress"], "10.0.2.100");
        assert_eq!(body["MountTargets"][0]["AvailabilityZoneId"], "euw1-az1");
        assert_eq!(body["MountTargets"][0]["LifeCycleState"], "available");
    }

    #[test]
    fn refuses_what_does_not_exist_and_what_is_not_said() {
        let code = |path: &str, query: &str| {
            let reply = ask(path, query.to_owned());
            (reply.status, reply.headers[1].1.clone())
        };
        let absent = (404, "FileSystemNotFound".to_owned());
        assert_eq!(code("/2015-02-01/mount-targets", "FileSystemId=fs-0"), absent);
        assert_eq!(code("/2015-02-01/file-systems", "FileSystemId=fs-0"), absent);
        assert_eq!(code("/2015-02-01/mount-targets", ""), (400, "BadRequest".to_owned()));
        assert_eq!(code("/2015-02-01/access-points", "").0, 404);
    }
}
