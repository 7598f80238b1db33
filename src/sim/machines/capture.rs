//! From what an instance's disk has become to a snapshot: `CreateImage`, `CreateSnapshot`.
//!
//! EC2 has answered by then, with a snapshot that waits. Here it gets its blocks: those of the
//! snapshot that the volume began with, and those that the instance changed.

use std::sync::Arc;

use anyhow::Context as _;

use super::floor::{Floor, Wanted};
use super::volume::Changes;
use crate::sim::account::Account;
use crate::sim::conditions::SNAPSHOT;
use crate::sim::endpoint::with;
use crate::sim::snapshot::{Snapshot, State};
use crate::sim::store::{self, Store};

/// A snapshot that waits for the content of a disk.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    /// The snapshot.
    pub(super) id: String,
    /// The volume that it is made of.
    pub(super) volume: String,
}

/// The snapshots that wait for disks of an instance.
pub(super) fn waiting(account: &mut Account, region: &str, instance: &str) -> Vec<Waiting> {
    let region = account.region(region);
    let waits = |snapshot: &&Snapshot| matches!(snapshot.state, State::Pending(None));
    let of_volumes = region.snapshots.values().filter(waits).filter_map(|snapshot| {
        let volume = region.volumes.get(snapshot.volume.as_ref()?)?;
        (volume.instance == instance)
            .then(|| Waiting { id: snapshot.id.clone(), volume: volume.id.clone() })
    });
    of_volumes.collect()
}

/// Gives a snapshot the blocks of the root volume with its changes; how many are new.
pub(super) async fn fill(
    floor: &Floor,
    wanted: &Wanted,
    snapshot: &str,
    changes: Arc<Changes>,
) -> anyhow::Result<usize> {
    let store = with(&floor.account, Account::store).context("opening the blocks")?;
    let mut blocks = wanted.snapshot.blocks.clone();
    let parent = blocks.clone();
    let work = move || changes.collect(&parent, |block| keep(&store, &block));
    let changed = tokio::task::spawn_blocking(work).await.context("keeping changed blocks")??;
    let count = changed.len();
    with(&floor.account, |account| {
        let done = account.due(SNAPSHOT);
        // Somebody may have deleted it meanwhile: then there is nobody to tell.
        let found = account.region(&wanted.region).snapshots.get_mut(snapshot);
        let Some(made) = found else { return };
        made.put = changed.keys().copied().collect();
        blocks.extend(changed);
        made.blocks = blocks;
        made.parent.get_or_insert_with(|| wanted.snapshot.id.clone());
        made.state = State::Pending(Some(done));
        account.changes += 1;
    });
    Ok(count)
}

fn keep(store: &Store, block: &[u8]) -> anyhow::Result<store::BlockDigest> {
    let digest = store::digest(block);
    store.put(&digest, block).context("keeping a block")?;
    Ok(digest)
}

/// Gives a snapshot the blocks that its volume began with: no machine has the volume.
pub(super) fn fill_unchanged(floor: &Floor, wanted: &Wanted, waiting: &Waiting) {
    with(&floor.account, |account| {
        let done = account.due(SNAPSHOT);
        let region = account.region(&wanted.region);
        let origin = region.volumes.get(&waiting.volume).and_then(|one| one.snapshot.clone());
        let blocks = origin.and_then(|id| region.snapshots.get(&id)).map(|one| one.blocks.clone());
        if let Some(made) = region.snapshots.get_mut(&waiting.id) {
            made.blocks = blocks.unwrap_or_default();
            made.state = State::Pending(Some(done));
        }
    });
}

/// A snapshot will never be.
pub(super) fn fail(floor: &Floor, wanted: &Wanted, snapshot: &str) {
    with(&floor.account, |account| {
        if let Some(made) = account.region(&wanted.region).snapshots.get_mut(snapshot) {
            made.state = State::Error("the disk of its instance could not be read".to_owned());
        }
    });
}
