//! AMIs of our own: registered, found, copied, shared, protected.
//!
//! Their end is in [`super::remove`], and those that others offer are in `base_ami`.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::primitives::DateTime;
use aws_sdk_ec2::types::{
    self, ArchitectureValues, BlockDeviceMapping, BootModeValues, EbsBlockDevice, Filter,
    ImageAttributeName, ImageState, ImdsSupportValues, LaunchPermission,
    LaunchPermissionModifications, ResourceType, TpmSupportValues, VolumeType,
};
use jiff::Timestamp;

use super::{Failure, patience, tag};

const DESCRIBE: &str = "ec2:DescribeImages";

/// What EC2 says of an image that it does not know, or not yet.
pub const UNKNOWN: &[&str] = &["InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"];

/// What EC2 says when a name is taken.
pub const NAME_TAKEN: &str = "InvalidAMIName.Duplicate";

/// How far an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It is being made.
    Pending,
    /// Instances can be launched from it.
    Available,
    /// Switched off by its owner: nothing can be launched from it, and it can be switched on again.
    Disabled,
    /// It will never be available: `failed`, `error`, `invalid`, …
    Broken(String),
}

/// A disk of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// `/dev/xvda`
    pub device: String,
    /// The snapshot that it is made from. Absent until a copy has one.
    pub snapshot: Option<String>,
    /// Its size in GiB, where EC2 says it.
    pub gib: Option<u64>,
    /// Whether its snapshot is encrypted.
    pub encrypted: bool,
}

/// An image as EC2 describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "EC2 has them apart from each other")]
pub struct Image {
    /// `ami-…`
    pub id: String,
    /// Its name, of which an account has one in a region.
    pub name: String,
    /// See [`State`].
    pub state: State,
    /// Why it is in that state, where EC2 says so.
    pub reason: Option<String>,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// What was said of it.
    pub description: String,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// From when on it is deprecated.
    pub deprecated: Option<Timestamp>,
    /// Whether it is protected from deregistration.
    pub protected: bool,
    /// Whether its instances have a TPM.
    pub tpm: bool,
    /// Whether the metadata service answers its instances only with a token, unless they are launched
    /// otherwise.
    pub tokens: bool,
    /// The account that owns it.
    pub owner: String,
    /// The firmware that it needs: `legacy-bios`, `uefi`, `uefi-preferred`; absent where nothing was
    /// said, which means the old BIOS.
    pub boot_mode: Option<String>,
    /// Whether it has a driver for ENA.
    pub ena: bool,
    /// The name of its root device: `/dev/xvda`.
    pub root_device: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Its EBS disks.
    pub disks: Vec<Disk>,
}

impl Image {
    /// The snapshots of its disks.
    pub fn snapshots(&self) -> Vec<String> {
        self.disks.iter().filter_map(|disk| disk.snapshot.clone()).collect()
    }

    /// The disk that it boots from.
    pub fn root(&self) -> Option<&Disk> {
        self.disks.iter().find(|disk| disk.device == self.root_device)
    }

    /// The value of a tag.
    pub fn tag(&self, key: &str) -> Option<&str> {
        self.tags.get(key).map(String::as_str)
    }
}

/// What firmware instances of an image have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    /// UEFI, and nothing else.
    Uefi,
    /// UEFI where the instance type has it, else the old BIOS.
    UefiPreferred,
}

/// All that is said of an image when it is registered.
#[derive(Clone, Debug)]
pub struct Registration<'a> {
    /// 3 to 128 characters of those that AWS allows.
    pub name: &'a str,
    /// At most 255 characters.
    pub description: &'a str,
    /// `x86_64` or `arm64`.
    pub architecture: &'a str,
    /// `/dev/xvda`
    pub root_device: &'a str,
    /// The snapshot of the root disk.
    pub snapshot: &'a str,
    /// The size of the root disk in GiB, not less than the snapshot's.
    pub gib: u32,
    /// Input and output operations a second; those of gp3 (3000) if absent.
    pub iops: Option<u32>,
    /// MiB a second; that of gp3 (125) if absent.
    pub throughput: Option<u32>,
    /// See [`Boot`].
    pub boot: Boot,
    /// Whether instances have a TPM 2.0; it needs [`Boot::Uefi`].
    pub tpm: bool,
    /// Its tags.
    pub tags: &'a BTreeMap<String, String>,
}

/// Registers an image in one call, tags included. Returns its id; it is not available at once.
pub async fn register(config: &SdkConfig, wanted: &Registration<'_>) -> Result<String, Failure> {
    const CALL: &str = "ec2:RegisterImage";
    let mut call = Client::new(config)
        .register_image()
        .name(wanted.name)
        .description(wanted.description)
        .architecture(ArchitectureValues::from(wanted.architecture))
        .root_device_name(wanted.root_device)
        .block_device_mappings(root(wanted))
        .virtualization_type("hvm")
        .ena_support(true)
        .sriov_net_support("simple")
        .boot_mode(match wanted.boot {
            Boot::Uefi => BootModeValues::Uefi,
            Boot::UefiPreferred => BootModeValues::UefiPreferred,
        })
        .imds_support(ImdsSupportValues::V20)
        .tag_specifications(tag::of(ResourceType::Image, wanted.tags));
    if wanted.tpm {
        call = call.tpm_support(TpmSupportValues::V20);
    }
    let answer = call.send().await.map_err(|error| Failure::new(CALL, &error))?;
    named(CALL, answer.image_id)
}

fn root(wanted: &Registration<'_>) -> BlockDeviceMapping {
    let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let disk = EbsBlockDevice::builder()
        .snapshot_id(wanted.snapshot)
        .volume_size(number(wanted.gib))
        .volume_type(VolumeType::Gp3)
        .set_iops(wanted.iops.map(number))
        .set_throughput(wanted.throughput.map(number))
        .delete_on_termination(true)
        .build();
    BlockDeviceMapping::builder().device_name(wanted.root_device).ebs(disk).build()
}

/// A copy of an image, into the region of the calls.
#[derive(Clone, Debug)]
pub struct Copy<'a> {
    /// The image.
    pub image: &'a str,
    /// Where it is.
    pub region: &'a str,
    /// The name of the copy.
    pub name: &'a str,
    /// What is said of it.
    pub description: &'a str,
    /// The key that its snapshots are encrypted with; as they are if absent.
    pub kms_key: Option<&'a str>,
    /// The same token never makes two.
    pub token: &'a str,
    /// The tags of the copy and of its snapshots.
    pub tags: &'a BTreeMap<String, String>,
}

/// Begins a copy. Returns its id.
pub async fn copy(config: &SdkConfig, wanted: &Copy<'_>) -> Result<String, Failure> {
    const CALL: &str = "ec2:CopyImage";
    let mut call = Client::new(config)
        .copy_image()
        .source_image_id(wanted.image)
        .source_region(wanted.region)
        .name(wanted.name)
        .description(wanted.description)
        .client_token(wanted.token)
        .tag_specifications(tag::of(ResourceType::Image, wanted.tags))
        .tag_specifications(tag::of(ResourceType::Snapshot, wanted.tags));
    if let Some(key) = wanted.kms_key {
        call = call.encrypted(true).kms_key_id(key);
    }
    let answer = call.send().await.map_err(|error| Failure::new(CALL, &error))?;
    named(CALL, answer.image_id)
}

fn named(call: &'static str, id: Option<String>) -> Result<String, Failure> {
    id.ok_or_else(|| Failure::Unreadable { call, cause: "it names no image".to_owned() })
}

/// An image by its id; none where EC2 says itself that it knows no such one.
pub async fn describe(config: &SdkConfig, id: &str) -> Result<Option<Image>, Failure> {
    let call = Client::new(config).describe_images().image_ids(id).include_disabled(true);
    match call.send().await.map_err(|error| Failure::new(DESCRIBE, &error)) {
        Err(failure) if failure.code().is_some_and(|code| UNKNOWN.contains(&code)) => Ok(None),
        Err(failure) => Err(failure),
        Ok(answer) => Ok(answer.images().iter().find_map(read)),
    }
}

/// The image of our own account that has this name, disabled ones included: they hold their name.
pub async fn by_name(config: &SdkConfig, name: &str) -> Result<Option<Image>, Failure> {
    Ok(ours(config, vec![filter("name", name)]).await?.into_iter().find(|it| it.name == name))
}

/// The images of our own account that have all these tags, in whatever state they are.
pub async fn by_tags(config: &SdkConfig, tags: &[(&str, &str)]) -> Result<Vec<Image>, Failure> {
    let filters = tags.iter().map(|(key, value)| filter(&format!("tag:{key}"), value));
    ours(config, filters.collect()).await
}

fn filter(name: &str, value: &str) -> Filter {
    Filter::builder().name(name).values(value).build()
}

async fn ours(config: &SdkConfig, filters: Vec<Filter>) -> Result<Vec<Image>, Failure> {
    let call = Client::new(config).describe_images().owners("self").include_disabled(true);
    let mut pages = call.set_filters(Some(filters)).into_paginator().send();
    let mut images = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Failure::new(DESCRIBE, &error))?;
        images.extend(page.images().iter().filter_map(read));
    }
    Ok(images)
}

fn read(image: &types::Image) -> Option<Image> {
    let time = |text: Option<&str>| text.and_then(|text| text.parse::<Timestamp>().ok());
    let mappings = image.block_device_mappings().iter();
    Some(Image {
        id: image.image_id()?.to_owned(),
        name: image.name().unwrap_or_default().to_owned(),
        state: match image.state()? {
            ImageState::Pending | ImageState::Transient => State::Pending,
            ImageState::Available => State::Available,
            ImageState::Disabled => State::Disabled,
            other => State::Broken(other.as_str().to_owned()),
        },
        reason: image.state_reason().and_then(|it| it.message()).map(str::to_owned),
        architecture: image.architecture().map_or("", |it| it.as_str()).to_owned(),
        description: image.description().unwrap_or_default().to_owned(),
        created: time(image.creation_date()),
        deprecated: time(image.deprecation_time()),
        protected: image.deregistration_protection().is_some_and(|it| it.starts_with("enabled")),
        tpm: image.tpm_support().is_some(),
        tokens: image.imds_support().is_some_and(|it| it.as_str() == "v2.0"),
        owner: image.owner_id().unwrap_or_default().to_owned(),
        boot_mode: image.boot_mode().map(|it| it.as_str().to_owned()),
        ena: image.ena_support() == Some(true),
        root_device: image.root_device_name().unwrap_or_default().to_owned(),
        tags: tag::read(image.tags()),
        disks: mappings.filter_map(disk).collect(),
    })
}

fn disk(mapping: &BlockDeviceMapping) -> Option<Disk> {
    let ebs = mapping.ebs()?;
    Some(Disk {
        device: mapping.device_name()?.to_owned(),
        snapshot: ebs.snapshot_id().map(str::to_owned),
        gib: ebs.volume_size().and_then(|gib| u64::try_from(gib).ok()),
        encrypted: ebs.encrypted().unwrap_or(false),
    })
}

/// How the wait for an image ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// It is available.
    Available(Image),
    /// It never will be, as EC2 says.
    Broken(Image),
    /// It is not there: deregistered by somebody, or EC2 has not heard of it for all that time.
    Gone,
    /// It was still pending when the patience was at its end.
    Late,
}

/// Waits until an image is available. `progress` is told of each look at one that is pending.
pub async fn wait(
    config: &SdkConfig,
    id: &str,
    patience: Duration,
    mut progress: impl FnMut(&Image),
) -> Result<Wait, Failure> {
    let mut seen = false;
    let end = patience::until(patience, async || {
        let Some(image) = describe(config, id).await? else {
            // What was made a moment ago may not be known everywhere.
            return Ok(seen.then_some(Wait::Gone));
        };
        seen = true;
        Ok(match image.state {
            State::Available => Some(Wait::Available(image)),
            State::Broken(_) | State::Disabled => Some(Wait::Broken(image)),
            State::Pending => {
                progress(&image);
                None
            }
        })
    });
    let end = end.await?;
    Ok(end.unwrap_or(if seen { Wait::Late } else { Wait::Gone }))
}

/// With whom an image is shared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audience {
    /// Accounts, twelve digits each.
    pub accounts: Vec<String>,
    /// ARNs of organisations.
    pub organizations: Vec<String>,
    /// ARNs of organisational units.
    pub units: Vec<String>,
}

impl Audience {
    /// Whether it is nobody.
    pub const fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.organizations.is_empty() && self.units.is_empty()
    }

    /// Those who are not in another one.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        let missing = |ours: &[String], theirs: &[String]| {
            ours.iter().filter(|one| !theirs.contains(one)).cloned().collect()
        };
        Self {
            accounts: missing(&self.accounts, &other.accounts),
            organizations: missing(&self.organizations, &other.organizations),
            units: missing(&self.units, &other.units),
        }
    }
}

/// Who may launch instances of an image beside its own account.
pub async fn audience(config: &SdkConfig, id: &str) -> Result<Audience, Failure> {
    let call = Client::new(config).describe_image_attribute().image_id(id);
    let answer = call.attribute(ImageAttributeName::LaunchPermission).send().await;
    let answer = answer.map_err(|error| Failure::new("ec2:DescribeImageAttribute", &error))?;
    let mut audience = Audience::default();
    for one in answer.launch_permissions.unwrap_or_default() {
        audience.accounts.extend(one.user_id);
        audience.organizations.extend(one.organization_arn);
        audience.units.extend(one.organizational_unit_arn);
    }
    Ok(audience)
}

/// Lets these launch instances of an image. Who may already stays.
pub async fn share(config: &SdkConfig, id: &str, audience: &Audience) -> Result<(), Failure> {
    let who = LaunchPermission::builder;
    let accounts = audience.accounts.iter().map(|it| who().user_id(it).build());
    let organizations = audience.organizations.iter().map(|it| who().organization_arn(it).build());
    let units = audience.units.iter().map(|it| who().organizational_unit_arn(it).build());
    let added = accounts.chain(organizations).chain(units).collect();
    let change = LaunchPermissionModifications::builder().set_add(Some(added)).build();
    let call = Client::new(config).modify_image_attribute().image_id(id).launch_permission(change);
    let answer = call.send().await;
    answer.map(drop).map_err(|error| Failure::new("ec2:ModifyImageAttribute", &error))
}

/// Says from when on an image is deprecated. EC2 rounds to minutes.
pub async fn deprecate(config: &SdkConfig, id: &str, at: Timestamp) -> Result<(), Failure> {
    let at = DateTime::from_secs(at.as_second());
    let call = Client::new(config).enable_image_deprecation().image_id(id).deprecate_at(at);
    let answer = call.send().await;
    answer.map(drop).map_err(|error| Failure::new("ec2:EnableImageDeprecation", &error))
}

/// Protects an image from deregistration. With `cooldown` it stays so for a day after the protection
/// was taken away.
pub async fn protect(config: &SdkConfig, id: &str, cooldown: bool) -> Result<(), Failure> {
    const CALL: &str = "ec2:EnableImageDeregistrationProtection";
    let call = Client::new(config).enable_image_deregistration_protection().image_id(id);
    let answer = call.with_cooldown(cooldown).send().await;
    answer.map(drop).map_err(|error| Failure::new(CALL, &error))
}

/// Takes away the protection from deregistration.
pub async fn unprotect(config: &SdkConfig, id: &str) -> Result<(), Failure> {
    const CALL: &str = "ec2:DisableImageDeregistrationProtection";
    let call = Client::new(config).disable_image_deregistration_protection().image_id(id);
    let answer = call.send().await;
    answer.map(drop).map_err(|error| Failure::new(CALL, &error))
}
