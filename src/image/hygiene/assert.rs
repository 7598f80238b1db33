//! Proves that a tree is clean: by the canon, by name in one walk over everything, and by content
//! where configuration lives. Changes only what the canon says of things that may be anywhere.

use std::fs::{DirEntry, File};
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;

use super::canon::{Action, CANON, Kind, Rule};
use super::{Terms, Verdict, Violation, act, glob, settings};
use crate::sys::Root;

/// Private keys are small; a file that is larger is read as far as this, in bytes.
const KEY_FILE: u64 = 256 << 10;

/// Where private keys are looked for is everywhere but here: what packages bring is the same for
/// everybody, and is large.
const PACKAGED: &[&str] = &["usr", "boot", "var/lib/dpkg", "var/lib/rpm"];

/// Below these there is what people put, whatever is above them.
const OURS: &[&str] = &["usr/local", "usr/share/hostkit"];

/// What is still there and must not be.
pub(super) fn look(root: &Root, terms: &Terms) -> anyhow::Result<Vec<Violation>> {
    let mut found = Vec::new();
    anchored(root, terms, &mut found)?;
    settings::look(root, &mut found)?;
    for path in &terms.mount_points {
        let why = "something is mounted over it at boot: it must be an empty directory";
        for name in root.list(path)? {
            found.push(Violation { path: format!("{path}/{name}"), why: why.to_owned() });
        }
    }
    let mut walk = Walk { root, terms, found, path: String::new() };
    let top = root.path().as_std_path();
    walk.folder(top, false).context("walking the tree")?;
    Ok(walk.found)
}

/// What the canon says of fixed places, asked again after the cleaning.
fn anchored(root: &Root, terms: &Terms, found: &mut Vec<Violation>) -> anyhow::Result<()> {
    for rule in CANON.iter().filter(|rule| rule.path.starts_with('/')) {
        for path in glob::expand(root, rule.path)? {
            if terms.verdict(rule, root, &path)? == Verdict::Keep {
                continue;
            }
            let mut left = Vec::new();
            match rule.action {
                Action::Remove => left.push(path),
                Action::Empty => {
                    left.extend(root.list(&path)?.iter().map(|name| format!("{path}/{name}")));
                }
                Action::EmptyFiles => files_below(root, &path, &mut left)?,
                Action::Clear(_) if root.read(&path)?.is_none_or(|bytes| !bytes.is_empty()) => {
                    left.push(path);
                }
                Action::Clear(_) => {}
            }
            let why = rule.why.to_owned();
            found.extend(left.into_iter().map(|path| Violation { path, why: why.clone() }));
        }
    }
    Ok(())
}

fn files_below(root: &Root, folder: &str, files: &mut Vec<String>) -> anyhow::Result<()> {
    for name in root.list(folder)? {
        let path = format!("{folder}/{name}");
        match root.metadata(&path)? {
            Some(meta) if meta.is_dir() => files_below(root, &path, files)?,
            _ => files.push(path),
        }
    }
    Ok(())
}

/// One walk over everything. Links are not followed.
struct Walk<'a> {
    root: &'a Root,
    terms: &'a Terms,
    found: Vec<Violation>,
    /// Where it is, in the tree, without the first slash.
    path: String,
}

impl Walk<'_> {
    /// `packaged` says that what is here comes from packages and is not looked into.
    fn folder(&mut self, folder: &Path, packaged: bool) -> anyhow::Result<()> {
        for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            let length = self.path.len();
            if length > 0 {
                self.path.push('/');
            }
            self.path.push_str(&entry.file_name().to_string_lossy());
            self.entry(&entry, packaged)?;
            self.path.truncate(length);
        }
        Ok(())
    }

    fn entry(&mut self, entry: &DirEntry, packaged: bool) -> anyhow::Result<()> {
        if let Some(rule) = anywhere(&self.path)
            && !self.resolve(rule)?
        {
            return Ok(());
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            let here = self.path.as_str();
            let packaged = (packaged || PACKAGED.contains(&here)) && !OURS.contains(&here);
            return self.folder(&entry.path(), packaged);
        }
        if !kind.is_file() {
            return Ok(());
        }
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if may_be_core(&name) && is_core(&entry.path())? {
            self.refuse("the memory of a program that crashed");
        } else if (!packaged || self.is_ours()) && holds_private_key(&entry.path())? {
            self.refuse("a private key");
        }
        Ok(())
    }

    /// Whether a script or a file of the recipe put it there, wherever that is.
    fn is_ours(&self) -> bool {
        self.terms.ours.iter().any(|upper| upper.join(&self.path).symlink_metadata().is_ok())
    }

    /// Does what a rule says of something that was found on the way. Says whether it is still
    /// there and may be.
    fn resolve(&mut self, rule: &Rule) -> anyhow::Result<bool> {
        let path = format!("/{}", self.path);
        match self.terms.verdict(rule, self.root, &path)? {
            Verdict::Keep => return Ok(true),
            Verdict::Refuse => self.refuse(rule.why),
            Verdict::Clean => {
                act(self.root, rule.action, &path).with_context(|| format!("cleaning {path}"))?;
                if self.root.exists(&path)? {
                    self.refuse(rule.why);
                }
            }
        }
        Ok(false)
    }

    fn refuse(&mut self, why: &str) {
        self.found.push(Violation { path: format!("/{}", self.path), why: why.to_owned() });
    }
}

/// The rule for something that may be anywhere.
fn anywhere(path: &str) -> Option<&'static Rule> {
    // Most names begin with neither: this is asked of every file of the tree.
    let name = path.rsplit('/').next().unwrap_or(path);
    CANON
        .iter()
        .filter(|rule| rule.kind != Kind::Identity)
        .filter_map(|rule| rule.path.strip_prefix("**/").map(|pattern| (rule, pattern)))
        .filter(|(_, pattern)| {
            let last = pattern.rsplit('/').next().unwrap_or(pattern);
            glob::fits(last, name)
        })
        .find(|(rule, _)| glob::matches(rule.path, path, false))
        .map(|(rule, _)| rule)
}

fn may_be_core(name: &str) -> bool {
    let number = name.strip_prefix("core.");
    name == "core" || name == "vmcore" || number.is_some_and(|n| n.parse::<u32>().is_ok())
}

/// An ELF file whose type is 4.
fn is_core(path: &Path) -> anyhow::Result<bool> {
    let mut head = [0; 18];
    let read = File::open(path)?.read(&mut head)?;
    Ok(read == head.len() && head.starts_with(b"\x7fELF") && (head[16] == 4 || head[17] == 4))
}

fn holds_private_key(path: &Path) -> anyhow::Result<bool> {
    let mut bytes = Vec::new();
    let file = File::open(path).with_context(|| path.display().to_string())?;
    file.take(KEY_FILE).read_to_end(&mut bytes)?;
    Ok(is_private_key(&bytes))
}

/// Whether there is a private key, and not only talk about one: a marker at the beginning of a
/// line with something like base64 below it. Line ends may be escaped, as in JSON.
fn is_private_key(bytes: &[u8]) -> bool {
    const END: &[u8] = b"PRIVATE KEY";
    /// The shortest line of a key that is worth the name.
    const LINE: usize = 32;
    if bytes.starts_with(b"PuTTY-User-Key-File-") {
        return true;
    }
    let mut from = 0;
    while let Some(at) = find(&bytes[from..], END).map(|at| from + at) {
        from = at + END.len();
        let line = bytes[..at].iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1);
        let marked = find(&bytes[line..at], b"-----BEGIN ").is_some();
        let rest = &bytes[from..];
        let rest = rest.strip_prefix(b" BLOCK").unwrap_or(rest);
        let Some(rest) = rest.strip_prefix(b"-----") else { continue };
        // The headers of an old encrypted key come before its content.
        let rest = &rest[..rest.len().min(512)];
        let is_base64 = |b: &u8| b.is_ascii_alphanumeric() || b"+/=".contains(b);
        let long = |line: &[u8]| line.len() >= LINE && line.iter().all(is_base64);
        let mut lines = rest.split(|b| b"\r\n\\\"' ".contains(b));
        // An escaped line end leaves its `n` at the beginning of the next line.
        if marked && lines.any(|line| long(line) || long(line.strip_prefix(b"n").unwrap_or(line))) {
            return true;
        }
    }
    false
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW";

    #[test]
    fn a_private_key_is_known_by_its_content() {
        for text in [
            format!("-----BEGIN OPENSSH PRIVATE KEY-----\n{LINE}\n-----END"),
            format!("-----BEGIN PRIVATE KEY-----\r\n{LINE}\r\n"),
            format!(
                "Bag Attributes\n-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n{LINE}"
            ),
            format!("{{\"key\": \"-----BEGIN EC PRIVATE KEY-----\\n{LINE}\\n\"}}"),
            format!("-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n{LINE}\n"),
            format!("PuTTY-User-Key-File-3: ssh-ed25519\nPrivate-Lines: 1\n{LINE}\n"),
        ] {
            assert!(is_private_key(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn talk_about_private_keys_is_none() {
        for text in [
            "grep -l 'BEGIN RSA PRIVATE KEY' *",
            "a PEM file begins with -----BEGIN PRIVATE KEY-----\nand ends elsewhere",
            "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA\n",
            "",
        ] {
            assert!(!is_private_key(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn things_that_may_be_anywhere_are_found_by_their_names() {
        assert!(anywhere("srv/build/.netrc").is_some());
        assert!(anywhere("home/a/.aws/credentials").is_some());
        assert!(anywhere("usr/share/doc/credentials").is_none());
        assert!(anywhere("root/.bash_history").is_some());
    }
}
