//! What was made on AWS and must not be lost: a write-ahead journal of one build.
//!
//! Before anything is made, a line says what it will be; once it has an id, a line says so; once it
//! is to stay, or is gone, a line says that. Whatever ends a process, the file tells what to undo,
//! last in first out, or where to carry on. Nothing here calls AWS: who undoes asks
//! [`Journal::open`] and tells the outcome.
//!
//! `$XDG_STATE_HOME/hostkit/builds/ID.jsonl`, a line of JSON each. A torn last line (the power went)
//! is left out. Whoever writes holds a lock on the file, so that two never carry on the same build.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use crate::error::Fault;

/// The version of the form.
pub const VERSION: u32 = 1;

/// The tag that has a build's id on all that it makes.
pub const BUILD_TAG: &str = "hostkit:build";
/// The tag that says whether something is part of a build that is not done (`building`) or stays
/// (`kept`).
pub const STATE_TAG: &str = "hostkit:state";
/// See [`STATE_TAG`].
pub const BUILDING: &str = "building";
/// See [`STATE_TAG`].
pub const KEPT: &str = "kept";

/// A kind of thing on AWS that a build can make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An EBS snapshot.
    Snapshot,
    /// An AMI.
    Image,
    /// An EC2 instance.
    Instance,
    /// An EC2 key pair.
    KeyPair,
    /// A security group.
    SecurityGroup,
}

impl Kind {
    /// Its name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Snapshot => "snapshot",
            Self::Image => "image",
            Self::Instance => "instance",
            Self::KeyPair => "key pair",
            Self::SecurityGroup => "security group",
        }
    }
}

/// Something that was made, or was about to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// What it is.
    pub kind: Kind,
    /// Where it is.
    pub region: String,
    /// What it is found by if its id never came: its client token or its name.
    pub token: String,
    /// Its id, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// What a journal is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// See [`VERSION`].
    pub version: u32,
    /// The build's id, the value of [`BUILD_TAG`].
    pub build: String,
    /// The recipe.
    pub recipe: String,
    /// The digest of the image.
    pub digest: String,
    /// The account that all is made in.
    pub account: String,
    /// The region that it begins in.
    pub region: String,
    /// Where its services are, if not on AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<String>,
    /// When it began.
    pub started: jiff::Timestamp,
}

/// What became of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It is part of what the build was for.
    Kept,
    /// It was undone, or never came to be.
    Gone,
}

/// A line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Line {
    Build(Header),
    Intend(Resource),
    Made { number: usize, id: String },
    Settled { number: usize, fate: Fate },
    Done,
}

/// Names a resource within its journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(usize);

/// The journal of one build. See the module.
#[derive(Debug)]
pub struct Journal {
    path: Utf8PathBuf,
    file: Flock<File>,
    header: Header,
    resources: Vec<(Resource, Option<Fate>)>,
    done: bool,
}

impl Journal {
    /// Begins a journal in `folder`, which is made if need be.
    pub fn create(folder: &Utf8Path, header: Header) -> anyhow::Result<Self> {
        let path = folder.join(format!("{}.jsonl", header.build));
        let fault = || Fault::environment(format!("the journal {path} cannot be written"));
        std::fs::create_dir_all(folder).with_context(fault)?;
        let file = OpenOptions::new().create_new(true).append(true).mode(0o600).open(&path);
        let file = lock(file.with_context(fault)?, &path)?;
        File::open(folder).and_then(|folder| folder.sync_all()).with_context(fault)?;
        let mut journal =
            Self { path, file, header: header.clone(), resources: Vec::new(), done: false };
        journal.write(&Line::Build(header))?;
        Ok(journal)
    }

    /// Reads a journal to go on with it.
    pub fn open(path: &Utf8Path) -> anyhow::Result<Self> {
        let fault = || Fault::environment(format!("the journal {path} cannot be read"));
        let file = OpenOptions::new().read(true).append(true).open(path).with_context(fault)?;
        let file = lock(file, path)?;
        let text = std::fs::read_to_string(path).with_context(fault)?;
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        let Ok(Line::Build(header)) = serde_json::from_str(first) else {
            return Err(Fault::environment(format!("{path} is not the journal of a build"))
                .hint("`hostkit gc` finds what a build left by its tags, without a journal")
                .into());
        };
        if header.version != VERSION {
            let text = format!("{path} is of form {}, and this hostkit knows 1", header.version);
            return Err(Fault::environment(text).into());
        }
        let mut journal =
            Self { path: path.to_owned(), file, header, resources: Vec::new(), done: false };
        for line in lines {
            // Only the last one can be torn, and nothing was done after it.
            if let Ok(line) = serde_json::from_str(line) {
                journal.fold(line);
            }
        }
        if !text.ends_with('\n') {
            journal.file.write_all(b"\n").with_context(fault)?;
        }
        Ok(journal)
    }

    /// What it is about.
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// Where it is.
    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// Says that something is about to be made. Only then may it be.
    pub fn intend(
        &mut self,
        kind: Kind,
        region: &str,
        token: impl Into<String>,
    ) -> anyhow::Result<Number> {
        let resource = Resource { kind, region: region.to_owned(), token: token.into(), id: None };
        self.write(&Line::Intend(resource))?;
        Ok(Number(self.resources.len() - 1))
    }

    /// Says that it was made, and has this id.
    pub fn made(&mut self, number: Number, id: impl Into<String>) -> anyhow::Result<()> {
        self.write(&Line::Made { number: number.0, id: id.into() })
    }

    /// Says what became of it.
    pub fn settle(&mut self, number: Number, fate: Fate) -> anyhow::Result<()> {
        self.write(&Line::Settled { number: number.0, fate })
    }

    /// Everything whose fate is open, the last made first: the order of undoing.
    pub fn unsettled(&self) -> Vec<(Number, Resource)> {
        let all = self.resources.iter().enumerate().rev();
        all.filter(|(_, (_, fate))| fate.is_none())
            .map(|(number, (resource, _))| (Number(number), resource.clone()))
            .collect()
    }

    /// Everything that was ever intended, with its fate, in order.
    pub fn resources(&self) -> impl Iterator<Item = (Number, &Resource, Option<Fate>)> {
        let all = self.resources.iter().enumerate();
        all.map(|(number, (resource, fate))| (Number(number), resource, *fate))
    }

    /// Whether the build came to its end.
    pub const fn is_done(&self) -> bool {
        self.done
    }

    /// The build has come to its end: nothing is open. The file stays for the record.
    pub fn close(mut self) -> anyhow::Result<()> {
        self.write(&Line::Done)
    }

    /// Removes the file: nothing is left that it could tell of.
    pub fn discard(self) -> anyhow::Result<()> {
        std::fs::remove_file(&self.path).with_context(|| format!("removing {}", self.path))
    }

    fn write(&mut self, line: &Line) -> anyhow::Result<()> {
        let text = serde_json::to_string(line).context("writing a line of the journal")? + "\n";
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        written.with_context(|| {
            Fault::environment(format!("the journal {} cannot be written", self.path))
        })?;
        self.fold(line.clone());
        Ok(())
    }

    fn fold(&mut self, line: Line) {
        match line {
            Line::Build(_) => {}
            Line::Intend(resource) => self.resources.push((resource, None)),
            Line::Made { number, id } => {
                if let Some((resource, _)) = self.resources.get_mut(number) {
                    resource.id = Some(id);
                }
            }
            Line::Settled { number, fate } => {
                if let Some((_, open)) = self.resources.get_mut(number) {
                    *open = Some(fate);
                }
            }
            Line::Done => self.done = true,
        }
    }
}

fn lock(file: File, path: &Utf8Path) -> anyhow::Result<Flock<File>> {
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, errno)| {
        anyhow::Error::from(errno).context(
            Fault::environment(format!("another hostkit works on the build in {path}"))
                .hint("wait for it, or stop it"),
        )
    })
}

/// Whether a journal was refused because another hostkit works on its build.
pub fn is_at_work(refusal: &anyhow::Error) -> bool {
    refusal.downcast_ref::<Errno>() == Some(&Errno::EWOULDBLOCK)
}

/// What a journal is about and the regions that it names, without its lock: another hostkit may be
/// writing it. None if it is no journal.
pub fn peek(path: &Utf8Path) -> Option<(Header, BTreeSet<String>)> {
    let text = std::fs::read_to_string(path).ok()?;
    let mut lines = text.lines().map_while(|line| serde_json::from_str(line).ok());
    let Some(Line::Build(header)) = lines.next() else { return None };
    let resources = lines.filter_map(|line| match line {
        Line::Intend(resource) => Some(resource.region),
        _ => None,
    });
    let regions = resources.chain([header.region.clone()]).collect();
    Some((header, regions))
}

/// The folder of journals: `$XDG_STATE_HOME/hostkit/builds`.
///
/// # Errors
/// Neither `XDG_STATE_HOME` nor `HOME` is set.
pub fn folder() -> Result<Utf8PathBuf, Fault> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| value.starts_with('/'));
    let state = set("XDG_STATE_HOME").map(Utf8PathBuf::from);
    let state = state.or_else(|| Some(Utf8PathBuf::from(set("HOME")?).join(".local/state")));
    state.map(|state| state.join("hostkit/builds")).ok_or_else(|| {
        Fault::environment("there is no place for the journals of builds")
            .hint("set HOME or XDG_STATE_HOME")
    })
}

/// The journals in a folder that are of builds which did not come to their end, the newest first.
/// Those that another hostkit works on are left out.
pub fn unfinished(folder: &Utf8Path) -> Vec<Journal> {
    let entries = folder.read_dir_utf8().into_iter().flatten().flatten();
    let files = entries.map(|entry| entry.path().to_owned());
    let mut journals: Vec<Journal> = files
        .filter(|path| path.extension() == Some("jsonl"))
        .filter_map(|path| Journal::open(&path).ok())
        .filter(|journal| !journal.is_done())
        .collect();
    journals.sort_by_key(|journal| std::cmp::Reverse(journal.header.started));
    journals
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            version: VERSION,
            build: "b-1".into(),
            recipe: "ci".into(),
            digest: "0".repeat(64),
            account: "123456789012".into(),
            region: "eu-west-1".into(),
            endpoint_url: None,
            started: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    fn folder_of(dir: &tempfile::TempDir) -> Utf8PathBuf {
        Utf8PathBuf::from_path_buf(dir.path().join("builds")).unwrap()
    }

    #[test]
    fn what_is_open_is_undone_last_in_first_out_by_who_reads_it_next() {
        let dir = tempfile::tempdir().unwrap();
        let folder = folder_of(&dir);
        let mut journal = Journal::create(&folder, header()).unwrap();
        let key = journal.intend(Kind::KeyPair, "eu-west-1", "hostkit-b-1").unwrap();
        let snapshot = journal.intend(Kind::Snapshot, "eu-west-1", "token").unwrap();
        journal.made(snapshot, "snap-1").unwrap();
        journal.settle(key, Fate::Gone).unwrap();
        journal.intend(Kind::Image, "eu-west-1", "ci-amd64-1").unwrap();
        assert!(unfinished(&folder).is_empty(), "somebody works on it");
        let path = journal.path().to_owned();
        assert!(is_at_work(&Journal::open(&path).unwrap_err()));
        let (about, regions) = peek(&path).unwrap();
        assert_eq!((about, regions.len()), (header(), 1));
        drop(journal);
        // As a machine leaves it that lost its power.
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"made\":{\"num").unwrap();
        let [journal] = <[Journal; 1]>::try_from(unfinished(&folder)).unwrap();
        let open: Vec<_> =
            journal.unsettled().into_iter().map(|(_, one)| (one.kind, one.id)).collect();
        assert_eq!(open, [(Kind::Image, None), (Kind::Snapshot, Some("snap-1".into()))]);
        journal.close().unwrap();
        assert!(unfinished(&folder).is_empty(), "it is done");
    }

    #[test]
    fn a_foreign_file_is_no_journal() {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(dir.path().join("x.jsonl")).unwrap();
        std::fs::write(&path, "hello\n").unwrap();
        let error = Journal::open(&path).unwrap_err();
        assert!(error.to_string().contains("is not the journal of a build"), "{error}");
        assert!(!is_at_work(&error) && peek(&path).is_none());
    }
}
