//! Packs a tree into a bootable raw disk: no loop device, no mount, no partition scan.

use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};

use super::growth::watch_growth;
use super::layout::{self, BIOS, BLOCK, ESP, Layout};
use super::workspace::Workspace;
use super::{grub, layout::Partition};
use crate::digest::sha256_of;
use crate::error::Fault;
use crate::event::Events;
use crate::plan::Plan;
use crate::sys::{Cmd, Host, Owner, Runner, Tool};

/// How long filling the root file system may take, on a slow disk.
const MAKE_ROOT_TIMEOUT: Duration = Duration::from_mins(30);

/// A finished disk in the work folder.
#[derive(Clone, Debug)]
pub struct Packed {
    /// Where it is.
    pub path: Utf8PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// How much of that is not a hole, in bytes.
    pub allocated: u64,
    /// Its SHA-256.
    pub sha256: String,
}

/// Packs the tree of `host`.
pub(super) async fn pack(
    host: &Host,
    plan: &Plan,
    work: &Workspace,
    events: &Events,
) -> anyhow::Result<Packed> {
    can_boot(host)?;
    let root_uuid = plan.uuid("root");
    write_boot_files(host, plan, &root_uuid)?;
    let code = grub::boot_code(host, &root_uuid).await?;
    let content = content_of(host.root.path().as_std_path())?;
    let layout = Layout::for_content(content.bytes);

    let path = work.path().join("disk.raw");
    let disk = File::create_new(&path).context("making the disk")?;
    disk.set_len(layout.bytes).context("sizing the disk")?;
    partition(&path, &layout, plan).await?;
    disk.write_all_at(&code.boot, 0).context("writing the boot code")?;
    disk.write_all_at(&code.core, BIOS.start).context("writing GRUB's core image")?;
    make_esp(&path, plan).await?;
    let making = make_root(&path, layout.root, host.root.path(), content.files, plan);
    watch_growth(making, &path, Some(content.bytes), events, "pack").await?;
    disk.sync_all().context("writing the disk")?;

    drop(disk);
    measure(&path).await
}

/// A disk as it is.
pub(super) async fn measure(path: &Utf8Path) -> anyhow::Result<Packed> {
    let meta = std::fs::metadata(path).context("measuring the disk")?;
    // Hashing takes seconds: elsewhere, so that Ctrl-C and the clock on the screen go on.
    let hashing = path.to_owned();
    let sha256 = tokio::task::spawn_blocking(move || sha256_of(&hashing)).await?;
    let sha256 = sha256.context("hashing the disk")?;
    let path = path.to_owned();
    Ok(Packed { path, bytes: meta.len(), allocated: meta.blocks() * 512, sha256 })
}

/// What depends on the numbers of this disk: the mount table and the boot menu.
fn write_boot_files(host: &Host, plan: &Plan, root_uuid: &str) -> anyhow::Result<()> {
    let esp = esp_id(plan);
    let fstab = format!(
        "UUID={root_uuid} / ext4 defaults,errors=remount-ro,x-systemd.growfs 0 1\n\
         UUID={}-{} /boot/efi vfat umask=0077,noauto,nofail 0 0\n",
        &esp[..4],
        &esp[4..]
    );
    let files = [("/etc/fstab", fstab), ("/boot/grub/grub.cfg", grub::menu(root_uuid))];
    host.root.make_dir("/boot/grub", 0o755, Owner::ROOT)?;
    host.root.make_dir("/boot/efi", 0o700, Owner::ROOT)?;
    for (path, text) in files {
        host.root.write(path, text.as_bytes(), 0o644, Owner::ROOT)?;
    }
    Ok(())
}

async fn partition(disk: &Utf8Path, layout: &Layout, plan: &Plan) -> anyhow::Result<()> {
    let name = |part: &str| plan.uuid(&format!("partition {part}"));
    let table = layout::table(layout, &plan.uuid("disk"), name);
    let cmd = Cmd::new(Tool::Sfdisk).args(["--quiet", "--no-reread", "--no-tell-kernel"]);
    let cmd = cmd.arg(disk.as_str()).stdin(table);
    Runner::Direct.run(&cmd).await.context("partitioning the disk").map(drop)
}

async fn make_esp(disk: &Utf8Path, plan: &Plan) -> anyhow::Result<()> {
    let cmd = Cmd::new(Tool::MkfsFat)
        .args(["-F", "32", "-s", "1", "-n", "ESP", "-i", &esp_id(plan), "--invariant"])
        .args(["--offset", &ESP.first_sector().to_string(), disk.as_str()])
        .arg((ESP.bytes / 1024).to_string());
    Runner::Direct.run(&cmd).await.context("making the EFI system partition").map(drop)
}

async fn make_root(
    disk: &Utf8Path,
    root: Partition,
    tree: &Utf8Path,
    files: u64,
    plan: &Plan,
) -> anyhow::Result<()> {
    let uuid = plan.uuid("root");
    let options =
        format!("offset={},hash_seed={},root_owner=0:0,lazy_itable_init=1", root.start, uuid);
    let cmd = Cmd::new(Tool::Mke2fs)
        .args(["-q", "-F", "-t", "ext4", "-b", &BLOCK.to_string(), "-m", "1", "-L", "root"])
        .args(["-N", &inodes(root, files).to_string()])
        .args(["-U", &uuid, "-E", &options, "-d", tree.as_str(), disk.as_str()])
        .arg((root.bytes / BLOCK).to_string())
        .timeout(MAKE_ROOT_TIMEOUT);
    let end = Runner::Direct.run(&cmd).await;
    end.context(Fault::step("the root file system was not made")).map(drop)
}

/// The volume number of the EFI system partition: 8 hexadecimal digits.
fn esp_id(plan: &Plan) -> String {
    plan.uuid("esp")[..8].to_uppercase()
}

/// As many inodes as mke2fs would make, and more where a tree has many small files.
const fn inodes(root: Partition, files: u64) -> u64 {
    let usual = root.bytes / 16384;
    let needed = files + files / 4 + 16384;
    if needed > usual { needed } else { usual }
}

/// What a tree holds.
#[derive(Clone, Copy, Debug, Default)]
struct Content {
    /// In whole blocks, each name once.
    bytes: u64,
    /// Files, directories and links.
    files: u64,
}

fn content_of(tree: &Path) -> anyhow::Result<Content> {
    let mut content = Content::default();
    let mut folders = vec![tree.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        for entry in entries {
            let entry = entry.context("walking the tree")?;
            let meta = entry.metadata().context("walking the tree")?;
            content.bytes += meta.len().next_multiple_of(BLOCK).max(BLOCK);
            content.files += 1;
            if meta.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(content)
}

/// A disk that cannot boot is no image: better to say so than to pack it.
fn can_boot(host: &Host) -> anyhow::Result<()> {
    for (path, package) in
        [(grub::BOOT_IMAGE, "grub-pc-bin"), ("/vmlinuz", "linux-image-cloud-amd64")]
    {
        if !host.root.exists(path)? {
            return Err(Fault::recipe(format!("the tree has no {path}: it could not boot"))
                .hint(format!("install {package}, or extend `base`"))
                .into());
        }
    }
    Ok(())
}
