//! What is looked at on the mounted file system: in a child that can be killed, never in the process
//! that waits for it.
//!
//! `hostkit inner efs` reads a [`Request`] from standard input and writes an [`Answer`] to standard
//! output. It does the work in a thread of its own and answers in time even if that thread hangs in
//! the kernel: then it says in what. [`ask()`] waits a moment longer, and leaves a child alone that
//! does not answer at all. Nothing here follows a symbolic link of the file system.

mod alive;
mod ask;
mod attend;
pub mod intact;
mod notebook;
mod owners;
mod place;
mod probe;
#[cfg(test)]
pub(in crate::doctor::efs) mod sample;
pub mod scan;
mod top;
mod trouble;
mod whole;
mod whose;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use crate::sys::Owner;

pub use alive::Alive;
pub use ask::{Heard, ask, controller};
pub use attend::{answer, attend};
pub use intact::Intact;
pub use notebook::{Hang, Left, Notebook, Step};
pub use owners::{Owned, Owners};
pub use place::{Place, place};
pub use probe::{Probe, Speed, Spread};
pub use scan::Scan;
pub use top::{Leftover, Top};
pub use trouble::Trouble;
pub use whole::{Set, Whole};
pub use whose::Whose;

/// What a child is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Where the file system is mounted.
    pub mount_point: Utf8PathBuf,
    /// What to look at.
    pub task: Task,
    /// After so many milliseconds the child says that it hangs.
    pub patience: u64,
    /// As whom, by number; as whoever starts it where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
}

/// A user and the group of its files, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl From<User> for Owner {
    fn from(user: User) -> Self {
        Self { uid: user.uid, gid: user.gid }
    }
}

/// What there is to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Whether it answers, and how fast.
    Alive,
    /// Whose it is, and what is on it.
    Whose,
    /// Which files belong to another user than this one.
    Owners(u32),
    /// Whether a file can be made, written, renamed, read back and removed.
    Write,
    /// Whether a file can be locked.
    Lock,
    /// How fast small files are.
    Speed,
    /// What makes the home large.
    Scan,
    /// What is left at the top.
    Top,
    /// Whether the home is whole.
    Whole,
}

macro_rules! answers {
    ($($(#[$doc:meta])* $variant:ident($type:ty),)+) => {
        /// What a child answers.
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Answer {
            $($(#[$doc])* $variant($type),)+
            /// It could not be looked at.
            Failed(Trouble),
            /// Something that the child does has not ended.
            Hangs(Hang),
        }

        $(
            impl From<$type> for Answer {
                fn from(found: $type) -> Self {
                    Self::$variant(found)
                }
            }

            impl TryFrom<Answer> for Heard<$type> {
                type Error = Answer;

                fn try_from(answer: Answer) -> Result<Self, Answer> {
                    match answer {
                        Answer::$variant(found) => Ok(Self::Said(found)),
                        Answer::Failed(trouble) => Ok(Self::Failed(trouble)),
                        Answer::Hangs(hang) => Ok(Self::Hangs(hang)),
                        other => Err(other),
                    }
                }
            }
        )+
    };
}

answers! {
    /// To [`Task::Alive`].
    Alive(Alive),
    /// To [`Task::Whose`].
    Whose(Whose),
    /// To [`Task::Owners`].
    Owners(Owners),
    /// To [`Task::Write`] and [`Task::Lock`].
    Probe(Probe),
    /// To [`Task::Speed`].
    Speed(Speed),
    /// To [`Task::Scan`].
    Scan(Scan),
    /// To [`Task::Top`].
    Top(Top),
    /// To [`Task::Whole`].
    Whole(Whole),
}
