//! What must be true before a bake begins, so that it fails in the first second and not in the
//! last minute.

use anyhow::Context as _;
use camino::Utf8Path;
use indicatif::HumanBytes;
use nix::sys::statvfs::statvfs;
use nix::unistd::geteuid;

use super::{Places, directory_of};
use crate::error::Fault;
use crate::sys::{Cmd, Runner, Tool};

/// What a bake needs of the machine. What runs inside the tree comes with the tree.
const TOOLS: &[Tool] = &[
    Tool::Curl,
    Tool::Debugfs,
    Tool::E2fsck,
    Tool::Gpg,
    Tool::Mcopy,
    Tool::Mke2fs,
    Tool::MkfsFat,
    Tool::Mmd,
    Tool::Mmdebstrap,
    Tool::Sfdisk,
    Tool::Tar,
];

/// Free space for a base tree, the tree itself and the disk, measured generously, in bytes.
const CACHE_SPACE: u64 = 4 << 30;

/// Free space for the finished disk where it is not on the same file system, in bytes.
const OUTPUT_SPACE: u64 = 2 << 30;

pub(super) async fn check(places: &Places) -> anyhow::Result<()> {
    if !geteuid().is_root() {
        return Err(Fault::environment("a bake needs root: it makes namespaces and owns files")
            .hint("run it with sudo")
            .into());
    }
    Tool::require(TOOLS)?;
    // Root in a container often may not.
    let nothing = Cmd::new(Tool::Shell).args(["-c", ":"]);
    Runner::Contained.run(&nothing).await.context(
        Fault::environment("namespaces cannot be made here")
            .hint("a bake needs CAP_SYS_ADMIN; give a container `--privileged`"),
    )?;
    has_space(&places.cache, CACHE_SPACE)?;
    has_space(&places.output, OUTPUT_SPACE)
}

fn has_space(path: &Utf8Path, needed: u64) -> anyhow::Result<()> {
    // The folder may have to be made yet: its nearest ancestor is on the same file system.
    let there = path.ancestors().find(|p| p.exists()).unwrap_or_else(|| directory_of(path));
    let there = if there.as_str().is_empty() { Utf8Path::new(".") } else { there };
    let stat = statvfs(there.as_std_path()).with_context(|| format!("measuring {there}"))?;
    let free = stat.blocks_available() * stat.fragment_size();
    if free >= needed {
        return Ok(());
    }
    Err(Fault::environment(format!(
        "{path} has {} free and a bake needs about {}",
        HumanBytes(free),
        HumanBytes(needed)
    ))
    .hint("free some space, or name another place with --output or --cache")
    .into())
}
