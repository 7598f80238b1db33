//! What is in a tree: every name with all that an image keeps of it, in an order that never changes.
//!
//! Two trees with equal contents give equal images. Times are clamped to the image's epoch, and
//! sockets, which only a running program has, are left out. Reads, and changes nothing.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use nix::sys::stat::{major, minor};
use serde::{Deserialize, Serialize};

use super::parallel::on_all_processors;
use crate::digest::sha256_of;
use crate::error::Fault;

/// A name in a tree and what it stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Relative to the top, which is the empty path.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// The permission bits, set-id bits included.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// When the content was last changed, in seconds since 1970; never later than the epoch.
    pub mtime: i64,
    /// Extended attributes, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<(String, Vec<u8>)>,
}

/// What a name stands for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A file.
    File {
        /// Its size.
        bytes: u64,
        /// The digest of its content.
        sha256: String,
    },
    /// Another name of a file that comes earlier.
    HardLink {
        /// That file's path.
        to: String,
    },
    /// A symbolic link.
    Link {
        /// What stands in it.
        to: String,
    },
    /// A character device.
    Character {
        /// The driver's number.
        major: u64,
        /// The device's number.
        minor: u64,
    },
    /// A block device.
    Block {
        /// The driver's number.
        major: u64,
        /// The device's number.
        minor: u64,
    },
    /// A named pipe.
    Pipe,
}

/// By what a file is known to be untouched since it was hashed: any write gives it a new `ctime`,
/// and a copy into an upper layer gives it one, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
    modified: (i64, i64),
}

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Sorted by path, in the order of bytes: whatever is in a directory comes after it.
    pub entries: Vec<Entry>,
    /// As of the walk, one for each entry.
    pub(super) stamps: Vec<Stamp>,
}

impl Contents {
    /// Walks `tree`. Files that `known` has seen unchanged are not read again.
    pub fn of(tree: &Utf8Path, epoch: i64, known: Option<&Self>) -> anyhow::Result<Self> {
        let mut walk = Walk { tree, epoch, found: Vec::new() };
        walk.visit("").with_context(|| format!("walking {tree}"))?;
        walk.found.sort_by(|a, b| a.0.path.cmp(&b.0.path));
        join_hard_links(&mut walk.found);
        let (entries, metas): (Vec<_>, Vec<Metadata>) = walk.found.into_iter().unzip();
        let stamps = metas.iter().map(Stamp::of).collect();
        let mut contents = Self { entries, stamps };
        contents.take_digests(known.unwrap_or(&Self::default()));
        contents.hash(tree)?;
        Ok(contents)
    }

    /// The entry of a path that is relative to the top.
    pub fn get(&self, path: &str) -> Option<&Entry> {
        let at = self.entries.binary_search_by(|entry| entry.path.as_str().cmp(path));
        at.ok().map(|at| &self.entries[at])
    }

    /// What the names take in whole blocks of `block` bytes.
    pub fn room(&self, block: u64) -> u64 {
        let each = self.entries.iter().map(|entry| match entry.kind {
            Kind::File { bytes, .. } => bytes.next_multiple_of(block).max(block),
            _ => block,
        });
        each.sum()
    }

    /// As lines of JSON, with what is needed to be `known` to the next walk.
    pub(super) fn to_lines(&self) -> Vec<u8> {
        let mut lines = Vec::new();
        for line in self.entries.iter().zip(&self.stamps) {
            serde_json::to_writer(&mut lines, &line).expect("an entry is plain data");
            lines.push(b'\n');
        }
        lines
    }

    /// The reverse of [`Contents::to_lines`].
    pub(super) fn from_lines(lines: &[u8]) -> serde_json::Result<Self> {
        let lines = serde_json::Deserializer::from_slice(lines).into_iter();
        let (entries, stamps) =
            lines.collect::<Result<Vec<(Entry, Stamp)>, _>>()?.into_iter().unzip();
        Ok(Self { entries, stamps })
    }

    fn take_digests(&mut self, known: &Self) {
        let seen: HashMap<&str, (&Stamp, &Kind)> = known
            .entries
            .iter()
            .zip(&known.stamps)
            .map(|(entry, stamp)| (entry.path.as_str(), (stamp, &entry.kind)))
            .collect();
        for (entry, stamp) in self.entries.iter_mut().zip(&self.stamps) {
            if let Kind::File { sha256, .. } = &mut entry.kind
                && let Some((then, Kind::File { sha256: digest, .. })) =
                    seen.get(entry.path.as_str())
                && *then == stamp
            {
                sha256.clone_from(digest);
            }
        }
    }

    /// Hashes the files that have no digest yet, on all processors.
    fn hash(&mut self, tree: &Utf8Path) -> anyhow::Result<()> {
        let todo: Vec<usize> = (0..self.entries.len())
            .filter(|at| matches!(&self.entries[*at].kind, Kind::File { sha256, .. } if sha256.is_empty()))
            .collect();
        let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::with_capacity(todo.len())));
        let entries = &self.entries;
        let work = || -> anyhow::Result<()> {
            while let Some(&at) = todo.get(next.fetch_add(1, Ordering::Relaxed)) {
                let path = tree.join(&entries[at].path);
                let digest = sha256_of(&path).with_context(|| format!("reading {path}"))?;
                done.lock().expect("no thread panics").push((at, digest));
            }
            Ok(())
        };
        on_all_processors(work)?;
        for (at, digest) in done.into_inner().expect("no thread panics") {
            if let Kind::File { sha256, .. } = &mut self.entries[at].kind {
                *sha256 = digest;
            }
        }
        Ok(())
    }
}

impl Stamp {
    fn of(meta: &Metadata) -> Self {
        Self {
            inode: meta.ino(),
            bytes: meta.len(),
            changed: (meta.ctime(), meta.ctime_nsec()),
            modified: (meta.mtime(), meta.mtime_nsec()),
        }
    }
}

struct Walk<'a> {
    tree: &'a Utf8Path,
    epoch: i64,
    found: Vec<(Entry, Metadata)>,
}

impl Walk<'_> {
    fn visit(&mut self, path: &str) -> anyhow::Result<()> {
        let full = if path.is_empty() { self.tree.to_owned() } else { self.tree.join(path) };
        let meta = full.symlink_metadata().with_context(|| full.to_string())?;
        let Some(kind) = kind_of(&full, &meta)? else { return Ok(()) };
        let names = if kind == Kind::Directory { names_in(&full)? } else { Vec::new() };
        let entry = Entry {
            kind,
            mode: meta.mode() & 0o7777,
            uid: meta.uid(),
            gid: meta.gid(),
            mtime: meta.mtime().min(self.epoch),
            attributes: attributes_of(&full)?,
            path: path.to_owned(),
        };
        self.found.push((entry, meta));
        for name in names {
            let below = if path.is_empty() { name } else { format!("{path}/{name}") };
            self.visit(&below)?;
        }
        Ok(())
    }
}

fn names_in(folder: &Utf8Path) -> anyhow::Result<Vec<String>> {
    let entries = folder.as_std_path().read_dir().with_context(|| folder.to_string())?;
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.with_context(|| folder.to_string())?.file_name().into_string().map_err(|name| {
            let path = folder.as_std_path().join(name);
            Fault::step(format!("a name in the tree is not UTF-8: {}", path.display())).into()
        })
    };
    entries.map(name).collect()
}

/// What a path is; nothing for a socket. The digest of a file is filled in later.
fn kind_of(path: &Utf8Path, meta: &Metadata) -> anyhow::Result<Option<Kind>> {
    let kind = meta.file_type();
    Ok(Some(if kind.is_dir() {
        Kind::Directory
    } else if kind.is_file() {
        Kind::File { bytes: meta.len(), sha256: String::new() }
    } else if kind.is_symlink() {
        let to = path.read_link_utf8().with_context(|| format!("reading the link {path}"))?;
        Kind::Link { to: to.into_string() }
    } else if kind.is_char_device() {
        Kind::Character { major: major(meta.rdev()), minor: minor(meta.rdev()) }
    } else if kind.is_block_device() {
        Kind::Block { major: major(meta.rdev()), minor: minor(meta.rdev()) }
    } else if kind.is_fifo() {
        Kind::Pipe
    } else {
        return Ok(None);
    }))
}

/// The attributes that belong to an image: not those of overlays, and not the labels of the machine
/// that bakes.
fn attributes_of(path: &Utf8Path) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let names = xattr::list(path).with_context(|| format!("reading the attributes of {path}"))?;
    let mut attributes = Vec::new();
    for name in names.filter_map(|name| name.into_string().ok()) {
        let kept = name == "security.capability"
            || name.starts_with("user.")
            || name.starts_with("system.posix_acl_")
            || (name.starts_with("trusted.") && !name.starts_with("trusted.overlay."));
        if kept && let Some(value) = xattr::get(path, &name).with_context(|| path.to_string())? {
            attributes.push((name, value));
        }
    }
    attributes.sort();
    Ok(attributes)
}

/// The first name of a file is the file; its other names link to that.
fn join_hard_links(found: &mut [(Entry, Metadata)]) {
    let mut first: HashMap<(u64, u64), String> = HashMap::new();
    for (entry, meta) in found {
        if !meta.is_file() || meta.nlink() < 2 {
            continue;
        }
        match first.get(&(meta.dev(), meta.ino())) {
            Some(to) => entry.kind = Kind::HardLink { to: to.clone() },
            None => drop(first.insert((meta.dev(), meta.ino()), entry.path.clone())),
        }
    }
}

/// Opens the file of an entry.
pub(super) fn open(tree: &Utf8Path, entry: &Entry) -> anyhow::Result<File> {
    let path: Utf8PathBuf = tree.join(&entry.path);
    File::open(&path).with_context(|| format!("opening {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn tree() -> (tempfile::TempDir, Utf8PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
        fs::create_dir(path.join("etc")).unwrap();
        fs::write(path.join("etc/one"), "1").unwrap();
        fs::write(path.join("etc-old"), "old").unwrap();
        fs::hard_link(path.join("etc/one"), path.join("another")).unwrap();
        std::os::unix::fs::symlink("one", path.join("etc/link")).unwrap();
        nix::unistd::mkfifo(path.join("pipe").as_std_path(), nix::sys::stat::Mode::S_IRUSR)
            .unwrap();
        (dir, path)
    }

    #[test]
    fn names_are_sorted_clamped_and_complete() {
        let (_dir, path) = tree();
        let _socket = std::os::unix::net::UnixListener::bind(path.join("socket")).unwrap();
        let contents = Contents::of(&path, 1_000_000_000, None).unwrap();
        let shown: Vec<_> = contents.entries.iter().map(|e| (e.path.as_str(), &e.kind)).collect();
        insta::assert_debug_snapshot!(shown);
        assert!(contents.entries.iter().all(|entry| entry.mtime == 1_000_000_000));
    }

    #[test]
    fn what_was_seen_is_not_read_again_and_what_was_written_is() {
        let (_dir, path) = tree();
        let first = Contents::of(&path, i64::MAX, None).unwrap();
        let again = Contents::from_lines(&first.to_lines()).unwrap();
        assert_eq!(again, first);

        // A digest that no content has shows whether the content was read.
        let mut known = first.clone();
        for entry in &mut known.entries {
            if let Kind::File { sha256, .. } = &mut entry.kind {
                *sha256 = "seen".to_owned();
            }
        }
        // The same size and the same time, as if nothing had been written.
        let file = path.join("etc-old");
        let before = fs::metadata(&file).unwrap().modified().unwrap();
        fs::write(&file, "new").unwrap();
        File::options().write(true).open(&file).unwrap().set_modified(before).unwrap();
        let second = Contents::of(&path, i64::MAX, Some(&known)).unwrap();
        let digest = |path: &str| match &second.get(path).unwrap().kind {
            Kind::File { sha256, .. } => sha256.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(digest("another"), "seen");
        assert_eq!(digest("etc-old"), crate::digest::sha256("new"));
    }
}
