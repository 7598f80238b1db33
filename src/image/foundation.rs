//! The disk of a foundation: everything of an image that is slow to make and rarely changes, packed
//! once and kept in the cache.
//!
//! What is kept: the disk with its partition table, boot code and root file system; the table of
//! its blocks; and the contents of the tree. Each is put there whole. A disk that no longer has the
//! blocks that it had is removed and made again. Other bakes may do so meanwhile: a disk in use is an
//! open file, and its folder is locked.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::time::SystemTime;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use nix::fcntl::{Flock, FlockArg};

use super::blocks::Table;
use super::contents::Contents;
use super::firmware::Firmware;
use super::growth::watch_growth;
use super::layout::{self, BIOS, Layout};
use super::tree::Built;
use super::{Places, efi, ext4, grub, store};
use crate::digest::{sha256, sha256_of, uuid};
use crate::event::Events;
use crate::sys::{Cmd, Runner, Tool};

/// The way disks are made. A new one makes those in the cache useless, and every image a new one.
pub(super) const MAKING: u32 = 4;

/// See the module.
#[derive(Debug)]
pub(super) struct Foundation {
    /// What all its numbers come from.
    seed: String,
    folder: Utf8PathBuf,
    firmware: &'static Firmware,
    epoch: i64,
    /// What is in its tree.
    pub contents: Contents,
    /// Nobody removes the folder meanwhile.
    _lock: Flock<File>,
}

/// A disk of a foundation, in the cache.
#[derive(Debug)]
pub(super) struct Disk {
    pub file: File,
    pub table: Table,
}

impl Foundation {
    /// Finds what is known of the foundation with this key, or looks at its tree.
    pub(super) fn open(
        tree: &Utf8Path,
        seed: String,
        epoch: i64,
        firmware: &'static Firmware,
        places: &Places,
    ) -> anyhow::Result<Self> {
        let key = sha256(format!("{MAKING} {} {} {epoch} {seed}", makers()?, firmware.arch));
        let folder = places.cache.join("disks").join(&key[..16]);
        let lock = hold(&folder)?;
        let kept = folder.join("contents");
        let known = std::fs::read(&kept).ok().filter(|_| !places.no_cache);
        let known = known.and_then(|lines| Contents::from_lines(&lines).ok());
        let contents = if let Some(contents) = known {
            // What is used least recently goes first.
            let _ = lock.set_modified(SystemTime::now());
            contents
        } else {
            let contents = Contents::of(tree, epoch, None)?;
            remove_disks(&folder).context("removing the disks of the foundation")?;
            crate::sys::atomic::write(&kept, &contents.to_lines(), 0o600)?;
            contents
        };
        Ok(Self { seed, folder, firmware, epoch, contents, _lock: lock })
    }

    /// The UUID of a part of the disk. It does not depend on the late part of a recipe: checksums
    /// all over the file system depend on it.
    pub(super) fn uuid(&self, name: &str) -> String {
        uuid(&self.seed, name)
    }

    /// The volume number of the EFI system partition: 8 hexadecimal digits.
    pub(super) fn esp_id(&self) -> String {
        self.uuid("esp")[..8].to_uppercase()
    }

    /// Where the root file system is in a disk that was made from this.
    pub(super) fn root(&self, layout: &Layout, disk: &Utf8Path) -> ext4::Place {
        let (part, disk) = (layout.root, disk.to_owned());
        ext4::Place { disk, part, uuid: self.uuid("root"), epoch: self.epoch }
    }

    /// The disk of this layout: from the cache, or made now.
    pub(super) async fn disk(
        &self,
        layout: &Layout,
        built: &Built,
        work: &Utf8Path,
        events: &Events,
    ) -> anyhow::Result<Disk> {
        let kept = self.kept(layout);
        if let Some(disk) = kept.read(layout) {
            return Ok(disk);
        }
        events.log("pack", "packing the foundation; the next bake finds it in the cache");
        let path = work.join("foundation.raw");
        self.make(layout, built, &path, work, events).await?;
        let measured = path.clone();
        let table = tokio::task::spawn_blocking(move || {
            File::open(&measured)?.sync_all()?;
            Table::of(&measured)
        });
        let table = table.await?.context("hashing the foundation")?;
        kept.keep(&path, table)
    }

    /// Removes a disk that is no longer what it was, unless another bake has already made it again.
    pub(super) fn discard(&self, layout: &Layout, damaged: &Disk) -> anyhow::Result<()> {
        let place = self.kept(layout).disk;
        let ours = damaged.file.metadata().context("looking at the damaged disk")?.ino();
        if std::fs::metadata(&place).is_ok_and(|there| there.ino() == ours) {
            remove_file(&place).context("removing the damaged disk")?;
        }
        Ok(())
    }

    /// The name says what is on the disk: a foundation that is built anew may come out otherwise.
    fn kept(&self, layout: &Layout) -> Kept {
        let contents = serde_json::to_vec(&self.contents.entries).expect("an entry is plain data");
        let name = format!("{}-MiB-{}", layout.bytes >> 20, &sha256(contents)[..16]);
        let disk = self.folder.join(format!("{name}.raw"));
        Kept { blocks: disk.with_extension("blocks"), disk }
    }

    async fn make(
        &self,
        layout: &Layout,
        built: &Built,
        path: &Utf8Path,
        work: &Utf8Path,
        events: &Events,
    ) -> anyhow::Result<()> {
        let root_uuid = self.uuid("root");
        let _ = std::fs::remove_file(path);
        let disk = File::create_new(path).context("making the disk")?;
        disk.set_len(layout.bytes).context("sizing the disk")?;
        self.partition(path, layout).await?;
        // Of the foundation, too: the late part must not be in what other late parts are laid on.
        let folder = tempfile::tempdir_in(work).context("making a folder for the boot loader")?;
        let scratch = Utf8Path::from_path(folder.path()).context("the cache is not UTF-8")?;
        let tree = built.throw_away_foundation(scratch)?;
        if self.firmware.bios {
            let code = grub::boot_code(&tree.host, &root_uuid).await?;
            disk.write_all_at(&code.boot, 0).context("writing the boot code")?;
            disk.write_all_at(&code.core, BIOS.start).context("writing GRUB's core image")?;
        }
        let esp_id = self.esp_id();
        efi::make(path, &tree.host, self.firmware, &root_uuid, &esp_id, self.epoch).await?;
        drop(tree);
        let place = self.root(layout, path);
        let making = ext4::make(&place, &built.foundation, &self.contents, work);
        let total = Some(self.contents.room(layout::BLOCK));
        watch_growth(making, path, total, events, "pack").await
    }

    async fn partition(&self, disk: &Utf8Path, layout: &Layout) -> anyhow::Result<()> {
        let name = |part: &str| self.uuid(&format!("partition {part}"));
        let table = layout::table(layout, self.firmware.root_type, &self.uuid("disk"), name);
        let cmd = Cmd::new(Tool::Sfdisk).args(["--quiet", "--no-reread", "--no-tell-kernel"]);
        let cmd = cmd.arg(disk.as_str()).stdin(table);
        Runner::Direct.run(&cmd).await.context("partitioning the disk").map(drop)
    }
}

/// Names the programs that make a disk: another version of one may make another disk.
fn makers() -> anyhow::Result<String> {
    let tools = [Tool::Mke2fs, Tool::Sfdisk, Tool::MkfsFat, Tool::Mcopy];
    let digests = tools.into_iter().map(|tool| {
        let path = tool.find()?;
        sha256_of(&path).with_context(|| format!("reading {}", path.display()))
    });
    Ok(sha256(digests.collect::<anyhow::Result<Vec<_>>>()?.join(" ")))
}

/// Where a disk is kept.
struct Kept {
    disk: Utf8PathBuf,
    blocks: Utf8PathBuf,
}

impl Kept {
    fn read(&self, layout: &Layout) -> Option<Disk> {
        let file = File::open(&self.disk).ok()?;
        let whole = file.metadata().is_ok_and(|meta| meta.len() == layout.bytes);
        let table = Table::from_bytes(&std::fs::read(&self.blocks).ok()?)?;
        whole.then_some(Disk { file, table })
    }

    /// The disk comes last: where it is, its table is, too.
    fn keep(&self, disk: &Utf8Path, table: Table) -> anyhow::Result<Disk> {
        let file = File::open(disk).context("opening the disk of the foundation")?;
        crate::sys::atomic::write(&self.blocks, &table.to_bytes(), 0o600)?;
        std::fs::rename(disk, &self.disk).context("keeping the disk of the foundation")?;
        Ok(Disk { file, table })
    }
}

/// Makes the folder of a foundation and locks it, together with other bakes.
fn hold(folder: &Utf8Path) -> anyhow::Result<Flock<File>> {
    for _ in 0..100 {
        std::fs::create_dir_all(folder).context("making the cache of disks")?;
        // Whoever removes it has it locked for himself, and takes it away under our hands.
        if let Some(lock) = store::lock(folder, FlockArg::LockShared) {
            return Ok(lock);
        }
    }
    anyhow::bail!("{folder} cannot be locked")
}

fn remove_disks(folder: &Utf8Path) -> io::Result<()> {
    for entry in folder.read_dir_utf8()? {
        let path = entry?.into_path();
        if path.extension() == Some("raw") {
            remove_file(&path)?;
        }
    }
    Ok(())
}

/// Another bake may have removed it before.
fn remove_file(path: &Utf8Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        end => end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(cache: &Utf8Path, no_cache: bool) -> Places {
        Places {
            output: cache.join("out"),
            cache: cache.to_owned(),
            qcow2: false,
            cache_limit: u64::MAX,
            no_cache,
            update_lock: false,
            frozen: false,
            epoch: None,
            shell_on_error: false,
        }
    }

    #[test]
    fn bakes_with_one_foundation_do_not_take_the_disk_from_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Utf8Path::from_path(dir.path()).unwrap();
        let tree = cache.join("tree");
        std::fs::create_dir(&tree).unwrap();
        let firmware = Firmware::of("amd64").unwrap();
        let open = |no_cache| {
            let places = places(cache, no_cache);
            Foundation::open(&tree, "seed".to_owned(), 0, firmware, &places).unwrap()
        };
        let layout = Layout::for_content(0, 0);
        let keep = |foundation: &Foundation| {
            let fresh = cache.join("fresh.raw");
            File::create_new(&fresh).unwrap().set_len(layout.bytes).unwrap();
            let table = Table::from_bytes(&[0; 32]).unwrap();
            foundation.kept(&layout).keep(&fresh, table).unwrap()
        };
        let one = open(false);
        let damaged = keep(&one);
        let two = open(false);
        let also_damaged = two.kept(&layout).read(&layout).unwrap();
        one.discard(&layout, &damaged).unwrap();
        assert!(two.kept(&layout).read(&layout).is_none());
        let again = keep(&one);
        two.discard(&layout, &also_damaged).unwrap();
        assert!(two.kept(&layout).read(&layout).is_some(), "it was made again already");

        let third = open(true);
        assert!(third.kept(&layout).read(&layout).is_none(), "it comes from the cache");
        one.discard(&layout, &again).unwrap();
        keep(&two);
    }
}
