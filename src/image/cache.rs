//! What is in the cache, and what is taken out of it: what was of use longest ago goes first, and
//! never what a living bake may still need.

use std::fs::Metadata;
use std::io;
use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};
use indicatif::HumanBytes;
use serde::Serialize;

use super::store::{self, Record, Store};
use super::workspace;
use crate::event::Events;

/// How large a cache may become if nobody says otherwise, in bytes.
pub const DEFAULT_LIMIT: u64 = 20 << 30;

/// What kind of thing it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A layer of a tree.
    Layer,
    /// A foundation, packed as a disk.
    Disk,
    /// A package or a file that was fetched and verified.
    Download,
    /// Left by an older hostkit: of no use any more.
    Old,
}

/// Something in the cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Item {
    /// What kind of thing it is.
    pub kind: Kind,
    /// Its key.
    pub key: String,
    /// What it is for, as far as it is known.
    pub about: String,
    /// What it takes on the disk.
    pub bytes: u64,
    /// When it was last of use.
    pub used: jiff::Timestamp,
    #[serde(skip)]
    path: Utf8PathBuf,
}

/// What is to be removed. All that is given applies, the first reason is enough.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// What was of use longest ago, until the rest is not larger than this, in bytes.
    pub max_size: Option<u64>,
    /// What was of no use for so long.
    pub older_than: Option<Duration>,
    /// Everything.
    pub all: bool,
    /// Nothing is removed, only said what would be.
    pub dry_run: bool,
}

/// Everything in a cache, the one that was of use longest ago first.
pub fn items(cache: &Utf8Path) -> Vec<Item> {
    let mut items = Vec::new();
    let layers = Store::new(cache).folder();
    items.extend(entries(&layers).filter_map(layer));
    items.extend(entries(&cache.join("disks")).filter_map(disk));
    items.extend(files(cache, "downloads", Kind::Download, "a package or a fetched file"));
    items.extend(files(cache, "base", Kind::Old, "a base tree of an older hostkit"));
    items.sort_by(|one, other| (one.used, &one.key).cmp(&(other.used, &other.key)));
    items
}

/// Removes what `rule` says, and says what is gone. What a living bake may use stays.
pub fn prune(cache: &Utf8Path, rule: Rule) -> Vec<Item> {
    if !rule.dry_run {
        workspace::sweep(cache);
    }
    let items = items(cache);
    let mut size: u64 = items.iter().map(|item| item.bytes).sum();
    let now = jiff::Timestamp::now();
    let in_use_since = workspace::oldest_living(cache);
    let mut gone = Vec::new();
    for item in items {
        let age = Duration::try_from(now.duration_since(item.used)).unwrap_or_default();
        let wanted = rule.all
            || rule.max_size.is_some_and(|max| size > max)
            || rule.older_than.is_some_and(|limit| age > limit);
        let in_use = in_use_since.is_some_and(|since| item.used >= since);
        if wanted && !in_use && (rule.dry_run || remove(cache, &item).unwrap_or(false)) {
            size -= item.bytes;
            gone.push(item);
        }
    }
    gone
}

/// Keeps a cache below its limit, and says so if something had to go.
pub(super) fn shrink(cache: &Utf8Path, limit: u64, events: &Events) {
    let gone = prune(cache, Rule { max_size: Some(limit), ..Rule::default() });
    if !gone.is_empty() {
        let bytes = gone.iter().map(|item| item.bytes).sum();
        let (n, freed, limit) = (gone.len(), HumanBytes(bytes), HumanBytes(limit));
        let line = format!("the cache was larger than {limit}: {n} old parts are gone ({freed})");
        events.log("cache", line);
    }
}

fn layer(path: Utf8PathBuf) -> Option<Item> {
    let described = store::record_of(&path);
    let record: Record = store::read(&described)?;
    let used = used(&std::fs::metadata(described).ok()?)?;
    let about = format!("{} of {}", record.part, record.recipe);
    let key = path.file_name()?.to_owned();
    Some(Item { kind: Kind::Layer, key, about, bytes: record.bytes, used, path })
}

fn disk(path: Utf8PathBuf) -> Option<Item> {
    let used = used(&std::fs::metadata(&path).ok()?)?;
    let bytes = entries(&path).filter_map(|file| std::fs::metadata(file).ok());
    let bytes = bytes.map(|meta| allocated(&meta)).sum();
    let (key, about) = (path.file_name()?.to_owned(), "a packed foundation".to_owned());
    Some(Item { kind: Kind::Disk, key, about, bytes, used, path })
}

fn files<'a>(
    cache: &Utf8Path,
    folder: &str,
    kind: Kind,
    about: &'a str,
) -> impl Iterator<Item = Item> + 'a {
    entries(&cache.join(folder)).filter_map(move |path| {
        let meta = std::fs::metadata(&path).ok().filter(Metadata::is_file)?;
        let (key, about) = (path.file_name()?.to_owned(), about.to_owned());
        Some(Item { kind, key, about, bytes: allocated(&meta), used: used(&meta)?, path })
    })
}

/// Whether it is gone. A layer or a disk that is locked stays.
fn remove(cache: &Utf8Path, item: &Item) -> io::Result<bool> {
    match item.kind {
        Kind::Layer => {
            let grave = workspace::grave(cache, &item.key)?;
            let taken = Store::new(cache).discard(&item.key, &grave);
            workspace::remove(&grave)?;
            Ok(taken)
        }
        Kind::Disk => {
            let grave = workspace::grave(cache, &item.key)?;
            let taken = store::take_away(&item.path, &grave);
            workspace::remove(&grave)?;
            Ok(taken)
        }
        Kind::Download | Kind::Old => {
            // It may have been of use since the list was made.
            let now = std::fs::metadata(&item.path)?;
            if used(&now) != Some(item.used) {
                return Ok(false);
            }
            std::fs::remove_file(&item.path).map(|()| true)
        }
    }
}

fn entries(folder: &Utf8Path) -> impl Iterator<Item = Utf8PathBuf> + use<> {
    let entries = folder.read_dir_utf8().into_iter().flatten().flatten();
    entries.map(|entry| entry.path().to_owned())
}

fn used(meta: &Metadata) -> Option<jiff::Timestamp> {
    jiff::Timestamp::try_from(meta.modified().unwrap_or(SystemTime::UNIX_EPOCH)).ok()
}

fn allocated(meta: &Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    meta.blocks() * 512
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    /// A cache with downloads of 4096 bytes that were of use so many days ago.
    fn cache(days: &[u64]) -> (tempfile::TempDir, Utf8PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Utf8Path::from_path(folder.path()).unwrap().to_owned();
        fs::create_dir(cache.join("downloads")).unwrap();
        for day in days {
            let path = cache.join(format!("downloads/{day:064}"));
            fs::write(&path, vec![1; 4096]).unwrap();
            let then = SystemTime::now() - Duration::from_hours(24 * day);
            File::open(path).unwrap().set_modified(then).unwrap();
        }
        (folder, cache)
    }

    fn days(items: &[Item]) -> Vec<u64> {
        items.iter().map(|item| item.key.parse().unwrap()).collect()
    }

    #[test]
    fn what_was_of_use_longest_ago_goes_first_and_no_more_than_must() {
        let (_folder, cache) = cache(&[5, 40, 1, 20]);
        let small = Rule { max_size: Some(8192), ..Rule::default() };
        assert_eq!(days(&prune(&cache, Rule { dry_run: true, ..small })), [40, 20]);
        assert_eq!(days(&items(&cache)), [40, 20, 5, 1]);
        assert_eq!(days(&prune(&cache, small)), [40, 20]);
        assert_eq!(days(&items(&cache)), [5, 1]);
        assert_eq!(prune(&cache, small), []);
    }

    #[test]
    fn by_age_and_by_everything() {
        let (_folder, cache) = cache(&[5, 40]);
        let month = Duration::from_hours(24 * 30);
        assert_eq!(prune(&cache, Rule::default()), []);
        let old = Rule { older_than: Some(month), ..Rule::default() };
        assert_eq!(days(&prune(&cache, old)), [40]);
        assert_eq!(days(&prune(&cache, Rule { all: true, ..Rule::default() })), [5]);
    }

    #[test]
    fn a_disk_that_a_bake_has_locked_stays() {
        let (_folder, cache) = cache(&[]);
        let folder = cache.join("disks/0a1b");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("1-MiB.raw"), "disk").unwrap();
        let lock = store::lock(&folder, nix::fcntl::FlockArg::LockShared).unwrap();
        let all = Rule { all: true, ..Rule::default() };
        assert_eq!(prune(&cache, all), []);
        drop(lock);
        assert_eq!(prune(&cache, all)[0].key, "0a1b");
        assert!(!folder.exists());
        assert_eq!(fs::read_dir(cache.join("work")).unwrap().count(), 0);
    }

    #[test]
    fn what_a_living_bake_has_touched_stays() {
        let (_folder, cache) = cache(&[5]);
        let bake = workspace::Workspace::create(&cache).unwrap();
        fs::write(cache.join(format!("downloads/{:064}", 7)), "new").unwrap();
        assert_eq!(days(&prune(&cache, Rule { all: true, ..Rule::default() })), [5]);
        drop(bake);
        assert_eq!(days(&prune(&cache, Rule { all: true, ..Rule::default() })), [7]);
    }
}
