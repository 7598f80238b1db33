//! The disks of a launch: those of the image, and what was said of them.

use crate::sim::ec2::disk::{Ebs, Wanted, invalid};
use crate::sim::ec2::image::mapping::usable;
use crate::sim::ec2::refusal::Answer;
use crate::sim::ec2::snapshot::copy::key_arn;
use crate::sim::image::{Image, Mapping};
use crate::sim::region::Region;

/// A disk that is to be made: as a mapping has it.
pub type Disk = Mapping;

/// All disks, the root first.
pub fn of(image: &Image, wanted: &[Wanted], region: &Region, name: &str) -> Answer<Vec<Disk>> {
    let mut disks: Vec<Disk> =
        image.mappings.iter().filter(|one| one.virtual_name.is_none()).cloned().collect();
    for one in wanted {
        if one.no_device {
            disks.retain(|disk| disk.device != one.device);
            continue;
        }
        let Some(ebs) = &one.ebs else { continue };
        match disks.iter_mut().find(|disk| disk.device == one.device) {
            Some(disk) => change(disk, ebs, name)?,
            None => disks.push(blank(&one.device, ebs, region, name)?),
        }
    }
    if disks.iter().all(|disk| disk.device != image.root_device) {
        return Err(invalid(format!("The root device {} cannot be left out", image.root_device)));
    }
    disks.sort_by_key(|disk| (disk.device != image.root_device, disk.device.clone()));
    Ok(disks)
}

fn change(disk: &mut Disk, ebs: &Ebs, region: &str) -> Answer<()> {
    if let Some(size) = ebs.size {
        if size < disk.volume_gib && disk.snapshot.is_some() {
            return Err(invalid(format!(
                "Volume of size {size}GB is smaller than snapshot '{}', expect size>= {}GB",
                disk.snapshot.as_deref().unwrap_or_default(),
                disk.volume_gib
            )));
        }
        disk.volume_gib = size;
    }
    if let Some(kind) = &ebs.kind
        && *kind != disk.volume_type
    {
        // What the image says of the rates was for another kind.
        (disk.iops, disk.throughput) = (None, None);
        disk.volume_type.clone_from(kind);
    }
    disk.iops = ebs.iops.or(disk.iops);
    disk.throughput = ebs.throughput.or(disk.throughput);
    disk.delete_on_termination = ebs.delete_on_termination.unwrap_or(disk.delete_on_termination);
    lock(disk, ebs, region)
}

fn lock(disk: &mut Disk, ebs: &Ebs, region: &str) -> Answer<()> {
    match ebs.encrypted {
        Some(false) if disk.encrypted => {
            Err(invalid(format!("The disk {} is encrypted and cannot be decrypted", disk.device)))
        }
        Some(true) => {
            let key = ebs.kms_key.as_deref().unwrap_or("alias/aws/ebs");
            disk.encrypted = true;
            disk.kms_key = Some(key_arn(key, region)?);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// A disk that the image does not have.
fn blank(device: &str, ebs: &Ebs, region: &Region, name: &str) -> Answer<Disk> {
    let snapshot = ebs.snapshot.as_deref().map(|id| usable(region, id)).transpose()?;
    let least = snapshot.map(|snapshot| snapshot.volume_gib);
    let Some(size) = ebs.size.or(least) else {
        return Err(invalid(format!("The device '{device}' needs a snapshot or a size")));
    };
    if least.is_some_and(|least| size < least) {
        return Err(invalid(format!("The volume of '{device}' is smaller than its snapshot")));
    }
    let mut disk = Disk {
        device: device.to_owned(),
        snapshot: ebs.snapshot.clone(),
        volume_gib: size,
        volume_type: ebs.kind.clone().unwrap_or_else(|| "gp2".to_owned()),
        iops: ebs.iops,
        throughput: ebs.throughput,
        encrypted: snapshot.is_some_and(|snapshot| snapshot.kms_key.is_some()),
        kms_key: snapshot.and_then(|snapshot| snapshot.kms_key.clone()),
        delete_on_termination: ebs.delete_on_termination.unwrap_or(true),
        virtual_name: None,
    };
    lock(&mut disk, ebs, name)?;
    Ok(disk)
}
