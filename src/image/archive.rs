//! A tree as a tar archive whose bytes depend on nothing but what is in the tree.
//!
//! The names come in the order of [`Contents`], owners by number only, times in whole seconds; what
//! the old header cannot hold (long names, attributes, large numbers) stands in PAX records, which
//! every reader of today knows. One file is in memory at a time, and of it only a piece.

use std::io::{Read as _, Write};

use anyhow::Context as _;
use camino::Utf8Path;
use tar::{Builder, EntryType, Header};

use super::contents::{self, Contents, Entry, Kind};

/// What a name may have in the header of a tar archive, in bytes.
const NAME: usize = 100;

/// The largest user or group in the header.
const LARGEST_OWNER: u32 = 0o777_7777;

/// The largest size in the header, in bytes.
const LARGEST_FILE: u64 = 0o777_7777_7777;

/// Writes the archive of `tree`, whose contents are `contents`, into `out`.
pub fn write(tree: &Utf8Path, contents: &Contents, out: impl Write) -> anyhow::Result<()> {
    let mut archive = Builder::new(out);
    for entry in &contents.entries {
        append(&mut archive, tree, entry).with_context(|| format!("archiving /{}", entry.path))?;
    }
    archive.finish().context("ending the archive")
}

fn append(archive: &mut Builder<impl Write>, tree: &Utf8Path, entry: &Entry) -> anyhow::Result<()> {
    let name = match (&entry.kind, entry.path.as_str()) {
        (_, "") => "./".to_owned(),
        (Kind::Directory, path) => format!("{path}/"),
        (_, path) => path.to_owned(),
    };
    let target = match &entry.kind {
        Kind::HardLink { to } | Kind::Link { to } => to.as_str(),
        _ => "",
    };
    let mut header = header(entry)?;
    let mut records = Vec::new();
    let old = header.as_old_mut();
    for (what, text, field) in
        [("path", name.as_str(), &mut old.name), ("linkpath", target, &mut old.linkname)]
    {
        let kept = text.len().min(NAME);
        field[..kept].copy_from_slice(&text.as_bytes()[..kept]);
        if text.len() > NAME {
            records.push((what.to_owned(), text.as_bytes().to_owned()));
        }
    }
    for (what, owner) in [("uid", entry.uid), ("gid", entry.gid)] {
        if owner > LARGEST_OWNER {
            records.push((what.to_owned(), owner.to_string().into_bytes()));
        }
    }
    let bytes = if let Kind::File { bytes, .. } = entry.kind { bytes } else { 0 };
    if bytes > LARGEST_FILE {
        records.push(("size".to_owned(), bytes.to_string().into_bytes()));
    }
    let attributes = entry.attributes.iter();
    records.extend(attributes.map(|(name, value)| (format!("SCHILY.xattr.{name}"), value.clone())));
    if !records.is_empty() {
        // Names are bytes: nobody shall convert them.
        records.insert(0, ("hdrcharset".to_owned(), b"BINARY".to_vec()));
        let records = records.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        archive.append_pax_extensions(records)?;
    }
    header.set_cksum();
    if let Kind::File { .. } = entry.kind {
        let file = contents::open(tree, entry)?;
        archive.append(&header, Exactly { file: file.take(bytes), left: bytes })?;
    } else {
        archive.append(&header, std::io::empty())?;
    }
    Ok(())
}

/// The header without its names.
fn header(entry: &Entry) -> anyhow::Result<Header> {
    let mut header = Header::new_ustar();
    header.set_mode(entry.mode);
    header.set_uid(u64::from(entry.uid.min(LARGEST_OWNER)));
    header.set_gid(u64::from(entry.gid.min(LARGEST_OWNER)));
    header.set_mtime(u64::try_from(entry.mtime).unwrap_or(0));
    header.set_size(0);
    let kind = match &entry.kind {
        Kind::Directory => EntryType::Directory,
        Kind::File { bytes, .. } => {
            header.set_size((*bytes).min(LARGEST_FILE));
            EntryType::Regular
        }
        Kind::HardLink { .. } => EntryType::Link,
        Kind::Link { .. } => EntryType::Symlink,
        Kind::Character { major, minor } => {
            device(&mut header, *major, *minor)?;
            EntryType::Char
        }
        Kind::Block { major, minor } => {
            device(&mut header, *major, *minor)?;
            EntryType::Block
        }
        Kind::Pipe => EntryType::Fifo,
    };
    header.set_entry_type(kind);
    Ok(header)
}

fn device(header: &mut Header, major: u64, minor: u64) -> anyhow::Result<()> {
    header.set_device_major(major.try_into().context("a device's number is too large")?)?;
    header.set_device_minor(minor.try_into().context("a device's number is too large")?)?;
    Ok(())
}

/// A file that must have the size that it had: a header is already out, and a shorter file would
/// make all that follows unreadable.
struct Exactly {
    file: std::io::Take<std::fs::File>,
    left: u64,
}

impl std::io::Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.left -= n as u64;
        if n == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(std::io::Error::other("the file shrank while it was read"));
        }
        Ok(n)
    }
}
