//! What the guard remembers from one of its processes to the next, in memory that a reboot wipes.
//!
//! Little: that a drain was begun and when, because nothing else of a machine says so, and that it
//! was the guard who made Jenkins quiet. How far a drain is stands in the world itself.

use std::fs::File;
use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::wish::Reason;
use crate::sys::atomic;

const FOLDER: &str = "run/hostkit/guard";

/// Where it is remembered.
#[derive(Clone, Debug)]
pub(super) struct Notes {
    folder: Utf8PathBuf,
    boot_id: String,
}

/// That a drain was begun.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Begun {
    /// In which boot.
    boot_id: String,
    /// Why.
    pub(super) reason: Reason,
    /// When, for people.
    pub(super) at: Timestamp,
    /// When, by [`super::Post::clock`].
    pub(super) clock: f64,
    /// When the host is gone whatever it does, by the same clock.
    pub(super) gone: Option<f64>,
    /// Whether it has come to its end.
    #[serde(default)]
    pub(super) ended: bool,
}

/// That the guard has made Jenkins quiet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Quieted {
    boot_id: String,
    at: Timestamp,
}

impl Notes {
    /// Those of the machine whose files are below `root`, in this boot.
    pub(super) fn new(root: &Utf8Path, boot_id: &str) -> Self {
        Self { folder: root.join(FOLDER), boot_id: boot_id.to_owned() }
    }

    /// The drain that was begun in this boot, if any was.
    pub(super) fn begun(&self) -> Option<Begun> {
        self.read::<Begun>("drain.json").filter(|begun| begun.boot_id == self.boot_id)
    }

    /// Remembers that a drain begins.
    pub(super) fn begin(&self, reason: Reason, clock: f64, gone: Option<f64>) -> io::Result<Begun> {
        let begun = self.beginning(reason, clock, gone);
        self.write("drain.json", &begun)?;
        Ok(begun)
    }

    /// A drain that begins and is not remembered.
    pub(super) fn beginning(&self, reason: Reason, clock: f64, gone: Option<f64>) -> Begun {
        let (boot_id, at) = (self.boot_id.clone(), Timestamp::now());
        Begun { boot_id, reason, at, clock, gone, ended: false }
    }

    /// Remembers what has become of it.
    pub(super) fn keep(&self, begun: &Begun) -> io::Result<()> {
        self.write("drain.json", begun)
    }

    /// Forgets it: it was taken back.
    pub(super) fn take_back(&self) -> io::Result<()> {
        self.remove("drain.json")
    }

    /// Since when Jenkins is quiet because of the guard, if it is.
    pub(super) fn quiet_since(&self) -> Option<Timestamp> {
        let quieted: Quieted = self.read("quiet.json")?;
        (quieted.boot_id == self.boot_id).then_some(quieted.at)
    }

    /// Remembers that the guard makes Jenkins quiet, or that it does not any more.
    pub(super) fn quiet(&self, is_quiet: bool) -> io::Result<()> {
        if !is_quiet {
            return self.remove("quiet.json");
        }
        if self.quiet_since().is_some() {
            return Ok(());
        }
        self.write("quiet.json", &Quieted { boot_id: self.boot_id.clone(), at: Timestamp::now() })
    }

    /// Keeps everybody else of this host from draining it, until it is dropped or its process ends;
    /// none while somebody does.
    pub(super) fn alone(&self) -> io::Result<Option<Flock<File>>> {
        atomic::make_directory(&self.folder, 0o700)?;
        let file = File::options().create(true).append(true).open(self.folder.join("lock"))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Some(lock)),
            Err((_, Errno::EWOULDBLOCK)) => Ok(None),
            Err((_, errno)) => Err(errno.into()),
        }
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_str(&std::fs::read_to_string(self.folder.join(name)).ok()?).ok()
    }

    fn write(&self, name: &str, value: &impl Serialize) -> io::Result<()> {
        atomic::make_directory(&self.folder, 0o700)?;
        let json = serde_json::to_vec(value).expect("it has only string keys");
        atomic::write(&self.folder.join(name), &json, 0o600).map(drop)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match std::fs::remove_file(self.folder.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_begun_is_remembered_for_this_boot_and_until_it_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap();
        let notes = Notes::new(root, "one");
        assert_eq!(notes.begun(), None);
        let begun = notes.begin(Reason::Person, 12.5, None).unwrap();
        notes.quiet(true).unwrap();
        assert_eq!(notes.begun(), Some(begun));
        assert!(notes.quiet_since().is_some());
        let another = Notes::new(root, "another boot");
        assert_eq!((another.begun(), another.quiet_since()), (None, None));
        notes.take_back().unwrap();
        notes.quiet(false).unwrap();
        assert_eq!((notes.begun(), notes.quiet_since()), (None, None));
    }

    #[test]
    fn one_drains_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let notes = Notes::new(Utf8Path::from_path(folder.path()).unwrap(), "one");
        let alone = notes.alone().unwrap().expect("nobody else drains");
        assert!(notes.alone().unwrap().is_none());
        drop(alone);
        assert!(notes.alone().unwrap().is_some());
    }
}
