//! Vaults, and the recovery points in them.

use serde_json::{Value, json};

use super::{Answer, absent, error, here, invalid, page};
use crate::sim::account::{ACCOUNT_ID, Account};
use crate::sim::aws_json::seconds;
use crate::sim::call::Call;
use crate::sim::http::Reply;
use crate::sim::vault::{Point, vault_arn};

pub(super) fn vaults(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked = call.request.parameters();
    let region = &call.region;
    let here = here(account, call);
    let told = here.names.iter().map(|name| {
        let points = here.points.values().filter(|point| point.vault == *name).count();
        json!({
            "BackupVaultName": name,
            "BackupVaultArn": vault_arn(region, name),
            "VaultType": "BACKUP_VAULT",
            "NumberOfRecoveryPoints": points,
            "Locked": false,
        })
    });
    let told = told.collect();
    page("BackupVaultList", told, &asked)
}

pub(super) fn create_vault(account: &mut Account, call: &Call<'_>, name: &str) -> Answer {
    let fits = (2..=50).contains(&name.len())
        && name.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_".contains(&it));
    if !fits {
        return Err(invalid("Invalid backup vault name"));
    }
    let arn = vault_arn(&call.region, name);
    let created = seconds(account.world());
    let here = here(account, call);
    if here.names.iter().any(|it| it == name) {
        return Err(error(
            400,
            "AlreadyExistsException",
            "Backup vault with the same name already exists",
        ));
    }
    here.names.push(name.to_owned());
    Ok(json!({ "BackupVaultName": name, "BackupVaultArn": arn, "CreationDate": created }))
}

/// The newest first, as AWS mostly has them. What was never backed up has none.
pub(super) fn of_resource(account: &mut Account, call: &Call<'_>, resource: &str) -> Answer {
    if !resource.starts_with("arn:") {
        return Err(invalid("Invalid ARN"));
    }
    let asked = call.request.parameters();
    let all = here(account, call).points.values();
    let mut found: Vec<&Point> = all.filter(|point| point.resource == resource).collect();
    found.sort_by_key(|point| std::cmp::Reverse(point.created));
    let told = found.into_iter().map(|point| {
        let mut told = json!({
            "RecoveryPointArn": point.arn,
            "CreationDate": seconds(point.created),
            "Status": point.state,
            "BackupSizeBytes": point.bytes,
            "BackupVaultName": point.vault,
            "IsParent": false,
            "VaultType": "BACKUP_VAULT",
        });
        if let Some(message) = &point.message {
            told["StatusMessage"] = message.clone().into();
        }
        told
    });
    let told = told.collect();
    page("RecoveryPoints", told, &asked)
}

pub(super) fn describe(account: &mut Account, call: &Call<'_>, vault: &str, arn: &str) -> Answer {
    let point = named(account, call, vault, arn)?;
    Ok(json!({
        "RecoveryPointArn": point.arn,
        "BackupVaultName": point.vault,
        "BackupVaultArn": vault_arn(&call.region, &point.vault),
        "ResourceArn": point.resource,
        "ResourceType": "EFS",
        "Status": point.state,
        "CreationDate": seconds(point.created),
        "CompletionDate": seconds(point.completed),
        "BackupSizeInBytes": point.bytes,
        "IsEncrypted": true,
        "StorageClass": "WARM",
    }))
}

pub(super) fn metadata(account: &mut Account, call: &Call<'_>, vault: &str, arn: &str) -> Answer {
    let point = named(account, call, vault, arn)?;
    let id = point.resource.rsplit('/').next().unwrap_or_default();
    let mut metadata = json!({
        "file-system-id": id,
        "Encrypted": point.key.is_some().to_string(),
        "PerformanceMode": "generalPurpose",
    });
    if let Some(key) = &point.key {
        metadata["KmsKeyId"] = key.clone().into();
    }
    Ok(json!({
        "BackupVaultArn": vault_arn(&call.region, &point.vault),
        "RecoveryPointArn": point.arn,
        "RestoreMetadata": metadata,
        "ResourceType": "EFS",
    }))
}

fn named(account: &mut Account, call: &Call<'_>, vault: &str, arn: &str) -> Result<Point, Reply> {
    let prefix = format!("arn:aws:backup:{}:{ACCOUNT_ID}:", call.region);
    if !arn.starts_with(&prefix) {
        return Err(invalid("Invalid recovery point ARN"));
    }
    let here = here(account, call);
    if !here.names.iter().any(|name| name == vault) {
        return Err(absent(&format!("Backup vault with name {vault} does not exist")));
    }
    let found: Option<&Point> = here.points.get(arn).filter(|point| point.vault == vault);
    found.cloned().ok_or_else(|| absent("Recovery point not found in backup vault"))
}

/// What is said of a recovery point, for who begins a restore.
pub(super) fn of_arn(account: &mut Account, call: &Call<'_>, arn: &str) -> Result<Point, Reply> {
    let found = here(account, call).points.get(arn);
    found.cloned().ok_or_else(|| absent("Recovery point not found"))
}

/// A role as it must be written.
pub(super) fn role(role: &str) -> Result<(), Reply> {
    let ours = format!("arn:aws:iam::{ACCOUNT_ID}:role/");
    if role.starts_with(&ours) && role.len() > ours.len() {
        return Ok(());
    }
    Err(invalid(&format!("Invalid IAM role ARN: {}", Value::from(role))))
}
