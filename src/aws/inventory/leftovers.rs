//! What a builder instance has beside itself: key pairs and security groups.

use aws_config::SdkConfig;
use aws_sdk_ec2::Client;
use jiff::Timestamp;

use super::{PAGE, Tags, at, has_tag, tags};
use crate::aws::Failure;

/// A key pair.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyPair {
    /// `key-…`
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was made, by AWS's clock.
    pub created: Option<Timestamp>,
    /// Its tags.
    pub tags: Tags,
}

/// A security group. AWS does not say when it was made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecurityGroup {
    /// `sg-…`
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its tags.
    pub tags: Tags,
}

/// The key pairs that have a tag of this key. There are no pages of them.
pub async fn key_pairs(config: &SdkConfig, tag: &str) -> Result<Vec<KeyPair>, Failure> {
    let answer = Client::new(config).describe_key_pairs().filters(has_tag(tag)).send().await;
    let answer = answer.map_err(|error| Failure::new("ec2:DescribeKeyPairs", &error))?;
    let keys = answer.key_pairs().iter().filter_map(|key| {
        Some(KeyPair {
            id: key.key_pair_id()?.to_owned(),
            name: key.key_name().unwrap_or_default().to_owned(),
            created: at(key.create_time()),
            tags: tags(key.tags()),
        })
    });
    Ok(keys.collect())
}

/// The security groups that have a tag of this key.
pub async fn security_groups(config: &SdkConfig, tag: &str) -> Result<Vec<SecurityGroup>, Failure> {
    let call = Client::new(config).describe_security_groups().filters(has_tag(tag));
    let mut pages = call.into_paginator().page_size(PAGE).send();
    let mut groups = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Failure::new("ec2:DescribeSecurityGroups", &error))?;
        groups.extend(page.security_groups().iter().filter_map(|group| {
            Some(SecurityGroup {
                id: group.group_id()?.to_owned(),
                name: group.group_name().unwrap_or_default().to_owned(),
                tags: tags(group.tags()),
            })
        }));
    }
    Ok(groups)
}
