//! What a home stands on: what is mounted, whose it is marked as, and whether anybody has used it.
//!
//! Shared by all children that work on the mounted file system. Nothing here writes.

use std::io;

use crate::sys::Root;

/// What says whose a file system is, on the file system: its id, in a line.
pub const MARK: &str = ".hostkit/fs-id";

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

/// Something that neither an empty file system nor an interrupted first boot has.
pub fn foreign(root: &Root) -> io::Result<Option<String>> {
    for name in root.list("")? {
        match name.as_str() {
            ".hostkit" | "lost+found" => {}
            "home" => {
                if let Some(first) = root.list("home")?.first() {
                    return Ok(Some(format!("home/{first}")));
                }
            }
            _ => return Ok(Some(name)),
        }
    }
    Ok(None)
}
