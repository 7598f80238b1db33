//! An existing disk as the base of an image: verified, opened through loop devices, changed in
//! place, trimmed. Its partitions, its boot loader and everything that no step names stay.
//!
//! There are no layers here, and two bakes do not give the same bytes: the kernel writes the file
//! system, in whatever order and at whatever time. Whatever ends a bake, nothing stays mounted or
//! attached ([`crate::sys::loopdev`]).

mod partitions;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use indicatif::HumanBytes;
use nix::sys::statvfs::statvfs;
use serde::Deserialize;

use self::partitions::Partition;
use super::contents::Contents;
use super::growth::watch_growth;
use super::sbom::Bom;
use super::tree::{self, Job};
use super::{Clock, Made, agreement, checks, hygiene, pack, secrets};
use crate::apply::apply;
use crate::digest::sha256_of;
use crate::error::Fault;
use crate::event::Events;
use crate::plan::lock::{Image, Resolution};
use crate::plan::{Base, BaseImage, Section};
use crate::step::packages::installed_on;
use crate::sys::loopdev::{FileSystem, Mounted};
use crate::sys::{Cmd, Downloads, Host, Root, Runner, Tool};

/// What must be free on the root file system before anything is done to it, in bytes.
const FREE: u64 = 64 << 20;

/// How long converting a disk may take.
const CONVERT_TIMEOUT: Duration = Duration::from_mins(30);

/// The places where a distribution keeps its boot files on partitions of their own.
const BOOT: [&str; 3] = ["/boot", "/boot/efi", "/efi"];

/// Makes a disk out of the existing one that `image` names: all steps of the plan, in place.
pub(super) async fn make(
    job: &Job<'_>,
    image: &BaseImage,
    clock: &mut Clock<'_>,
) -> anyhow::Result<Made> {
    let Job { plan, terms, places, secrets, work, events, .. } = *job;
    let opening = Opened::new(&plan.base, image, work.path(), events);
    let opened = clock.phase("base", "copying the base image", opening).await?;
    let epoch =
        job.locked.map(|locked| locked.epoch).or(places.epoch).unwrap_or_else(agreement::today);
    let downloads = Downloads::open(places.cache.join("downloads"));
    let downloads = downloads.context("making the cache of downloads")?;
    let root = Root::open(opened.root()).context("opening the tree")?;
    let fetched = Arc::<Mutex<Resolution>>::default();
    let witness =
        agreement::witness(job.locked.map(|locked| locked.fetched.clone()), Arc::clone(&fetched));
    let host = Host::tree(root, downloads.clone().watched_by(witness)).at(epoch);

    clock.mark("steps");
    let late = plan.steps.partition_point(|planned| planned.section <= Section::Installed);
    let (foundation, late) = plan.steps.split_at(late);
    apply(foundation, &host, secrets, events).await?;
    // What the disk came with, and what packages made: a step that comes later has no excuse.
    let terms = terms.clone().made(hygiene::identities(&host.root)?);
    apply(late, &host, secrets, events).await?;
    let cleaning = async { hygiene::clean(&host.root, &terms) };
    clock.phase("clean", "cleaning the tree", cleaning).await?;
    let packages = installed_on(&host).await?;
    let bom = Bom::of_tree(&host, plan, epoch).await?;
    let proving = prove(job, &host, downloads);
    clock.phase("prove", "testing the tree", proving).await?;
    let packing = async {
        let contents = Contents::of(host.root.path(), epoch, None)?;
        // It holds the root open.
        drop(host);
        pack::existing(opened.close().await?, contents, plan, places, work).await
    };
    // Packages are what the mirrors have on the day: only files are held.
    let mut fetched = fetched.lock().expect("never poisoned").clone();
    fetched.0.retain(|path, _| path.starts_with('/'));
    let mut packed = clock.phase("pack", "trimming and measuring the disk", packing).await?;
    pack::search(&packed, secrets)?;
    Ok(Made {
        bom: pack::add_bom(&bom, plan, work.path(), &mut packed)?,
        packed,
        foundation: None,
        epoch,
        packages,
        locked: Image::new(plan, epoch, Resolution::default(), Resolution::default())
            .fetched(fetched),
    })
}

/// What must hold of the finished tree. What a test writes goes to a layer that is not kept.
async fn prove(job: &Job<'_>, host: &Host, downloads: Downloads) -> anyhow::Result<()> {
    let root = host.root.path();
    secrets::refuse("the image", &secrets::search_tree(root, job.secrets)?)?;
    let tree = tree::lay_over(&[root], job.work.path(), downloads)?;
    checks::in_tree(&job.plan.tests, &tree.host.runner, job.events).await
}

/// A copy of the disk, with its file systems mounted.
#[derive(Debug)]
struct Opened {
    disk: Utf8PathBuf,
    /// The root first, what is mounted in it after.
    mounts: Vec<Mounted>,
}

impl Opened {
    /// Copies and opens the disk of `base` in the folder `work`.
    async fn new(
        base: &Base,
        image: &BaseImage,
        work: &Utf8Path,
        events: &Events,
    ) -> anyhow::Result<Self> {
        Tool::require(&[Tool::Fstrim, Tool::Mount, Tool::QemuImg, Tool::Sfdisk])?;
        let disk = work.join("disk.raw");
        copy(image, &disk, events).await?;
        let partitions = partitions::of(&disk).await?;
        let root = partitions::root(&partitions)?;
        let at = work.join("tree");
        let mut opened = Self { disk, mounts: Vec::new() };
        opened.mount(root, &at).await?;
        opened.check(base)?;
        opened.mount_boot(&partitions, &at).await?;
        Ok(opened)
    }

    /// Where the root is mounted.
    fn root(&self) -> &Utf8Path {
        self.mounts[0].path()
    }

    /// Takes everything down again. The disk is finished then.
    async fn close(mut self) -> anyhow::Result<Utf8PathBuf> {
        while let Some(mounted) = self.mounts.pop() {
            mounted.trim().await?;
            mounted.unmount()?;
        }
        Ok(self.disk)
    }

    async fn mount(&mut self, partition: &Partition, at: &Utf8Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(at).context("making a mount point")?;
        let kind = partition.file_system.context("the partition has no file system")?;
        self.mounts.push(Mounted::new(&self.disk, partition.bytes.clone(), kind, at).await?);
        Ok(())
    }

    /// Whether it is the system that the recipe says, with some space left.
    fn check(&self, base: &Base) -> anyhow::Result<()> {
        let root = Root::open(self.root()).context("opening the root file system")?;
        let release = match root.read_text("/etc/os-release")? {
            Some(text) => text,
            None => root.read_text("/usr/lib/os-release")?.unwrap_or_default(),
        };
        let id = release.lines().find_map(|line| line.strip_prefix("ID="));
        let id = id.unwrap_or_default().trim_matches('"');
        let wanted = match base.distribution.name() {
            "amazon" => "amzn",
            name => name,
        };
        if id != wanted {
            let has = if id.is_empty() { "no Linux" } else { id };
            return Err(Fault::recipe(format!("the base image has {has}, not {wanted}"))
                .hint("`[base] os` says what is in `image`")
                .into());
        }
        let stat = statvfs(self.root().as_std_path()).context("measuring the root file system")?;
        let free = stat.blocks_available() * stat.fragment_size();
        if free < FREE {
            let what =
                format!("the root file system of the base image has {} free", HumanBytes(free));
            let hint = "make it larger first: its partitions are kept as they are";
            return Err(Fault::recipe(what).hint(hint).into());
        }
        Ok(())
    }

    /// Mounts what the system itself would mount below `/boot`, so that kernels find their place.
    async fn mount_boot(&mut self, all: &[Partition], at: &Utf8Path) -> anyhow::Result<()> {
        let table = Root::open(at)?.read_text("/etc/fstab")?.unwrap_or_default();
        for (name, place) in boot_mounts(&table) {
            let there = all.iter().find(|partition| partition.names.contains(&name));
            let Some(partition) = there.filter(|partition| partition.file_system.is_some()) else {
                continue;
            };
            let inside = Root::open(at)?.path().join(place.trim_start_matches('/'));
            // A link could lead out of the tree; FAT is the firmware's, and no step goes there.
            if std::fs::symlink_metadata(&inside).is_ok_and(|meta| meta.is_dir())
                && partition.file_system != Some(FileSystem::Fat)
            {
                self.mount(partition, &inside).await?;
            }
        }
        Ok(())
    }
}

/// What a mount table says of the boot files: the name of the partition, and the place.
fn boot_mounts(table: &str) -> Vec<(String, String)> {
    let mut mounts: Vec<_> = table
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace();
            let (name, place) = (fields.next()?, fields.next()?);
            let options = fields.nth(1).unwrap_or_default();
            let wanted = BOOT.contains(&place) && !options.split(',').any(|o| o == "noauto");
            (wanted && !name.starts_with('#')).then(|| (name.replace('"', ""), place.to_owned()))
        })
        .collect();
    mounts.sort_by(|one, two| one.1.cmp(&two.1));
    mounts
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Info {
    format: String,
    backing_filename: Option<String>,
}

/// Verifies the image and copies it as a raw disk.
async fn copy(image: &BaseImage, disk: &Utf8Path, events: &Events) -> anyhow::Result<()> {
    let file = camino::absolute_utf8(&image.file).context("finding the base image")?;
    let fault = || Fault::recipe(format!("the base image {file} cannot be read"));
    let hashing = file.clone();
    let sha256 = tokio::task::spawn_blocking(move || sha256_of(&hashing)).await?;
    let sha256 = sha256.with_context(fault)?;
    if sha256 != image.sha256.to_lowercase() {
        let what = format!("the base image {file} has the SHA-256 {sha256}, not {}", image.sha256);
        return Err(Fault::recipe(what).hint("if that is meant, put it into [base]").into());
    }
    let info = Cmd::new(Tool::QemuImg).args(["info", "--output=json", file.as_str()]);
    let info = Runner::Direct.run(&info).await.with_context(fault)?;
    let info: Info = serde_json::from_slice(&info.stdout).context("reading qemu-img's JSON")?;
    if !["raw", "qcow2"].contains(&info.format.as_str()) || info.backing_filename.is_some() {
        // What a disk takes from another file is not in its SHA-256.
        let what = format!("the base image {file} is no raw or qcow2 disk that stands alone");
        return Err(Fault::recipe(what).into());
    }
    let cmd = Cmd::new(Tool::QemuImg)
        .args(["convert", "-f", &info.format, "-O", "raw", file.as_str(), disk.as_str()])
        .timeout(CONVERT_TIMEOUT);
    let converting = Runner::Direct.run(&cmd);
    let end = watch_growth(converting, disk, None, events, "base").await;
    end.context(Fault::step("the base image was not copied")).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted_below_boot_is_read_from_the_systems_own_table() {
        let table = "# /etc/fstab\nLABEL=cloudimg-rootfs / ext4 discard 0 1\n\
            LABEL=UEFI /boot/efi vfat umask=0077 0 1\nLABEL=BOOT /boot ext4 defaults 0 2\n\
            UUID=1234 /efi vfat noauto 0 0\n#LABEL=x /boot ext4\n";
        let boot = ("LABEL=BOOT".to_owned(), "/boot".to_owned());
        let efi = ("LABEL=UEFI".to_owned(), "/boot/efi".to_owned());
        assert_eq!(boot_mounts(table), [boot, efi]);
    }
}
