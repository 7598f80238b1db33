//! What an image is, beside the image: `NAME.json`. Versioned.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::disk::Packed;
use super::disk_name;
use crate::error::Fault;
use crate::plan::{Base, Plan};

/// The version of the JSON form.
pub const VERSION: u32 = 1;

/// See the module.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// See [`VERSION`].
    pub version: u32,
    /// The recipe's name.
    pub recipe: String,
    /// The version of the image.
    pub image_version: String,
    /// The digest of the plan: the same digest is the same image.
    pub digest: String,
    /// What the tree started from.
    pub base: Base,
    /// When it was made, by the clock of the machine that made it.
    pub created: jiff::Timestamp,
    /// The hostkit that made it.
    pub hostkit: String,
    /// The disk.
    pub disk: Disk,
    /// The versions of all packages, by name.
    pub packages: BTreeMap<String, String>,
    /// The digest of every step of the plan by its id, to tell what changed since.
    #[serde(default)]
    pub steps: BTreeMap<String, String>,
    /// How long each phase took, in order.
    pub phases: Vec<Phase>,
}

/// A disk image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Its file name, beside the manifest.
    pub file: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// How much of that was not a hole when it was made, in bytes.
    pub allocated: u64,
    /// Its SHA-256.
    pub sha256: String,
}

/// How long a phase took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// The phase.
    pub name: String,
    /// Seconds.
    pub seconds: f64,
}

impl Manifest {
    pub(super) fn new(
        plan: &Plan,
        packages: BTreeMap<String, String>,
        packed: &Packed,
        phases: Vec<(String, f64)>,
    ) -> Self {
        Self {
            version: VERSION,
            recipe: plan.recipe.clone(),
            image_version: plan.image_version.clone(),
            digest: plan.digest.clone(),
            base: plan.base.clone(),
            created: jiff::Timestamp::now(),
            hostkit: env!("CARGO_PKG_VERSION").to_owned(),
            disk: Disk {
                file: disk_name(&plan.recipe),
                bytes: packed.bytes,
                allocated: packed.allocated,
                sha256: packed.sha256.clone(),
            },
            packages,
            steps: plan.step_digests(),
            phases: phases.into_iter().map(|(name, seconds)| Phase { name, seconds }).collect(),
        }
    }

    /// The manifest of a recipe's image in `folder`, if a readable one is there.
    pub fn read(folder: &Utf8Path, recipe: &str) -> Option<Self> {
        let text = std::fs::read(path(folder, recipe)).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

/// Puts the disk and its manifest into `folder`, in the place of the previous ones.
///
/// The disk is brought beside its place first, so that both change names within a moment. The
/// old manifest goes before the old disk: a manifest without its disk is never seen.
pub(super) async fn publish(
    manifest: &Manifest,
    disk: &Utf8Path,
    folder: &Utf8Path,
) -> anyhow::Result<Utf8PathBuf> {
    let place = folder.join(&manifest.disk.file);
    let beside = Beside::bring(disk, folder).await?;
    let mut file = tempfile::Builder::new().prefix(".hostkit-").tempfile_in(folder)?;
    serde_json::to_writer_pretty(&mut file, manifest).context("writing the manifest")?;
    file.write_all(b"\n")?;
    file.as_file().sync_all()?;
    let manifest_path = path(folder, &manifest.recipe);
    match std::fs::remove_file(&manifest_path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    beside.keep_as(&place)?;
    file.persist(&manifest_path).context("publishing the manifest")?;
    File::open(folder)?.sync_all().context("publishing the image")?;
    set_readable(&manifest_path)?;
    Ok(place)
}

fn path(folder: &Utf8Path, recipe: &str) -> Utf8PathBuf {
    folder.join(format!("{recipe}.json"))
}

fn set_readable(path: &Utf8Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))
}

/// A disk under a temporary name in the output folder. It goes unless it is kept.
struct Beside(Utf8PathBuf);

impl Beside {
    async fn bring(disk: &Utf8Path, folder: &Utf8Path) -> anyhow::Result<Self> {
        // A name that nobody can have planted; a killed bake leaves it, and it says what it is.
        let mut name = tempfile::Builder::new();
        let beside = name.prefix(".hostkit-").suffix(".raw.part").tempfile_in(folder);
        let beside = beside.context("making the disk in the output folder")?;
        let beside = Utf8PathBuf::from_path_buf(beside.into_temp_path().keep()?)
            .map_err(|path| anyhow::anyhow!("{} is not UTF-8", path.display()))?;
        let beside = Self(beside);
        match std::fs::rename(disk, &beside.0) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
                let (from, to) = (disk.to_owned(), beside.0.clone());
                tokio::task::spawn_blocking(move || copy_sparse(&from, &to)).await?.with_context(
                    || Fault::environment(format!("the disk cannot be copied to {folder}")),
                )?;
            }
            Err(error) => return Err(error).context("moving the disk"),
        }
        set_readable(&beside.0)?;
        Ok(beside)
    }

    fn keep_as(self, place: &Utf8Path) -> anyhow::Result<()> {
        std::fs::rename(&self.0, place).with_context(|| format!("publishing {place}"))?;
        std::mem::forget(self);
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Copies what is not a hole.
fn copy_sparse(from: &Utf8Path, to: &Utf8Path) -> std::io::Result<()> {
    use nix::unistd::{Whence, lseek};
    use std::os::unix::fs::FileExt as _;
    let (from, to) = (File::open(from)?, File::create(to)?);
    let len = from.metadata()?.len();
    to.set_len(len)?;
    let mut buffer = vec![0; 1 << 20];
    let mut at = 0i64;
    // Past the last data there is only a hole, and the seek says ENXIO.
    while let Ok(data) = lseek(&from, at, Whence::SeekData) {
        let hole = lseek(&from, data, Whence::SeekHole)?;
        let (mut data, hole) = (data.cast_unsigned(), hole.cast_unsigned());
        while data < hole {
            let n = buffer.len().min(usize::try_from(hole - data).unwrap_or(usize::MAX));
            from.read_exact_at(&mut buffer[..n], data)?;
            to.write_all_at(&buffer[..n], data)?;
            data += n as u64;
        }
        at = hole.cast_signed();
    }
    to.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{FileExt as _, MetadataExt as _};

    #[test]
    fn a_sparse_copy_is_equal_and_still_sparse() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let (from, to) = (dir.join("a"), dir.join("b"));
        let file = File::create(&from).unwrap();
        file.set_len(64 << 20).unwrap();
        file.write_all_at(b"begin", 0).unwrap();
        file.write_all_at(b"middle", 32 << 20).unwrap();
        copy_sparse(&from, &to).unwrap();
        assert_eq!(std::fs::read(&from).unwrap(), std::fs::read(&to).unwrap());
        assert!(std::fs::metadata(&to).unwrap().blocks() * 512 < 4 << 20);
    }
}
