//! What was fetched and verified before, by its digest: fetched once, whoever needs it.
//!
//! A file is kept only under the digest that its bytes have been checked against, so that two
//! builds at a time, two repositories with a package of the same name, or a publisher who replaces
//! one in place cannot give each other the wrong file.

use std::fmt;
use std::fs;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use camino::{Utf8Path, Utf8PathBuf};

use super::archive::Archive;
use crate::digest::sha256_of;

/// A folder of verified files, each named by its SHA-256.
#[derive(Clone)]
pub struct Downloads {
    folder: Utf8PathBuf,
    witness: Option<Witness>,
}

/// Hears what is about to get into a tree, and may object.
pub type Witness = Arc<dyn Fn(Arrival<'_>) -> anyhow::Result<()> + Send + Sync>;

/// What is about to get into a tree because somebody signed it.
#[derive(Clone, Copy, Debug)]
pub enum Arrival<'a> {
    /// Packages of a repository.
    Packages(&'a [Archive]),
    /// A file, and its SHA-256.
    File { path: &'a str, sha256: &'a str },
}

impl Downloads {
    /// Uses `folder`, which is made if need be.
    pub fn open(folder: Utf8PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        Ok(Self { folder, witness: None })
    }

    /// Has `witness` hear of everything from now on.
    #[must_use]
    pub fn watched_by(mut self, witness: Witness) -> Self {
        self.witness = Some(witness);
        self
    }

    /// Says what is about to be installed, or put there.
    ///
    /// # Errors
    /// What the witness objects to.
    pub fn announce(&self, arrival: Arrival<'_>) -> anyhow::Result<()> {
        self.witness.as_ref().map_or(Ok(()), |witness| witness(arrival))
    }

    /// The file with this digest, if it is here. Its bytes are looked at each time: apt takes a
    /// file by its name and size. One that is no longer what it was is removed.
    pub fn find(&self, digest: &str) -> Option<Utf8PathBuf> {
        let path = self.path(digest)?;
        let file = fs::File::open(&path).ok()?;
        if !sha256_of(&path).is_ok_and(|found| found == digest) {
            tracing::warn!(%path, "a download in the cache is damaged, and is removed");
            let _ = fs::remove_file(&path);
            return None;
        }
        // What was of use last is what stays when the cache must shrink.
        let used = file.set_modified(SystemTime::now());
        if let Err(error) = used {
            tracing::debug!(%error, %path, "a download keeps its old time");
        }
        Some(path)
    }

    /// Keeps a copy of `file`, whose bytes are known to have this digest. Best effort: a cache
    /// that cannot be written is only slow.
    pub fn keep(&self, digest: &str, file: &Utf8Path) {
        let Some(path) = self.path(digest).filter(|path| !path.exists()) else { return };
        if let Err(error) = self.copy(file, &path) {
            tracing::warn!(%error, %file, "a download was not kept");
        }
    }

    fn copy(&self, from: &Utf8Path, to: &Utf8Path) -> io::Result<()> {
        let mut fresh = tempfile::Builder::new().prefix(".").tempfile_in(&self.folder)?;
        io::copy(&mut fs::File::open(from)?, fresh.as_file_mut())?;
        // A name must never stand for a file that a crash has emptied.
        fresh.as_file().sync_all()?;
        fresh.persist(to).map(drop).map_err(|error| error.error)
    }

    /// Nothing but a digest may become a path.
    fn path(&self, digest: &str) -> Option<Utf8PathBuf> {
        let right = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
        right.then(|| self.folder.join(digest))
    }
}

impl fmt::Debug for Downloads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Downloads").field("folder", &self.folder).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_found_by_its_digest_and_by_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(folder.path()).unwrap();
        let downloads = Downloads::open(folder.join("cache")).unwrap();
        let file = folder.join("a.deb");
        fs::write(&file, "abc").unwrap();
        let digest = crate::digest::sha256("abc");
        assert_eq!(downloads.find(&digest), None);
        downloads.keep(&digest, &file);
        let found = downloads.find(&digest).unwrap();
        assert_eq!(fs::read_to_string(found).unwrap(), "abc");
        downloads.keep("../../etc/passwd", &file);
        assert_eq!(fs::read_dir(folder.join("cache")).unwrap().count(), 1);

        fs::write(folder.join("cache").join(&digest), "evl").unwrap();
        assert_eq!(downloads.find(&digest), None, "the same size is not the same file");
        assert_eq!(fs::read_dir(folder.join("cache")).unwrap().count(), 0);
    }
}
