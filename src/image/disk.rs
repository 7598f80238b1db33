//! Packs a tree into a bootable raw disk: no loop device, no mount, no partition scan.
//!
//! The disk of the foundation is copied, what the late part of the recipe changed is replayed on the
//! copy, its blocks are hashed, and their table is put onto the disk. A cold bake goes the same way as a warm one, and only has to
//! make the foundation's disk first: both give the same bytes.

use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};

use super::blocks::{Origin, Table};
use super::contents::{Contents, Kind};
use super::difference::Difference;
use super::firmware::Firmware;
use super::foundation::{Disk, Foundation};
use super::layout::{BLOCK, Layout};
use super::sparse::copy_sparse;
use super::tree::Built;
use super::workspace::Workspace;
use super::{Places, block_table, ext4, grub};
use crate::error::Fault;
use crate::event::Events;
use crate::plan::Plan;
use crate::step::kernel;
use crate::sys::{Host, Owner, Root};

/// A finished disk in the work folder.
#[derive(Clone, Debug)]
pub struct Packed {
    /// Where it is.
    pub path: Utf8PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// How much of that is not a hole, in bytes.
    pub allocated: u64,
    /// Its blocks.
    pub table: Table,
    /// What is in its root file system.
    pub contents: Contents,
}

/// Packs what was built.
pub(super) async fn pack(
    built: &Built,
    plan: &Plan,
    places: &Places,
    work: &Workspace,
    events: &Events,
) -> anyhow::Result<Packed> {
    let firmware = Firmware::of(plan.base.arch.name())?;
    can_boot(built, firmware)?;
    let foundation = open(built, firmware, places).await?;
    write_boot_files(&built.host, &foundation, &plan.immutable)?;
    let (foundation, contents) = contents_of(built, foundation).await?;
    let immutable = mount_points(plan, &contents)?;
    let layout = Layout::for_content(foundation.contents.room(BLOCK), contents.room(BLOCK));
    let path = work.path().join("disk.raw");
    let difference = Difference::between(&foundation.contents, &contents);
    let (place, tree) = (foundation.root(&layout, &path), built.host.root.path());
    // The second time it is made anew.
    for _ in 0..2 {
        let base = Arc::new(foundation.disk(&layout, built, work.path(), events).await?);
        let replayed = async {
            copy(Arc::clone(&base), &path).await?;
            ext4::change(&place, &difference, tree, &immutable, work.path()).await?;
            ext4::check(&place, work.path()).await
        };
        let replayed = replayed.await;
        let (table, base_is_whole) = measure(&path, Arc::clone(&base)).await?;
        if base_is_whole {
            replayed?;
            let table = tell(&path, table)?;
            let meta = std::fs::metadata(&path).context("measuring the disk")?;
            let (bytes, allocated) = (meta.len(), meta.blocks() * 512);
            return Ok(Packed { path, bytes, allocated, table, contents });
        }
        events.log("pack", "the disk of the foundation in the cache is damaged: making it again");
        foundation.discard(&layout, &base)?;
    }
    let cache = &places.cache;
    Err(Fault::environment(format!("what is written to {cache} comes back as something else"))
        .hint("the disk or the memory of this machine is broken; or name another --cache")
        .into())
}

/// Reading and hashing takes seconds the first time: elsewhere, so that Ctrl-C and the clock on the
/// screen go on.
async fn open(
    built: &Built,
    firmware: &'static Firmware,
    places: &Places,
) -> anyhow::Result<Foundation> {
    let (tree, seed, epoch) = (built.foundation.clone(), built.foundation_key.clone(), built.epoch);
    let places = places.clone();
    tokio::task::spawn_blocking(move || Foundation::open(&tree, seed, epoch, firmware, &places))
        .await?
}

async fn contents_of(
    built: &Built,
    foundation: Foundation,
) -> anyhow::Result<(Foundation, Contents)> {
    let (tree, epoch) = (built.host.root.path().to_owned(), built.epoch);
    let walking = tokio::task::spawn_blocking(move || {
        let contents = Contents::of(&tree, epoch, Some(&foundation.contents));
        contents.map(|contents| (foundation, contents))
    });
    walking.await?
}

async fn copy(from: Arc<Disk>, to: &Utf8Path) -> anyhow::Result<()> {
    let to = to.to_owned();
    let copying = tokio::task::spawn_blocking(move || copy_sparse(&from.file, &to));
    copying.await?.context("copying the disk of the foundation")
}

async fn measure(path: &Utf8Path, base: Arc<Disk>) -> anyhow::Result<(Table, bool)> {
    let path = path.to_owned();
    let hashing = tokio::task::spawn_blocking(move || {
        let syncing = {
            let path = path.clone();
            std::thread::spawn(move || std::fs::File::open(path)?.sync_all())
        };
        let origin = Origin { disk: &base.file, table: &base.table };
        let measured = Table::measure(&path, Some(&origin));
        syncing.join().expect("it returns errors").context("writing the disk")?;
        measured
    });
    hashing.await?.context("hashing the disk")
}

/// Puts the table of the disk onto the disk.
fn tell(path: &Utf8Path, table: Table) -> anyhow::Result<Table> {
    let mut options = std::fs::File::options();
    let disk = options.read(true).write(true).open(path).context("opening the disk")?;
    let table = block_table::write(&disk, table)?;
    disk.sync_all().context("writing the disk")?;
    Ok(table)
}

/// What depends on the numbers of this disk: the mount table and the boot menu; and the mount points.
fn write_boot_files(
    host: &Host,
    foundation: &Foundation,
    mount_points: &[String],
) -> anyhow::Result<()> {
    let (root_uuid, esp) = (foundation.uuid("root"), foundation.esp_id());
    let fstab = format!(
        "UUID={root_uuid} / ext4 defaults,errors=remount-ro,x-systemd.growfs 0 1\n\
         UUID={}-{} /boot/efi vfat umask=0077,noauto,nofail 0 0\n",
        &esp[..4],
        &esp[4..]
    );
    let more = host.root.read_text(Utf8Path::new(kernel::COMMAND_LINE))?.unwrap_or_default();
    let files = [("/etc/fstab", fstab), ("/boot/grub/grub.cfg", grub::menu(&root_uuid, &more))];
    host.root.make_dir("/boot/grub", 0o755, Owner::ROOT)?;
    host.root.make_dir("/boot/efi", 0o700, Owner::ROOT)?;
    for path in mount_points {
        if !host.root.exists(path)? {
            host.root.make_dir(path, 0o755, Owner::ROOT)?;
        }
    }
    for (path, text) in files {
        host.root.write(path, text.as_bytes(), 0o644, Owner::ROOT)?;
    }
    Ok(())
}

/// The mount points that nobody may write to while nothing is mounted. They must be there and be
/// empty: what was in them could never be seen, or removed.
fn mount_points(plan: &Plan, contents: &Contents) -> anyhow::Result<Vec<String>> {
    for folder in &plan.immutable {
        let path = folder.trim_start_matches('/');
        let inside = format!("{path}/");
        let is_folder = contents.get(path).is_some_and(|entry| entry.kind == Kind::Directory);
        let full = contents.entries.iter().any(|entry| entry.path.starts_with(&inside));
        if !is_folder || full {
            let what = format!("{folder} is a mount point and not an empty directory");
            return Err(Fault::recipe(what).into());
        }
    }
    Ok(plan.immutable.clone())
}

/// A disk that cannot boot is no image: better to say so than to pack it.
///
/// The boot loader must be in the foundation: the foundation's disk has it.
fn can_boot(built: &Built, firmware: &Firmware) -> anyhow::Result<()> {
    let modules = firmware.efi_modules();
    let foundation = Root::open(&built.foundation).context("opening the foundation")?;
    let mut needed = vec![
        (&built.host.root, "/vmlinuz", firmware.kernel),
        (&foundation, &modules, firmware.efi_package),
    ];
    if firmware.bios {
        needed.insert(0, (&foundation, grub::BOOT_IMAGE, "grub-pc-bin"));
    }
    for (root, path, package) in needed {
        if !root.exists(path)? {
            return Err(Fault::recipe(format!("the tree has no {path}: it could not boot"))
                .hint(format!("install {package}, or extend `base`"))
                .into());
        }
    }
    Ok(())
}
