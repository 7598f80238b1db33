//! Configuration and plugins come back from a set that an upgrade kept: each file of the set gets its
//! second name in the home again, and what was there goes aside first.
//!
//! Nothing is copied, and the set stays whole. Jobs that are gone come back with their configuration,
//! and without builds. What has come since and is not in the set stays as it is.

use std::io;
use std::os::unix::fs::MetadataExt as _;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};

use super::{Moments, inode, journal};
use crate::error::Fault;
use crate::lease::ground::HOME;
use crate::sys::root::is_in_the_way;
use crate::sys::{Folder, Owner, Root};

/// What had served the home then, in a set and in its place.
const RELEASE: (&str, &str) = ("release", ".hostkit/release");

/// Folders of jobs lie in each other at most so deep.
const DEEPEST: usize = 80;

/// Where the home of before goes on taking that back: what Jenkins has written since.
const AFTER: &str = "after";

/// The files of a set, or of what went aside for one, as they are called in it.
pub(super) fn files(root: &Root, set: &Utf8Path) -> anyhow::Result<Vec<String>> {
    let mut all = Vec::new();
    below(root, set, HOME.into(), 0, &mut all).with_context(|| format!("listing {set}"))?;
    if root.exists(set.join(RELEASE.0)).with_context(|| format!("looking at {set}"))? {
        all.push(RELEASE.0.to_owned());
    }
    Ok(all)
}

fn below(
    root: &Root,
    set: &Utf8Path,
    folder: &Utf8Path,
    depth: usize,
    all: &mut Vec<String>,
) -> io::Result<()> {
    for name in root.list(set.join(folder))? {
        let path = folder.join(name);
        match root.metadata(set.join(&path))? {
            Some(meta) if meta.is_dir() && depth < DEEPEST => {
                below(root, set, &path, depth + 1, all)?;
            }
            Some(meta) if meta.is_file() => all.push(path.into_string()),
            _ => {}
        }
    }
    Ok(())
}

/// Where a file of a set belongs, from the top of the file system.
pub(super) fn place(file: &str) -> &str {
    if file == RELEASE.0 { RELEASE.1 } else { file }
}

/// Puts the files of `set` in their places, and what is there aside. Says how many those were.
pub(super) fn forward(
    root: &Root,
    set: &Utf8Path,
    aside: &Utf8Path,
    moments: &Moments,
) -> anyhow::Result<Vec<String>> {
    let mut told = Vec::new();
    let mut count = 0;
    for file in files(root, set)? {
        let (from, to, kept) = (set.join(&file), place(&file), aside.join(&file));
        let wanted = inode(root, from.as_str())?;
        // Others than root write in the home: what is no folder of it is left alone.
        let there = match root.metadata(to) {
            Err(error) if is_in_the_way(&error) => {
                told.push(format!("{to} is left: a link, or what is no folder, is on its way"));
                continue;
            }
            meta => meta.with_context(|| format!("looking at {to}"))?,
        };
        match there {
            Some(meta) if Some(meta.ino()) == wanted => continue,
            Some(meta) if meta.is_dir() => {
                told.push(format!("{to} is left: it is a folder now"));
                continue;
            }
            Some(_) => put(root, to.into(), &kept, None, moments)?,
            None => {}
        }
        link(root, &from, to.into(), moments)?;
        count += 1;
    }
    told.insert(0, format!("{count} files of {set} are in their places"));
    Ok(told)
}

/// Puts what went aside back into its places. What has taken them goes aside in its turn.
pub(super) fn back(
    root: &Root,
    aside: &Utf8Path,
    added: &[String],
    moments: &Moments,
) -> anyhow::Result<Vec<String>> {
    let after = aside.join(AFTER);
    let kept = files(root, aside)?;
    for file in &kept {
        let to = Utf8Path::new(place(file));
        if inode(root, to.as_str())?.is_some() {
            put(root, to, &after.join(file), None, moments)?;
        }
        put(root, &aside.join(file), to, Some(home_owner(root)?), moments)?;
    }
    let mut gone = 0;
    for to in added {
        if inode(root, to)?.is_some() {
            put(root, to.as_str().into(), &after.join(to), None, moments)?;
            gone += 1;
        }
    }
    let count = kept.len();
    Ok(vec![format!("{count} files are back in their places, and {gone} that were new are aside")])
}

/// Renames, onto a name that nothing has. Folders that are missing are made: in the home its owner's.
fn put(
    root: &Root,
    from: &Utf8Path,
    to: &Utf8Path,
    owner: Option<Owner>,
    moments: &Moments,
) -> anyhow::Result<()> {
    if inode(root, to.as_str())?.is_some() {
        return Err(Fault::step(format!(
            "`{from}` is to become `{to}`, and that is there already"
        ))
        .hint("somebody else has worked on the home: move one of them away by hand")
        .into());
    }
    let parent = to.parent().unwrap_or(Utf8Path::new(""));
    let made = match owner {
        Some(owner) if !parent.starts_with(".hostkit") => folders(root, parent, owner),
        _ => journal::make_folders(root, parent, Owner::me()),
    };
    made.with_context(|| format!("making {parent}"))?;
    let (source, target) = (open(root, from)?, open(root, to)?);
    moments.pass();
    let renamed = source.move_as(name(from), &target, name(to));
    renamed.with_context(|| format!("renaming {from} to {to}"))?;
    moments.pass();
    Ok(())
}

/// Gives a file of a set its name in the home.
fn link(root: &Root, from: &Utf8Path, to: &Utf8Path, moments: &Moments) -> anyhow::Result<()> {
    let parent = to.parent().unwrap_or(Utf8Path::new(""));
    folders(root, parent, home_owner(root)?).with_context(|| format!("making {parent}"))?;
    let (source, target) = (open(root, from)?, open(root, to)?);
    let file = source.read(name(from)).with_context(|| format!("opening {from}"))?;
    let file = file.with_context(|| format!("{from} is gone"))?;
    let linked = target.link(&file, name(to)).with_context(|| format!("naming {to}"))?;
    moments.pass();
    anyhow::ensure!(linked, "{to} has come in this moment: something else works on the home");
    Ok(())
}

/// Makes the folders of the home that are missing, as the home's owner's.
fn folders(root: &Root, path: &Utf8Path, owner: Owner) -> io::Result<()> {
    let above: Vec<_> = path.ancestors().filter(|it| !it.as_str().is_empty()).collect();
    for folder in above.into_iter().rev() {
        if root.metadata(folder)?.is_none() {
            root.make_dir(folder, 0o755, owner)?;
        }
    }
    Ok(())
}

fn home_owner(root: &Root) -> anyhow::Result<Owner> {
    let meta = root.metadata(HOME).context("looking at the home")?.context("the home is gone")?;
    Ok(Owner::of(&meta))
}

fn open(root: &Root, path: &Utf8Path) -> anyhow::Result<Folder> {
    let parent: Utf8PathBuf = path.parent().unwrap_or(Utf8Path::new("")).into();
    let folder = Folder::open(root, &parent).with_context(|| format!("opening {parent}"))?;
    folder.with_context(|| format!("the folder `{parent}` is not there any more"))
}

fn name(path: &Utf8Path) -> &str {
    path.file_name().unwrap_or_default()
}
