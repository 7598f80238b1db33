//! A file system that is copied to another: nobody writes that one until it ends.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use super::change::{input, waits};
use super::{Change, FileSystem, error, no_file_system, reply};
use crate::sim::account::{ACCOUNT_ID, Account};
use crate::sim::aws_json::seconds;
use crate::sim::http::Reply;
use crate::sim::random;
use crate::sim::region::Due;

/// How long AWS takes for the first copy of a small file system.
const ENABLING: Duration = Duration::from_mins(5);
/// How long AWS takes to end a replication.
const DELETING: Duration = Duration::from_mins(3);

/// See the module. Whoever sets a stage changes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replication {
    /// The file system that is copied.
    pub source: String,
    /// Its region.
    pub source_region: String,
    /// The copy.
    pub destination: String,
    /// Its region.
    pub destination_region: String,
    /// `ENABLED`, `ENABLING`, `ERROR`, `PAUSED`, …
    pub status: String,
    /// What is said of it.
    pub message: Option<String>,
    /// How far the copy is behind; nothing while there is none that is whole.
    pub behind: Option<SignedDuration>,
    /// When it was begun.
    pub created: Timestamp,
    /// When it will be enabled.
    pub begins: Option<Due>,
    /// When it will be gone.
    pub ends: Option<Due>,
}

impl Replication {
    /// One that works, from the source to the copy: each as id and region.
    pub fn between(source: (&str, &str), destination: (&str, &str), created: Timestamp) -> Self {
        Self {
            source: source.0.to_owned(),
            source_region: source.1.to_owned(),
            destination: destination.0.to_owned(),
            destination_region: destination.1.to_owned(),
            status: "ENABLED".to_owned(),
            message: None,
            behind: Some(SignedDuration::from_mins(5)),
            created,
            begins: None,
            ends: None,
        }
    }

    fn is_about(&self, id: &str, region: &str) -> bool {
        (self.source == id && self.source_region == region)
            || (self.destination == id && self.destination_region == region)
    }
}

/// Lets happen what is due. The copy of one that has ended can be written.
pub(super) fn settle(account: &mut Account, now: Instant) {
    for one in &mut account.replications {
        if one.begins.take_if(|due| due.at <= now).is_some() {
            "ENABLED".clone_into(&mut one.status);
            one.behind = Some(SignedDuration::from_mins(1));
        }
    }
    let (gone, left) = std::mem::take(&mut account.replications)
        .into_iter()
        .partition(|one: &Replication| one.ends.is_some_and(|due| due.at <= now));
    account.replications = left;
    let gone: Vec<Replication> = gone;
    for one in gone {
        let copy = account.file_systems.iter_mut().find(|it| it.id == one.destination);
        if let Some(copy) = copy {
            "ENABLED".clone_into(&mut copy.overwrite_protection);
        }
    }
}

/// `DescribeReplicationConfigurations`: all of this region, or that of one file system.
pub(super) fn describe(change: &mut Change<'_>) -> Reply {
    let asked = change.request.parameters();
    let (world, region) = (change.account.world(), change.region);
    let here = |one: &&Replication| region == one.source_region || region == one.destination_region;
    let all = change.account.replications.iter().filter(here);
    let Some(id) = asked.get("FileSystemId") else {
        let told: Vec<_> = all.map(|one| shape(one, world)).collect();
        return reply(200, &json!({ "Replications": told }));
    };
    let found: Vec<_> =
        all.filter(|one| one.is_about(id, region)).map(|one| shape(one, world)).collect();
    if change.file_system(id).is_none() {
        return no_file_system(id);
    }
    if found.is_empty() {
        return none(id);
    }
    reply(200, &json!({ "Replications": found }))
}

/// `DeleteReplicationConfiguration`, asked on either side.
pub(super) fn delete(change: &mut Change<'_>, id: &str) -> Reply {
    let (now, due, region) = (change.account.now(), change.account.due(DELETING), change.region);
    let there = change.file_system(id).is_some();
    let mut all = change.account.replications.iter_mut();
    let found = all.find(|one| {
        one.source == id && (region == one.source_region || region == one.destination_region)
    });
    match found {
        None if !there => no_file_system(id),
        None => none(id),
        Some(one) if waits(one.ends, now) => reply(204, &Value::Null),
        Some(one) => {
            "DELETING".clone_into(&mut one.status);
            one.ends = Some(due);
            reply(204, &Value::Null)
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AskedReplication {
    destinations: Vec<AskedDestination>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AskedDestination {
    region: Option<String>,
    file_system_id: Option<String>,
}

/// `CreateReplicationConfiguration`: to a new file system, or to one that gave up its protection.
pub(super) fn create(change: &mut Change<'_>, id: &str) -> Reply {
    let asked: AskedReplication = match input(change) {
        Ok(asked) => asked,
        Err(refusal) => return refusal,
    };
    let [destination] = &asked.destinations[..] else {
        return error(400, "BadRequest", "a replication has one destination");
    };
    let region = destination.region.clone().unwrap_or_else(|| change.region.to_owned());
    let Some(source) = change.file_system(id).cloned() else { return no_file_system(id) };
    if change.account.replications.iter().any(|one| one.source == id || one.destination == id) {
        return error(409, "ConflictException", "the file system is replicated already");
    }
    let copy = match &destination.file_system_id {
        None => made(change, &source, &region),
        Some(copy) => {
            let all = change.account.file_systems.iter_mut();
            let mut of_region = all.filter(|it| it.is_in(&region));
            match of_region.find(|it| it.id == *copy) {
                None => return no_file_system(copy),
                Some(found) if found.overwrite_protection != "DISABLED" => {
                    let message = "the destination is protected against being overwritten";
                    return error(409, "ConflictException", message);
                }
                Some(found) => {
                    "REPLICATING".clone_into(&mut found.overwrite_protection);
                    found.id.clone()
                }
            }
        }
    };
    let (world, due) = (change.account.world(), change.account.due(ENABLING));
    let begun = Replication {
        status: "ENABLING".to_owned(),
        behind: None,
        begins: Some(due),
        ..Replication::between((id, change.region), (&copy, &region), world)
    };
    let told = shape(&begun, world);
    change.account.replications.push(begun);
    reply(200, &told)
}

/// A file system for the copy: nobody can mount it yet.
fn made(change: &mut Change<'_>, source: &FileSystem, region: &str) -> String {
    let copy = FileSystem {
        id: format!("fs-{}", random::hex(17)),
        region: Some(region.to_owned()),
        overwrite_protection: "REPLICATING".to_owned(),
        targets: Vec::new(),
        access_points: Vec::new(),
        policy: None,
        zone: None,
        ..source.clone()
    };
    let id = copy.id.clone();
    change.account.file_systems.push(copy);
    id
}

fn none(id: &str) -> Reply {
    let message = format!("Replication configuration for file system '{id}' does not exist.");
    error(404, "ReplicationNotFound", &message)
}

fn shape(of: &Replication, world: Timestamp) -> Value {
    let arn = format!(
        "arn:aws:elasticfilesystem:{}:{ACCOUNT_ID}:file-system/{}",
        of.source_region, of.source
    );
    let mut destination = json!({
        "Status": of.status,
        "FileSystemId": of.destination,
        "Region": of.destination_region,
        "OwnerId": ACCOUNT_ID,
    });
    if let Some(behind) = of.behind {
        destination["LastReplicatedTimestamp"] = seconds(world - behind).into();
    }
    if let Some(message) = &of.message {
        destination["StatusMessage"] = message.clone().into();
    }
    json!({
        "SourceFileSystemId": of.source,
        "SourceFileSystemRegion": of.source_region,
        "SourceFileSystemArn": arn,
        "OriginalSourceFileSystemArn": arn,
        "CreationTime": seconds(of.created),
        "Destinations": [destination],
        "SourceFileSystemOwnerId": ACCOUNT_ID,
    })
}
