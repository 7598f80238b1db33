//! Files below a root directory, reached so that no link can lead out of it.
//!
//! `root.join("etc/x")` follows absolute links of the tree to *this* machine's files. Every path
//! here is resolved by the kernel with `openat2(RESOLVE_IN_ROOT)` instead, as a chroot would.
//! A strict root follows no link at all, for trees in which others may write meanwhile. In the other
//! kind nothing is changed through a link of a directory that others than root may write to: who
//! plants one there must not choose which of root's files are changed.
//! Writes are atomic: a temporary file beside the target, synced, renamed, directory synced.

mod change;
#[cfg(test)]
mod tests;
mod walk;

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use nix::fcntl::OFlag;
use nix::sys::statfs::{NFS_SUPER_MAGIC, fstatfs};

use self::walk::open_below;
use super::owner::Owner;

/// A directory that is the whole world to whoever holds it.
#[derive(Clone, Debug)]
pub struct Root {
    path: Utf8PathBuf,
    fd: Arc<OwnedFd>,
    links: Links,
}

/// What becomes of the links in a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Links {
    /// They are followed, as after a change of root.
    Inside,
    /// They are errors.
    Refused,
}

/// A file of a root, pinned open.
#[derive(Debug)]
pub struct Borrowed {
    /// Leads to the file while this lives.
    pub path: Utf8PathBuf,
    _fd: OwnedFd,
}

impl Root {
    /// Opens `path` as a root.
    pub fn open(path: impl AsRef<Utf8Path>) -> io::Result<Self> {
        let path = path.as_ref().canonicalize_utf8()?;
        let fd = Arc::new(File::open(&path)?.into());
        Ok(Self { path, fd, links: Links::Inside })
    }

    /// Opens `path` as a root in which no link is followed: a path that has one is an error.
    pub fn strict(path: impl AsRef<Utf8Path>) -> io::Result<Self> {
        Ok(Self { links: Links::Refused, ..Self::open(path)? })
    }

    /// A directory of this root as a root of its own, in which no link is followed.
    pub fn below(&self, path: impl AsRef<Utf8Path>) -> io::Result<Self> {
        let path = path.as_ref();
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        let fd = Arc::new(open_below(&self.directory(path)?, Path::new("."), flags)?);
        let path = self.path.join(path.strip_prefix("/").unwrap_or(path));
        Ok(Self { path, fd, links: Links::Refused })
    }

    /// Whether it is on a network file system, as the kernel says of what was opened.
    pub fn is_nfs(&self) -> io::Result<bool> {
        Ok(fstatfs(&*self.fd)?.filesystem_type() == NFS_SUPER_MAGIC)
    }

    /// Has the kernel write everything of the file system that it still has in memory.
    pub fn sync(&self) -> io::Result<()> {
        Ok(nix::unistd::syncfs(&*self.fd)?)
    }

    /// Where the root is on this machine. For programs that take a whole tree, never to join to.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// The content of a file, following links inside the root; `None` if it is not there.
    pub fn read(&self, path: impl AsRef<Utf8Path>) -> io::Result<Option<Vec<u8>>> {
        let fd = match self.open_at(path.as_ref(), OFlag::O_RDONLY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            fd => fd?,
        };
        let mut bytes = Vec::new();
        File::from(fd).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// As [`Root::read`], for text. What is not UTF-8 is replaced.
    pub fn read_text(&self, path: impl AsRef<Utf8Path>) -> io::Result<Option<String>> {
        Ok(self.read(path)?.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// What is at `path` itself, links not followed; `None` if nothing is.
    pub fn metadata(&self, path: impl AsRef<Utf8Path>) -> io::Result<Option<std::fs::Metadata>> {
        absent(self.entry(path.as_ref()).and_then(|entry| std::fs::symlink_metadata(entry.path)))
    }

    /// Whether anything is at `path`; a dangling link counts.
    pub fn exists(&self, path: impl AsRef<Utf8Path>) -> io::Result<bool> {
        Ok(self.metadata(path)?.is_some())
    }

    /// The permission bits of what is at `path` itself; `None` if nothing is.
    pub fn mode(&self, path: impl AsRef<Utf8Path>) -> io::Result<Option<u32>> {
        Ok(self.metadata(path)?.map(|meta| meta.mode() & 0o7777))
    }

    /// The names in a directory, sorted; empty if it is not there.
    pub fn list(&self, path: impl AsRef<Utf8Path>) -> io::Result<Vec<String>> {
        let Some(fd) = absent(self.open_at(path.as_ref(), OFlag::O_DIRECTORY))? else {
            return Ok(Vec::new());
        };
        let mut names = std::fs::read_dir(through(&fd))?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort_unstable();
        Ok(names)
    }

    /// Whether `path` is a file with this content, mode and owner.
    pub fn is_file(
        &self,
        path: impl AsRef<Utf8Path>,
        bytes: &[u8],
        mode: u32,
        owner: Owner,
    ) -> io::Result<bool> {
        let path = path.as_ref();
        let Some(meta) = self.metadata(path)? else { return Ok(false) };
        Ok(meta.is_file()
            && meta.len() == bytes.len() as u64
            && has(&meta, mode, owner)
            && self.read(path)?.as_deref() == Some(bytes))
    }

    /// Whether `path` is a directory with this mode and owner.
    pub fn is_dir(&self, path: impl AsRef<Utf8Path>, mode: u32, owner: Owner) -> io::Result<bool> {
        let meta = self.metadata(path)?;
        Ok(meta.is_some_and(|meta| meta.is_dir() && has(&meta, mode, owner)))
    }

    /// Whether `path` is a symbolic link to `to`.
    pub fn is_link(&self, path: impl AsRef<Utf8Path>, to: &str) -> io::Result<bool> {
        let now = self.read_link(path)?;
        Ok(now.is_some_and(|now| now.as_os_str() == to))
    }

    /// What the link at `path` names; `None` if there is no link.
    pub fn read_link(&self, path: impl AsRef<Utf8Path>) -> io::Result<Option<PathBuf>> {
        let entry = absent(self.entry(path.as_ref()))?;
        Ok(entry.and_then(|entry| std::fs::read_link(entry.path).ok()))
    }

    /// Where a file of the root is on this machine, for reading while the answer is held.
    pub fn borrow(&self, path: impl AsRef<Utf8Path>) -> io::Result<Borrowed> {
        let fd = self.open_at(path.as_ref(), OFlag::O_RDONLY)?;
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd()).into();
        Ok(Borrowed { path, _fd: fd })
    }
}

/// Whether what is asked for has a link, or what is no folder, on its way.
pub fn is_in_the_way(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(nix::libc::ELOOP | nix::libc::ENOTDIR))
}

/// What is open.
pub(super) fn of(fd: &OwnedFd) -> io::Result<std::fs::Metadata> {
    File::from(fd.try_clone()?).metadata()
}

/// A path that leads through an open directory, not through names that could change.
pub(super) fn through(fd: &impl AsRawFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

fn has(meta: &std::fs::Metadata, mode: u32, owner: Owner) -> bool {
    meta.mode() & 0o7777 == mode && Owner::of(meta) == owner
}

pub(super) fn absent<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
