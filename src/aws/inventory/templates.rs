//! Versions of launch templates: which image and which snapshots each names.

use aws_config::SdkConfig;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types;

use crate::aws::Failure;

const CALL: &str = "ec2:DescribeLaunchTemplateVersions";

/// The most that EC2 gives of versions in one page.
const PAGE: i32 = 200;

/// A version of a launch template.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TemplateVersion {
    /// `lt-…`
    pub template: String,
    /// The template's name.
    pub name: String,
    /// The version's number.
    pub number: i64,
    /// Whether it is `$Default`.
    pub is_default: bool,
    /// What it launches: an image's id, or `resolve:ssm:PARAMETER`; none where the instances' owner
    /// names one.
    pub image: Option<String>,
    /// The snapshots that its volumes are made from, beside those of the image.
    pub snapshots: Vec<String>,
}

/// `$Latest` and `$Default` of all launch templates of the account in this region.
pub async fn current_versions(config: &SdkConfig) -> Result<Vec<TemplateVersion>, Failure> {
    let call = Client::new(config).describe_launch_template_versions();
    let call = call.versions("$Latest").versions("$Default");
    let mut pages = call.into_paginator().page_size(PAGE).send();
    let mut versions = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Failure::new(CALL, &error))?;
        versions.extend(page.launch_template_versions().iter().filter_map(read));
    }
    Ok(versions)
}

/// Versions of one launch template by their numbers. A template or version that is not there is left
/// out: it can launch nothing.
pub async fn versions(
    config: &SdkConfig,
    template: &str,
    numbers: &[i64],
) -> Result<Vec<TemplateVersion>, Failure> {
    let client = Client::new(config);
    let mut versions = Vec::new();
    for numbers in numbers.chunks(usize::try_from(PAGE).unwrap_or(1)) {
        let names: Vec<_> = numbers.iter().map(i64::to_string).collect();
        let call = client.describe_launch_template_versions().launch_template_id(template);
        let answer = call.set_versions(Some(names)).send().await;
        match answer.map_err(|error| Failure::new(CALL, &error)) {
            Ok(answer) => {
                versions.extend(answer.launch_template_versions().iter().filter_map(read));
            }
            // One that is not there fails the call for all.
            Err(failure) if is_absent(&failure) && numbers.len() > 1 => {
                for &number in numbers {
                    versions.extend(Box::pin(self::versions(config, template, &[number])).await?);
                }
            }
            Err(failure) if is_absent(&failure) => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(versions)
}

fn is_absent(failure: &Failure) -> bool {
    failure.code().is_some_and(|code| {
        code.starts_with("InvalidLaunchTemplateId.") && code != "InvalidLaunchTemplateId.Malformed"
            || code.starts_with("InvalidLaunchTemplateName.NotFound")
    })
}

fn read(version: &types::LaunchTemplateVersion) -> Option<TemplateVersion> {
    let data = version.launch_template_data();
    let disks =
        data.map(types::ResponseLaunchTemplateData::block_device_mappings).unwrap_or_default();
    let snapshots = disks.iter().filter_map(|disk| disk.ebs()?.snapshot_id());
    Some(TemplateVersion {
        template: version.launch_template_id()?.to_owned(),
        name: version.launch_template_name().unwrap_or_default().to_owned(),
        number: version.version_number()?,
        is_default: version.default_version() == Some(true),
        image: data.and_then(|data| data.image_id()).map(str::to_owned),
        snapshots: snapshots.map(str::to_owned).collect(),
    })
}
