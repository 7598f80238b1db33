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
    /// The lock of a recipe: in the folder of its project, however it is named. That is the folder
    /// that holds `image-recipes/`, or the one of a recipe file that lies elsewhere.
    pub fn of(recipe: &str) -> anyhow::Result<Self> {
        let path = absolute(Utf8Path::new(recipe))?;
        let folder = path.parent().unwrap_or(Utf8Path::new("/"));
        let is_file = path.extension() == Some("toml");
        let inside = is_file && folder.file_name() == Some("image-recipes");
        let project = folder.parent().filter(|_| inside).unwrap_or(folder);
        // What is no file is a name, and those are looked up from the current folder.
        let project = if is_file { project.to_owned() } else { absolute(Utf8Path::new("."))? };
        Ok(Self(project.join(FILE)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_has_one_lock_however_it_is_named() {
        let here = absolute(Utf8Path::new(FILE)).unwrap();
        let of = |recipe: &str| LockFile::of(recipe).unwrap().0;
        for recipe in ["mine", "image-recipes/mine.toml", "./image-recipes/mine.toml", "mine.toml"]
        {
            assert_eq!(of(recipe), here, "{recipe}");
        }
        assert_eq!(of("/srv/ci/image-recipes/mine.toml"), "/srv/ci/hostkit.lock");
        assert_eq!(of("/srv/ci/mine.toml"), "/srv/ci/hostkit.lock");
    }
}
