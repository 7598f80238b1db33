//! How a path below a root is reached: by the kernel, and where something is to be changed through
//! links that only root can have made.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use camino::Utf8Path;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2, readlinkat};

use super::{Links, Root, of, through};

/// A directory below the root, and the name of an entry in it. Holding it pins the directory.
pub(super) struct Entry {
    pub(super) fd: OwnedFd,
    pub(super) name: String,
    /// The entry through the pinned directory: valid whatever is renamed meanwhile.
    pub(super) path: PathBuf,
    pub(super) parent: PathBuf,
}

impl Root {
    pub(super) fn open_at(&self, path: &Utf8Path, flags: OFlag) -> io::Result<OwnedFd> {
        let resolve = match self.links {
            Links::Inside => ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS,
            Links::Refused => ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS,
        };
        let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve);
        // Relative, because nothing absolute lies beneath.
        let path = path.strip_prefix("/").unwrap_or(path);
        let path = if path.as_str().is_empty() { Utf8Path::new(".") } else { path };
        Ok(openat2(&*self.fd, path.as_std_path(), how)?)
    }

    pub(super) fn entry(&self, path: &Utf8Path) -> io::Result<Entry> {
        let invalid = || io::Error::new(io::ErrorKind::InvalidInput, format!("no entry: {path}"));
        let name = path.file_name().ok_or_else(invalid)?;
        let parent = path.parent().ok_or_else(invalid)?;
        let fd = self.directory(parent)?;
        let parent = through(&fd);
        Ok(Entry { path: parent.join(name), parent, fd, name: name.to_owned() })
    }

    /// Opens a directory so that what is below it may be changed.
    pub(in crate::sys) fn directory(&self, path: &Utf8Path) -> io::Result<OwnedFd> {
        let path = path.strip_prefix("/").unwrap_or(path);
        let path = if path.as_str().is_empty() { Utf8Path::new(".") } else { path };
        match open_below(&self.fd, path.as_std_path(), OFlag::O_PATH | OFlag::O_DIRECTORY) {
            // There is a link in it, or it would lead out.
            Err(error)
                if self.links == Links::Inside
                    && matches!(
                        error.raw_os_error(),
                        Some(nix::libc::ELOOP | nix::libc::EXDEV)
                    ) =>
            {
                self.walk(path)
            }
            fd => fd,
        }
    }

    /// Opens a directory part by part, and follows the links of directories that only root may
    /// write to.
    fn walk(&self, path: &Utf8Path) -> io::Result<OwnedFd> {
        let mut todo: Vec<OsString> = parts(path.as_std_path());
        // The directories from the root to where we are: `..` leads back, and never out.
        let mut way: Vec<(OwnedFd, OsString)> = Vec::new();
        let mut links = 0;
        while let Some(name) = todo.pop() {
            if name == ".." {
                way.pop();
                continue;
            }
            let here = way.last().map_or(&*self.fd, |(fd, _)| fd);
            let fd = open_below(here, Path::new(&name), OFlag::O_PATH | OFlag::O_NOFOLLOW)?;
            if !of(&fd)?.is_symlink() {
                way.push((fd, name));
                continue;
            }
            links += 1;
            if links > MOST_LINKS {
                return Err(io::Error::from_raw_os_error(nix::libc::ELOOP));
            }
            if is_others(&of(here)?) {
                let at: PathBuf = way.iter().map(|(_, name)| name).chain([&name]).collect();
                return Err(io::Error::other(format!(
                    "/{} is a link, and others than root could have put it there: it is not followed",
                    at.display()
                )));
            }
            let to = PathBuf::from(readlinkat(&fd, "")?);
            if to.is_absolute() {
                way.clear();
            }
            todo.extend(parts(&to));
        }
        let here = way.last().map_or(&*self.fd, |(fd, _)| fd);
        open_below(here, Path::new("."), OFlag::O_PATH | OFlag::O_DIRECTORY)
    }
}

/// So many links lead to one place at most, as in the kernel.
const MOST_LINKS: usize = 40;

/// The names of a path, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    parts.collect()
}

/// Opens what is below a directory, through no link.
pub(super) fn open_below(directory: &OwnedFd, path: &Path, flags: OFlag) -> io::Result<OwnedFd> {
    let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve);
    Ok(openat2(directory, path, how)?)
}

/// Whether others than root may put links into this directory. Where hostkit is not root, its user
/// is as good.
fn is_others(directory: &std::fs::Metadata) -> bool {
    let ours = [0, nix::unistd::geteuid().as_raw()].contains(&directory.uid());
    !ours || directory.mode() & 0o002 != 0
}
