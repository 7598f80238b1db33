//! Launch templates: their versions, and which of them is the default.

mod fields;

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    InstanceType, LaunchTemplateBlockDeviceMapping, LaunchTemplateInstanceMetadataOptions,
    LaunchTemplateVersion, RequestLaunchTemplateData, ResponseLaunchTemplateData,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Failure;

/// What EC2 says when there is no such template, or no such version.
const UNKNOWN: &[&str] = &[
    "InvalidLaunchTemplateId.NotFound",
    "InvalidLaunchTemplateId.VersionNotFound",
    "InvalidLaunchTemplateName.NotFoundException",
];

/// What a template is called by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Which {
    /// `lt-…`
    Id(String),
    /// Its name.
    Name(String),
}

impl std::str::FromStr for Which {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_prefix("lt-").unwrap_or_default();
        let is_id = digits.len() >= 8 && digits.bytes().all(|it| it.is_ascii_hexdigit());
        Ok(if is_id { Self::Id(text.to_owned()) } else { Self::Name(text.to_owned()) })
    }
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Id(text) | Self::Name(text)) = self;
        f.write_str(text)
    }
}

/// A version of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The template: `lt-…`
    pub template: String,
    /// Its number.
    pub number: i64,
    /// The image that it launches: an id, or a reference to a parameter.
    pub image: Option<String>,
    /// What was said of it.
    pub description: String,
    /// Whether it is the one that is taken where none is named.
    pub is_default: bool,
}

/// What a version says of the instances that it launches, as far as an image must fit it. `Debug` does
/// not show the user-data.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Data {
    /// `m5.large`; absent where whoever launches says it, or it is chosen by what it must have.
    pub instance_type: Option<String>,
    /// What the instances read at their first boot, decoded; it may be anything.
    pub user_data: Option<Vec<u8>>,
    /// The disks that are said beside those of the image: the device, and its size in GiB if said.
    pub disks: Vec<(String, Option<u64>)>,
    /// Whether the metadata service answers without a token: absent where nothing was said.
    pub tokens_required: Option<bool>,
    /// Whether the metadata service does not answer at all.
    pub metadata_off: bool,
    /// How many networks further the metadata service is heard.
    pub hop_limit: Option<i32>,
    /// Whether the metadata service tells the instance its tags.
    pub tags_in_metadata: bool,
    /// Whether its instances may be taken away for a lower price.
    pub spot: bool,
    /// The role of its instances, by the name or ARN of the profile.
    pub profile: Option<String>,
    /// All that is said, by the names of EC2 and in a few words: to tell two versions apart.
    pub fields: BTreeMap<&'static str, String>,
}

impl std::fmt::Debug for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Data").field("instance_type", &self.instance_type).finish_non_exhaustive()
    }
}

/// One version: `$Default`, `$Latest`, or a number. None where EC2 knows no such template or version.
pub async fn version(
    config: &SdkConfig,
    template: &Which,
    version: &str,
) -> Result<Option<Version>, Failure> {
    Ok(with_data(config, template, version).await?.map(|(version, _)| version))
}

/// As [`version`], and what it says of the instances.
pub async fn with_data(
    config: &SdkConfig,
    template: &Which,
    version: &str,
) -> Result<Option<(Version, Data)>, Failure> {
    let call = Client::new(config).describe_launch_template_versions().versions(version);
    let call = match template {
        Which::Id(id) => call.launch_template_id(id),
        Which::Name(name) => call.launch_template_name(name),
    };
    let answer = call.send().await;
    match answer.map_err(|error| Failure::new("ec2:DescribeLaunchTemplateVersions", &error)) {
        Err(failure) if failure.code().is_some_and(|code| UNKNOWN.contains(&code)) => Ok(None),
        Err(failure) => Err(failure),
        Ok(answer) => {
            let mut all = answer.launch_template_versions().iter();
            let both = |it: &LaunchTemplateVersion| {
                Some((read(it)?, it.launch_template_data().map(data).unwrap_or_default()))
            };
            Ok(all.find_map(both))
        }
    }
}

fn data(told: &ResponseLaunchTemplateData) -> Data {
    let metadata = told.metadata_options();
    let word = |word: Option<&str>| word.map(str::to_owned);
    let tags = metadata.and_then(|it| it.instance_metadata_tags());
    let market = told.instance_market_options().and_then(|it| it.market_type());
    let profile = told.iam_instance_profile();
    let disk = |disk: &LaunchTemplateBlockDeviceMapping| {
        let gib = disk.ebs().and_then(|ebs| u64::try_from(ebs.volume_size()?).ok());
        Some((disk.device_name()?.to_owned(), gib))
    };
    Data {
        instance_type: word(told.instance_type().map(InstanceType::as_str)),
        user_data: told.user_data().and_then(|text| STANDARD.decode(text.trim()).ok()),
        disks: told.block_device_mappings().iter().filter_map(disk).collect(),
        tokens_required: metadata
            .and_then(|it| it.http_tokens())
            .map(|tokens| tokens.as_str() == "required"),
        metadata_off: metadata
            .and_then(|it| it.http_endpoint())
            .is_some_and(|it| it.as_str() == "disabled"),
        hop_limit: metadata
            .and_then(LaunchTemplateInstanceMetadataOptions::http_put_response_hop_limit),
        tags_in_metadata: tags.is_some_and(|it| it.as_str() == "enabled"),
        spot: market.is_some_and(|it| it.as_str() == "spot"),
        profile: word(profile.and_then(|it| it.arn().or_else(|| it.name()))),
        fields: fields::of(told),
    }
}

/// The version of a template (`lt-…`) that was described with `words`, and no others.
pub async fn described(
    config: &SdkConfig,
    template: &str,
    words: &str,
) -> Result<Option<Version>, Failure> {
    let call = Client::new(config).describe_launch_template_versions().launch_template_id(template);
    let mut pages = call.into_paginator().send();
    while let Some(page) = pages.next().await {
        let page =
            page.map_err(|error| Failure::new("ec2:DescribeLaunchTemplateVersions", &error))?;
        let mut versions = page.launch_template_versions().iter().filter_map(read);
        if let Some(found) = versions.find(|version| version.description == words) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// A new version of a template (`lt-…`): as version `source`, but for the image. The same token never
/// makes two.
pub async fn add_version(
    config: &SdkConfig,
    template: &str,
    source: i64,
    image: &str,
    description: &str,
    token: &str,
) -> Result<Version, Failure> {
    const CALL: &str = "ec2:CreateLaunchTemplateVersion";
    let answer = Client::new(config)
        .create_launch_template_version()
        .launch_template_id(template)
        .source_version(source.to_string())
        .launch_template_data(RequestLaunchTemplateData::builder().image_id(image).build())
        .version_description(description)
        .client_token(token)
        .send()
        .await
        .map_err(|error| Failure::new(CALL, &error))?;
    let made = answer.launch_template_version().and_then(read);
    made.ok_or_else(|| Failure::Unreadable { call: CALL, cause: "it names no version".to_owned() })
}

/// Makes a version the default one of its template (`lt-…`).
pub async fn set_default(config: &SdkConfig, template: &str, number: i64) -> Result<(), Failure> {
    let call = Client::new(config).modify_launch_template().launch_template_id(template);
    let answer = call.default_version(number.to_string()).send().await;
    answer.map(drop).map_err(|error| Failure::new("ec2:ModifyLaunchTemplate", &error))
}

fn read(version: &LaunchTemplateVersion) -> Option<Version> {
    Some(Version {
        template: version.launch_template_id()?.to_owned(),
        number: version.version_number()?,
        image: version.launch_template_data().and_then(|it| it.image_id()).map(str::to_owned),
        description: version.version_description().unwrap_or_default().to_owned(),
        is_default: version.default_version().unwrap_or(false),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_named_by_its_id_only_if_that_is_one() {
        assert!(matches!("lt-0123456789abcdef0".parse().unwrap(), Which::Id(_)));
        assert!(matches!("lt-controller".parse().unwrap(), Which::Name(_)));
    }
}
