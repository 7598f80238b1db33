//! What the types of a recipe cannot say, at the line and column that is wrong.

mod accounts;
mod kernel;
mod paths;
mod sections;
mod words;

pub use words::{is_file, is_package, is_source, is_wanted, is_word};
use words::{is_moment, is_name, is_sha256};

use super::assets::Assets;
use super::problem::{Place, Problem, suggest};
use super::tree::{Document, Key};
use super::types::{Base, Recipe, When};
use super::vars::{STAND_IN, Vars};
use crate::host::HostConfig;

/// The sections whose entries have a name of their own, and the key that holds it.
const NAMED: &[(&str, &str)] = &[
    ("repository", "name"),
    ("group", "name"),
    ("user", "name"),
    ("directory", "path"),
    ("file", "path"),
    ("link", "path"),
    ("unit", "name"),
    ("fetch", "path"),
    ("script", "name"),
    ("test", "name"),
];

/// A key that a recipe pins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// Where it is: `https:` or `file:`.
    pub url: String,
    /// Its fingerprint: 40 hexadecimal digits, upper case.
    pub fingerprint: String,
    /// Where the recipe says so.
    pub place: Place,
}

/// What a recipe says that others must judge.
#[derive(Clone, Debug, Default)]
pub(super) struct Noted {
    /// The keys that it pins.
    pub(super) pinned: Vec<Pinned>,
    /// The paths that it puts something at, and where it says so.
    pub(super) put: Vec<(String, Place)>,
}

/// Checks one file, whose strings have been rendered, and gives what others must judge.
/// `settings` is its `[host]`, if that could be read.
pub(super) fn recipe(
    document: &Document<'_>,
    recipe: &Recipe,
    settings: Option<&HostConfig>,
    assets: &Assets,
    vars: &Vars,
    problems: &mut Vec<Problem>,
) -> Noted {
    let mut checker = Checker { document, assets, vars, problems, noted: Noted::default() };
    checker.names(recipe);
    if let Some(base) = &recipe.base {
        checker.base(base);
    }
    checker.paths(recipe);
    checker.accounts(recipe);
    checker.kernel(recipe);
    checker.modes();
    checker.repositories(recipe);
    checker.packages(recipe);
    checker.fetches(recipe);
    checker.contents(recipe);
    checker.scripts(recipe);
    checker.tests(recipe);
    checker.twice();
    if let Some(settings) = settings {
        sections::refused(document, &[Key::Name("host".to_owned())], settings, checker.problems);
    }
    checker.noted
}

/// Checks what a host is told, in a file of its own.
pub(super) fn host(document: &Document<'_>, settings: &HostConfig, problems: &mut Vec<Problem>) {
    sections::refused(document, &[], settings, problems);
}

struct Checker<'a, 's> {
    document: &'a Document<'s>,
    assets: &'a Assets,
    vars: &'a Vars,
    problems: &'a mut Vec<Problem>,
    noted: Noted,
}

/// The path to `key` of the entry `index` of a section.
fn entry(section: &str, index: usize, key: &str) -> [Key; 3] {
    [Key::Name(section.into()), Key::Index(index), Key::Name(key.into())]
}

fn table(section: &str, key: &str) -> [Key; 2] {
    [Key::Name(section.into()), Key::Name(key.into())]
}

impl Checker<'_, '_> {
    fn wrong(&mut self, path: &[Key], message: impl Into<String>, hint: Option<String>) {
        let place = self.document.place(path);
        self.problems.push(Problem::error(message).at(place).hint(hint));
    }

    /// `value` at `path` must be as `wanted` says.
    fn require(&mut self, right: bool, path: &[Key], value: &str, wanted: &str) {
        if right || value.contains(STAND_IN) {
            return;
        }
        let Some(Key::Name(key)) = path.last() else { return };
        let message = format!("`{key}` cannot be `{}`", value.escape_debug());
        self.wrong(path, message, Some(format!("wanted is {wanted}")));
    }

    /// Whether something was taken out of an entry, because it was wrong. What it lacks now it may
    /// have had.
    fn is_torn(&self, section: &str, n: usize) -> bool {
        let node = self.document.get(&entry(section, n, "")[..2]);
        node.is_some_and(|node| self.document.torn.contains(&node.span().start))
    }

    fn names(&mut self, recipe: &Recipe) {
        let plain = "small letters, digits and `-`";
        let name = &recipe.recipe.name;
        // An empty one may be the stub of a header that is missing, which has been told.
        if self.document.text(&table("recipe", "name")) != Some("") || !name.is_empty() {
            self.require(is_name(name), &table("recipe", "name"), name, plain);
        }
        for (n, repository) in recipe.repository.iter().enumerate() {
            let name = &repository.name;
            self.require(is_name(name), &entry("repository", n, "name"), name, plain);
        }
    }

    fn base(&mut self, base: &Base) {
        let at = |key: &str| table("base", key);
        if let Err(fault) = base.release()
            && !base.os.contains(STAND_IN)
        {
            let hint = fault.hint_text().map(str::to_owned);
            self.wrong(&at("os"), fault.to_string(), hint);
        }
        if let Ok((os, release)) = base.release()
            && !os.releases().contains(&release)
            && !release.contains(STAND_IN)
        {
            let message = format!("this hostkit does not know the {os} release `{release}`");
            let hint = suggest(release, os.releases().iter().copied());
            let place = self.document.place(&at("os"));
            self.problems.push(Problem::warning(message).at(place).hint(hint));
        }
        if let Some(digest) = &base.sha256 {
            self.require(is_sha256(digest), &at("sha256"), digest, "64 hexadecimal digits");
            if base.image.is_none() {
                self.wrong(
                    &at("sha256"),
                    "`sha256` is that of an `image`, and there is none",
                    None,
                );
            }
        } else if base.image.is_some() {
            let hint = "what a bake begins with is verified: `sha256sum FILE` prints it";
            self.wrong(&at("image"), "`image` needs its `sha256`", Some(hint.to_owned()));
        }
        for (key, mirror) in [
            ("mirror", &base.mirror),
            ("security_mirror", &base.security_mirror),
            ("snapshot_mirror", &base.snapshot_mirror),
        ] {
            if let Some(mirror) = mirror {
                self.source(mirror, &at(key));
            }
        }
        if let Some(moment) = &base.snapshot {
            let wanted = "a moment, as `20261101T000000Z`";
            self.require(is_moment(moment), &at("snapshot"), moment, wanted);
        }
        let Some(ami) = &base.ami else { return };
        if base.image.is_some() {
            self.wrong(&at("ami"), "a base begins with an `image` or with an `ami`", None);
        }
        let ways = [ami.id.is_some(), ami.name.is_some(), ami.ssm.is_some()];
        if ways.iter().filter(|way| **way).count() != 1 {
            let message = "[base.ami] needs exactly one of `id`, `ssm`, and `name` with `owner`";
            self.wrong(&at("ami"), message, None);
        } else if ami.name.is_some() && ami.owner.is_none() {
            let hint = "anybody may give an AMI any name: say whose is meant, as `amazon`";
            self.wrong(&at("ami"), "`name` needs the `owner` of the AMI", Some(hint.to_owned()));
        }
    }

    /// Modes are octal for everybody who thinks of them; TOML takes `644` for another number.
    fn modes(&mut self) {
        for section in ["directory", "file", "fetch", "test"] {
            let mut n = 0;
            while self.document.get(&entry(section, n, "mode")[..2]).is_some() {
                let path = entry(section, n, "mode");
                n += 1;
                let Some(node) = self.document.get(&path) else { continue };
                let Some(integer) = node.get_ref().as_integer() else { continue };
                let mode =
                    u32::from_str_radix(integer.as_str(), integer.radix()).unwrap_or(u32::MAX);
                if integer.radix() == 10 && mode != 0 {
                    let hint = format!("write it in octal: 0o{}", integer.as_str());
                    self.wrong(&path, "this mode is a decimal number", Some(hint));
                } else if mode > 0o7777 {
                    self.wrong(&path, format!("there is no mode 0o{mode:o}"), None);
                }
            }
        }
    }

    /// Two entries about one thing undo each other.
    fn twice(&mut self) {
        for (section, key) in NAMED {
            let mut seen: Vec<(String, When, usize)> = Vec::new();
            let mut n = 0;
            while self.document.get(&entry(section, n, key)[..2]).is_some() {
                let path = entry(section, n, key);
                n += 1;
                let Some(name) = self.document.text(&path) else { continue };
                let name = name.to_owned();
                let when = self.when(section, n - 1);
                let twin = seen.iter().find(|(other, at, _)| *other == name && at.meets(&when));
                if let Some((.., first)) = twin {
                    let line = self.document.place(&entry(section, *first, key)).line;
                    let message =
                        format!("[[{section}]] {name} is there twice, first in line {line}");
                    let hint = "say it once, or give each a `when` that excludes the other";
                    self.wrong(&path, message, Some(hint.to_owned()));
                }
                seen.push((name, when, n - 1));
            }
        }
    }

    fn when(&self, section: &str, n: usize) -> When {
        use serde::Deserialize as _;
        let node = self.document.get(&entry(section, n, "when"));
        let when =
            node.map(|node| When::deserialize(toml::de::ValueDeserializer::from(node.clone())));
        when.and_then(Result::ok).unwrap_or_default()
    }
}
