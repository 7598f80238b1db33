//! Auto Scaling Groups: what they launch.

use std::collections::BTreeSet;

use aws_config::SdkConfig;
use aws_sdk_autoscaling::Client;
use aws_sdk_autoscaling::types::{AutoScalingGroup, LaunchTemplate, LaunchTemplateSpecification};

use crate::aws::Failure;

/// The most that Auto Scaling gives in one page.
const PAGE: i32 = 100;
/// So many launch configurations may one call name.
const NAMES: usize = 50;

/// An Auto Scaling Group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// What it launches, and what its instances were launched with.
    pub templates: BTreeSet<TemplateUse>,
    /// The launch configurations of old, of the group and of its instances.
    pub configurations: BTreeSet<String>,
}

/// A launch template, and which version of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TemplateUse {
    /// `lt-…`, or the template's name where a group names it so.
    pub template: String,
    /// A number, `$Latest` or `$Default`.
    pub version: String,
}

/// A launch configuration: what groups had before there were launch templates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaunchConfiguration {
    /// Its name.
    pub name: String,
    /// What it launches.
    pub image: String,
}

/// All groups of the account in this region.
pub async fn groups(config: &SdkConfig) -> Result<Vec<Group>, Failure> {
    const CALL: &str = "autoscaling:DescribeAutoScalingGroups";
    let call = Client::new(config).describe_auto_scaling_groups();
    let mut pages = call.into_paginator().page_size(PAGE).send();
    let mut groups = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Failure::new(CALL, &error))?;
        groups.extend(page.auto_scaling_groups().iter().filter_map(read));
    }
    Ok(groups)
}

fn read(group: &AutoScalingGroup) -> Option<Group> {
    let mixed = group.mixed_instances_policy().and_then(|policy| policy.launch_template());
    let overrides = mixed.map(LaunchTemplate::overrides).unwrap_or_default();
    let instances = group.instances().iter();
    let templates = group
        .launch_template()
        .into_iter()
        .chain(mixed.and_then(|mixed| mixed.launch_template_specification()))
        .chain(overrides.iter().filter_map(|it| it.launch_template_specification()))
        .chain(instances.clone().filter_map(|instance| instance.launch_template()));
    let configurations = group
        .launch_configuration_name()
        .into_iter()
        .chain(instances.filter_map(|instance| instance.launch_configuration_name()));
    Some(Group {
        name: group.auto_scaling_group_name()?.to_owned(),
        templates: templates.filter_map(read_template).collect(),
        configurations: configurations.map(str::to_owned).collect(),
    })
}

fn read_template(template: &LaunchTemplateSpecification) -> Option<TemplateUse> {
    Some(TemplateUse {
        template: template.launch_template_id().or(template.launch_template_name())?.to_owned(),
        version: template.version().unwrap_or("$Default").to_owned(),
    })
}

/// Launch configurations by their names. One that is not there is left out.
pub async fn launch_configurations(
    config: &SdkConfig,
    names: &[String],
) -> Result<Vec<LaunchConfiguration>, Failure> {
    const CALL: &str = "autoscaling:DescribeLaunchConfigurations";
    let client = Client::new(config);
    let mut found = Vec::new();
    for names in names.chunks(NAMES) {
        let call = client.describe_launch_configurations();
        let call = call.set_launch_configuration_names(Some(names.to_vec()));
        let answer = call.send().await.map_err(|error| Failure::new(CALL, &error))?;
        found.extend(answer.launch_configurations().iter().filter_map(|it| {
            Some(LaunchConfiguration {
                name: it.launch_configuration_name()?.to_owned(),
                image: it.image_id()?.to_owned(),
            })
        }));
    }
    Ok(found)
}
