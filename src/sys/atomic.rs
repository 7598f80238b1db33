//! Small files that are either whole or not there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};

use camino::Utf8Path;

/// Writes `bytes` to `path` with exactly `mode`, unless that is what is there already.
///
/// Says whether anything was written. A reader sees the old file or the new one, never a part.
pub fn write(path: &Utf8Path, bytes: &[u8], mode: u32) -> io::Result<bool> {
    if is_already(path, bytes, mode) {
        return Ok(false);
    }
    let directory = path.parent().unwrap_or(Utf8Path::new("."));
    let name = path.file_name().unwrap_or_default();
    let fresh = directory.join(format!(".{name}.{}", std::process::id()));
    // What a killed run left must not be followed: it could be a link.
    let _ = fs::remove_file(&fresh);
    let written = fill(&fresh, bytes, mode).and_then(|()| fs::rename(&fresh, path));
    if let Err(error) = written {
        let _ = fs::remove_file(&fresh);
        return Err(error);
    }
    File::open(directory)?.sync_all()?;
    Ok(true)
}

/// Makes a directory (and its parents) with exactly `mode`; an existing one keeps the mode that
/// it has.
pub fn make_directory(path: &Utf8Path, mode: u32) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(mode).create(path)?;
    // A service's umask would take away what others need to get at a file inside.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

fn is_already(path: &Utf8Path, bytes: &[u8], mode: u32) -> bool {
    fs::symlink_metadata(path)
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o7777 == mode)
        && fs::read(path).is_ok_and(|old| old == bytes)
}

fn fill(path: &Utf8Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    // Never readable by more than it will be, not even for a moment; then the umask is undone.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_once_and_then_only_when_content_or_mode_differ() {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(directory.path()).unwrap().join("secret");
        assert!(write(&path, b"one", 0o400).unwrap());
        assert!(!write(&path, b"one", 0o400).unwrap());
        assert!(write(&path, b"two", 0o400).unwrap(), "a read-only file is replaced");
        assert!(write(&path, b"two", 0o444).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o444);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing is left behind");
    }
}
