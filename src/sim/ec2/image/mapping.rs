//! The disks of an image: of what they are made, and how answers show them.

use crate::sim::ec2::disk::{Wanted, invalid};
use crate::sim::ec2::id::Kind;
use crate::sim::ec2::refusal::{Answer, Refusal};
use crate::sim::ec2::shape::{flag, number, set, some};
use crate::sim::image::Mapping;
use crate::sim::region::Region;
use crate::sim::snapshot::{Snapshot, State};
use crate::sim::xml::{leaf, node};

/// The disks of an image that is to be registered.
pub fn registered(wanted: Vec<Wanted>, region: &Region) -> Answer<Vec<Mapping>> {
    wanted.into_iter().filter(|one| !one.no_device).map(|one| resolve(one, region)).collect()
}

fn resolve(wanted: Wanted, region: &Region) -> Answer<Mapping> {
    let Wanted { device, virtual_name, ebs, .. } = wanted;
    let Some(ebs) = ebs else {
        let Some(name) = virtual_name else {
            return Err(invalid(format!("The device '{device}' has neither a volume nor a name")));
        };
        return Ok(Mapping { device, virtual_name: Some(name), ..Mapping::default() });
    };
    let snapshot = ebs.snapshot.as_deref().map(|id| usable(region, id)).transpose()?;
    if snapshot.is_some() && (ebs.encrypted.is_some() || ebs.kms_key.is_some()) {
        return Err(invalid(format!(
            "the encrypted flag cannot be specified since device {device} has a snapshot specified."
        )));
    }
    let least = snapshot.map(|snapshot| snapshot.volume_gib);
    let Some(volume_gib) = ebs.size.or(least) else {
        let message = format!("The device '{device}' needs a snapshot or a size");
        return Err(Refusal { message, ..Refusal::missing("VolumeSize") });
    };
    if let Some(snapshot) = snapshot
        && volume_gib < snapshot.volume_gib
    {
        return Err(invalid(format!(
            "Volume of size {volume_gib}GB is smaller than snapshot '{}', expect size>= {}GB",
            snapshot.id, snapshot.volume_gib
        )));
    }
    Ok(Mapping {
        device,
        snapshot: ebs.snapshot.clone(),
        volume_gib,
        volume_type: ebs.kind.unwrap_or_else(|| "gp2".to_owned()),
        iops: ebs.iops,
        throughput: ebs.throughput,
        encrypted: match snapshot {
            Some(snapshot) => snapshot.kms_key.is_some(),
            None => ebs.encrypted.unwrap_or_default(),
        },
        kms_key: None,
        delete_on_termination: ebs.delete_on_termination.unwrap_or(true),
        virtual_name: None,
    })
}

/// A snapshot of which an image can be made.
pub fn usable<'a>(region: &'a Region, id: &str) -> Answer<&'a Snapshot> {
    Kind::Snapshot.check(id)?;
    let snapshot = region.snapshots.get(id).ok_or_else(|| Kind::Snapshot.not_found(&[id]))?;
    if snapshot.state == State::Completed {
        return Ok(snapshot);
    }
    let state = snapshot.state.word();
    Err(Refusal::state(format!("Snapshot is in invalid state - {state}")))
}

/// As answers show it.
pub fn shape(mappings: &[Mapping]) -> String {
    set("blockDeviceMapping", mappings.iter().map(one))
}

fn one(mapping: &Mapping) -> String {
    let device = leaf("deviceName", &mapping.device);
    if mapping.virtual_name.is_some() {
        return device + &some("virtualName", mapping.virtual_name.as_deref());
    }
    let ebs = some("snapshotId", mapping.snapshot.as_deref())
        + &number("volumeSize", Some(mapping.volume_gib))
        + &leaf("volumeType", &mapping.volume_type)
        + &number("iops", mapping.iops)
        + &number("throughput", mapping.throughput)
        + &flag("deleteOnTermination", mapping.delete_on_termination)
        + &flag("encrypted", mapping.encrypted)
        + &some("kmsKeyId", mapping.kms_key.as_deref());
    device + &node("ebs", &ebs)
}

/// What a disk has under the name of a filter of images.
pub fn value(mapping: &Mapping, field: &str) -> Option<String> {
    let ebs = mapping.virtual_name.is_none();
    match field {
        "device-name" => Some(mapping.device.clone()),
        "snapshot-id" => mapping.snapshot.clone(),
        "delete-on-termination" => ebs.then(|| mapping.delete_on_termination.to_string()),
        "encrypted" => ebs.then(|| mapping.encrypted.to_string()),
        "volume-size" => ebs.then(|| mapping.volume_gib.to_string()),
        "volume-type" => ebs.then(|| mapping.volume_type.clone()),
        _ => None,
    }
}
