//! The account's state in a folder: `account.json`, whole or not there, and a lock.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use camino::Utf8Path;
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};

use super::account::Account;
use super::endpoint::{Shared, with};
use super::instance::Credentials;
use super::region::Region;
use crate::error::Fault;
use crate::sys::atomic;

/// The version of the form.
const VERSION: u32 = 1;

/// What is written down.
#[derive(Serialize)]
struct Kept<'a> {
    version: u32,
    operator: &'a Option<Credentials>,
    regions: &'a BTreeMap<String, Region>,
}

/// What is read again.
#[derive(Deserialize)]
struct Found {
    version: u32,
    operator: Option<Credentials>,
    regions: BTreeMap<String, Region>,
}

/// Keeps an account's state. Only one can keep it in one folder.
#[derive(Debug)]
pub struct Keeper {
    file: PathBuf,
    _lock: Flock<File>,
}

impl Keeper {
    /// Takes the folder.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let fault = || Fault::usage(format!("{} cannot keep the account", folder.display()));
        let mut options = OpenOptions::new();
        let lock = options.create(true).truncate(false).write(true).mode(0o600);
        let lock = lock.open(folder.join("lock")).with_context(fault)?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| {
            anyhow::Error::new(error)
                .context(Fault::usage(format!("another process has {} open", folder.display())))
        })?;
        Ok(Self { file: folder.join("account.json"), _lock: lock })
    }

    /// Puts what was kept into `account`.
    pub fn load(&self, account: &mut Account) -> anyhow::Result<()> {
        let text = match std::fs::read(&self.file) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            text => text.with_context(|| format!("reading {}", self.file.display()))?,
        };
        let fault = || Fault::usage(format!("{} is no state of an account", self.file.display()));
        let found: Found = serde_json::from_slice(&text).with_context(fault)?;
        if found.version != VERSION {
            anyhow::bail!(fault().hint("another version of hostkit wrote it"));
        }
        (account.operator, account.regions) = (found.operator, found.regions);
        Ok(())
    }

    /// Writes it down. Only the account's owner may read it: there are keys in it.
    pub fn save(&self, account: &Shared) -> anyhow::Result<()> {
        let text = with(account, |account| {
            let (operator, regions) = (&account.operator, &account.regions);
            serde_json::to_vec(&Kept { version: VERSION, operator, regions })
        });
        let text = text.context("writing down the account")?;
        let file = Utf8Path::from_path(&self.file).context("the folder's name is not UTF-8")?;
        atomic::write(file, &text, 0o600).with_context(|| format!("writing {file}"))?;
        Ok(())
    }
}
