//! Images and snapshots that the account owns, and who else may use or does use them.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    self, Filter, ImageAttributeName, ImageReferenceOptionName, ImageReferenceResourceType,
    ResourceTypeOption, ResourceTypeRequest,
};
use jiff::Timestamp;

use super::{FILTER_VALUES, PAGE, Tags, at, gib, has_tag, moment, tags};
use crate::aws::Failure;

/// AWS's own limit for the images of one [`references`] call.
pub const REFERENCES: usize = 10;

/// An AMI that the account owns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// `ami-…`
    pub id: String,
    /// Its name.
    pub name: String,
    /// `available`, `pending`, `failed`, `disabled`, …
    pub state: String,
    /// Why it is in that state, where AWS says so.
    pub state_reason: Option<String>,
    /// When it was registered, by AWS's clock.
    pub created: Option<Timestamp>,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// Its tags.
    pub tags: Tags,
    /// The snapshots of its disks.
    pub snapshots: Vec<String>,
    /// The size of its disks, in GiB.
    pub gib: u64,
    /// Whether everybody may launch it.
    pub public: bool,
    /// From when on it is deprecated.
    pub deprecated: Option<Timestamp>,
    /// How it is protected from deregistration, if it is.
    pub protection: Option<String>,
    /// When an instance was last launched from it: AWS says so a day later.
    pub last_launched: Option<String>,
}

/// A snapshot that the account owns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// `snap-…`
    pub id: String,
    /// `pending`, `completed`, `error`, …
    pub state: String,
    /// When it was started, by AWS's clock.
    pub started: Option<Timestamp>,
    /// Its tags.
    pub tags: Tags,
    /// The size of the volume that it is of, in GiB.
    pub gib: u64,
    /// What is stored for it at most, in bytes, where AWS says so.
    pub bytes: Option<u64>,
    /// Whether it is encrypted.
    pub encrypted: bool,
}

/// Who may launch an image beside its owner: accounts, ARNs of organisations and their units, `all`.
pub type Sharing = Vec<String>;

/// All images of the account, also deprecated and disabled ones.
pub async fn images(config: &SdkConfig) -> Result<Vec<Image>, Failure> {
    let call = Client::new(config).describe_images().owners("self");
    let call = call.include_deprecated(true).include_disabled(true);
    let mut pages = call.into_paginator().page_size(PAGE).send();
    let mut images = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Failure::new("ec2:DescribeImages", &error))?;
        images.extend(page.images().iter().filter_map(read_image));
    }
    Ok(images)
}

/// One image, whoever owns it; none if AWS knows no such one, or does not show it to this account.
pub async fn image(config: &SdkConfig, id: &str) -> Result<Option<Image>, Failure> {
    let call = Client::new(config).describe_images().image_ids(id);
    let answer = call.include_deprecated(true).include_disabled(true).send().await;
    let answer = answer.map_err(|error| Failure::new("ec2:DescribeImages", &error));
    match answer {
        Ok(answer) => Ok(answer.images().iter().find_map(read_image)),
        Err(failure)
            if failure.code().is_some_and(|code| {
                ["InvalidAMIID.NotFound", "InvalidAMIID.Unavailable", "InvalidAMIID.Malformed"]
                    .contains(&code)
            }) =>
        {
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

fn read_image(image: &types::Image) -> Option<Image> {
    let disks = image.block_device_mappings().iter().filter_map(types::BlockDeviceMapping::ebs);
    let protection = image.deregistration_protection().filter(|it| !it.starts_with("disabled"));
    Some(Image {
        id: image.image_id()?.to_owned(),
        name: image.name().unwrap_or_default().to_owned(),
        state: image.state().map_or("unknown", types::ImageState::as_str).to_owned(),
        state_reason: image.state_reason().and_then(|it| it.message()).map(str::to_owned),
        created: moment(image.creation_date()),
        architecture: image.architecture().map_or("", |it| it.as_str()).to_owned(),
        tags: tags(image.tags()),
        snapshots: disks.clone().filter_map(|disk| disk.snapshot_id()).map(str::to_owned).collect(),
        gib: disks.map(|disk| gib(disk.volume_size())).sum(),
        public: image.public() == Some(true),
        deprecated: moment(image.deprecation_time()),
        protection: protection.map(str::to_owned),
        last_launched: image.last_launched_time().map(str::to_owned),
    })
}

/// All snapshots of the account that have a tag of this key.
pub async fn snapshots(config: &SdkConfig, tag: &str) -> Result<Vec<Snapshot>, Failure> {
    list_snapshots(config, has_tag(tag)).await
}

/// Those of these snapshots that the account owns.
pub async fn snapshots_by_id(config: &SdkConfig, ids: &[String]) -> Result<Vec<Snapshot>, Failure> {
    let mut snapshots = Vec::new();
    for ids in ids.chunks(FILTER_VALUES) {
        let filter = Filter::builder().name("snapshot-id").set_values(Some(ids.to_vec())).build();
        snapshots.extend(list_snapshots(config, filter).await?);
    }
    Ok(snapshots)
}

async fn list_snapshots(config: &SdkConfig, filter: Filter) -> Result<Vec<Snapshot>, Failure> {
    let call = Client::new(config).describe_snapshots().owner_ids("self").filters(filter);
    let mut pages = call.into_paginator().page_size(PAGE).send();
    let mut snapshots = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Failure::new("ec2:DescribeSnapshots", &error))?;
        snapshots.extend(page.snapshots().iter().filter_map(read_snapshot));
    }
    Ok(snapshots)
}

fn read_snapshot(snapshot: &types::Snapshot) -> Option<Snapshot> {
    let bytes = snapshot.full_snapshot_size_in_bytes().and_then(|it| u64::try_from(it).ok());
    Some(Snapshot {
        id: snapshot.snapshot_id()?.to_owned(),
        state: snapshot.state().map_or("unknown", types::SnapshotState::as_str).to_owned(),
        started: at(snapshot.start_time()),
        tags: tags(snapshot.tags()),
        gib: gib(snapshot.volume_size()),
        bytes: bytes.filter(|bytes| *bytes > 0),
        encrypted: snapshot.encrypted() == Some(true),
    })
}

/// Who may launch an image. EC2 tells of one image a call.
pub async fn sharing(config: &SdkConfig, id: &str) -> Result<Sharing, Failure> {
    let call = Client::new(config).describe_image_attribute().image_id(id);
    let answer = call.attribute(ImageAttributeName::LaunchPermission).send().await;
    let answer = answer.map_err(|error| Failure::new("ec2:DescribeImageAttribute", &error))?;
    let who = answer.launch_permissions().iter().filter_map(|it| {
        let account = it.user_id().or(it.group().map(types::PermissionGroup::as_str));
        account.or(it.organization_arn()).or(it.organizational_unit_arn()).map(str::to_owned)
    });
    Ok(who.collect())
}

/// What AWS itself knows to use these images, at most [`REFERENCES`] of them, as ARNs by image:
/// instances, the latest version of launch templates, parameters, recipes of Image Builder.
pub async fn references(
    config: &SdkConfig,
    ids: &[String],
) -> Result<BTreeMap<String, Vec<String>>, Failure> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let call = Client::new(config).describe_image_references();
    let call = call.set_image_ids(Some(ids.to_vec())).set_resource_types(Some(askers()));
    let mut pages = call.into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Failure::new("ec2:DescribeImageReferences", &error))?;
        for reference in page.image_references() {
            if let (Some(image), Some(arn)) = (reference.image_id(), reference.arn()) {
                found.entry(image.to_owned()).or_default().push(arn.to_owned());
            }
        }
    }
    Ok(found)
}

/// What is looked at by [`references`]. Of launch templates the latest version only: by default AWS
/// looks at ten, and then nothing could be removed before ten more were published.
fn askers() -> Vec<ResourceTypeRequest> {
    const THERE: [&str; 5] = ["pending", "running", "shutting-down", "stopping", "stopped"];
    let option = |name, values: &[&str]| {
        let values = values.iter().map(|&value| value.to_owned()).collect();
        ResourceTypeOption::builder().option_name(name).set_option_values(Some(values)).build()
    };
    let kind = |kind| ResourceTypeRequest::builder().resource_type(kind);
    vec![
        kind(ImageReferenceResourceType::Ec2Instance)
            .resource_type_options(option(ImageReferenceOptionName::StateName, &THERE))
            .build(),
        kind(ImageReferenceResourceType::Ec2LaunchTemplate)
            .resource_type_options(option(ImageReferenceOptionName::VersionDepth, &["1"]))
            .build(),
        kind(ImageReferenceResourceType::SsmParameter).build(),
        kind(ImageReferenceResourceType::ImageBuilderImageRecipe).build(),
        kind(ImageReferenceResourceType::ImageBuilderContainerRecipe).build(),
    ]
}
