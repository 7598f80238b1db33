//! What an account has in one region, as far as looking after images goes: pages of many, and never a
//! call for each thing where one call can tell of many.
//!
//! Reads only. What the answers mean is decided elsewhere; here they become plain values. Everything
//! that AWS leaves out of an answer is `None` or empty, so that nobody takes silence for a reason to
//! remove something.

mod groups;
mod images;
mod instances;
mod leftovers;
mod parameters;
mod templates;

use std::collections::BTreeMap;

use aws_sdk_ec2::types::{Filter, Tag};
use jiff::Timestamp;

pub use groups::{Group, LaunchConfiguration, TemplateUse, groups, launch_configurations};
pub use images::{
    Image, REFERENCES, Sharing, Snapshot, image, images, references, sharing, snapshots,
    snapshots_by_id,
};
pub use instances::{Instance, instances};
pub use leftovers::{KeyPair, SecurityGroup, key_pairs, security_groups};
pub use parameters::{Parameter, below, history, values};
pub use templates::{TemplateVersion, current_versions, versions};

/// Tags, by key.
pub type Tags = BTreeMap<String, String>;

/// The most that EC2 gives in one page of its lists.
const PAGE: i32 = 1000;
/// So many values may one filter have.
const FILTER_VALUES: usize = 200;

fn tags(tags: &[Tag]) -> Tags {
    let pairs =
        tags.iter().filter_map(|tag| Some((tag.key()?.to_owned(), tag.value()?.to_owned())));
    pairs.collect()
}

/// A filter by the presence of a tag.
fn has_tag(key: &str) -> Filter {
    Filter::builder().name("tag-key").values(key).build()
}

/// A moment as EC2 writes it where its model says that it is text.
fn moment(text: Option<&str>) -> Option<Timestamp> {
    text?.parse().ok()
}

fn at(time: Option<&aws_smithy_types::DateTime>) -> Option<Timestamp> {
    Timestamp::from_second(time?.secs()).ok()
}

fn gib(size: Option<i32>) -> u64 {
    size.and_then(|size| u64::try_from(size).ok()).unwrap_or(0)
}
