//! Whose a file system is: its mark, and what is on it.

use std::io;

use serde::{Deserialize, Serialize};

use super::place::{Place, place};
use super::{Notebook, Trouble};
use crate::lease::ground::{self, HOME, MARK, MOVING};
use crate::sys::Root;

/// So many names are told.
const NAMED: usize = 12;

/// What a home has once Jenkins has run on it.
const EXPECTED: [&str; 3] = ["config.xml", "secrets", "jobs"];

/// Whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whose {
    /// The id that it is marked with, if any.
    pub mark: Option<String>,
    /// Where the home is, if there is one.
    pub place: Option<Place>,
    /// How many entries the home has.
    pub entries: u64,
    /// What is expected in it and is not there.
    pub missing: Vec<String>,
    /// What is at the top and belongs neither to a home nor to hostkit or AWS: the first few names.
    pub others: Vec<String>,
    /// Whether a home is being moved to its place.
    pub moving: bool,
}

pub(super) fn look(root: &Root, notes: &Notebook) -> Result<Whose, Trouble> {
    let what = "reading whose the file system is";
    notes.doing(what);
    read(root).map_err(|error| Trouble::new(what, &error))
}

fn read(root: &Root) -> io::Result<Whose> {
    let mark = root.read_text(MARK)?.map(|mark| mark.trim().chars().take(64).collect());
    let place = place(root)?;
    let names = match &place {
        Some(place) => list(root, &place.folder)?,
        None => Vec::new(),
    };
    let missing = EXPECTED.iter().filter(|name| !names.iter().any(|it| it == *name));
    // Beside a home that is the top, all is part of it.
    let at_top = place.as_ref().is_some_and(|place| place.folder.is_empty());
    let mut others = if at_top { Vec::new() } else { list(root, "")? };
    others.retain(|name| !ground::is_apart(name));
    others.truncate(NAMED);
    Ok(Whose {
        mark,
        missing: missing.map(|name| (*name).to_owned()).collect(),
        entries: names.len() as u64,
        others,
        moving: root.exists(MOVING)?,
        place: place.filter(|place| place.folder != HOME || root.exists(HOME).unwrap_or(true)),
    })
}

/// The names in a folder; none where it is no folder.
fn list(root: &Root, folder: &str) -> io::Result<Vec<String>> {
    match root.list(folder) {
        Err(error) if error.raw_os_error() == Some(nix::libc::ENOTDIR) => Ok(Vec::new()),
        names => names,
    }
}
