//! The two keys of one build: the one that lets us in, and the one that the builder shows us. They
//! live in a folder that nobody else reads, and go with it.

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::sys::{Cmd, Runner, Tool};

const LOGIN: &str = "login";
const HOST: &str = "host";

/// See the module.
#[derive(Debug)]
pub(super) struct Keys {
    folder: TempDir,
    /// The public half of what lets us in, in OpenSSH's form.
    pub login_public: String,
    /// The public half of what the builder is to show.
    pub host_public: String,
}

impl Keys {
    /// Makes both.
    pub(super) async fn make(build: &str) -> anyhow::Result<Self> {
        // Made with the mode 0700.
        let folder = tempfile::Builder::new().prefix("hostkit-keys-").tempdir();
        let folder = folder.context("making a folder for the keys of the build")?;
        let place = Utf8Path::from_path(folder.path()).context("the folder is not UTF-8")?;
        let login_public = pair(place, LOGIN, &format!("hostkit-{build}")).await?;
        let host_public = pair(place, HOST, &format!("hostkit-{build}-host")).await?;
        Ok(Self { folder, login_public, host_public })
    }

    /// The file of the private key that lets us in.
    pub(super) fn identity(&self) -> Utf8PathBuf {
        self.file(LOGIN)
    }

    /// The text of the private key that the builder is to have.
    pub(super) fn host_private(&self) -> anyhow::Result<Zeroizing<String>> {
        let text = std::fs::read_to_string(self.file(HOST)).context("reading the host key")?;
        Ok(Zeroizing::new(text))
    }

    /// The file of host keys that are taken for the builder's.
    pub(super) fn known_hosts(&self) -> Utf8PathBuf {
        self.file("known_hosts")
    }

    /// Takes these public keys for those of `alias`, and no others.
    pub(super) fn vouch(&self, alias: &str, keys: &[String]) -> anyhow::Result<()> {
        let lines: String = keys.iter().map(|key| format!("{alias} {}\n", bare(key))).collect();
        std::fs::write(self.known_hosts(), lines).context("writing the known host keys")
    }

    fn file(&self, name: &str) -> Utf8PathBuf {
        let folder = Utf8Path::from_path(self.folder.path()).expect("looked at when it was made");
        folder.join(name)
    }
}

/// A public key without its comment.
pub(super) fn bare(key: &str) -> String {
    key.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

async fn pair(folder: &Utf8Path, name: &str, comment: &str) -> anyhow::Result<String> {
    let file = folder.join(name);
    let words = ["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", file.as_str()];
    let made = Runner::Direct.run(&Cmd::new(Tool::SshKeygen).args(words)).await;
    made.context("making a key")?;
    let public = std::fs::read_to_string(folder.join(format!("{name}.pub")));
    Ok(public.context("reading a public key")?.trim().to_owned())
}
