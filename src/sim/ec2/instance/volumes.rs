//! `DescribeVolumes`, and `CreateSnapshot` of one.

use std::collections::BTreeMap;

use super::settle;
use crate::sim::conditions;
use crate::sim::ec2::Call;
use crate::sim::ec2::filter::{Filters, truth};
use crate::sim::ec2::id::Kind;
use crate::sim::ec2::page::Page;
use crate::sim::ec2::query::Query;
use crate::sim::ec2::refusal::Answer;
use crate::sim::ec2::shape::{self, flag, number, set, some};
use crate::sim::ec2::tags::Specified;
use crate::sim::region::Tags;
use crate::sim::snapshot::{Snapshot, State};
use crate::sim::volume::Volume;
use crate::sim::xml::leaf;

const FILTERS: &[&str] = &[
    "attachment.delete-on-termination",
    "attachment.device",
    "attachment.instance-id",
    "attachment.status",
    "availability-zone",
    "create-time",
    "encrypted",
    "size",
    "snapshot-id",
    "status",
    "tag-key",
    "volume-id",
    "volume-type",
];

/// `DescribeVolumes`.
pub fn describe(call: &mut Call<'_>, mut query: Query) -> Answer {
    settle(call);
    let ids = query.list("VolumeId");
    let filters = Filters::of(&mut query, FILTERS)?;
    let page = Page::of(&mut query, &(5..=1000), &call.fingerprint)?;
    let dry_run = query.finish()?;
    let volumes = call.here().volumes.clone();
    Kind::Volume.check_all(&ids, |id| volumes.contains_key(id))?;
    dry_run.end()?;
    let attached: BTreeMap<&String, bool> =
        volumes.iter().map(|(id, volume)| (id, is_attached(call, volume))).collect();
    let wanted = volumes.iter().filter(|(id, volume)| {
        (ids.is_empty() || ids.contains(id))
            && filters.pass(&volume.tags, |filter| values(volume, attached[id], filter))
    });
    let (part, next) = page.cut(wanted.map(|(id, volume)| (id.clone(), volume)));
    let items = part.into_iter().map(|volume| item(volume, attached[&volume.id]));
    Ok(set("volumeSet", items) + &some("nextToken", next.as_deref()))
}

/// Whether its instance still has it.
fn is_attached(call: &Call<'_>, volume: &Volume) -> bool {
    let instance = call.account.instance(&volume.instance);
    instance.is_some_and(|one| one.state() != crate::sim::instance::State::Terminated)
}

fn item(volume: &Volume, attached: bool) -> String {
    let attachment = attached.then(|| {
        leaf("volumeId", &volume.id)
            + &leaf("instanceId", &volume.instance)
            + &leaf("device", &volume.device)
            + &leaf("status", "attached")
            + &leaf("attachTime", &shape::time(volume.created))
            + &flag("deleteOnTermination", volume.delete_on_termination)
    });
    leaf("volumeId", &volume.id)
        + &number("size", Some(volume.gib))
        + &leaf("snapshotId", volume.snapshot.as_deref().unwrap_or_default())
        + &leaf("availabilityZone", &volume.zone)
        + &leaf("status", if attached { "in-use" } else { "available" })
        + &leaf("createTime", &shape::time(volume.created))
        + &leaf("volumeType", &volume.kind)
        + &number("iops", volume.iops)
        + &number("throughput", volume.throughput)
        + &flag("encrypted", volume.encrypted)
        + &some("kmsKeyId", volume.kms_key.as_deref())
        + &set("attachmentSet", attachment)
        + &shape::tags(&volume.tags)
}

fn values(volume: &Volume, attached: bool, filter: &str) -> Vec<String> {
    let while_attached = |text: String| attached.then_some(text);
    let text = match filter {
        "attachment.delete-on-termination" => {
            while_attached(truth(volume.delete_on_termination).to_owned())
        }
        "attachment.device" => while_attached(volume.device.clone()),
        "attachment.instance-id" => while_attached(volume.instance.clone()),
        "attachment.status" => while_attached("attached".to_owned()),
        "availability-zone" => Some(volume.zone.clone()),
        "create-time" => Some(shape::time(volume.created)),
        "encrypted" => Some(truth(volume.encrypted).to_owned()),
        "size" => Some(volume.gib.to_string()),
        "snapshot-id" => volume.snapshot.clone(),
        "status" => Some(if attached { "in-use" } else { "available" }.to_owned()),
        "volume-id" => Some(volume.id.clone()),
        _ => Some(volume.kind.clone()),
    };
    text.into_iter().collect()
}

/// `CreateSnapshot`.
pub fn create_snapshot(call: &mut Call<'_>, mut query: Query) -> Answer {
    settle(call);
    let id = query.required("VolumeId")?;
    let description = query.short("Description", 255)?.unwrap_or_default();
    let tags = Specified::of(&mut query, &[Kind::Snapshot])?.for_kind(Kind::Snapshot);
    let dry_run = query.finish()?;
    Kind::Volume.check(&id)?;
    let volume = call.here().volumes.get(&id).cloned();
    let volume = volume.ok_or_else(|| Kind::Volume.not_found(&[&id]))?;
    dry_run.end()?;
    let made = snapshot_of(call, &volume, description, tags);
    let now = call.account.now();
    let snapshot = &call.here().snapshots[&made];
    Ok(crate::sim::ec2::snapshot::describe::shape(snapshot, now) + &shape::tags(&snapshot.tags))
}

/// Begins a snapshot of a volume. Returns its id. Its content comes from whoever plays the machine;
/// where nobody does, nothing has been written since the volume was made.
pub fn snapshot_of(
    call: &mut Call<'_>,
    volume: &Volume,
    description: String,
    tags: Tags,
) -> String {
    let machines = call.account.machines;
    let due = call.account.due(conditions::SNAPSHOT);
    let started = call.account.world();
    let region = call.here();
    let source = volume.snapshot.as_ref().and_then(|id| region.snapshots.get(id));
    let id = Kind::Snapshot.fresh();
    let snapshot = Snapshot {
        id: id.clone(),
        volume_gib: volume.gib,
        state: State::Pending((!machines).then_some(due)),
        started,
        description,
        tags,
        kms_key: volume.kms_key.clone().filter(|_| volume.encrypted),
        volume: Some(volume.id.clone()),
        parent: None,
        blocks: source.map(|one| one.blocks.clone()).unwrap_or_default(),
        put: std::collections::BTreeSet::new(),
        shared_with: std::collections::BTreeSet::new(),
    };
    region.snapshots.insert(id.clone(), snapshot);
    id
}
