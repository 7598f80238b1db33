//! The image's plugins, put into the home: the image owns them, and the home holds state.
//!
//! Jenkins loads plugins from its home only. What the image brings replaces a plugin of the same
//! name; what people have added beside is left alone. [`install`] runs in the child: the home is
//! never touched in the agent itself.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::sync::Arc;

use anyhow::Context as _;
use camino::Utf8Path;
use nix::unistd::User;

use super::context::Context;
use super::inside::{self, Answer, Request};
use crate::digest::sha256_of;
use crate::event::Outcome;
use crate::sys::atomic;

/// Where the image has them.
const IN_THE_IMAGE: &str = "/usr/share/hostkit/jenkins/plugins";

/// What was last installed, by file name: so that a boot need not read every plugin over NFS.
const RECORD: &str = ".hostkit/plugins.json";

pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let from = context.machine.path(IN_THE_IMAGE);
    if !from.is_dir() {
        return Ok(Outcome::Skipped("the image brings none".to_owned()));
    }
    let mount_point = context.machine.path(&context.must_know().config.efs.mount_point);
    let user = super::home::OWNER.to_owned();
    let request = Request::Plugins { from, mount_point, user };
    match inside::ask(&context.machine.runner, &request).await? {
        Answer::Done { changed } => Ok(Outcome::changed(changed)),
        answer => anyhow::bail!("the child answered {answer:?}"),
    }
}

/// Copies what differs from the record, and then writes the record.
pub(super) fn install(from: &Utf8Path, mount_point: &Utf8Path, user: &str) -> anyhow::Result<bool> {
    let user = User::from_name(user)?.with_context(|| format!("there is no user `{user}`"))?;
    let image = digests(from).context("reading the plugins of the image")?;
    let record = mount_point.join(RECORD);
    let installed: BTreeMap<String, String> = match fs::read(&record) {
        // A record that cannot be read is no record: everything is copied again.
        Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_default(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
        Err(error) => return Err(error).context("reading what was installed"),
    };
    let folder = mount_point.join("home/plugins");
    if !folder.is_dir() {
        fs::create_dir(&folder).context("making the folder of plugins")?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755))?;
        chown(&folder, Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
    }
    let mut changed = false;
    for (name, digest) in &image {
        let to = folder.join(name);
        if installed.get(name) != Some(digest) || !to.is_file() {
            copy(&from.join(name), &to, &user).with_context(|| format!("installing {name}"))?;
            changed = true;
        }
    }
    let text = serde_json::to_vec_pretty(&image).context("a map of text is plain data")?;
    Ok(atomic::write(&record, &text, 0o600).context("recording the plugins")? | changed)
}

/// Whole or not at all: Jenkins refuses to start with half a plugin.
fn copy(from: &Utf8Path, to: &Utf8Path, user: &User) -> io::Result<()> {
    let folder = to.parent().unwrap_or_else(|| Utf8Path::new("."));
    let mut fresh = tempfile::Builder::new().prefix(".hostkit-").tempfile_in(folder)?;
    io::copy(&mut fs::File::open(from)?, &mut fresh)?;
    fresh.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    std::os::unix::fs::fchown(fresh.as_file(), Some(user.uid.as_raw()), Some(user.gid.as_raw()))?;
    fresh.as_file().sync_all()?;
    fresh.persist(to).map(drop).map_err(|error| error.error)
}

fn digests(folder: &Utf8Path) -> io::Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    for entry in folder.read_dir_utf8()? {
        let entry = entry?;
        let plugin = matches!(entry.path().extension(), Some("jpi" | "hpi"));
        if plugin && entry.file_type()?.is_file() {
            all.insert(entry.file_name().to_owned(), sha256_of(entry.path())?);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::unistd::Uid;

    #[test]
    fn the_images_plugins_replace_their_namesakes_and_leave_others_alone() {
        let me = User::from_uid(Uid::current()).unwrap().expect("a test machine knows its user");
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

        assert!(install(&image, &efs, &me.name).unwrap());
        assert!(!install(&image, &efs, &me.name).unwrap(), "a second time changes nothing");
        let plugin = |name: &str| fs::read_to_string(efs.join("home/plugins").join(name));
        assert_eq!(plugin("git.jpi").unwrap(), "git 2");
        assert_eq!(plugin("own.jpi").unwrap(), "own");
        assert!(plugin("readme.txt").is_err());

        fs::remove_file(efs.join("home/plugins/git.jpi")).unwrap();
        assert!(install(&image, &efs, &me.name).unwrap(), "a lost plugin comes back");
    }
}
