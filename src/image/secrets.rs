//! Looks for the values of secret variables in what a bake made: trees, layers, packed disks.
//!
//! A plan holds no value, but a script that is given one can write it anywhere. It is looked for
//! as it is, in Base64 (both alphabets, at each of the three alignments), in hexadecimal, as part
//! of a URL and as part of a JSON text; with or without the white space at its ends, and line by
//! line if it has several. Base64 may be broken into lines of 64 letters or more. What is
//! compressed or encrypted is not looked into. Changes nothing.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use aho_corasick::{AhoCorasick, MatchKind};
use anyhow::Context as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use camino::Utf8Path;
use nix::unistd::{Whence, lseek};

use crate::error::Fault;
use crate::secret::Secrets;

/// How much of a file is looked at in one go, in bytes.
const WINDOW: usize = 1 << 20;

/// A part of a value that is looked for on its own has this many bytes at least: fewer could be
/// anything.
const SHORTEST: usize = 16;

/// How long the pieces of Base64 are of which one lies in a line as a whole.
const PIECE: usize = 20;

/// Where a value was found. It names the variable and never holds the value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The file, as it is called in the tree.
    pub path: String,
    /// The variable.
    pub variable: String,
    /// How the value is written there.
    pub form: &'static str,
}

/// Everything below `root` that holds a value: files, and the names and targets of links.
pub fn search_tree(root: &Utf8Path, secrets: &Secrets) -> anyhow::Result<Vec<Finding>> {
    let Some(needles) = Needles::of(secrets)? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(root) {
        let entry = entry.context("walking the tree")?;
        let path = entry.path();
        let shown = || shown(root, path);
        found.extend(
            needles.in_bytes(entry.file_name().as_bytes()).map(|at| needles.finding(at, shown())),
        );
        if entry.file_type().is_symlink() {
            let target = std::fs::read_link(path).with_context(|| path.display().to_string())?;
            let bytes = target.as_os_str().as_bytes();
            found.extend(needles.in_bytes(bytes).map(|at| needles.finding(at, shown())));
        } else if entry.file_type().is_file() {
            files.push(path.to_owned());
        }
    }
    found.extend(in_files(&files, root, &needles)?);
    Ok(in_order(found))
}

/// Whether one file holds a value, for instance a packed disk; holes are skipped.
pub fn search_file(path: &Utf8Path, secrets: &Secrets) -> anyhow::Result<Vec<Finding>> {
    let Some(needles) = Needles::of(secrets)? else { return Ok(Vec::new()) };
    let name = path.file_name().unwrap_or_default();
    let hits = needles.in_file(path.as_std_path(), &mut Vec::new())?;
    Ok(in_order(hits.into_iter().map(|hit| needles.finding(hit, name.to_owned())).collect()))
}

/// Fails where anything was found, and names `place`, file and variable.
pub fn refuse(place: &str, found: &[Finding]) -> anyhow::Result<()> {
    if found.is_empty() {
        return Ok(());
    }
    let mut text = format!("hygiene: the value of a secret variable stands in {place}");
    for Finding { path, variable, form } in found {
        text += &format!("\n{path}: `{variable}`, {form}");
    }
    let hint = "a script that is given it must not write it to a file; what it installs may";
    Err(Fault::step(text)
        .hint(format!("{hint} have kept it (a log, a cache, a settings file)"))
        .into())
}

/// Looks into files with all processors.
fn in_files(files: &[PathBuf], root: &Utf8Path, needles: &Needles) -> anyhow::Result<Vec<Finding>> {
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    let work = || -> anyhow::Result<()> {
        let mut buffer = Vec::new();
        while let Some(file) = files.get(next.fetch_add(1, Ordering::Relaxed)) {
            let hits = needles.in_file(file, &mut buffer)?;
            let mut found = found.lock().expect("nobody panics while holding it");
            found.extend(hits.into_iter().map(|hit| needles.finding(hit, shown(root, file))));
        }
        Ok(())
    };
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().expect("searching does not panic"))
    })?;
    Ok(found.into_inner().expect("nobody panicked while holding it"))
}

fn in_order(found: Vec<Finding>) -> Vec<Finding> {
    found.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}

/// A path as it is in the tree.
fn shown(root: &Utf8Path, path: &Path) -> String {
    let path = path.strip_prefix(root).unwrap_or(path);
    format!("/{}", path.display())
}

/// The values in all their forms.
struct Needles {
    automaton: AhoCorasick,
    /// The variable and the form of each pattern.
    meanings: Vec<(String, &'static str)>,
    longest: usize,
}

impl Needles {
    /// None if there is nothing to look for.
    fn of(secrets: &Secrets) -> anyhow::Result<Option<Self>> {
        let (mut patterns, mut meanings) = (Vec::new(), Vec::new());
        // `$(…)` in a shell takes the last newline away, and so do many programs.
        let values = secrets.iter().map(|(name, value)| (name, value.trim()));
        for (name, value) in values.filter(|(_, value)| !value.is_empty()) {
            for (form, pattern) in forms(value) {
                if !patterns.contains(&pattern) {
                    patterns.push(pattern);
                    meanings.push((name.to_owned(), form));
                }
            }
        }
        if patterns.is_empty() {
            return Ok(None);
        }
        let longest = patterns.iter().map(Vec::len).max().unwrap_or_default();
        let mut automaton = AhoCorasick::builder();
        let automaton = automaton
            .match_kind(MatchKind::LeftmostFirst)
            .build(&patterns)
            .context("preparing the search for secrets")?;
        Ok(Some(Self { automaton, meanings, longest }))
    }

    fn finding(&self, hit: usize, path: String) -> Finding {
        let (variable, form) = self.meanings[hit].clone();
        Finding { path, variable, form }
    }

    fn in_bytes<'a>(&'a self, bytes: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
        self.automaton.find_iter(bytes).map(|found| found.pattern().as_usize())
    }

    /// The patterns that a file holds. `buffer` is kept from file to file.
    fn in_file(&self, path: &Path, buffer: &mut Vec<u8>) -> anyhow::Result<BTreeSet<usize>> {
        let named = || path.display().to_string();
        let file = File::open(path).with_context(named)?;
        buffer.resize(WINDOW.max(2 * self.longest), 0);
        let mut hits = BTreeSet::new();
        let mut at = 0;
        // Past the last data there is only a hole, and the seek says ENXIO.
        while let Ok(data) = lseek(&file, at, Whence::SeekData) {
            let hole = lseek(&file, data, Whence::SeekHole).with_context(named)?;
            self.in_range(&file, data.cast_unsigned()..hole.cast_unsigned(), buffer, &mut hits)
                .with_context(named)?;
            at = hole;
        }
        Ok(hits)
    }

    fn in_range(
        &self,
        file: &File,
        range: std::ops::Range<u64>,
        buffer: &mut [u8],
        hits: &mut BTreeSet<usize>,
    ) -> std::io::Result<()> {
        let mut at = range.start;
        // What could be the beginning of a value is looked at again with what follows.
        let mut kept = 0;
        while at < range.end {
            let room = buffer.len() - kept;
            let wanted = usize::try_from(range.end - at).map_or(room, |left| left.min(room));
            let read = file.read_at(&mut buffer[kept..kept + wanted], at)?;
            if read == 0 {
                break;
            }
            let filled = kept + read;
            hits.extend(self.in_bytes(&buffer[..filled]));
            at += read as u64;
            kept = filled.min(self.longest - 1);
            buffer.copy_within(filled - kept..filled, 0);
        }
        Ok(())
    }
}

/// A value as it could be written.
fn forms(value: &str) -> Vec<(&'static str, Vec<u8>)> {
    let mut forms = vec![("as it is", value.as_bytes().to_vec())];
    for skipped in 0..3 {
        forms.push(("in Base64", base64_core(&STANDARD_NO_PAD, value, skipped)));
        forms.push(("in Base64", base64_core(&URL_SAFE_NO_PAD, value, skipped)));
        let core = base64_core(&STANDARD_NO_PAD, body(value), skipped);
        forms.extend(broken(&core).into_iter().map(|piece| ("in Base64", piece)));
        let core = base64_core(&URL_SAFE_NO_PAD, body(value), skipped);
        forms.extend(broken(&core).into_iter().map(|piece| ("in Base64", piece)));
    }
    let lines = body(value).lines().map(str::trim).filter(|line| line.len() >= SHORTEST);
    forms.extend(lines.map(|line| ("as it is", line.as_bytes().to_vec())));
    let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    forms.push(("in hexadecimal", hex.to_uppercase().into_bytes()));
    forms.push(("in hexadecimal", hex.into_bytes()));
    let url = form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>();
    forms.push(("in a URL", url.replace('+', "%20").into_bytes()));
    forms.push(("in a URL", url.into_bytes()));
    let json = serde_json::Value::from(value).to_string();
    forms.push(("in JSON", json.as_bytes()[1..json.len() - 1].to_vec()));
    forms
}

/// What is between the borders of a PEM block; all of any other value. All keys have the borders.
fn body(value: &str) -> &str {
    let begin = value.find("-----\n").map(|at| at + "-----\n".len());
    match (begin, value.rfind("\n-----END")) {
        (Some(begin), Some(end)) if begin < end => &value[begin..end],
        _ => value,
    }
}

/// What to look for where Base64 is broken into lines. Of a long text, pieces: each line of 64
/// letters or more has one of them as a whole. Of a short one, all ways to break it.
fn broken(core: &[u8]) -> Vec<Vec<u8>> {
    if core.len() >= 2 * SHORTEST {
        let piece = PIECE.min(core.len() / 2);
        return core.chunks_exact(piece).map(<[u8]>::to_vec).collect();
    }
    let at = 1..core.len();
    at.map(|at| [&core[..at], b"\n", &core[at..]].concat()).collect()
}

/// The letters that stand for the value alone when `skipped` bytes come before it: those at both
/// ends hold bits of its neighbours.
fn base64_core(engine: &impl base64::Engine, value: &str, skipped: usize) -> Vec<u8> {
    let mut bytes = vec![0; skipped];
    bytes.extend(value.as_bytes());
    let text = engine.encode(&bytes);
    let first = (skipped * 8).div_ceil(6);
    let last = bytes.len() * 8 / 6;
    text.as_bytes()[first..last].to_vec()
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;

    use super::*;

    const VALUE: &str = "s3cr3t-töken/4711?x";

    fn secrets() -> Secrets {
        let mut secrets = Secrets::default();
        secrets.insert("token", VALUE.into());
        secrets.insert("other", "never-to-be-found".into());
        secrets
    }

    fn found(bytes: &[u8]) -> Vec<Finding> {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap();
        std::fs::create_dir(root.join("etc")).unwrap();
        std::fs::write(root.join("etc/x"), bytes).unwrap();
        search_tree(root, &secrets()).unwrap()
    }

    fn finding(form: &'static str) -> Vec<Finding> {
        vec![Finding { path: "/etc/x".into(), variable: "token".into(), form }]
    }

    #[test]
    fn a_value_is_found_in_every_form() {
        assert_eq!(found(format!("T={VALUE}\n").as_bytes()), finding("as it is"));
        let base64 = base64::engine::general_purpose::STANDARD;
        let url = base64::engine::general_purpose::URL_SAFE;
        for before in ["", "x", "xy", "user:", "some words "] {
            let text = format!("{before}{VALUE} and more");
            assert_eq!(found(base64.encode(&text).as_bytes()), finding("in Base64"), "{before}");
            assert_eq!(found(url.encode(&text).as_bytes()), finding("in Base64"), "{before}");
        }
        let hex: String = VALUE.bytes().map(|byte| format!("{byte:02X}")).collect();
        assert_eq!(found(hex.as_bytes()), finding("in hexadecimal"));
        let query = "https://x/?t=s3cr3t-t%C3%B6ken%2F4711%3Fx";
        assert_eq!(found(query.as_bytes()), finding("in a URL"));
        assert_eq!(found(b"nothing of the kind"), []);
    }

    #[test]
    fn a_value_is_found_broken_into_lines_and_without_its_ends() {
        let search = |value: &str, bytes: &str| {
            let dir = tempfile::tempdir().unwrap();
            let root = Utf8Path::from_path(dir.path()).unwrap();
            let mut secrets = Secrets::default();
            secrets.insert("token", value.to_owned());
            std::fs::write(root.join("x"), bytes).unwrap();
            search_tree(root, &secrets).unwrap().len()
        };
        assert_eq!(search("with-newline-4711\n", "with-newline-4711"), 1);
        assert_eq!(search("  \n", "x  \n\n  y"), 0);
        let line = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ";
        let pem = |line: &str| {
            format!("-----BEGIN PRIVATE KEY-----\n{line}\n-----END PRIVATE KEY-----\n")
        };
        assert_eq!(search(&pem(line), &format!("\"{line}\"")), 1);
        assert_eq!(search(&pem(line), &pem("another")), 0);

        let base64 = base64::engine::general_purpose::STANDARD;
        for length in [8, 17, 23, 24, 30, 47, 56, 200] {
            let value: String = crate::digest::sha256(length.to_string()).repeat(4);
            let value = &value[..length];
            for before in 0..90 {
                let text = base64.encode(format!("{}{value} tail", "x".repeat(before)));
                for width in [64, 76] {
                    let lines: Vec<_> = text.as_bytes().chunks(width).collect();
                    let text = String::from_utf8(lines.join(&b'\n')).unwrap();
                    assert_eq!(search(value, &text), 1, "{length} after {before} in {width}");
                }
            }
        }
    }

    #[test]
    fn a_value_is_found_where_two_windows_meet_and_behind_a_hole() {
        let mut bytes = vec![b'x'; WINDOW - 7];
        bytes.extend(VALUE.as_bytes());
        assert_eq!(found(&bytes), finding("as it is"));

        let dir = tempfile::tempdir().unwrap();
        let disk = Utf8Path::from_path(dir.path()).unwrap().join("disk.raw");
        let file = File::create(&disk).unwrap();
        file.set_len(1 << 30).unwrap();
        file.write_all_at(VALUE.as_bytes(), 700 << 20).unwrap();
        let found = search_file(&disk, &secrets()).unwrap();
        assert_eq!(found[0].path, "disk.raw");
    }

    #[test]
    fn names_and_links_are_looked_at_and_links_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap();
        let mut secrets = Secrets::default();
        secrets.insert("word", "open-sesame".into());
        std::fs::write(root.join("for open-sesame.txt"), "").unwrap();
        std::os::unix::fs::symlink("/x/open-sesame", root.join("link")).unwrap();
        let paths: Vec<_> =
            search_tree(root, &secrets).unwrap().into_iter().map(|found| found.path).collect();
        assert_eq!(paths, ["/for open-sesame.txt", "/link"]);
    }

    #[test]
    fn the_error_names_file_and_variable_and_not_the_value() {
        let found = found(VALUE.as_bytes());
        let error = format!("{:?}", refuse("the image", &found).unwrap_err());
        assert!(error.contains("/etc/x: `token`, as it is"), "{error}");
        assert!(!error.contains("s3cr3t"));
        assert!(refuse("the image", &[]).is_ok());
    }
}
