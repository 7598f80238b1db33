//! A file of a home, read with care: it may be a pipe, a link, or endless.

use std::io::{self, Read as _};

use camino::Utf8Path;
use nix::errno::Errno;
use nix::libc;

use super::How;
use crate::sys::{Folder, Root};

/// No configuration is larger, in bytes.
const LARGEST: u64 = 64 << 20;

/// What a file holds, up to so many bytes.
///
/// # Errors
/// What is wrong with it.
pub(super) fn content(root: &Root, path: &Utf8Path, most: u64) -> Result<Vec<u8>, How> {
    let (parent, name) = (path.parent().unwrap_or_else(|| "".into()), path.file_name());
    let folder = Folder::open(root, parent).map_err(|error| trouble(&error))?;
    let folder = folder.ok_or(How::Missing)?;
    let file = folder.read(name.unwrap_or_default()).map_err(|error| trouble(&error))?;
    let file = file.ok_or(How::Missing)?;
    let meta = file.metadata().map_err(|error| trouble(&error))?;
    if !meta.is_file() {
        return Err(How::OtherKind);
    }
    if meta.len() == 0 {
        return Err(How::Empty);
    }
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).map_err(|error| trouble(&error))?;
    Ok(bytes)
}

/// What a file of XML is, by its element.
///
/// # Errors
/// What is wrong with it.
pub(super) fn xml(root: &Root, path: &Utf8Path) -> Result<String, How> {
    let bytes = content(root, path, LARGEST)?;
    super::xml::element(&bytes).map_err(How::NotXml)
}

/// The names in a folder.
///
/// # Errors
/// What is wrong with it.
pub(super) fn names(root: &Root, path: &Utf8Path) -> Result<Vec<String>, How> {
    let folder = Folder::open(root, path).map_err(|error| trouble(&error))?;
    folder.ok_or(How::Missing)?.names().map_err(|error| trouble(&error))
}

fn trouble(error: &io::Error) -> How {
    match error.raw_os_error() {
        Some(libc::ELOOP | libc::ENOTDIR) => How::OtherKind,
        Some(errno) => {
            let errno = Errno::from_raw(errno);
            How::Unreadable(format!("{} ({errno:?})", errno.desc()))
        }
        None => How::Unreadable(error.to_string()),
    }
}
