//! Jobs are begun: the same token begins one once.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Answer, absent, error, here, invalid, points};
use crate::sim::account::{ACCOUNT_ID, Account};
use crate::sim::aws_json::seconds;
use crate::sim::call::Call;
use crate::sim::disturbance;
use crate::sim::efs;
use crate::sim::http::Reply;
use crate::sim::vault::{BACKUP, Job, Kind, RESTORE, WAITS, id, point_arn};

/// What a restore into a file system that is there must be told.
const NEEDED: [&str; 5] =
    ["file-system-id", "newFileSystem", "Encrypted", "PerformanceMode", "CreationToken"];

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AskedBackup {
    backup_vault_name: Option<String>,
    resource_arn: Option<String>,
    iam_role_arn: Option<String>,
    idempotency_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AskedRestore {
    recovery_point_arn: Option<String>,
    metadata: Option<BTreeMap<String, String>>,
    iam_role_arn: Option<String>,
    idempotency_token: Option<String>,
    resource_type: Option<String>,
}

pub(super) fn backup(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: AskedBackup = input(call)?;
    let resource = needed(asked.resource_arn, "resourceArn")?;
    let vault = needed(asked.backup_vault_name, "backupVaultName")?;
    let role = needed(asked.iam_role_arn, "iamRoleArn")?;
    if let Some(job) = before(account, call, asked.idempotency_token.as_deref()) {
        return Ok(begun(&job));
    }
    points::role(&role)?;
    if !here(account, call).names.contains(&vault) {
        return Err(absent(&format!("Backup vault with name {vault} does not exist")));
    }
    let of = file_system(account, call, &resource)?;
    let point = point_arn(&call.region);
    let job = Job {
        key: of.key,
        bytes: of.bytes,
        ..job(account, call, Kind::Backup, BACKUP, (resource, point, vault, role))
    };
    remember(account, call, asked.idempotency_token, &job);
    Ok(begun(&job))
}

pub(super) fn restore(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: AskedRestore = input(call)?;
    let arn = needed(asked.recovery_point_arn, "recoveryPointArn")?;
    let metadata = needed(asked.metadata, "metadata")?;
    let role = needed(asked.iam_role_arn, "iamRoleArn")?;
    if let Some(job) = before(account, call, asked.idempotency_token.as_deref()) {
        return Ok(json!({ "RestoreJobId": job.id }));
    }
    points::role(&role)?;
    if asked.resource_type.is_some_and(|kind| kind != "EFS") {
        return Err(invalid("The resource type is not that of the recovery point"));
    }
    let point = points::of_arn(account, call, &arn)?;
    if !matches!(point.state.as_str(), "COMPLETED" | "AVAILABLE" | "PARTIAL") {
        let message = format!("Recovery point is in state {} and cannot be restored", point.state);
        return Err(error(400, "InvalidRequestException", &message));
    }
    let (resource, items) = target(account, call, &metadata)?;
    let job = Job {
        items,
        bytes: point.bytes,
        ..job(account, call, Kind::Restore, RESTORE, (resource, arn, point.vault, role))
    };
    remember(account, call, asked.idempotency_token, &job);
    Ok(json!({ "RestoreJobId": job.id }))
}

/// The file system that a restore goes to, and which of its files.
fn target(
    account: &mut Account,
    call: &Call<'_>,
    metadata: &BTreeMap<String, String>,
) -> Result<(String, Vec<String>), Reply> {
    for name in NEEDED {
        if metadata.get(name).is_none_or(String::is_empty) {
            return Err(invalid(&format!("Restore metadata {name} is missing")));
        }
    }
    if metadata["newFileSystem"] != "false" {
        return Err(invalid("only an existing file system can be restored to here"));
    }
    let id = &metadata["file-system-id"];
    let arn = format!("arn:aws:elasticfilesystem:{}:{ACCOUNT_ID}:file-system/{id}", call.region);
    file_system(account, call, &arn)?;
    let items =
        metadata.get("ItemsToRestore").map(|text| serde_json::from_str::<Vec<String>>(text));
    let items = items.transpose().map_err(|_| invalid("ItemsToRestore is no list of paths"))?;
    let items = items.unwrap_or_default();
    if items.iter().any(|item| !item.starts_with('/')) {
        return Err(invalid("ItemsToRestore: each path must begin with a slash"));
    }
    Ok((arn, items))
}

/// What a backup has to know of a file system.
struct Of {
    key: Option<String>,
    bytes: u64,
}

fn file_system(account: &mut Account, call: &Call<'_>, arn: &str) -> Result<Of, Reply> {
    let found = efs::facts(account, &call.region, arn);
    let Some((key, bytes)) = found else {
        return Err(absent(&format!("The resource {arn} does not exist")));
    };
    Ok(Of { key, bytes })
}

/// Resource, recovery point, vault and role.
type Parts = (String, String, String, String);

fn job(account: &Account, call: &Call<'_>, kind: Kind, takes: Duration, parts: Parts) -> Job {
    let (resource, point, vault, role) = parts;
    let fails = call.disturbance == Some(disturbance::Kind::Fails);
    let why = match kind {
        Kind::Backup => "Backup job failed because of an internal error",
        Kind::Restore => "Restore job failed because of an internal error",
    };
    Job {
        id: id().to_uppercase(),
        kind,
        resource,
        point,
        vault,
        role,
        runs: account.due(WAITS),
        ends: account.due(WAITS + takes),
        fails: fails.then(|| why.to_owned()),
        bytes: 0,
        key: None,
        items: Vec::new(),
        over: None,
    }
}

fn begun(job: &Job) -> Value {
    json!({
        "BackupJobId": job.id,
        "RecoveryPointArn": job.point,
        "CreationDate": seconds(job.runs.asked),
        "IsParent": false,
    })
}

/// The job that the same token has begun.
fn before(account: &mut Account, call: &Call<'_>, token: Option<&str>) -> Option<Job> {
    let key = (call.action.clone(), token?.to_owned());
    let region = account.region(&call.region);
    let (id, _) = region.tokens.get(&key)?;
    region.vaults.jobs.get(id).cloned()
}

fn remember(account: &mut Account, call: &Call<'_>, token: Option<String>, job: &Job) {
    let region = account.region(&call.region);
    region.vaults.jobs.insert(job.id.clone(), job.clone());
    if let Some(token) = token {
        let made = (job.id.clone(), String::new());
        region.tokens.insert((call.action.clone(), token), made);
    }
}

fn input<T: DeserializeOwned>(call: &Call<'_>) -> Result<T, Reply> {
    serde_json::from_slice(&call.request.body)
        .map_err(|error| self::error(400, "SerializationException", &error.to_string()))
}

fn needed<T>(member: Option<T>, name: &str) -> Result<T, Reply> {
    let message = format!("Missing required parameter {name}");
    member.ok_or_else(|| error(400, "MissingParameterValueException", &message))
}
