//! A file or an archive from elsewhere: what arrives is verified, and what is not right never
//! gets in.
//!
//! What was put there is recorded ([`record`]): a second apply does not fetch again what is still
//! as it was left.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

use anyhow::Context as _;
use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use super::download::{download, download_with};
use super::openpgp::{self, Key};
use super::record::{Record, Trace};
use super::{Site, unpack};
use crate::digest::{sha256, sha256_of};
use crate::error::Fault;
use crate::event::Outcome;
use crate::sys::Arrival;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fetch {
    /// Where it is: `https:` or `file:`.
    pub url: String,
    /// How what arrives is known to be right.
    pub proof: Proof,
    /// Where it goes.
    pub path: String,
    /// Its mode, or that of the folder that it is unpacked into.
    pub mode: u32,
    /// Its user.
    pub owner: String,
    /// Its group.
    pub group: String,
    /// It is an archive: so many leading parts of its paths are dropped.
    pub unpack: Option<u32>,
    /// Headers of the request; a value may be a reference to a secret.
    pub headers: BTreeMap<String, String>,
}

/// How a file is known to be the right one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Proof {
    /// By its SHA-256, lower case.
    Sha256(String),
    /// By a detached `OpenPGP` signature.
    Signature {
        /// Where the signature is.
        url: String,
        /// The key that must have made it.
        key: Key,
    },
}

impl Fetch {
    pub(super) fn title(&self) -> String {
        format!("fetching {}", self.url)
    }

    pub(super) async fn apply(&self, site: &Site<'_>) -> anyhow::Result<Outcome> {
        let record = Record::of("fetch", &self.path);
        if self.is_there(&record, site)? {
            return Ok(Outcome::Unchanged);
        }
        if site.may(&self.title()) {
            let trace = self.bring(site).await?;
            record.write(&self.wish(), &trace, site)?;
        }
        Ok(Outcome::Changed)
    }

    /// What is wanted, in one word: a record of something else counts for nothing.
    fn wish(&self) -> String {
        let Self { url, proof, mode, owner, group, unpack, .. } = self;
        sha256(serde_json::to_vec(&(url, proof, mode, owner, group, unpack)).expect("plain data"))
    }

    fn is_there(&self, record: &Record, site: &Site<'_>) -> anyhow::Result<bool> {
        if record.is_true(&self.wish(), site)? {
            return Ok(true);
        }
        // A file that somebody else put there is as good.
        let (Proof::Sha256(wanted), None) = (&self.proof, self.unpack) else { return Ok(false) };
        let root = &site.host.root;
        let owner = site.owner(&self.owner, &self.group)?;
        let Some(meta) = root.metadata(&self.path)?.filter(Metadata::is_file) else {
            return Ok(false);
        };
        let now = (meta.mode() & 0o7777, meta.uid(), meta.gid());
        // Larger than what should be kept in memory, often.
        Ok(now == (self.mode, owner.uid, owner.gid)
            && sha256_of(root.borrow(&self.path)?.path)? == *wanted)
    }

    /// Fetches, verifies and puts it there.
    async fn bring(&self, site: &Site<'_>) -> anyhow::Result<Trace> {
        match &self.proof {
            Proof::Sha256(wanted) => {
                let known = site.host.downloads.as_ref().and_then(|kept| kept.find(wanted));
                // The cache is a place on a disk like any other: what comes from it is proven too.
                if let Some(file) =
                    known.filter(|file| sha256_of(file).is_ok_and(|is| is == *wanted))
                {
                    return self.put(&file, site).await;
                }
                let arrived = download_with(site, &self.url, &self.headers).await?;
                self.compare(&arrived.path, wanted)?;
                if let Some(downloads) = &site.host.downloads {
                    downloads.keep(wanted, &arrived.path);
                }
                self.put(&arrived.path, site).await
            }
            Proof::Signature { url, key } => {
                let whose = format!("the signature of {}", self.url);
                let verified = key.verified(&whose, site).await?;
                let signature = download(site, url).await?;
                let arrived = download_with(site, &self.url, &self.headers).await?;
                let print = &key.fingerprint;
                openpgp::verify(&arrived.path, &signature.path, &verified, print, site)
                    .await
                    .with_context(|| {
                        Fault::step(format!("what came from {} is refused", self.url))
                            .hint(format!("pinned is the key {print}"))
                    })?;
                if let Some(downloads) = &site.host.downloads {
                    let sha256 = sha256_of(&arrived.path).context("reading what arrived")?;
                    downloads.announce(Arrival::File { path: &self.path, sha256: &sha256 })?;
                }
                self.put(&arrived.path, site).await
            }
        }
    }

    fn compare(&self, arrived: &Utf8Path, wanted: &str) -> anyhow::Result<()> {
        let got = sha256_of(arrived).context("reading what arrived")?;
        if got == wanted {
            return Ok(());
        }
        Err(Fault::step(format!("what came from {} is not what is pinned", self.url))
            .hint(format!("wanted sha256 {wanted}, got {got}"))
            .into())
    }

    async fn put(&self, file: &Utf8Path, site: &Site<'_>) -> anyhow::Result<Trace> {
        let root = &site.host.root;
        let owner = site.owner(&self.owner, &self.group)?;
        match self.unpack {
            None => {
                root.make_parents(&self.path)?;
                root.copy_in(file, &self.path, self.mode, owner)?;
                Trace::of(std::slice::from_ref(&self.path), site)
            }
            Some(strip) => {
                root.make_dir(&self.path, self.mode, owner)?;
                let paths = unpack::unpack(file, strip, &self.path, owner, site).await;
                let paths = paths.with_context(|| {
                    Fault::step(format!("what came from {} cannot be unpacked", self.url))
                })?;
                Trace::of(&paths, site)
            }
        }
    }
}
