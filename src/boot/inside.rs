//! What is done on the mounted home: in a child that can be killed, never in the agent itself.
//!
//! `hostkit inner home` reads a [`Request`] from standard input and writes an [`Answer`] to
//! standard output. A refusal is an answer; an error is that something could not be done.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use nix::unistd::{Gid, Uid, User, chown};
use serde::{Deserialize, Serialize};

use super::plugins;
use crate::error::Fault;
use crate::sys::{Cmd, CmdError, Runner, Tool, atomic};

/// A healthy file system answers in milliseconds, a throttled one in seconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(45);

/// The first boot of a new image copies a hundred megabytes to a file system that may be slow.
const COPY_PATIENCE: Duration = Duration::from_mins(10);

/// What a child may be asked to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Read the record of the holder.
    ReadHead {
        /// Where the file system is mounted.
        mount_point: Utf8PathBuf,
    },
    /// Make the home if the file system is empty; else check that it is the right one.
    Prepare {
        /// Where the file system is mounted.
        mount_point: Utf8PathBuf,
        /// Its id.
        file_system: String,
        /// Who owns the home.
        user: String,
    },
    /// Put the image's plugins into the home.
    Plugins {
        /// Where the image has them.
        from: Utf8PathBuf,
        /// Where the file system is mounted.
        mount_point: Utf8PathBuf,
        /// Who owns the home.
        user: String,
    },
    /// Leave a record of a boot.
    Record {
        /// Where the file system is mounted.
        mount_point: Utf8PathBuf,
        /// The name of the file, without folder.
        name: String,
        /// Its content.
        text: String,
    },
}

/// What a child answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The record of the holder; absent where there never was one.
    Head(Option<String>),
    /// It is done, and whether anything had to be.
    Done {
        /// Whether anything was changed.
        changed: bool,
    },
    /// It must not be done.
    Refused {
        /// Why.
        why: String,
        /// What to do.
        hint: String,
    },
}

/// Asks a child.
pub(super) async fn ask(runner: &Runner, request: &Request) -> anyhow::Result<Answer> {
    let json = serde_json::to_vec(request).expect("a request has only string keys");
    let patience = match request {
        Request::Plugins { .. } => COPY_PATIENCE,
        _ => PATIENCE,
    };
    let command = Cmd::new(Tool::Hostkit).args(["inner", "home"]).stdin(json).timeout(patience);
    let output = runner.run(&command).await.map_err(|error| match error {
        CmdError::Timeout { .. } => anyhow::anyhow!(
            Fault::step(format!("the file system did not answer within {} s", patience.as_secs()))
                .hint(
                    "the mount hangs: check the mount target and the security groups on TCP 2049"
                )
        ),
        other => other.into(),
    })?;
    serde_json::from_slice(&output.stdout).context("reading the answer of the child")
}

/// What the child does.
pub fn answer(request: &Request) -> anyhow::Result<Answer> {
    match request {
        Request::ReadHead { mount_point } => read_head(mount_point),
        Request::Prepare { mount_point, file_system, user } => {
            prepare(mount_point, file_system, user)
        }
        Request::Plugins { from, mount_point, user } => {
            let changed = plugins::install(from, mount_point, user)?;
            Ok(Answer::Done { changed })
        }
        Request::Record { mount_point, name, text } => record(mount_point, name, text),
    }
}

fn read_head(mount_point: &Utf8Path) -> anyhow::Result<Answer> {
    // By open, not by stat: NFS promises that an open sees what the last writer closed.
    match fs::read(mount_point.join(".hostkit/lease/head")) {
        Ok(bytes) => Ok(Answer::Head(Some(String::from_utf8_lossy(&bytes).into_owned()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Answer::Head(None)),
        Err(error) => Err(error).context("reading .hostkit/lease/head on the file system"),
    }
}

fn record(mount_point: &Utf8Path, name: &str, text: &str) -> anyhow::Result<Answer> {
    anyhow::ensure!(!name.contains('/') && !name.starts_with('.'), "`{name}` is not a file name");
    let directory = mount_point.join(".hostkit/boots");
    atomic::make_directory(&directory, 0o700).context("making .hostkit/boots")?;
    let changed = atomic::write(&directory.join(name), text.as_bytes(), 0o600)
        .context("writing the record of the boot")?;
    Ok(Answer::Done { changed })
}

fn prepare(mount_point: &Utf8Path, file_system: &str, user: &str) -> anyhow::Result<Answer> {
    let user = User::from_name(user)
        .context("looking up the owner of the home")?
        .with_context(|| format!("this machine has no user `{user}`"))?;
    let home = mount_point.join("home");
    match fs::read_to_string(mount_point.join(".hostkit/fs-id")) {
        Ok(mark) => Ok(check(mark.trim(), file_system, &home, &user)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            initialise(mount_point, file_system, &home, &user)
        }
        Err(error) => Err(error).context("reading the mark of the file system"),
    }
}

fn check(mark: &str, file_system: &str, home: &Utf8Path, user: &User) -> anyhow::Result<Answer> {
    let refused = |why: String, hint: &str| Answer::Refused { why, hint: hint.to_owned() };
    if mark != file_system {
        return Ok(refused(
            format!("this file system is marked as {mark}, and not as {file_system}"),
            "it is a copy or a restored backup: make sure that the other one has no controller, \
             then write its own id into .hostkit/fs-id",
        ));
    }
    let meta = match fs::symlink_metadata(home) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(refused(
                "this file system was a controller's, and its folder `home` is gone".to_owned(),
                "restore it from a backup; hostkit does not start an empty Jenkins in its place",
            ));
        }
        other => other.context("looking at the home")?,
    };
    if !meta.is_dir() || meta.uid() != user.uid.as_raw() {
        return Ok(refused(
            format!(
                "the home belongs to user {} here, and `{}` is user {}",
                meta.uid(),
                user.name,
                user.uid
            ),
            "give the user the same number in every image; a chown of the whole home takes hours",
        ));
    }
    Ok(Answer::Done { changed: false })
}

/// Makes the home on an empty file system. The mark comes last: what is marked is whole.
fn initialise(
    mount_point: &Utf8Path,
    file_system: &str,
    home: &Utf8Path,
    user: &User,
) -> anyhow::Result<Answer> {
    if let Some(found) = foreign(mount_point, home)? {
        return Ok(Answer::Refused {
            why: format!(
                "the file system is not empty (it has `{found}`) and is not marked as a controller's"
            ),
            hint:
                "use an empty file system; or move an existing JENKINS_HOME to the folder `home` \
                   of it and write the file system's id into .hostkit/fs-id"
                    .to_owned(),
        });
    }
    atomic::make_directory(&mount_point.join(".hostkit"), 0o700).context("making .hostkit")?;
    atomic::make_directory(home, 0o750).context("making the home")?;
    give(home, user.uid, user.gid)?;
    atomic::write(
        &mount_point.join(".hostkit/fs-id"),
        format!("{file_system}\n").as_bytes(),
        0o600,
    )
    .context("marking the file system")?;
    Ok(Answer::Done { changed: true })
}

fn give(home: &Utf8Path, uid: Uid, gid: Gid) -> anyhow::Result<()> {
    let meta = fs::metadata(home).context("looking at the home")?;
    if (meta.uid(), meta.gid()) == (uid.as_raw(), gid.as_raw()) {
        return Ok(());
    }
    chown(home.as_std_path(), Some(uid), Some(gid)).context("giving the home to its user")
}

/// Something that neither an empty file system nor an interrupted first boot has.
fn foreign(mount_point: &Utf8Path, home: &Utf8Path) -> anyhow::Result<Option<String>> {
    for entry in mount_point.read_dir_utf8().context("listing the file system")? {
        let entry = entry.context("listing the file system")?;
        match entry.file_name() {
            ".hostkit" | "lost+found" => {}
            "home" => {
                let mut inside = home.read_dir_utf8().context("listing the home")?;
                if let Some(Ok(first)) = inside.next() {
                    return Ok(Some(format!("home/{}", first.file_name())));
                }
            }
            other => return Ok(Some(other.to_owned())),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me() -> String {
        User::from_uid(Uid::current()).unwrap().expect("every test machine knows its user").name
    }

    fn prepare_here(mount_point: &Utf8Path, file_system: &str) -> Answer {
        answer(&Request::Prepare {
            mount_point: mount_point.to_owned(),
            file_system: file_system.to_owned(),
            user: me(),
        })
        .unwrap()
    }

    fn empty() -> (tempfile::TempDir, Utf8PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(directory.path()).unwrap().to_owned();
        (directory, path)
    }

    #[test]
    fn an_empty_file_system_is_initialised_once() {
        let (_directory, root) = empty();
        assert_eq!(prepare_here(&root, "fs-1"), Answer::Done { changed: true });
        assert_eq!(prepare_here(&root, "fs-1"), Answer::Done { changed: false });
        assert_eq!(fs::read_to_string(root.join(".hostkit/fs-id")).unwrap(), "fs-1\n");
        assert_eq!(fs::metadata(root.join("home")).unwrap().mode() & 0o777, 0o750);
    }

    #[test]
    fn an_interrupted_first_boot_is_carried_on() {
        let (_directory, root) = empty();
        fs::create_dir_all(root.join(".hostkit")).unwrap();
        fs::create_dir(root.join("home")).unwrap();
        assert_eq!(prepare_here(&root, "fs-1"), Answer::Done { changed: true });
    }

    #[test]
    fn the_data_of_somebody_else_is_not_touched() {
        let (_directory, root) = empty();
        fs::write(root.join("config.xml"), "<jenkins/>").unwrap();
        let Answer::Refused { why, .. } = prepare_here(&root, "fs-1") else { panic!() };
        assert!(why.contains("config.xml"), "{why}");
        assert_eq!(fs::read_dir(&root).unwrap().count(), 1, "nothing was made");
    }

    #[test]
    fn a_copy_and_a_lost_home_are_refused() {
        let (_directory, root) = empty();
        prepare_here(&root, "fs-1");
        assert!(matches!(prepare_here(&root, "fs-2"), Answer::Refused { .. }));
        fs::remove_dir(root.join("home")).unwrap();
        assert!(matches!(prepare_here(&root, "fs-1"), Answer::Refused { .. }));
    }
}
