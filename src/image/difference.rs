//! What makes one tree out of another. Pure: it compares [`Contents`], by what an image keeps of
//! them and not by what happened to be copied or touched.

use std::collections::{BTreeMap, BTreeSet};

use super::contents::{Contents, Entry, Kind};

/// See the module. Each list is sorted by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference<'a> {
    /// Names that go, also those that come back as something else.
    pub removed: Vec<&'a Entry>,
    /// Names that come.
    pub added: Vec<&'a Entry>,
    /// Names of which only owner, mode, time or attributes change: before and after.
    pub altered: Vec<(&'a Entry, &'a Entry)>,
    /// How many names a file has in the end, where one was added to it.
    pub names: BTreeMap<&'a str, u32>,
}

impl<'a> Difference<'a> {
    /// What leads from `old` to `new`.
    pub fn between(old: &'a Contents, new: &'a Contents) -> Self {
        let mut difference = Self::default();
        let mut replaced = BTreeSet::new();
        for (before, after) in pairs(old, new) {
            let stays = matches!((before, after), (Some(b), Some(a)) if b.kind == a.kind);
            if !stays {
                replaced.extend(before.or(after).map(|entry| entry.path.as_str()));
            }
        }
        // The other names of a file that is replaced would go on naming the old one.
        let orphaned = |entry: &Entry| match &entry.kind {
            Kind::HardLink { to } => replaced.contains(to.as_str()),
            _ => false,
        };
        for (before, after) in pairs(old, new) {
            match (before, after) {
                (Some(before), Some(after)) if before.kind == after.kind && !orphaned(before) => {
                    let linked = matches!(after.kind, Kind::HardLink { .. });
                    if before != after && !linked {
                        difference.altered.push((before, after));
                    }
                }
                (before, after) => {
                    difference.removed.extend(before);
                    difference.added.extend(after);
                }
            }
        }
        difference.names = names(&difference.added, new);
        difference
    }
}

fn names<'a>(added: &[&'a Entry], new: &'a Contents) -> BTreeMap<&'a str, u32> {
    let target = |entry: &'a Entry| match &entry.kind {
        Kind::HardLink { to } => Some(to.as_str()),
        _ => None,
    };
    let mut names: BTreeMap<_, _> =
        added.iter().copied().filter_map(target).map(|to| (to, 1)).collect();
    for to in new.entries.iter().filter_map(target) {
        names.entry(to).and_modify(|count| *count += 1);
    }
    names
}

/// Both sides of every name that is on either.
fn pairs<'a>(
    old: &'a Contents,
    new: &'a Contents,
) -> impl Iterator<Item = (Option<&'a Entry>, Option<&'a Entry>)> {
    let (mut old, mut new) = (old.entries.iter().peekable(), new.entries.iter().peekable());
    std::iter::from_fn(move || match (old.peek(), new.peek()) {
        (None, None) => None,
        (Some(a), Some(b)) if a.path == b.path => Some((old.next(), new.next())),
        (Some(a), Some(b)) if a.path > b.path => Some((None, new.next())),
        (None, Some(_)) => Some((None, new.next())),
        (Some(_), _) => Some((old.next(), None)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, kind: Kind) -> Entry {
        let path = path.to_owned();
        Entry { path, kind, mode: 0o644, uid: 0, gid: 0, mtime: 0, attributes: Vec::new() }
    }

    fn file(path: &str, content: &str) -> Entry {
        let sha256 = content.to_owned();
        entry(path, Kind::File { bytes: content.len() as u64, sha256 })
    }

    fn link(path: &str, to: &str) -> Entry {
        entry(path, Kind::HardLink { to: to.to_owned() })
    }

    fn contents(entries: &[Entry]) -> Contents {
        Contents { entries: entries.to_vec(), ..Contents::default() }
    }

    fn paths(entries: &[&Entry]) -> Vec<String> {
        entries.iter().map(|entry| entry.path.clone()).collect()
    }

    #[test]
    fn only_what_differs_is_named() {
        let mut moved = file("moved", "x");
        let old =
            contents(&[file("changed", "1"), file("gone", "x"), moved.clone(), file("z", "")]);
        moved.mode = 0o600;
        let new = contents(&[file("changed", "2"), moved, file("new", "n"), file("z", "")]);
        let difference = Difference::between(&old, &new);
        assert_eq!(paths(&difference.removed), ["changed", "gone"]);
        assert_eq!(paths(&difference.added), ["changed", "new"]);
        assert_eq!(difference.altered.len(), 1);
        assert_eq!(Difference::between(&new, &new), Difference::default());
    }

    #[test]
    fn all_names_of_a_replaced_file_are_made_again() {
        let old = contents(&[file("a", "1"), link("b", "a"), link("c", "a")]);
        let changed = contents(&[file("a", "2"), link("b", "a"), link("c", "a")]);
        let difference = Difference::between(&old, &changed);
        assert_eq!(paths(&difference.removed), ["a", "b", "c"]);
        assert_eq!(paths(&difference.added), ["a", "b", "c"]);

        let without_first = contents(&[file("b", "1"), link("c", "b")]);
        let difference = Difference::between(&old, &without_first);
        assert_eq!(paths(&difference.removed), ["a", "b", "c"]);
        assert_eq!(paths(&difference.added), ["b", "c"]);

        let another = contents(&[file("a", "1"), link("b", "a"), link("c", "a"), link("d", "a")]);
        let difference = Difference::between(&old, &another);
        assert_eq!(paths(&difference.added), ["d"]);
        assert_eq!(difference.names, BTreeMap::from([("a", 4)]));
    }
}
