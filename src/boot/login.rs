//! The public keys of the instance's EC2 key pair, for the person who logs in.
//!
//! They get a file of their own, which sshd reads beside the user's; what the user put into
//! `~/.ssh` is not touched, and an empty set never replaces a good one.

use std::sync::Arc;

use anyhow::Context as _;

use super::context::Context;
use crate::aws::imds::Imds;
use crate::event::Outcome;
use crate::sys::atomic;

const STEP: &str = "login";

const KINDS: &[&str] = &[
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let known = context.must_know();
    let mut lines = Vec::new();
    for line in offered(&known.imds).await?.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if is_key(line) {
            lines.push(line.to_owned());
        } else {
            context.events.log(STEP, "a line of the key pair is not a public key; left out");
        }
    }
    if lines.is_empty() {
        return Ok(Outcome::Skipped("the instance has no key pair".to_owned()));
    }
    let directory = context.machine.path("etc/ssh/authorized_keys.d");
    atomic::make_directory(&directory, 0o755).with_context(|| format!("making {directory}"))?;
    let path = directory.join(&context.config().login.user);
    let text = lines.join("\n") + "\n";
    let changed =
        atomic::write(&path, text.as_bytes(), 0o644).with_context(|| format!("writing {path}"))?;
    Ok(Outcome::changed(changed))
}

/// Everything that the metadata service offers, one key a line.
async fn offered(imds: &Imds) -> anyhow::Result<String> {
    let list = imds.get("/latest/meta-data/public-keys/", |_| {}).await?.unwrap_or_default();
    let mut all = String::new();
    // `0=name`, one a line.
    for index in list.lines().filter_map(|line| line.split('=').next()?.trim().parse::<u16>().ok())
    {
        let path = format!("/latest/meta-data/public-keys/{index}/openssh-key");
        all += &imds.get(&path, |_| {}).await?.unwrap_or_default();
        all.push('\n');
    }
    Ok(all)
}

/// `kind base64 comment`, without options: those could run commands.
fn is_key(line: &str) -> bool {
    let mut words = line.split_ascii_whitespace();
    let (Some(kind), Some(blob)) = (words.next(), words.next()) else { return false };
    let base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    KINDS.contains(&kind)
        && blob.len() >= 40
        && blob.starts_with("AAAA")
        && blob.chars().all(base64)
        && !line.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0m9w0Vd6b0oQ0sYb1tq1m8m2Yx3o8xq5dQ0r3m9Zc1 admin";

    #[test]
    fn only_plain_public_keys_are_let_in() {
        assert!(is_key(KEY));
        for bad in [
            &format!("command=\"/bin/sh\" {KEY}"),
            "ssh-dss AAAAB3NzaC1kc3MAAACBAJ0m9w0Vd6b0oQ0sYb1tq1m8m2Yx3o8xq5dQ",
            "ssh-ed25519 short",
            "<html>not found</html>",
            "",
        ] {
            assert!(!is_key(bad), "{bad}");
        }
    }
}
