//! Elastic File System, REST JSON: what file systems there are, how they differ, and where they are
//! mounted. [`FileSystem`] is the state, which whoever sets a stage changes; requests only read it.

mod access_point;
mod file_system;
mod target;

use serde_json::{Value, json};

pub use access_point::AccessPoint;
pub use file_system::FileSystem;
pub use target::Target;

use super::account::{ACCOUNT_ID, Account};
use super::http::{Reply, Request};

/// Where this service's paths begin.
pub const PREFIX: &str = "/2015-02-01/";

/// Answers one signed request.
pub fn answer(account: &Account, caller: &str, region: &str, request: &Request) -> Reply {
    let call = Call { account, caller, region, request };
    let of = |suffix| subject(request, suffix).unwrap_or_default();
    match action(request) {
        "DescribeAccessPoints" => access_point::describe(&call),
        "DescribeBackupPolicy" => file_system::backup_policy(&call, of(BACKUP_POLICY)),
        "DescribeFileSystemPolicy" => file_system::policy(&call, of(POLICY)),
        "DescribeFileSystems" => file_system::describe(&call),
        "DescribeMountTargetSecurityGroups" => target::security_groups(&call, of(GROUPS)),
        "DescribeMountTargets" => target::describe(&call),
        _ => error(404, "UnknownOperationException", ""),
    }
}

/// The paths of what belongs to one thing: before and after its id.
type Around = (&'static str, &'static str);
const BACKUP_POLICY: Around = ("file-systems/", "/backup-policy");
const POLICY: Around = ("file-systems/", "/policy");
const GROUPS: Around = ("mount-targets/", "/security-groups");

/// What a request asks for, by the name that policies give it; nothing if no such operation is here.
pub fn action(request: &Request) -> &'static str {
    let is = |around| subject(request, around).is_some();
    match (request.method.as_str(), operation(request)) {
        ("GET", "access-points") => "DescribeAccessPoints",
        ("GET", "file-systems") => "DescribeFileSystems",
        ("GET", "mount-targets") => "DescribeMountTargets",
        ("GET", _) if is(BACKUP_POLICY) => "DescribeBackupPolicy",
        ("GET", _) if is(POLICY) => "DescribeFileSystemPolicy",
        ("GET", _) if is(GROUPS) => "DescribeMountTargetSecurityGroups",
        _ => "",
    }
}

fn operation(request: &Request) -> &str {
    request.path.strip_prefix(PREFIX).unwrap_or_default().trim_end_matches('/')
}

/// What the path of a request is about, if it has this form.
fn subject(request: &Request, (before, after): Around) -> Option<&str> {
    let id = operation(request).strip_prefix(before)?.strip_suffix(after)?;
    (!id.contains('/')).then_some(id)
}

/// A request, and what it is about.
struct Call<'a> {
    account: &'a Account,
    caller: &'a str,
    region: &'a str,
    request: &'a Request,
}

impl Call<'_> {
    /// The file systems of its region.
    fn here(&self) -> impl Iterator<Item = &FileSystem> {
        let of_region =
            |one: &&FileSystem| one.region.as_deref().is_none_or(|it| it == self.region);
        self.account.file_systems.iter().filter(of_region)
    }

    /// One of them, by its id or its ARN.
    fn file_system(&self, id: &str) -> Option<&FileSystem> {
        self.here().find(|one| id == one.id || id == self.arn("file-system", &one.id))
    }

    fn arn(&self, kind: &str, id: &str) -> String {
        format!("arn:aws:elasticfilesystem:{}:{ACCOUNT_ID}:{kind}/{id}", self.region)
    }
}

/// An error in the shape of this service.
pub fn error(status: u16, code: &str, message: &str) -> Reply {
    let body = json!({ "ErrorCode": code, "Message": message, "message": message });
    reply(status, &body).header("x-amzn-errortype", code)
}

fn no_file_system(id: &str) -> Reply {
    error(404, "FileSystemNotFound", &format!("File system '{id}' does not exist."))
}

fn no_access_point(id: &str) -> Reply {
    error(404, "AccessPointNotFound", &format!("Access point '{id}' does not exist."))
}

fn reply(status: u16, body: &Value) -> Reply {
    Reply::new(status, "application/json", body.to_string())
}

#[cfg(test)]
mod tests;
