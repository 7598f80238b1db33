//! Makes key pairs, with OpenSSH's own program, in a folder in memory that is wiped.

use std::fs::{self, OpenOptions};
use std::io::Write as _;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::private::PrivateKey;
use super::public::PublicKey;
use crate::error::Fault;
use crate::sys::{Cmd, Runner, Tool};

/// Where files are only in memory, on Linux.
const MEMORY: &str = "/dev/shm";

/// What kind of key is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// The smallest and fastest; everything since 2014 takes it.
    #[default]
    Ed25519,
    /// On the curve P-256, where policies ask for one of NIST's.
    Ecdsa,
    /// RSA with 4096 bits, for what takes nothing else.
    Rsa,
}

/// Both halves.
#[derive(Debug)]
pub struct Pair {
    /// The private one.
    pub private: PrivateKey,
    /// The public one.
    pub public: PublicKey,
}

/// A folder of this user's, if possible in memory, whose files are wiped before they go.
struct Folder(TempDir);

impl Folder {
    fn make() -> anyhow::Result<Self> {
        // Made with the mode 0700.
        let mut folder = tempfile::Builder::new();
        folder.prefix("hostkit-keys-");
        let made = folder.tempdir_in(MEMORY).or_else(|_| folder.tempdir());
        Ok(Self(made.context("making a folder for the keys")?))
    }

    fn file(&self, name: &str) -> anyhow::Result<Utf8PathBuf> {
        let folder = Utf8Path::from_path(self.0.path()).context("the folder is not UTF-8")?;
        Ok(folder.join(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        for entry in fs::read_dir(self.0.path()).into_iter().flatten().flatten() {
            let length = entry.metadata().map_or(0, |meta| meta.len());
            let file = OpenOptions::new().write(true).open(entry.path());
            if let (Ok(mut file), Ok(length)) = (file, usize::try_from(length)) {
                // What cannot be overwritten still goes.
                let _ = file.write_all(&vec![0; length]);
                let _ = file.sync_all();
            }
        }
    }
}

/// Makes a pair without a passphrase.
pub async fn pair(kind: Kind, comment: &str) -> anyhow::Result<Pair> {
    Tool::require(&[Tool::SshKeygen])?;
    let folder = Folder::make()?;
    let file = folder.file("key")?;
    let words = match kind {
        Kind::Ed25519 => ["-t", "ed25519", "-b", "256"],
        Kind::Ecdsa => ["-t", "ecdsa", "-b", "256"],
        Kind::Rsa => ["-t", "rsa", "-b", "4096"],
    };
    let keygen = Cmd::new(Tool::SshKeygen).args(["-q", "-N", "", "-C", comment]).args(words);
    let keygen = keygen.args(["-f", file.as_str()]);
    Runner::Direct.run(&keygen).await.context("making a key pair")?;
    let text = Zeroizing::new(fs::read_to_string(&file).context("reading the private key")?);
    let private = PrivateKey::read(&text).context("reading the key that was made")?;
    let public = private.public().cloned().context("reading the key that was made")?;
    Ok(Pair { public: public.with_comment(comment), private })
}

/// The public half of a key of any form.
pub async fn half_of(private: &PrivateKey) -> anyhow::Result<PublicKey> {
    if let Some(public) = private.public() {
        return Ok(public.clone());
    }
    let folder = Folder::make()?;
    let file = folder.file("key")?;
    crate::sys::atomic::write(&file, private.text().as_bytes(), 0o600)
        .context("writing the key")?;
    let keygen = Cmd::new(Tool::SshKeygen).args(["-y", "-P", "", "-f", file.as_str()]);
    let said = Runner::Direct.run(&keygen).await.map_err(|error| {
        anyhow::Error::from(error).context(
            Fault::aws("the private key cannot be read")
                .hint("make it without a passphrase, and in a form that ssh-keygen reads"),
        )
    })?;
    PublicKey::parse(&said.text()).context("reading the public half")
}
