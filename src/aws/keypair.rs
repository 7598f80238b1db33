//! EC2 key pairs: the public half of a key that was made here. The private half never leaves this
//! machine, so no call here makes a key.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::primitives::Blob;
use aws_sdk_ec2::types::{Filter, ResourceType};

use super::Failure;
use super::instances::tagged;

/// Gives EC2 a public key in OpenSSH's form. Returns its id.
pub async fn import(
    config: &SdkConfig,
    name: &str,
    public_key: &str,
    tags: &BTreeMap<String, String>,
) -> Result<String, Failure> {
    const CALL: &str = "ec2:ImportKeyPair";
    let call = Client::new(config)
        .import_key_pair()
        .key_name(name)
        .public_key_material(Blob::new(public_key.as_bytes()))
        .tag_specifications(tagged(ResourceType::KeyPair, tags));
    let answer = call.send().await.map_err(|error| Failure::new(CALL, &error))?;
    answer.key_pair_id.ok_or_else(|| Failure::Unreadable {
        call: CALL,
        cause: "the key pair has no id".to_owned(),
    })
}

/// The id of the key pair with this name.
pub async fn find(config: &SdkConfig, name: &str) -> Result<Option<String>, Failure> {
    let filter = Filter::builder().name("key-name").values(name).build();
    let answer = Client::new(config).describe_key_pairs().filters(filter).send().await;
    let answer = answer.map_err(|error| Failure::new("ec2:DescribeKeyPairs", &error))?;
    Ok(answer.key_pairs().iter().find_map(|pair| pair.key_pair_id().map(str::to_owned)))
}

/// Removes a key pair. One that is not there is gone, too.
pub async fn delete(config: &SdkConfig, id: &str) -> Result<(), Failure> {
    let answer = Client::new(config).delete_key_pair().key_pair_id(id).send().await;
    match answer.map_err(|error| Failure::new("ec2:DeleteKeyPair", &error)) {
        Err(failure) if failure.code() == Some("InvalidKeyPair.NotFound") => Ok(()),
        end => end.map(drop),
    }
}
