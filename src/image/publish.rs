//! A finished image takes the place of the previous one, in a moment and as a whole.
//!
//! Everything is brought beside its place first, so that all names change within a moment. The old
//! manifest goes before the old image, and the new one comes last: a manifest without its image is
//! never seen. What a bake that was killed left beside its place, the next bake of the image removes.

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use super::manifest::{self, Manifest};
use super::sparse::copy_sparse;
use crate::error::Fault;

/// A finished file or folder in the work folder, and what it is called in the output folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Where it is.
    pub from: Utf8PathBuf,
    /// Its name.
    pub name: String,
}

/// Removes what a killed bake of the image `stem` left in `folder`. The image must be claimed.
pub(super) fn sweep(folder: &Utf8Path, stem: &str) {
    for entry in folder.read_dir_utf8().into_iter().flatten().flatten() {
        if is_part_of(entry.file_name(), stem)
            && let Err(error) = remove(entry.path())
        {
            tracing::warn!(%error, path = %entry.path(), "what a killed bake left stays");
        }
    }
}

/// The names of what is not in its place yet: nobody can have planted them, and they say of which
/// image they are.
fn part_of(stem: &str) -> String {
    format!(".{stem}.part-")
}

/// Whether [`part_of`] an image gives such a name.
fn is_part_of(name: &str, stem: &str) -> bool {
    let end = name.strip_prefix(&part_of(stem));
    end.is_some_and(|end| end.chars().all(|c| c.is_ascii_alphanumeric()))
}

/// What a published image consists of, where it is.
pub(super) fn published(manifest: &Manifest, folder: &Utf8Path) -> Vec<Output> {
    let names = manifest.outputs().into_iter().filter(|name| is_plain(name));
    names.map(|name| Output { from: folder.join(name), name: name.to_owned() }).collect()
}

/// Puts an image and its manifest into `folder`.
pub(super) async fn publish(
    manifest: &Manifest,
    outputs: Vec<Output>,
    folder: &Utf8Path,
) -> anyhow::Result<()> {
    let (manifest, folder) = (manifest.clone(), folder.to_owned());
    tokio::task::spawn_blocking(move || publish_now(&manifest, &outputs, &folder)).await?
}

fn publish_now(manifest: &Manifest, outputs: &[Output], folder: &Utf8Path) -> anyhow::Result<()> {
    let part = part_of(&manifest::stem(&manifest.recipe, manifest.target));
    let mut beside = Vec::new();
    for output in outputs {
        let fault = || Fault::environment(format!("{} cannot be put into {folder}", output.name));
        beside
            .push((Beside::bring(&output.from, folder, &part).with_context(fault)?, &output.name));
    }
    let mut file = tempfile::Builder::new().prefix(&part).tempfile_in(folder)?;
    serde_json::to_writer_pretty(&mut file, manifest).context("writing the manifest")?;
    file.write_all(b"\n")?;
    file.as_file().set_permissions(Permissions::from_mode(0o644))?;
    file.as_file().sync_all()?;

    let place = folder.join(manifest.file_name());
    let previous = Manifest::load(&place).ok();
    absent_is_fine(std::fs::remove_file(&place))?;
    for (beside, name) in beside {
        beside.take_place(&folder.join(name)).with_context(|| format!("publishing {name}"))?;
    }
    file.persist(&place).context("publishing the manifest")?;
    // What only the previous image had would be taken for a part of this one.
    for stale in previous.iter().flat_map(Manifest::outputs) {
        if !outputs.iter().any(|output| output.name == stale) && is_plain(stale) {
            remove(&folder.join(stale)).with_context(|| format!("removing {stale}"))?;
        }
    }
    File::open(folder)?.sync_all().context("publishing the image")
}

/// Something under a temporary name in the output folder. It goes unless it takes its place.
struct Beside(Utf8PathBuf);

impl Beside {
    fn bring(from: &Utf8Path, folder: &Utf8Path, part: &str) -> anyhow::Result<Self> {
        let mut name = tempfile::Builder::new();
        name.prefix(part);
        let path = if from.is_dir() {
            name.tempdir_in(folder)?.keep()
        } else {
            name.tempfile_in(folder)?.into_temp_path().keep()?
        };
        let path = Utf8PathBuf::from_path_buf(path)
            .map_err(|path| anyhow::anyhow!("{} is not UTF-8", path.display()))?;
        let beside = Self(path);
        match std::fs::rename(from, &beside.0) {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => copy(from, &beside.0)?,
            end => end?,
        }
        set_readable(&beside.0)?;
        Ok(beside)
    }

    /// A folder cannot be renamed over another one that is not empty: the two change places.
    fn take_place(self, place: &Utf8Path) -> io::Result<()> {
        if self.0.is_dir() && place.exists() {
            let (old, new) = (place.as_std_path(), self.0.as_std_path());
            renameat2(AT_FDCWD, new, AT_FDCWD, old, RenameFlags::RENAME_EXCHANGE)?;
            // Dropped, it removes what was there.
            return Ok(());
        }
        std::fs::rename(&self.0, place)?;
        std::mem::forget(self);
        Ok(())
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        let _ = remove(&self.0);
    }
}

/// Copies a file, or a folder with all that is in it, and makes sure that it is on the disk.
fn copy(from: &Utf8Path, to: &Utf8Path) -> io::Result<()> {
    if !from.is_dir() {
        copy_sparse(&File::open(from)?, to)?;
        return File::open(to)?.sync_all();
    }
    for entry in from.read_dir_utf8()? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir(&to)?;
        }
        copy(entry.path(), &to)?;
    }
    Ok(())
}

/// Images are for everybody: what they must not have is not in them.
fn set_readable(path: &Utf8Path) -> io::Result<()> {
    if !path.is_dir() {
        return std::fs::set_permissions(path, Permissions::from_mode(0o644));
    }
    std::fs::set_permissions(path, Permissions::from_mode(0o755))?;
    for entry in path.read_dir_utf8()? {
        set_readable(entry?.path())?;
    }
    Ok(())
}

fn remove(path: &Utf8Path) -> io::Result<()> {
    let removed = if path.is_dir() && !path.is_symlink() {
        std::fs::remove_dir_all(path)
    } else {
        std::fs::remove_file(path)
    };
    absent_is_fine(removed)
}

fn absent_is_fine(end: io::Result<()>) -> io::Result<()> {
    match end {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether a name from a manifest stays in its folder: the file may be anybody's.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('.') && !name.contains('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_takes_the_place_of_another_one() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(dir.path()).unwrap();
        for (name, file) in [("image", "old"), ("fresh", "new")] {
            std::fs::create_dir_all(folder.join(name).join("blobs")).unwrap();
            std::fs::write(folder.join(name).join("blobs").join(file), file).unwrap();
        }
        let beside = Beside::bring(&folder.join("fresh"), folder, ".image.part-").unwrap();
        beside.take_place(&folder.join("image")).unwrap();
        let names = |path: &Utf8Path| -> Vec<String> {
            let entries = path.read_dir_utf8().unwrap();
            entries.map(|entry| entry.unwrap().file_name().to_owned()).collect()
        };
        assert_eq!(names(folder), ["image"]);
        assert_eq!(names(&folder.join("image/blobs")), ["new"]);
    }

    #[test]
    fn what_a_killed_bake_left_goes_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(dir.path()).unwrap();
        let from = folder.join("from");
        for stem in ["ci", "ci.oci", "ci-2"] {
            std::fs::write(&from, "disk").unwrap();
            // As SIGKILL leaves it.
            std::mem::forget(Beside::bring(&from, folder, &part_of(stem)).unwrap());
        }
        std::fs::write(folder.join("ci.raw"), "disk").unwrap();
        std::fs::create_dir_all(folder.join(format!("{}abcdef/blobs", part_of("ci")))).unwrap();
        sweep(folder, "ci");
        let entries = folder.read_dir_utf8().unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().to_owned()).collect();
        names.sort();
        assert_eq!(names.len(), 3, "{names:?}");
        assert!(names[0].starts_with(".ci-2.part-") && names[1].starts_with(".ci.oci.part-"));
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_not_ours_to_remove() {
        for name in ["", ".", "..", "../x", "/etc/passwd", ".ssh"] {
            assert!(!is_plain(name), "{name}");
        }
        assert!(is_plain("jenkins-controller.raw"));
    }
}
