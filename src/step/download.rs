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
        // First: nobody's ~/.curlrc has a say. A bracket in a URL is a bracket.
        .args(["--disable", "--globoff", "--fail", "--silent", "--show-error"])
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::event::Events;
    use crate::secret::Secrets;
    use crate::step::Mode;
    use crate::sys::runner::Script;
    use crate::sys::{Host, Root};

    /// What curl is called with for these headers.
    async fn call(headers: &[(&str, &str)]) -> Cmd {
        let seen = Arc::new(Mutex::new(None));
        let write = Arc::clone(&seen);
        let (runner, _) = Script::default()
            .on("curl", move |cmd| {
                *write.lock().unwrap() = Some(cmd.clone());
                Ok(String::new())
            })
            .runner();
        let folder = tempfile::tempdir().unwrap();
        let root = Root::open(camino::Utf8Path::from_path(folder.path()).unwrap()).unwrap();
        let host = Host { outside: runner, ..Host::folder(root) };
        let mut secrets = Secrets::default();
        secrets.insert("token", "a \"quoted\" \\ value".into());
        let events = Events::silent();
        let (mode, diff) = (Mode::Apply, false);
        let site = Site { host: &host, events: &events, secrets: &secrets, id: "x", mode, diff };
        let headers = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        download_with(&site, "https://example.com/x", &headers).await.unwrap();
        seen.lock().unwrap().take().unwrap()
    }

    #[tokio::test]
    async fn a_secret_header_is_in_no_argument() {
        let cmd = call(&[("Authorization", "secret:token")]).await;
        assert!(!cmd.to_string().contains("quoted"), "{cmd}");
        let config = String::from_utf8(cmd.stdin.clone().unwrap()).unwrap();
        assert_eq!(config, "header = \"Authorization: a \\\"quoted\\\" \\\\ value\"\n");
        assert!(cmd.args.contains(&"--location".to_owned()));
    }

    #[tokio::test]
    async fn a_header_that_curl_would_send_on_to_another_host_is_not_sent_on() {
        let cmd = call(&[("X-Token", "secret:token"), ("Accept", "*/*")]).await;
        assert!(!cmd.args.contains(&"--location".to_owned()), "{cmd}");
        let plain = call(&[]).await;
        assert_eq!(plain.stdin, None);
        assert_eq!(plain.args[..2], ["--disable", "--globoff"]);
    }
}
