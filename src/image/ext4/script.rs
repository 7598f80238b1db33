//! The changes of a file system as commands for `debugfs`.
//!
//! Pure but for attributes, whose values go into files. Everything is quoted; what the language of
//! `debugfs` cannot say is refused.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};

use crate::error::Fault;
use crate::image::contents::{Contents, Entry, Kind};
use crate::image::difference::Difference;

/// `debugfs` reads lines of so many bytes, the end included.
const LINE: usize = 8191;

/// How the names of the attributes begin that hold access control lists.
const ACCESS_LIST: &str = "system.posix_acl_";

/// Extents, which every directory has, and "nobody may write here".
const IMMUTABLE: u32 = 0x8_0000 | 0x10;

/// See the module.
#[derive(Debug)]
pub(super) struct Script<'a> {
    epoch: i64,
    tree: &'a Utf8Path,
    /// Where values of attributes go.
    work: &'a Utf8Path,
    values: usize,
    folder: String,
    lines: Vec<String>,
    known: BTreeSet<String>,
}

impl<'a> Script<'a> {
    /// A script without commands. New files come from `tree`.
    pub(super) fn new(epoch: i64, tree: &'a Utf8Path, work: &'a Utf8Path) -> Self {
        let (lines, known) = (Vec::new(), BTreeSet::new());
        Self { epoch, tree, work, values: 0, folder: String::new(), lines, known }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(super) fn text(&self) -> String {
        self.lines.join("\n") + "\n"
    }

    /// All changes, in an order that never changes.
    ///
    /// What is new comes first, the largest first, and goes into free space: a file that grows moves
    /// only those that are smaller, and what becomes free later moves nothing. Then what goes, and
    /// what comes in its place.
    pub(super) fn changes(&mut self, difference: &Difference<'_>) -> anyhow::Result<()> {
        let removed = difference.removed.iter().map(|entry| entry.path.as_str()).collect();
        let mut added = difference.added.clone();
        added.sort_by_key(|entry| rank(entry));
        let (later, first): (Vec<_>, Vec<_>) =
            added.into_iter().partition(|entry| waits(entry, &removed));
        for entry in first {
            self.add(entry)?;
        }
        for entry in difference.removed.iter().rev() {
            let verb = if entry.kind == Kind::Directory { "rmdir" } else { "rm" };
            let name = self.enter(entry)?;
            self.push(&[verb, &name])?;
        }
        for entry in later {
            self.add(entry)?;
        }
        // `ln` makes a name and does not count it; removing counts by itself.
        for (file, names) in &difference.names {
            self.set(&quoted(file)?, "links_count", &names.to_string())?;
        }
        for entry in &difference.added {
            self.dress(entry)?;
        }
        for (before, after) in &difference.altered {
            self.alter(before, after)?;
        }
        Ok(())
    }

    /// Sets the access control lists of everything in `contents`.
    pub(super) fn access_lists(&mut self, contents: &Contents) -> anyhow::Result<()> {
        let own = |entry: &&Entry| !matches!(entry.kind, Kind::HardLink { .. });
        for entry in contents.entries.iter().filter(own) {
            for (name, value) in &entry.attributes {
                if name.starts_with(ACCESS_LIST) {
                    self.attribute(&quoted(&entry.path)?, name, value)?;
                }
            }
        }
        Ok(())
    }

    /// Sets the immutable flag of directories. They are empty: nothing else is asked for.
    pub(super) fn immutable(&mut self, folders: &[String]) -> anyhow::Result<()> {
        for folder in folders {
            self.set(
                &quoted(folder.trim_start_matches('/'))?,
                "flags",
                &format!("{IMMUTABLE:#x}"),
            )?;
        }
        Ok(())
    }

    /// What `debugfs` says beyond repeating a command and numbering a new file.
    pub(super) fn complaint<'l>(&self, line: &'l str) -> Option<&'l str> {
        let echo = line.strip_prefix("debugfs: ").is_some_and(|line| self.known.contains(line));
        let usual = echo
            || line.trim().is_empty()
            || line.trim() == "debugfs:"
            || line.starts_with("Allocated inode: ")
            || line
                .strip_prefix("debugfs ")
                .is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit()));
        (!usual).then_some(line)
    }

    fn add(&mut self, entry: &Entry) -> anyhow::Result<()> {
        let name = self.enter(entry)?;
        match &entry.kind {
            Kind::Directory => self.push(&["mkdir", &name]),
            Kind::File { .. } => {
                let from = quote(self.tree.join(&entry.path).as_str())?;
                self.push(&["write", &from, &name])
            }
            Kind::HardLink { to } => {
                // `ln` does not make a full directory larger, and `symlink` does.
                self.push(&["symlink", &name, "x"])?;
                self.push(&["rm", &name])?;
                self.push(&["ln", &quoted(to)?, &name])
            }
            Kind::Link { to } => self.push(&["symlink", &name, &quote(to)?]),
            Kind::Character { major, minor } => {
                self.push(&["mknod", &name, "c", &major.to_string(), &minor.to_string()])
            }
            Kind::Block { major, minor } => {
                self.push(&["mknod", &name, "b", &major.to_string(), &minor.to_string()])
            }
            Kind::Pipe => self.push(&["mknod", &name, "p"]),
        }
    }

    /// Some commands take a name in the current folder only, and others take `/name` for one: goes
    /// to the folder, and gives the name.
    fn enter(&mut self, entry: &Entry) -> anyhow::Result<String> {
        let (folder, name) = entry.path.rsplit_once('/').unwrap_or(("", &entry.path));
        if self.folder != folder || self.lines.is_empty() {
            self.push(&["cd", &quoted(folder)?])?;
            folder.clone_into(&mut self.folder);
        }
        if name.starts_with('<') {
            return Err(refused(&entry.path, "debugfs takes its name for a number"));
        }
        quote(name)
    }

    /// Owner, mode, time and attributes of something new.
    fn dress(&mut self, entry: &Entry) -> anyhow::Result<()> {
        if let Kind::HardLink { .. } = entry.kind {
            return Ok(());
        }
        let path = quoted(&entry.path)?;
        self.set(&path, "mode", &mode(entry))?;
        if entry.uid != 0 {
            self.set(&path, "uid", &entry.uid.to_string())?;
        }
        if entry.gid != 0 {
            self.set(&path, "gid", &entry.gid.to_string())?;
        }
        if entry.mtime != self.epoch {
            self.times(&path, entry)?;
        }
        for (name, value) in &entry.attributes {
            self.attribute(&path, name, value)?;
        }
        Ok(())
    }

    fn alter(&mut self, before: &Entry, after: &Entry) -> anyhow::Result<()> {
        let path = quoted(&after.path)?;
        if before.mode != after.mode {
            self.set(&path, "mode", &mode(after))?;
        }
        if before.uid != after.uid {
            self.set(&path, "uid", &after.uid.to_string())?;
        }
        if before.gid != after.gid {
            self.set(&path, "gid", &after.gid.to_string())?;
        }
        if before.mtime != after.mtime {
            self.times(&path, after)?;
        }
        for (name, value) in &after.attributes {
            if !before.attributes.contains(&(name.clone(), value.clone())) {
                self.attribute(&path, name, value)?;
            }
        }
        for (name, _) in &before.attributes {
            if !after.attributes.iter().any(|(other, _)| other == name) {
                self.push(&["ea_rm", &path, &quote(name)?])?;
            }
        }
        Ok(())
    }

    /// As mke2fs sets them from an archive.
    fn times(&mut self, path: &str, entry: &Entry) -> anyhow::Result<()> {
        for field in ["mtime", "atime", "ctime"] {
            self.set(path, field, &format!("@{}", entry.mtime))?;
        }
        Ok(())
    }

    fn attribute(&mut self, path: &str, name: &str, value: &[u8]) -> anyhow::Result<()> {
        let file: Utf8PathBuf = self.work.join(format!("attribute-{}", self.values));
        self.values += 1;
        std::fs::write(&file, value).context("writing an attribute's value")?;
        self.push(&["ea_set", "-f", &quote(file.as_str())?, path, &quote(name)?])
    }

    fn set(&mut self, path: &str, field: &str, value: &str) -> anyhow::Result<()> {
        self.push(&["sif", path, field, value])
    }

    fn push(&mut self, words: &[&str]) -> anyhow::Result<()> {
        let line = words.join(" ");
        if line.len() >= LINE {
            return Err(refused(words.get(1).unwrap_or(&""), "its path is too long"));
        }
        self.known.insert(line.trim_end().to_owned());
        self.lines.push(line);
        Ok(())
    }
}

/// Whether something can only be made when what is in its place has gone: itself, a directory above
/// it, or the file that it is a name of.
fn waits(entry: &Entry, removed: &BTreeSet<&str>) -> bool {
    let mut above = std::iter::successors(Some(entry.path.as_str()), |path| {
        path.rsplit_once('/').map(|(folder, _)| folder)
    });
    matches!(entry.kind, Kind::HardLink { .. }) || above.any(|path| removed.contains(path))
}

/// Directories, then files from the largest to the smallest, then what needs no room; hard links
/// last, when what they lead to is there.
fn rank(entry: &Entry) -> (u8, Reverse<u64>) {
    match entry.kind {
        Kind::Directory => (0, Reverse(0)),
        Kind::File { bytes, .. } => (1, Reverse(bytes)),
        Kind::HardLink { .. } => (3, Reverse(0)),
        _ => (2, Reverse(0)),
    }
}

fn mode(entry: &Entry) -> String {
    let kind = match entry.kind {
        Kind::Directory => 0o04_0000,
        Kind::File { .. } | Kind::HardLink { .. } => 0o10_0000,
        Kind::Link { .. } => 0o12_0000,
        Kind::Character { .. } => 0o02_0000,
        Kind::Block { .. } => 0o06_0000,
        Kind::Pipe => 0o01_0000,
    };
    format!("0{:o}", kind | entry.mode)
}

/// A path of the tree, as an argument.
fn quoted(path: &str) -> anyhow::Result<String> {
    quote(&format!("/{path}"))
}

/// One argument. In quotes, a quote is two; a line end cannot be said.
fn quote(text: &str) -> anyhow::Result<String> {
    if text.contains(['\n', '\0']) {
        return Err(refused(text, "it has a line end in its name"));
    }
    Ok(format!("\"{}\"", text.replace('"', "\"\"")))
}

fn refused(what: &str, why: &str) -> anyhow::Error {
    Fault::step(format!("{what:?} cannot be packed: {why}"))
        .hint("give it another name, or install it before `hook = \"late\"`")
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, kind: Kind) -> Entry {
        let path = path.to_owned();
        Entry { path, kind, mode: 0o644, uid: 0, gid: 0, mtime: 100, attributes: Vec::new() }
    }

    fn file(path: &str, bytes: u64) -> Entry {
        entry(path, Kind::File { bytes, sha256: bytes.to_string() })
    }

    fn contents(entries: Vec<Entry>) -> Contents {
        Contents { entries, ..Contents::default() }
    }

    fn script(old: &[Entry], new: &[Entry], work: &Utf8Path) -> anyhow::Result<String> {
        let (old, new) = (contents(old.to_vec()), contents(new.to_vec()));
        let mut script = Script::new(100, Utf8Path::new("/tree"), work);
        script.changes(&Difference::between(&old, &new))?;
        script.immutable(&["/srv/home".to_owned()])?;
        Ok(script.text())
    }

    #[test]
    fn the_commands_read_like_this() {
        let dir = tempfile::tempdir().unwrap();
        let work = Utf8Path::from_path(dir.path()).unwrap();
        let mut owned = file("etc/it's \"so\"", 3);
        (owned.uid, owned.gid, owned.mode) = (100_000, 7, 0o4755);
        owned.attributes = vec![("security.capability".to_owned(), vec![1, 2])];
        let mut older = file("kept", 1);
        older.mtime = 5;
        let new = [
            entry("etc", Kind::Directory),
            file("etc/big", 1 << 20),
            owned,
            entry("etc/link", Kind::Link { to: "../kept".to_owned() }),
            entry("etc/null", Kind::Character { major: 1, minor: 3 }),
            entry("etc/other", Kind::HardLink { to: "etc/big".to_owned() }),
            older,
        ];
        let old = [entry("gone", Kind::Directory), file("gone/file", 1), file("kept", 1)];
        let text = script(&old, &new, work).unwrap().replace(work.as_str(), "/scratch");
        insta::assert_snapshot!(text);
        assert_eq!(std::fs::read(work.join("attribute-0")).unwrap(), [1, 2]);
    }

    #[test]
    fn access_lists_are_set_once_for_all_names_of_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let work = Utf8Path::from_path(dir.path()).unwrap();
        let mut listed = file("a", 1);
        listed.attributes = vec![
            ("security.capability".to_owned(), vec![1]),
            ("system.posix_acl_access".to_owned(), vec![2]),
        ];
        let mut again = entry("b", Kind::HardLink { to: "a".to_owned() });
        again.attributes.clone_from(&listed.attributes);
        let mut script = Script::new(100, Utf8Path::new("/tree"), work);
        script.access_lists(&contents(vec![listed, again])).unwrap();
        let text = script.text().replace(work.as_str(), "/scratch");
        let expected = "ea_set -f \"/scratch/attribute-0\" \"/a\" \"system.posix_acl_access\"\n";
        assert_eq!(text, expected);
        assert_eq!(std::fs::read(work.join("attribute-0")).unwrap(), [2]);
    }

    #[test]
    fn a_line_end_in_a_name_is_refused() {
        let work = Utf8Path::new("/nowhere");
        let error = script(&[], &[file("etc/a\nrm /etc/passwd", 1)], work).unwrap_err();
        assert!(format!("{error:#}").contains("it has a line end in its name"), "{error:#}");
        let long = file(&"directory/".repeat(900), 1);
        assert!(script(&[], &[long], work).is_err());
    }

    #[test]
    fn only_its_own_words_are_no_complaint() {
        let mut script = Script::new(0, Utf8Path::new("/tree"), Utf8Path::new("/scratch"));
        script.push(&["rm", "\"/x\""]).unwrap();
        for usual in ["debugfs 1.47.2 (1-Jan-2025)", "debugfs: rm \"/x\"", "Allocated inode: 7", ""]
        {
            assert_eq!(script.complaint(usual), None);
        }
        for complaint in ["rm: File not found", "debugfs: Command not found rm", "debugfs: rm /y"] {
            assert_eq!(script.complaint(complaint), Some(complaint));
        }
    }
}
