//! Elastic File System, REST JSON: what file systems there are, how they differ, and where they are
//! mounted. [`FileSystem`] is the state, which whoever sets a stage changes, and some requests.

mod access_point;
mod change;
mod file_system;
mod replication;
mod target;

use serde_json::{Value, json};

pub use access_point::AccessPoint;
pub use change::facts;
pub use file_system::FileSystem;
pub use replication::Replication;
pub use target::Target;

use super::account::{ACCOUNT_ID, Account};
use super::http::{Reply, Request};

/// Where this service's paths begin.
pub const PREFIX: &str = "/2015-02-01/";

/// Answers one signed request.
pub fn answer(account: &mut Account, caller: &str, region: &str, request: &Request) -> Reply {
    change::settle(account);
    let mut change = Change { account, region, request };
    changed(&mut change).unwrap_or_else(|| read(change.account, caller, region, request))
}

/// The answer to a request that may change something.
fn changed(change: &mut Change<'_>) -> Option<Reply> {
    let request = change.request;
    let of = |suffix| subject(request, suffix).unwrap_or_default();
    Some(match action(request) {
        "CreateMountTarget" => change::mount(change),
        "CreateReplicationConfiguration" => replication::create(change, of(REPLICATION)),
        "DeleteReplicationConfiguration" => replication::delete(change, of(REPLICATION)),
        "DescribeReplicationConfigurations" => replication::describe(change),
        "PutBackupPolicy" => change::back_up(change, of(BACKUP_POLICY)),
        "UpdateFileSystem" => change::update(change, of(ITSELF)),
        "UpdateFileSystemProtection" => change::protect(change, of(PROTECTION)),
        _ => return None,
    })
}

fn read(account: &Account, caller: &str, region: &str, request: &Request) -> Reply {
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
const ITSELF: Around = ("file-systems/", "");
const PROTECTION: Around = ("file-systems/", "/protection");
const REPLICATION: Around = ("file-systems/", "/replication-configuration");
const POLICY: Around = ("file-systems/", "/policy");
const GROUPS: Around = ("mount-targets/", "/security-groups");

/// What a request asks for, by the name that policies give it; nothing if no such operation is here.
pub fn action(request: &Request) -> &'static str {
    let is = |around| subject(request, around).is_some();
    match (request.method.as_str(), operation(request)) {
        ("GET", "file-systems/replication-configurations") => "DescribeReplicationConfigurations",
        ("POST", "mount-targets") => "CreateMountTarget",
        ("PUT", _) if is(BACKUP_POLICY) => "PutBackupPolicy",
        ("PUT", _) if is(PROTECTION) => "UpdateFileSystemProtection",
        ("PUT", _) if is(ITSELF) => "UpdateFileSystem",
        ("POST", _) if is(REPLICATION) => "CreateReplicationConfiguration",
        ("DELETE", _) if is(REPLICATION) => "DeleteReplicationConfiguration",
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

/// A request that may change something.
struct Change<'a> {
    account: &'a mut Account,
    region: &'a str,
    request: &'a Request,
}

impl Change<'_> {
    /// A file system of its region, by its id or its ARN.
    fn file_system(&mut self, id: &str) -> Option<&mut FileSystem> {
        let id = id.rsplit('/').next().unwrap_or(id);
        let region = self.region;
        self.account.file_systems.iter_mut().find(|one| one.is_in(region) && one.id == id)
    }
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
        self.account.file_systems.iter().filter(|one| one.is_in(self.region))
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
