//! A file from elsewhere: what arrives is verified, and what is not right never gets in.

use std::time::Duration;

use anyhow::Context as _;
use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use super::Site;
use super::file::make_parents;
use crate::digest::{sha256, sha256_of};
use crate::error::Fault;
use crate::event::Outcome;
use crate::sys::{Cmd, Host, Owner, Tool};

/// How long a download may take.
const TIMEOUT: Duration = Duration::from_mins(15);

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fetch {
    /// Where it is: `https:` or `file:`.
    pub url: String,
    /// The SHA-256 of what must arrive, lower case.
    pub sha256: String,
    /// Where it goes.
    pub path: String,
    /// Its mode.
    pub mode: u32,
}

impl Fetch {
    pub(super) fn title(&self) -> String {
        format!("fetching {}", self.url)
    }

    pub(super) async fn apply(&self, site: &Site<'_>) -> anyhow::Result<Outcome> {
        let root = &site.host.root;
        let there = root.read(&self.path)?.is_some_and(|now| sha256(&now) == self.sha256);
        if there && root.mode(&self.path)? == Some(self.mode) {
            return Ok(Outcome::Unchanged);
        }
        let arrived = download(site.host, &self.url).await?;
        let got = sha256_of(&arrived.path).context("reading what arrived")?;
        if got != self.sha256 {
            return Err(Fault::step(format!("what came from {} is not what is pinned", self.url))
                .hint(format!("wanted sha256 {}, got {got}", self.sha256))
                .into());
        }
        make_parents(root, &self.path)?;
        root.copy_in(&arrived.path, &self.path, self.mode, Owner::ROOT)?;
        Ok(Outcome::Changed)
    }
}

/// A file that arrived. It goes when this goes.
#[derive(Debug)]
pub(super) struct Arrived {
    /// Where it is, in a folder of its own.
    pub(super) path: Utf8PathBuf,
    _directory: tempfile::TempDir,
}

/// Brings a URL onto this machine, unverified. Only `https:` and `file:`, also after redirects.
pub(super) async fn download(host: &Host, url: &str) -> anyhow::Result<Arrived> {
    let directory = host.scratch().context("making a folder for what arrives")?;
    let path = Utf8PathBuf::from_path_buf(directory.path().join("arrived"))
        .map_err(|path| anyhow::anyhow!("{} is not UTF-8", path.display()))?;
    let cmd = Cmd::new(Tool::Curl)
        .args(["--fail", "--silent", "--show-error", "--location"])
        .args(["--proto", "=https,file", "--proto-redir", "=https"])
        .args(["--connect-timeout", "20", "--retry", "3", "--retry-connrefused"])
        .args(["--output", path.as_str(), "--", url])
        .timeout(TIMEOUT);
    host.outside
        .run(&cmd)
        .await
        .with_context(|| Fault::step(format!("{url} could not be fetched")))?;
    Ok(Arrived { path, _directory: directory })
}
