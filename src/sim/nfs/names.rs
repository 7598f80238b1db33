//! Which path a file handle is, as far as the answers of the server told.
//!
//! A handle tells nothing by itself. That of a name is in the answer to the LOOKUP, OPEN, CREATE or
//! READDIR that found it; RENAME, LINK and REMOVE move names about. All machines share one table:
//! the server gives them the same handles.

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// The most files that are known. A home of that many files is large; what goes beyond it has a
/// path that is not known.
const MAX_FILES: usize = 400_000;
/// The longest path that Linux takes.
const MAX_PATH: usize = 4096;
/// The root of the file system among the files.
const ROOT: usize = 0;

/// A path below the root of the file system, without a `/` at its beginning; the root is `.`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    text: Arc<str>,
    known: bool,
}

impl Path {
    /// One that is known.
    pub fn new(text: &str) -> Self {
        Self { text: text.into(), known: true }
    }

    /// One that begins at a file of which only the handle is known.
    pub fn unknown(text: &str) -> Self {
        Self { text: text.into(), known: false }
    }

    /// False where it begins at a handle, of which a short hash is shown.
    pub const fn is_known(&self) -> bool {
        self.known
    }

    /// Whether it is `folder` or something in it.
    pub fn is_below(&self, folder: &str) -> bool {
        let rest = self.text.strip_prefix(folder);
        self.known && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// As it is shown.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Path {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// What is current or saved within a compound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// Nothing, or nothing that is known.
    #[default]
    Nowhere,
    /// A file by its handle.
    File(usize),
    /// A name in a directory, whether or not there is anything.
    Entry(usize, String),
}

/// The handles that are known.
#[derive(Debug)]
pub struct Names {
    ids: HashMap<Box<[u8]>, usize>,
    files: Vec<File>,
    entries: HashMap<(usize, String), usize>,
    forgotten: u64,
}

/// What is known of a file.
#[derive(Debug, Default)]
struct File {
    /// Of the handle, for people.
    hash: u32,
    /// The directories and names where it is; the last is the latest.
    names: Vec<(usize, String)>,
    /// Where it was before its last name was taken away: it may be open still.
    former: Option<(usize, String)>,
}

impl Default for Names {
    fn default() -> Self {
        let files = vec![File::default()];
        Self { ids: HashMap::new(), files, entries: HashMap::new(), forgotten: 0 }
    }
}

impl Names {
    /// The file system's root.
    pub const fn root() -> Place {
        Place::File(ROOT)
    }

    /// The file with this handle.
    pub fn file(&mut self, handle: &[u8]) -> Place {
        if let Some(id) = self.ids.get(handle) {
            return Place::File(*id);
        }
        let Some(id) = self.add() else { return Place::Nowhere };
        let mut hasher = DefaultHasher::new();
        handle.hash(&mut hasher);
        self.files[id].hash = (hasher.finish() >> 32) as u32;
        self.ids.insert(handle.into(), id);
        Place::File(id)
    }

    /// A name in a directory.
    pub fn enter(&mut self, directory: &Place, name: &[u8]) -> Place {
        match self.resolve(directory) {
            Some(directory) => Place::Entry(directory, String::from_utf8_lossy(name).into_owned()),
            None => Place::Nowhere,
        }
    }

    /// The directory above.
    pub fn parent(&self, place: &Place) -> Place {
        match place {
            Place::Entry(directory, _) => Place::File(*directory),
            Place::File(id) => match self.files[*id].names.last() {
                Some((directory, _)) => Place::File(*directory),
                None => Place::Nowhere,
            },
            Place::Nowhere => Place::Nowhere,
        }
    }

    /// The server says that this is the handle of what is at `place`.
    pub fn learn(&mut self, place: &Place, handle: &[u8]) {
        if *place == Self::root() {
            self.ids.insert(handle.into(), ROOT);
        }
        let Place::Entry(directory, name) = place else { return };
        let key = (*directory, name.clone());
        // A directory that was only passed through has no handle yet: this is it.
        if !self.ids.contains_key(handle)
            && let Some(id) = self.entries.get(&key)
            && self.files[*id].hash == 0
        {
            self.ids.insert(handle.into(), *id);
            return;
        }
        if let Place::File(id) = self.file(handle)
            && self.entries.get(&key) != Some(&id)
        {
            self.drop_name(&key);
            self.give_name(id, key);
        }
    }

    /// A name was taken away.
    pub fn removed(&mut self, entry: &Place) {
        if let Place::Entry(directory, name) = entry {
            self.drop_name(&(*directory, name.clone()));
        }
    }

    /// A file got another name, and what had it lost it.
    pub fn renamed(&mut self, from: &Place, to: &Place) {
        let (Place::Entry(from, old), Place::Entry(to, new)) = (from, to) else { return };
        let (from, to) = ((*from, old.clone()), (*to, new.clone()));
        let moved = self.entries.get(&from).copied();
        // Two names of one file: a rename between them does nothing.
        if moved.is_some() && moved == self.entries.get(&to).copied() {
            return;
        }
        self.drop_name(&from);
        self.drop_name(&to);
        if let Some(id) = moved {
            self.give_name(id, to);
        }
    }

    /// A file got one more name.
    pub fn linked(&mut self, file: &Place, entry: &Place) {
        if let (Some(id), Place::Entry(directory, name)) = (self.resolve(file), entry) {
            self.drop_name(&(*directory, name.clone()));
            self.give_name(id, (*directory, name.clone()));
        }
    }

    /// The path of a place; of several names the latest.
    pub fn path(&self, place: &Place) -> Path {
        match place {
            Place::Nowhere => Path::unknown("?"),
            Place::File(id) => self.path_of(*id, String::new()),
            Place::Entry(directory, name) => self.path_of(*directory, name.clone()),
        }
    }

    /// How many files were not remembered because there were too many.
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    fn path_of(&self, mut id: usize, mut text: String) -> Path {
        // Whoever lies about renames could make a circle: a path has an end.
        while id != ROOT && text.len() <= MAX_PATH {
            let file = &self.files[id];
            let Some((directory, name)) = file.names.last().or(file.former.as_ref()) else {
                let slash = if text.is_empty() { "" } else { "/" };
                return Path::unknown(&format!("#{:08x}{slash}{text}", file.hash));
            };
            text = if text.is_empty() { name.clone() } else { format!("{name}/{text}") };
            id = *directory;
        }
        match text.len() {
            0 => Path::new("."),
            1..=MAX_PATH => Path::new(&text),
            _ => Path::unknown("?"),
        }
    }

    /// The file at a place; a name that is not known yet gets one without a handle.
    fn resolve(&mut self, place: &Place) -> Option<usize> {
        match place {
            Place::Nowhere => None,
            Place::File(id) => Some(*id),
            Place::Entry(directory, name) => {
                let key = (*directory, name.clone());
                if let Some(id) = self.entries.get(&key) {
                    return Some(*id);
                }
                let id = self.add()?;
                self.give_name(id, key);
                Some(id)
            }
        }
    }

    fn add(&mut self) -> Option<usize> {
        if self.files.len() == MAX_FILES {
            self.forgotten += 1;
            return None;
        }
        self.files.push(File::default());
        Some(self.files.len() - 1)
    }

    fn give_name(&mut self, id: usize, key: (usize, String)) {
        let file = &mut self.files[id];
        file.names.push(key.clone());
        file.former = None;
        self.entries.insert(key, id);
    }

    fn drop_name(&mut self, key: &(usize, String)) {
        let Some(id) = self.entries.remove(key) else { return };
        let file = &mut self.files[id];
        file.names.retain(|name| name != key);
        if file.names.is_empty() {
            file.former = Some(key.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table that knows `home/a` (handle `A`) in `home` (handle `H`).
    fn home() -> Names {
        let mut names = Names::default();
        names.learn(&Names::root(), b"R");
        let home = names.enter(&Names::root(), b"home");
        names.learn(&home, b"H");
        let file = names.enter(&home, b"a");
        names.learn(&file, b"A");
        names
    }

    fn path(names: &mut Names, handle: &[u8]) -> String {
        let place = names.file(handle);
        names.path(&place).to_string()
    }

    #[test]
    fn handles_have_the_path_that_was_looked_up() {
        let mut names = home();
        assert_eq!(
            [b"R", b"H", b"A"].map(|handle| path(&mut names, handle)),
            [".", "home", "home/a"]
        );
        let place = names.file(b"strange");
        let inside = names.enter(&place, b"x");
        assert!(!names.path(&place).is_known() && names.path(&inside).to_string().ends_with("/x"));
    }

    #[test]
    fn renames_links_and_removals_are_followed() {
        let mut names = home();
        let home = names.file(b"H");
        let [a, b] = [b"a", b"b"].map(|name| names.enter(&home, name));
        names.renamed(&a, &b);
        assert_eq!(path(&mut names, b"A"), "home/b");
        let file = names.file(b"A");
        names.linked(&file, &a);
        assert_eq!(path(&mut names, b"A"), "home/a", "the latest name counts");
        names.renamed(&a, &b);
        names.removed(&a);
        assert_eq!(path(&mut names, b"A"), "home/b", "two names of one file stay as they are");
        names.removed(&b);
        assert_eq!(path(&mut names, b"A"), "home/b", "an open file is known by its last name");
        let elsewhere = names.enter(&Names::root(), b"old");
        let home = names.enter(&Names::root(), b"home");
        names.renamed(&home, &elsewhere);
        assert_eq!(path(&mut names, b"A"), "old/b", "a directory takes along what is in it");
    }

    #[test]
    fn a_directory_that_was_passed_through_gets_its_handle_later() {
        let mut names = Names::default();
        let jobs = names.enter(&Names::root(), b"jobs");
        let job = names.enter(&jobs, b"one");
        names.learn(&job, b"J");
        assert_eq!(path(&mut names, b"J"), "jobs/one");
        names.learn(&jobs, b"D");
        let job = names.file(b"D");
        let job = names.enter(&job, b"one");
        assert_eq!(names.resolve(&job), names.ids.get(&b"J"[..]).copied());
    }

    #[test]
    fn a_circle_of_directories_has_no_path() {
        let mut names = home();
        let inside = names.file(b"A");
        let inside = names.enter(&inside, b"loop");
        let home = names.enter(&Names::root(), b"home");
        names.renamed(&home, &inside);
        assert!(!names.path(&inside).is_known());
    }
}
