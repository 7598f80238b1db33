//! What each check is for: for a person who has read its name, and for docs/efs.md, whose list of
//! checks is made of it.

mod meaning;

use std::fmt::Write as _;

use serde::Serialize;

use super::cause;
use super::table::{CHECKS, Id, Side};
use meaning::meaning;

/// What there is to say of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its name.
    pub id: &'static str,
    /// What it looks at, in a sentence that begins in the middle.
    pub does: &'static str,
    /// What its failure means.
    pub means: &'static str,
    /// What mends that.
    pub mends: &'static str,
    /// Whether it runs on the host alone.
    pub only_on_the_host: bool,
    /// What must not have failed for it to be run.
    pub needs: Vec<&'static str>,
    /// What it waits for, too, to see what that saw.
    pub after: Vec<&'static str>,
    /// It is given up after so many seconds.
    pub deadline: u64,
    /// What else is wrong where it fails.
    pub explains: Vec<&'static str>,
}

impl Row {
    /// Of a check.
    pub fn of(id: Id) -> Self {
        let check = id.check();
        let names = |ids: &[Id]| ids.iter().map(|id| id.name()).collect();
        let (means, mends) = meaning(id);
        Self {
            id: id.name(),
            does: check.does,
            means,
            mends,
            only_on_the_host: check.side == Side::Host,
            needs: names(check.needs),
            after: names(check.after),
            deadline: check.deadline.as_secs(),
            explains: names(&cause::follows(id)),
        }
    }

    /// Where it runs, in a few words.
    const fn place(&self) -> &'static str {
        if self.only_on_the_host { "on the host" } else { "on the host, and from outside" }
    }
}

/// All checks for people, a line each.
pub fn list() -> String {
    let width = CHECKS.iter().map(|check| check.id.name().len()).max().unwrap_or_default();
    let mut out = String::new();
    for check in CHECKS {
        let place = if check.side == Side::Host { "host" } else { "both" };
        let _ = writeln!(out, "{:<width$}  {place}  {}", check.id.name(), check.does);
    }
    out + "\nhost: only on the host that mounts it; both: from outside, too, by --file-system\n"
}

/// All there is to say of a check, for people.
pub fn text(id: Id) -> String {
    let row = Row::of(id);
    let line = |word: &str, text: &str| format!("  {word:<9}{text}\n");
    let mut out = format!("{}: {}\n\n", row.id, row.does);
    out += &line("fails", row.means);
    out += &line("mended", row.mends);
    out += &line("runs", &format!("{}; given up after {} s", row.place(), row.deadline));
    for (word, ids) in [("needs", &row.needs), ("after", &row.after), ("explains", &row.explains)] {
        if !ids.is_empty() {
            out += &line(word, &ids.join(" "));
        }
    }
    let room = row.id.split('.').next().unwrap_or_default();
    out + &format!("\n  docs/efs.md has all of {room}.*; docs/recovery.md what to do, by symptom\n")
}

/// How the rooms are called in the document, by the beginning of their checks' names.
const ROOMS: &[(&str, &str)] = &[
    ("host", "The host"),
    ("efs", "What AWS says of the file system"),
    ("net", "The way to it"),
    ("mount", "The mount"),
    ("home", "The home"),
];

/// The list of all checks in Markdown, a part of docs/efs.md.
pub fn page() -> String {
    let mut out = String::new();
    for (room, title) in ROOMS {
        let _ = write!(out, "### {title}\n\n");
        let of_room = |name: &str| name.split('.').next() == Some(room);
        for check in CHECKS.iter().filter(|check| of_room(check.id.name())) {
            let row = Row::of(check.id);
            let _ = writeln!(out, "- **`{}`** looks at {}.", row.id, row.does);
            let _ = writeln!(out, "  It fails: {}.", row.means);
            let _ = writeln!(out, "  Mended: {}.", row.mends);
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_every_check_as_it_is() {
        let document = include_str!("../../../docs/efs.md");
        let page = page();
        assert_eq!(CHECKS.len(), page.matches("- **`").count());
        assert!(
            document.contains(page.trim_end()),
            "put what `hostkit docs checks` prints between the marks in docs/efs.md"
        );
    }

    #[test]
    fn a_check_explains_itself_like_this() {
        insta::assert_snapshot!(text(Id::Groups));
    }

    #[test]
    fn all_checks_are_listed_like_this() {
        insta::assert_snapshot!(list());
    }

    #[test]
    fn every_text_is_a_part_of_a_sentence() {
        for check in CHECKS {
            let Row { id, does, means, mends, .. } = Row::of(check.id);
            for text in [does, means, mends] {
                assert!(!text.is_empty() && !text.ends_with('.') && !text.contains('\n'), "{id}");
            }
        }
    }
}
