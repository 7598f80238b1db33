//! Brings a URL onto this machine. What arrives is not verified: that is the caller's first duty.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use camino::Utf8PathBuf;

use super::Site;
use crate::error::Fault;
use crate::sys::{Cmd, Tool};

/// How long a download may take.
const TIMEOUT: Duration = Duration::from_mins(15);

/// A file that arrived. It goes when this goes.
#[derive(Debug)]
pub(super) struct Arrived {
    /// Where it is, in a folder of its own.
    pub(super) path: Utf8PathBuf,
    _directory: tempfile::TempDir,
}

/// Brings a URL here. Only `https:` and `file:`, and only `https:` after a redirect.
pub(super) async fn download(site: &Site<'_>, url: &str) -> anyhow::Result<Arrived> {
    download_with(site, url, &BTreeMap::new()).await
}

/// As [`download`], with headers whose values may be references to secrets.
pub(super) async fn download_with(
    site: &Site<'_>,
    url: &str,
    headers: &BTreeMap<String, String>,
) -> anyhow::Result<Arrived> {
    let directory = site.host.scratch().context("making a folder for what arrives")?;
    let path = Utf8PathBuf::from_path_buf(directory.path().join("arrived"))
        .map_err(|path| anyhow::anyhow!("{} is not UTF-8", path.display()))?;
    let mut cmd = Cmd::new(Tool::Curl)
        .args(["--fail", "--silent", "--show-error"])
        .args(["--proto", "=https,file", "--proto-redir", "=https"])
        .args(["--connect-timeout", "20", "--retry", "3", "--retry-connrefused"])
        .args(["--output", path.as_str()])
        .timeout(TIMEOUT);
    if headers.keys().all(|name| stays_home(name)) {
        cmd = cmd.arg("--location");
    }
    if !headers.is_empty() {
        // On its standard input: arguments are for every user of the machine to read.
        cmd = cmd.args(["--config", "-"]).stdin(config(headers, site)?);
    }
    let end = site.host.outside.run(&cmd.args(["--", url])).await;
    end.with_context(|| Fault::step(format!("{url} could not be fetched")))?;
    Ok(Arrived { path, _directory: directory })
}

/// Whether curl keeps this header from another host that it is sent on to. With any other, it is
/// not sent on.
fn stays_home(header: &str) -> bool {
    ["authorization", "cookie"].contains(&header.to_ascii_lowercase().as_str())
}

/// The headers as a configuration of curl.
fn config(headers: &BTreeMap<String, String>, site: &Site<'_>) -> anyhow::Result<String> {
    let mut text = String::new();
    for (name, value) in headers {
        let value = site.secrets.resolve(value).with_context(|| {
            Fault::recipe(format!("the header {name} is a secret that nobody gave"))
        })?;
        anyhow::ensure!(!value.contains(['\n', '\r']), "the header {name} has two lines");
        let header = format!("{name}: {value}").replace('\\', "\\\\").replace('"', "\\\"");
        text += &format!("header = \"{header}\"\n");
    }
    Ok(text)
}
