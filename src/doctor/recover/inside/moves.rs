//! A home is moved out and another one in, rename by rename.
//!
//! Each thing is known by its inode, so it is always to be seen which of its two names it has: whoever
//! was interrupted looks, and goes on. A rename is done only onto a name that nothing has.

use std::os::unix::fs::MetadataExt as _;

use anyhow::Context as _;
use camino::Utf8Path;

use super::{Moments, inode, is_folder, journal};
use crate::error::Fault;
use crate::lease::recovery::{Gather, Journal, Move, Way, Work};
use crate::sys::{Folder, Owner, Root};

/// As a home is made.
const MODE: u32 = 0o750;

/// Moves what the journal says, in its way. Says what had to be moved.
pub(super) fn change(
    root: &Root,
    journal: &mut Journal,
    moments: &Moments,
) -> anyhow::Result<Vec<String>> {
    gather(root, journal, moments)?;
    let Work::Home { moves, .. } = &journal.work else { return Ok(Vec::new()) };
    let mut told = Vec::new();
    let mut rename = |from: &str, to: &str, which: u64| -> anyhow::Result<()> {
        if rename(root, from, to, which, moments)? {
            told.push(format!("{from} -> {to}"));
        }
        Ok(())
    };
    match journal.way {
        Way::Forward => {
            for (at, one) in moves.iter().enumerate() {
                // It may have gone on already, with the folder that it was moved into.
                if inode(root, &last_name(one, &moves[at + 1..]))? != Some(one.inode) {
                    rename(&one.from, &one.to, one.inode)?;
                }
            }
        }
        Way::Back => {
            for one in moves.iter().rev() {
                rename(&one.to, &one.from, one.inode)?;
            }
        }
    }
    Ok(told)
}

/// Makes the folder in which a home comes together, and writes down which one it is.
fn gather(root: &Root, journal: &mut Journal, moments: &Moments) -> anyhow::Result<()> {
    let way = journal.way;
    let Work::Home { gather: Some(gather), moves } = &mut journal.work else { return Ok(()) };
    let Gather { path, uid, gid } = gather;
    let Some(last) = moves.iter_mut().find(|it| it.from == *path && it.inode == 0) else {
        return Ok(());
    };
    if way == Way::Back {
        // Nothing was moved into it yet.
        moves.retain(|it| it.inode != 0);
        return Ok(());
    }
    let owner = Owner { uid: *uid, gid: *gid };
    root.make_dir(&*path, MODE, owner).with_context(|| format!("making {path}"))?;
    moments.pass();
    let meta = root.metadata(&*path).with_context(|| format!("looking at {path}"))?;
    last.inode = meta.with_context(|| format!("{path} is gone"))?.ino();
    journal::write(root, journal, moments)
}

/// Gives what has this inode another name. Says whether that had to be done.
fn rename(
    root: &Root,
    from: &str,
    to: &str,
    which: u64,
    moments: &Moments,
) -> anyhow::Result<bool> {
    let (here, there) = (inode(root, from)?, inode(root, to)?);
    if there == Some(which) {
        return Ok(false);
    }
    let by_hand = "nothing was moved; somebody else has worked on this file system: see what is \
                   under both names, put it right by hand, then the same command again";
    if here != Some(which) {
        let what = match here {
            None => format!("`{from}` is not there any more, and not at `{to}` either"),
            Some(_) => format!("`{from}` is another one than when the recovery was begun"),
        };
        return Err(Fault::step(what).hint(by_hand).into());
    }
    if there.is_some() {
        let what = format!("`{from}` is to become `{to}`, and there is something of that name");
        return Err(Fault::step(what).hint(by_hand).into());
    }
    let (source, name) = folder(root, from)?;
    if let Some(parent) =
        Utf8Path::new(to).parent().filter(|it| it.as_str().starts_with(".hostkit"))
    {
        journal::make_folders(root, parent, Owner::me())
            .with_context(|| format!("making {parent}"))?;
    }
    let (target, other) = folder(root, to)?;
    moments.pass();
    source.move_as(&name, &target, &other).with_context(|| format!("renaming {from} to {to}"))?;
    moments.pass();
    // On the disk of the server before the next one: an order that is never turned round.
    target.sync().with_context(|| format!("writing {to}"))?;
    source.sync().with_context(|| format!("writing {from}"))?;
    Ok(true)
}

/// The folder of an entry, and its name there.
fn folder(root: &Root, path: &str) -> anyhow::Result<(Folder, String)> {
    let path = Utf8Path::new(path);
    let parent = path.parent().unwrap_or(Utf8Path::new(""));
    let folder = Folder::open(root, parent).with_context(|| format!("opening {parent}"))?;
    let folder = folder.with_context(|| format!("the folder `{parent}` is not there any more"))?;
    Ok((folder, path.file_name().unwrap_or_default().to_owned()))
}

/// The recovery as it must be taken back after it was done: Jenkins and people have worked on the home
/// since, and what its parts are called by is read anew. What is not there any more is not moved back.
pub(super) fn refreshed(root: &Root, mut journal: Journal) -> anyhow::Result<Journal> {
    let undone = format!(".hostkit/undone-{}", journal.id);
    let Work::Home { moves, .. } = &mut journal.work else { return Ok(journal) };
    let mut now = Vec::new();
    for (at, one) in moves.iter().enumerate() {
        let Some(inode) = inode(root, &last_name(one, &moves[at + 1..]))? else { continue };
        let mut one = Move { inode, ..one.clone() };
        let parent = Utf8Path::new(&one.from).parent().unwrap_or(Utf8Path::new(""));
        if !parent.as_str().is_empty() && !is_folder(root, parent)? {
            // What it came out of was removed since.
            let name = Utf8Path::new(&one.from).file_name().unwrap_or("home");
            one.from = format!("{undone}/{name}");
        }
        now.push(one);
    }
    *moves = now;
    Ok(journal)
}

/// The name of a thing once all is moved.
fn last_name(one: &Move, later: &[Move]) -> String {
    later.iter().fold(one.to.clone(), |path, later| follow(&path, later))
}

/// Where `path` is after one more rename.
fn follow(path: &str, later: &Move) -> String {
    match path.strip_prefix(later.from.as_str()) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{}{rest}", later.to),
        _ => path.to_owned(),
    }
}
