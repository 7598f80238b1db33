//! From what an instance's disk has become to a snapshot: `CreateImage`.
//!
//! EC2 has answered by then, with an image and a snapshot that are `pending`. Here the snapshot gets
//! its blocks: the parent's, and those that the instance changed.

use anyhow::Context as _;

use super::floor::{Floor, Wanted};
use super::volume::Changes;
use crate::sim::conditions::{IMAGE, SNAPSHOT};
use crate::sim::endpoint::with;
use crate::sim::{image, snapshot};

/// Keeps the changed blocks and gives them to the image's snapshot; how many those are.
pub(super) async fn take(
    floor: &Floor,
    wanted: &Wanted,
    image: &str,
    changes: Changes,
) -> anyhow::Result<usize> {
    let (store, parent) = (floor.disks.blocks(), wanted.snapshot.blocks.clone());
    let work = move || changes.collect(&parent, |block| store.put(&block));
    let changed = tokio::task::spawn_blocking(work).await.context("keeping changed blocks")??;
    let count = changed.len();
    with(&floor.account, |account| {
        let done = account.due(SNAPSHOT);
        let available = account.due(SNAPSHOT + IMAGE);
        let region = account.region(&wanted.region);
        // Somebody may have deregistered it meanwhile: then there is nobody to tell.
        let Some(made) = region.images.get_mut(image) else { return };
        made.state = image::State::Pending(available);
        let id = made.root().and_then(|root| root.snapshot.clone());
        let Some(made) = id.and_then(|id| region.snapshots.get_mut(&id)) else { return };
        made.put = changed.keys().copied().collect();
        made.blocks = wanted.snapshot.blocks.clone();
        made.blocks.extend(changed);
        made.state = snapshot::State::Pending(Some(done));
    });
    Ok(count)
}

/// The image will never be.
pub(super) fn fail(floor: &Floor, wanted: &Wanted, image: &str) {
    const WHY: &str = "the disk of its instance could not be read";
    with(&floor.account, |account| {
        let region = account.region(&wanted.region);
        let Some(made) = region.images.get_mut(image) else { return };
        made.state = image::State::Failed(WHY.to_owned());
        let id = made.root().and_then(|root| root.snapshot.clone());
        if let Some(made) = id.and_then(|id| region.snapshots.get_mut(&id)) {
            made.state = snapshot::State::Error(WHY.to_owned());
        }
    });
}
