//! The instances that serve as build agents: found by their Auto Scaling groups, or by a tag.

use std::collections::BTreeMap;
use std::net::IpAddr;

use aws_config::SdkConfig;
use aws_sdk_ec2::types::{Filter, Instance, Reservation};

use super::{Failure, tag};

/// The tag that says of which pool an instance is.
pub const POOL: &str = "hostkit:pool";

/// The tag with labels of its own.
pub const LABELS: &str = "hostkit:labels";

/// The tag by which an operator takes a host out of service.
pub const DRAIN: &str = "hostkit:drain";

/// How many groups one call may name: AWS's own limit is 50.
const GROUPS: usize = 50;

/// How many instances one call may name, and how many a page has.
const INSTANCES: usize = 500;

/// An instance that may run builds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// `i-…`
    pub id: String,
    /// Its private address; none as long as EC2 does not say it.
    pub address: Option<IpAddr>,
    /// What its tag [`LABELS`] says.
    pub labels: Option<String>,
    /// The pool that its tag [`POOL`] names.
    pub pool: Option<String>,
    /// Whether its tag [`DRAIN`] asks it to take no more work.
    pub is_draining: bool,
}

/// An instance that serves for a group, or that is on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// `i-…`
    pub id: String,
    /// Whether the group is about to terminate it. What it does now it may finish.
    pub is_leaving: bool,
}

/// The instances in service and those that leave it, by their group. A group that does not exist is
/// not in the answer.
pub async fn members(
    config: &SdkConfig,
    groups: &[&str],
) -> Result<BTreeMap<String, Vec<Member>>, Failure> {
    let client = aws_sdk_autoscaling::Client::new(config);
    let mut found = BTreeMap::new();
    for names in groups.chunks(GROUPS) {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let call = client.describe_auto_scaling_groups().set_auto_scaling_group_names(Some(names));
        let mut pages = call.into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page
                .map_err(|error| Failure::new("autoscaling:DescribeAutoScalingGroups", &error))?;
            for group in page.auto_scaling_groups() {
                let name = group.auto_scaling_group_name().unwrap_or_default().to_owned();
                found.insert(name, group.instances().iter().filter_map(member).collect());
            }
        }
    }
    Ok(found)
}

fn member(instance: &aws_sdk_autoscaling::types::Instance) -> Option<Member> {
    let is_leaving = match instance.lifecycle_state()?.as_str() {
        "InService" => false,
        "Terminating" | "Terminating:Wait" => true,
        _ => return None,
    };
    Some(Member { id: instance.instance_id()?.to_owned(), is_leaving })
}

/// Those of these instances that run.
pub async fn running(config: &SdkConfig, ids: &[String]) -> Result<Vec<Found>, Failure> {
    let mut found = Vec::new();
    for ids in ids.chunks(INSTANCES) {
        // As a filter: named as ids, one that is gone would be an error for all.
        found.extend(describe(config, filter("instance-id", ids.to_vec())).await?);
    }
    Ok(found)
}

/// The instances that run and whose tag [`POOL`] names one of these pools.
pub async fn tagged(config: &SdkConfig, pools: &[&str]) -> Result<Vec<Found>, Failure> {
    if pools.is_empty() {
        return Ok(Vec::new());
    }
    let pools = pools.iter().map(|pool| (*pool).to_owned()).collect();
    describe(config, filter(&format!("tag:{POOL}"), pools)).await
}

async fn describe(config: &SdkConfig, wanted: Filter) -> Result<Vec<Found>, Failure> {
    let running = filter("instance-state-name", vec!["running".to_owned()]);
    let call = aws_sdk_ec2::Client::new(config).describe_instances();
    let size = i32::try_from(INSTANCES).expect("the constant is small");
    let mut pages = call.filters(wanted).filters(running).into_paginator().page_size(size).send();
    let mut found = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Failure::new("ec2:DescribeInstances", &error))?;
        let instances = page.reservations().iter().flat_map(Reservation::instances);
        found.extend(instances.filter_map(read));
    }
    Ok(found)
}

fn read(instance: &Instance) -> Option<Found> {
    let mut tags = tag::read(instance.tags());
    Some(Found {
        id: instance.instance_id()?.to_owned(),
        address: instance.private_ip_address().and_then(|text| text.parse().ok()),
        labels: tags.remove(LABELS),
        pool: tags.remove(POOL),
        is_draining: tags.remove(DRAIN).is_some_and(|word| word == "quiet"),
    })
}

fn filter(name: &str, values: Vec<String>) -> Filter {
    Filter::builder().name(name).set_values(Some(values)).build()
}
