//! Where `hostkit.lock` is, and how it is read and written. What stands in it: [`crate::plan::lock`].

use std::fs::File;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use nix::fcntl::{Flock, FlockArg};

use super::which::absolute;
use crate::error::Fault;
use crate::plan::Plan;
use crate::plan::lock::{FILE, Image, Lock};
use crate::sys::atomic;

/// The lock of a recipe.
#[derive(Debug)]
pub struct LockFile(Utf8PathBuf);

impl LockFile {
    /// The lock of a recipe: beside a recipe that is given as a file, else in the current folder.
    pub fn of(recipe: &str) -> anyhow::Result<Self> {
        let path = Utf8Path::new(recipe);
        let folder = path.parent().filter(|_| path.extension() == Some("toml"));
        Ok(Self(absolute(&folder.unwrap_or(Utf8Path::new("")).join(FILE))?))
    }

    /// What is in it; nothing if it is not there.
    pub fn read(&self) -> anyhow::Result<Lock> {
        match std::fs::read_to_string(&self.0) {
            Ok(text) => Lock::parse(&text, FILE),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Lock::default()),
            Err(error) => {
                Err(error).with_context(|| Fault::environment(format!("{} cannot be read", self.0)))
            }
        }
    }

    /// Keeps the entry of one image. The file is read again, with its folder locked: another bake
    /// may write its own at the same moment.
    pub fn keep(&self, entry: &Image) -> anyhow::Result<()> {
        let folder = File::open(self.0.parent().unwrap_or(Utf8Path::new("/")));
        let folder = folder.with_context(|| format!("opening the folder of {}", self.0))?;
        let _turn = Flock::lock(folder, FlockArg::LockExclusive).map_err(|(_, errno)| errno)?;
        let mut lock = self.read()?;
        lock.set(entry.clone());
        let written = atomic::write(&self.0, lock.text().as_bytes(), 0o644);
        written.map(drop).with_context(|| {
            Fault::environment(format!("{} cannot be written", self.0))
                .hint("the image is made; without the lock the next one may have other packages")
        })
    }

    /// Why `--locked` refuses.
    pub fn lacks(&self, plan: &Plan) -> Fault {
        let Plan { recipe, target, base, .. } = plan;
        let arch = base.arch;
        Fault::recipe(format!("{} has no entry for {recipe} ({arch}, {target})", self.0))
            .hint("bake it once without --locked, and keep the lock with the recipe")
    }
}
