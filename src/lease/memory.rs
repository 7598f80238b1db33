//! What this host remembers of its lease, in memory that a reboot wipes: below `/run`.
//!
//! It outlives the lease's process and not the boot, which is just as long as what it remembers is
//! true. Nothing here is on the file system of the home.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use crate::sys::atomic;

const FOLDER: &str = "run/hostkit/lease";

/// Where it is remembered.
#[derive(Clone, Debug)]
pub struct Memory {
    folder: Utf8PathBuf,
    boot_id: String,
}

/// The generation that this boot took and has not given up.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Mine {
    boot_id: String,
    generation: u64,
}

/// How the lease stands on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// The home is not this host's yet.
    Waiting,
    /// This host does not start by itself: a person must act.
    Refused,
    /// The policy says not to wait.
    GivenUp,
    /// The home is this host's.
    Held,
    /// It was given up in order.
    Released,
    /// Somebody else has it: Jenkins was stopped.
    Lost,
}

/// How the lease stands on this host, for those who look.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The form of this file.
    pub version: u32,
    /// How it stands.
    pub phase: Phase,
    /// The generation that is held, or was.
    pub generation: Option<u64>,
    /// Why, for people.
    pub why: String,
    /// What may help.
    pub hint: Option<String>,
    /// Since when.
    pub since: Timestamp,
}

impl Memory {
    /// That of the machine whose files are below `root`, in this boot.
    pub fn new(root: &Utf8Path, boot_id: &str) -> Self {
        Self { folder: root.join(FOLDER), boot_id: boot_id.to_owned() }
    }

    /// The generation that this boot took and has not given up.
    pub fn mine(&self) -> Option<u64> {
        let text = std::fs::read_to_string(self.folder.join("mine.json")).ok()?;
        let mine: Mine = serde_json::from_str(&text).ok()?;
        (mine.boot_id == self.boot_id).then_some(mine.generation)
    }

    /// Remembers that this boot has taken a generation.
    pub fn take(&self, generation: u64) -> io::Result<()> {
        let mine = Mine { boot_id: self.boot_id.clone(), generation };
        let json = serde_json::to_vec(&mine).expect("it has only string keys");
        atomic::make_directory(&self.folder, 0o700)?;
        atomic::write(&self.folder.join("mine.json"), &json, 0o600).map(drop)
    }

    /// Forgets it: this boot will not take it up again.
    pub fn give_up(&self) -> io::Result<()> {
        match std::fs::remove_file(self.folder.join("mine.json")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// How the lease stands, if it has ever been asked for in this boot.
    pub fn standing(&self) -> Option<Standing> {
        let text = std::fs::read_to_string(self.folder.join("standing.json")).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Tells how it stands.
    pub fn tell(&self, standing: &Standing) -> io::Result<()> {
        let json = serde_json::to_vec(standing).expect("it has only string keys");
        atomic::make_directory(&self.folder, 0o700)?;
        atomic::write(&self.folder.join("standing.json"), &json, 0o600).map(drop)
    }

    /// Marks that somebody of this host writes to the home, until the answer is dropped; the kernel
    /// drops it with the process, and not before a process that hangs on the file system is gone.
    /// None where this host does not hold the home, or is giving it up.
    pub fn writing(&self) -> io::Result<Option<Flock<File>>> {
        let lock = match Flock::lock(self.writers()?, FlockArg::LockSharedNonblock) {
            Ok(lock) => lock,
            Err((_, Errno::EWOULDBLOCK)) => return Ok(None),
            Err((_, errno)) => return Err(errno.into()),
        };
        // Asked with the lock: what is given up now waits for it.
        Ok(self.mine().map(|_| lock))
    }

    /// Keeps everybody of this host from beginning to write to the home; none while somebody does.
    pub fn silence(&self) -> io::Result<Option<Flock<File>>> {
        match Flock::lock(self.writers()?, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(lock)),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, errno)) => Err(errno.into()),
        }
    }

    fn writers(&self) -> io::Result<File> {
        atomic::make_directory(&self.folder, 0o700)?;
        let path = self.folder.join("writers");
        OpenOptions::new().create(true).append(true).mode(0o600).open(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(boot_id: &str) -> (tempfile::TempDir, Memory) {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap().to_owned();
        (folder, Memory::new(&root, boot_id))
    }

    #[test]
    fn what_was_taken_is_remembered_for_this_boot_and_until_it_is_given_up() {
        let (folder, memory) = memory("one");
        assert_eq!(memory.mine(), None);
        memory.take(7).unwrap();
        assert_eq!(memory.mine(), Some(7));
        let root = Utf8Path::from_path(folder.path()).unwrap();
        assert_eq!(Memory::new(root, "another boot").mine(), None);
        memory.give_up().unwrap();
        memory.give_up().unwrap();
        assert_eq!(memory.mine(), None);
    }

    #[test]
    fn nobody_begins_to_write_where_the_home_is_given_up_and_nobody_gives_up_under_a_writer() {
        let (_folder, memory) = memory("one");
        assert!(memory.writing().unwrap().is_none(), "it is not held");
        memory.take(7).unwrap();
        let writer = memory.writing().unwrap().expect("it is held");
        assert!(memory.writing().unwrap().is_some(), "several may write");
        assert!(memory.silence().unwrap().is_none());
        drop(writer);
        let silence = memory.silence().unwrap().expect("nobody writes");
        assert!(memory.writing().unwrap().is_none());
        memory.give_up().unwrap();
        drop(silence);
        assert!(memory.writing().unwrap().is_none());
    }
}
