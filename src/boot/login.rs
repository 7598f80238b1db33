//! The public keys of the instance's EC2 key pair, for the person who logs in.
//!
//! They get a file of their own, which sshd reads beside the user's; what the user put into
//! `~/.ssh` is not touched, and an empty set never replaces a good one. It waits for no right
//! configuration: who puts a wrong one right must get in.

use std::sync::Arc;

use anyhow::Context as _;

use super::authorize::FOLDER;
use super::context::Context;
use crate::aws::imds::Imds;
use crate::event::Outcome;
use crate::host;
use crate::keys::PublicKey;
use crate::sys::atomic;

const STEP: &str = "login";
const KEY: &str = "/2021-03-23/meta-data/public-keys/0/openssh-key";

pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let known = context.must_know();
    let mut lines = Vec::new();
    for line in offered(&known.imds).await?.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if PublicKey::parse(line).is_ok() {
            lines.push(line.to_owned());
        } else {
            context.events.log(STEP, "a line of the key pair is not a public key; left out");
        }
    }
    if lines.is_empty() {
        return Ok(Outcome::Skipped("the instance has no key pair".to_owned()));
    }
    let directory = context.machine.path(FOLDER);
    atomic::make_directory(&directory, 0o755).with_context(|| format!("making {directory}"))?;
    let layers = known.texts.layers(context.config_file.as_str());
    let path = directory.join(host::login_user(&layers));
    let text = lines.join("\n") + "\n";
    let changed =
        atomic::write(&path, text.as_bytes(), 0o644).with_context(|| format!("writing {path}"))?;
    Ok(Outcome::changed(changed))
}

/// What the metadata service offers, one key a line. An instance has one key pair at most, which is
/// the first of the list that there could be.
async fn offered(imds: &Imds) -> anyhow::Result<String> {
    Ok(imds.get(KEY, |_| {}).await?.unwrap_or_default())
}
