//! An image that is being made: how far it is, and the tags that say whose it is.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{BlockDeviceMapping, Filter, Image, Tag};

use super::Failure;

const IMAGES: &str = "ec2:DescribeImages";

/// An image of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Created {
    /// `ami-…`
    pub id: String,
    /// Its name.
    pub name: String,
    /// `pending`, `available`, `failed`, …
    pub state: String,
    /// Why it failed, where EC2 says so.
    pub reason: Option<String>,
    /// Its snapshots, as far as they are known yet.
    pub snapshots: Vec<String>,
    /// When it was made, as EC2 writes it.
    pub created: String,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// What EC2 says of an image; none as long as it does not know it.
pub async fn image(config: &SdkConfig, id: &str) -> Result<Option<Created>, Failure> {
    let answer = Client::new(config).describe_images().image_ids(id).send().await;
    match answer.map_err(|error| Failure::new(IMAGES, &error)) {
        Err(failure) if failure.code() == Some("InvalidAMIID.NotFound") => Ok(None),
        Err(failure) => Err(failure),
        Ok(answer) => Ok(answer.images().iter().find_map(read)),
    }
}

/// Our image with this name.
pub async fn named(config: &SdkConfig, name: &str) -> Result<Option<Created>, Failure> {
    let filter = Filter::builder().name("name").values(name).build();
    let answer = Client::new(config).describe_images().owners("self").filters(filter).send().await;
    let answer = answer.map_err(|error| Failure::new(IMAGES, &error))?;
    Ok(answer.images().iter().find_map(read))
}

fn read(image: &Image) -> Option<Created> {
    let ebs = image.block_device_mappings().iter().filter_map(BlockDeviceMapping::ebs);
    let tags = image.tags().iter().filter_map(|tag| Some((tag.key()?, tag.value()?)));
    Some(Created {
        id: image.image_id()?.to_owned(),
        name: image.name().unwrap_or_default().to_owned(),
        state: image.state()?.as_str().to_owned(),
        reason: image.state_reason().and_then(|reason| reason.message()).map(str::to_owned),
        snapshots: ebs.filter_map(|ebs| ebs.snapshot_id().map(str::to_owned)).collect(),
        created: image.creation_date().unwrap_or_default().to_owned(),
        tags: tags.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
    })
}

/// How far the snapshots with this tag are, in percent: the one that is least far; none if there
/// are none yet.
pub async fn progress(config: &SdkConfig, key: &str, value: &str) -> Result<Option<u64>, Failure> {
    let filter = Filter::builder().name(format!("tag:{key}")).values(value).build();
    let call = Client::new(config).describe_snapshots().owner_ids("self").filters(filter);
    let answer = call.send().await;
    let answer = answer.map_err(|error| Failure::new("ec2:DescribeSnapshots", &error))?;
    let percent = |text: &str| text.trim_end_matches('%').parse().unwrap_or(0);
    Ok(answer.snapshots().iter().map(|one| one.progress().map_or(0, percent)).min())
}

/// Sets tags of things by their ids.
pub async fn tag(
    config: &SdkConfig,
    ids: &[String],
    tags: &BTreeMap<String, String>,
) -> Result<(), Failure> {
    let tags = tags.iter().map(|(key, value)| Tag::builder().key(key).value(value).build());
    let call = Client::new(config).create_tags().set_resources(Some(ids.to_vec()));
    let answer = call.set_tags(Some(tags.collect())).send().await;
    answer.map(drop).map_err(|error| Failure::new("ec2:CreateTags", &error))
}

/// Removes an image and its snapshots. What is not there is gone, too.
pub async fn deregister(config: &SdkConfig, id: &str, snapshots: &[String]) -> Result<(), Failure> {
    let client = Client::new(config);
    let answer = client.deregister_image().image_id(id).send().await;
    match answer.map_err(|error| Failure::new("ec2:DeregisterImage", &error)) {
        Err(failure)
            if failure.code().is_some_and(|code| {
                matches!(code, "InvalidAMIID.NotFound" | "InvalidAMIID.Unavailable")
            }) => {}
        end => drop(end?),
    }
    for snapshot in snapshots {
        let answer = client.delete_snapshot().snapshot_id(snapshot).send().await;
        match answer.map_err(|error| Failure::new("ec2:DeleteSnapshot", &error)) {
            Err(failure) if failure.code() == Some("InvalidSnapshot.NotFound") => {}
            end => drop(end?),
        }
    }
    Ok(())
}
