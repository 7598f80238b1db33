//! Who owns a file, by number.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

use nix::unistd::{getegid, geteuid};

/// A user and a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl Owner {
    /// root:root.
    pub const ROOT: Self = Self { uid: 0, gid: 0 };

    /// Whose this process is, and so what it makes: root's, but in tests.
    pub fn me() -> Self {
        Self { uid: geteuid().as_raw(), gid: getegid().as_raw() }
    }

    /// Whose something is.
    pub fn of(meta: &Metadata) -> Self {
        Self { uid: meta.uid(), gid: meta.gid() }
    }
}
