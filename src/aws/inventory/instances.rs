//! Instances, of any state but terminated.

use aws_config::SdkConfig;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{self, Filter, Reservation};
use jiff::Timestamp;

use super::{PAGE, Tags, at, tags};
use crate::aws::Failure;

/// The tags that EC2 and Auto Scaling put on what they launch; nobody else can.
const TEMPLATE: &str = "aws:ec2launchtemplate:id";
const TEMPLATE_VERSION: &str = "aws:ec2launchtemplate:version";

/// An instance that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Instance {
    /// `i-…`
    pub id: String,
    /// `running`, `stopped`, …
    pub state: String,
    /// What it was launched from.
    pub image: Option<String>,
    /// When it was last started, by AWS's clock.
    pub launched: Option<Timestamp>,
    /// Its tags.
    pub tags: Tags,
    /// Its security groups, by their ids.
    pub security_groups: Vec<String>,
}

impl Instance {
    /// The launch template that it was launched with, and its version.
    pub fn template(&self) -> Option<(&str, i64)> {
        let version = self.tags.get(TEMPLATE_VERSION)?.parse().ok()?;
        Some((self.tags.get(TEMPLATE)?, version))
    }
}

/// All instances of the account in this region, but those that are terminated.
pub async fn instances(config: &SdkConfig) -> Result<Vec<Instance>, Failure> {
    let states = ["pending", "running", "shutting-down", "stopping", "stopped"];
    let states = states.map(str::to_owned).to_vec();
    let filter = Filter::builder().name("instance-state-name").set_values(Some(states)).build();
    let call = Client::new(config).describe_instances().filters(filter);
    let mut pages = call.into_paginator().page_size(PAGE).send();
    let mut instances = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Failure::new("ec2:DescribeInstances", &error))?;
        let found = page.reservations().iter().flat_map(Reservation::instances);
        instances.extend(found.filter_map(read));
    }
    Ok(instances)
}

fn read(instance: &types::Instance) -> Option<Instance> {
    let groups = instance.security_groups().iter().filter_map(|group| group.group_id());
    Some(Instance {
        id: instance.instance_id()?.to_owned(),
        state: instance.state()?.name()?.as_str().to_owned(),
        image: instance.image_id().map(str::to_owned),
        launched: at(instance.launch_time()),
        tags: tags(instance.tags()),
        security_groups: groups.map(str::to_owned).collect(),
    })
}
