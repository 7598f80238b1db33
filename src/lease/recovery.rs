//! A home that is being brought back: the journal of that, on the file system itself.
//!
//! It says what is moved where and how far that is, so that whoever comes after a process or a host
//! that died carries it on, or takes it back. While it says that something is being moved, no boot
//! starts Jenkins. Here is what it looks like, and who is barred by it; who works on it is
//! `doctor::recover`.

use std::io;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::sys::Root;

/// The journal of the recovery that is under way, if one is.
pub const JOURNAL: &str = ".hostkit/recover.json";

/// Where the journals of recoveries are that are done, by the name of each.
pub const RECORDS: &str = ".hostkit/recoveries";

/// The newest form of the journal that this hostkit reads.
pub const VERSION: u32 = 1;

/// One recovery: what it is about, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// The form; see [`VERSION`].
    pub version: u32,
    /// Its name: the time at which it was begun, as `20261127T030000Z`.
    pub id: String,
    /// The id of the file system. The journal of another one came here with a copy.
    pub file_system: String,
    /// When it was begun.
    pub begun: Timestamp,
    /// By whom.
    pub by: String,
    /// On which host, or which one carried it on last.
    pub host: String,
    /// Where it goes.
    pub way: Way,
    /// How far it is.
    pub stage: Stage,
    /// What the home is brought back from, from the top of the file system.
    pub from: String,
    /// Where the home of before is kept, from the top of the file system.
    pub aside: String,
    /// What is moved.
    pub work: Work,
    /// The generation of the lease that must be passed before Jenkins starts.
    pub generation: u64,
    /// What the group was told not to do, and did before; none where there is no group, or it was
    /// left alone.
    pub group: Option<Suspension>,
    /// When it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

/// Where a recovery goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// The home is brought back.
    Forward,
    /// That is taken back: the home of before comes in again.
    Back,
}

/// How far a recovery is: what is being done, and may be half done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The group is told to leave this host alone, and Jenkins is stopped. Nothing is moved.
    Prepare,
    /// The one home is moved out, and the other in.
    Move,
    /// The lease gets a generation beyond all that were seen.
    Lease,
    /// Jenkins is started.
    Start,
    /// The group is told to go on.
    Resume,
}

/// What the group was told not to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// The group.
    pub name: String,
    /// What it did before, and is told to do again: exactly this.
    pub processes: Vec<String>,
}

/// What is moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// A whole home, by renames in this order; back in the other.
    Home {
        /// A folder that is made first, owned by this user and group: the home comes together in it
        /// where it is not in a folder of its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gather: Option<Gather>,
        /// The renames.
        moves: Vec<Move>,
    },
    /// The configuration and the plugins of a set that an upgrade kept: each file of it gets a second
    /// name in the home, and what was there goes aside.
    Set {
        /// Where the set is, from the top of the file system.
        set: String,
        /// What is in the set and was not in the home, from the top of the file system.
        added: Vec<String>,
    },
}

/// A folder in which a home comes together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gather {
    /// From the top of the file system.
    pub path: String,
    /// Its user, by number.
    pub uid: u32,
    /// Its group, by number.
    pub gid: u32,
}

/// A rename. Which of both names a thing has is told by its inode, which no rename changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// Its name before, from the top of the file system.
    pub from: String,
    /// Its name after.
    pub to: String,
    /// Its inode; 0 where it is not made yet.
    pub inode: u64,
}

impl Stage {
    /// What is done, for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Prepare => "nothing is moved yet",
            Self::Move => "a home is being moved",
            Self::Lease => "the home is moved, and the lease is counted on",
            Self::Start => "the home is moved, and Jenkins is to be started",
            Self::Resume => "Jenkins serves, and its group is to be told so",
        }
    }
}

impl Journal {
    /// Whether no Jenkins may be started.
    pub fn bars(&self) -> bool {
        self.stage < Stage::Start
    }

    /// What is under way, in a line.
    pub fn told(&self) -> String {
        let what = match self.way {
            Way::Forward => "a home is being brought back from",
            Way::Back => "this is being taken back: a home was brought back from",
        };
        let Self { from, by, host, stage, .. } = self;
        let since = self.begun.strftime("%Y-%m-%d %H:%M UTC");
        format!("{what} `{from}`, by {by} on {host} since {since}: {}", stage.title())
    }
}

/// What is at the place of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// Nothing: no recovery is under way.
    Nothing,
    /// A journal.
    Journal(Box<Journal>),
    /// Something that cannot be understood, and why.
    Garbage(String),
}

#[derive(Deserialize)]
struct Form {
    version: u32,
}

/// Reads the journal.
pub fn read(root: &Root) -> io::Result<Found> {
    Ok(root.read(JOURNAL)?.map_or(Found::Nothing, |bytes| parse(&bytes)))
}

/// What a text comes to.
pub fn parse(bytes: &[u8]) -> Found {
    let garbage = |error: serde_json::Error| Found::Garbage(format!("it is no journal: {error}"));
    match serde_json::from_slice::<Form>(bytes) {
        Err(error) => garbage(error),
        Ok(Form { version }) if version != VERSION => Found::Garbage(format!(
            "it has form {version}, and this hostkit reads {VERSION}: use the hostkit that wrote it"
        )),
        Ok(_) => match serde_json::from_slice(bytes) {
            Ok(journal) => Found::Journal(Box::new(journal)),
            Err(error) => garbage(error),
        },
    }
}

/// What to do about a recovery that is under way.
pub const TWO_WAYS: &str = "on the host that holds the home, one of:\n  hostkit efs recover          \
                            # carries it on\n  hostkit efs recover --undo   # takes it back";

/// Why no Jenkins may be started on this file system because of a recovery, and what to do; none
/// where it may.
pub fn barrier(root: &Root, file_system: &str) -> io::Result<Option<(String, String)>> {
    under_way(root, file_system, Journal::bars)
}

/// Which recovery is not over, and what to do; none where none is under way. Once Jenkins serves, it is
/// over for a boot.
pub fn unfinished(root: &Root, file_system: &str) -> io::Result<Option<(String, String)>> {
    under_way(root, file_system, |journal| journal.stage < Stage::Resume)
}

fn under_way(
    root: &Root,
    file_system: &str,
    counts: impl Fn(&Journal) -> bool,
) -> io::Result<Option<(String, String)>> {
    let hint = TWO_WAYS.to_owned();
    Ok(match read(root)? {
        Found::Journal(journal) if journal.file_system != file_system => Some((
            format!("{JOURNAL} is about {}: it came here with a copy", journal.file_system),
            format!(
                "look whether the copy is whole; then `mv {0}/{JOURNAL} {0}/{JOURNAL}.copied`",
                crate::host::HOME
            ),
        )),
        Found::Journal(journal) if counts(&journal) => Some((journal.told(), hint)),
        Found::Nothing | Found::Journal(_) => None,
        Found::Garbage(why) => Some((
            format!("a recovery is under way, and {JOURNAL} cannot be read: {why}"),
            format!(
                "see what is in {0}/.hostkit/pre-restore-* and {0}/home; then `mv {0}/{JOURNAL} \
                 {0}/{JOURNAL}.unreadable`",
                crate::host::HOME
            ),
        )),
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn journal() -> Journal {
        Journal {
            version: VERSION,
            id: "20261127T030000Z".to_owned(),
            file_system: "fs-0123456789abcdef0".to_owned(),
            begun: "2026-11-27T03:00:00Z".parse().unwrap(),
            by: "alice".to_owned(),
            host: "i-0aaaaaaaaaaaaaaaa".to_owned(),
            way: Way::Forward,
            stage: Stage::Move,
            from: "aws-backup-restore_2026-11-27T02-10-00Z/home".to_owned(),
            aside: ".hostkit/pre-restore-20261127T030000Z".to_owned(),
            work: Work::Home { gather: None, moves: Vec::new() },
            generation: 7,
            group: None,
            ended: None,
        }
    }

    fn barred(text: &str) -> Option<(String, String)> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".hostkit")).unwrap();
        std::fs::write(folder.path().join(JOURNAL), text).unwrap();
        let root = camino::Utf8Path::from_path(folder.path()).unwrap();
        barrier(&Root::strict(root).unwrap(), "fs-0123456789abcdef0").unwrap()
    }

    #[test]
    fn jenkins_is_barred_until_the_home_is_moved_and_says_by_whom() {
        let text = |stage: Stage, way: Way, file_system: &str| {
            let file_system = file_system.to_owned();
            let journal = Journal { file_system, way, stage, ..journal() };
            serde_json::to_string_pretty(&journal).unwrap()
        };
        let fs = "fs-0123456789abcdef0";
        let mut told = Vec::new();
        for bad in [
            text(Stage::Prepare, Way::Forward, fs),
            text(Stage::Move, Way::Back, fs),
            text(Stage::Lease, Way::Forward, fs),
            text(Stage::Start, Way::Forward, "fs-0fedcba9876543210"),
            "{\"version\": 1}".to_owned(),
            "{\"version\": 2, \"more\": []}".to_owned(),
            "\0\0".to_owned(),
            String::new(),
        ] {
            let (why, hint) = barred(&bad).unwrap_or_else(|| panic!("{bad}"));
            told.push(format!("{why}\n  hint: {}", hint.replace('\n', "\n  ")));
        }
        insta::assert_snapshot!(told.join("\n\n"));
        for good in [Stage::Start, Stage::Resume] {
            assert_eq!(barred(&text(good, Way::Forward, fs)), None);
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        let moves = vec![Move { from: "a".to_owned(), to: "home".to_owned(), inode: 9 }];
        let gather = Some(Gather { path: ".hostkit/incoming-1".to_owned(), uid: 1000, gid: 1000 });
        for work in [
            Work::Home { gather, moves },
            Work::Set { set: ".hostkit/before/2".to_owned(), added: vec!["home/x".to_owned()] },
        ] {
            let journal = Journal { work, ..journal() };
            let text = serde_json::to_vec(&journal).unwrap();
            assert_eq!(parse(&text), Found::Journal(Box::new(journal)));
        }
    }
}
