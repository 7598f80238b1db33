//! Partitions of disk files, mounted through loop devices.
//!
//! `mount` makes each loop device, and marks it so that the kernel takes it down with its mount.
//! The mount goes with the value that holds it, and with the mount namespace of the process
//! ([`super::namespaces::own_mounts`]), whatever ends that: nothing is left attached.

use std::ops::Range;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use nix::mount::{MntFlags, umount2};

use super::{Cmd, Runner, Tool};

/// A file system that can be mounted from a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// ext4, and its ancestors.
    Ext4,
    /// XFS.
    Xfs,
    /// Btrfs.
    Btrfs,
    /// FAT, as boot partitions have it.
    Fat,
}

impl FileSystem {
    /// The kernel's name for it.
    const fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Fat => "vfat",
        }
    }
}

/// A mounted partition.
#[derive(Debug)]
pub struct Mounted {
    at: Utf8PathBuf,
}

impl Mounted {
    /// Mounts the part of the file `disk` that `bytes` names, for reading and writing.
    pub async fn new(
        disk: &Utf8Path,
        bytes: Range<u64>,
        kind: FileSystem,
        at: &Utf8Path,
    ) -> anyhow::Result<Self> {
        let (offset, size) = (bytes.start, bytes.end - bytes.start);
        // Devices that the tree names are not for us: programs inside get a `/dev` of their own.
        let options = format!("loop,offset={offset},sizelimit={size},nodev");
        let cmd = Cmd::new(Tool::Mount)
            .args(["--types", kind.name(), "--options", &options])
            .args([disk.as_str(), at.as_str()]);
        let mounting = Runner::Direct.run(&cmd).await;
        mounting.with_context(|| format!("mounting the partition at byte {offset} of {disk}"))?;
        Ok(Self { at: at.to_owned() })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Utf8Path {
        &self.at
    }

    /// Gives free space back to the file: it becomes holes, and what was there is gone.
    pub async fn trim(&self) -> anyhow::Result<()> {
        let cmd = Cmd::new(Tool::Fstrim).arg(self.at.as_str());
        Runner::Direct.run(&cmd).await.with_context(|| format!("trimming {}", self.at)).map(drop)
    }

    /// Takes the mount down. All of it is in the file then.
    pub fn unmount(self) -> anyhow::Result<()> {
        umount2(self.at.as_std_path(), MntFlags::UMOUNT_NOFOLLOW)
            .with_context(|| format!("unmounting {}", self.at))?;
        std::mem::forget(self);
        Ok(())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let flags = MntFlags::MNT_DETACH | MntFlags::UMOUNT_NOFOLLOW;
        if let Err(error) = umount2(self.at.as_std_path(), flags) {
            tracing::warn!(%error, at = %self.at, "a partition stays mounted until this process ends");
        }
    }
}
