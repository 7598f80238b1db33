//! Finds what a person means by the name of a thing to bring back, and the home in it.

use anyhow::Context as _;
use camino::Utf8Path;

use super::choices::{self, ASIDE, FAILED, Kind, RESTORE, SETS};
use super::is_folder;
use crate::error::Fault;
use crate::lease::ground::{self, HOME};
use crate::sys::Root;
use crate::sys::cmd::quote;
use crate::sys::root::is_in_the_way;

/// Where names are looked up.
#[derive(Debug)]
pub(super) struct Place<'a> {
    /// Where the file system is mounted.
    pub mount_point: &'a Utf8Path,
    /// Its id.
    pub file_system: &'a str,
}

/// What a name means: a folder, from the top of the file system.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Meant {
    pub kind: Kind,
    pub path: String,
}

/// What `name` means.
///
/// # Errors
/// Nothing, or what cannot be moved in.
pub(super) fn meant(root: &Root, place: &Place<'_>, name: &str) -> anyhow::Result<Meant> {
    let trimmed = name.trim_end_matches('/');
    let meant = if trimmed.starts_with('/') {
        of_path(place.mount_point, trimmed)?
    } else if let Some(set) = trimmed.strip_prefix(".hostkit/before/") {
        Meant { kind: Kind::Set, path: format!("{SETS}/{set}") }
    } else if trimmed.starts_with(ASIDE) {
        Meant { kind: Kind::Aside, path: format!(".hostkit/{trimmed}") }
    } else if trimmed.starts_with(RESTORE) {
        Meant { kind: Kind::Restore, path: trimmed.to_owned() }
    } else if trimmed.starts_with(FAILED) {
        return Err(Fault::step(format!("`{trimmed}` is what a restore left that failed"))
            .hint(format!(
                "hostkit efs backup restore --file-system {} newest  # has another one made",
                place.file_system
            ))
            .into());
    } else {
        Meant { kind: Kind::Set, path: format!("{SETS}/{trimmed}") }
    };
    let path = Utf8Path::new(&meant.path);
    let is_odd = path.components().any(|part| matches!(part.as_str(), ".." | "."));
    if is_odd || trimmed.is_empty() || !is_folder(root, path)? {
        return Err(unknown(root, place, name)?.into());
    }
    Ok(meant)
}

fn of_path(mount_point: &Utf8Path, path: &str) -> Result<Meant, Fault> {
    let inside = Utf8Path::new(path).strip_prefix(mount_point).map(Utf8Path::as_str);
    let Ok(inside) = inside else {
        let name = Utf8Path::new(path).file_name().unwrap_or("home");
        let (here, there) = (quote(path), quote(&format!("{mount_point}/{name}.incoming")));
        return Err(Fault::usage(format!(
            "{path} is not on the file system of the home: from another one it would have to be \
             copied, and a recovery only renames"
        ))
        .hint(format!(
            "put it there first, with its owners, then bring it back from there:\n  cp -a {here} \
             {there}\n  hostkit efs recover --from {there}"
        )));
    };
    let first = inside.split('/').next().unwrap_or_default();
    match first {
        "" => Err(Fault::usage("that is the whole file system, with the home that is there")
            .hint("name a folder in it")),
        HOME => Err(Fault::usage(format!("{path} is, or is in, the home that is there now"))
            .hint("name what is to take its place")),
        ".hostkit" if !inside.starts_with(".hostkit/incoming") => {
            let plain = inside.strip_prefix(".hostkit/").unwrap_or_default();
            if let Some(set) = plain.strip_prefix("before/") {
                return Ok(Meant { kind: Kind::Set, path: format!("{SETS}/{set}") });
            }
            if plain.starts_with(ASIDE) && !plain.contains('/') {
                return Ok(Meant { kind: Kind::Aside, path: inside.to_owned() });
            }
            Err(Fault::usage(format!("{path} is hostkit's own")).hint("name a folder beside it"))
        }
        _ if first.starts_with(RESTORE) => {
            Ok(Meant { kind: Kind::Restore, path: inside.to_owned() })
        }
        _ => Ok(Meant { kind: Kind::Folder, path: inside.to_owned() }),
    }
}

/// Nothing is called so, and what there is.
fn unknown(root: &Root, place: &Place<'_>, name: &str) -> anyhow::Result<Fault> {
    let all = choices::all(root)?;
    let lines: Vec<_> =
        all.iter().map(|it| format!("  {}  ({})", it.name, it.kind.told())).collect();
    let hint = if lines.is_empty() {
        format!(
            "there is nothing on the file system that a home could be brought back from; what AWS \
             Backup has, and how it gets here:\n  hostkit efs backup list --file-system {0}\n  \
             hostkit efs backup restore --file-system {0} newest",
            place.file_system
        )
    } else {
        format!("there is:\n{}", lines.join("\n"))
    };
    Ok(Fault::usage(format!("there is nothing called `{name}` to bring a home back from"))
        .hint(hint))
}

/// The home in what was meant: its folder, from the top of the file system. A restore holds the whole
/// file system of then, and the home in it may lie in its own folder, at the top, or in that of an
/// access point.
pub(super) fn home_in(root: &Root, path: &str) -> anyhow::Result<String> {
    let top = Utf8Path::new(path);
    for place in [top.join(HOME), top.to_owned()] {
        if has_config(root, &place)? {
            return Ok(place.into_string());
        }
    }
    let mut found = Vec::new();
    for name in root.list(top).with_context(|| format!("listing {path}"))? {
        if ground::is_apart(&name) || !is_folder(root, &top.join(&name))? {
            continue;
        }
        for place in [top.join(&name).join(HOME), top.join(&name)] {
            if has_config(root, &place)? {
                found.push(place.into_string());
                break;
            }
        }
    }
    match (found.len(), found.pop()) {
        (1, Some(one)) => Ok(one),
        // Without its configuration: then what it lacks is told.
        (0, _) if is_folder(root, &top.join(HOME))? => Ok(top.join(HOME).into_string()),
        (0, _) if is_folder(root, &top.join("jobs"))? => Ok(path.to_owned()),
        (0, _) => Err(Fault::step(format!("there is no JENKINS_HOME in `{path}`"))
            .hint(
                "a JENKINS_HOME has a config.xml; if it lies deeper, give the path of its folder: \
                 --from /var/lib/jenkins/…",
            )
            .into()),
        (_, last) => {
            found.extend(last);
            found.sort();
            let lines: Vec<_> = found.iter().map(|it| format!("  {it}")).collect();
            Err(Fault::step(format!("there are several homes in `{path}`"))
                .hint(format!(
                    "give the path of one, below /var/lib/jenkins:\n{}",
                    lines.join("\n")
                ))
                .into())
        }
    }
}

fn has_config(root: &Root, folder: &Utf8Path) -> anyhow::Result<bool> {
    let path = folder.join("config.xml");
    match root.metadata(&path) {
        Err(error) if is_in_the_way(&error) => Ok(false),
        meta => Ok(meta.with_context(|| format!("looking at {path}"))?.is_some()),
    }
}
