//! `BlockDeviceMapping.N`: disks as a client asks for them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::query::Query;
use super::refusal::{Answer, Refusal};
use super::shape::{number, some};
use crate::sim::xml::{leaf, node};

/// The kinds of volumes.
const TYPES: [&str; 7] = ["standard", "io1", "io2", "gp2", "sc1", "st1", "gp3"];

/// One disk as a client asks for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ebs {
    /// Its snapshot.
    pub snapshot: Option<String>,
    /// In GiB.
    pub size: Option<u64>,
    /// `gp3`, …
    pub kind: Option<String>,
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

/// Takes the disks from a request.
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
        kind: query.word("VolumeType", &TYPES)?.map(str::to_owned),
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
    // What is not said may come from the image.
    let Some(kind) = ebs.kind.as_deref() else { return Ok(()) };
    if ebs.throughput.is_some() && kind != "gp3" {
        let message = "The parameter throughput is only supported for gp3 volumes";
        return Err(Refusal::combination(format!("{message}: {device} is {kind}")));
    }
    let range = match kind {
        "gp3" => Some(3000..=80_000),
        "io1" => Some(100..=64_000),
        "io2" => Some(100..=256_000),
        _ => None,
    };
    match (range, ebs.iops) {
        (None, Some(_)) => Err(Refusal::combination(format!(
            "The parameter iops is not supported for {kind} volumes."
        ))),
        (Some(_), None) if kind != "gp3" => {
            let message = format!("The parameter iops must be specified for {kind} volumes.");
            Err(Refusal { message, ..Refusal::missing("Iops") })
        }
        (Some(range), Some(iops)) if !range.contains(&iops) => Err(Refusal::value(format!(
            "Volume iops of {iops} is outside of what {kind} volumes have"
        ))),
        _ => match ebs.throughput {
            Some(mib) if !(125..=2000).contains(&mib) => Err(Refusal::value(format!(
                "Volume throughput of {mib} MiB/s is outside of what gp3 volumes have"
            ))),
            _ => Ok(()),
        },
    }
}

/// There is something wrong with a disk.
pub fn invalid(message: String) -> Refusal {
    Refusal::new("InvalidBlockDeviceMapping", message)
}

impl Wanted {
    /// As a launch template shows it.
    pub fn shape(&self) -> String {
        let truth = |name: &str, flag: Option<bool>| some(name, flag.map(super::filter::truth));
        let ebs = self.ebs.as_ref().map_or_else(String::new, |ebs| {
            let inner = some("snapshotId", ebs.snapshot.as_deref())
                + &number("volumeSize", ebs.size)
                + &some("volumeType", ebs.kind.as_deref())
                + &number("iops", ebs.iops)
                + &number("throughput", ebs.throughput)
                + &truth("encrypted", ebs.encrypted)
                + &some("kmsKeyId", ebs.kms_key.as_deref())
                + &truth("deleteOnTermination", ebs.delete_on_termination);
            node("ebs", &inner)
        });
        leaf("deviceName", &self.device)
            + &some("virtualName", self.virtual_name.as_deref())
            + &some("noDevice", self.no_device.then_some(""))
            + &ebs
    }
}
