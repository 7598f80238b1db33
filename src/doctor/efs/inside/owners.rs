//! Whose files they are, by number: those that matter, and a sample of jobs.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::place::place;
use super::{Notebook, Trouble};
use crate::sys::root::is_in_the_way;
use crate::sys::{Folder, Root};

/// So many jobs are looked at.
const JOBS: usize = 200;

/// So many files of others are named.
const NAMED: usize = 20;

/// What of a job is looked at.
const OF_A_JOB: [&str; 4] = ["", "config.xml", "nextBuildNumber", "builds"];

/// What in a home is looked at by name, and is told in any case.
const TELLING: [&str; 4] = ["", "config.xml", "secrets", "secrets/master.key"];

/// Whose the files are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owners {
    /// The folder of the home; nothing where there is none.
    pub folder: Option<String>,
    /// The top of the file system, the home, and what in it tells: those that are there.
    pub telling: Vec<Owned>,
    /// Of the rest, files that belong to another user: the first few.
    pub others: Vec<Owned>,
    /// How many more do.
    pub more: u64,
    /// How many files were looked at.
    pub looked: u64,
}

/// A file, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owned {
    /// From the top of the file system: empty for that itself.
    pub path: String,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Its permissions.
    pub mode: u32,
    /// Whether it is a folder.
    pub folder: bool,
}

impl Owned {
    fn of(path: &Utf8Path, meta: &Metadata) -> Self {
        let (uid, gid, mode) = (meta.uid(), meta.gid(), meta.mode() & 0o7777);
        Self { path: path.to_string(), uid, gid, mode, folder: meta.is_dir() }
    }

    /// For people.
    pub fn told(&self) -> String {
        let name = if self.path.is_empty() { "the top" } else { &self.path };
        format!("{name}: {}:{} {:04o}", self.uid, self.gid, self.mode)
    }
}

pub(super) fn look(root: &Root, uid: u32, notes: &Notebook) -> Result<Owners, Trouble> {
    let what = "reading whose files they are";
    notes.doing(what);
    let trouble = |error: io::Error| Trouble::new(what, &error);
    let mut found = Owners {
        folder: None,
        telling: vec![Owned::of("".into(), &top(root).map_err(trouble)?)],
        others: Vec::new(),
        more: 0,
        looked: 1,
    };
    let Some(place) = place(root).map_err(trouble)? else { return Ok(found) };
    let home = Utf8PathBuf::from(&place.folder);
    for name in TELLING.iter().filter(|name| !(home.as_str().is_empty() && name.is_empty())) {
        if let Some(owned) = one(root, &join(&home, name), notes).map_err(trouble)? {
            found.telling.push(owned);
            found.looked += 1;
        }
    }
    found.folder = Some(place.folder);
    let mut others = |path: &Utf8Path| -> io::Result<()> {
        let Some(owned) = one(root, path, notes)? else { return Ok(()) };
        found.looked += 1;
        if owned.uid != uid && found.others.len() < NAMED {
            found.others.push(owned);
        } else if owned.uid != uid {
            found.more += 1;
        }
        Ok(())
    };
    sample(root, &home, &mut others).map_err(trouble)?;
    Ok(found)
}

/// The entries of the home, and the first jobs.
fn sample(
    root: &Root,
    home: &Utf8Path,
    each: &mut impl FnMut(&Utf8Path) -> io::Result<()>,
) -> io::Result<()> {
    let names = root.list(home)?;
    let mine = |name: &&String| {
        let apart = home.as_str().is_empty() && crate::lease::ground::is_apart(name);
        !apart && !TELLING.contains(&name.as_str())
    };
    for name in names.iter().filter(mine) {
        each(&join(home, name))?;
    }
    if !names.iter().any(|name| name == "jobs") {
        return Ok(());
    }
    let jobs = home.join("jobs");
    let all = match root.list(&jobs) {
        Err(error) if is_in_the_way(&error) => Vec::new(),
        names => names?,
    };
    for job in all.into_iter().take(JOBS) {
        for name in OF_A_JOB {
            each(&join(&jobs.join(&job), name))?;
        }
    }
    Ok(())
}

fn join(folder: &Utf8Path, name: &str) -> Utf8PathBuf {
    if name.is_empty() { folder.to_owned() } else { folder.join(name) }
}

/// What is at a path itself; nothing where nothing is, or a link leads there.
fn one(root: &Root, path: &Utf8Path, notes: &Notebook) -> io::Result<Option<Owned>> {
    notes.doing(format!("stat of {path}"));
    match root.metadata(path) {
        Err(error) if is_in_the_way(&error) => Ok(None),
        meta => Ok(meta?.map(|meta| Owned::of(path, &meta))),
    }
}

fn top(root: &Root) -> io::Result<Metadata> {
    Folder::open(root, "")?.ok_or(io::ErrorKind::NotFound)?.metadata()
}
