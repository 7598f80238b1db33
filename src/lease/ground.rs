//! What a home stands on: what is mounted, whose it is marked as, whether anybody has used it, and
//! who owns it.
//!
//! Shared by all children that work on the mounted file system. Nothing here writes.

use std::io;

use anyhow::Context as _;
use camino::Utf8Path;
use nix::unistd::User;

use crate::sys::{Owner, Root};

/// What says whose a file system is, on the file system: its id, in a line.
pub const MARK: &str = ".hostkit/fs-id";

/// What is there while the home of another Jenkins is being moved to its place: the id, in a line.
pub const MOVING: &str = ".hostkit/moving-in";

/// The folder that is the home.
pub const HOME: &str = "home";

/// What on a file system belongs to EFS and to AWS Backup, by its beginning.
const OF_AWS: [&str; 3] = ["aws-backup-", "efs-replication-", "lost+found"];

/// The element that Jenkins' configuration is, whatever its version.
const ROOT_ELEMENT: &[u8] = b"<hudson";

/// On what a child may work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// A network file system, and nothing else: below the mount lies the root disk.
    Nfs,
    /// Whatever is there. For tests.
    Any,
}

impl Ground {
    /// Whether it is good enough. Asked of what was opened: a mount that goes in this moment does
    /// not matter any more.
    pub fn bears(self, root: &Root) -> io::Result<bool> {
        Ok(self == Self::Any || root.is_nfs()?)
    }
}

/// That a file system is marked as this one: one that is not is somebody else's.
///
/// # Errors
/// Where it has another mark, or none.
pub fn must_be_marked(root: &Root, file_system: &str) -> anyhow::Result<()> {
    let mark = root.read_text(MARK).context("reading the mark of the file system")?;
    let ours = mark.is_some_and(|mark| mark.trim() == file_system);
    anyhow::ensure!(ours, "the file system is not marked as {file_system}");
    Ok(())
}

/// The user that owns the home, and its group.
///
/// # Errors
/// Where this machine has no such user.
pub fn owner(user: &str) -> anyhow::Result<Owner> {
    let user = User::from_name(user)
        .context("looking up the owner of the home")?
        .with_context(|| format!("this machine has no user `{user}`"))?;
    Ok(Owner { uid: user.uid.as_raw(), gid: user.gid.as_raw() })
}

/// What helps where a file system fails so, whoever asked it.
pub fn advice(failed: &io::Error) -> Option<&'static str> {
    if failed.raw_os_error() == Some(nix::libc::ELOOP) {
        return Some("a symbolic link is in the way; hostkit follows none on the file system");
    }
    match failed.kind() {
        io::ErrorKind::PermissionDenied => Some(
            "the file system refuses root: allow `elasticfilesystem:ClientRootAccess` in its policy",
        ),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("the file system is full, or its quota is")
        }
        _ => None,
    }
}

/// What a file system without a mark holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing that anybody needs: it is new, or a first boot was interrupted.
    Nothing,
    /// The home of a Jenkins, in the folder where hostkit has it.
    Home,
    /// The home of a Jenkins, at the top of the file system; or what is left of one that is being
    /// moved.
    HomeAtTop,
    /// Something else, by its name.
    Other(String),
}

/// What a file system without a mark holds.
pub fn look(root: &Root) -> io::Result<Found> {
    if root.exists(MOVING)? {
        return Ok(Found::HomeAtTop);
    }
    let mut names = root.list("")?.into_iter().filter(|name| !is_apart(name));
    let other = names.next();
    let inside = root.list(HOME)?.into_iter().next();
    Ok(match (other, inside) {
        (None, None) => Found::Nothing,
        (None, Some(_)) if is_home(root, HOME)? => Found::Home,
        (Some(_), None) if is_home(root, "")? => Found::HomeAtTop,
        (Some(name), _) => Found::Other(name),
        (None, Some(name)) => Found::Other(format!("{HOME}/{name}")),
    })
}

/// Something that neither an empty file system, nor an interrupted first boot, nor another Jenkins
/// has.
pub fn foreign(root: &Root) -> io::Result<Option<String>> {
    Ok(match look(root)? {
        Found::Nothing | Found::Home | Found::HomeAtTop => None,
        Found::Other(name) => Some(name),
    })
}

/// Whether something at the top of a file system is no part of a home that lies there.
pub fn is_apart(name: &str) -> bool {
    [".hostkit", HOME].contains(&name) || OF_AWS.iter().any(|prefix| name.starts_with(prefix))
}

fn is_home(root: &Root, folder: &str) -> io::Result<bool> {
    let path = Utf8Path::new(folder).join("config.xml");
    // A link or a folder of that name is not Jenkins'.
    if !root.metadata(&path)?.is_some_and(|meta| meta.is_file()) {
        return Ok(false);
    }
    let text = root.read(&path)?.unwrap_or_default();
    Ok(text.windows(ROOT_ELEMENT.len()).any(|bytes| bytes == ROOT_ELEMENT))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const CONFIG: &str = "<?xml version='1.1'?>\n<hudson>\n</hudson>\n";

    fn found(files: &[(&str, &str)]) -> Found {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        look(&Root::strict(Utf8Path::from_path(folder.path()).unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn a_home_is_told_from_what_somebody_else_has_there() {
        let other = |name: &str| Found::Other(name.to_owned());
        assert_eq!(found(&[]), Found::Nothing);
        assert_eq!(
            found(&[(".hostkit/lease/head", ""), ("aws-backup-restore_1/x", "")]),
            Found::Nothing
        );
        assert_eq!(found(&[("home/config.xml", CONFIG)]), Found::Home);
        assert_eq!(found(&[("config.xml", CONFIG), ("jobs/a/config.xml", "")]), Found::HomeAtTop);
        assert_eq!(found(&[("config.xml", "<project/>")]), other("config.xml"));
        assert_eq!(found(&[("home/me/notes", "")]), other("home/me"));
        assert_eq!(found(&[("config.xml", CONFIG), ("home/x", "")]), other("config.xml"));
        assert_eq!(
            found(&[("jobs/a", ""), (MOVING, "fs-1"), ("home/config.xml", CONFIG)]),
            Found::HomeAtTop
        );
    }
}
