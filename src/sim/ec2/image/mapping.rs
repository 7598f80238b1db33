//! `BlockDeviceMapping.N`: the disks of an image.

use std::collections::BTreeSet;

use crate::sim::ec2::id::Kind;
use crate::sim::ec2::query::Query;
use crate::sim::ec2::refusal::{Answer, Refusal};
use crate::sim::ec2::shape::{flag, number, set, some};
use crate::sim::image::Mapping;
use crate::sim::region::Region;
use crate::sim::snapshot::{Snapshot, State};
use crate::sim::xml::{leaf, node};

/// The kinds of volumes.
const TYPES: [&str; 7] = ["standard", "io1", "io2", "gp2", "sc1", "st1", "gp3"];

/// One mapping as a client asks for it.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// `/dev/xvda`
    pub device: String,
    /// The image's own disk of that name is left out.
    pub no_device: bool,
    /// `ephemeral0`
    pub virtual_name: Option<String>,
    /// What is said of its volume; none where nothing is.
    pub ebs: Option<Ebs>,
}

/// What is said of a volume.
#[derive(Clone, Debug, Default)]
pub struct Ebs {
    /// Its snapshot.
    pub snapshot: Option<String>,
    /// In GiB.
    pub size: Option<u64>,
    /// `gp3`, …
    pub kind: Option<&'static str>,
    /// Input and output operations a second.
    pub iops: Option<u64>,
    /// MiB a second.
    pub throughput: Option<u64>,
    /// Whether it is to be encrypted.
    pub encrypted: Option<bool>,
    /// With which key.
    pub kms_key: Option<String>,
    /// Whether it goes with its instance.
    pub delete_on_termination: Option<bool>,
}

/// Takes the mappings from a request.
pub fn wanted(query: &mut Query) -> Answer<Vec<Wanted>> {
    let mut all = Vec::new();
    let mut devices = BTreeSet::new();
    for mut one in query.structures("BlockDeviceMapping") {
        let device = one.required("DeviceName")?;
        if !devices.insert(device.clone()) {
            return Err(invalid(format!(
                "The device '{device}' is used in more than one block-device mapping"
            )));
        }
        let no_device = one.text("NoDevice").is_some();
        let virtual_name = one.text("VirtualName");
        let ebs = one.structure("Ebs").map(|ebs| volume(ebs, &device)).transpose()?;
        one.done()?;
        all.push(Wanted { device, no_device, virtual_name, ebs });
    }
    Ok(all)
}

fn volume(mut query: Query, device: &str) -> Answer<Ebs> {
    let ebs = Ebs {
        snapshot: query.text("SnapshotId"),
        size: query.number("VolumeSize")?,
        kind: query.word("VolumeType", &TYPES)?,
        iops: query.number("Iops")?,
        throughput: query.number("Throughput")?,
        encrypted: query.flag("Encrypted")?,
        kms_key: query.text("KmsKeyId"),
        delete_on_termination: query.flag("DeleteOnTermination")?,
    };
    query.done()?;
    check_rates(&ebs, device)?;
    Ok(ebs)
}

fn check_rates(ebs: &Ebs, device: &str) -> Answer<()> {
    let kind = ebs.kind.unwrap_or("gp2");
    if ebs.throughput.is_some() && kind != "gp3" {
        let message = "The parameter throughput is only supported for gp3 volumes";
        return Err(Refusal::combination(format!("{message}: {device} is {kind}")));
    }
    let iops = match kind {
        "gp3" => Some(3000..=80_000),
        "io1" => Some(100..=64_000),
        "io2" => Some(100..=256_000),
        _ => None,
    };
    match (iops, ebs.iops) {
        (None, Some(_)) => {
            let message = format!("The parameter iops is not supported for {kind} volumes.");
            return Err(Refusal::combination(message));
        }
        (Some(_), None) if kind != "gp3" => {
            let message = format!("The parameter iops must be specified for {kind} volumes.");
            return Err(Refusal::missing("Iops")).map_err(|one| Refusal { message, ..one });
        }
        (Some(range), Some(iops)) if !range.contains(&iops) => {
            let message = format!("Volume iops of {iops} is outside of what {kind} volumes have");
            return Err(Refusal::value(message));
        }
        _ => {}
    }
    match ebs.throughput {
        Some(mib) if !(125..=2000).contains(&mib) => Err(Refusal::value(format!(
            "Volume throughput of {mib} MiB/s is outside of what gp3 volumes have"
        ))),
        _ => Ok(()),
    }
}

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
        volume_type: ebs.kind.unwrap_or("gp2").to_owned(),
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
    let state = match snapshot.state {
        State::Completed => return Ok(snapshot),
        State::Pending(_) => "pending",
        State::Error(_) => "error",
    };
    Err(Refusal::state(format!("Snapshot is in invalid state - {state}")))
}

/// There is something wrong with the mapping.
pub fn invalid(message: String) -> Refusal {
    Refusal::new("InvalidBlockDeviceMapping", message)
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
