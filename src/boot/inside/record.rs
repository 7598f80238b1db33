//! Records of boots, left on the file system of the host that made them and on no other.

use anyhow::Context as _;
use camino::Utf8Path;

use super::Answer;
use crate::boot::records::{LARGEST, MOST, newest, surplus};
use crate::lease::ground::must_be_marked;
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

/// The texts of the last ones, the newest first.
pub(super) fn read(root: &Root) -> anyhow::Result<Answer> {
    let names = if root.exists(FOLDER).context("looking for .hostkit/boots")? {
        newest(root.list(FOLDER).context("listing .hostkit/boots")?)
    } else {
        Vec::new()
    };
    let mut texts = Vec::new();
    for name in names.into_iter().take(MOST) {
        let path = Utf8Path::new(FOLDER).join(name);
        let meta = root.metadata(&path).with_context(|| format!("looking at {path}"))?;
        if meta.is_some_and(|meta| meta.is_file() && meta.len() <= LARGEST) {
            texts.extend(root.read_text(&path).with_context(|| format!("reading {path}"))?);
        }
    }
    Ok(Answer::Boots(texts))
}
