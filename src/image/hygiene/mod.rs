//! What must not be in an image: identities, credentials, logs, leftovers.
//!
//! Done offline on a tree, where nothing runs that would write it again, and then asserted: an
//! image that still has one of these is not made. What it looks for is the table in [`canon`];
//! [`assert`] proves it. Cleaning a clean tree changes nothing.
//!
//! What packages leave behind is removed. What a recipe itself puts there is refused, because
//! removing it in silence would make an image that is not what its recipe says.

pub mod assert;
pub mod canon;
mod glob;
mod settings;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};

use self::canon::{Action, CANON, Kind, Rule};
use crate::digest::sha256;
use crate::error::Fault;
use crate::plan::Plan;
use crate::step::Step;
use crate::sys::{Owner, Root};

/// How many violations an error names.
const SHOWN: usize = 20;

/// What helps where a recipe puts what no image may hold.
pub const AT_BOOT: &str = "what is the same in every instance, or is lost at boot, is made at boot";

/// What is known of a tree before it is cleaned.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// What the recipe puts, by path.
    puts: BTreeSet<String>,
    /// Directories that must be empty, because something is mounted there at boot.
    mount_points: Vec<String>,
    /// Directories with what scripts and files put, laid over what packages did.
    ours: Vec<Utf8PathBuf>,
    /// The identities that packages had made, before the recipe's own files came.
    made: Option<Identities>,
}

/// What makes a host this host, by path, with a digest of each: see [`identities`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identities(BTreeMap<String, String>);

/// Something that must not be in the image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// Where it is.
    pub path: String,
    /// Why it may not be there.
    pub why: String,
}

impl Terms {
    /// The terms of a plan. Fails where the plan itself puts what no image may hold.
    pub fn of(plan: &Plan) -> anyhow::Result<Self> {
        let refused = refused(plan);
        if !refused.is_empty() {
            let what = told("hygiene: the recipe puts what no image may hold", &refused);
            return Err(Fault::recipe(what).hint(AT_BOOT).into());
        }
        let puts = plan.steps.iter().filter_map(|planned| target(&planned.step));
        Ok(Self { puts: puts.map(|(path, _)| path.to_owned()).collect(), ..Self::default() })
    }

    /// Adds directories that must be empty, because something is mounted there at boot.
    #[must_use]
    pub fn mount_points(mut self, paths: impl IntoIterator<Item = String>) -> Self {
        self.mount_points.extend(paths);
        self
    }

    /// Adds directories with what scripts and files put: the upper ones of an overlay. Private keys
    /// are looked for in all of it, also where else packages' own things are.
    #[must_use]
    pub fn ours(mut self, uppers: impl IntoIterator<Item = Utf8PathBuf>) -> Self {
        self.ours.extend(uppers);
        self
    }

    /// From here on an identity that is not in `made` was put by the recipe and is refused.
    /// Without this, all are removed.
    #[must_use]
    pub fn made(mut self, made: Identities) -> Self {
        self.made = Some(made);
        self
    }

    /// What becomes of something that a rule found.
    fn verdict(&self, rule: &Rule, root: &Root, path: &str) -> anyhow::Result<Verdict> {
        Ok(match (rule.kind, &self.made) {
            // A link says nothing of the machine that it was made on.
            (Kind::Machine, _) if self.puts.contains(path) || is_link(root, path)? => Verdict::Keep,
            (Kind::Credential, _) => Verdict::Refuse,
            (Kind::Identity, Some(made)) if matches!(rule.action, Action::Clear(_)) => {
                let now = fingerprint(root, path)?;
                let cleared = now == sha256("");
                if cleared || made.0.get(path) == Some(&now) {
                    Verdict::Clean
                } else {
                    Verdict::Refuse
                }
            }
            (Kind::Identity, Some(made)) if made.0.get(path) != Some(&fingerprint(root, path)?) => {
                Verdict::Refuse
            }
            _ => Verdict::Clean,
        })
    }
}

/// What becomes of something that a rule found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Keep,
    Clean,
    Refuse,
}

/// The identities in a tree: what packages made, where it is asked before the recipe's own files
/// are put.
pub fn identities(root: &Root) -> anyhow::Result<Identities> {
    let mut found = BTreeMap::new();
    for rule in CANON.iter().filter(|rule| rule.kind == Kind::Identity) {
        for path in glob::expand(root, rule.path)? {
            let digest = fingerprint(root, &path)?;
            found.insert(path, digest);
        }
    }
    Ok(Identities(found))
}

/// Cleans a tree and then proves that it is clean.
pub fn clean(root: &Root, terms: &Terms) -> anyhow::Result<()> {
    let mut refused = Vec::new();
    for rule in CANON.iter().filter(|rule| rule.path.starts_with('/')) {
        for path in glob::expand(root, rule.path)? {
            match terms.verdict(rule, root, &path)? {
                Verdict::Keep => {}
                Verdict::Refuse => refused.push(Violation { path, why: rule.why.to_owned() }),
                Verdict::Clean => {
                    act(root, rule.action, &path).with_context(|| format!("cleaning {path}"))?;
                }
            }
        }
    }
    if !root.exists("/etc/machine-id")? && root.exists("/etc")? {
        act(root, Action::Clear(0o444), "/etc/machine-id")
            .context("making an empty /etc/machine-id")?;
    }
    refused.extend(assert::look(root, terms)?);
    refused.sort();
    refused.dedup();
    fail_if_any(&refused)
}

/// Proves that a tree is clean, and cleans nothing of it but what may be anywhere.
pub fn prove(root: &Root, terms: &Terms) -> anyhow::Result<()> {
    fail_if_any(&assert::look(root, terms)?)
}

fn act(root: &Root, action: Action, path: &str) -> std::io::Result<()> {
    match action {
        Action::Remove => root.remove_all(path).map(drop),
        Action::Empty => root.empty_dir(path),
        Action::EmptyFiles => remove_files(root, Utf8Path::new(path)),
        Action::Clear(mode) => root.write(path, b"", mode, Owner::ROOT).map(drop),
    }
}

/// Removes every file below a directory and keeps the directories.
fn remove_files(root: &Root, folder: &Utf8Path) -> std::io::Result<()> {
    for name in root.list(folder)? {
        let path = folder.join(name);
        match root.metadata(&path)? {
            Some(meta) if meta.is_dir() => remove_files(root, &path)?,
            _ => drop(root.remove(&path)?),
        }
    }
    Ok(())
}

fn fail_if_any(violations: &[Violation]) -> anyhow::Result<()> {
    if violations.is_empty() {
        return Ok(());
    }
    let text = told("hygiene: the image would hold what no image may hold", violations);
    let hint = "take out what puts it there: the recipe's files and scripts, or the base";
    Err(Fault::step(text).hint(hint).into())
}

fn told(what: &str, violations: &[Violation]) -> String {
    let mut text = what.to_owned();
    for Violation { path, why } in violations.iter().take(SHOWN) {
        text += &format!("\n{path}: {why}");
    }
    if violations.len() > SHOWN {
        text += &format!("\nand {} more", violations.len() - SHOWN);
    }
    text
}

/// What a plan itself puts and no image may hold.
pub fn refused(plan: &Plan) -> Vec<Violation> {
    let targets = plan.steps.iter().filter_map(|planned| target(&planned.step));
    let violation = |(path, is_directory): (&str, bool)| {
        let why = forbids(path, is_directory)?.why.to_owned();
        Some(Violation { path: path.to_owned(), why })
    };
    targets.filter_map(violation).collect()
}

/// The rule by which nothing may stand at `path`, whatever the tree has there.
fn forbids(path: &str, is_directory: bool) -> Option<&'static Rule> {
    CANON.iter().filter(|rule| rule.kind != Kind::Machine).find(|rule| match rule.action {
        Action::Remove | Action::Clear(_) => glob::matches(rule.path, path, true),
        Action::Empty => glob::is_below(rule.path, path),
        Action::EmptyFiles => !is_directory && glob::is_below(rule.path, path),
    })
}

/// What a step puts at a path, and whether that is a directory.
fn target(step: &Step) -> Option<(&str, bool)> {
    match step {
        Step::File(file) => Some((&file.path, false)),
        Step::Link(link) => Some((&link.path, false)),
        Step::Fetch(fetch) => Some((&fetch.path, fetch.unpack.is_some())),
        Step::Directory(directory) => Some((&directory.path, true)),
        _ => None,
    }
}

fn is_link(root: &Root, path: &str) -> std::io::Result<bool> {
    Ok(root.metadata(path)?.is_some_and(|meta| meta.is_symlink()))
}

/// A digest of what is at `path`. Only files have content that says whose they are.
fn fingerprint(root: &Root, path: &str) -> anyhow::Result<String> {
    let is_file = root.metadata(path)?.is_some_and(|meta| meta.is_file());
    let bytes = if is_file { root.read(path)? } else { None };
    Ok(bytes.map_or_else(String::new, sha256))
}

#[cfg(test)]
mod tests;
