//! EC2 key pairs: the public half of a key that was made here. The private half never leaves this
//! machine, so no call here makes a key.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::primitives::Blob;
use aws_sdk_ec2::types::ResourceType;

use super::{Failure, tag};

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
        .tag_specifications(tag::of(ResourceType::KeyPair, tags));
    let answer = call.send().await.map_err(|error| Failure::new(CALL, &error))?;
    answer.key_pair_id.ok_or_else(|| Failure::Unreadable {
        call: CALL,
        cause: "the key pair has no id".to_owned(),
    })
}
