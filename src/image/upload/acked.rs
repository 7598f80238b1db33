//! The blocks that AWS has acknowledged, in a file: an upload that was interrupted sends the rest.
//!
//! `ID.acked` beside the journal of the build. A header says which upload it is of; then four bytes
//! a block, appended when its put is answered. A torn end is left out: its block is put again, which
//! changes nothing. A snapshot is told at its end how many blocks were put over all runs, and that
//! is the whole plan, however often a block was sent.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use anyhow::Context as _;
use camino::Utf8Path;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::plan::Plan;
use crate::aws::ebs::Checksum;
use crate::error::Fault;

/// What the file begins with: its kind, and the version of its form.
const KIND: &[u8; 8] = b"hkacked1";

/// Kind, when the snapshot was begun (seconds since 1970), and which upload it is.
const HEADER: usize = 8 + 8 + 32;

/// The record of one upload.
#[derive(Debug)]
pub(super) struct Acked {
    file: File,
    begun: Timestamp,
    /// Whether there was an earlier run.
    again: bool,
    /// For each block of the plan, whether it was acknowledged before.
    before: Vec<bool>,
}

/// Which upload this is: the snapshot, and every block that it is to get.
fn identity(snapshot: &str, plan: &Plan) -> Checksum {
    Sha256::new().chain_update(plan.identity()).chain_update(snapshot).finalize().into()
}

impl Acked {
    /// Opens the record of an upload, or begins it.
    ///
    /// # Errors
    /// The file is of another upload: what was put then and is not in this plan would stay.
    pub(super) fn open(path: &Utf8Path, snapshot: &str, plan: &Plan) -> anyhow::Result<Self> {
        let fault =
            || Fault::environment(format!("the record of sent blocks {path} is not usable"));
        let old = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error).with_context(fault),
        };
        let identity = identity(snapshot, plan);
        let mut options = OpenOptions::new();
        options.create(true).append(true).mode(0o600);
        let mut file = options.open(path).with_context(fault)?;
        let mut before = vec![false; plan.puts().len()];
        // Without a whole header nothing was put yet.
        let Some((header, entries)) = old.split_at_checked(HEADER) else {
            let begun = Timestamp::from_second(Timestamp::now().as_second())?;
            file.set_len(0).with_context(fault)?;
            let header = [&KIND[..], &begun.as_second().to_be_bytes(), &identity].concat();
            file.write_all(&header).with_context(fault)?;
            return Ok(Self { file, begun, again: false, before });
        };
        if header[..8] != *KIND || header[16..] != identity {
            let text = format!("{path} is the record of another upload");
            return Err(Fault::environment(text)
                .hint("the disk or its parent has changed since: begin anew, without --resume")
                .into());
        }
        let seconds = i64::from_be_bytes(header[8..16].try_into().expect("these are eight bytes"));
        let begun = Timestamp::from_second(seconds).with_context(fault)?;
        let (entries, _torn) = entries.as_chunks();
        // An entry is the block's place and one: zeros are what a file has that lost its power.
        let known = entries.iter().map_while(|entry| u32::from_be_bytes(*entry).checked_sub(1));
        let mut good = 0;
        for index in known {
            if let Ok(nth) = plan.puts().binary_search_by_key(&index, |put| put.index) {
                before[nth] = true;
            }
            good += 1;
        }
        file.set_len((HEADER + good * 4) as u64).with_context(fault)?;
        Ok(Self { file, begun, again: true, before })
    }

    /// When the first run began.
    pub(super) const fn begun(&self) -> Timestamp {
        self.begun
    }

    /// Whether an earlier run has put all there is to put, and may have completed the snapshot.
    pub(super) fn may_be_complete(&self) -> bool {
        self.again && self.before.iter().all(|known| *known)
    }

    /// How many blocks were acknowledged in earlier runs.
    pub(super) fn known(&self) -> u32 {
        u32::try_from(self.before.iter().filter(|known| **known).count()).unwrap_or(u32::MAX)
    }

    /// Whether the nth block of the plan was acknowledged in an earlier run.
    pub(super) fn before(&self, nth: usize) -> bool {
        self.before[nth]
    }

    /// Writes down that a block was acknowledged. Any thread may.
    pub(super) fn add(&self, index: u32) -> io::Result<()> {
        (&self.file).write_all(&(index + 1).to_be_bytes())
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8PathBuf;

    use super::*;
    use crate::image::blocks::Table;
    use crate::image::upload::plan::Ground;

    fn plan(blocks: u8) -> Plan {
        let hashes: Vec<_> = (1..=blocks).map(|block| [block; 32]).collect();
        Plan::new(&Table::from_bytes(&hashes.concat()).unwrap(), &Ground::Zeros)
    }

    fn before(acked: &Acked) -> Vec<usize> {
        (0..acked.before.len()).filter(|nth| acked.before(*nth)).collect()
    }

    #[test]
    fn what_was_acknowledged_is_known_to_the_next_run_and_a_torn_end_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().join("b.acked")).unwrap();
        let plan = plan(9);
        let first = Acked::open(&path, "snap-1", &plan).unwrap();
        assert_eq!(before(&first), [0; 0]);
        for index in [0, 7, 3] {
            first.add(index).unwrap();
        }
        let torn = [[0, 0, 0].as_slice(), &[0, 0, 0, 0, 0, 0, 0, 3], &[0, 0, 0, 99]];
        for end in torn {
            let whole = std::fs::read(&path).unwrap();
            std::fs::write(&path, [&whole[..], end].concat()).unwrap();
            let next = Acked::open(&path, "snap-1", &plan).unwrap();
            assert_eq!(before(&next), [0, 3, 7], "{end:?}");
            assert_eq!(next.begun(), first.begun());
        }
        let again = Acked::open(&path, "snap-1", &plan).unwrap();
        again.add(8).unwrap();
        assert_eq!(before(&Acked::open(&path, "snap-1", &plan).unwrap()), [0, 3, 7, 8]);
    }

    #[test]
    fn half_a_header_is_no_upload_and_another_one_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().join("b.acked")).unwrap();
        std::fs::write(&path, b"hkacked1\0\0").unwrap();
        Acked::open(&path, "snap-1", &plan(3)).unwrap().add(1).unwrap();
        assert_eq!(before(&Acked::open(&path, "snap-1", &plan(3)).unwrap()), [1]);
        for (snapshot, plan) in [("snap-2", plan(3)), ("snap-1", plan(4))] {
            let error = Acked::open(&path, snapshot, &plan).unwrap_err();
            assert!(error.to_string().contains("another upload"), "{error}");
        }
    }
}
