//! A copy of a file system's folder, as a restore from a backup is one.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::path::Path;

use anyhow::Context as _;

/// Copies what is in `from` into the folder `to`, with owners and modes. What goes away meanwhile
/// is left out: the original may be in use.
pub(super) fn folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    for entry in walkdir::WalkDir::new(from).min_depth(1) {
        let Ok(entry) = entry else { continue };
        let target = to.join(entry.path().strip_prefix(from).context("a path out of the folder")?);
        match one(entry.path(), &target) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            end => end.with_context(|| format!("copying {}", entry.path().display()))?,
        }
    }
    Ok(())
}

fn one(from: &Path, to: &Path) -> std::io::Result<()> {
    let about = from.symlink_metadata()?;
    if about.is_symlink() {
        return symlink(from.read_link()?, to);
    }
    if about.is_dir() {
        fs::create_dir(to)?;
    } else if about.is_file() {
        fs::copy(from, to)?;
    } else {
        return Ok(());
    }
    chown(to, Some(about.uid()), Some(about.gid()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(about.mode()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_modes_and_links_are_copied() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(from.path().join("a/b")).unwrap();
        fs::write(from.path().join("a/b/file"), "text").unwrap();
        fs::set_permissions(from.path().join("a/b/file"), fs::Permissions::from_mode(0o600))
            .unwrap();
        symlink("b/file", from.path().join("a/link")).unwrap();
        folder(from.path(), to.path()).unwrap();
        assert_eq!(fs::read_to_string(to.path().join("a/link")).unwrap(), "text");
        let mode = to.path().join("a/b/file").metadata().unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
