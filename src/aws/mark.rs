//! Tags on things that are there already, many in one call.

use aws_config::SdkConfig;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::Tag;

use super::Failure;

/// So many things are tagged in one call: half of AWS's own limit.
const MANY: usize = 500;

/// Sets one tag of all of these to a value.
pub async fn all(
    config: &SdkConfig,
    ids: &[String],
    key: &str,
    value: &str,
) -> Result<(), Failure> {
    let client = Client::new(config);
    for ids in ids.chunks(MANY) {
        let tag = Tag::builder().key(key).value(value).build();
        let call = client.create_tags().set_resources(Some(ids.to_vec())).tags(tag);
        call.send().await.map_err(|error| Failure::new("ec2:CreateTags", &error))?;
    }
    Ok(())
}
