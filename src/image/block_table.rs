//! The table of a disk's blocks, on the disk itself: a partition of 1 MiB.
//!
//! So the snapshot of an image says what each of its blocks is, to whoever has nothing but the
//! snapshot: a fresh build machine reads one or two blocks of it and sends only those that differ.
//! The two blocks of the partition cannot name themselves; in the table they are zeros, and whoever
//! reads them hashes them.
//!
//! A header of 4096 bytes (magic, form, size of a block, number of blocks, SHA-256 of what follows),
//! then 32 bytes a block. A disk that is too large for it has none.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use super::blocks::{BLOCK, Table};
use super::layout::TABLE;

/// The first bytes of the partition.
const MAGIC: &[u8; 8] = b"HKBLOCKS";
/// The form of the rest.
const FORM: u32 = 1;
/// Where the digests begin.
const HEADER: usize = 4096;
/// The size of the partition, in bytes.
const ROOM: usize = 1 << 20;

/// The blocks of the disk that are the partition: the first one and how many.
pub const BLOCKS: std::ops::Range<u32> = 126..128;

/// Writes `table`, the one of the disk as it is, onto the disk, and tells the table that the disk has
/// then. A disk that is too large for it is left alone.
pub(super) fn write(disk: &File, table: Table) -> anyhow::Result<Table> {
    let Some(bytes) = encode(&table) else { return Ok(table) };
    disk.write_all_at(&bytes, TABLE.start).context("writing the table of blocks onto the disk")?;
    Ok(itself(table, &bytes))
}

/// The table of a whole disk from the two blocks of its partition, the second absent where it was not
/// needed; none if they are no such table.
pub fn read(first: &[u8], second: Option<&[u8]>) -> Option<Table> {
    let mut bytes = first.to_vec();
    bytes.extend_from_slice(second.unwrap_or_default());
    let number = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let count = usize::try_from(number(16)?).ok()?;
    let known = bytes.starts_with(MAGIC)
        && number(8)? == FORM
        && usize::try_from(number(12)?).ok()? == BLOCK;
    let digests = bytes.get(HEADER..HEADER + count * 32).filter(|_| known)?;
    let intact = Sha256::digest(digests).as_slice() == bytes.get(32..64)?;
    let table = Table::from_bytes(digests).filter(|_| intact)?;
    bytes.resize(ROOM, 0);
    Some(itself(table, &bytes))
}

/// Whether the second block of the partition is needed, as its first block says.
pub fn goes_on(first: &[u8]) -> bool {
    let count = first.get(16..20).and_then(|bytes| bytes.first_chunk().copied());
    let count = usize::try_from(u32::from_le_bytes(count.unwrap_or_default())).unwrap_or(0);
    HEADER + count.saturating_mul(32) > BLOCK
}

fn encode(table: &Table) -> Option<Vec<u8>> {
    let count = u32::try_from(table.len()).ok()?;
    let fits = HEADER + table.len() * 32 <= ROOM && count >= BLOCKS.end;
    let mut digests = table.to_bytes();
    let own = 32 * BLOCKS.start as usize..32 * BLOCKS.end as usize;
    digests.get_mut(own).filter(|_| fits)?.fill(0);
    let mut bytes = Vec::with_capacity(ROOM);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&FORM.to_le_bytes());
    bytes.extend_from_slice(&u32::try_from(BLOCK).ok()?.to_le_bytes());
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.resize(32, 0);
    bytes.extend_from_slice(&Sha256::digest(&digests));
    bytes.resize(HEADER, 0);
    bytes.extend_from_slice(&digests);
    bytes.resize(ROOM, 0);
    Some(bytes)
}

/// The table with the digests of the partition itself.
fn itself(mut table: Table, partition: &[u8]) -> Table {
    for (block, content) in BLOCKS.zip(partition.chunks(BLOCK)) {
        table.set(block as usize, Sha256::digest(content).into());
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use camino::Utf8PathBuf;

    fn disk(dir: &tempfile::TempDir, blocks: u64) -> (Utf8PathBuf, File) {
        let path = Utf8PathBuf::from_path_buf(dir.path().join("disk")).unwrap();
        let mut options = File::options();
        let file = options.read(true).write(true).create_new(true).open(&path).unwrap();
        file.set_len(blocks * BLOCK as u64).unwrap();
        (path, file)
    }

    fn block(disk: &File, number: u32) -> Vec<u8> {
        let mut bytes = vec![0; BLOCK];
        disk.read_exact_at(&mut bytes, u64::from(number) * BLOCK as u64).unwrap();
        bytes
    }

    #[test]
    fn a_disk_tells_its_own_table() {
        let dir = tempfile::tempdir().unwrap();
        let (path, disk) = disk(&dir, 17000);
        disk.write_all_at(b"root", 200 * BLOCK as u64).unwrap();
        let told = write(&disk, Table::of(&path).unwrap()).unwrap();
        assert_eq!(told, Table::of(&path).unwrap(), "what is told is what is there");
        let (first, second) = (block(&disk, BLOCKS.start), block(&disk, BLOCKS.start + 1));
        assert!(goes_on(&first));
        assert_eq!(read(&first, Some(&second)), Some(told));
        assert_eq!(read(&first, None), None, "half a table is none");
    }

    #[test]
    fn a_usual_disk_needs_one_block_and_a_damaged_table_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let (path, disk) = disk(&dir, 512);
        let told = write(&disk, Table::of(&path).unwrap()).unwrap();
        let mut first = block(&disk, BLOCKS.start);
        assert!(!goes_on(&first));
        assert_eq!(read(&first, None), Some(told));
        first[HEADER + 7] ^= 1;
        assert_eq!(read(&first, None), None);
        assert_eq!(read(&vec![0; BLOCK], None), None);
        assert_eq!(read(b"", None), None);
    }

    #[test]
    fn a_disk_that_is_too_large_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (path, file) = disk(&dir, 40_000);
        let table = Table::of(&path).unwrap();
        assert_eq!(write(&file, table.clone()).unwrap(), table);
        assert_eq!(Table::of(&path).unwrap(), table);
    }

    #[test]
    fn it_is_where_the_layout_has_it() {
        assert_eq!(u64::from(BLOCKS.start) * BLOCK as u64, TABLE.start);
        assert_eq!(ROOM as u64, TABLE.bytes);
    }
}
