//! `DescribeSnapshots`.

use std::time::Instant;

use crate::sim::account::ACCOUNT_ID;
use crate::sim::ec2::Call;
use crate::sim::ec2::filter::{Filters, truth};
use crate::sim::ec2::id::Kind;
use crate::sim::ec2::page::Page;
use crate::sim::ec2::query::Query;
use crate::sim::ec2::refusal::{Answer, Refusal};
use crate::sim::ec2::shape::{self, flag, number, set, some};
use crate::sim::snapshot::{BLOCK_BYTES, Snapshot, State};
use crate::sim::xml::leaf;

/// What an answer may be filtered by.
const FILTERS: &[&str] = &[
    "description",
    "encrypted",
    "owner-alias",
    "owner-id",
    "progress",
    "snapshot-id",
    "start-time",
    "status",
    "storage-tier",
    "tag-key",
    "transfer-type",
    "volume-id",
    "volume-size",
];

/// What EC2 says of a snapshot whose blocks were put.
const NO_VOLUME: &str = "vol-ffffffff";

/// See the module. All snapshots are this account's own: those of others' images are private.
pub fn describe(call: &mut Call<'_>, mut query: Query) -> Answer {
    let ids = query.list("SnapshotId");
    let owners = query.list("Owner");
    let restorable_by = query.list("RestorableBy");
    let filters = Filters::of(&mut query, FILTERS)?;
    let page = Page::of(&mut query, &(5..=1000), &call.fingerprint)?;
    let dry_run = query.finish()?;
    if !ids.is_empty() && page.is_asked_for() {
        let message = "The parameter snapshotSet cannot be used with the parameter maxResults";
        return Err(Refusal::combination(message));
    }
    let (seen, now) = (call.seen(), call.account.now());
    let snapshots = &call.here().snapshots;
    let known = |snapshot: &Snapshot| snapshot.started <= seen;
    Kind::Snapshot.check_all(&ids, |id| snapshots.get(id).is_some_and(known))?;
    dry_run.end()?;
    let own = |who: &String| who == "self" || who == ACCOUNT_ID;
    let restorable = |snapshot: &Snapshot| {
        restorable_by.iter().any(|who| own(who) || snapshot.shared_with.contains(who))
    };
    let wanted = snapshots.iter().filter(|(id, snapshot)| {
        known(snapshot)
            && (ids.is_empty() || ids.contains(id))
            && (owners.is_empty() || owners.iter().any(own))
            && (restorable_by.is_empty() || restorable(snapshot))
            && filters.pass(&snapshot.tags, |name| values(snapshot, name, now))
    });
    let (part, next) = page.cut(wanted.map(|(id, snapshot)| (id.clone(), snapshot)));
    let items = part.into_iter().map(|snapshot| shape(snapshot, now) + &tags(snapshot));
    Ok(set("snapshotSet", items) + &some("nextToken", next.as_deref()))
}

fn tags(snapshot: &Snapshot) -> String {
    shape::tags(&snapshot.tags)
}

/// A snapshot as answers show it, without its tags.
pub fn shape(snapshot: &Snapshot, now: Instant) -> String {
    let full = (snapshot.blocks.len() as u64) * (BLOCK_BYTES as u64);
    leaf("snapshotId", &snapshot.id)
        + &leaf("volumeId", snapshot.volume.as_deref().unwrap_or(NO_VOLUME))
        + &leaf("status", snapshot.state.word())
        + &some("statusMessage", message(snapshot))
        + &leaf("startTime", &shape::time(snapshot.started))
        + &leaf("progress", &progress(snapshot, now))
        + &leaf("ownerId", ACCOUNT_ID)
        + &number("volumeSize", Some(snapshot.volume_gib))
        + &leaf("description", &snapshot.description)
        + &flag("encrypted", snapshot.kms_key.is_some())
        + &some("kmsKeyId", snapshot.kms_key.as_deref())
        + &leaf("storageTier", "standard")
        + &leaf("sseType", if snapshot.kms_key.is_some() { "sse-kms" } else { "none" })
        + &number("fullSnapshotSizeInBytes", Some(full))
}

fn message(snapshot: &Snapshot) -> Option<&str> {
    match &snapshot.state {
        State::Error(message) => Some(message),
        State::Pending(_) | State::Completed => None,
    }
}

fn progress(snapshot: &Snapshot, now: Instant) -> String {
    match &snapshot.state {
        State::Pending(None) => "0%".to_owned(),
        State::Pending(Some(due)) => format!("{}%", due.percent(now)),
        State::Completed => "100%".to_owned(),
        State::Error(_) => String::new(),
    }
}

/// What a snapshot has under the name of a filter.
fn values(snapshot: &Snapshot, filter: &str, now: Instant) -> Vec<String> {
    let text = match filter {
        "description" => snapshot.description.clone(),
        "encrypted" => truth(snapshot.kms_key.is_some()).to_owned(),
        "owner-id" => ACCOUNT_ID.to_owned(),
        "progress" => progress(snapshot, now),
        "snapshot-id" => snapshot.id.clone(),
        "start-time" => shape::time(snapshot.started),
        "status" => snapshot.state.word().to_owned(),
        "storage-tier" | "transfer-type" => "standard".to_owned(),
        "volume-id" => snapshot.volume.clone().unwrap_or_else(|| NO_VOLUME.to_owned()),
        "volume-size" => snapshot.volume_gib.to_string(),
        _ => return Vec::new(),
    };
    vec![text]
}
