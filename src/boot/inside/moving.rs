//! A `JENKINS_HOME` at the top of a file system is moved to where hostkit has it, entry by entry.
//!
//! Each move is a rename on the server, whatever is below it, so a home of any size takes a second.
//! What says that it is under way comes first, and the configuration last: whoever is interrupted
//! carries on.

use std::io;

use anyhow::Context as _;

use crate::error::Fault;
use crate::lease::ground::{self, HOME, MOVING};
use crate::sys::{Folder, Owner, Root};

const LAST: &str = "config.xml";

/// Moves all that is at the top into the home.
pub(super) fn into_place(root: &Root, file_system: &str) -> anyhow::Result<()> {
    let text = format!("{file_system}\n");
    root.write(MOVING, text.as_bytes(), 0o600, Owner::me())
        .context("noting that a home is moved")?;
    let top = Folder::open(root, "")?.context("the file system is gone")?;
    let home = Folder::open(root, HOME)?.context("the home is gone")?;
    let mut names = root.list("").context("listing the file system")?;
    names.retain(|name| !ground::is_apart(name));
    // The last one tells that this is a home.
    names.sort_by_key(|name| name == LAST);
    for name in names {
        if home.has(&name).with_context(|| format!("looking for {HOME}/{name}"))? {
            let what = format!("`{name}` is at the top of the file system and in `{HOME}`, too");
            return Err(Fault::step(what).hint("move the one away that is not needed").into());
        }
        top.move_to(&name, &home).with_context(|| format!("moving {name} into {HOME}"))?;
    }
    Ok(())
}

/// Nothing is under way any more.
pub(super) fn done(root: &Root) -> io::Result<()> {
    root.remove(MOVING).map(drop)
}
