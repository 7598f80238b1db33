//! Whether a home is whole: what Jenkins cannot do without is there and can be read.
//!
//! Works on any tree: the home on the mount, one that a restore has left, one that was kept aside.
//! Reads configuration, looks at the newest builds, and changes nothing. No link is followed.

mod examine;
mod files;
#[cfg(test)]
mod tests;
mod xml;

use std::time::Duration;

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use super::notebook::Notebook;
use crate::sys::Root;
use examine::Examination;

/// So long is looked, unless somebody says otherwise.
const WITHIN: Duration = Duration::from_secs(25);

/// What was found in a home.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Intact {
    /// Where the home is, from the top of the file system: empty where it is the top.
    pub folder: String,
    /// Whether it is empty: no Jenkins has run on it, or all is lost.
    pub fresh: bool,
    /// What is damaged, the worst first, and of each kind only the first few.
    pub damage: Vec<Damage>,
    /// How many more are damaged than are named.
    pub more: u64,
    /// The version of the Jenkins that last ran on it, by its own word.
    pub last: Option<String>,
    /// How many jobs were looked at.
    pub jobs: u64,
    /// How many builds were looked at.
    pub builds: u64,
    /// How many users it has.
    pub users: u64,
    /// How many agents it has.
    pub nodes: u64,
    /// How many plugins it has.
    pub plugins: u64,
    /// How many starts of Jenkins have failed one after the other.
    pub failed_boots: u64,
    /// Who says that it uses the home, by Jenkins' own mark against two of them.
    pub owner: Option<String>,
    /// What was not looked at, because time was up.
    pub unreached: Vec<String>,
}

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// What, from the home.
    pub path: String,
    /// In which way.
    pub how: How,
    /// What follows from it.
    pub gravity: Gravity,
}

/// In which way something is damaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// It is not there.
    Missing,
    /// It has no byte in it.
    Empty,
    /// It is a link, a folder or the like where a file must be, or the other way round.
    OtherKind,
    /// It is no XML, or is cut off: what the parser says.
    NotXml(String),
    /// It is the configuration of something else: its element.
    Foreign(String),
    /// It is not of the form that Jenkins writes.
    Garbled(String),
    /// It cannot be read: the error.
    Unreadable(String),
}

/// What follows from a damage, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gravity {
    /// Jenkins does not come up, or comes up without what makes it this one: its security, its secrets.
    Fatal,
    /// A part is lost: a job, an agent, a plugin.
    Loss,
    /// Somebody should look.
    Minor,
}

impl Intact {
    /// What Jenkins cannot do without and is not there, a line each; empty where it will come up.
    pub fn fatal(&self) -> Vec<String> {
        let fatal = self.damage.iter().filter(|damage| damage.gravity == Gravity::Fatal);
        fatal.map(Damage::told).collect()
    }
}

impl Damage {
    /// In a line.
    pub fn told(&self) -> String {
        let Self { path, how, .. } = self;
        let path = if path.is_empty() { "the home" } else { path };
        match how {
            How::Missing => format!("{path} is not there"),
            How::Empty => format!("{path} is empty"),
            How::OtherKind => format!("{path} is something else than it should be"),
            How::NotXml(why) => format!("{path} cannot be parsed: {why}"),
            How::Foreign(element) => format!("{path} is not Jenkins': it is <{element}>"),
            How::Garbled(why) => format!("{path} is garbled: {why}"),
            How::Unreadable(why) => format!("{path} cannot be read: {why}"),
        }
    }
}

/// Looks at the home in a folder of a root, which may be its top (an empty path). For work in a child
/// of its own: it may hang.
pub fn examine(root: &Root, folder: &Utf8Path) -> Intact {
    examine_within(root, folder, WITHIN, &Notebook::default())
}

/// As [`examine`], within so much time, and says in `notes` what it is doing.
pub fn examine_within(
    root: &Root,
    folder: &Utf8Path,
    within: Duration,
    notes: &Notebook,
) -> Intact {
    Examination::new(root, folder, within, notes).all()
}
