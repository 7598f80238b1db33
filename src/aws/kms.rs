//! KMS: whether a key can be used. Nothing is encrypted or decrypted here.

use aws_config::SdkConfig;
use aws_sdk_kms::Client;
use aws_sdk_kms::types::KeyManagerType;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Failure;

/// A key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Its ARN.
    pub arn: String,
    /// `Enabled`, `Disabled`, `PendingDeletion`, …
    pub state: String,
    /// Whether it is AWS's own, which nobody can disable or delete.
    pub by_aws: bool,
    /// When it will be deleted for good, if it waits for that.
    pub deleted_at: Option<Timestamp>,
}

/// A key by its ARN, its id or an alias; nothing if there is none.
pub async fn key(config: &SdkConfig, id: &str) -> Result<Option<Key>, Failure> {
    const CALL: &str = "kms:DescribeKey";
    let answer = Client::new(config).describe_key().key_id(id).send().await;
    let answer = match answer.map_err(|error| Failure::new(CALL, &error)) {
        Err(failure) if failure.code() == Some("NotFoundException") => return Ok(None),
        answer => answer?,
    };
    let Some(found) = answer.key_metadata else {
        let cause = "it describes no key".to_owned();
        return Err(Failure::Unreadable { call: CALL, cause });
    };
    let at = |time: &aws_sdk_kms::primitives::DateTime| Timestamp::from_second(time.secs()).ok();
    Ok(Some(Key {
        arn: found.arn().unwrap_or(id).to_owned(),
        state: found.key_state().map_or("", |it| it.as_str()).to_owned(),
        by_aws: found.key_manager() == Some(&KeyManagerType::Aws),
        deleted_at: found.deletion_date().and_then(at),
    }))
}
