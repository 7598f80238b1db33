//! Whether the home is whole, and from what it could be mended.

use std::io;

use camino::Utf8Path;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::intact::{self, Intact};
use super::place::{Place, place};
use super::{Notebook, Trouble};
use crate::lease::ground::HOME;
use crate::sys::Root;
use std::time::Duration;

/// Where configuration and plugins are kept aside before another Jenkins changes them.
const BEFORE: &str = ".hostkit/before";

/// Of so much damage a copy is looked for.
const SOUGHT: usize = 10;

/// The home, and what could mend it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Whole {
    /// Where the home is; nothing where there is none.
    pub place: Option<Place>,
    /// What was found in it.
    pub intact: Intact,
    /// What is kept aside of it, the newest first.
    pub sets: Vec<Set>,
    /// Where something that is damaged is kept aside: the file, and its copy, both from the top of
    /// the file system.
    pub copies: Vec<(String, String)>,
    /// What AWS Backup has restored, by name.
    pub restores: Vec<String>,
}

/// What was kept aside at an upgrade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Set {
    /// Its folder, from the top of the file system.
    pub path: String,
    /// When.
    pub at: Timestamp,
    /// The Jenkins that had left it.
    pub jenkins: Option<String>,
}

/// The part of a set's own description that is needed here.
#[derive(Deserialize)]
struct Described {
    at: Timestamp,
    from: Software,
}

#[derive(Deserialize)]
struct Software {
    jenkins: Option<String>,
}

pub(super) fn look(root: &Root, within: Duration, notes: &Notebook) -> Result<Whole, Trouble> {
    let what = "looking where the home is";
    notes.doing(what);
    let place = place(root).map_err(|error| Trouble::new(what, &error))?;
    let Some(place) = place else {
        let (intact, sets, copies) = (Intact::default(), Vec::new(), Vec::new());
        return Ok(Whole { place: None, intact, sets, copies, restores: Vec::new() });
    };
    let intact = intact::examine_within(root, place.folder.as_str().into(), within, notes);
    let what = "looking what is kept aside";
    notes.doing(what);
    let trouble = |error: io::Error| Trouble::new(what, &error);
    let sets = sets(root).map_err(trouble)?;
    let copies = copies(root, &place, &intact, &sets);
    let mut restores = root.list("").map_err(trouble)?;
    restores.retain(|name| name.starts_with("aws-backup-restore_"));
    restores.reverse();
    restores.truncate(SOUGHT);
    Ok(Whole { place: Some(place), intact, sets, copies, restores })
}

fn sets(root: &Root) -> io::Result<Vec<Set>> {
    let mut all = Vec::new();
    for name in root.list(BEFORE)? {
        let path = Utf8Path::new(BEFORE).join(&name);
        let text = root.read(path.join("set.json")).ok().flatten();
        let told = text.and_then(|text| serde_json::from_slice::<Described>(&text).ok());
        // One that is still being made has a name of its own.
        let Some(told) = told.filter(|_| !name.starts_with('.')) else { continue };
        let (at, jenkins) = (told.at, told.from.jenkins);
        all.push(Set { path: path.into_string(), at, jenkins });
    }
    all.sort_by_key(|set| std::cmp::Reverse(set.at));
    Ok(all)
}

/// For what is damaged: where the newest set has it, and not the same file.
fn copies(root: &Root, place: &Place, intact: &Intact, sets: &[Set]) -> Vec<(String, String)> {
    use std::os::unix::fs::MetadataExt as _;

    let mut found = Vec::new();
    let damaged = intact.damage.iter().filter(|damage| !damage.path.is_empty());
    for damage in damaged.take(SOUGHT) {
        let path = Utf8Path::new(&place.folder).join(&damage.path);
        let inode = root.metadata(&path).ok().flatten().map(|meta| meta.ino());
        for set in sets {
            let copy = Utf8Path::new(&set.path).join(HOME).join(&damage.path);
            let meta = root.metadata(&copy).ok().flatten();
            if meta.is_some_and(|it| it.is_file() && it.len() > 0 && Some(it.ino()) != inode) {
                found.push((path.into_string(), copy.into_string()));
                break;
            }
        }
    }
    found
}
