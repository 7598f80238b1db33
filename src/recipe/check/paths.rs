//! The paths that a recipe puts something at: that each can be there, and beside the others.

use super::words::is_path;
use super::{Checker, entry};
use crate::recipe::tree::Key;
use crate::recipe::types::{Recipe, When};
use crate::recipe::vars::STAND_IN;

/// What is there only while a machine runs.
const RUNNING: [&str; 3] = ["/dev", "/proc", "/sys"];

/// The accounts, which have sections of their own.
const ACCOUNTS: [&str; 4] = ["/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow"];

/// Something that a recipe puts at a path.
struct Put<'r> {
    section: &'static str,
    n: usize,
    path: &'r str,
    is_folder: bool,
    when: &'r When,
}

impl Put<'_> {
    fn place(&self) -> [Key; 3] {
        entry(self.section, self.n, "path")
    }

    /// Whether `other` cannot be there together with this, of which one is no folder.
    fn excludes(&self, other: &Put<'_>) -> bool {
        let below = |path: &str, of: &Put<'_>| {
            !of.is_folder && path.strip_prefix(of.path).is_some_and(|rest| rest.starts_with('/'))
        };
        // Two of one section are found by their names.
        let same = self.path == other.path
            && self.section != other.section
            && !(self.is_folder && other.is_folder);
        (same || below(self.path, other) || below(other.path, self)) && self.when.meets(other.when)
    }
}

impl Checker<'_, '_> {
    pub(super) fn paths(&mut self, recipe: &Recipe) {
        let puts = puts(recipe);
        for (n, put) in puts.iter().enumerate() {
            let place = put.place();
            self.require(
                is_path(put.path),
                &place,
                put.path,
                "an absolute path without `.` and `..`",
            );
            if put.path.contains(STAND_IN) || !is_path(put.path) {
                continue;
            }
            self.noted.put.push((put.path.to_owned(), self.document.place(&place)));
            let top = |folder: &&str| {
                put.path
                    .strip_prefix(*folder)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            };
            if let Some(folder) = RUNNING.into_iter().find(top) {
                let message = format!("{folder} is there only while a machine runs");
                let hint = "kernel settings are [sysctl]; what a boot needs is a script or a unit";
                self.wrong(&place, message, Some(hint.to_owned()));
            } else if ACCOUNTS.contains(&put.path) {
                let message = format!("{} is not the recipe's alone", put.path);
                let hint = "accounts are [[user]] and [[group]]: packages add theirs";
                self.wrong(&place, message, Some(hint.to_owned()));
            } else if let Some(other) = puts[..n].iter().find(|other| put.excludes(other)) {
                let line = self.document.place(&other.place()).line;
                let Put { section, path, .. } = other;
                let message = format!(
                    "{} cannot be there with [[{section}]] {path} of line {line}",
                    put.path
                );
                let hint = "one path is one thing, and only a directory has something below it";
                self.wrong(&place, message, Some(hint.to_owned()));
            }
        }
        for (n, link) in recipe.link.iter().enumerate() {
            let right = !link.to.is_empty() && !link.to.contains(char::is_control);
            self.require(right, &entry("link", n, "to"), &link.to, "a path");
        }
    }
}

fn puts(recipe: &Recipe) -> Vec<Put<'_>> {
    let mut puts = Vec::new();
    for (n, directory) in recipe.directory.iter().enumerate() {
        let (path, when) = (directory.path.as_str(), &directory.when);
        puts.push(Put { section: "directory", n, path, is_folder: true, when });
    }
    for (n, file) in recipe.file.iter().enumerate() {
        puts.push(Put { section: "file", n, path: &file.path, is_folder: false, when: &file.when });
    }
    for (n, link) in recipe.link.iter().enumerate() {
        puts.push(Put { section: "link", n, path: &link.path, is_folder: false, when: &link.when });
    }
    for (n, fetch) in recipe.fetch.iter().enumerate() {
        let (path, when) = (fetch.path.as_str(), &fetch.when);
        puts.push(Put { section: "fetch", n, path, is_folder: fetch.unpack, when });
    }
    puts
}
