//! Passwords in settings, known by a line and not by a name: in URLs, in variables, of networks,
//! of root. Looked for in the few places where people write them, never in comments. Changes
//! nothing.

use super::{Violation, glob};
use crate::sys::Root;

/// Settings are small; a larger file is something else. In bytes.
const LARGEST: u64 = 1 << 20;

/// Where settings are that may name a server with a password, or set a variable for everybody.
const FILES: &[&str] = &[
    "/etc/pip.conf",
    "/etc/xdg/pip/pip.conf",
    "/root/.pip/pip.conf",
    "/root/.config/pip/pip.conf",
    "/home/*/.pip/pip.conf",
    "/home/*/.config/pip/pip.conf",
    "/etc/apt/apt.conf",
    "/etc/apt/apt.conf.d/*",
    "/etc/apt/sources.list",
    "/etc/apt/sources.list.d/*",
    "/etc/dnf/dnf.conf",
    "/etc/yum.conf",
    "/etc/yum.repos.d/*",
    "/etc/environment",
    "/etc/environment.d/*",
    "/etc/profile",
    "/etc/profile.d/*",
    "/etc/bash.bashrc",
    "/etc/default/*",
    "/etc/sysconfig/*",
    "/etc/systemd/system/*",
    "/etc/systemd/system/*/*",
    "/etc/gitconfig",
    "/root/.*rc",
    "/root/.profile",
    "/root/.gitconfig",
    "/home/*/.*rc",
    "/home/*/.profile",
    "/home/*/.gitconfig",
    "/etc/wgetrc",
    "/etc/curlrc",
];

/// Where `NetworkManager` keeps how to get into networks.
const NETWORKS: &str = "/etc/NetworkManager/system-connections/*";

/// The variables whose value opens an account.
const VARIABLES: &[&str] = &["AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];

/// What `NetworkManager` calls a password.
const PASSWORDS: &[&str] =
    &["psk", "password", "private-key-password", "leap-password", "wep-key0", "wep-key1"];

/// The passwords that stand in the settings of a tree.
pub(super) fn look(root: &Root, found: &mut Vec<Violation>) -> anyhow::Result<()> {
    let mut refuse = |path: String, why: &str| {
        found.push(Violation { path, why: why.to_owned() });
    };
    if root.read_text("/etc/shadow")?.as_deref().is_some_and(lets_root_in) {
        let why = "root would have the same password in every instance: `*` or `!` locks it";
        refuse("/etc/shadow".to_owned(), why);
    }
    for pattern in FILES {
        for (path, text) in files(root, pattern)? {
            if lines(&text).any(|line| password_in_url(line).is_some()) {
                refuse(path, "a URL with a password");
            } else if lines(&text).any(sets_credential) {
                refuse(path, "a credential in a variable");
            }
        }
    }
    for (path, text) in files(root, NETWORKS)? {
        if lines(&text).any(is_password_of_network) {
            refuse(path, "the password of a network");
        }
    }
    Ok(())
}

/// The plain files that a pattern names, with their text.
fn files(root: &Root, pattern: &str) -> anyhow::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for path in glob::expand(root, pattern)? {
        let meta = root.metadata(&path)?;
        if meta.is_some_and(|meta| meta.is_file() && meta.len() <= LARGEST) {
            let text = root.read_text(&path)?.unwrap_or_default();
            files.push((path, text));
        }
    }
    Ok(files)
}

/// What is no comment.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let comment = |line: &&str| !["#", ";", "//"].iter().any(|mark| line.starts_with(mark));
    text.lines().map(str::trim).filter(comment)
}

/// An account without a password is open to everybody; `*` and `!` fit none.
fn lets_root_in(shadow: &str) -> bool {
    let root = shadow.lines().find_map(|line| line.strip_prefix("root:"));
    let password = root.and_then(|rest| rest.split(':').next());
    password.is_some_and(|password| !password.starts_with(['*', '!']))
}

/// The password of `scheme://user:password@server`. What a shell or a template fills in is none.
fn password_in_url(line: &str) -> Option<&str> {
    line.match_indices("://").find_map(|(at, mark)| {
        let rest = &line[at + mark.len()..];
        let end = rest.find(|c: char| c.is_whitespace() || "/\"';,".contains(c));
        let (user, _) = rest[..end.unwrap_or(rest.len())].rsplit_once('@')?;
        let (_, password) = user.split_once(':')?;
        is_value(password).then_some(password)
    })
}

fn sets_credential(line: &str) -> bool {
    VARIABLES.iter().any(|name| {
        let value = line.find(name).and_then(|at| line[at + name.len()..].strip_prefix('='));
        value.is_some_and(is_value)
    })
}

fn is_password_of_network(line: &str) -> bool {
    let value = line.split_once('=').filter(|(key, _)| PASSWORDS.contains(&key.trim()));
    value.is_some_and(|(_, value)| is_value(value))
}

/// Whether it is written out.
fn is_value(text: &str) -> bool {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '"' || c == '\'');
    !text.is_empty() && !text.starts_with(['$', '<', '%', '{'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_told_from_what_only_looks_like_one() {
        for line in ["url = https://ci:s3cret@x/simple", "Proxy \"http://u:p@ss@proxy:3128\";"] {
            assert!(password_in_url(line).is_some(), "{line}");
        }
        for line in [
            "deb https://deb.debian.org/debian trixie main",
            "http://proxy:3128/a@b",
            "https://user@host/x:y",
            "url=https://ci:$TOKEN@x",
        ] {
            assert_eq!(password_in_url(line), None, "{line}");
        }
        assert!(sets_credential("export AWS_SECRET_ACCESS_KEY='wJalr'"));
        assert!(!sets_credential("export AWS_SECRET_ACCESS_KEY=\"$key\""));
        assert!(!sets_credential("unset AWS_SECRET_ACCESS_KEY"));
        assert!(is_password_of_network("psk=hunter2") && !is_password_of_network("psk-flags=1"));
        assert_eq!(lines("# http://u:p@x\n; a\nb").collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn only_a_locked_root_is_right() {
        for (password, open) in [("*", false), ("!", false), ("!$y$x", false), ("", true)] {
            assert_eq!(lets_root_in(&format!("root:{password}:20000::\n")), open, "{password}");
        }
        assert!(lets_root_in("bin:*:1\nroot:$y$j9T$x:20000\n"));
        assert!(!lets_root_in("nobody::1\n"));
    }
}
