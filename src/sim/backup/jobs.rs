//! How jobs stand.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Value, json};

use super::{Answer, absent, here, moment, page};
use crate::sim::account::{ACCOUNT_ID, Account};
use crate::sim::aws_json::seconds;
use crate::sim::call::Call;
use crate::sim::http::Reply;
use crate::sim::vault::{Job, Kind, vault_arn};

pub(super) fn backup(account: &mut Account, call: &Call<'_>, id: &str) -> Answer {
    let job = named(account, call, Kind::Backup, id)?;
    Ok(describe(&job, account.now(), &call.region))
}

pub(super) fn restore(account: &mut Account, call: &Call<'_>, id: &str) -> Answer {
    let job = named(account, call, Kind::Restore, id)?;
    Ok(describe(&job, account.now(), &call.region))
}

pub(super) fn backups(account: &mut Account, call: &Call<'_>) -> Answer {
    list(account, call, Kind::Backup, "BackupJobs")
}

pub(super) fn restores(account: &mut Account, call: &Call<'_>) -> Answer {
    list(account, call, Kind::Restore, "RestoreJobs")
}

fn named(account: &mut Account, call: &Call<'_>, kind: Kind, id: &str) -> Result<Job, Reply> {
    let found = here(account, call).jobs.get(id).filter(|job| job.kind == kind);
    found.cloned().ok_or_else(|| absent(&format!("Could not find job with id {id}")))
}

/// The newest first.
fn list(account: &mut Account, call: &Call<'_>, kind: Kind, name: &str) -> Answer {
    let asked = call.request.parameters();
    let filter = Filter::of(&asked)?;
    let (now, region) = (account.now(), call.region.clone());
    let all = here(account, call).jobs.values();
    let mut found: Vec<&Job> =
        all.filter(|job| job.kind == kind && filter.lets_through(job, now)).collect();
    found.sort_by_key(|job| std::cmp::Reverse(job.runs.asked));
    let found = found.into_iter().map(|job| describe(job, now, &region)).collect();
    page(name, found, &asked)
}

struct Filter<'a> {
    resource: Option<&'a String>,
    state: Option<&'a String>,
    kind: Option<&'a String>,
    after: Option<jiff::Timestamp>,
    before: Option<jiff::Timestamp>,
}

impl<'a> Filter<'a> {
    fn of(asked: &'a BTreeMap<String, String>) -> Result<Self, Reply> {
        Ok(Self {
            resource: asked.get("resourceArn"),
            state: asked.get("state").or_else(|| asked.get("status")),
            kind: asked.get("resourceType"),
            after: moment(asked, "createdAfter")?,
            before: moment(asked, "createdBefore")?,
        })
    }

    fn lets_through(&self, job: &Job, now: Instant) -> bool {
        let at = job.runs.asked;
        self.resource.is_none_or(|wanted| *wanted == job.resource)
            && self.state.is_none_or(|wanted| wanted == job.state(now))
            && self.kind.is_none_or(|wanted| wanted == "EFS")
            && self.after.is_none_or(|limit| at >= limit)
            && self.before.is_none_or(|limit| at <= limit)
    }
}

fn describe(job: &Job, now: Instant, region: &str) -> Value {
    let state = job.state(now);
    let percent = match state {
        "RUNNING" => job.ends.percent(now),
        "COMPLETED" => 100,
        _ => 0,
    };
    let mut told = json!({
        "AccountId": ACCOUNT_ID,
        "RecoveryPointArn": job.point,
        "CreationDate": seconds(job.runs.asked),
        "PercentDone": format!("{percent}.0%"),
        "BackupSizeInBytes": job.bytes,
        "IamRoleArn": job.role,
        "ResourceType": "EFS",
        "BackupVaultArn": vault_arn(region, &job.vault),
    });
    let of_kind = match job.kind {
        Kind::Backup => json!({
            "BackupJobId": job.id,
            "BackupVaultName": job.vault,
            "ResourceArn": job.resource,
            "State": state,
            "BytesTransferred": job.bytes * u64::from(percent) / 100,
        }),
        Kind::Restore => json!({
            "RestoreJobId": job.id,
            "SourceResourceArn": job.resource,
            "Status": state,
        }),
    };
    extend(&mut told, of_kind);
    if let Some((at, _)) = job.over {
        told["CompletionDate"] = seconds(at).into();
        if job.kind == Kind::Restore && job.fails.is_none() {
            told["CreatedResourceArn"] = job.resource.clone().into();
        }
        if let Some(why) = &job.fails {
            told["StatusMessage"] = why.clone().into();
        }
    }
    told
}

fn extend(told: &mut Value, more: Value) {
    if let (Value::Object(told), Value::Object(more)) = (told, more) {
        told.extend(more);
    }
}
