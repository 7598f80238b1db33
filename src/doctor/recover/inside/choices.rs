//! What a home can be brought back from, as far as it lies on the file system.

use anyhow::Context as _;
use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use crate::sys::Root;

/// Where upgrades keep configuration and plugins.
pub(super) const SETS: &str = ".hostkit/before";

/// What AWS Backup calls what it restores.
pub(super) const RESTORE: &str = "aws-backup-restore_";

/// What it calls a restore that failed.
pub(super) const FAILED: &str = "aws-backup-failed-restore_";

/// What the homes of before are called that a recovery moved out.
pub(super) const ASIDE: &str = "pre-restore-";

/// Something that a home can be brought back from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// What it is called by: for `--from`.
    pub name: String,
    /// What it is.
    pub kind: Kind,
}

/// What something is that a home can be brought back from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// What AWS Backup has restored: a whole home.
    Restore,
    /// What an upgrade kept: configuration and plugins.
    Set,
    /// A home that an earlier recovery moved out.
    Aside,
    /// A folder that a person has named.
    Folder,
}

impl Kind {
    /// What it is, for people.
    pub const fn told(self) -> &'static str {
        match self {
            Self::Restore => "restored by AWS Backup",
            Self::Set => "configuration and plugins, kept by an upgrade",
            Self::Aside => "the home that an earlier recovery moved out",
            Self::Folder => "a folder",
        }
    }
}

/// All that there is, the newest of each kind first.
pub(super) fn all(root: &Root) -> anyhow::Result<Vec<Choice>> {
    let top = root.list("").context("listing the file system")?;
    let sets = root.list(SETS).with_context(|| format!("listing {SETS}"))?;
    let own = root.list(".hostkit").context("listing .hostkit")?;
    let restores = top.into_iter().rev().filter(|name| name.starts_with(RESTORE));
    let mut all: Vec<_> = restores.map(|name| Choice { name, kind: Kind::Restore }).collect();
    for name in sets.into_iter().rev() {
        let path = Utf8Path::new(SETS).join(&name).join("set.json");
        // What has none is not whole.
        if root.exists(&path).with_context(|| format!("looking at {path}"))?
            && !name.starts_with('.')
        {
            all.push(Choice { name, kind: Kind::Set });
        }
    }
    for name in own.into_iter().rev().filter(|name| name.starts_with(ASIDE)) {
        let path = Utf8Path::new(".hostkit").join(&name).join("home");
        // That of a set has single files only, and is taken back by --undo.
        if root.exists(path.join("config.xml")).with_context(|| format!("looking at {path}"))? {
            all.push(Choice { name, kind: Kind::Aside });
        }
    }
    Ok(all)
}
