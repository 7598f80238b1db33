//! Raw disks of snapshots, made when the first instance needs one, and kept for the others.
//!
//! A snapshot that is completed never changes, so that a disk of it needs no look at it again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::Mutex;

use crate::sim::snapshot::Snapshot;
use crate::sim::store::Store;
use crate::sim::vm::run_dir::RunDir;

/// The folder of disks, in the run folder. Those of instances have two letters.
const FOLDER: &str = "disks";

/// See the module.
#[derive(Debug)]
pub(super) struct Disks {
    folder: PathBuf,
    made: Mutex<BTreeMap<String, PathBuf>>,
}

impl Disks {
    /// Those of `made` are there already, as files that somebody else has.
    pub(super) fn new(run_dir: &RunDir, made: BTreeMap<String, PathBuf>) -> anyhow::Result<Self> {
        let folder = run_dir.below(FOLDER)?.path().to_owned();
        Ok(Self { folder, made: Mutex::new(made) })
    }

    /// The disk of a snapshot. Who asks for one that is being made waits for it.
    pub(super) async fn of(
        &self,
        snapshot: &Snapshot,
        store: Arc<Store>,
    ) -> anyhow::Result<PathBuf> {
        let mut made = self.made.lock().await;
        if let Some(path) = made.get(&snapshot.id) {
            return Ok(path.clone());
        }
        let path = self.folder.join(format!("{}.raw", snapshot.id));
        let (whole, to) = (snapshot.clone(), path.clone());
        let work = move || whole.assemble(&store, &to);
        let end = tokio::task::spawn_blocking(work).await.context("making a disk")?;
        end.with_context(|| format!("making a disk of {}", snapshot.id))?;
        made.insert(snapshot.id.clone(), path.clone());
        Ok(path)
    }
}
