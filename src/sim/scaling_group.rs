//! An Auto Scaling group that somebody has made: what it launches, and how many.
//!
//! It launches once, when it is made, and replaces nothing. Its instances are those that have its
//! name in their tag.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::region::Tags;

/// The tag that an instance has of its group.
pub const MEMBER_TAG: &str = "aws:autoscaling:groupName";

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScalingGroup {
    /// Its name, of which a region has one.
    pub name: String,
    /// The launch template's id.
    pub template: String,
    /// The version, as it was said: a number, `$Latest` or `$Default`.
    pub version: String,
    /// The least instances.
    pub least: u64,
    /// The most instances.
    pub most: u64,
    /// How many there are to be.
    pub desired: u64,
    /// `subnet-…`, separated by commas.
    pub subnets: String,
    /// When it was made.
    pub created: Timestamp,
    /// Its tags.
    pub tags: Tags,
}
