//! What another Jenkins or other plugins are about to change is kept aside: configuration and
//! plugins, for the way back.
//!
//! Nothing is copied: a file gets a second name. Jenkins and hostkit never write into a file, they
//! put another one in its place, and then only the second name leads to the old one. So this costs
//! a few calls a file and no room, also in a large home. Builds, workspaces and `secrets` are not
//! kept: they are the same before and after.

use std::io;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::gate::Software;
use crate::jenkins::Version;
use crate::lease::ground::HOME;
use crate::sys::root::is_in_the_way;
use crate::sys::{Folder, Owner, Root};

const BEFORE: &str = ".hostkit/before";

/// A set that is still being made, by its name.
const UNFINISHED: &str = ".unfinished";

/// So many sets are kept.
const MOST: usize = 3;

/// Folders of jobs lie in each other at most so deep.
const DEEPEST: usize = 32;

/// What a set says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Set {
    version: u32,
    /// What had served the home.
    from: Software,
    /// What was about to.
    to: Software,
    /// The id of the image that was about to. Sets of old do not say it.
    #[serde(default)]
    image: Option<String>,
    at: Timestamp,
}

/// Keeps aside what `from` has left, before `to`, which is of `image`, changes it; says where. None where nothing changes,
/// nothing was there before, or it was kept already by a boot that came no further.
pub(super) fn keep(
    root: &Root,
    from: &Software,
    to: &Software,
    image: &str,
    now: Timestamp,
) -> anyhow::Result<Option<String>> {
    if from == to {
        retire(root, from)?;
    }
    let Some(version) = from.jenkins.as_ref().filter(|_| from != to) else { return Ok(None) };
    let sets = sets(root)?;
    if sets.last().is_some_and(|(_, set)| set.from == *from && set.to == *to) {
        return Ok(None);
    }
    let unfinished = Utf8Path::new(BEFORE).join(UNFINISHED);
    let set = match begun(root, &unfinished)? {
        Some(set) if set.from == *from && set.to == *to => set,
        _ => {
            root.remove_all(&unfinished).context("removing a set that is not needed any more")?;
            let (from, to, image) = (from.clone(), to.clone(), Some(image.to_owned()));
            let set = Set { version: 1, from, to, image, at: now };
            begin(root, &unfinished, &set)?;
            set
        }
    };
    let links = Links { root, to: unfinished.join(HOME) };
    links.all().context("keeping configuration and plugins aside")?;
    let name = free_name(root, version, set.at)?;
    let folder = Folder::open(root, BEFORE)?.context("the folder for sets is gone")?;
    folder.rename(UNFINISHED, &name).with_context(|| format!("naming the set {name}"))?;
    let last = sets.len().saturating_sub(MOST - 1);
    for (old, _) in &sets[..last] {
        root.remove_all(old).with_context(|| format!("removing {old}"))?;
    }
    Ok(Some(Utf8Path::new(BEFORE).join(name).into_string()))
}

/// A name that no other set has, also where two were made within a second.
fn free_name(root: &Root, version: &Version, at: Timestamp) -> anyhow::Result<String> {
    let mut at = at;
    loop {
        let name = format!("{version}-{}", at.strftime("%Y%m%dT%H%M%SZ"));
        if !root.exists(Utf8Path::new(BEFORE).join(&name)).context("looking for a set")? {
            return Ok(name);
        }
        at += SignedDuration::from_secs(1);
    }
}

/// Removes the last set where what left it serves again: the home goes on from it, and the next
/// change has to be kept anew.
fn retire(root: &Root, serves: &Software) -> anyhow::Result<()> {
    let last = sets(root)?.pop().filter(|(_, set)| set.from == *serves && set.to != *serves);
    let Some((path, _)) = last else { return Ok(()) };
    root.remove_all(&path).with_context(|| format!("removing {path}")).map(drop)
}

/// The newest set that a Jenkins of this version, or an older one, has left.
pub(super) fn newest_for(root: &Root, image: &Version) -> anyhow::Result<Option<String>> {
    let fits = |set: &Set| set.from.jenkins.as_ref().is_some_and(|version| version <= image);
    let found = sets(root)?.into_iter().rev().find(|(_, set)| fits(set));
    Ok(found.map(|(path, _)| path.into_string()))
}

/// The last set, if it was kept aside for the Jenkins `started`, and left by one that `image` may follow.
pub(super) fn made_for(
    root: &Root,
    started: &Version,
    image: &Version,
) -> anyhow::Result<Option<Utf8PathBuf>> {
    let fits = |set: &Set| {
        set.to.jenkins.as_ref() == Some(started)
            && set.from.jenkins.as_ref().is_some_and(|version| version <= image)
    };
    Ok(sets(root)?.pop().filter(|(_, set)| fits(set)).map(|(path, _)| path))
}

/// The last set, if a Jenkins of this version has left it, and it was kept aside for what serves `now`
/// and is of the image `served`; and what had served before. A set beyond it is of somebody who was
/// interrupted when he went back.
pub(super) fn left_by(
    root: &Root,
    jenkins: &Version,
    now: &Software,
    served: &str,
) -> anyhow::Result<Option<(Utf8PathBuf, Software)>> {
    let is_ours = |software: &Software| software.jenkins.as_ref() == Some(jenkins);
    let is_its = |set: &Set| set.to == *now && set.image.as_deref() == Some(served);
    let mut sets = sets(root)?;
    sets.pop_if(|(_, set)| set.from == *now && is_ours(&set.to));
    let last = sets.pop().filter(|(_, set)| is_ours(&set.from) && is_its(set));
    Ok(last.map(|(path, set)| (path, set.from)))
}

/// What had run when a set was made.
pub(super) fn release_of(root: &Root, set: &Utf8Path) -> anyhow::Result<Option<Vec<u8>>> {
    root.read(set.join("release")).context("reading what had run")
}

/// Puts the files of a set back in their places: nothing is copied, and the set stays. What has come
/// since stays, too. The record that is of the set's time is handed out.
pub(super) fn put_back(root: &Root, set: &Utf8Path) -> anyhow::Result<Option<Vec<u8>>> {
    back(root, &set.join(HOME), HOME.into()).context("putting configuration and plugins back")?;
    release_of(root, set)
}

fn back(root: &Root, from: &Utf8Path, to: &Utf8Path) -> io::Result<()> {
    /// A name that nobody else uses, until the file has its own.
    const PASSING: &str = ".hostkit-put-back";
    let Some(source) = Folder::open(root, from)? else { return Ok(()) };
    // What is not there any more was removed on purpose, and a link is not followed.
    let Some(target) = real(Folder::open(root, to))? else { return Ok(()) };
    for name in source.names()? {
        let Some(file) = real(source.read(&name))? else { continue };
        if file.metadata()?.is_dir() {
            back(root, &from.join(&name), &to.join(&name))?;
        } else {
            target.remove(PASSING)?;
            target.link(&file, PASSING)?;
            target.rename(PASSING, &name)?;
            // Both names were of one file: then that is left over.
            target.remove(PASSING)?;
        }
    }
    Ok(())
}

/// The sets that are whole, the oldest first.
fn sets(root: &Root) -> anyhow::Result<Vec<(Utf8PathBuf, Set)>> {
    let names = root.list(BEFORE).context("listing what was kept aside")?;
    let mut all = Vec::new();
    for name in names.iter().filter(|name| *name != UNFINISHED) {
        let path = Utf8Path::new(BEFORE).join(name);
        if let Some(set) = begun(root, &path)? {
            all.push((path, set));
        }
    }
    all.sort_by_key(|(_, set)| set.at);
    Ok(all)
}

fn begun(root: &Root, path: &Utf8Path) -> anyhow::Result<Option<Set>> {
    let text = root.read(path.join("set.json")).with_context(|| format!("reading {path}"))?;
    Ok(text.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

fn begin(root: &Root, path: &Utf8Path, set: &Set) -> anyhow::Result<()> {
    make_dirs(root, path).context("making a folder for what is kept aside")?;
    if let Some(release) = root.read(".hostkit/release").context("reading what last ran")? {
        root.write(path.join("release"), &release, 0o600, Owner::me())
            .context("keeping what last ran")?;
    }
    let text = serde_json::to_vec_pretty(set).context("a set is plain data")?;
    root.write(path.join("set.json"), &text, 0o600, Owner::me())
        .context("beginning a set")
        .map(drop)
}

/// Every folder on the way is hostkit's own.
fn make_dirs(root: &Root, path: &Utf8Path) -> io::Result<()> {
    let ancestors: Vec<_> = path.ancestors().filter(|it| !it.as_str().is_empty()).collect();
    for folder in ancestors.into_iter().rev() {
        if root.metadata(folder)?.is_none_or(|meta| !meta.is_dir()) {
            root.make_dir(folder, 0o700, Owner::me())?;
        }
    }
    Ok(())
}

/// Second names for the files of the home, below `to`.
#[derive(Debug)]
struct Links<'a> {
    root: &'a Root,
    to: Utf8PathBuf,
}

impl Links<'_> {
    fn all(&self) -> io::Result<()> {
        make_dirs(self.root, &self.to)?;
        let is_config = |name: &str| name == "config.xml";
        self.files("".into(), |name| has(name, &["xml"]) || name.starts_with("jenkins."))?;
        self.files("plugins".into(), |name| has(name, &["jpi", "hpi", "pinned", "disabled"]))?;
        self.files("users".into(), |name| has(name, &["xml"]))?;
        self.each("users".into(), is_config)?;
        self.each("nodes".into(), is_config)?;
        self.jobs("jobs".into(), 0)
    }

    /// The files of a folder of the home. Those that were linked already stay.
    fn files(&self, folder: &Utf8Path, is_wanted: impl Fn(&str) -> bool) -> io::Result<()> {
        let Some(source) = self.folder(folder)? else { return Ok(()) };
        let names: Vec<_> = source.names()?.into_iter().filter(|name| is_wanted(name)).collect();
        if names.is_empty() {
            return Ok(());
        }
        let to = self.to.join(folder);
        make_dirs(self.root, &to)?;
        let target = Folder::open(self.root, &to)?.ok_or(io::ErrorKind::NotFound)?;
        for name in names {
            let Some(file) = real(source.read(&name))? else {
                continue;
            };
            if file.metadata()?.is_file() {
                target.link(&file, &name)?;
            }
        }
        Ok(())
    }

    /// The files of each folder in a folder of the home.
    fn each(&self, folder: &Utf8Path, is_wanted: fn(&str) -> bool) -> io::Result<()> {
        for name in self.names(folder)? {
            self.files(&folder.join(name), is_wanted)?;
        }
        Ok(())
    }

    /// The configuration of each job, and of those in folders.
    fn jobs(&self, folder: &Utf8Path, depth: usize) -> io::Result<()> {
        if depth > DEEPEST {
            return Ok(());
        }
        for name in self.names(folder)? {
            let job = folder.join(name);
            self.files(&job, |name| name == "config.xml")?;
            self.jobs(&job.join("jobs"), depth + 1)?;
        }
        Ok(())
    }

    fn names(&self, folder: &Utf8Path) -> io::Result<Vec<String>> {
        self.folder(folder)?.map_or_else(|| Ok(Vec::new()), |folder| folder.names())
    }

    fn folder(&self, folder: &Utf8Path) -> io::Result<Option<Folder>> {
        real(Folder::open(self.root, Utf8Path::new(HOME).join(folder)))
    }
}

/// None for what is a link, or no folder: it is not followed, and not kept.
fn real<T>(opened: io::Result<Option<T>>) -> io::Result<Option<T>> {
    match opened {
        Err(error) if is_in_the_way(&error) => Ok(None),
        opened => opened,
    }
}

fn has(name: &str, endings: &[&str]) -> bool {
    Utf8Path::new(name).extension().is_some_and(|ending| endings.contains(&ending))
}
