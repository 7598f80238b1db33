//! TEMPORARY: replaced by the store of EBS direct.

use std::path::PathBuf;

use anyhow::Context as _;

/// Blocks by digest.
#[derive(Clone, Debug)]
pub struct Blocks {
    /// The folder.
    pub folder: PathBuf,
}

impl Blocks {
    /// Keeps.
    pub fn put(&self, block: &[u8]) -> anyhow::Result<[u8; 32]> {
        use sha2::Digest as _;
        let digest: [u8; 32] = sha2::Sha256::digest(block).into();
        std::fs::write(self.file(&digest), block).context("keeping a block")?;
        Ok(digest)
    }

    fn file(&self, digest: &[u8; 32]) -> PathBuf {
        let name: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        self.folder.join(name)
    }

    /// Reads.
    pub fn get(&self, digest: &[u8; 32]) -> anyhow::Result<Vec<u8>> {
        std::fs::read(self.file(digest)).context("reading a block")
    }
}
