//! What a recovery does on the mounted file system: in a child that can be killed at any moment.
//!
//! `hostkit inner recover` reads a [`Request`] from standard input and writes an [`Answer`] to
//! standard output. All that it has to know it reads again from the journal and from the file system,
//! so whoever comes after a child that died goes on where that was. It renames, gives second names and
//! makes folders; it copies nothing, removes nothing of anybody's, and follows no link.

mod choices;
mod find;
mod journal;
mod moves;
mod set;
mod survey;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::io;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use nix::sys::signal::{Signal, raise};
use serde::{Deserialize, Serialize};

use crate::error::Fault;
use crate::lease::ground::{self, Ground, MARK};
use crate::lease::recovery::{Found, Journal, Way, Work};
use crate::sys::{Owner, Root};
pub use choices::{Choice, Kind};
pub use survey::{Chosen, Damaged, Survey};

/// What a child may be asked to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Where the file system is mounted.
    pub mount_point: Utf8PathBuf,
    /// Its id.
    pub file_system: String,
    /// What.
    pub task: Task,
}

/// What there is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Look at all that a recovery must know. Changes nothing.
    Survey {
        /// What to bring back, if that is asked for.
        from: Option<String>,
        /// Who owns the home.
        user: String,
    },
    /// Write the journal. It must follow the one that is there.
    Note(Box<Journal>),
    /// Move what the journal says.
    Work,
    /// The journal becomes the record of a recovery that is done.
    Close {
        /// When that is.
        at: Timestamp,
    },
}

impl Task {
    /// Whether the file system is written to: by the holder of the lease only.
    pub const fn changes(&self) -> bool {
        !matches!(self, Self::Survey { .. })
    }
}

/// What a child answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// What is there.
    Surveyed(Box<Survey>),
    /// It is done, and what of it had to be.
    Done(Vec<String>),
    /// It must not be done, or could not be.
    Refused {
        /// Why.
        why: String,
        /// What to do.
        hint: String,
    },
}

/// The moments at which a child may die, counted. A test has it die at one of them.
#[derive(Debug, Default)]
pub struct Moments {
    die_at: Option<u32>,
    passed: Cell<u32>,
}

impl Moments {
    /// It dies at this one, counted from 1; at none where there is none.
    pub const fn new(die_at: Option<u32>) -> Self {
        Self { die_at, passed: Cell::new(0) }
    }

    /// One more has come.
    fn pass(&self) {
        self.passed.set(self.passed.get() + 1);
        if self.die_at == Some(self.passed.get()) {
            // As whoever is killed: nothing is written back, nothing is said.
            let _ = raise(Signal::SIGKILL);
        }
    }
}

/// What the child does.
pub fn answer(request: &Request, ground: Ground, moments: &Moments) -> Answer {
    work(request, ground, moments).unwrap_or_else(|error| refusal(&error))
}

fn work(request: &Request, ground: Ground, moments: &Moments) -> anyhow::Result<Answer> {
    let Request { mount_point, file_system, task } = request;
    let root = Root::strict(mount_point).with_context(|| format!("opening {mount_point}"))?;
    if !ground.bears(&root).context("asking what is mounted")? {
        return Err(Fault::step(format!("no network file system is mounted at {mount_point}"))
            .hint("hostkit efs check tells why; what is below the mount is never touched")
            .into());
    }
    belongs(&root, file_system)?;
    match task {
        Task::Survey { from, user } => {
            let place = find::Place { mount_point, file_system };
            let survey = survey::survey(&root, &place, from.as_deref(), ground::owner(user)?)?;
            Ok(Answer::Surveyed(Box::new(survey)))
        }
        Task::Note(journal) => {
            journal::note(&root, file_system, journal, moments).map(|()| Answer::Done(Vec::new()))
        }
        Task::Work => {
            let mut journal = journal::open(&root, file_system)?;
            change(&root, &mut journal, moments).map(Answer::Done)
        }
        Task::Close { at } => {
            let mut journal = journal::open(&root, file_system)?;
            journal.ended = Some(*at);
            journal::close(&root, &journal, moments).map(|record| Answer::Done(vec![record]))
        }
    }
}

fn change(root: &Root, journal: &mut Journal, moments: &Moments) -> anyhow::Result<Vec<String>> {
    let aside = journal.aside.clone();
    journal::make_folders(root, aside.as_str().into(), Owner::me())
        .with_context(|| format!("making {aside}"))?;
    match (&journal.work, journal.way) {
        (Work::Home { .. }, _) => moves::change(root, journal, moments),
        (Work::Set { set, .. }, Way::Forward) => {
            set::forward(root, set.as_str().into(), aside.as_str().into(), moments)
        }
        (Work::Set { added, .. }, Way::Back) => {
            set::back(root, aside.as_str().into(), added, moments)
        }
    }
}

/// A file system without a mark has no lease of this host; one with another mark is another's.
fn belongs(root: &Root, file_system: &str) -> anyhow::Result<()> {
    let mark = root.read_text(MARK).context("reading the mark of the file system")?;
    match mark.as_deref().map(str::trim) {
        Some(mark) if mark != file_system => {
            Err(Fault::step(format!("this file system is marked as {mark}, not as {file_system}"))
                .hint(
                    "it is a copy or a restored backup: make sure that the other one has no \
                     controller, then write its own id into .hostkit/fs-id",
                )
                .into())
        }
        _ => Ok(()),
    }
}

/// An error as an answer, with what is known to help.
fn refusal(error: &anyhow::Error) -> Answer {
    let cause = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    let own = || crate::error::fault(error).and_then(Fault::hint_text);
    let hint = match cause.map(io::Error::kind) {
        Some(io::ErrorKind::StaleNetworkFileHandle) => {
            "the file system was replaced below its mount: hostkit efs recover hang"
        }
        Some(io::ErrorKind::ReadOnlyFilesystem) => {
            "the file system can only be read: is it the target of a replication \
             (hostkit efs recover failover), or mounted so? hostkit efs check tells"
        }
        _ => cause
            .and_then(ground::advice)
            .or_else(own)
            .unwrap_or("hostkit efs check tells what is wrong; then the same command again"),
    };
    Answer::Refused { why: format!("{error:#}"), hint: hint.to_owned() }
}

/// The inode of what is at `path`, whatever it is; none where nothing is.
fn inode(root: &Root, path: &str) -> anyhow::Result<Option<u64>> {
    use std::os::unix::fs::MetadataExt as _;
    let meta = root.metadata(path).with_context(|| format!("looking at {path}"))?;
    Ok(meta.map(|meta| meta.ino()))
}

/// Whether a folder is there, and is one.
fn is_folder(root: &Root, path: &Utf8Path) -> anyhow::Result<bool> {
    let meta = root.metadata(path).with_context(|| format!("looking at {path}"))?;
    Ok(meta.is_some_and(|meta| meta.is_dir()))
}

/// What is at the place of the journal, as an error where it is none of this file system's.
fn journal_of(found: Found, file_system: &str) -> anyhow::Result<Option<Journal>> {
    match found {
        Found::Nothing => Ok(None),
        Found::Journal(journal) if journal.file_system == file_system => Ok(Some(*journal)),
        Found::Journal(journal) => Err(Fault::step(format!(
            "the journal of the recovery is about {}: it came here with a copy",
            journal.file_system
        ))
        .hint("look whether the copy is whole; then move .hostkit/recover.json away by hand")
        .into()),
        Found::Garbage(why) => Err(Fault::step(format!(
            "a recovery is under way, and .hostkit/recover.json cannot be read: {why}"
        ))
        .hint(
            "nothing is guessed: see what is in .hostkit/pre-restore-* and in home, then move \
             .hostkit/recover.json away by hand",
        )
        .into()),
    }
}
