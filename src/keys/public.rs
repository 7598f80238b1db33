//! What counts as a public key of SSH, and its fingerprint.
//!
//! One line, `kind base64 comment`, without options: those could run commands. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// The kinds that sshd takes today, and how many fields each has after its name; `ssh-dss` is none of
/// them.
const KINDS: &[(&str, usize)] = &[
    (ED25519, 1),
    ("ssh-rsa", 2),
    ("ecdsa-sha2-nistp256", 2),
    ("ecdsa-sha2-nistp384", 2),
    ("ecdsa-sha2-nistp521", 2),
    ("sk-ssh-ed25519@openssh.com", 2),
    ("sk-ecdsa-sha2-nistp256@openssh.com", 3),
];

/// The kind of key that hostkit makes.
pub const ED25519: &str = "ssh-ed25519";

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    kind: &'static str,
    blob: Vec<u8>,
    comment: String,
}

/// Why a line is not a public key that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Wrong {
    /// It is longer than a key can be, or has characters that none has.
    #[error("it is no public key")]
    NoKey,
    /// A part of a private one.
    #[error("it is a part of a private key")]
    Private,
    /// Something that sshd would obey stands before the key.
    #[error("options stand before the key; hostkit gives its own")]
    Options,
    /// Of a kind that sshd does not take any more, or not yet.
    #[error("sshd does not take a key of this kind")]
    Kind,
    /// What follows the kind is not such a key: cut off, or of another kind.
    #[error("the key is not whole, or not of the kind that stands before it")]
    Broken,
}

impl PublicKey {
    /// The key of a line. The key itself must say that it is of the kind that stands before it.
    pub fn parse(line: &str) -> Result<Self, Wrong> {
        let line = line.trim();
        if line.contains("PRIVATE KEY") {
            return Err(Wrong::Private);
        }
        if line.contains(char::is_control) {
            return Err(Wrong::NoKey);
        }
        let mut words = line.splitn(3, [' ', '\t']);
        let (kind, blob) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let Some((kind, _)) = KINDS.iter().find(|(known, _)| *known == kind) else {
            return Err(not_a_kind(line, kind));
        };
        let key = STANDARD.decode(blob).ok().and_then(Self::of_blob).ok_or(Wrong::Broken)?;
        if key.kind != *kind {
            return Err(Wrong::Broken);
        }
        Ok(Self { comment: words.next().unwrap_or_default().trim().to_owned(), ..key })
    }

    /// A key as it is sent over the wire. None where it is not whole, or of no kind that is taken.
    #[expect(clippy::needless_pass_by_value, reason = "a step in chains of options")]
    pub fn of_blob(blob: Vec<u8>) -> Option<Self> {
        let (name, mut rest) = field(&blob)?;
        let (kind, fields) = KINDS.iter().find(|(kind, _)| kind.as_bytes() == name)?;
        let mut first = None;
        for _ in 0..*fields {
            let (value, after) = field(rest)?;
            first = first.or(Some(value));
            rest = after;
        }
        let right = *kind != ED25519 || first.is_some_and(|key| key.len() == 32);
        let whole = rest.is_empty() && right;
        whole.then(|| Self { kind, blob: blob.clone(), comment: String::new() })
    }

    /// Its kind.
    pub const fn kind(&self) -> &'static str {
        self.kind
    }

    /// What its owner wrote behind it.
    pub fn comment(&self) -> &str {
        &self.comment
    }

    /// The same key with another comment.
    #[must_use]
    pub fn with_comment(self, comment: impl Into<String>) -> Self {
        Self { comment: comment.into(), ..self }
    }

    /// Whether both are the same key, whatever is written behind them.
    pub fn is(&self, other: &Self) -> bool {
        self.blob == other.blob
    }

    /// As `ssh-keygen -l` prints it: `SHA256:…`.
    pub fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(&self.blob)))
    }

    /// Kind and key, without the comment: the same key has the same text.
    pub fn bare(&self) -> String {
        format!("{} {}", self.kind, STANDARD.encode(&self.blob))
    }

    /// The whole line, without its end.
    pub fn line(&self) -> String {
        let space = if self.comment.is_empty() { "" } else { " " };
        format!("{}{space}{}", self.bare(), self.comment)
    }
}

/// The first length-prefixed field, and what follows.
pub(super) fn field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

fn not_a_kind(line: &str, first: &str) -> Wrong {
    let has_key =
        line.split([' ', '\t']).skip(1).any(|it| KINDS.iter().any(|(kind, _)| *kind == it));
    if has_key {
        Wrong::Options
    } else if first.starts_with("ssh-") || first.starts_with("ecdsa-") || first.starts_with("sk-") {
        Wrong::Kind
    } else {
        Wrong::NoKey
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0m9w0Vd6b0oQ0sYb1tq1m8m2Yx3o8xq5dQ0r3m9Zc1 admin";

    #[test]
    fn only_plain_public_keys_are_taken() {
        assert_eq!(PublicKey::parse(KEY).unwrap().line(), KEY);
        let blob = KEY.split(' ').nth(1).unwrap();
        for (bad, wrong) in [
            (&*format!("command=\"/bin/sh\" {KEY}"), Wrong::Options),
            (&*format!("restrict {KEY}"), Wrong::Options),
            (&*format!("ssh-rsa {blob}"), Wrong::Broken),
            (&KEY[..60], Wrong::Broken),
            (&*format!("ssh-ed25519 {blob}AAAA"), Wrong::Broken),
            (&*format!("{KEY}\u{7}"), Wrong::NoKey),
            ("ssh-dss AAAAB3NzaC1kc3MAAACBAJ0m9w0Vd6b0oQ0sYb1tq1m8m2Yx3o8xq5dQ", Wrong::Kind),
            ("ssh-ed25519 short", Wrong::Broken),
            ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", Wrong::Broken),
            ("-----BEGIN OPENSSH PRIVATE KEY-----", Wrong::Private),
            ("<html>not found</html>", Wrong::NoKey),
            ("", Wrong::NoKey),
        ] {
            assert_eq!(PublicKey::parse(bad), Err(wrong), "{bad}");
        }
    }

    #[test]
    fn a_key_is_the_same_whatever_is_written_behind_it() {
        let (one, other) = (PublicKey::parse(KEY).unwrap(), KEY.replace("admin", "b c"));
        let other = PublicKey::parse(&other).unwrap();
        assert!(one.is(&other) && one != other && other.comment() == "b c");
        // As `ssh-keygen -l` says it.
        assert_eq!(one.fingerprint().len(), 50);
        assert!(one.fingerprint().starts_with("SHA256:"));
    }
}
