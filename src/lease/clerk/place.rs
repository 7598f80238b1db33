//! Where the clerk works: the lease's directory on the mounted file system, by its handle.
//!
//! Looking writes nothing. The directory is made by the first claim, on a file system that is
//! marked as this host's or that nobody has used. What others than hostkit made or may change is
//! refused: who can write the record can hand out the home.

use std::fs::{File, Metadata};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::time::SystemTime;

use camino::{Utf8Path, Utf8PathBuf};

use super::trouble::Trouble;
use super::{Beat, HEAD, HEARTBEAT};
use crate::lease::claim::Head;
use crate::lease::ground::{Ground, MARK, foreign};
use crate::lease::record::{self, Reading, Record};
use crate::sys::{Folder, Owner, Root};

const HOSTKIT: &str = ".hostkit";
const LEASE: &str = ".hostkit/lease";

/// What is longer is no record, in bytes.
const LONGEST: u64 = 64 << 10;

/// A mounted file system, and the lease's directory on it once that is there.
#[derive(Debug)]
pub(super) struct Place {
    ground: Ground,
    mount_point: Utf8PathBuf,
    fs_id: String,
    /// None after it went stale.
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    root: Root,
    folder: Option<Folder>,
}

impl Place {
    pub(super) fn open(
        ground: Ground,
        mount_point: &Utf8Path,
        fs_id: &str,
    ) -> Result<Self, Trouble> {
        let (mount_point, fs_id) = (mount_point.to_owned(), fs_id.to_owned());
        let mut place = Self { ground, mount_point, fs_id, open: None };
        place.reach()?;
        Ok(place)
    }

    /// Everything is to be opened again.
    pub(super) fn forget(&mut self) {
        self.open = None;
    }

    /// The directory is to be looked up again.
    pub(super) fn forget_folder(&mut self) {
        if let Some(open) = &mut self.open {
            open.folder = None;
        }
    }

    /// What is open; what is not is opened if it is there.
    fn reach(&mut self) -> Result<&Open, Trouble> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => Open { root: self.root()?, folder: None },
        };
        if open.folder.is_none() {
            open.folder = lease_folder(&open.root)?;
        }
        Ok(self.open.insert(open))
    }

    fn root(&self) -> Result<Root, Trouble> {
        let doing = || Trouble::while_(format!("opening {}", self.mount_point));
        let root = Root::strict(&self.mount_point).map_err(doing())?;
        if self.ground.bears(&root).map_err(doing())? {
            return Ok(root);
        }
        Err(Trouble::NotMounted(self.mount_point.clone()))
    }

    /// The directory, to write into it. It is made if it is not there, and may be.
    pub(super) fn folder(&mut self) -> Result<&Folder, Trouble> {
        if self.reach()?.folder.is_none() {
            self.make_folder()?;
        }
        self.reach()?.folder.as_ref().ok_or_else(|| Trouble::NoDirectory(LEASE.to_owned()))
    }

    fn make_folder(&mut self) -> Result<(), Trouble> {
        let is_marked = self.mark()?;
        let root = &self.reach()?.root;
        let found = if is_marked { None } else { foreign(root).map_err(listing())? };
        if let Some(found) = found {
            return Err(Trouble::Strange(found));
        }
        for path in [HOSTKIT, LEASE] {
            let made = root.make_dir(path, 0o700, Owner::me());
            made.map_err(Trouble::while_(format!("making {path}")))?;
        }
        Ok(())
    }

    /// Whether the file system is marked, as it must be, as this host's.
    fn mark(&mut self) -> Result<bool, Trouble> {
        match self.marked()? {
            None => Ok(false),
            Some(marked) if marked == self.fs_id => Ok(true),
            Some(marked) => Err(Trouble::Marked { marked, ours: self.fs_id.clone() }),
        }
    }

    /// The id that the file system is marked with, whichever it is.
    pub(super) fn marked(&mut self) -> Result<Option<String>, Trouble> {
        let reading = Trouble::while_(format!("reading {MARK}"));
        let mark = self.reach()?.root.read_text(MARK).map_err(reading)?;
        Ok(mark.map(|mark| mark.trim().to_owned()))
    }

    /// What is at the place of the head.
    pub(super) fn head(&mut self) -> Result<Head, Trouble> {
        // The file that was the head may live on as the claim that it was linked from. Whoever opened
        // it by its old name opens the same file again, without asking what has the name now, until
        // the directory is opened anew (measured: 45 s after another host's claim).
        self.forget_folder();
        if let Some(head) = self.read(HEAD)? {
            return Ok(head);
        }
        // NFS remembers for half a minute that a name was absent. To list the directory makes it
        // ask again.
        self.forget_folder();
        let names = self.names()?;
        if let Some(head) = self.read(HEAD)? {
            return Ok(head);
        }
        if self.mark()? {
            return Ok(Head::Gone);
        }
        // Whoever was first made a claim, and its head is still to come.
        if names.iter().any(|name| record::generation_of(name).is_some()) {
            return Ok(Head::New);
        }
        let found = foreign(&self.reach()?.root).map_err(listing())?;
        Ok(found.map_or(Head::New, Head::Strange))
    }

    /// What a file of the directory says; none where it is not there.
    pub(super) fn read(&mut self, name: &str) -> Result<Option<Head>, Trouble> {
        let Some((bytes, _)) = self.content(name)? else { return Ok(None) };
        if bytes.len() as u64 > LONGEST {
            return Ok(Some(Head::Garbage(format!("it is larger than {} KiB", LONGEST >> 10))));
        }
        Ok(Some(match std::str::from_utf8(&bytes).map(record::read) {
            Err(_) => Head::Garbage("it is not text".to_owned()),
            Ok(Reading::Record(record)) => Head::Record(record),
            Ok(Reading::Newer { version, generation }) => Head::Newer { version, generation },
            Ok(Reading::Garbage(why)) => Head::Garbage(why),
        }))
    }

    /// The last heartbeat, if there is one that can be read, and when it was written by the file
    /// server's clock.
    pub(super) fn beat(&mut self) -> Result<Option<(Beat, SystemTime)>, Trouble> {
        let Some((bytes, meta)) = self.content(HEARTBEAT)? else { return Ok(None) };
        let beat = serde_json::from_slice(&bytes).ok();
        Ok(beat.zip(meta.modified().ok()))
    }

    /// When a file was last written, by the file server's clock.
    pub(super) fn changed(&mut self, name: &str) -> Result<SystemTime, Trouble> {
        let reading = || Trouble::while_(format!("reading {LEASE}/{name}"));
        let (_, meta) =
            self.content(name)?.ok_or_else(|| reading()(std::io::ErrorKind::NotFound.into()))?;
        meta.modified().map_err(reading())
    }

    /// The first bytes of a file, as it was when it was opened.
    fn content(&mut self, name: &str) -> Result<Option<(Vec<u8>, Metadata)>, Trouble> {
        let reading = || Trouble::while_(format!("reading {LEASE}/{name}"));
        let Some(folder) = &self.reach()?.folder else { return Ok(None) };
        let Some(file) = folder.read(name).map_err(reading())? else { return Ok(None) };
        // Before it is read: that changes its time of access, which would be asked for again.
        let meta = file.metadata().map_err(reading())?;
        check_file(name, &meta)?;
        let mut bytes = Vec::with_capacity(4096);
        file.take(LONGEST + 1).read_to_end(&mut bytes).map_err(reading())?;
        Ok(Some((bytes, meta)))
    }

    /// The names in the directory; none where it is not there.
    pub(super) fn names(&mut self) -> Result<Vec<String>, Trouble> {
        let Some(folder) = &self.reach()?.folder else { return Ok(Vec::new()) };
        folder.names().map_err(Trouble::while_(format!("listing {LEASE}")))
    }

    /// Makes a new file, whole and on the disk of the server, or not at all. It is returned open: to
    /// close it is another round trip, which nobody has to wait for.
    pub(super) fn fill(&mut self, name: &str, bytes: &[u8]) -> Result<File, Trouble> {
        let file = self.folder()?.create(name, 0o600);
        let mut file = file.map_err(Trouble::while_(format!("creating a file in {LEASE}")))?;
        match file.write_all(bytes).and_then(|()| file.sync_all()) {
            Ok(()) => Ok(file),
            Err(error) => {
                // Closed first: NFS keeps what is open under another name.
                drop(file);
                self.discard(name);
                Err(Trouble::while_(format!("writing a file in {LEASE}"))(error))
            }
        }
    }

    /// Makes a file have this content, in place: it may be seen half written.
    pub(super) fn overwrite(&mut self, name: &str, bytes: &[u8]) -> Result<(), Trouble> {
        let writing = || Trouble::while_(format!("writing {LEASE}/{name}"));
        let Some(file) = self.folder()?.change(name).map_err(writing())? else {
            return self.fill(name, bytes).map(drop);
        };
        let meta = file.metadata().map_err(writing())?;
        check_file(name, &meta)?;
        file.write_all_at(bytes, 0).map_err(writing())?;
        if meta.len() > bytes.len() as u64 {
            file.set_len(bytes.len() as u64).map_err(writing())?;
        }
        Ok(())
    }

    /// Removes a file of this host's own. If it stays, it is in nobody's way.
    pub(super) fn discard(&mut self, name: &str) {
        if let Ok(Open { folder: Some(folder), .. }) = self.reach() {
            let _ = folder.remove(name);
        }
    }

    /// Has the kernel send everything that it still has of this file system.
    pub(super) fn sync(&mut self) -> Result<(), Trouble> {
        let synced = self.reach()?.root.sync();
        synced.map_err(Trouble::while_("writing what is still in memory to the file system"))
    }

    /// A record of another file system is not written here.
    pub(super) fn must_be_home_of(&self, record: &Record) -> Result<(), Trouble> {
        if record.holder.fs_id == self.fs_id {
            return Ok(());
        }
        Err(Trouble::Foreign { theirs: record.holder.fs_id.clone(), ours: self.fs_id.clone() })
    }
}

fn listing() -> impl FnOnce(std::io::Error) -> Trouble {
    Trouble::while_("listing the file system")
}

/// The lease's directory, and that nobody else may change what is in it.
fn lease_folder(root: &Root) -> Result<Option<Folder>, Trouble> {
    let opening = |path| Trouble::while_(format!("opening {path}"));
    let Some(hostkit) = Folder::open(root, HOSTKIT).map_err(opening(HOSTKIT))? else {
        return Ok(None);
    };
    check(HOSTKIT, &hostkit.metadata().map_err(opening(HOSTKIT))?)?;
    let Some(lease) = hostkit.folder_now("lease").map_err(opening(LEASE))? else {
        return Ok(None);
    };
    check(LEASE, &lease.metadata().map_err(opening(LEASE))?)?;
    Ok(Some(lease))
}

fn check_file(name: &str, meta: &Metadata) -> Result<(), Trouble> {
    let what = format!("{LEASE}/{name}");
    if !meta.is_file() {
        return Err(Trouble::NoFile(what));
    }
    check(&what, meta)
}

/// That it belongs to the user of this process, and that no other may write it.
fn check(what: &str, meta: &Metadata) -> Result<(), Trouble> {
    let what = what.to_owned();
    let (owner, ours, mode) = (meta.uid(), Owner::me().uid, meta.mode() & 0o7777);
    match () {
        () if owner != ours => Err(Trouble::Owner { what, owner, ours }),
        () if mode & 0o022 != 0 => Err(Trouble::Writable { what, mode }),
        () => Ok(()),
    }
}
