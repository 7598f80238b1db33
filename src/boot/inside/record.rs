//! Records of boots and recoveries. Those of boots are left on the file system of the host that made them
//! and on no other.

use anyhow::Context as _;
use camino::Utf8Path;

use super::Answer;
use crate::boot::records::{LARGEST, MOST, newest, surplus};
use crate::lease::ground::must_be_marked;
use crate::lease::recovery;
use crate::sys::{Owner, Root};

const FOLDER: &str = ".hostkit/boots";

pub(super) fn leave(
    root: &Root,
    file_system: &str,
    name: &str,
    text: &str,
) -> anyhow::Result<Answer> {
    anyhow::ensure!(!name.contains('/') && !name.starts_with('.'), "`{name}` is not a file name");
    must_be_marked(root, file_system)?;
    root.make_dir(FOLDER, 0o700, Owner::me()).context("making .hostkit/boots")?;
    let path = Utf8Path::new(FOLDER).join(name);
    let changed = root
        .write(path, text.as_bytes(), 0o600, Owner::me())
        .context("writing the record of the boot")?;
    // Old ones that stay are no reason to call this one lost.
    for old in surplus(root.list(FOLDER).unwrap_or_default()) {
        let _ = root.remove(Utf8Path::new(FOLDER).join(old));
    }
    Ok(Answer::done(changed))
}

/// The texts of the last ones.
pub(super) fn read(root: &Root) -> anyhow::Result<Answer> {
    let mut recoveries = Vec::new();
    recoveries.extend(text(root, recovery::JOURNAL.into())?);
    recoveries.extend(last(root, recovery::RECORDS)?);
    Ok(Answer::Records { boots: last(root, FOLDER)?, recoveries })
}

/// The texts of the last records in a folder, the newest first.
fn last(root: &Root, folder: &str) -> anyhow::Result<Vec<String>> {
    if !root.exists(folder).with_context(|| format!("looking for {folder}"))? {
        return Ok(Vec::new());
    }
    let names = newest(root.list(folder).with_context(|| format!("listing {folder}"))?);
    let mut texts = Vec::new();
    for name in names.into_iter().take(MOST) {
        texts.extend(text(root, &Utf8Path::new(folder).join(name))?);
    }
    Ok(texts)
}

/// The text of a file, if it is one that may be a record.
fn text(root: &Root, path: &Utf8Path) -> anyhow::Result<Option<String>> {
    let meta = root.metadata(path).with_context(|| format!("looking at {path}"))?;
    if !meta.is_some_and(|meta| meta.is_file() && meta.len() <= LARGEST) {
        return Ok(None);
    }
    root.read_text(path).with_context(|| format!("reading {path}"))
}
