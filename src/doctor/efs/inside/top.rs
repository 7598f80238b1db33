//! What restores, replications and hostkit have left at the top of a file system.

use std::io;
use std::os::unix::fs::MetadataExt as _;

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use super::{Notebook, Trouble};
use crate::sys::Root;

/// Of each kind so many are told.
const NAMED: usize = 20;

/// The journal of a recovery, as long as it has not ended.
const JOURNAL: &str = ".hostkit/recover.json";

/// What is left.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Top {
    /// Restores of AWS Backup: `aws-backup-restore_…`.
    pub restores: Vec<Leftover>,
    /// Restores that failed: `aws-backup-failed-restore_…`.
    pub failed: Vec<Leftover>,
    /// What a restore could not put in its place: `aws-backup-lost+found`.
    pub fragments: Vec<Leftover>,
    /// What a replication did not find a place for: `efs-replication-lost+found-…`.
    pub replication: Vec<Leftover>,
    /// Homes that a recovery has put aside: `.hostkit/pre-restore-…`.
    pub before: Vec<Leftover>,
    /// Since when a recovery is open, in seconds since 1970; nothing where none is.
    pub open: Option<i64>,
}

/// Something that is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftover {
    /// From the top of the file system.
    pub path: String,
    /// When it was last changed, in seconds since 1970.
    pub at: i64,
    /// How many entries it has.
    pub entries: u64,
}

pub(super) fn look(root: &Root, notes: &Notebook) -> Result<Top, Trouble> {
    let what = "listing the top of the file system";
    notes.doing(what);
    read(root).map_err(|error| Trouble::new(what, &error))
}

fn read(root: &Root) -> io::Result<Top> {
    let mut top = Top::default();
    for name in root.list("")? {
        let kind = match name.as_str() {
            it if it.starts_with("aws-backup-restore_") => &mut top.restores,
            it if it.starts_with("aws-backup-failed-restore") => &mut top.failed,
            it if it.starts_with("aws-backup-lost+found") => &mut top.fragments,
            it if it.starts_with("efs-replication-lost+found") => &mut top.replication,
            _ => continue,
        };
        add(root, &name, kind)?;
    }
    for name in root.list(".hostkit")?.iter().filter(|name| name.starts_with("pre-restore-")) {
        add(root, &format!(".hostkit/{name}"), &mut top.before)?;
    }
    top.open = root.metadata(JOURNAL)?.map(|meta| meta.mtime());
    Ok(top)
}

fn add(root: &Root, path: &str, kind: &mut Vec<Leftover>) -> io::Result<()> {
    let Some(meta) = root.metadata(path)?.filter(|_| kind.len() < NAMED) else { return Ok(()) };
    let entries = if meta.is_dir() { root.list(Utf8Path::new(path))?.len() as u64 } else { 0 };
    kind.push(Leftover { path: path.to_owned(), at: meta.mtime(), entries });
    Ok(())
}
