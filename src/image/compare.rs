//! What differs between two images, from what lies beside them. Pure.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::contents::{Entry, Kind};

/// What differs between two images.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Comparison {
    /// The packages.
    pub packages: Packages,
    /// The files, where both images have a list of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Files>,
    /// The blocks of both disks, where both images have a table of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blocks: Option<super::manifest::Changed>,
}

/// Packages by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Packages {
    /// Only the second image has them, in this version.
    pub added: BTreeMap<String, String>,
    /// Only the first has them.
    pub removed: BTreeMap<String, String>,
    /// Both have them, in different versions: before and after.
    pub changed: BTreeMap<String, (String, String)>,
}

/// Files by path, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Files {
    /// Only the second image has them.
    pub added: Vec<Sized>,
    /// Only the first has them.
    pub removed: Vec<Sized>,
    /// Both have them, and they are not the same. Times do not count.
    pub changed: Vec<Changed>,
}

/// A path and what it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sized {
    /// The absolute path.
    pub path: String,
    /// The size of a file, in bytes; of all else 0.
    pub bytes: u64,
}

/// A path that is not the same in both images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Changed {
    /// The absolute path.
    pub path: String,
    /// What is not the same.
    pub what: Vec<What>,
    /// Its size in the first image and in the second, in bytes.
    pub bytes: (u64, u64),
}

/// In what a path may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// It is something else: a link where a file was.
    Kind,
    /// What stands in it.
    Content,
    /// Its permissions.
    Mode,
    /// Its user or group.
    Owner,
    /// Its extended attributes.
    Attributes,
}

impl What {
    /// As a word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Content => "content",
            Self::Mode => "mode",
            Self::Owner => "owner",
            Self::Attributes => "attributes",
        }
    }
}

impl Packages {
    /// Compares versions by name.
    pub fn between(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Self {
        let only = |here: &BTreeMap<String, String>, there: &BTreeMap<String, String>| {
            let mut here = here.clone();
            here.retain(|name, _| !there.contains_key(name));
            here
        };
        let changed = old.iter().filter_map(|(name, before)| {
            let after = new.get(name).filter(|after| *after != before)?;
            Some((name.clone(), (before.clone(), after.clone())))
        });
        Self { added: only(new, old), removed: only(old, new), changed: changed.collect() }
    }
}

impl Files {
    /// Compares two lists; each is sorted by path.
    pub fn between(old: &[Entry], new: &[Entry]) -> Self {
        let mut files = Self::default();
        let (mut old, mut new) = (old.iter().peekable(), new.iter().peekable());
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => return files,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(before), Some(after)) => before.path.cmp(&after.path),
            };
            match order {
                Ordering::Less => files.removed.extend(old.next().map(sized)),
                Ordering::Greater => files.added.extend(new.next().map(sized)),
                Ordering::Equal => {
                    let pair = old.next().zip(new.next());
                    files.changed.extend(pair.and_then(|(before, after)| changed(before, after)));
                }
            }
        }
    }
}

fn sized(entry: &Entry) -> Sized {
    Sized { path: format!("/{}", entry.path), bytes: bytes(entry) }
}

const fn bytes(entry: &Entry) -> u64 {
    if let Kind::File { bytes, .. } = entry.kind { bytes } else { 0 }
}

fn changed(before: &Entry, after: &Entry) -> Option<Changed> {
    let same_kind = std::mem::discriminant(&before.kind) == std::mem::discriminant(&after.kind);
    let differs = [
        (What::Kind, !same_kind),
        (What::Content, same_kind && before.kind != after.kind),
        (What::Mode, before.mode != after.mode),
        (What::Owner, (before.uid, before.gid) != (after.uid, after.gid)),
        (What::Attributes, before.attributes != after.attributes),
    ];
    let what: Vec<_> = differs.into_iter().filter_map(|(what, is)| is.then_some(what)).collect();
    let bytes = (bytes(before), bytes(after));
    (!what.is_empty()).then(|| Changed { path: format!("/{}", after.path), what, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, bytes: u64, mode: u32, mtime: i64) -> Entry {
        let kind = Kind::File { bytes, sha256: bytes.to_string() };
        let (uid, gid, attributes) = (0, 0, Vec::new());
        Entry { path: path.to_owned(), kind, mode, uid, gid, mtime, attributes }
    }

    #[test]
    fn files_are_added_removed_and_changed_but_not_by_their_time() {
        let old = [file("a", 1, 0o644, 1), file("b", 1, 0o644, 1), file("d", 1, 0o644, 1)];
        let new = [file("a", 1, 0o644, 2), file("c", 7, 0o644, 1), file("d", 2, 0o600, 1)];
        let files = Files::between(&old, &new);
        assert_eq!(files.added, [Sized { path: "/c".to_owned(), bytes: 7 }]);
        assert_eq!(files.removed, [Sized { path: "/b".to_owned(), bytes: 1 }]);
        let what = vec![What::Content, What::Mode];
        assert_eq!(files.changed, [Changed { path: "/d".to_owned(), what, bytes: (1, 2) }]);
    }

    #[test]
    fn packages_are_compared_by_name() {
        let map = |list: &[(&str, &str)]| -> BTreeMap<String, String> {
            list.iter().map(|(name, version)| ((*name).into(), (*version).into())).collect()
        };
        let old = map(&[("curl", "1"), ("git", "2"), ("vim", "1")]);
        let new = map(&[("curl", "1"), ("git", "3"), ("zsh", "5")]);
        let packages = Packages::between(&old, &new);
        assert_eq!(packages.added, map(&[("zsh", "5")]));
        assert_eq!(packages.removed, map(&[("vim", "1")]));
        assert_eq!(packages.changed["git"], ("2".to_owned(), "3".to_owned()));
    }
}
