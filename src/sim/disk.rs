//! Snapshots as disks: a snapshot's volume as a sparse raw file, and a raw file as blocks.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};
use sha2::{Digest as _, Sha256};

use super::snapshot::{BLOCK_BYTES, Snapshot};
use super::store::{BlockDigest, Store, ZEROS, digest};

const BLOCK: u64 = BLOCK_BYTES as u64;
/// How many blocks are in a GiB.
const BLOCKS_A_GIB: u64 = (1 << 30) / BLOCK;

impl Snapshot {
    /// Writes a volume of it to `path`, as an instance would find it: what was never written is
    /// zeros, or chance where the volume is encrypted.
    pub fn assemble(&self, store: &Store, path: &Path) -> io::Result<()> {
        let file = File::create(path)?;
        file.set_len(self.volume_gib << 30)?;
        for (index, digest) in &self.blocks {
            if *digest != *ZEROS {
                file.write_all_at(&store.get(digest)?, u64::from(*index) * BLOCK)?;
            }
        }
        if self.kms_key.is_some() {
            self.fill_with_chance(&file)?;
        }
        Ok(())
    }

    /// An encrypted volume that nobody has written decrypts to nonsense. The same one every time.
    fn fill_with_chance(&self, file: &File) -> io::Result<()> {
        for index in 0..self.volume_gib * BLOCKS_A_GIB {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            if !self.blocks.contains_key(&index) {
                file.write_all_at(&chance(&self.id, index), u64::from(index) * BLOCK)?;
            }
        }
        Ok(())
    }
}

/// A block that looks random and follows from where it is.
fn chance(id: &str, index: u32) -> Vec<u8> {
    let seed = Sha256::new().chain_update(id).chain_update(index.to_le_bytes()).finalize();
    let mut state = seed[..8].iter().fold(1, |state, byte| state << 8 | u64::from(*byte));
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    while block.len() < BLOCK_BYTES {
        // xorshift64*: quick, and nobody's secret hangs on it.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        block.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    block
}

/// Keeps the blocks of a raw disk and tells which there are; holes are none.
pub fn import(store: &Store, path: &Path) -> io::Result<BTreeMap<u32, BlockDigest>> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut blocks = BTreeMap::new();
    let mut at = 0;
    while let Some(data) = next_data(&file, at, length)? {
        let index = data / BLOCK;
        let mut block = vec![0; BLOCK_BYTES];
        let here = usize::try_from((length - index * BLOCK).min(BLOCK)).unwrap_or(BLOCK_BYTES);
        file.read_exact_at(&mut block[..here], index * BLOCK)?;
        let digest = digest(&block);
        store.put(&digest, &block)?;
        blocks.insert(u32::try_from(index).map_err(io::Error::other)?, digest);
        at = (index + 1) * BLOCK;
    }
    Ok(blocks)
}

/// Where data begins at or after `at`.
fn next_data(file: &File, at: u64, length: u64) -> io::Result<Option<u64>> {
    if at >= length {
        return Ok(None);
    }
    let offset = i64::try_from(at).map_err(io::Error::other)?;
    match lseek(file, offset, Whence::SeekData) {
        Ok(data) => Ok(u64::try_from(data).ok()),
        Err(Errno::ENXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::snapshot::tests::empty;

    #[test]
    fn a_disk_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let file = File::create(&from).unwrap();
        file.set_len(1 << 30).unwrap();
        file.write_all_at(b"begin", 0).unwrap();
        file.write_all_at(b"middle", 100 * BLOCK + 17).unwrap();
        let store = Store::temporary().unwrap();
        let blocks = import(&store, &from).unwrap();
        assert!(blocks.contains_key(&0) && blocks.contains_key(&100), "{:?}", blocks.keys());

        let snapshot = Snapshot { blocks, ..empty("snap-1", 1) };
        snapshot.assemble(&store, &to).unwrap();
        assert!(std::fs::read(&from).unwrap() == std::fs::read(&to).unwrap());
    }

    #[test]
    fn what_was_not_written_is_chance_where_it_is_encrypted() {
        assert_eq!(chance("snap-1", 7), chance("snap-1", 7));
        assert_ne!(chance("snap-1", 7), chance("snap-1", 8));
        assert_eq!(chance("snap-1", 7).len(), BLOCK_BYTES);
    }
}
