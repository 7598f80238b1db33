//! One folder: what is in it, and what that is a part of.

use std::ffi::OsStr;
use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use nix::dir::Type;
use nix::sys::stat::{FileStat, SFlag};

use super::queue::Queue;
use super::totals::Totals;
use super::{HUGE, MANY_BUILDS, Many, Scan};
use crate::doctor::efs::inside::{Notebook, Trouble};
use crate::lease::ground;
use crate::sys::{Folder, Root};

/// Folders lie in each other at most so deep where there is no room to put them off.
const DEEPEST: usize = 48;

/// So many folders are handed to the others at once.
const BATCH: usize = 512;

/// After so many entries it is noted that the listing goes on.
const PACE: u64 = 1024;

/// Caches that Jenkins, git and build tools make.
const CACHES: [&str; 7] = ["caches", ".cache", ".m2", ".gradle", ".npm", "node_modules", ".ivy2"];

/// A walk through a home.
#[derive(Debug)]
pub(super) struct Walk {
    root: Root,
    home: Utf8PathBuf,
    until: Instant,
    notes: Arc<Notebook>,
    pub(super) queue: Queue<Item>,
    totals: Mutex<Totals>,
    groups: Mutex<Vec<Arc<Group>>>,
}

/// A folder that is to be looked at.
#[derive(Debug)]
pub(super) struct Item {
    /// From the home, without the last part.
    parent: Arc<str>,
    name: Box<str>,
    /// What it is a part of.
    group: Option<Arc<Group>>,
}

/// A folder that counts as a whole.
#[derive(Debug)]
struct Group {
    kind: Kind,
    path: String,
    entries: AtomicU64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Workspace,
    Cache,
    Fingerprints,
}

/// What one folder has.
#[derive(Debug, Default)]
struct Counts {
    files: u64,
    folders: u64,
    others: u64,
    empty: Many,
    packs: Many,
}

impl Counts {
    const fn entries(&self) -> u64 {
        self.files + self.folders + self.others
    }
}

impl Walk {
    pub(super) fn new(root: &Root, home: &Utf8Path, until: Instant, notes: &Arc<Notebook>) -> Self {
        let first = Item { parent: "".into(), name: "".into(), group: None };
        Self {
            root: root.clone(),
            home: home.to_owned(),
            until,
            notes: Arc::clone(notes),
            queue: Queue::with(first),
            totals: Mutex::default(),
            groups: Mutex::default(),
        }
    }

    /// What every thread does.
    pub(super) fn work(&self) {
        while let Some(item) = self.queue.next() {
            self.look(&item, 0);
            self.notes.rests();
            self.queue.done();
        }
    }

    /// Everything that was found, and what was not reached.
    pub(super) fn found(&self, hanging: Vec<String>) -> Scan {
        let left = self.queue.end();
        let mut totals = self.totals();
        for item in left {
            totals.scan.late.add(&item.path(), 0);
        }
        let mut scan = totals.scan();
        for group in self.groups.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let entries = group.entries.load(Ordering::Relaxed);
            match group.kind {
                Kind::Workspace => scan.workspaces.add(&group.path, entries),
                Kind::Cache => scan.caches.add(&group.path, entries),
                Kind::Fingerprints => scan.fingerprints = entries,
            }
        }
        Scan { hanging, ..scan }
    }

    fn look(&self, item: &Item, depth: usize) {
        let path = item.path();
        if self.is_late() {
            self.totals().scan.late.add(&path, 0);
            return;
        }
        let doing = if path.is_empty() { "listing the home" } else { &format!("listing {path}") };
        self.notes.doing(doing);
        let end = Folder::open(&self.root, self.home.join(&path));
        match end.and_then(|folder| folder.ok_or_else(|| io::ErrorKind::NotFound.into())) {
            Ok(folder) => self.list(item, &path, &folder, doing, depth),
            // It was removed meanwhile: Jenkins is at work.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_empty() => {}
            Err(error) => self.failed(&path, &error),
        }
    }

    fn list(&self, item: &Item, path: &str, folder: &Folder, doing: &str, depth: usize) {
        let parent: Arc<str> = path.into();
        let (mut counts, mut below, mut unread) = (Counts::default(), Vec::new(), None);
        let is_flow = matches!(&*item.name, "workflow" | "workflow-completed");
        let may_tell = item.group.is_none() && !is_flow;
        let end = folder.each(|name, kind| {
            if counts.entries() % PACE == PACE - 1 {
                self.notes.doing(doing);
                if self.is_late() {
                    self.totals().scan.late.add(path, 0);
                    return ControlFlow::Break(());
                }
            }
            match kind.map_or_else(|| kind_of_entry(folder, name), Ok) {
                Ok(Type::Directory) => {
                    if path.is_empty() && self.home.as_str().is_empty() && is_apart(name) {
                        return ControlFlow::Continue(());
                    }
                    counts.folders += 1;
                    if let Some(name) = name.to_str() {
                        below.push(self.item(item, &parent, name));
                    } else {
                        let shown = format!("{path}/{}", name.to_string_lossy());
                        self.totals().scan.failed.add(&shown, 0);
                    }
                    if below.len() >= BATCH {
                        self.hand_out(std::mem::take(&mut below), depth);
                        // That may have taken a while.
                        self.notes.doing(doing);
                    }
                }
                Ok(Type::File) => {
                    counts.files += 1;
                    if let Some(size) = telling(folder, name, may_tell) {
                        note(&mut counts, path, name, size);
                    }
                }
                Ok(_) => counts.others += 1,
                Err(error) => unread = Some(error),
            }
            ControlFlow::Continue(())
        });
        if let Some(error) = end.err().or(unread) {
            self.failed(path, &error);
        }
        self.count(item, path, counts);
        self.hand_out(below, depth);
    }

    /// Leaves folders to whoever has time; does itself what nobody has room for.
    fn hand_out(&self, below: Vec<Item>, depth: usize) {
        for item in self.queue.add(below) {
            if depth < DEEPEST {
                self.look(&item, depth + 1);
            } else {
                self.totals().scan.late.add(&item.path(), 0);
            }
        }
    }

    fn item(&self, parent: &Item, path: &Arc<str>, name: &str) -> Item {
        let group = parent.group.clone().or_else(|| {
            let kind = kind_of(path, name)?;
            let path = join(path, name);
            let group = Arc::new(Group { kind, path, entries: AtomicU64::new(0) });
            self.groups.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&group));
            Some(group)
        });
        Item { parent: Arc::clone(path), name: name.into(), group }
    }

    fn count(&self, item: &Item, path: &str, counts: Counts) {
        let entries = counts.entries();
        if let Some(group) = &item.group {
            group.entries.fetch_add(entries, Ordering::Relaxed);
        }
        let mut totals = self.totals();
        let top = path.split('/').next().unwrap_or_default();
        if !top.is_empty() {
            *totals.top.entry(top.into()).or_default() += entries;
        }
        let scan = &mut totals.scan;
        scan.files += counts.files;
        scan.folders += counts.folders;
        scan.others += counts.others;
        for (all, here) in [(&mut scan.empty, counts.empty), (&mut scan.packs, counts.packs)] {
            all.merge(here);
        }
        if entries > HUGE {
            scan.huge.add(path, entries);
        }
        if &*item.name == "builds" && item.group.is_none() && entries > MANY_BUILDS {
            scan.builds.add(path, entries);
        }
    }

    fn failed(&self, path: &str, error: &io::Error) {
        let why = Trouble::new(if path.is_empty() { "the home" } else { path }, error).told();
        self.totals().scan.failed.add(&why, 0);
    }

    fn is_late(&self) -> bool {
        Instant::now() > self.until
    }

    fn totals(&self) -> MutexGuard<'_, Totals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Item {
    fn path(&self) -> String {
        join(&self.parent, &self.name)
    }
}

fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() { name.to_owned() } else { format!("{parent}/{name}") }
}

fn is_apart(name: &OsStr) -> bool {
    name.to_str().is_some_and(ground::is_apart)
}

/// What a folder counts as, by its place.
fn kind_of(parent: &str, name: &str) -> Option<Kind> {
    let of_jobs = parent.ends_with("jobs") || parent.ends_with("branches");
    match name {
        "fingerprints" if parent.is_empty() => Some(Kind::Fingerprints),
        "tools" if parent.is_empty() => Some(Kind::Cache),
        // A job may have any name.
        _ if of_jobs => None,
        "workspace" => Some(Kind::Workspace),
        _ if name.starts_with("workspace@") => Some(Kind::Workspace),
        _ if CACHES.contains(&name) => Some(Kind::Cache),
        _ => None,
    }
}

fn note(counts: &mut Counts, path: &str, name: &OsStr, size: u64) {
    let name = name.to_string_lossy();
    if name.starts_with("tmp_pack_") {
        counts.packs.add(&join(path, &name), size);
    } else if size == 0 {
        counts.empty.add(&join(path, &name), 0);
    }
}

/// The size of a file, where it tells something.
fn telling(folder: &Folder, name: &OsStr, may_tell: bool) -> Option<u64> {
    let bytes = name.as_encoded_bytes();
    let is_telling = bytes.starts_with(b"tmp_pack_") || (may_tell && bytes.ends_with(b".xml"));
    let stat = is_telling.then(|| folder.stat(name)).and_then(Result::ok).flatten()?;
    u64::try_from(stat.st_size).ok()
}

/// What an entry is, where the file system does not say so with its name.
fn kind_of_entry(folder: &Folder, name: &OsStr) -> io::Result<Type> {
    let stat: Option<FileStat> = folder.stat(name)?;
    let mode = stat.map_or(SFlag::empty(), |stat| SFlag::from_bits_truncate(stat.st_mode));
    Ok(match mode & SFlag::S_IFMT {
        SFlag::S_IFDIR => Type::Directory,
        SFlag::S_IFREG => Type::File,
        _ => Type::Symlink,
    })
}
