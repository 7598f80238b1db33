//! The instances of a pool of build agents, by their tag.

use std::net::IpAddr;

use aws_config::SdkConfig;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Filter, Instance, Reservation};

use super::Failure;

/// The tag that says of which pool an instance is.
pub const TAG: &str = "hostkit:pool";

/// An instance that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// `i-…`
    pub id: String,
    /// Its private address.
    pub address: IpAddr,
}

/// The running instances that have the tag with this value.
pub async fn members(config: &SdkConfig, pool: &str) -> Result<Vec<Member>, Failure> {
    let tagged = Filter::builder().name(format!("tag:{TAG}")).values(pool).build();
    let running = Filter::builder().name("instance-state-name").values("running").build();
    let call = Client::new(config).describe_instances().filters(tagged).filters(running);
    let mut pages = call.into_paginator().send();
    let mut members = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Failure::new("ec2:DescribeInstances", &error))?;
        let found = page.reservations().iter().flat_map(Reservation::instances);
        members.extend(found.filter_map(read));
    }
    Ok(members)
}

fn read(instance: &Instance) -> Option<Member> {
    let address = instance.private_ip_address()?.parse().ok()?;
    Some(Member { id: instance.instance_id()?.to_owned(), address })
}
