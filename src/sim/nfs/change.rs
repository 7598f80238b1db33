//! What a machine did to the file system: one entry for each change, one for each round trip.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::decode::call::{How, Stable};
use super::decode::number::Status;
use super::names::Path;

/// A machine, by its instance id. Cheap to clone: every entry has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine(Arc<str>);

impl Machine {
    /// The one with this id.
    pub fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Serialize for Machine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// One operation that changes a file or directory, or would.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The number of its round trip.
    pub trip: u64,
    /// The instance.
    pub machine: Machine,
    /// When the call had passed, since the record began.
    #[serde(serialize_with = "seconds")]
    pub called: Duration,
    /// How it went.
    pub end: End,
    /// What it is.
    #[serde(flatten)]
    pub what: What,
}

/// How an operation went.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "end")]
pub enum End {
    /// There is no answer yet.
    Open,
    /// The server answered.
    Answered {
        /// When the answer passed.
        #[serde(serialize_with = "seconds")]
        at: Duration,
        /// What it says.
        #[serde(serialize_with = "text")]
        status: Status,
    },
    /// An operation before it failed, so the server did not come to it.
    NotReached,
    /// The connection ended without an answer: it may have happened.
    Lost {
        /// When the connection ended.
        #[serde(serialize_with = "seconds")]
        at: Duration,
    },
    /// There is an answer that could not be read: it may have happened.
    Unread {
        /// When it passed.
        #[serde(serialize_with = "seconds")]
        at: Duration,
    },
}

impl End {
    /// False only where the server says that nothing was changed.
    pub fn may_have_happened(self) -> bool {
        match self {
            Self::Answered { status, .. } => status == Status::OK,
            Self::NotReached => false,
            Self::Open | Self::Lost { .. } | Self::Unread { .. } => true,
        }
    }

    /// After this nothing came of it any more; none where that is not known.
    pub const fn at(self) -> Option<Duration> {
        match self {
            Self::Answered { at, .. } | Self::Lost { at } | Self::Unread { at } => Some(at),
            Self::NotReached | Self::Open => None,
        }
    }
}

/// A kind of change, and of which files.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "change")]
pub enum What {
    /// Bytes were written.
    Write {
        /// The file.
        path: Path,
        /// From where.
        offset: u64,
        /// How many.
        length: u32,
        /// How far they had to be.
        #[serde(serialize_with = "debug")]
        stable: Stable,
    },
    /// Bytes that were written before were to be on the disk.
    Commit {
        /// The file.
        path: Path,
    },
    /// A regular file was opened, and made if it was not there.
    Open {
        /// The file.
        path: Path,
        /// What if it was there.
        #[serde(serialize_with = "debug")]
        how: How,
    },
    /// A directory, symbolic link or the like was made.
    Create {
        /// Its path.
        path: Path,
        /// What it is.
        kind: &'static str,
    },
    /// A file got a second name.
    Link {
        /// A name that it had.
        from: Path,
        /// The new one.
        to: Path,
    },
    /// A name was taken away.
    Remove {
        /// The name.
        path: Path,
    },
    /// A name was changed, and what had the new one lost it.
    Rename {
        /// The old name.
        from: Path,
        /// The new one.
        to: Path,
    },
    /// Attributes were set.
    SetAttributes {
        /// The file.
        path: Path,
        /// The new size, where it was set.
        size: Option<u64>,
        /// The names of the attributes.
        which: Vec<String>,
    },
}

impl What {
    /// The paths that are changed.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let (first, second) = match self {
            Self::Write { path, .. }
            | Self::Commit { path }
            | Self::Open { path, .. }
            | Self::Create { path, .. }
            | Self::Remove { path }
            | Self::SetAttributes { path, .. } => (path, None),
            Self::Link { from, to } | Self::Rename { from, to } => (from, Some(to)),
        };
        [Some(first), second].into_iter().flatten()
    }

    /// Whether it touches `folder` or something in it.
    pub fn is_below(&self, folder: &str) -> bool {
        self.paths().any(|path| path.is_below(folder))
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write { path, offset, length, .. } => {
                write!(f, "WRITE {path} ({length} bytes at {offset})")
            }
            Self::Commit { path } => write!(f, "COMMIT {path}"),
            Self::Open { path, how } => write!(f, "OPEN {path} ({how:?})"),
            Self::Create { path, kind } => write!(f, "CREATE {path} ({kind})"),
            Self::Link { from, to } => write!(f, "LINK {from} -> {to}"),
            Self::Remove { path } => write!(f, "REMOVE {path}"),
            Self::Rename { from, to } => write!(f, "RENAME {from} -> {to}"),
            Self::SetAttributes { path, size: Some(size), which } => {
                write!(f, "SETATTR {path} ({}, {size} bytes)", which.join(", "))
            }
            Self::SetAttributes { path, size: None, which } => {
                write!(f, "SETATTR {path} ({})", which.join(", "))
            }
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:9.3} s  {}  {}", self.called.as_secs_f64(), self.machine, self.what)?;
        match self.end {
            End::Open => f.write_str(": no answer yet"),
            End::Answered { status, .. } => write!(f, ": {status}"),
            End::NotReached => f.write_str(": not reached"),
            End::Lost { .. } => f.write_str(": no answer, the connection ended"),
            End::Unread { .. } => f.write_str(": an answer that could not be read"),
        }
    }
}

/// One call and its answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trip {
    /// Counts them, over all machines.
    pub number: u64,
    /// The instance.
    pub machine: Machine,
    /// Its operations in their order, as `SEQUENCE PUTFH GETATTR`; `NULL` for a call without.
    #[serde(serialize_with = "text")]
    pub kind: Arc<str>,
    /// What it is about: the last file that it names, else the one that it begins with.
    pub path: Option<Path>,
    /// When the call had passed, since the record began.
    #[serde(serialize_with = "seconds")]
    pub called: Duration,
    /// When the answer had passed.
    #[serde(serialize_with = "some_seconds")]
    pub answered: Option<Duration>,
    /// How the compound ended.
    #[serde(serialize_with = "some_text")]
    pub status: Option<Status>,
    /// The same call was seen before, sent again because its connection had ended: the server does
    /// it once.
    pub again: bool,
}

/// What a file's content was from some moment on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Version {
    /// Who made it so; nobody for what was there when the record began.
    pub machine: Option<Machine>,
    /// When the call that did it had passed.
    #[serde(serialize_with = "seconds")]
    pub called: Duration,
    /// When its answer passed.
    #[serde(serialize_with = "seconds")]
    pub answered: Duration,
    /// The content; none if there is no file.
    pub content: Option<String>,
}

/// Seconds, to the microsecond.
pub(super) fn seconds<S: Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((duration.as_secs_f64() * 1e6).round() / 1e6)
}

#[expect(clippy::ref_option, reason = "serde gives it so")]
pub(super) fn some_seconds<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => seconds(duration, serializer),
        None => serializer.serialize_none(),
    }
}

fn text<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

#[expect(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "serde gives it so")]
fn some_text<S: Serializer>(status: &Option<Status>, serializer: S) -> Result<S::Ok, S::Error> {
    match status {
        Some(status) => text(status, serializer),
        None => serializer.serialize_none(),
    }
}

fn debug<S: Serializer>(value: &impl fmt::Debug, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{value:?}"))
}
