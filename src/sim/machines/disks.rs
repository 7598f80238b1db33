//! Raw disks of snapshots, made when the first instance needs one, and kept for the others.
//!
//! A snapshot that is completed never changes, so that a disk of it needs no look at it again.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::sync::Mutex;

use crate::sim::blocks::Blocks;
use crate::sim::snapshot::{BLOCK_BYTES, Snapshot};
use crate::sim::vm::run_dir::RunDir;

/// The folder of disks, in the run folder. Those of instances have two letters.
const FOLDER: &str = "disks";

/// See the module.
#[derive(Debug)]
pub(super) struct Disks {
    blocks: Blocks,
    folder: PathBuf,
    made: Mutex<BTreeMap<String, PathBuf>>,
}

impl Disks {
    /// There are none yet.
    pub(super) fn new(blocks: Blocks, run_dir: &RunDir) -> anyhow::Result<Self> {
        let folder = run_dir.below(FOLDER)?.path().to_owned();
        Ok(Self { blocks, folder, made: Mutex::default() })
    }

    /// Where blocks are kept.
    pub(super) fn blocks(&self) -> Blocks {
        self.blocks.clone()
    }

    /// The disk of a snapshot. Who asks for one that is being made waits for it.
    pub(super) async fn of(&self, snapshot: &Snapshot) -> anyhow::Result<PathBuf> {
        let mut made = self.made.lock().await;
        if let Some(path) = made.get(&snapshot.id) {
            return Ok(path.clone());
        }
        let path = self.folder.join(format!("{}.raw", snapshot.id));
        let (blocks, contents, to) = (self.blocks(), snapshot.blocks.clone(), path.clone());
        let bytes = snapshot.volume_gib << 30;
        let work = move || assemble(&blocks, &contents, bytes, &to);
        let end = tokio::task::spawn_blocking(work).await.context("making a disk")?;
        end.with_context(|| format!("making a disk of {}", snapshot.id))?;
        made.insert(snapshot.id.clone(), path.clone());
        Ok(path)
    }
}

/// Writes the blocks into a sparse file of the volume's size.
fn assemble(
    blocks: &Blocks,
    contents: &BTreeMap<u32, [u8; 32]>,
    bytes: u64,
    to: &Path,
) -> anyhow::Result<()> {
    let file = File::create(to).context("making a file")?;
    file.set_len(bytes).context("making a file large enough")?;
    for (index, digest) in contents {
        let block = blocks.get(digest)?;
        let at = u64::from(*index) * BLOCK_BYTES as u64;
        file.write_all_at(&block, at).context("writing a block")?;
    }
    Ok(())
}
