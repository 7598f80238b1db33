//! The folder of one run: overlay, sockets, logs, keys. It goes when the run ends, and the one of
//! a run that was killed goes at the next start.

use std::fs::File;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;

use crate::error::Fault;

const PREFIX: &str = "hostkit-vm-";
/// Held by the owner as long as it lives: the kernel lets go of it, whatever ends the owner.
const LOCK: &str = "lock";
/// A folder that is younger may be one whose owner has not taken the lock yet.
const SETTLED: Duration = Duration::from_mins(1);
/// Socket addresses hold 108 bytes; the longest name of one has 4, below a folder with 2.
const PATH_LIMIT_BYTES: usize = 96;

/// The folder. Dropping it removes it.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    /// Nothing for a folder inside another run's.
    _owned: Option<(TempDir, File)>,
}

impl RunDir {
    /// A fresh folder below the system's folder for temporary files; only we can enter it.
    pub fn create() -> anyhow::Result<Self> {
        Self::create_in(&std::env::temp_dir())
    }

    fn create_in(parent: &Path) -> anyhow::Result<Self> {
        remove_leftovers(parent);
        let folder = tempfile::Builder::new()
            .prefix(PREFIX)
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir_in(parent)
            .with_context(|| {
                Fault::environment(format!("making a folder in {}", parent.display()))
            })?;
        if folder.path().as_os_str().len() > PATH_LIMIT_BYTES {
            let fault = Fault::environment(format!("{} is too long a path", parent.display()))
                .hint("set TMPDIR to a shorter one");
            return Err(fault.into());
        }
        let lock = File::create(folder.path().join(LOCK)).context("making the lock file")?;
        lock.try_lock().context("locking a fresh file")?;
        Ok(Self { path: folder.path().to_owned(), _owned: Some((folder, lock)) })
    }

    /// A fresh folder in it, for one of several machines. Its name has one or two letters: the
    /// names of sockets are short. It goes with this one.
    pub fn below(&self, name: &str) -> anyhow::Result<Self> {
        let path = self.file(name);
        std::fs::create_dir(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self { path, _owned: None })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// A file in it, as an argument for a program.
    pub fn argument(&self, name: &str) -> anyhow::Result<String> {
        self.file(name).into_os_string().into_string().ok().context("TMPDIR is not UTF-8")
    }
}

/// Removes our folders whose owner is dead. Nothing here may stop a run.
fn remove_leftovers(parent: &Path) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX)
            && entry
                .metadata()
                .is_ok_and(|meta| meta.is_dir() && meta.uid() == nix::unistd::geteuid().as_raw());
        if ours && is_orphan(&entry.path()) {
            tracing::debug!(folder = %entry.path().display(), "removing what a killed run left");
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

fn is_orphan(folder: &Path) -> bool {
    match File::open(folder.join(LOCK)) {
        Ok(lock) => lock.try_lock().is_ok(),
        Err(_) => folder
            .metadata()
            .and_then(|meta| meta.modified())
            .is_ok_and(|made| made.elapsed().is_ok_and(|age| age > SETTLED)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_start_removes_what_a_killed_run_left_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let living = RunDir::create_in(parent.path()).unwrap();
        let killed = parent.path().join("hostkit-vm-dead");
        std::fs::create_dir(&killed).unwrap();
        std::fs::write(killed.join(LOCK), "").unwrap();
        let other = parent.path().join("something-else");
        std::fs::create_dir(&other).unwrap();

        let second = RunDir::create_in(parent.path()).unwrap();
        assert!(!killed.exists());
        assert!(living.path().exists() && second.path().exists() && other.exists());
        drop(living);
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 2);
    }
}
