//! Files below a root directory, reached so that no link can lead out of it.
//!
//! `root.join("etc/x")` follows absolute links of the tree to *this* machine's files. Every path
//! here is resolved by the kernel with `openat2(RESOLVE_IN_ROOT)` instead, as a chroot would.
//! A strict root follows no link at all, for trees in which others may write meanwhile. In the other
//! kind nothing is changed through a link of a directory that others than root may write to: who
//! plants one there must not choose which of root's files are changed.
//! Writes are atomic: a temporary file beside the target, synced, renamed, directory synced.

use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2, readlinkat};
use nix::sys::statfs::{NFS_SUPER_MAGIC, fstatfs};

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

/// A directory below the root, and the name of an entry in it. Holding it pins the directory.
struct Entry {
    fd: OwnedFd,
    name: String,
    /// The entry through the pinned directory: valid whatever is renamed meanwhile.
    path: PathBuf,
    parent: PathBuf,
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

    /// Where a file of the root is on this machine, for reading while the answer is held.
    pub fn borrow(&self, path: impl AsRef<Utf8Path>) -> io::Result<Borrowed> {
        let fd = self.open_at(path.as_ref(), OFlag::O_RDONLY)?;
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd()).into();
        Ok(Borrowed { path, _fd: fd })
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

    fn open_at(&self, path: &Utf8Path, flags: OFlag) -> io::Result<OwnedFd> {
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

    fn entry(&self, path: &Utf8Path) -> io::Result<Entry> {
        let invalid = || io::Error::new(io::ErrorKind::InvalidInput, format!("no entry: {path}"));
        let name = path.file_name().ok_or_else(invalid)?;
        let parent = path.parent().ok_or_else(invalid)?;
        let fd = self.directory(parent)?;
        let parent = through(&fd);
        Ok(Entry { path: parent.join(name), parent, fd, name: name.to_owned() })
    }

    /// Opens a directory so that what is below it may be changed.
    pub(super) fn directory(&self, path: &Utf8Path) -> io::Result<OwnedFd> {
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
fn open_below(directory: &OwnedFd, path: &Path, flags: OFlag) -> io::Result<OwnedFd> {
    let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve);
    Ok(openat2(directory, path, how)?)
}

/// Whether what is asked for has a link, or what is no folder, on its way.
pub fn is_in_the_way(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(nix::libc::ELOOP | nix::libc::ENOTDIR))
}

/// What is open.
pub(super) fn of(fd: &OwnedFd) -> io::Result<std::fs::Metadata> {
    File::from(fd.try_clone()?).metadata()
}

/// Whether others than root may put links into this directory. Where hostkit is not root, its user
/// is as good.
fn is_others(directory: &std::fs::Metadata) -> bool {
    let ours = [0, nix::unistd::geteuid().as_raw()].contains(&directory.uid());
    !ours || directory.mode() & 0o002 != 0
}

/// A path that leads through an open directory, not through names that could change.
pub(super) fn through(fd: &impl AsRawFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

fn has(meta: &std::fs::Metadata, mode: u32, owner: Owner) -> bool {
    meta.mode() & 0o7777 == mode && Owner::of(meta) == owner
}

fn is_top(path: &Utf8Path) -> bool {
    path.as_str().is_empty() || path == "/"
}

pub(super) fn absent<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn finish(file: tempfile::NamedTempFile, entry: &Entry, mode: u32, owner: Owner) -> io::Result<()> {
    std::os::unix::fs::fchown(file.as_file(), Some(owner.uid), Some(owner.gid))?;
    // After the owner: a change of owner clears the set-user-id bit.
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(&entry.path).map_err(|error| error.error)?;
    File::open(&entry.parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(Utf8Path::from_path(dir.path()).unwrap()).unwrap();
        (dir, root)
    }

    #[test]
    fn a_planted_link_does_not_lead_out_of_the_tree() {
        let (dir, root) = tree();
        let outside = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("etc")).unwrap();
        std::os::unix::fs::symlink("/", dir.path().join("up")).unwrap();

        assert!(root.write("/etc/passwd", b"gotcha", 0o644, Owner::me()).is_err());
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
        assert_eq!(root.read("/../../../../../../etc/hostname").unwrap(), None);

        // `/` is the tree's own top, as it would be after a change of root.
        assert!(root.write("/up/file", b"inside", 0o644, Owner::me()).unwrap());
        assert_eq!(std::fs::read(dir.path().join("file")).unwrap(), b"inside");
    }

    #[test]
    fn a_strict_root_follows_no_link_whatever_it_leads_to() {
        let (dir, _) = tree();
        let root = Root::strict(Utf8Path::from_path(dir.path()).unwrap()).unwrap();
        root.make_dir("/real", 0o755, Owner::me()).unwrap();
        root.write("real/file", b"x", 0o600, Owner::me()).unwrap();
        for (name, to) in [("dir", "real"), ("file", "real/file"), ("out", "/etc")] {
            root.link(name, to).unwrap();
        }
        let looped = |error: io::Error| error.raw_os_error() == Some(nix::libc::ELOOP);
        assert!(looped(root.read("dir/file").unwrap_err()));
        assert!(looped(root.read("file").unwrap_err()));
        assert!(looped(root.list("out").unwrap_err()));
        assert!(looped(root.write("dir/new", b"", 0o600, Owner::me()).unwrap_err()));
        assert!(root.make_dir("out", 0o700, Owner::me()).is_err());
        assert!(
            root.write("file", b"new", 0o600, Owner::me()).unwrap(),
            "a link itself is replaced"
        );
        assert_eq!(root.read("real/file").unwrap().unwrap(), b"x");
        assert!(root.read("../etc/hostname").is_err());
    }

    #[test]
    fn a_second_write_changes_nothing_and_a_new_mode_changes_something() {
        let (_dir, root) = tree();
        assert!(root.write("/a", b"one", 0o644, Owner::me()).unwrap());
        assert!(!root.write("/a", b"one", 0o644, Owner::me()).unwrap());
        assert!(root.write("/a", b"one", 0o600, Owner::me()).unwrap());
        assert!(root.write("/a", b"two", 0o600, Owner::me()).unwrap());
        assert_eq!(root.list("/").unwrap(), ["a"], "no temporary file is left");
    }

    #[test]
    fn a_write_replaces_a_link_and_leaves_its_target_alone() {
        let (_dir, root) = tree();
        root.write("/target", b"keep", 0o644, Owner::me()).unwrap();
        assert!(root.link("/name", "target").unwrap());
        assert!(!root.link("/name", "target").unwrap());
        assert!(root.write("/name", b"new", 0o644, Owner::me()).unwrap());
        assert_eq!(root.read("/target").unwrap().unwrap(), b"keep");
    }

    #[test]
    fn a_link_that_a_user_planted_is_not_followed_and_one_of_root_is() {
        if !nix::unistd::getuid().is_root() {
            return;
        }
        let (dir, root) = tree();
        let bob = Owner { uid: 1000, gid: 1000 };
        root.make_dir("/etc", 0o755, Owner::ROOT).unwrap();
        root.make_dir("/home/bob/deep", 0o755, bob).unwrap();
        root.make_dir("/home/bob", 0o755, bob).unwrap();
        root.make_dir("/tmp", 0o1777, Owner::ROOT).unwrap();
        for (link, to) in [
            ("home/bob/.config", "/etc"),
            ("home/bob/deep/up", "../../../etc"),
            ("tmp/x", "/etc"),
            ("srv", "/home/bob/.config"),
            ("usr", "home/bob/deep"),
        ] {
            std::os::unix::fs::symlink(to, dir.path().join(link)).unwrap();
        }
        for path in ["/home/bob/.config/a", "/home/bob/deep/up/a", "/tmp/x/a", "/srv/a"] {
            let error = root.write(path, b"x", 0o644, bob).unwrap_err().to_string();
            assert!(error.contains("is a link, and others than root"), "{path}: {error}");
            assert!(root.make_dir(path, 0o755, bob).is_err(), "{path}");
            assert!(root.remove(path).is_err() && root.link(path, "x").is_err(), "{path}");
        }
        assert!(root.below("/home/bob/.config").is_err());
        assert!(root.make_dir("/home/bob/.config", 0o755, bob).is_err(), "the target stays root's");
        assert_eq!(root.list("/etc").unwrap(), [""; 0]);
        assert_eq!(root.metadata("/etc").unwrap().unwrap().uid(), 0);
        assert!(root.write("/usr/file", b"x", 0o644, bob).unwrap(), "root's own link is followed");
        assert_eq!(root.read("/home/bob/deep/file").unwrap().unwrap(), b"x");
        root.link("/loop", "loop").unwrap();
        assert!(root.write("/loop/a", b"", 0o644, bob).is_err());
    }

    #[test]
    fn a_link_to_nothing_is_named() {
        let (_dir, root) = tree();
        root.link("/lib", "usr/lib").unwrap();
        for end in
            [root.make_parents("/lib/x"), root.make_dir("/lib/x/y", 0o755, Owner::me()).map(drop)]
        {
            let error = end.unwrap_err().to_string();
            assert_eq!(error, "/lib is a link to usr/lib, and that is not there");
        }
    }

    #[test]
    fn directories_come_with_their_parents_once() {
        if !nix::unistd::getuid().is_root() {
            return;
        }
        let (_dir, root) = tree();
        assert!(root.make_dir("/a/b/c", 0o750, Owner { uid: 5, gid: 6 }).unwrap());
        assert!(!root.make_dir("/a/b/c", 0o750, Owner { uid: 5, gid: 6 }).unwrap());
        let meta = root.metadata("/a/b").unwrap().unwrap();
        assert_eq!((meta.mode() & 0o7777, meta.uid()), (0o755, 0));
    }
}
