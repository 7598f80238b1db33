//! The patterns of the canon: `*` within one name, and `**/` for any folder.

use std::io;

use camino::{Utf8Path, Utf8PathBuf};

use crate::sys::Root;

/// Everything in the tree that an anchored pattern names, sorted. Links are names like others.
pub(super) fn expand(root: &Root, pattern: &str) -> io::Result<Vec<String>> {
    let mut found = vec![Utf8PathBuf::from("/")];
    for part in pattern.trim_start_matches('/').split('/') {
        let mut next = Vec::new();
        for folder in &found {
            if part.contains('*') {
                let names = names(root, folder)?;
                let fitting = names.into_iter().filter(|name| fits(part, name));
                next.extend(fitting.map(|name| folder.join(name)));
            } else {
                next.push(folder.join(part));
            }
        }
        found = next;
    }
    let mut there = Vec::new();
    for path in found {
        if exists(root, &path)? {
            there.push(path.into_string());
        }
    }
    Ok(there)
}

/// What is below something that is no folder is not there.
fn names(root: &Root, folder: &Utf8Path) -> io::Result<Vec<String>> {
    or_nothing(root.list(folder)).map(Option::unwrap_or_default)
}

fn exists(root: &Root, path: &Utf8Path) -> io::Result<bool> {
    or_nothing(root.exists(path)).map(Option::unwrap_or_default)
}

fn or_nothing<T>(end: io::Result<T>) -> io::Result<Option<T>> {
    match end {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a pattern names `path`, or, `with_content`, something that it is below.
pub(super) fn matches(pattern: &str, path: &str, with_content: bool) -> bool {
    let path: Vec<_> = path.trim_matches('/').split('/').collect();
    let (anywhere, parts) = parts(pattern);
    let starts = if anywhere { 0..=path.len().saturating_sub(parts.len()) } else { 0..=0 };
    starts.into_iter().any(|from| {
        let rest = &path[from..];
        let long_enough =
            if with_content { rest.len() >= parts.len() } else { rest.len() == parts.len() };
        long_enough && parts.iter().zip(rest).all(|(part, name)| fits(part, name))
    })
}

/// Whether `path` is strictly below what an anchored pattern names.
pub(super) fn is_below(pattern: &str, path: &str) -> bool {
    let depth = parts(pattern).1.len();
    matches(pattern, path, true) && path.trim_matches('/').split('/').count() > depth
}

/// Whether a pattern is for any folder, and its names.
fn parts(pattern: &str) -> (bool, Vec<&str>) {
    match pattern.strip_prefix("**/") {
        Some(rest) => (true, rest.split('/').collect()),
        None => (false, pattern.trim_start_matches('/').split('/').collect()),
    }
}

/// Whether a name fits a pattern in which `*` stands for any part.
pub(super) fn fits(pattern: &str, name: &str) -> bool {
    let Some((head, mut tail)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut rest) = name.strip_prefix(head) else { return false };
    while let Some((middle, more)) = tail.split_once('*') {
        let Some(at) = rest.find(middle) else { return false };
        rest = &rest[at + middle.len()..];
        tail = more;
    }
    rest.len() >= tail.len() && rest.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_part_of_one_name() {
        for (pattern, name, does) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("ssh_host_*", "ssh_host_dsa_key.pub", true),
            ("dropbear_*_host_key", "dropbear_rsa_host_key", true),
            ("dropbear_*_host_key", "dropbear_host_key", false),
            ("a*a", "a", false),
            ("*-old", "templates.dat-old", true),
            ("*.lease*", "eth0.lease6", true),
        ] {
            assert_eq!(fits(pattern, name), does, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_names_things_by_their_whole_path() {
        assert!(matches("/etc/ssh/ssh_host_*", "/etc/ssh/ssh_host_rsa_key", false));
        assert!(!matches("/etc/ssh/ssh_host_*", "/x/etc/ssh/ssh_host_rsa_key", false));
        assert!(matches("**/.aws/credentials", "/srv/a/.aws/credentials", false));
        assert!(matches("**/.netrc", "/.netrc", false));
        assert!(!matches("**/.aws/credentials", "/credentials", false));
        assert!(matches("**/.azure", "/root/.azure/token", true));
        assert!(!matches("**/.azure", "/root/.azure/token", false));
        assert!(is_below("/tmp", "/tmp/a") && !is_below("/tmp", "/tmp"));
    }
}
