//! The image's plugins, put into the home: the image owns them, and the home holds state.
//!
//! Jenkins loads plugins from its home only. What the image brings replaces a plugin of the same
//! name, and goes when the image drops it; what people have added beside is left alone.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;

use anyhow::Context as _;
use camino::Utf8Path;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::gate::{self, Software};
use super::{Answer, aside};
use crate::digest::{sha256, sha256_of};
use crate::jenkins::Version;
use crate::lease::ground::HOME;
use crate::sys::{Owner, Root};

/// A plugin as it was installed.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Installed {
    /// The digest of its content.
    sha256: String,
    /// Its size and its time of change (seconds, nanoseconds): who replaces it changes them.
    size: u64,
    changed: (i64, i64),
}

impl Installed {
    fn new(sha256: &str, meta: &Metadata) -> Self {
        // A link or a folder in its place is no plugin of this size.
        let size = if meta.is_file() { meta.len() } else { 0 };
        Self { sha256: sha256.to_owned(), size, changed: (meta.mtime(), meta.mtime_nsec()) }
    }
}

/// Where Jenkins looks for them, on the file system.
const FOLDER: &str = "home/plugins";

/// What was last installed, by file name: so that a boot need not read every plugin over NFS.
const RECORD: &str = ".hostkit/plugins.json";

/// Makes the home that of the image's software: what was there is kept aside, the plugins are
/// installed, and it is remembered. Whoever is interrupted carries on.
pub(super) fn change(
    root: &Root,
    from: Option<&Utf8Path>,
    owner: Owner,
    jenkins: Option<Version>,
    image: &str,
) -> anyhow::Result<Answer> {
    let plugins = match from {
        Some(folder) => Some(digests(folder).context("reading the plugins of the image")?),
        None => None,
    };
    let before = gate::served_by(root, HOME.into())?;
    let after = Software { jenkins, plugins: plugins.as_ref().map(name_of) };
    let kept = aside::keep(root, &before, &after, image, Timestamp::now())?;
    let mut changed = kept.is_some();
    if let Some((from, plugins)) = from.zip(plugins) {
        changed |= install(from, &plugins, root, owner)?;
    }
    changed |= gate::remember(root, after.clone(), image)?;
    let told = kept.map(|set| {
        let name = |software: &Software| {
            let jenkins = software.jenkins.as_ref();
            jenkins.map_or_else(|| "an unknown Jenkins".to_owned(), |it| format!("Jenkins {it}"))
        };
        let (before, after) = (name(&before), name(&after));
        format!("from {before} to {after}: configuration and plugins are kept aside in {set}")
    });
    Ok(Answer::Done { changed, told: told.into_iter().collect() })
}

/// One name for a set of plugins.
fn name_of(plugins: &BTreeMap<String, String>) -> String {
    let lines: Vec<_> = plugins.iter().map(|(name, digest)| format!("{digest} {name}\n")).collect();
    sha256(lines.concat().as_bytes())
}

/// Copies what differs from the record, and then writes the record. Users of the file system can
/// write into the folder of plugins meanwhile, so everything goes through `root`, which is strict.
fn install(
    from: &Utf8Path,
    image: &BTreeMap<String, String>,
    root: &Root,
    owner: Owner,
) -> anyhow::Result<bool> {
    let record = root.read(RECORD).context("reading what was installed")?;
    // A record that cannot be read is no record: everything is copied again.
    let installed: BTreeMap<String, Installed> =
        record.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
    if !root.exists(FOLDER).context("looking for the folder of plugins")? {
        root.make_dir(FOLDER, 0o755, owner).context("making the folder of plugins")?;
    }
    let mut changed = false;
    // What the image brought once and brings no more; what people have added has no record.
    for name in installed.keys().filter(|name| !image.contains_key(*name) && is_plugin(name)) {
        let gone = root.remove(Utf8Path::new(FOLDER).join(name));
        changed |= gone.with_context(|| format!("removing {name}"))?;
    }
    let mut now = BTreeMap::new();
    for (name, digest) in image {
        let to = Utf8Path::new(FOLDER).join(name);
        let look = || root.metadata(&to).with_context(|| format!("looking at {name}"));
        let found = look()?.map(|meta| Installed::new(digest, &meta));
        if found.is_none() || found.as_ref() != installed.get(name) {
            // Whole or not at all: Jenkins refuses to start with half a plugin.
            root.copy_in(&from.join(name), &to, 0o644, owner)
                .with_context(|| format!("installing {name}"))?;
            changed = true;
        }
        let meta = look()?.with_context(|| format!("{name} is gone again"))?;
        now.insert(name, Installed::new(digest, &meta));
    }
    let text = serde_json::to_vec_pretty(&now).context("a map of text is plain data")?;
    Ok(root.write(RECORD, &text, 0o600, Owner::me()).context("recording the plugins")? | changed)
}

/// A plain file name with the ending of a plugin.
fn is_plugin(name: &str) -> bool {
    !name.contains('/') && matches!(Utf8Path::new(name).extension(), Some("jpi" | "hpi"))
}

fn digests(folder: &Utf8Path) -> io::Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for entry in folder.read_dir_utf8()? {
        let entry = entry?;
        if is_plugin(entry.file_name()) && entry.file_type()?.is_file() {
            all.insert(entry.file_name().to_owned(), sha256_of(entry.path())?);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_images_plugins_replace_their_namesakes_and_leave_others_alone() {
        let me = Owner::me();
        let install = |from: &Utf8Path, root: &Root, owner| {
            super::install(from, &digests(from).unwrap(), root, owner)
        };
        let folder = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(folder.path()).unwrap();
        let (image, efs) = (root.join("image"), root.join("efs"));
        for made in [&image, &efs.join(".hostkit"), &efs.join("home/plugins")] {
            fs::create_dir_all(made).unwrap();
        }
        fs::write(image.join("git.jpi"), "git 2").unwrap();
        fs::write(image.join("readme.txt"), "no plugin").unwrap();
        fs::write(efs.join("home/plugins/git.jpi"), "git 1").unwrap();
        fs::write(efs.join("home/plugins/own.jpi"), "own").unwrap();

        let tree = Root::strict(&efs).unwrap();
        assert!(install(&image, &tree, me).unwrap());
        assert!(!install(&image, &tree, me).unwrap(), "a second time changes nothing");
        let plugin = |name: &str| fs::read_to_string(efs.join("home/plugins").join(name));
        assert_eq!(plugin("git.jpi").unwrap(), "git 2");
        assert_eq!(plugin("own.jpi").unwrap(), "own");
        assert!(plugin("readme.txt").is_err());

        fs::remove_file(efs.join("home/plugins/git.jpi")).unwrap();
        assert!(install(&image, &tree, me).unwrap(), "a lost plugin comes back");

        fs::write(efs.join("home/plugins/git.jpi"), "git of somebody").unwrap();
        assert!(install(&image, &tree, me).unwrap(), "a replaced plugin is put back");
        assert_eq!(plugin("git.jpi").unwrap(), "git 2");
        fs::rename(image.join("git.jpi"), image.join("other.jpi")).unwrap();
        assert!(install(&image, &tree, me).unwrap(), "a dropped plugin goes");
        assert!(plugin("git.jpi").is_err() && plugin("own.jpi").is_ok());

        let elsewhere = tempfile::tempdir().unwrap();
        fs::rename(efs.join("home/plugins"), efs.join("home/old")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), efs.join("home/plugins")).unwrap();
        assert!(install(&image, &tree, me).is_err(), "a link of a user is not followed");
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }
}
