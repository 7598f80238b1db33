//! Tags of what EC2 has: given together with a thing, or changed later.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{self, Filter, ResourceType, TagSpecification};

use super::Failure;

/// So many things are tagged in one call: AWS's own limit is 1000.
const IDS: usize = 500;

/// Sets tags on images, snapshots and whatever else has an EC2 id. Other tags of theirs stay.
pub async fn set(
    config: &SdkConfig,
    ids: &[String],
    tags: &BTreeMap<String, String>,
) -> Result<(), Failure> {
    if tags.is_empty() {
        return Ok(());
    }
    for ids in ids.chunks(IDS) {
        let call = Client::new(config).create_tags().set_resources(Some(ids.to_vec()));
        let answer = call.set_tags(Some(given(tags))).send().await;
        answer.map_err(|error| Failure::new("ec2:CreateTags", &error))?;
    }
    Ok(())
}

/// The tags of a thing of this kind that is about to be made.
pub(super) fn of(kind: ResourceType, tags: &BTreeMap<String, String>) -> TagSpecification {
    TagSpecification::builder().resource_type(kind).set_tags(Some(given(tags))).build()
}

/// As EC2 tells them.
pub(super) fn read(tags: &[types::Tag]) -> BTreeMap<String, String> {
    let pair = |tag: &types::Tag| Some((tag.key()?.to_owned(), tag.value()?.to_owned()));
    tags.iter().filter_map(pair).collect()
}

fn given(tags: &BTreeMap<String, String>) -> Vec<types::Tag> {
    tags.iter().map(|(key, value)| types::Tag::builder().key(key).value(value).build()).collect()
}

/// The value of a tag of something with an EC2 id; none where it has no such tag.
pub async fn value(config: &SdkConfig, id: &str, key: &str) -> Result<Option<String>, Failure> {
    let filter = |name: &str, value: &str| Filter::builder().name(name).values(value).build();
    let call = Client::new(config).describe_tags();
    let call = call.filters(filter("resource-id", id)).filters(filter("key", key));
    let answer = call.send().await.map_err(|error| Failure::new("ec2:DescribeTags", &error))?;
    Ok(answer.tags().iter().find_map(|tag| tag.value().map(str::to_owned)))
}
