//! The record of a boot, left on the file system of the host that made it and on no other.

use anyhow::Context as _;
use camino::Utf8Path;

use super::{Answer, me};
use crate::lease::ground::MARK;
use crate::sys::Root;

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
    root.make_dir(".hostkit/boots", 0o700, me()).context("making .hostkit/boots")?;
    let path = Utf8Path::new(".hostkit/boots").join(name);
    let changed =
        root.write(path, text.as_bytes(), 0o600, me()).context("writing the record of the boot")?;
    Ok(Answer::done(changed))
}
