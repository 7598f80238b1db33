//! The disk of one instance: layers over its image's disk, and what they changed of it.
//!
//! The image's disk is a raw file that all its instances share and nobody changes. Each start goes
//! on with the layers that are there, so that what an instance wrote is kept while it is stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::sim::snapshot::BLOCK_BYTES;
use crate::sim::vm::machine::{self, OVERLAY};
use crate::sim::vm::run_dir::RunDir;
use crate::sys::{Cmd, Runner, Tool};

/// See the module.
#[derive(Debug)]
pub(super) struct Volume {
    /// The image's disk.
    base: PathBuf,
    /// Files of the run folder, the lowest first.
    layers: Vec<String>,
}

/// What the layers hold of the disk.
#[derive(Debug)]
pub(super) struct Changes {
    base: File,
    base_bytes: u64,
    extents: Vec<Extent>,
    /// The lowest first.
    layers: Vec<File>,
}

/// A stretch of the disk as `qemu-img map` tells it. The top layer has depth 0.
#[derive(Clone, Debug, Deserialize)]
struct Extent {
    start: u64,
    length: u64,
    depth: usize,
    /// Whether a layer or the image has it at all.
    present: bool,
    #[serde(default)]
    zero: bool,
    #[serde(default)]
    compressed: bool,
    /// Where its bytes are in the layer's file.
    offset: Option<u64>,
}

impl Volume {
    /// A fresh one of `bytes`, with nothing in it but what `base` has.
    pub(super) async fn make(
        runner: &Runner,
        run_dir: &RunDir,
        base: PathBuf,
        bytes: u64,
    ) -> anyhow::Result<Self> {
        machine::lay_over(runner, &base, &run_dir.argument(OVERLAY)?, bytes).await?;
        Ok(Self { base, layers: vec![OVERLAY.to_owned()] })
    }

    /// The layer that is written to.
    pub(super) fn top(&self) -> &str {
        self.layers.last().map_or(OVERLAY, String::as_str)
    }

    /// The name of the next layer.
    pub(super) fn next(&self) -> String {
        format!("{OVERLAY}{}", self.layers.len())
    }

    /// There is a next layer: what was there is written to no more.
    pub(super) fn frozen(&mut self) {
        self.layers.push(self.next());
    }

    /// What the layers up to `layers` hold. None of them may be written to meanwhile.
    async fn changes_of(
        &self,
        runner: &Runner,
        run_dir: &RunDir,
        layers: &[String],
    ) -> anyhow::Result<Changes> {
        let top = layers.last().context("a disk has a layer")?;
        // Shared: the layer may be below one that a running machine writes to.
        let map = Cmd::new(Tool::QemuImg)
            .args(["map", "--force-share", "--output=json"])
            .arg(run_dir.argument(top)?);
        let map = runner.run(&map).await.context("asking what a disk's layers hold")?;
        let layers: Vec<PathBuf> = layers.iter().map(|name| run_dir.file(name)).collect();
        Changes::of(&map.stdout, &self.base, &layers)
    }

    /// What all layers hold, of a machine that is off.
    pub(super) async fn changes(
        &self,
        runner: &Runner,
        run_dir: &RunDir,
    ) -> anyhow::Result<Changes> {
        self.changes_of(runner, run_dir, &self.layers).await
    }

    /// What the layers below the top one hold, of a machine that runs.
    pub(super) async fn frozen_changes(
        &self,
        runner: &Runner,
        run_dir: &RunDir,
    ) -> anyhow::Result<Changes> {
        let below = self.layers.split_last().map_or(&[][..], |(_, below)| below);
        self.changes_of(runner, run_dir, below).await
    }
}

impl Changes {
    /// From what `qemu-img map` says of the top layer.
    fn of(map: &[u8], base: &Path, layers: &[PathBuf]) -> anyhow::Result<Self> {
        let extents = serde_json::from_slice(map).context("reading qemu-img's JSON")?;
        let open =
            |path: &Path| File::open(path).with_context(|| format!("opening {}", path.display()));
        let base = open(base)?;
        let base_bytes = base.metadata().context("asking for a disk's size")?.len();
        let layers = layers.iter().map(|path| open(path)).collect::<Result<_, _>>()?;
        Ok(Self { base, base_bytes, extents, layers })
    }

    /// The blocks that the layers touch, in order. Each may have the content that it had before.
    pub(super) fn blocks(&self) -> anyhow::Result<BTreeSet<u32>> {
        let block = BLOCK_BYTES as u64;
        let mut touched = BTreeSet::new();
        for extent in self.ours().filter(|extent| extent.length > 0) {
            let last = (extent.start + extent.length - 1) / block;
            for index in extent.start / block..=last {
                touched.insert(u32::try_from(index).context("a disk is not that large")?);
            }
        }
        Ok(touched)
    }

    /// The content of a block: the image's, with what the layers say instead.
    pub(super) fn read(&self, index: u32) -> anyhow::Result<Vec<u8>> {
        let start = u64::from(index) * BLOCK_BYTES as u64;
        let end = start + BLOCK_BYTES as u64;
        let mut block = vec![0; BLOCK_BYTES];
        let of_base = self.base_bytes.saturating_sub(start).min(BLOCK_BYTES as u64);
        let of_base = usize::try_from(of_base).context("a block is small")?;
        self.base
            .read_exact_at(&mut block[..of_base], start)
            .context("reading the image's disk")?;
        for extent in self.ours() {
            let from = extent.start.max(start);
            let to = (extent.start + extent.length).min(end);
            if from >= to {
                continue;
            }
            let [first, after] = [from - start, to - start].map(usize::try_from);
            let piece = &mut block[first.context("in a block")?..after.context("in a block")?];
            self.fill(extent, from, piece)?;
        }
        Ok(block)
    }

    fn fill(&self, extent: &Extent, from: u64, piece: &mut [u8]) -> anyhow::Result<()> {
        if extent.zero {
            piece.fill(0);
            return Ok(());
        }
        let (Some(offset), false) = (extent.offset, extent.compressed) else {
            bail!("a disk's layer is compressed, which nobody asked for");
        };
        let layer = &self.layers[self.layers.len() - 1 - extent.depth];
        layer.read_exact_at(piece, offset + (from - extent.start)).context("reading a disk's layer")
    }

    fn ours(&self) -> impl Iterator<Item = &Extent> {
        self.extents.iter().filter(|extent| extent.present && extent.depth < self.layers.len())
    }

    /// The blocks that differ from what `parent` has, by `put`, which keeps a block and tells its
    /// digest. A block of zeros where the parent has nothing is no block.
    pub(super) fn collect(
        &self,
        parent: &BTreeMap<u32, [u8; 32]>,
        mut put: impl FnMut(Vec<u8>) -> anyhow::Result<[u8; 32]>,
    ) -> anyhow::Result<BTreeMap<u32, [u8; 32]>> {
        let mut changed = BTreeMap::new();
        for index in self.blocks()? {
            let block = self.read(index)?;
            if !parent.contains_key(&index) && block.iter().all(|byte| *byte == 0) {
                continue;
            }
            let digest = put(block)?;
            if parent.get(&index) != Some(&digest) {
                changed.insert(index, digest);
            }
        }
        Ok(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::disallowed_methods, reason = "our runner starts nothing from a unit test")]
    fn run(program: &str, arguments: &[&str]) -> Vec<u8> {
        let output = std::process::Command::new(program).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// A layer over another one, or over the image, with what `commands` write.
    fn layer(path: &str, over: &str, format: &str, commands: &[String]) {
        run("qemu-img", &["create", "-q", "-f", "qcow2", "-F", format, "-b", over, path, "8M"]);
        let mut arguments = Vec::new();
        for command in commands {
            arguments.extend(["-c", command.as_str()]);
        }
        arguments.push(path);
        run("qemu-io", &arguments);
    }

    fn changes(base: &str, layers: &[&str]) -> Changes {
        let map = run("qemu-img", &["map", "--output=json", layers.last().unwrap()]);
        let layers: Vec<PathBuf> = layers.iter().map(PathBuf::from).collect();
        Changes::of(&map, Path::new(base), &layers).unwrap()
    }

    #[test]
    fn what_the_layers_changed_is_found_and_read_and_nothing_else_is() {
        if Tool::QemuImg.find().is_err() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let [base, first, second] = ["base.raw", "first", "second"]
            .map(|name| folder.path().join(name).to_str().unwrap().to_owned());
        std::fs::write(&base, vec![0x11; 3 * BLOCK_BYTES]).unwrap();
        // In the second block a few bytes, in the third one zeros, in the ninth zeros on nothing.
        let half = BLOCK_BYTES / 2;
        layer(
            &first,
            &base,
            "raw",
            &[
                format!("write -P 0x22 {} 512", BLOCK_BYTES + 4096),
                format!("write -z {} {half}", 2 * BLOCK_BYTES),
                format!("write -P 0 {} 4096", 8 * BLOCK_BYTES),
            ],
        );
        // In another layer the fifth block, and the second one again.
        layer(
            &second,
            &first,
            "qcow2",
            &[
                format!("write -P 0x33 {} 512", 4 * BLOCK_BYTES),
                format!("write -P 0x44 {} 512", BLOCK_BYTES + 8192),
            ],
        );

        let both = changes(&base, &[&first, &second]);
        assert_eq!(both.blocks().unwrap(), [1, 2, 4, 8].into());
        let block = both.read(1).unwrap();
        assert_eq!((block[4096], block[8192], block[4608]), (0x22, 0x44, 0x11));
        let block = both.read(2).unwrap();
        assert_eq!((block[0], block[half - 1], block[half]), (0, 0, 0x11));

        let parent: BTreeMap<u32, [u8; 32]> = [(0, [1; 32]), (1, [1; 32]), (2, [1; 32])].into();
        let mut kept = 0_u8;
        let changed = both.collect(&parent, |_| {
            kept += 1;
            Ok([kept; 32])
        });
        // The first one that was kept is as it was; the ninth is no block.
        assert_eq!(changed.unwrap(), [(2, [2; 32]), (4, [3; 32])].into());

        let below = changes(&base, &[&first]);
        assert_eq!(below.blocks().unwrap(), [1, 2, 8].into());
        assert_eq!(below.read(1).unwrap()[8192], 0x11);
    }
}
