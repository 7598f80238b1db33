//! `[keys]` and `[login]`: who is let in with which keys.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `[keys]`: names of SSM parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Keys {
    /// The private key, a `SecureString`.
    pub private: String,
    /// The public keys, one a line.
    pub public: String,
    /// How often they are read again, in seconds; 0 is never.
    pub refresh: u32,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            private: "/devops-tools/jenkins/id_rsa".to_owned(),
            public: "/devops-tools/jenkins/id_rsa.pub".to_owned(),
            refresh: 600,
        }
    }
}

/// `[login]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Login {
    /// Who gets the public key of the EC2 key pair.
    pub user: String,
}

impl Default for Login {
    fn default() -> Self {
        Self { user: "admin".to_owned() }
    }
}
