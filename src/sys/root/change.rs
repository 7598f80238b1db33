//! What is changed below a root. Files are written beside the target, synced and renamed; nothing says
//! that it changed what was so before.

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use camino::Utf8Path;
use nix::fcntl::OFlag;

use super::walk::{Entry, open_below};
use super::{Root, absent, has, is_in_the_way};
use crate::sys::owner::Owner;

impl Root {
    /// Makes the missing parents of `path` as root's 0755; leaves those that are there as they
    /// are.
    pub fn make_parents(&self, path: impl AsRef<Utf8Path>) -> io::Result<()> {
        match path.as_ref().parent() {
            Some(parent) if parent.file_name().is_some() => {
                if self.exists(parent)? {
                    return self.leads_somewhere(parent);
                }
                self.make_dir(parent, 0o755, Owner::ROOT).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Makes `path` a file with this content, mode and owner. Says whether anything changed.
    pub fn write(
        &self,
        path: impl AsRef<Utf8Path>,
        bytes: &[u8],
        mode: u32,
        owner: Owner,
    ) -> io::Result<bool> {
        let path = path.as_ref();
        if self.is_file(path, bytes, mode, owner)? {
            return Ok(false);
        }
        let entry = self.entry(path)?;
        let mut file = tempfile::Builder::new().prefix(".hostkit-").tempfile_in(&entry.parent)?;
        file.write_all(bytes)?;
        finish(file, &entry, mode, owner)?;
        Ok(true)
    }

    /// Copies a file of this machine to `path`. Says whether anything changed.
    pub fn copy_in(
        &self,
        from: &Utf8Path,
        path: impl AsRef<Utf8Path>,
        mode: u32,
        owner: Owner,
    ) -> io::Result<()> {
        let entry = self.entry(path.as_ref())?;
        let mut file = tempfile::Builder::new().prefix(".hostkit-").tempfile_in(&entry.parent)?;
        io::copy(&mut File::open(from)?, file.as_file_mut())?;
        finish(file, &entry, mode, owner)
    }

    /// Copies a file of this machine to `path` without waiting for the disk: for what can be had
    /// again.
    pub fn lend(&self, from: &Utf8Path, path: impl AsRef<Utf8Path>) -> io::Result<()> {
        std::fs::copy(from, self.entry(path.as_ref())?.path).map(drop)
    }

    /// Makes `path` a directory with this mode and owner, and missing parents as root's 0755.
    /// Says whether anything changed.
    pub fn make_dir(
        &self,
        path: impl AsRef<Utf8Path>,
        mode: u32,
        owner: Owner,
    ) -> io::Result<bool> {
        let path = path.as_ref();
        let mut changed = false;
        let parents: Vec<_> = path.ancestors().skip(1).filter(|p| !is_top(p)).collect();
        for parent in parents.into_iter().rev() {
            if self.exists(parent)? {
                self.leads_somewhere(parent)?;
            } else {
                changed |= self.make_one_dir(parent, 0o755, Owner::ROOT)?;
            }
        }
        Ok(self.make_one_dir(path, mode, owner)? | changed)
    }

    /// Makes `path` a symbolic link to `to`, replacing a file or another link. Says whether
    /// anything changed.
    pub fn link(&self, path: impl AsRef<Utf8Path>, to: &str) -> io::Result<bool> {
        let path = path.as_ref();
        if self.is_link(path, to)? {
            return Ok(false);
        }
        let entry = self.entry(path)?;
        let temporary = entry.parent.join(format!(".hostkit-link-{}", std::process::id()));
        let _ = std::fs::remove_file(&temporary);
        std::os::unix::fs::symlink(to, &temporary)?;
        std::fs::rename(&temporary, &entry.path)?;
        Ok(true)
    }

    /// Removes a file or link. Says whether there was one.
    pub fn remove(&self, path: impl AsRef<Utf8Path>) -> io::Result<bool> {
        let gone = self.entry(path.as_ref()).and_then(|entry| std::fs::remove_file(entry.path));
        Ok(absent(gone)?.is_some())
    }

    /// Removes whatever is at `path`, with all that is below it; a link goes, and not what it names.
    /// Says whether there was anything.
    pub fn remove_all(&self, path: impl AsRef<Utf8Path>) -> io::Result<bool> {
        let Some(entry) = absent(self.entry(path.as_ref()))? else { return Ok(false) };
        let Some(meta) = absent(std::fs::symlink_metadata(&entry.path))? else { return Ok(false) };
        // Does not follow links: safe below a pinned directory.
        if meta.is_dir() {
            std::fs::remove_dir_all(&entry.path)?;
        } else {
            std::fs::remove_file(&entry.path)?;
        }
        Ok(true)
    }

    /// Removes everything in a directory, and keeps the directory.
    pub fn empty_dir(&self, path: impl AsRef<Utf8Path>) -> io::Result<()> {
        let path = path.as_ref();
        for name in self.list(path)? {
            let entry = self.entry(&path.join(name))?;
            if std::fs::symlink_metadata(&entry.path)?.is_dir() {
                // Does not follow links: safe below a pinned directory.
                std::fs::remove_dir_all(&entry.path)?;
            } else {
                std::fs::remove_file(&entry.path)?;
            }
        }
        Ok(())
    }

    /// The directory is opened once and changed through that: its name may be another's in the
    /// next moment.
    fn make_one_dir(&self, path: &Utf8Path, mode: u32, owner: Owner) -> io::Result<bool> {
        let entry = self.entry(path)?;
        let made = match std::fs::create_dir(&entry.path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
            made => made.map(|()| true)?,
        };
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
        let directory = open_below(&entry.fd, Path::new(&entry.name), flags);
        let directory = File::from(directory.map_err(|error| {
            if is_in_the_way(&error) {
                io::Error::other(format!("{path} is there and is no directory"))
            } else {
                error
            }
        })?);
        if has(&directory.metadata()?, mode, owner) {
            return Ok(made);
        }
        std::os::unix::fs::fchown(&directory, Some(owner.uid), Some(owner.gid))?;
        directory.set_permissions(Permissions::from_mode(mode))?;
        Ok(true)
    }

    /// Whether what is at `path` is not a link to nothing.
    fn leads_somewhere(&self, path: &Utf8Path) -> io::Result<()> {
        let Some(to) = self.read_link(path)? else { return Ok(()) };
        match self.open_at(path, OFlag::O_PATH) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let what = format!("{path} is a link to {}, and that is not there", to.display());
                Err(io::Error::new(io::ErrorKind::NotFound, what))
            }
            // What else is wrong with it says who goes through it.
            _ => Ok(()),
        }
    }
}

fn is_top(path: &Utf8Path) -> bool {
    path.as_str().is_empty() || path == "/"
}

fn finish(file: tempfile::NamedTempFile, entry: &Entry, mode: u32, owner: Owner) -> io::Result<()> {
    std::os::unix::fs::fchown(file.as_file(), Some(owner.uid), Some(owner.gid))?;
    // After the owner: a change of owner clears the set-user-id bit.
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(&entry.path).map_err(|error| error.error)?;
    File::open(&entry.parent)?.sync_all()
}
