//! The root file system, made in two passes, so that a small change of a tree is a small change of
//! the disk.
//!
//! [`make`] writes the foundation of an image, all in one: `mke2fs` reads a canonical archive.
//! [`script`] then replays on it what the late part of a recipe changed, with `debugfs`: what did
//! not change stays in its blocks, and what was removed leaves nothing in them. Both write the same
//! bytes for the same input, with a clock that stands still at the image's epoch. Nothing is mounted.

mod free;
mod script;

use std::io::{BufWriter, Write as _};
use std::time::Duration;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};

use super::archive;
use super::contents::Contents;
use super::difference::Difference;
use super::layout::{BLOCK, Partition};
use crate::error::Fault;
use crate::sys::{Cmd, Runner, Tool};
use script::Script;

/// How long filling the root file system may take, on a slow disk.
const MAKE_TIMEOUT: Duration = Duration::from_mins(30);

/// What GRUB 2.06 and every kernel since 5.10 can read. Named, because what `mke2fs` takes by
/// itself depends on the configuration of the machine.
const FEATURES: &str = "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,\
                        flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,metadata_csum";

/// Where a file system is in a disk, and what marks it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// The disk.
    pub disk: Utf8PathBuf,
    /// The partition.
    pub part: Partition,
    /// The file system's UUID, which is also the seed of its directory hashes.
    pub uuid: String,
    /// The moment at which its clock stands.
    pub epoch: i64,
}

impl Place {
    /// The file system as the tools of e2fsprogs are told where it is.
    fn device(&self) -> String {
        format!("{}?offset={}", self.disk, self.part.start)
    }

    fn cmd(&self, tool: Tool, work: &Utf8Path) -> anyhow::Result<Cmd> {
        // Without a configuration of our own, that of the machine would count.
        let config = work.join("mke2fs.conf");
        std::fs::write(&config, "[fs_types]\n\text4 = {\n\t}\n").context("writing mke2fs.conf")?;
        let cmd = Cmd::new(tool).env("MKE2FS_CONFIG", config.as_str());
        Ok(cmd.env("SOURCE_DATE_EPOCH", self.epoch.to_string()).timeout(MAKE_TIMEOUT))
    }
}

/// Makes the file system and fills it with `tree`.
pub(super) async fn make(
    place: &Place,
    tree: &Utf8Path,
    contents: &Contents,
    work: &Utf8Path,
) -> anyhow::Result<()> {
    let options = format!(
        "offset={},hash_seed={},root_owner=0:0,lazy_itable_init=1,lazy_journal_init=1,nodiscard",
        place.part.start, place.uuid
    );
    let cmd = place
        .cmd(Tool::Mke2fs, work)?
        .args(["-q", "-F", "-t", "ext4", "-O", FEATURES, "-I", "256", "-m", "1", "-L", "root"])
        .args(["-b", &BLOCK.to_string(), "-N", &inodes(place.part, contents).to_string()])
        .args(["-U", &place.uuid, "-E", &options, "-d", "-", place.disk.as_str()])
        .arg((place.part.bytes / BLOCK).to_string());
    let (from, entries) = (tree.to_owned(), contents.clone());
    let feed = move |pipe| {
        let mut out = BufWriter::with_capacity(1 << 20, pipe);
        archive::write(&from, &entries, &mut out)?;
        out.flush().context("writing the archive")
    };
    let end = Runner::Direct.run_fed(&cmd, feed).await;
    end.context(Fault::step("the root file system was not made"))?;
    // mke2fs leaves them out without a word, and the group would have what only the mask allows.
    let mut script = Script::new(place.epoch, tree, work);
    script.access_lists(contents)?;
    if script.is_empty() {
        return Ok(());
    }
    replay(place, &script, work).await
}

/// Changes the file system by `difference`. What is new is read from `tree`; the directories
/// `immutable` can then be written to only by what is mounted on them.
pub(super) async fn change(
    place: &Place,
    difference: &Difference<'_>,
    tree: &Utf8Path,
    immutable: &[String],
    work: &Utf8Path,
) -> anyhow::Result<()> {
    let mut script = Script::new(place.epoch, tree, work);
    script.changes(difference)?;
    script.immutable(immutable)?;
    if script.is_empty() {
        return Ok(());
    }
    replay(place, &script, work).await?;
    free::clear(place, work).await
}

async fn replay(place: &Place, script: &Script<'_>, work: &Utf8Path) -> anyhow::Result<()> {
    let commands = work.join("debugfs.commands");
    std::fs::write(&commands, script.text()).context("writing the changes")?;
    let cmd = place.cmd(Tool::Debugfs, work)?;
    let cmd = cmd.args(["-w", "-f", commands.as_str(), &place.device()]);
    let mut complaints = Vec::new();
    let end = Runner::Direct
        .run_with(&cmd, |line| complaints.extend(script.complaint(line).map(str::to_owned)))
        .await;
    let fault = || Fault::step("the changes did not get into the root file system");
    end.with_context(fault)?;
    // Older versions end with 0 whatever happened.
    if let Some(first) = complaints.first() {
        return Err(anyhow::anyhow!("debugfs: {first}").context(fault()));
    }
    Ok(())
}

/// Proves that the file system is whole. Changes nothing.
pub(super) async fn check(place: &Place, work: &Utf8Path) -> anyhow::Result<()> {
    let cmd = place.cmd(Tool::E2fsck, work)?.args(["-f", "-n", &place.device()]);
    let end = Runner::Direct.run(&cmd).await;
    end.context(Fault::step("the root file system that was made is not whole")).map(drop)
}

/// As many inodes as mke2fs would make, and more where a tree has many small files.
fn inodes(root: Partition, contents: &Contents) -> u64 {
    let files = contents.entries.len() as u64;
    (root.bytes / 16384).max(files + files / 4 + 16384)
}
