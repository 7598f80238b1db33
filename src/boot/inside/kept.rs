//! What is written for Jenkins on the file system of its home: the configuration that it was last
//! seen to serve with, which must outlive this host, and the script that it runs when it has started.
//!
//! All of this is done in the child.

use anyhow::Context as _;

use crate::jenkins::groovy;
use crate::lease::ground::must_be_marked;
use crate::sys::{Owner, Root};

const FOLDER: &str = ".hostkit/casc";
const LAST_GOOD: &str = ".hostkit/casc/last-good.json";

/// What is kept on the file system with this id.
pub(super) fn read(root: &Root, file_system: &str) -> anyhow::Result<Option<String>> {
    must_be_marked(root, file_system)?;
    root.read_text(LAST_GOOD).with_context(|| format!("reading {LAST_GOOD}"))
}

/// Keeps `text`. Says whether it was another one before.
pub(super) fn write(
    root: &Root,
    file_system: &str,
    text: &str,
    owner: Owner,
) -> anyhow::Result<bool> {
    must_be_marked(root, file_system)?;
    root.make_dir(FOLDER, 0o700, owner).with_context(|| format!("making {FOLDER}"))?;
    root.write(LAST_GOOD, text.as_bytes(), 0o600, owner)
        .with_context(|| format!("writing {LAST_GOOD}"))
}

/// Puts the script into the home. Says whether it was another one before.
pub(super) fn script(root: &Root, owner: Owner) -> anyhow::Result<bool> {
    let path = format!("home/{}", groovy::PATH);
    let folder = path.rsplit_once('/').map_or("home", |(folder, _)| folder);
    root.make_dir(folder, 0o755, owner).with_context(|| format!("making {folder}"))?;
    root.write(&path, groovy::SCRIPT.as_bytes(), 0o644, owner)
        .with_context(|| format!("writing {path}"))
}
