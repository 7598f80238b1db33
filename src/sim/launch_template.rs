//! A launch template and its versions.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ec2::specification::Specification;
use super::region::Tags;

/// A version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Whatever was said of it.
    pub description: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// Who made it: an ARN.
    pub by: String,
    /// What instances are to be like.
    pub data: Specification,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchTemplate {
    /// `lt-…`
    pub id: String,
    /// Its name, of which a region has one.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// Who made it: an ARN.
    pub by: String,
    /// Its versions by number. A number is never used again.
    pub versions: BTreeMap<u64, Version>,
    /// The version that `$Default` means.
    pub default: u64,
    /// The newest number that there ever was.
    pub newest: u64,
    /// Its tags.
    pub tags: Tags,
}

impl LaunchTemplate {
    /// The version that `$Latest` means.
    pub fn latest(&self) -> u64 {
        self.versions.last_key_value().map_or(self.newest, |(number, _)| *number)
    }

    /// The number that a word means: `$Latest`, `$Default`, or a number. None where it is no word
    /// for a version.
    pub fn number(&self, word: &str) -> Option<u64> {
        match word {
            "$Latest" => Some(self.latest()),
            "$Default" => Some(self.default),
            other => other.parse().ok(),
        }
    }
}
