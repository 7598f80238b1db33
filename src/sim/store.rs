//! The contents of all blocks, each once, under its SHA-256.
//!
//! One file of blocks and, where it is to be found again, one of their digests beside it: block
//! number n of the one belongs to line n of the other. A block of zeros takes no place. Nothing is
//! ever taken away while the account is open; the places of what no snapshot has any more are used
//! again when it is opened the next time.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::snapshot::BLOCK_BYTES;

/// The SHA-256 of a block.
pub type BlockDigest = [u8; 32];

const DIGEST_BYTES: usize = 32;

/// The digest of a block of zeros.
pub static ZEROS: LazyLock<BlockDigest> = LazyLock::new(|| digest(&vec![0; BLOCK_BYTES]));

/// The SHA-256 of `bytes`.
pub fn digest(bytes: &[u8]) -> BlockDigest {
    Sha256::digest(bytes).into()
}

/// See the module.
#[derive(Debug)]
pub struct Store {
    blocks: File,
    digests: Option<File>,
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    taken: HashMap<BlockDigest, u64>,
    free: Vec<u64>,
    next: u64,
}

impl Store {
    /// One that nobody else sees, and that is gone when it is dropped.
    pub fn temporary() -> io::Result<Self> {
        Ok(Self { blocks: tempfile::tempfile()?, digests: None, places: Mutex::default() })
    }

    /// One in a folder, with what is there of the blocks that are `wanted` still.
    pub fn open(folder: &Path, wanted: &HashSet<BlockDigest>) -> io::Result<Self> {
        let open = |name: &str| {
            let mut options = OpenOptions::new();
            options.create(true).truncate(false).read(true).write(true).open(folder.join(name))
        };
        let (blocks, digests) = (open("blocks.data")?, open("blocks.index")?);
        let mut index = vec![0; usize::try_from(digests.metadata()?.len()).unwrap_or(0)];
        digests.read_exact_at(&mut index, 0)?;
        let mut places = Places::default();
        let (lines, _torn) = index.as_chunks::<DIGEST_BYTES>();
        for line in lines {
            let place = places.next;
            places.next += 1;
            if !wanted.contains(line) || places.taken.insert(*line, place).is_some() {
                places.free.push(place);
            }
        }
        Ok(Self { blocks, digests: Some(digests), places: Mutex::new(places) })
    }

    /// Keeps a block that has that digest: the caller has seen to it.
    pub fn put(&self, digest: &BlockDigest, block: &[u8]) -> io::Result<()> {
        debug_assert_eq!(block.len(), BLOCK_BYTES);
        if *digest == *ZEROS {
            return Ok(());
        }
        let place = {
            let mut places = self.places();
            if places.taken.contains_key(digest) {
                return Ok(());
            }
            places.free.pop().unwrap_or_else(|| {
                places.next += 1;
                places.next - 1
            })
        };
        // Known only once it is whole: two that bring the same block may both write it.
        self.blocks.write_all_at(block, place * BLOCK_BYTES as u64)?;
        if let Some(digests) = &self.digests {
            digests.write_all_at(digest, place * DIGEST_BYTES as u64)?;
        }
        self.places().taken.insert(*digest, place);
        Ok(())
    }

    /// The block that has a digest.
    pub fn get(&self, digest: &BlockDigest) -> io::Result<Bytes> {
        let mut block = vec![0; BLOCK_BYTES];
        if *digest != *ZEROS {
            let place = self.places().taken.get(digest).copied();
            let place = place.ok_or_else(|| io::Error::other("a block was lost"))?;
            self.blocks.read_exact_at(&mut block, place * BLOCK_BYTES as u64)?;
        }
        Ok(block.into())
    }

    /// How many different blocks it has, zeros aside.
    pub fn len(&self) -> usize {
        self.places().taken.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(byte: u8) -> (BlockDigest, Vec<u8>) {
        let block = vec![byte; BLOCK_BYTES];
        (digest(&block), block)
    }

    #[test]
    fn the_same_block_is_kept_once_and_zeros_not_at_all() {
        let store = Store::temporary().unwrap();
        let (one, content) = block(1);
        store.put(&one, &content).unwrap();
        store.put(&one, &content).unwrap();
        store.put(&ZEROS, &block(0).1).unwrap();
        assert_eq!(store.len(), 1);
        assert_eq!(store.get(&one).unwrap(), content);
        assert_eq!(store.get(&ZEROS).unwrap(), block(0).1);
        assert!(store.get(&block(2).0).is_err());
    }

    #[test]
    fn a_folder_has_what_is_wanted_still_and_room_for_others() {
        let folder = tempfile::tempdir().unwrap();
        let ((one, first), (two, second), (three, third)) = (block(1), block(2), block(3));
        let store = Store::open(folder.path(), &HashSet::new()).unwrap();
        store.put(&one, &first).unwrap();
        store.put(&two, &second).unwrap();
        drop(store);

        let store = Store::open(folder.path(), &HashSet::from([two])).unwrap();
        assert!(store.get(&one).is_err());
        store.put(&three, &third).unwrap();
        assert_eq!(store.get(&two).unwrap(), second);
        let length = std::fs::metadata(folder.path().join("blocks.data")).unwrap().len();
        assert_eq!(length, 2 * BLOCK_BYTES as u64);
    }
}
