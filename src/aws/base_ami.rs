//! The AMI that a builder instance begins with, as EC2 describes it, and the parameter that may
//! point to it.

use aws_config::SdkConfig;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{self, Filter};
use jiff::Timestamp;

use super::Failure;

const DESCRIBE: &str = "ec2:DescribeImages";

/// EC2's own limit for a page of images.
const PAGE: i32 = 1000;

/// An image that somebody offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseAmi {
    /// `ami-…`
    pub id: String,
    /// What its owner calls it.
    pub name: String,
    /// The account that it belongs to.
    pub owner: String,
    /// `amazon`, `aws-marketplace` or `self`, where the owner has such a name.
    pub owner_alias: Option<String>,
    /// When it was made, as EC2 writes it: sorts by time.
    pub created: String,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// `available`, `disabled`, …
    pub state: String,
    /// From when on its owner wants it used no more.
    pub deprecated: Option<Timestamp>,
    /// The root device's name: `/dev/xvda`.
    pub root_device: String,
    /// The names of its other EBS devices.
    pub more_devices: Vec<String>,
    /// The size of the root volume in GiB; none where the root is no EBS volume.
    pub root_gib: Option<i32>,
}

/// An image by its id, deprecated or not; none if it does not exist or is not shared with us.
pub async fn by_id(config: &SdkConfig, id: &str) -> Result<Option<BaseAmi>, Failure> {
    let call = Client::new(config).describe_images().image_ids(id).include_deprecated(true);
    match call.send().await.map_err(|error| Failure::new(DESCRIBE, &error)) {
        Err(failure)
            if failure.code().is_some_and(|code| {
                matches!(code, "InvalidAMIID.NotFound" | "InvalidAMIID.Unavailable")
            }) =>
        {
            Ok(None)
        }
        Err(failure) => Err(failure),
        Ok(answer) => Ok(answer.images().iter().find_map(read)),
    }
}

/// The images of `owner` whose name fits, deprecated ones left out unless they are ours.
pub async fn by_name(config: &SdkConfig, name: &str, owner: &str) -> Result<Vec<BaseAmi>, Failure> {
    let filter = |key: &str, value: &str| Filter::builder().name(key).values(value).build();
    let mut pages = Client::new(config)
        .describe_images()
        .owners(owner)
        .filters(filter("name", name))
        .filters(filter("state", "available"))
        .max_results(PAGE)
        .into_paginator()
        .send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Failure::new(DESCRIBE, &error))?;
        found.extend(page.images().iter().filter_map(read));
    }
    Ok(found)
}

fn read(image: &types::Image) -> Option<BaseAmi> {
    let root_device = image.root_device_name().unwrap_or_default();
    let mappings = image.block_device_mappings().iter().filter(|it| it.ebs().is_some());
    let names = mappings.clone().filter_map(|it| it.device_name()).filter(|it| *it != root_device);
    let more_devices = names.map(str::to_owned).collect();
    let root = mappings.clone().find(|mapping| mapping.device_name() == Some(root_device));
    Some(BaseAmi {
        id: image.image_id()?.to_owned(),
        name: image.name().unwrap_or_default().to_owned(),
        owner: image.owner_id().unwrap_or_default().to_owned(),
        owner_alias: image.image_owner_alias().map(str::to_owned),
        created: image.creation_date().unwrap_or_default().to_owned(),
        architecture: image.architecture()?.as_str().to_owned(),
        state: image.state()?.as_str().to_owned(),
        deprecated: image.deprecation_time().and_then(|time| time.parse().ok()),
        root_device: root_device.to_owned(),
        more_devices,
        root_gib: root.and_then(|root| root.ebs()).and_then(types::EbsBlockDevice::volume_size),
    })
}

/// The text of a parameter that is no secret; none if there is no such one.
pub async fn pointer(config: &SdkConfig, name: &str) -> Result<Option<String>, Failure> {
    let answer = aws_sdk_ssm::Client::new(config).get_parameter().name(name).send().await;
    match answer.map_err(|error| Failure::new("ssm:GetParameter", &error)) {
        Err(failure) if failure.code() == Some("ParameterNotFound") => Ok(None),
        Err(failure) => Err(failure),
        Ok(answer) => {
            let value = answer.parameter().and_then(|parameter| parameter.value());
            Ok(value.map(|value| value.trim().to_owned()))
        }
    }
}
