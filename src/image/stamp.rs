//! What a tree is, as a digest: its content, or (cheap) whether anybody has touched it since.

use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use camino::Utf8Path;
use sha2::{Digest as _, Sha256};

use crate::digest::{hex, sha256_of};

/// The attributes that are part of a tree: capabilities, and a directory that hides those below it.
const ATTRIBUTES: &[&str] =
    &["security.capability", "trusted.overlay.opaque", "trusted.overlay.whiteout"];

/// A tree, measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Measure {
    /// Names the content: the same wherever and whenever the tree is made.
    pub digest: String,
    /// Names this copy of it: see [`stamp`].
    pub stamp: String,
    /// What it takes on the disk.
    pub bytes: u64,
}

/// Something in a tree.
struct Entry {
    /// Below the tree.
    path: PathBuf,
    meta: Metadata,
}

/// Measures a tree, and reads all of it.
///
/// A time after `epoch` is one that the build itself has left, and counts as `epoch`.
pub(super) fn measure(tree: &Utf8Path, epoch: i64) -> io::Result<Measure> {
    let entries = walk(tree.as_std_path())?;
    let bytes = entries.iter().map(|entry| entry.meta.blocks() * 512).sum();
    Ok(Measure { digest: digest(tree, &entries, epoch)?, stamp: stamp_of(&entries), bytes })
}

/// Names this copy of a tree without reading a file. The kernel sets the time of change whenever
/// it changes a file or what is known of it, and nobody else can: a stamp that is the same means a
/// tree that is the same.
pub(super) fn stamp(tree: &Utf8Path) -> io::Result<String> {
    Ok(stamp_of(&walk(tree.as_std_path())?))
}

fn stamp_of(entries: &[Entry]) -> String {
    let mut hasher = Sha256::new();
    for Entry { path, meta } in entries {
        name(&mut hasher, path);
        let size = if meta.is_dir() { 0 } else { meta.size() };
        numbers(&mut hasher, &[meta.ino(), meta.mode().into(), meta.uid().into(), size]);
        numbers(&mut hasher, &[meta.gid().into(), meta.rdev()]);
        // A time before 1970 is as good a number as any.
        let times = [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()];
        numbers(&mut hasher, &times.map(i64::cast_unsigned));
    }
    hex(&hasher.finalize())
}

fn digest(tree: &Utf8Path, entries: &[Entry], epoch: i64) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let contents = contents(tree.as_std_path(), entries)?;
    for (Entry { path, meta }, content) in entries.iter().zip(contents) {
        name(&mut hasher, path);
        numbers(&mut hasher, &[meta.mode().into(), meta.uid().into(), meta.gid().into()]);
        let late = meta.mtime() >= epoch;
        let time = if late { [epoch, 0] } else { [meta.mtime(), meta.mtime_nsec()] };
        numbers(&mut hasher, &[meta.rdev(), time[0].cast_unsigned(), time[1].cast_unsigned()]);
        hasher.update(content);
    }
    Ok(hex(&hasher.finalize()))
}

/// The content of every entry as a digest, on all processors.
fn contents(tree: &Path, entries: &[Entry]) -> io::Result<Vec<String>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(4);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let read = || -> io::Result<Vec<(usize, String)>> {
        let mut mine = Vec::new();
        loop {
            let n = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let Some(entry) = entries.get(n) else { return Ok(mine) };
            mine.push((n, content(tree, entry)?));
        }
    };
    let parts: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(read)).collect();
        threads.into_iter().map(|thread| thread.join().expect("it does not panic")).collect()
    });
    let mut all = vec![String::new(); entries.len()];
    for part in parts {
        part?.into_iter().for_each(|(n, digest)| all[n] = digest);
    }
    Ok(all)
}

fn content(tree: &Path, Entry { path, meta }: &Entry) -> io::Result<String> {
    let path = tree.join(path);
    let kind = meta.file_type();
    let mut text = if kind.is_symlink() {
        return Ok(std::fs::read_link(&path)?.to_string_lossy().into_owned());
    } else if kind.is_file() {
        sha256_of(&path)?
    } else {
        String::new()
    };
    for attribute in ATTRIBUTES {
        if let Some(value) = xattr::get(&path, attribute)? {
            text += &format!("{attribute}={value:?}");
        }
    }
    Ok(text)
}

/// Everything below `tree`, sorted by path. The tree's own root is known by what it is a layer of.
fn walk(tree: &Path) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(tree.join(&folder))? {
            let entry = entry?;
            let (path, meta) = (folder.join(entry.file_name()), entry.metadata()?);
            if meta.is_dir() {
                folders.push(path.clone());
            }
            entries.push(Entry { path, meta });
        }
    }
    entries.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    Ok(entries)
}

fn name(hasher: &mut Sha256, path: &Path) {
    let name = path.as_os_str().as_bytes();
    numbers(hasher, &[name.len() as u64]);
    hasher.update(name);
}

fn numbers(hasher: &mut Sha256, numbers: &[u64]) {
    for number in numbers {
        hasher.update(number.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::time::{Duration, SystemTime};

    fn tree() -> (tempfile::TempDir, camino::Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(folder.path()).unwrap().to_owned();
        fs::create_dir(path.join("d")).unwrap();
        fs::write(path.join("d/file"), "one").unwrap();
        std::os::unix::fs::symlink("file", path.join("d/link")).unwrap();
        (folder, path)
    }

    #[test]
    fn the_same_content_has_the_same_digest_and_another_stamp() {
        let ((_one, one), (_two, two)) = (tree(), tree());
        let (one, two) = (measure(&one, 0).unwrap(), measure(&two, 0).unwrap());
        assert_eq!(one.digest, two.digest);
        assert_ne!(one.stamp, two.stamp);
    }

    #[test]
    fn a_change_is_seen_even_if_size_and_time_are_put_back() {
        let (_folder, tree) = tree();
        let (before, file) = (measure(&tree, i64::MAX).unwrap(), tree.join("d/file"));
        assert_eq!(stamp(&tree).unwrap(), before.stamp);
        let time = fs::metadata(&file).unwrap().modified().unwrap();
        #[expect(clippy::disallowed_methods, reason = "the clock of the file system must move on")]
        std::thread::sleep(Duration::from_millis(20));
        fs::write(&file, "two").unwrap();
        File::open(&file).unwrap().set_modified(time).unwrap();
        assert_ne!(stamp(&tree).unwrap(), before.stamp);
        assert_ne!(measure(&tree, i64::MAX).unwrap().digest, before.digest);
    }

    #[test]
    fn what_the_build_itself_touched_has_no_time_of_its_own() {
        let (_folder, tree) = tree();
        let before = measure(&tree, 1).unwrap();
        let file = File::open(tree.join("d/file")).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(9)).unwrap();
        assert_eq!(measure(&tree, 1).unwrap().digest, before.digest);
        file.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert_ne!(measure(&tree, 1).unwrap().digest, before.digest);
    }
}
