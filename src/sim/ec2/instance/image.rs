//! `CreateImage`: an image of an instance and of its disks as they are.

use std::collections::BTreeSet;

use super::{disks, incorrect, settle, volumes};
use crate::sim::account::ACCOUNT_ID;
use crate::sim::conditions;
use crate::sim::ec2::Call;
use crate::sim::ec2::disk::{self, Wanted, invalid};
use crate::sim::ec2::id::Kind;
use crate::sim::ec2::image::check_name;
use crate::sim::ec2::image::register::DESCRIPTION_LIMIT;
use crate::sim::ec2::launch::Launch;
use crate::sim::ec2::query::Query;
use crate::sim::ec2::refusal::{Answer, Refusal};
use crate::sim::ec2::tags::Specified;
use crate::sim::image::{self, Image, Mapping};
use crate::sim::instance::State;
use crate::sim::xml::leaf;

/// See the module. An instance that runs is restarted for it, unless that is not wanted.
pub fn create(call: &mut Call<'_>, mut query: Query) -> Answer {
    settle(call);
    let id = query.required("InstanceId")?;
    let name = query.required("Name")?;
    let description = query.short("Description", DESCRIPTION_LIMIT)?.unwrap_or_default();
    let no_reboot = query.flag("NoReboot")?.unwrap_or_default();
    let wanted = disk::wanted(&mut query)?;
    let tags = Specified::of(&mut query, &[Kind::Image, Kind::Snapshot])?;
    let dry_run = query.finish()?;
    super::check(call, std::slice::from_ref(&id))?;
    let (state, launch) = source(call, &id)?;
    check_name(call, &name)?;
    let disks = disks_of(call, &launch, &wanted)?;
    dry_run.end()?;
    let image = Kind::Image.fresh();
    let mut mappings = Vec::new();
    for (mapping, volume) in disks {
        let Some(volume) = volume else {
            mappings.push(mapping);
            continue;
        };
        let volume = call.here().volumes[&volume].clone();
        let about = format!("Created by CreateImage({id}) for {image}");
        let tags = tags.for_kind(Kind::Snapshot);
        let snapshot = volumes::snapshot_of(call, &volume, about, tags);
        mappings.push(Mapping { snapshot: Some(snapshot), ..mapping });
    }
    insert(call, &image, &id, &launch, mappings, (name, description, &tags));
    if state == State::Running
        && !no_reboot
        && let Some((instance, _)) = call.account.instance_mut(&id)
        && let Some(launch) = &mut instance.launch
    {
        launch.reboot = true;
    }
    Ok(leaf("imageId", &image))
}

fn source(call: &Call<'_>, id: &str) -> Answer<(State, Launch)> {
    let instance = call.account.instance(id).ok_or_else(|| Kind::Instance.not_found(&[id]))?;
    let state = instance.state();
    if !matches!(state, State::Running | State::Stopped | State::Stopping) {
        let message = format!("Instance is in the '{}' state: {id}", state.word());
        return Err(incorrect(message));
    }
    match &instance.launch {
        Some(launch) => Ok((state, launch.as_ref().clone())),
        None => Err(Refusal::new(
            "UnsupportedOperation",
            "An image cannot be made of the instance of an Auto Scaling group here",
        )),
    }
}

/// The disks of the image, each with the volume that it is made of, if it is made of one.
fn disks_of(
    call: &mut Call<'_>,
    launch: &Launch,
    wanted: &[Wanted],
) -> Answer<Vec<(Mapping, Option<String>)>> {
    let name = call.region.clone();
    let region = call.here();
    let volumes = launch.volumes.iter().filter_map(|id| region.volumes.get(id));
    let volumes: Vec<_> = volumes.cloned().collect();
    let mappings: Vec<Mapping> = volumes
        .iter()
        .map(|volume| Mapping {
            device: volume.device.clone(),
            snapshot: None,
            volume_gib: volume.gib,
            volume_type: volume.kind.clone(),
            iops: volume.iops,
            throughput: volume.throughput,
            encrypted: volume.encrypted,
            kms_key: None,
            delete_on_termination: volume.delete_on_termination,
            virtual_name: None,
        })
        .collect();
    for one in wanted.iter().filter(|one| volumes.iter().any(|volume| volume.device == one.device))
    {
        let ebs = one.ebs.as_ref();
        if ebs.is_some_and(|ebs| ebs.snapshot.is_some() || ebs.encrypted.is_some()) {
            return Err(invalid(format!(
                "The snapshot and the encryption of {} are those of the instance's volume",
                one.device
            )));
        }
    }
    let as_image = bare(&launch.root_device, mappings);
    let disks = disks::of(&as_image, wanted, region, &name)?;
    let made_of = |device: &str| {
        let volume = volumes.iter().find(|volume| volume.device == device);
        volume.map(|volume| volume.id.clone())
    };
    Ok(disks.into_iter().map(|disk| (disk.clone(), made_of(&disk.device))).collect())
}

/// An image that only has disks.
fn bare(root_device: &str, mappings: Vec<Mapping>) -> Image {
    Image {
        id: String::new(),
        name: String::new(),
        owner: ACCOUNT_ID.to_owned(),
        owner_alias: None,
        description: String::new(),
        architecture: "x86_64".to_owned(),
        root_device: root_device.to_owned(),
        virtualization: "hvm".to_owned(),
        mappings,
        boot_mode: None,
        tpm_support: None,
        imds_support: None,
        uefi_data: None,
        ena: true,
        sriov: None,
        tags: crate::sim::region::Tags::new(),
        created: jiff::Timestamp::UNIX_EPOCH,
        deprecated: None,
        protection: None,
        cooldown: None,
        shared_with: BTreeSet::new(),
        state: image::State::Available,
        fails: None,
        last_launched: None,
        public_parameter: None,
        source_instance: None,
        source_image: None,
    }
}

fn insert(
    call: &mut Call<'_>,
    id: &str,
    instance: &str,
    launch: &Launch,
    mappings: Vec<Mapping>,
    (name, description, tags): (String, String, &Specified),
) {
    let base = call.account.instance(instance).map(|one| one.image.clone()).unwrap_or_default();
    let base = call.here().images.get(&base).cloned();
    let imds_support = base.as_ref().and_then(|base| base.imds_support.clone());
    let sriov = base.as_ref().and_then(|base| base.sriov.clone());
    let region = call.region.clone();
    let image = Image {
        id: id.to_owned(),
        name,
        description,
        architecture: launch.architecture.clone(),
        boot_mode: launch.boot_mode.clone(),
        tpm_support: launch.tpm_support.clone(),
        imds_support,
        sriov,
        tags: tags.for_kind(Kind::Image),
        created: call.account.world(),
        state: image::State::Pending(call.account.due(conditions::IMAGE)),
        fails: call.doom(),
        source_instance: Some(instance.to_owned()),
        source_image: base.map(|base| (region, base.id)),
        ..bare(&launch.root_device, mappings)
    };
    call.here().images.insert(id.to_owned(), image);
}
