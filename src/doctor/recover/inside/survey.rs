//! Everything that a recovery must know of the file system, looked at once.

use std::os::unix::fs::MetadataExt as _;

use anyhow::Context as _;
use camino::Utf8Path;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::choices::{self, Choice, Kind};
use super::find::Place;
use super::{find, inode, is_folder, journal, moves, set};
use crate::doctor::efs::inside::intact::{Gravity, examine};
use crate::error::Fault;
use crate::lease::ground::{self, Found as Holds, HOME};
use crate::lease::record;
use crate::lease::recovery::{self, Found, Gather, Journal, Move, Way, Work};
use crate::sys::root::is_in_the_way;
use crate::sys::{Owner, Root};

/// No home was ever claimed so often: such a number is not counted on from.
const BEYOND_BELIEF: u64 = 1 << 40;

/// What is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    /// The recovery that is under way, if one is.
    pub open: Found,
    /// The recovery that can be taken back, as it is begun: the open one, or the last that is done.
    pub undo: Option<Box<Journal>>,
    /// Why the last recovery cannot be taken back.
    pub final_: Option<String>,
    /// What a home can be brought back from.
    pub choices: Vec<Choice>,
    /// What was asked for.
    pub chosen: Option<Box<Chosen>>,
}

/// What is to be brought back, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// What it is.
    pub kind: Kind,
    /// Where it is, from the top of the file system.
    pub from: String,
    /// The name of the recovery.
    pub id: String,
    /// Where the home of now goes.
    pub aside: String,
    /// What is moved.
    pub work: Work,
    /// How many files of a set.
    pub files: usize,
    /// The highest generation of the lease that was restored with it, which is not used.
    pub generation: Option<u64>,
    /// What is damaged in it.
    pub damaged: Vec<Damaged>,
    /// How many more.
    pub more: u64,
    /// What could not be looked at in time.
    pub unreached: Vec<String>,
    /// The Jenkins that last ran on it.
    pub last: Option<String>,
    /// How many jobs it has.
    pub jobs: u64,
}

/// Something that is damaged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damaged {
    /// What, from the home.
    pub path: String,
    /// In which way, in a line.
    pub told: String,
    /// Whether Jenkins cannot do without.
    pub fatal: bool,
}

/// Looks. `owner` is whose the home must be.
pub(super) fn survey(
    root: &Root,
    place: &Place<'_>,
    from: Option<&str>,
    owner: Owner,
) -> anyhow::Result<Survey> {
    let open = recovery::read(root).context("reading the journal of the recovery")?;
    let (undo, final_) = match &open {
        Found::Journal(journal) => (Some(Box::new(turned(root, journal)?)), None),
        _ => last(root)?,
    };
    let choices = choices::all(root)?;
    let chosen = match from {
        Some(name) if open == Found::Nothing => Some(Box::new(choose(root, place, name, owner)?)),
        _ => None,
    };
    Ok(Survey { open, undo, final_, choices, chosen })
}

/// The open recovery, as it is taken back.
fn turned(root: &Root, journal: &Journal) -> anyhow::Result<Journal> {
    // As soon as Jenkins may have run, it has written.
    let is_old = journal.way == Way::Forward && !journal.bars();
    if is_old { moves::refreshed(root, journal.clone()) } else { Ok(journal.clone()) }
}

/// The last recovery, as it is taken back; or why it is not.
fn last(root: &Root) -> anyhow::Result<(Option<Box<Journal>>, Option<String>)> {
    let Some(last) = journal::records(root)?.pop() else { return Ok((None, None)) };
    if last.way == Way::Back {
        return Ok((None, Some(format!("the last recovery, {}, is taken back already", last.id))));
    }
    let kept = |path: &str| path.starts_with(&format!("{}/", last.aside));
    if let Work::Home { moves, .. } = &last.work {
        for one in moves.iter().filter(|it| kept(&it.to)) {
            if inode(root, &one.to)? != Some(one.inode) {
                let what = format!("`{}`, the home of before, is not there any more", one.to);
                return Ok((None, Some(what)));
            }
        }
    } else if !is_folder(root, last.aside.as_str().into())? {
        return Ok((None, Some(format!("`{}` is not there any more", last.aside))));
    }
    Ok((Some(Box::new(moves::refreshed(root, last)?)), None))
}

fn choose(root: &Root, place: &Place<'_>, name: &str, owner: Owner) -> anyhow::Result<Chosen> {
    let meant = find::meant(root, place, name)?;
    let id = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    let aside = format!(".hostkit/{}{id}", choices::ASIDE);
    if meant.kind == Kind::Set {
        return choose_set(root, place, meant.path, id, aside);
    }
    let folder = find::home_in(root, &meant.path)?;
    owned(root, &folder, owner)?;
    let intact = examine(root, folder.as_str().into());
    let damaged = intact.damage.iter().map(|damage| Damaged {
        path: damage.path.clone(),
        told: damage.told(),
        fatal: damage.gravity == Gravity::Fatal,
    });
    Ok(Chosen {
        kind: meant.kind,
        work: homes(root, &folder, &id, &aside, owner)?,
        generation: generation(root, meant.path.as_str().into())?,
        damaged: damaged.collect(),
        more: intact.more,
        unreached: intact.unreached.clone(),
        last: intact.last.clone(),
        jobs: intact.jobs,
        from: folder,
        id,
        aside,
        files: 0,
    })
}

fn choose_set(
    root: &Root,
    place: &Place<'_>,
    path: String,
    id: String,
    aside: String,
) -> anyhow::Result<Chosen> {
    if !root.exists(format!("{path}/set.json")).with_context(|| format!("looking at {path}"))? {
        return Err(Fault::step(format!(
            "`{path}` is no whole set: the boot that made it was \
             interrupted"
        ))
        .hint("hostkit efs recover lists what there is")
        .into());
    }
    if !is_folder(root, HOME.into())? {
        return Err(Fault::step("there is no home that configuration could be put back into")
            .hint(format!(
                "bring a whole home back first: hostkit efs backup list --file-system {}",
                place.file_system
            ))
            .into());
    }
    let files = set::files(root, path.as_str().into())?;
    let mut added = Vec::new();
    for file in &files {
        let place = set::place(file);
        match root.metadata(place) {
            Ok(None) => added.push(place.to_owned()),
            Err(error) if !is_in_the_way(&error) => {
                return Err(error).with_context(|| format!("looking at {place}"));
            }
            _ => {}
        }
    }
    Ok(Chosen {
        kind: Kind::Set,
        from: path.clone(),
        id,
        aside,
        work: Work::Set { set: path, added },
        files: files.len(),
        generation: None,
        damaged: Vec::new(),
        more: 0,
        unreached: Vec::new(),
        last: None,
        jobs: 0,
    })
}

/// That what is to be the home belongs to who runs Jenkins. A folder around a home may be root's.
fn owned(root: &Root, folder: &str, owner: Owner) -> anyhow::Result<()> {
    let at = Utf8Path::new(folder);
    for path in ["config.xml", "secrets", "jobs"].map(|name| at.join(name)) {
        let meta = root.metadata(&path).with_context(|| format!("looking at {path}"))?;
        let Some(uid) = meta.map(|meta| meta.uid()).filter(|uid| *uid != owner.uid) else {
            continue;
        };
        return Err(Fault::step(format!(
            "`{path}` belongs to user {uid}, and the home of this host to user {}",
            owner.uid
        ))
        .hint(format!(
            "bake the image with `--var jenkins_uid={uid}`; hostkit changes no owner of a whole \
             home, and hostkit efs check shows what else is not Jenkins'"
        ))
        .into());
    }
    Ok(())
}

/// The renames that bring the home in `folder` in.
fn homes(root: &Root, folder: &str, id: &str, aside: &str, owner: Owner) -> anyhow::Result<Work> {
    let mut moves = present(root, folder, aside)?;
    let names = root.list(folder).with_context(|| format!("listing {folder}"))?;
    let meta = root.metadata(folder).with_context(|| format!("looking at {folder}"))?;
    let is_own = meta.is_some_and(|meta| meta.uid() == owner.uid);
    if is_own && !names.iter().any(|name| ground::is_apart(name)) {
        moves.push(one(root, folder.to_owned(), HOME.to_owned())?);
        return Ok(Work::Home { gather: None, moves });
    }
    let path = format!(".hostkit/incoming-{id}");
    for name in names.iter().filter(|name| !ground::is_apart(name)) {
        moves.push(one(root, format!("{folder}/{name}"), format!("{path}/{name}"))?);
    }
    moves.push(Move { from: path.clone(), to: HOME.to_owned(), inode: 0 });
    let Owner { uid, gid } = owner;
    Ok(Work::Home { gather: Some(Gather { path, uid, gid }), moves })
}

/// The renames that move the home of now out: a folder, or what lies at the top.
fn present(root: &Root, folder: &str, aside: &str) -> anyhow::Result<Vec<Move>> {
    let mut moves = Vec::new();
    if root.exists(HOME).context("looking at the home")? {
        moves.push(one(root, HOME.to_owned(), format!("{aside}/{HOME}"))?);
    }
    // A file system with a mark has its home in the folder, and only there.
    let is_marked = root.exists(ground::MARK).context("looking for the mark")?;
    let at_top = !is_marked
        && (root.exists(ground::MOVING).context("looking for a home that is moved")?
            || ground::look(root).context("listing the file system")? == Holds::HomeAtTop);
    if at_top {
        let source = folder.split('/').next().unwrap_or_default();
        let names = root.list("").context("listing the file system")?;
        for name in names.into_iter().filter(|name| !ground::is_apart(name) && name != source) {
            let to = format!("{aside}/top/{name}");
            moves.push(one(root, name, to)?);
        }
    }
    Ok(moves)
}

fn one(root: &Root, from: String, to: String) -> anyhow::Result<Move> {
    let inode = inode(root, &from)?.with_context(|| format!("{from} is gone"))?;
    Ok(Move { from, to, inode })
}

/// The highest generation in the lease that came with a restore.
fn generation(root: &Root, restored: &Utf8Path) -> anyhow::Result<Option<u64>> {
    let folder = restored.join(".hostkit/lease");
    let names = match root.list(&folder) {
        Err(error) if is_in_the_way(&error) => return Ok(None),
        names => names.with_context(|| format!("listing {folder}"))?,
    };
    Ok(names
        .iter()
        .filter_map(|name| record::generation_of(name))
        .filter(|generation| *generation < BEYOND_BELIEF)
        .max())
}
