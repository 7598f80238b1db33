//! A key of KMS: whether it can be used. Nothing is encrypted with it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::account::ACCOUNT_ID;
use super::vault;

/// Whether a key can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It can.
    Enabled,
    /// It cannot, until somebody enables it.
    Disabled,
    /// It will be gone for good at this moment.
    PendingDeletion(Timestamp),
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EncryptionKey {
    /// Its id.
    pub id: String,
    /// Its ARN.
    pub arn: String,
    /// Whether it can be used.
    pub state: State,
    /// Whether it is AWS's own, by this alias.
    pub of_aws: Option<String>,
    /// When it was made.
    pub created: Timestamp,
}

impl EncryptionKey {
    /// A customer's own.
    pub fn of_customer(region: &str, created: Timestamp) -> Self {
        let id = vault::id();
        let arn = format!("arn:aws:kms:{region}:{ACCOUNT_ID}:key/{id}");
        Self { id, arn, state: State::Enabled, of_aws: None, created }
    }

    /// The one that AWS has for EFS in this account.
    pub fn of_efs(region: &str, created: Timestamp) -> Self {
        let alias = Some("alias/aws/elasticfilesystem".to_owned());
        Self { of_aws: alias, ..Self::of_customer(region, created) }
    }
}
