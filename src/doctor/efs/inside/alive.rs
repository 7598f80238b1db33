//! Whether the file system answers, and how fast.

use nix::sys::statfs::{NFS_SUPER_MAGIC, statfs};
use serde::{Deserialize, Serialize};

use super::notebook::{Notebook, Step};
use super::{Request, Trouble};
use crate::lease::ground::{Ground, MARK};
use crate::sys::Root;

/// That it answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alive {
    /// What was asked, and how long each took.
    pub steps: Vec<Step>,
    /// Whether the mark of hostkit is there.
    pub marked: bool,
}

pub(super) fn look(request: &Request, ground: Ground, notes: &Notebook) -> Result<Alive, Trouble> {
    let path = &request.mount_point;
    // This goes to the server each time; what follows the kernel may still know.
    let stat = notes.step("statfs", || Ok(statfs(path.as_std_path())?))?;
    if ground == Ground::Nfs && stat.filesystem_type() != NFS_SUPER_MAGIC {
        return Err(Trouble::unmounted());
    }
    notes.step("stat of the top", || std::fs::symlink_metadata(path))?;
    let marked = notes.step("stat of the mark", || Root::strict(path)?.exists(MARK))?;
    Ok(Alive { steps: notes.done(), marked })
}
