//! What counts as a public key of SSH.
//!
//! One line, `kind base64 comment`, without options: those could run commands.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The kinds that sshd takes today; `ssh-dss` is none of them.
const KINDS: &[&str] = &[
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// The shortest key there is, ed25519, has 51 bytes with its kind.
const SHORTEST: usize = 51;

/// Whether `line` is a public key. The key itself must say that it is of the kind that stands
/// before it.
pub(super) fn is_key(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace();
    let (Some(kind), Some(blob)) = (words.next(), words.next()) else { return false };
    if !KINDS.contains(&kind) || line.contains(char::is_control) {
        return false;
    }
    let Ok(bytes) = STANDARD.decode(blob) else { return false };
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else { return false };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    bytes.len() >= SHORTEST && rest.get(..length) == Some(kind.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0m9w0Vd6b0oQ0sYb1tq1m8m2Yx3o8xq5dQ0r3m9Zc1 admin";

    #[test]
    fn only_plain_public_keys_are_let_in() {
        assert!(is_key(KEY));
        let blob = KEY.split(' ').nth(1).unwrap();
        for bad in [
            &format!("command=\"/bin/sh\" {KEY}"),
            &format!("ssh-rsa {blob}"),
            &KEY[..60],
            &format!("{KEY}\u{7}"),
            "ssh-dss AAAAB3NzaC1kc3MAAACBAJ0m9w0Vd6b0oQ0sYb1tq1m8m2Yx3o8xq5dQ",
            "ssh-ed25519 short",
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5",
            "<html>not found</html>",
            "",
        ] {
            assert!(!is_key(bad), "{bad}");
        }
    }
}
