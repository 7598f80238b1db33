//! An EC2 key pair: a name for a public key that instances get.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::region::Tags;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyPair {
    /// `key-…`
    pub id: String,
    /// Its name, of which a region has one.
    pub name: String,
    /// `ed25519` or `rsa`.
    pub kind: String,
    /// The public key, in OpenSSH's form.
    pub public_key: String,
    /// Of the public key.
    pub fingerprint: String,
    /// When it was made or imported.
    pub created: Timestamp,
    /// Its tags.
    pub tags: Tags,
}
