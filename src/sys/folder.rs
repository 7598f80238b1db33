//! A directory by its handle: its entries are reached without walking a path, and no link is
//! followed.
//!
//! For directories on a network file system, where each step of a path may cost a round trip, and
//! where a name could lead elsewhere in the next moment. What a name means here is the caller's
//! business.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;

use camino::Utf8Path;
use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{Mode, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, linkat, unlinkat};

use super::root::{self, Root};

/// An open directory.
#[derive(Debug)]
pub struct Folder(OwnedFd);

impl Folder {
    /// A directory of a root. None where it is not there.
    pub fn open(root: &Root, path: impl AsRef<Utf8Path>) -> io::Result<Option<Self>> {
        root::absent(root.directory(path.as_ref())).map(|fd| fd.map(Self))
    }

    /// A directory in this one. None where it is not there.
    pub fn folder(&self, name: &str) -> io::Result<Option<Self>> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
        root::absent(self.entry(name, flags)).map(|fd| fd.map(Self))
    }

    /// A directory in this one, as it is now: on NFS, what this machine remembers of the names in it
    /// is asked for again if it was changed. None where it is not there.
    pub fn folder_now(&self, name: &str) -> io::Result<Option<Self>> {
        // Not O_PATH, which opens nothing: the client compares a directory with the server's when it
        // is opened, and else only every half a minute or minute.
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
        root::absent(self.entry(name, flags)).map(|fd| fd.map(Self))
    }

    /// What is known of the directory itself.
    pub fn metadata(&self) -> io::Result<Metadata> {
        root::of(&self.0)
    }

    /// Whether there is an entry of that name, whatever it is.
    pub fn has(&self, name: &str) -> io::Result<bool> {
        let found = self.entry(name, OFlag::O_PATH | OFlag::O_NOFOLLOW);
        Ok(root::absent(found)?.is_some())
    }

    /// Opens an entry for reading, whatever it is. None where it is not there. Never waits for the
    /// other end of a pipe.
    pub fn read(&self, name: &str) -> io::Result<Option<File>> {
        let file = self.entry(name, OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW);
        root::absent(file).map(|fd| fd.map(File::from))
    }

    /// Opens an entry for writing in place, whatever it is. None where it is not there.
    pub fn change(&self, name: &str) -> io::Result<Option<File>> {
        let file = self.entry(name, OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_NOFOLLOW);
        root::absent(file).map(|fd| fd.map(File::from))
    }

    /// Makes a file under a name that nobody else uses.
    ///
    /// Not with `O_EXCL`: an exclusive creation on NFS takes a second round trip, which puts right
    /// the times that the first one used up. What is there already is refused all the same, but two
    /// who make the same name in the same moment may share the file.
    pub fn create(&self, name: &str, mode: u32) -> io::Result<File> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
        let mode = Mode::from_bits_truncate(mode);
        let file = File::from(openat(&self.0, name, flags | OFlag::O_CLOEXEC, mode)?);
        let meta = file.metadata()?;
        if !meta.is_file() || meta.len() > 0 || meta.nlink() != 1 {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        Ok(file)
    }

    /// Makes a file that must not be there yet, and opens it for reading and writing.
    pub fn create_new(&self, name: &str, mode: u32) -> io::Result<File> {
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
        let mode = Mode::from_bits_truncate(mode);
        Ok(File::from(openat(&self.0, name, flags | OFlag::O_CLOEXEC, mode)?))
    }

    /// Makes a directory that must not be there yet.
    pub fn make_folder(&self, name: &str, mode: u32) -> io::Result<()> {
        Ok(mkdirat(&self.0, name, Mode::from_bits_truncate(mode))?)
    }

    /// Removes a directory, which must be empty. Says whether it was there.
    pub fn remove_folder(&self, name: &str) -> io::Result<bool> {
        let gone = unlinkat(&self.0, name, UnlinkatFlags::RemoveDir);
        Ok(root::absent(gone.map_err(io::Error::from))?.is_some())
    }

    /// Gives an open file a name more, which must not be there yet. Says whether it was not.
    pub fn link(&self, file: &File, to: &str) -> io::Result<bool> {
        // By its handle: to look up its first name would be another round trip.
        let from = root::through(file);
        match linkat(AT_FDCWD, &from, &self.0, to, AtFlags::AT_SYMLINK_FOLLOW) {
            Err(Errno::EEXIST) => Ok(false),
            linked => Ok(linked.map(|()| true)?),
        }
    }

    /// Gives an entry another name, and so removes what had that.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(renameat(&self.0, from, &self.0, to)?)
    }

    /// Moves an entry into another directory of the same file system, under the same name.
    pub fn move_to(&self, name: &str, other: &Self) -> io::Result<()> {
        Ok(renameat(&self.0, name, &other.0, name)?)
    }

    /// Moves an entry into another directory of the same file system, under another name. What has
    /// that name there must have been looked for before.
    pub fn move_as(&self, name: &str, other: &Self, to: &str) -> io::Result<()> {
        Ok(renameat(&self.0, name, &other.0, to)?)
    }

    /// Removes the name of a file. Says whether it was there.
    pub fn remove(&self, name: &str) -> io::Result<bool> {
        let gone = unlinkat(&self.0, name, UnlinkatFlags::NoRemoveDir);
        Ok(root::absent(gone.map_err(io::Error::from))?.is_some())
    }

    /// Waits until what was renamed in it is on the disk of the server.
    pub fn sync(&self) -> io::Result<()> {
        // What is open as a path alone cannot be synced.
        File::from(self.entry(".", OFlag::O_RDONLY | OFlag::O_DIRECTORY)?).sync_all()
    }

    /// Its entries as the kernel tells them, one after the other, none twice and none kept: the name,
    /// and what it is where the file system says so. Ends early where `each` says so.
    pub fn each(
        &self,
        mut each: impl FnMut(&OsStr, Option<nix::dir::Type>) -> ControlFlow<()>,
    ) -> io::Result<()> {
        let mut directory = Dir::from_fd(self.entry(".", OFlag::O_RDONLY | OFlag::O_DIRECTORY)?)?;
        for entry in directory.iter() {
            let entry = entry?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name != "." && name != ".." && each(name, entry.file_type()).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// What an entry itself is and how large; nothing where it is not there. Opens nothing.
    pub fn stat(&self, name: &OsStr) -> io::Result<Option<nix::sys::stat::FileStat>> {
        let stat = fstatat(&self.0, name, AtFlags::AT_SYMLINK_NOFOLLOW);
        root::absent(stat.map_err(io::Error::from))
    }

    /// The names in it, sorted.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let mut directory = Dir::from_fd(self.entry(".", OFlag::O_RDONLY | OFlag::O_DIRECTORY)?)?;
        let mut names = Vec::new();
        for entry in directory.iter() {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn entry(&self, name: &str, flags: OFlag) -> io::Result<OwnedFd> {
        Ok(openat(&self.0, name, flags | OFlag::O_CLOEXEC, Mode::empty())?)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    fn folder() -> (tempfile::TempDir, Folder) {
        let directory = tempfile::tempdir().unwrap();
        let root = Root::strict(Utf8Path::from_path(directory.path()).unwrap()).unwrap();
        let folder = Folder::open(&root, "").unwrap().unwrap();
        (directory, folder)
    }

    fn text(folder: &Folder, name: &str) -> Option<String> {
        let mut text = String::new();
        folder.read(name).unwrap()?.read_to_string(&mut text).unwrap();
        Some(text)
    }

    #[test]
    fn a_name_is_given_once() {
        let (_directory, folder) = folder();
        let mut file = folder.create("new", 0o600).unwrap();
        file.write_all(b"one").unwrap();
        assert_eq!(folder.create("new", 0o600).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert!(folder.link(&file, "taken").unwrap());
        assert!(!folder.link(&file, "taken").unwrap());
        folder.rename("new", "head").unwrap();
        assert_eq!(folder.names().unwrap(), ["head", "taken"]);
        assert_eq!(text(&folder, "taken").as_deref(), Some("one"));
        assert_eq!(folder.read("head").unwrap().unwrap().metadata().unwrap().nlink(), 2);
        assert!(folder.remove("head").unwrap() && !folder.remove("head").unwrap());
        assert!(folder.read("head").unwrap().is_none());
    }

    #[test]
    fn it_stays_the_directory_that_was_opened_and_follows_no_link() {
        let (directory, folder) = folder();
        std::fs::create_dir(directory.path().join("in")).unwrap();
        let inside = folder.folder("in").unwrap().unwrap();
        std::fs::rename(directory.path().join("in"), directory.path().join("moved")).unwrap();
        drop(inside.create("file", 0o600).unwrap());
        assert!(directory.path().join("moved/file").exists());
        assert!(folder.folder("in").unwrap().is_none());

        std::os::unix::fs::symlink("moved", directory.path().join("link")).unwrap();
        std::os::unix::fs::symlink("moved/file", directory.path().join("to-file")).unwrap();
        assert!(folder.folder("link").is_err());
        assert_eq!(folder.read("to-file").unwrap_err().raw_os_error(), Some(nix::libc::ELOOP));
    }
}
