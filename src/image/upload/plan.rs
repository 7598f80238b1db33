//! Which blocks are put. Pure.
//!
//! A block is put if a volume made of the snapshot would read as something else without it. What
//! was never written reads as zeros where nothing is encrypted, as what the parent has there, or,
//! in an encrypted snapshot, as anything at all.

use sha2::{Digest as _, Sha256};

use crate::aws::ebs::Checksum;
use crate::image::blocks::{Hash, Table, ZEROS};

/// What is there before anything is put.
#[derive(Clone, Copy, Debug)]
pub enum Ground<'a> {
    /// Zeros: there is no parent, and nothing is encrypted.
    Zeros,
    /// What nobody knows: an encrypted snapshot without a parent, or a parent whose table is lost.
    Unknown,
    /// A parent.
    Parent {
        /// What it has.
        table: &'a Table,
        /// Whether what it has not is anything at all.
        encrypted: bool,
    },
}

/// Where the bytes of a block come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// The disk.
    Disk,
    /// They are zeros, and nothing is read.
    Zeros,
}

/// A block to put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Put {
    /// Its place.
    pub index: u32,
    /// Its bytes.
    pub content: Content,
}

/// All blocks to put, in order, and their digests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    puts: Vec<Put>,
    hashes: Vec<Hash>,
}

impl Ground<'_> {
    /// The digest of what is there, if that is known.
    fn hash(&self, index: usize) -> Option<Hash> {
        match self {
            Self::Zeros => Some(ZEROS),
            Self::Unknown => None,
            Self::Parent { table, encrypted } => {
                let beyond = (!encrypted).then_some(ZEROS);
                table.digests().get(index).copied().or(beyond)
            }
        }
    }

    /// How many blocks may be something else than zeros.
    const fn len(&self) -> usize {
        match self {
            Self::Zeros | Self::Unknown => 0,
            Self::Parent { table, .. } => table.len(),
        }
    }
}

impl Plan {
    /// What makes `ground` read as `disk`, and as zeros where the ground is larger.
    pub fn new(disk: &Table, ground: &Ground<'_>) -> Self {
        let mut plan = Self { puts: Vec::new(), hashes: Vec::new() };
        for index in 0..disk.len().max(ground.len()) {
            let hash = disk.digests().get(index).copied().unwrap_or(ZEROS);
            if ground.hash(index) != Some(hash) {
                let content = if hash == ZEROS { Content::Zeros } else { Content::Disk };
                let index = u32::try_from(index).expect("a snapshot has at most 2^27 blocks");
                plan.puts.push(Put { index, content });
                plan.hashes.push(hash);
            }
        }
        plan
    }

    /// The blocks, in order.
    pub fn puts(&self) -> &[Put] {
        &self.puts
    }

    /// The digest of the nth of them.
    pub fn hash(&self, nth: usize) -> &Hash {
        &self.hashes[nth]
    }

    /// How many there are.
    pub fn len(&self) -> u32 {
        u32::try_from(self.puts.len()).expect("a snapshot has at most 2^27 blocks")
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.puts.is_empty()
    }

    /// How many of them are zeros.
    pub fn zeros(&self) -> u32 {
        let zeros = self.puts.iter().filter(|put| put.content == Content::Zeros).count();
        u32::try_from(zeros).expect("a snapshot has at most 2^27 blocks")
    }

    /// What EBS calls the LINEAR checksum: the SHA-256 over the digests of what is put, in order.
    pub fn linear(&self) -> Checksum {
        self.hashes.iter().fold(Sha256::new(), Sha256::chain_update).finalize().into()
    }

    /// What tells this plan from any other: places and digests.
    pub fn identity(&self) -> Checksum {
        let mut sum = Sha256::new();
        for (put, hash) in self.puts.iter().zip(&self.hashes) {
            sum.update(put.index.to_be_bytes());
            sum.update(hash);
        }
        sum.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A disk of small numbers: zero is a block of zeros.
    fn table(blocks: &[u8]) -> Table {
        let hashes = blocks.iter().map(|block| if *block == 0 { ZEROS } else { [*block; 32] });
        Table::from_bytes(&hashes.collect::<Vec<_>>().concat()).unwrap()
    }

    /// What a volume reads as: `None` is anything at all.
    fn written(ground: &[Option<u8>], plan: &Plan, len: usize) -> Vec<Option<u8>> {
        let mut volume = ground.to_vec();
        volume.resize(volume.len().max(len), None);
        for (nth, put) in plan.puts().iter().enumerate() {
            let byte = plan.hash(nth)[0];
            let zeros = put.content == Content::Zeros;
            assert_eq!(zeros, *plan.hash(nth) == ZEROS);
            volume[put.index as usize] = Some(if zeros { 0 } else { byte });
        }
        volume
    }

    fn disk(most: usize) -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop_oneof![Just(0u8), 1..4u8], 0..most)
    }

    proptest! {
        #[test]
        fn a_volume_reads_as_the_disk_whatever_was_there(
            new in disk(40), old in disk(40), encrypted: bool, has_parent: bool,
        ) {
            let unwritten = (!encrypted).then_some(0);
            let len = new.len().max(old.len());
            let parent = table(&old);
            let (ground, mut before) = if has_parent {
                let known = old.iter().copied().map(Some).collect();
                (Ground::Parent { table: &parent, encrypted }, known)
            } else {
                (if encrypted { Ground::Unknown } else { Ground::Zeros }, Vec::new())
            };
            before.resize(len, unwritten);
            let plan = Plan::new(&table(&new), &ground);
            let after = written(&before, &plan, len);
            for (index, block) in after.iter().enumerate() {
                match new.get(index) {
                    Some(block_of_disk) => prop_assert_eq!(*block, Some(*block_of_disk)),
                    // Past the end of the disk only what a parent had there is wiped.
                    None if has_parent && index < old.len() => prop_assert_eq!(*block, Some(0)),
                    None => {}
                }
            }
            // Nothing is put that was there already, and all in order.
            for put in plan.puts() {
                let wanted = new.get(put.index as usize).copied().unwrap_or(0);
                prop_assert_ne!(before[put.index as usize], Some(wanted));
            }
            prop_assert!(plan.puts().is_sorted_by_key(|put| put.index));
            prop_assert_eq!(plan.zeros() as usize, after.iter().zip(&before)
                .filter(|(after, before)| **after == Some(0) && **before != Some(0)).count());
        }
    }

    #[test]
    fn one_changed_block_is_one_put_and_an_empty_plan_is_none() {
        let (old, new) = (table(&[1, 0, 2, 3]), table(&[1, 0, 9, 3]));
        let ground = Ground::Parent { table: &old, encrypted: false };
        let plan = Plan::new(&new, &ground);
        assert_eq!(plan.puts(), [Put { index: 2, content: Content::Disk }]);
        assert_eq!(plan.linear(), <Checksum>::from(Sha256::digest([9; 32])));
        assert!(Plan::new(&old, &ground).is_empty());
        assert_ne!(plan.identity(), Plan::new(&new, &Ground::Zeros).identity());
    }

    #[test]
    fn the_checksum_of_a_disk_that_is_put_whole_is_its_digest() {
        let disk = table(&[1, 0, 2]);
        let plan = Plan::new(&disk, &Ground::Unknown);
        assert_eq!((plan.len(), plan.zeros()), (3, 1));
        assert_eq!(crate::digest::hex(&plan.linear()), disk.digest());
    }
}
