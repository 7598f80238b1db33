//! Records of boots, left on the file system of the host that made them and on no other.

use anyhow::Context as _;
use camino::Utf8Path;

use super::{Answer, me};
use crate::boot::records::{LARGEST, MOST, newest, surplus};
use crate::lease::ground::MARK;
use crate::sys::Root;

const FOLDER: &str = ".hostkit/boots";

pub(super) fn leave(
    root: &Root,
    file_system: &str,
    name: &str,
    text: &str,
) -> anyhow::Result<Answer> {
    anyhow::ensure!(!name.contains('/') && !name.starts_with('.'), "`{name}` is not a file name");
    // What is not marked as this host's is somebody else's.
    match root.read_text(MARK).context("reading the mark of the file system")? {
        Some(mark) if mark.trim() == file_system => {}
        _ => anyhow::bail!("the file system is not marked as {file_system}"),
    }
    root.make_dir(FOLDER, 0o700, me()).context("making .hostkit/boots")?;
    let path = Utf8Path::new(FOLDER).join(name);
    let changed =
        root.write(path, text.as_bytes(), 0o600, me()).context("writing the record of the boot")?;
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
