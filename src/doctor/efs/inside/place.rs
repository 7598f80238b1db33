//! Where on a file system the home of a Jenkins is, also one that is damaged.

use std::io;

use serde::{Deserialize, Serialize};

use crate::lease::ground::HOME;
use crate::sys::Root;
use crate::sys::root::is_in_the_way;

/// What only a Jenkins has in its home.
const SIGNS: &[&str] = &[
    "config.xml",
    "secrets",
    "jobs",
    "nodes",
    "users",
    "plugins",
    "identity.key.enc",
    "jenkins.install.InstallUtil.lastExecVersion",
    "hudson.model.UpdateCenter.xml",
];

/// Where the home is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The folder, from the top of the file system: empty where the home is the top itself.
    pub folder: String,
    /// What speaks for it, by name.
    pub signs: Vec<String>,
}

/// Where the home is; nothing where no sign of a Jenkins is found.
///
/// # Errors
/// The file system could not be read.
pub fn place(root: &Root) -> io::Result<Option<Place>> {
    let within = |folder: &str| -> io::Result<Place> {
        let names = names(root, folder)?;
        let signs = SIGNS.iter().filter(|sign| names.iter().any(|name| name == *sign));
        let signs = signs.map(|sign| (*sign).to_owned()).collect();
        Ok(Place { folder: folder.to_owned(), signs })
    };
    let (inside, top) = (within(HOME)?, within("")?);
    // What hostkit has marked has its home there, whatever is left of it. The mark itself is for
    // root only, and who asks may be another.
    let marked = root.exists(".hostkit")? && root.exists(HOME)?;
    Ok(if marked || (!inside.signs.is_empty() && inside.signs.len() >= top.signs.len()) {
        Some(inside)
    } else if top.signs.is_empty() {
        None
    } else {
        Some(top)
    })
}

/// The names in a folder; none where it is no folder.
fn names(root: &Root, folder: &str) -> io::Result<Vec<String>> {
    match root.list(folder) {
        Err(error) if is_in_the_way(&error) => Ok(Vec::new()),
        names => names,
    }
}
