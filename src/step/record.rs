//! What a step remembers on the host of what it put there: so that a second apply can see that it
//! is still so, without fetching it again.
//!
//! A record is a hint and no proof: what it tells of is compared with what is there. It holds no
//! time and no secret, so that the same plan leaves the same bytes.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use super::Site;
use crate::digest::{sha256, sha256_of};
use crate::sys::Owner;

/// Where records are.
const FOLDER: &str = "/var/lib/hostkit/applied";

/// The place of one record on the host.
#[derive(Clone, Debug)]
pub(super) struct Record {
    path: String,
}

/// What was put there: a line an entry, `KIND MODE UID GID SIZE-OR-DIGEST PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trace(Vec<String>);

impl Record {
    /// That of a step of this `kind` about `subject`.
    pub(super) fn of(kind: &str, subject: &str) -> Self {
        Self { path: format!("{FOLDER}/{kind}-{}", &sha256(subject)[..16]) }
    }

    /// Whether `wish` was fulfilled, and all that was put there is as it was left.
    pub(super) fn is_true(&self, wish: &str, site: &Site<'_>) -> anyhow::Result<bool> {
        let Some(text) = site.host.root.read_text(&self.path)? else { return Ok(false) };
        let mut lines = text.lines();
        if lines.next() != Some(wish) {
            return Ok(false);
        }
        for line in lines {
            let Some(path) = line.splitn(6, ' ').nth(5) else { return Ok(false) };
            if entry(path, site)?.as_deref() != Some(line) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Remembers.
    pub(super) fn write(&self, wish: &str, trace: &Trace, site: &Site<'_>) -> anyhow::Result<()> {
        let text = std::iter::once(wish).chain(trace.0.iter().map(String::as_str));
        let text: String = text.map(|line| format!("{line}\n")).collect();
        site.host.root.make_parents(&self.path)?;
        site.host.root.write(&self.path, text.as_bytes(), 0o600, Owner::ROOT)?;
        Ok(())
    }
}

impl Trace {
    /// Of these paths, as they are now.
    pub(super) fn of(paths: &[String], site: &Site<'_>) -> anyhow::Result<Self> {
        let lines = paths.iter().filter_map(|path| entry(path, site).transpose());
        Ok(Self(lines.collect::<anyhow::Result<_>>()?))
    }
}

/// One line about what is at `path`; none if nothing is, or if its name cannot stand in a line.
fn entry(path: &str, site: &Site<'_>) -> anyhow::Result<Option<String>> {
    let root = &site.host.root;
    let Some(meta) = root.metadata(path)?.filter(|_| !path.contains('\n')) else { return Ok(None) };
    let (kind, content) = if meta.is_file() {
        ("file", sha256_of(root.borrow(path)?.path)?)
    } else if meta.is_dir() {
        ("dir", "-".to_owned())
    } else if let Some(to) = root.read_link(path)? {
        ("link", sha256(to.as_os_str().as_encoded_bytes()))
    } else {
        ("other", meta.len().to_string())
    };
    let mode = meta.permissions().mode() & 0o7777;
    let (uid, gid) = (meta.uid(), meta.gid());
    Ok(Some(format!("{kind} {mode:04o} {uid} {gid} {content} {path}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Events;
    use crate::secret::Secrets;
    use crate::step::Mode;
    use crate::sys::{Host, Root};

    #[test]
    fn a_link_that_names_something_else_of_the_same_length_is_not_as_it_was_left() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::open(camino::Utf8Path::from_path(folder.path()).unwrap()).unwrap();
        let host = Host::folder(root);
        let (events, secrets) = (Events::silent(), Secrets::default());
        let (mode, diff) = (Mode::Apply, false);
        let site = Site { host: &host, events: &events, secrets: &secrets, id: "x", mode, diff };
        host.root.link("/link", "one").unwrap();
        let paths = ["/link".to_owned()];
        let before = Trace::of(&paths, &site).unwrap();
        assert_eq!(Trace::of(&paths, &site).unwrap(), before);
        host.root.link("/link", "two").unwrap();
        assert_ne!(Trace::of(&paths, &site).unwrap(), before);
    }
}
