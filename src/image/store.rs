//! The layers in the cache: each is whole or not there, known by its key, locked while it is used.
//!
//! `layers/KEY/tree` is the layer and `layers/KEY/layer.json` says what it is; `resolved/SEED.json`
//! is the newest choice of packages for a layer. Never decides what a layer is made of.

use std::fs::File;
use std::io;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::stamp;
use crate::plan::lock::Resolution;
use crate::sys::atomic;

/// How long a choice of packages is taken for the newest. Without a limit an image without a lock
/// would be as old as the first bake on the machine.
const RESOLUTION_LIFETIME: Duration = Duration::from_hours(24 * 7);

/// What `layer.json` says. One of another form is as good as none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    /// Which layer of a tree it is.
    pub part: String,
    /// The recipe that it was built for first.
    pub recipe: String,
    /// The digest of the layer below, on whose content it was built.
    pub below: String,
    /// The digest of its content.
    pub digest: String,
    /// The epoch that the digest was made with.
    pub epoch: i64,
    /// Whether anybody has touched it since: see [`stamp::stamp`].
    pub stamp: String,
    /// What it takes on the disk.
    pub bytes: u64,
    /// The packages that were chosen in it.
    pub packages: Option<Resolution>,
}

/// A choice of packages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Choice {
    /// The clock of the bake that made it.
    pub epoch: i64,
    /// The packages.
    pub packages: Resolution,
}

/// A layer that this process uses: nobody removes it meanwhile.
#[derive(Debug)]
pub(super) struct Held {
    /// The layer.
    pub tree: Utf8PathBuf,
    /// What it is.
    pub record: Record,
    _lock: Option<Flock<File>>,
}

impl Held {
    /// Says that it was of use now.
    pub(super) fn touch(&self) {
        let record = self.tree.with_file_name("layer.json");
        let touched = File::open(record).and_then(|file| file.set_modified(SystemTime::now()));
        if let Err(error) = touched {
            tracing::debug!(%error, layer = %self.tree, "a layer keeps its old time");
        }
    }
}

/// What became of a look into the cache.
#[derive(Debug)]
pub(super) enum Found {
    /// It is there.
    Whole(Box<Held>),
    /// It is there and is not what it was: why.
    Broken(String),
    /// It is not there.
    Nothing,
}

/// The layers in a cache.
#[derive(Clone, Debug)]
pub(super) struct Store {
    cache: Utf8PathBuf,
}

impl Store {
    /// The layers in `cache`, which need not exist.
    pub(super) fn new(cache: &Utf8Path) -> Self {
        Self { cache: cache.to_owned() }
    }

    /// The folder of all layers.
    pub(super) fn folder(&self) -> Utf8PathBuf {
        self.cache.join("layers")
    }

    /// Whether a layer is there. Not whether it is whole.
    pub(super) fn has(&self, key: &str) -> bool {
        record_of(&self.folder().join(key)).is_file()
    }

    /// Finds a layer, locks it, and looks whether it is what it was when it was built.
    pub(super) fn find(&self, key: &str, below: &str) -> anyhow::Result<Found> {
        let folder = self.folder().join(key);
        // Whoever removes a layer has it locked for himself, and takes it away under our hands.
        let Some(lock) = lock(&folder, FlockArg::LockSharedNonblock) else {
            return Ok(Found::Nothing);
        };
        let Some(mut record) = read::<Record>(&record_of(&folder)) else {
            return Ok(Found::Broken("its record cannot be read".to_owned()));
        };
        let tree = folder.join("tree");
        if record.below != below {
            return Ok(Found::Broken("the layer below it has changed".to_owned()));
        }
        if stamp::stamp(&tree).ok().as_ref() != Some(&record.stamp) {
            // A cache that was copied has other numbers and times, and may have the same content.
            match stamp::measure(&tree, record.epoch) {
                Ok(measure) if measure.digest == record.digest => record.stamp = measure.stamp,
                Ok(_) => return Ok(Found::Broken("its content has changed".to_owned())),
                Err(error) => return Ok(Found::Broken(error.to_string())),
            }
            write(&record_of(&folder), &record).context("keeping the record of a layer")?;
        }
        Ok(Found::Whole(Box::new(Held { tree, record, _lock: Some(lock) })))
    }

    /// Takes a finished layer over: `fresh` has a `tree` in it, is on the same file system, and
    /// becomes `layers/KEY`. If another bake was quicker, `fresh` stays where it is, and is used.
    pub(super) fn keep(&self, key: &str, fresh: &Utf8Path, record: Record) -> anyhow::Result<Held> {
        write(&record_of(fresh), &record).context("writing the record of a layer")?;
        std::fs::create_dir_all(self.folder()).context("making the folder of the layers")?;
        let folder = self.folder().join(key);
        let lock = lock(fresh, FlockArg::LockSharedNonblock);
        let (folder, lock) = match std::fs::rename(fresh, &folder) {
            Ok(()) => (folder, lock),
            Err(error) if is_taken(&error) => (fresh.to_owned(), None),
            Err(error) => return Err(error).context("keeping a layer"),
        };
        Ok(Held { tree: folder.join("tree"), record, _lock: lock })
    }

    /// Moves a layer out of the cache to `grave`, unless somebody uses it. Says whether it is gone.
    pub(super) fn discard(&self, key: &str, grave: &Utf8Path) -> bool {
        take_away(&self.folder().join(key), grave)
    }

    /// The newest choice of packages for a layer, if it is not too old.
    pub(super) fn resolution(&self, seed: &str) -> Option<Choice> {
        let path = self.resolved(seed);
        let made = std::fs::metadata(&path).and_then(|meta| meta.modified()).ok()?;
        let age = SystemTime::now().duration_since(made).ok()?;
        (age < RESOLUTION_LIFETIME).then(|| read(&path)).flatten()
    }

    /// Keeps a choice of packages.
    pub(super) fn resolve(&self, seed: &str, choice: &Choice) -> anyhow::Result<()> {
        let path = self.resolved(seed);
        std::fs::create_dir_all(super::directory_of(&path)).context("making a folder")?;
        write(&path, choice).context("keeping the choice of packages")
    }

    fn resolved(&self, seed: &str) -> Utf8PathBuf {
        self.cache.join("resolved").join(format!("{seed}.json"))
    }
}

pub(super) fn record_of(folder: &Utf8Path) -> Utf8PathBuf {
    folder.join("layer.json")
}

/// Moves a folder out of the cache to `grave`, unless somebody uses it. Says whether it is gone.
pub(super) fn take_away(folder: &Utf8Path, grave: &Utf8Path) -> bool {
    let Some(_lock) = lock(folder, FlockArg::LockExclusiveNonblock) else { return false };
    std::fs::rename(folder, grave).is_ok()
}

/// Locks the folder itself, which goes with what is in it. None if somebody else has it locked or
/// it is not, or no longer, there.
pub(super) fn lock(folder: &Utf8Path, how: FlockArg) -> Option<Flock<File>> {
    use std::os::unix::fs::MetadataExt as _;
    let lock = Flock::lock(File::open(folder).ok()?, how).ok()?;
    let (there, ours) = (std::fs::metadata(folder).ok()?, lock.metadata().ok()?);
    (there.ino() == ours.ino()).then_some(lock)
}

pub(super) fn read<T: for<'de> Deserialize<'de>>(path: &Utf8Path) -> Option<T> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn write(path: &Utf8Path, value: &impl Serialize) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(value).map_err(io::Error::other)?;
    atomic::write(path, &text, 0o600).map(drop)
}

/// A folder that is there and not empty.
fn is_taken(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const KEY: &str = "0a1b";

    fn record(tree: &Utf8Path, below: &str) -> Record {
        let measure = stamp::measure(tree, i64::MAX).unwrap();
        Record {
            part: "files".into(),
            recipe: "mine".into(),
            below: below.into(),
            digest: measure.digest,
            epoch: i64::MAX,
            stamp: measure.stamp,
            bytes: measure.bytes,
            packages: None,
        }
    }

    fn store() -> (tempfile::TempDir, Utf8PathBuf, Store) {
        let folder = tempfile::tempdir().unwrap();
        let cache = Utf8Path::from_path(folder.path()).unwrap().to_owned();
        (folder, cache.clone(), Store::new(&cache))
    }

    fn keep(cache: &Utf8Path, store: &Store, text: &str) -> Held {
        let fresh = cache.join(format!("fresh-{text}"));
        fs::create_dir_all(fresh.join("tree")).unwrap();
        fs::write(fresh.join("tree/file"), text).unwrap();
        store.keep(KEY, &fresh, record(&fresh.join("tree"), "base")).unwrap()
    }

    #[test]
    fn a_layer_is_found_while_it_is_what_it_was_on_what_it_was_built() {
        let (_folder, cache, store) = store();
        assert!(matches!(store.find(KEY, "base").unwrap(), Found::Nothing));
        drop(keep(&cache, &store, "one"));
        assert!(store.has(KEY));
        assert!(matches!(store.find(KEY, "base").unwrap(), Found::Whole(_)));
        assert!(matches!(store.find(KEY, "other").unwrap(), Found::Broken(_)));
        fs::write(store.folder().join(KEY).join("tree/file"), "two").unwrap();
        let Found::Broken(why) = store.find(KEY, "base").unwrap() else { panic!() };
        assert_eq!(why, "its content has changed");
    }

    #[test]
    fn a_copied_cache_is_as_good_as_the_one_that_it_was_copied_from() {
        let (_folder, cache, store) = store();
        drop(keep(&cache, &store, "one"));
        let file = store.folder().join(KEY).join("tree/file");
        fs::rename(&file, file.with_extension("old")).unwrap();
        fs::copy(file.with_extension("old"), &file).unwrap();
        let old = File::open(file.with_extension("old")).unwrap();
        let time = old.metadata().unwrap().modified().unwrap();
        File::open(&file).unwrap().set_modified(time).unwrap();
        fs::remove_file(file.with_extension("old")).unwrap();
        assert!(matches!(store.find(KEY, "base").unwrap(), Found::Whole(_)));
    }

    #[test]
    fn a_layer_in_use_is_not_taken_away_and_the_slower_of_two_bakes_keeps_its_own() {
        let (_folder, cache, store) = store();
        let held = keep(&cache, &store, "one");
        assert!(!store.discard(KEY, &cache.join("grave")));
        let own = keep(&cache, &store, "two");
        assert_eq!(own.tree, cache.join("fresh-two/tree"));
        drop((held, own));
        assert!(store.discard(KEY, &cache.join("grave")));
        assert!(matches!(store.find(KEY, "base").unwrap(), Found::Nothing));
    }
}
