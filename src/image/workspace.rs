//! A folder for one bake that does not outlive it.
//!
//! It is locked while its bake lives. A bake that was killed leaves its folder behind unlocked,
//! and the next bake removes it.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use nix::fcntl::{Flock, FlockArg};

use crate::error::Fault;

/// See the module.
#[derive(Debug)]
pub struct Workspace {
    path: Utf8PathBuf,
    _lock: Flock<File>,
}

impl Workspace {
    /// Makes a folder below `cache`, and removes those whose bake is dead.
    pub fn create(cache: &Utf8Path) -> anyhow::Result<Self> {
        let all = cache.join("work");
        std::fs::create_dir_all(&all)
            .with_context(|| Fault::environment(format!("{all} cannot be made")))?;
        sweep(cache);
        // The lock comes before the folder, so that nobody ever finds a living one unlocked.
        let (lock, name) = locked(&all).context("locking the work folder")?;
        let path = Utf8PathBuf::from_path_buf(name.with_extension(""))
            .map_err(|path| Fault::environment(format!("{} is not UTF-8", path.display())))?;
        std::fs::create_dir(&path).context("making the work folder")?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path) {
            tracing::warn!(%error, path = %self.path, "the work folder stays; the next bake removes it");
        }
    }
}

/// Makes a lock file and locks it. Between the two somebody who sweeps may have taken it for that
/// of a dead bake and removed it: such a lock keeps nobody out.
fn locked(all: &Utf8Path) -> anyhow::Result<(Flock<File>, PathBuf)> {
    loop {
        let lock = tempfile::Builder::new().prefix("bake-").suffix(".lock").tempfile_in(all)?;
        let (file, name) = lock.keep()?;
        let lock = Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
        let ours = lock.metadata()?.ino();
        if std::fs::metadata(&name).is_ok_and(|there| there.ino() == ours) {
            return Ok((lock, name));
        }
    }
}

fn lock_file(path: &Utf8Path) -> Utf8PathBuf {
    path.with_extension("lock")
}

/// Removes the folders of dead bakes. What cannot be removed now is tried again next time.
pub(super) fn sweep(cache: &Utf8Path) {
    for path in locks(cache) {
        let Ok(lock) = File::open(&path) else { continue };
        // Held until all is gone: a bake that has just made its lock waits for this.
        if let Ok(_held) = Flock::lock(lock, FlockArg::LockExclusiveNonblock) {
            let _ = remove(&path.with_extension(""));
        }
    }
}

/// When the oldest bake began that still lives: whatever was used since may be in use.
pub(super) fn oldest_living(cache: &Utf8Path) -> Option<jiff::Timestamp> {
    let began = locks(cache).filter_map(|path| {
        let lock = File::open(path).ok()?;
        let began = lock.metadata().and_then(|meta| meta.modified()).ok()?;
        let lives = Flock::lock(lock, FlockArg::LockSharedNonblock).is_err();
        jiff::Timestamp::try_from(began).ok().filter(|_| lives)
    });
    began.min()
}

/// A name beside the work folders, for what is on its way out. If its removal is cut short, the
/// next bake finishes it.
pub(super) fn grave(cache: &Utf8Path, name: &str) -> io::Result<Utf8PathBuf> {
    let grave = cache.join("work").join(format!("grave-{name}"));
    std::fs::create_dir_all(cache.join("work"))?;
    File::create(lock_file(&grave))?;
    Ok(grave)
}

fn locks(cache: &Utf8Path) -> impl Iterator<Item = Utf8PathBuf> {
    let entries = cache.join("work").read_dir_utf8().into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path().to_owned());
    paths.filter(|path| path.extension() == Some("lock"))
}

/// Removes a work folder. Its processes may have been killed a moment ago and still be closing
/// files, so that a directory fills again under our hands: then it is tried again.
pub(super) fn remove(path: &Utf8Path) -> io::Result<()> {
    let mut end = Ok(());
    for _ in 0..50 {
        end = match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            end => end,
        };
        if end.is_ok() {
            break;
        }
        // In a destructor nothing can be awaited.
        #[expect(clippy::disallowed_methods, reason = "nothing else runs at this point")]
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    if end.is_ok() {
        let _ = std::fs::remove_file(lock_file(path));
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_bakes_folder_goes_and_a_living_ones_stays() {
        let cache = tempfile::tempdir().unwrap();
        let cache = Utf8Path::from_path(cache.path()).unwrap();
        let living = Workspace::create(cache).unwrap();
        let dead = cache.join("work/bake-dead");
        std::fs::create_dir_all(dead.join("tree/etc")).unwrap();
        std::fs::write(lock_file(&dead), "").unwrap();

        let third = Workspace::create(cache).unwrap();
        assert!(living.path().is_dir() && third.path().is_dir());
        assert!(!dead.exists());
        drop((living, third));
        assert_eq!(std::fs::read_dir(cache.join("work")).unwrap().count(), 0);
    }

    #[test]
    fn whoever_sweeps_meanwhile_takes_no_folder_from_a_bake() {
        let cache = tempfile::tempdir().unwrap();
        let cache = Utf8Path::from_path(cache.path()).unwrap();
        let done = std::sync::atomic::AtomicBool::new(false);
        let order = std::sync::atomic::Ordering::Relaxed;
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !done.load(order) {
                        sweep(cache);
                    }
                });
            }
            let lost = (0..500).filter(|_| {
                let work = Workspace::create(cache).unwrap();
                !(work.path().is_dir() && lock_file(work.path()).exists())
            });
            let lost = lost.count();
            done.store(true, order);
            assert_eq!(lost, 0);
        });
    }
}
