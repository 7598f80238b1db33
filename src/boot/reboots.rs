//! How often this instance was started again because its boot failed: counted on the local disk,
//! which an image may have brought along, so the count is bound to the instance.

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::context::Machine;
use crate::sys::atomic;

/// More does not help.
pub(super) const MOST: u32 = 2;

const FILE: &str = "/var/lib/hostkit/reboots.json";

#[derive(Debug, Serialize, Deserialize)]
struct Count {
    instance_id: String,
    count: u32,
}

/// Counts one more, and returns the count; `None` when there were enough.
pub(super) fn count_one(machine: &Machine, instance_id: &str) -> anyhow::Result<Option<u32>> {
    let path = machine.path(FILE);
    let before = std::fs::read(&path).ok().and_then(|json| serde_json::from_slice(&json).ok());
    let before = before.filter(|before: &Count| before.instance_id == instance_id);
    let count = before.map_or(0, |before| before.count) + 1;
    if count > MOST {
        return Ok(None);
    }
    if let Some(folder) = path.parent() {
        atomic::make_directory(folder, 0o700).with_context(|| format!("making {folder}"))?;
    }
    let json = serde_json::to_vec(&Count { instance_id: instance_id.to_owned(), count })
        .expect("a count has only string keys");
    atomic::write(&path, &json, 0o600).with_context(|| format!("writing {path}"))?;
    Ok(Some(count))
}

/// A boot has succeeded: the next one that fails begins anew.
pub(super) fn forget(machine: &Machine) {
    // Where it cannot be removed, a host that fails again is replaced sooner.
    let _ = std::fs::remove_file(machine.path(FILE));
}
