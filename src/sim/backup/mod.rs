//! AWS Backup, REST JSON: recovery points of file systems, and the jobs that make and restore them.
//!
//! Nothing is copied: a backup is a record, and a restore the name of a folder that somebody else has
//! to make.

mod jobs;
mod points;
mod start;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::account::Account;
use super::call::Call;
use super::http::{Reply, Request};
use super::vault::Vaults;

/// Where this service's paths begin.
const FOLDERS: [&str; 4] = ["/backup-jobs", "/restore-jobs", "/backup-vaults", "/resources/"];
/// How many things there are on a page where nothing is said.
const PAGE: usize = 1000;

/// Whether a path is this service's.
pub fn is_path(path: &str) -> bool {
    FOLDERS.iter().any(|folder| path.starts_with(folder))
}

/// What a request asks for, by the name that policies give it; nothing if no such operation is here.
pub fn action(request: &Request) -> &'static str {
    let parts = parts(request);
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match (request.method.as_str(), &parts[..]) {
        ("PUT", ["backup-jobs"]) => "StartBackupJob",
        ("GET", ["backup-jobs"]) => "ListBackupJobs",
        ("GET", ["backup-jobs", _]) => "DescribeBackupJob",
        ("PUT", ["restore-jobs"]) => "StartRestoreJob",
        ("GET", ["restore-jobs"]) => "ListRestoreJobs",
        ("GET", ["restore-jobs", _]) => "DescribeRestoreJob",
        ("GET", ["backup-vaults"]) => "ListBackupVaults",
        ("PUT", ["backup-vaults", _]) => "CreateBackupVault",
        ("GET", ["backup-vaults", _, "recovery-points", _]) => "DescribeRecoveryPoint",
        ("GET", ["backup-vaults", _, "recovery-points", _, "restore-metadata"]) => {
            "GetRecoveryPointRestoreMetadata"
        }
        ("GET", ["resources", _, "recovery-points"]) => "ListRecoveryPointsByResource",
        _ => "",
    }
}

/// Answers one signed request.
pub fn answer(account: &mut Account, call: &Call<'_>) -> Reply {
    let (now, world) = (account.now(), account.world());
    account.region(&call.region).vaults.settle(now, world);
    let parts = parts(call.request);
    let part = |index: usize| parts.get(index).map(String::as_str).unwrap_or_default();
    let result = match call.action.as_str() {
        "StartBackupJob" => start::backup(account, call),
        "StartRestoreJob" => start::restore(account, call),
        "ListBackupJobs" => jobs::backups(account, call),
        "ListRestoreJobs" => jobs::restores(account, call),
        "DescribeBackupJob" => jobs::backup(account, call, part(1)),
        "DescribeRestoreJob" => jobs::restore(account, call, part(1)),
        "ListBackupVaults" => points::vaults(account, call),
        "CreateBackupVault" => points::create_vault(account, call, part(1)),
        "DescribeRecoveryPoint" => points::describe(account, call, part(1), part(3)),
        "GetRecoveryPointRestoreMetadata" => points::metadata(account, call, part(1), part(3)),
        "ListRecoveryPointsByResource" => points::of_resource(account, call, part(1)),
        _ => Err(error(404, "UnknownOperationException", "")),
    };
    result.map_or_else(|refusal| refusal, |output| reply(200, &output))
}

/// An error in the shape of this service.
pub fn error(status: u16, code: &str, message: &str) -> Reply {
    let body = json!({ "Code": code, "Message": message, "message": message });
    reply(status, &body).header("x-amzn-errortype", code)
}

/// What an operation gives, or the refusal.
type Answer = Result<Value, Reply>;

fn invalid(message: &str) -> Reply {
    error(400, "InvalidParameterValueException", message)
}

fn absent(message: &str) -> Reply {
    error(400, "ResourceNotFoundException", message)
}

fn here<'a>(account: &'a mut Account, call: &Call<'_>) -> &'a mut Vaults {
    &mut account.region(&call.region).vaults
}

/// The parts of a path, each as it was before it was written into it.
fn parts(request: &Request) -> Vec<String> {
    request.path.split('/').filter(|part| !part.is_empty()).map(decoded).collect()
}

fn decoded(part: &str) -> String {
    // As the value of a form, in which only the plus would be something else.
    let form = format!("v={}", part.replace('+', "%2B"));
    let value = form_urlencoded::parse(form.as_bytes()).next();
    value.map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// A moment that a filter names.
fn moment(asked: &BTreeMap<String, String>, name: &str) -> Result<Option<Timestamp>, Reply> {
    let text = asked.get(name);
    text.map(|text| text.parse().map_err(|_| invalid(&format!("{name} is no time")))).transpose()
}

/// A page of what was found, by the name that the answer gives it.
fn page(name: &str, all: Vec<Value>, asked: &BTreeMap<String, String>) -> Answer {
    let number = |name: &str| match asked.get(name) {
        None => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| invalid(&format!("{name} is invalid"))),
    };
    let size = number("maxResults")?.unwrap_or(PAGE);
    if !(1..=PAGE).contains(&size) {
        return Err(invalid("maxResults must be between 1 and 1000"));
    }
    let begin: usize = number("nextToken")?.unwrap_or_default();
    let left = all.len().saturating_sub(begin);
    let mut answer = json!({});
    answer[name] = all.into_iter().skip(begin).take(size).collect();
    if left > size {
        answer["NextToken"] = (begin + size).to_string().into();
    }
    Ok(answer)
}

fn reply(status: u16, body: &Value) -> Reply {
    Reply::new(status, "application/json", body.to_string())
}
