//! A disk as a table of blocks: what changed between two images, and the digest of one.
//!
//! A block is 512 KiB, as in an EBS snapshot. `NAME.blocks` beside an image holds the SHA-256 of
//! each block, 32 bytes a block, in order; a block of zeros has the digest of zeros, whether it is
//! a hole or not, and a last block that is not full is filled up with zeros. The digest of the disk is the SHA-256 of that table, which is what EBS calls a
//! LINEAR checksum.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use camino::Utf8Path;
use nix::errno::Errno;
use nix::unistd::{Whence, lseek};
use sha2::{Digest as _, Sha256};

use super::parallel::on_all_processors;
use crate::digest::sha256;

/// The size of a block, in bytes.
pub const BLOCK: usize = 512 << 10;

/// The same, where sizes of files are meant.
const BLOCK_BYTES: u64 = BLOCK as u64;

/// The SHA-256 of a block.
pub type Hash = [u8; 32];

/// That of a block of zeros.
pub const ZEROS: Hash = [
    0x07, 0x85, 0x4d, 0x2f, 0xef, 0x29, 0x7a, 0x06, 0xba, 0x81, 0x68, 0x5e, 0x66, 0x0c, 0x33, 0x2d,
    0xe3, 0x6d, 0x5d, 0x18, 0xd5, 0x46, 0x92, 0x7d, 0x30, 0xda, 0xad, 0x6d, 0x7f, 0xda, 0x15, 0x41,
];

/// The digests of a disk's blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    hashes: Vec<Hash>,
}

/// A copy of an earlier disk and its table: what a later one was made from.
#[derive(Debug)]
pub(super) struct Origin<'a> {
    pub disk: &'a File,
    pub table: &'a Table,
}

impl Table {
    /// Reads a disk, on all processors.
    pub fn of(disk: &Utf8Path) -> anyhow::Result<Self> {
        Ok(Self::measure(disk, None)?.0)
    }

    /// Reads a disk and compares it with what it was made from. The second value says whether that
    /// was whole: a block of it with another digest than its table says was damaged. Blocks that are
    /// in the new disk as the table has them are not read in the old one.
    pub(super) fn measure(
        disk: &Utf8Path,
        origin: Option<&Origin<'_>>,
    ) -> anyhow::Result<(Self, bool)> {
        let file = File::open(disk).with_context(|| format!("opening {disk}"))?;
        let bytes = file.metadata()?.len();
        let count =
            usize::try_from(bytes.div_ceil(BLOCK_BYTES)).context("the disk is too large")?;
        let hashes = Mutex::new(vec![ZEROS; count]);
        let (next, damaged) = (AtomicUsize::new(0), AtomicUsize::new(0));
        on_all_processors(|| {
            let (mut now, mut then) = (vec![0; BLOCK], vec![0; BLOCK]);
            loop {
                let block = next.fetch_add(1, Ordering::Relaxed);
                if block >= count {
                    return Ok(());
                }
                let at = block as u64 * BLOCK_BYTES;
                let size = BLOCK.min(usize::try_from(bytes - at).unwrap_or(BLOCK));
                let hole = size == BLOCK && is_hole(&file, at)?;
                let hash: Hash = if hole {
                    ZEROS
                } else {
                    file.read_exact_at(&mut now[..size], at).context("reading the disk")?;
                    now[size..].fill(0);
                    Sha256::digest(&now).into()
                };
                hashes.lock().expect("no thread panics")[block] = hash;
                if let Some(origin) = origin
                    && origin.table.hashes.get(block) != Some(&hash)
                {
                    // Few blocks come here: those that were changed on purpose, and damaged ones.
                    origin.disk.read_exact_at(&mut then[..size], at).context("reading the base")?;
                    then[size..].fill(0);
                    let before: Hash = Sha256::digest(&then).into();
                    if origin.table.hashes.get(block) != Some(&before) {
                        damaged.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        })?;
        let hashes = hashes.into_inner().expect("no thread panics");
        Ok((Self { hashes }, damaged.into_inner() == 0))
    }

    /// The digest of the whole disk.
    pub fn digest(&self) -> String {
        sha256(self.to_bytes())
    }

    /// The digest of each block, in order.
    pub fn digests(&self) -> &[Hash] {
        &self.hashes
    }

    /// Says that a block has another content now.
    pub(super) fn set(&mut self, block: usize, hash: Hash) {
        self.hashes[block] = hash;
    }

    /// How many blocks there are.
    pub const fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// How many blocks of this disk would have to be written over another one's.
    pub fn changed_since(&self, other: &Self) -> usize {
        let mut old = other.hashes.iter();
        self.hashes.iter().filter(|hash| old.next() != Some(hash)).count()
    }

    /// As it stands in a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.hashes.concat()
    }

    /// The table in a file, if it is one and has this digest: another program may have put
    /// something else there.
    pub fn read(path: &Utf8Path, digest: &str) -> Option<Self> {
        let table = Self::from_bytes(&std::fs::read(path).ok()?)?;
        (table.digest() == digest).then_some(table)
    }

    /// The reverse of [`Table::to_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (hashes, rest) = bytes.as_chunks();
        rest.is_empty().then(|| Self { hashes: hashes.to_vec() })
    }
}

/// Whether a block lies in a hole of the file.
fn is_hole(file: impl AsFd, at: u64) -> nix::Result<bool> {
    match lseek(file, at.cast_signed(), Whence::SeekData) {
        Ok(data) => Ok(data.cast_unsigned() >= at + BLOCK_BYTES),
        Err(Errno::ENXIO) => Ok(true),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use camino::Utf8PathBuf;

    fn disk(dir: &tempfile::TempDir, name: &str, blocks: u64) -> (Utf8PathBuf, File) {
        let path = Utf8PathBuf::from_path_buf(dir.path().join(name)).unwrap();
        let file = File::create_new(&path).unwrap();
        file.set_len(blocks * BLOCK_BYTES).unwrap();
        (path, file)
    }

    #[test]
    fn the_table_is_that_of_every_block_and_holes_are_zeros() {
        let dir = tempfile::tempdir().unwrap();
        let (path, file) = disk(&dir, "a", 5);
        file.write_all_at(b"x", BLOCK_BYTES + 7).unwrap();
        file.write_all_at(&vec![0; BLOCK], 3 * BLOCK_BYTES).unwrap();
        let table = Table::of(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let each: Vec<Hash> = whole.chunks(BLOCK).map(|b| Sha256::digest(b).into()).collect();
        assert_eq!(table.hashes, each);
        assert_eq!(table.digest(), sha256(each.concat()));
    }

    #[test]
    fn a_last_block_that_is_not_full_is_filled_up_with_zeros() {
        let dir = tempfile::tempdir().unwrap();
        let (path, file) = disk(&dir, "a", 1);
        file.set_len(BLOCK_BYTES + 10).unwrap();
        file.write_all_at(b"end", BLOCK_BYTES + 2).unwrap();
        let mut last = vec![0; BLOCK];
        last[2..5].copy_from_slice(b"end");
        assert_eq!(Table::of(&path).unwrap().hashes, [ZEROS, Sha256::digest(&last).into()]);
        assert_eq!(ZEROS, <Hash>::from(Sha256::digest(vec![0; BLOCK])));
    }

    #[test]
    fn changed_blocks_are_counted_and_damage_is_not_taken_for_a_change() {
        let dir = tempfile::tempdir().unwrap();
        let (first, file) = disk(&dir, "first", 4);
        file.write_all_at(&vec![1; 3 * BLOCK], 0).unwrap();
        let table = Table::of(&first).unwrap();
        let (second, changed) = disk(&dir, "second", 6);
        std::fs::copy(&first, &second).unwrap();
        changed.set_len(6 * BLOCK_BYTES).unwrap();
        file.set_len(6 * BLOCK_BYTES).unwrap();
        let table = Table::of(&first).unwrap_or(table);
        changed.write_all_at(b"new", BLOCK_BYTES).unwrap();
        changed.write_all_at(b"new", 5 * BLOCK_BYTES).unwrap();
        let origin = Origin { disk: &File::open(&first).unwrap(), table: &table };
        let (after, whole) = Table::measure(&second, Some(&origin)).unwrap();
        assert_eq!((after.changed_since(&table), whole), (2, true));

        // The same byte falls over in both, in a block that was not changed, and in one that was.
        for at in [9, BLOCK_BYTES + 9] {
            for disk in [&file, &changed] {
                disk.write_all_at(b"!", at).unwrap();
            }
            assert!(!Table::measure(&second, Some(&origin)).unwrap().1, "at {at}");
            for disk in [&file, &changed] {
                disk.write_all_at(&[1], at).unwrap();
            }
            assert!(Table::measure(&second, Some(&origin)).unwrap().1, "at {at}");
        }
    }

    #[test]
    fn a_foreign_file_is_no_table() {
        let dir = tempfile::tempdir().unwrap();
        let (path, _file) = disk(&dir, "a", 3);
        let table = Table::of(&path).unwrap();
        let side = Utf8PathBuf::from_path_buf(dir.path().join("a.blocks")).unwrap();
        assert_eq!(Table::read(&side, &table.digest()), None);
        std::fs::write(&side, table.to_bytes()).unwrap();
        assert_eq!(Table::read(&side, &table.digest()), Some(table.clone()));
        assert_eq!(Table::read(&side, &"0".repeat(64)), None);
        std::fs::write(&side, "no table").unwrap();
        assert_eq!(Table::read(&side, &table.digest()), None);
    }
}
