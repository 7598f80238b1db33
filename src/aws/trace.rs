//! What carries the tag of a build: how something is found whose id never came, because the answer
//! that had it was lost.

use aws_config::SdkConfig;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::Filter;

use super::Failure;
use crate::teardown::{BUILD_TAG, Kind};

/// The ids of everything of a kind that a build has made in a region, its end not yet come.
pub async fn of_build(config: &SdkConfig, kind: Kind, build: &str) -> Result<Vec<String>, Failure> {
    let ec2 = Client::new(config);
    let tagged = Filter::builder().name(format!("tag:{BUILD_TAG}")).values(build).build();
    let ids: Vec<Option<String>> = match kind {
        Kind::Snapshot => {
            let call = ec2.describe_snapshots().owner_ids("self").filters(tagged);
            let found = call.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
            let found = found.map_err(|error| Failure::new("ec2:DescribeSnapshots", &error))?;
            found.into_iter().map(|one| one.snapshot_id).collect()
        }
        Kind::Image => {
            let call = ec2.describe_images().owners("self").include_deprecated(true);
            let call = call.include_disabled(true).filters(tagged).into_paginator();
            let found = call.items().send().collect::<Result<Vec<_>, _>>().await;
            let found = found.map_err(|error| Failure::new("ec2:DescribeImages", &error))?;
            found.into_iter().map(|one| one.image_id).collect()
        }
        Kind::Instance => {
            let there = Filter::builder().name("instance-state-name").set_values(Some(
                ["pending", "running", "stopping", "stopped"].map(str::to_owned).to_vec(),
            ));
            let call = ec2.describe_instances().filters(tagged).filters(there.build());
            let found = call.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
            let found = found.map_err(|error| Failure::new("ec2:DescribeInstances", &error))?;
            let instances = found.into_iter().flat_map(|group| group.instances.unwrap_or_default());
            instances.map(|one| one.instance_id).collect()
        }
        Kind::KeyPair => {
            let found = ec2.describe_key_pairs().filters(tagged).send().await;
            let found = found.map_err(|error| Failure::new("ec2:DescribeKeyPairs", &error))?;
            found.key_pairs.unwrap_or_default().into_iter().map(|one| one.key_pair_id).collect()
        }
        Kind::SecurityGroup => {
            let call = ec2.describe_security_groups().filters(tagged).into_paginator();
            let found = call.items().send().collect::<Result<Vec<_>, _>>().await;
            let found =
                found.map_err(|error| Failure::new("ec2:DescribeSecurityGroups", &error))?;
            found.into_iter().map(|one| one.group_id).collect()
        }
    };
    Ok(ids.into_iter().flatten().collect())
}
