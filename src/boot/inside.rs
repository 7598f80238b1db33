//! What is done on the mounted home: in a child that can be killed, never in the agent itself.
//!
//! `hostkit inner home` reads a [`Request`] from standard input and writes an [`Answer`] to
//! standard output. It answers even when it fails: a refusal, and what may help.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::time::Duration;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use nix::unistd::{User, getegid, geteuid};
use serde::{Deserialize, Serialize};

use super::{kept, plugins};
use crate::error::Fault;
pub use crate::lease::ground::Ground;
use crate::lease::ground::{MARK, foreign};
use crate::sys::{Cmd, CmdError, Owner, Root, Runner, Tool};

/// A healthy file system answers in milliseconds, a throttled one in seconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(45);

/// The first boot of a new image copies a hundred megabytes to a file system that may be slow.
const COPY_PATIENCE: Duration = Duration::from_mins(10);

/// What a child may be asked to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Read whose the file system is.
    ReadMark {
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
    /// Read the configuration of Jenkins that it was last seen to serve with.
    Kept {
        /// Where the file system is mounted.
        mount_point: Utf8PathBuf,
        /// Its id.
        file_system: String,
    },
    /// Keep a configuration of Jenkins with which it serves.
    Keep {
        /// Where the file system is mounted.
        mount_point: Utf8PathBuf,
        /// Its id.
        file_system: String,
        /// JSON.
        text: String,
    },
    /// Put what Jenkins runs when it has started into the home.
    Script {
        /// Where the file system is mounted.
        mount_point: Utf8PathBuf,
        /// Who owns the home.
        user: String,
    },
    /// Leave a record of a boot.
    Record {
        /// Where the file system is mounted.
        mount_point: Utf8PathBuf,
        /// Its id: nothing is left on another one.
        file_system: String,
        /// The name of the file, without folder.
        name: String,
        /// Its content.
        text: String,
    },
}

impl Request {
    /// Whether the home itself is written to: by the holder of the lease only.
    pub const fn changes_the_home(&self) -> bool {
        match self {
            Self::Prepare { .. } | Self::Plugins { .. } => true,
            Self::Script { .. } | Self::Keep { .. } => true,
            Self::ReadMark { .. } | Self::Kept { .. } | Self::Record { .. } => false,
        }
    }

    fn mount_point(&self) -> &Utf8Path {
        match self {
            Self::ReadMark { mount_point }
            | Self::Prepare { mount_point, .. }
            | Self::Plugins { mount_point, .. }
            | Self::Kept { mount_point, .. }
            | Self::Keep { mount_point, .. }
            | Self::Script { mount_point, .. }
            | Self::Record { mount_point, .. } => mount_point,
        }
    }
}

/// What a child answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The id that the file system is marked with, if any.
    Mark(Option<String>),
    /// What is kept, if anything is.
    Text(Option<String>),
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

/// Asks a child. Its refusal is an error of the step that asks.
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
    let answer = serde_json::from_slice(&output.stdout);
    match answer.context("reading the answer of the child")? {
        Answer::Refused { why, hint } => Err(Fault::step(why).hint(hint).into()),
        answer => Ok(answer),
    }
}

/// What the child does. No link on the file system is followed: its users can make them, and this
/// process may write everywhere.
pub fn answer(request: &Request, ground: Ground) -> Answer {
    work(request, ground).unwrap_or_else(|error| refusal(&error))
}

fn work(request: &Request, ground: Ground) -> anyhow::Result<Answer> {
    let mount_point = request.mount_point();
    let root = Root::strict(mount_point).with_context(|| format!("opening {mount_point}"))?;
    if !ground.bears(&root).context("asking what is mounted")? {
        return Ok(Answer::Refused {
            why: format!("no network file system is mounted at {mount_point}"),
            hint: "systemctl list-units --type=mount; what is below the mount is never written"
                .to_owned(),
        });
    }
    match request {
        Request::ReadMark { .. } => {
            let mark = root.read_text(MARK).context("reading the mark of the file system")?;
            Ok(Answer::Mark(mark.map(|mark| mark.trim().to_owned())))
        }
        Request::Prepare { file_system, user, .. } => prepare(&root, file_system, user),
        Request::Plugins { from, user, .. } => {
            let changed = plugins::install(from, &root, owner(user)?)?;
            Ok(Answer::Done { changed })
        }
        Request::Kept { file_system, .. } => kept::read(&root, file_system).map(Answer::Text),
        Request::Keep { file_system, text, .. } => {
            let changed = kept::write(&root, file_system, text, me())?;
            Ok(Answer::Done { changed })
        }
        Request::Script { user, .. } => {
            let changed = kept::script(&root, owner(user)?)?;
            Ok(Answer::Done { changed })
        }
        Request::Record { file_system, name, text, .. } => record(&root, file_system, name, text),
    }
}

/// An error as an answer, with what is known to help.
fn refusal(error: &anyhow::Error) -> Answer {
    let cause = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    let looped = cause.and_then(io::Error::raw_os_error) == Some(nix::libc::ELOOP);
    let hint = match cause.map(io::Error::kind) {
        _ if looped => "a symbolic link is in the way; hostkit follows none on the file system",
        Some(io::ErrorKind::PermissionDenied) => {
            "the file system refuses root: allow `elasticfilesystem:ClientRootAccess` in its policy"
        }
        Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
            "the file system is full, or its quota is"
        }
        Some(io::ErrorKind::StaleNetworkFileHandle) => {
            "the file system was replaced below its mount: start this host again"
        }
        _ => "look at the file system from another host",
    };
    Answer::Refused { why: format!("{error:#}"), hint: hint.to_owned() }
}

/// The user and group that own the home.
fn owner(user: &str) -> anyhow::Result<Owner> {
    let user = User::from_name(user)
        .context("looking up the owner of the home")?
        .with_context(|| format!("this machine has no user `{user}`"))?;
    Ok(Owner { uid: user.uid.as_raw(), gid: user.gid.as_raw() })
}

fn record(root: &Root, file_system: &str, name: &str, text: &str) -> anyhow::Result<Answer> {
    anyhow::ensure!(!name.contains('/') && !name.starts_with('.'), "`{name}` is not a file name");
    // What is not marked as this host's is somebody else's.
    match root.read_text(MARK).context("reading the mark of the file system")? {
        Some(mark) if mark.trim() == file_system => {}
        _ => anyhow::bail!("the file system is not marked as {file_system}"),
    }
    root.make_dir(".hostkit/boots", 0o700, me()).context("making .hostkit/boots")?;
    let path = Utf8Path::new(".hostkit/boots").join(name);
    let changed =
        root.write(path, text.as_bytes(), 0o600, me()).context("writing the record of the boot")?;
    Ok(Answer::Done { changed })
}

/// root, but in tests.
fn me() -> Owner {
    Owner { uid: geteuid().as_raw(), gid: getegid().as_raw() }
}

fn prepare(root: &Root, file_system: &str, user: &str) -> anyhow::Result<Answer> {
    let owner = owner(user)?;
    match root.read_text(MARK).context("reading the mark of the file system")? {
        Some(mark) => check(root, mark.trim(), file_system, user, owner),
        None => initialise(root, file_system, owner),
    }
}

fn check(
    root: &Root,
    mark: &str,
    file_system: &str,
    user: &str,
    owner: Owner,
) -> anyhow::Result<Answer> {
    let refused = |why: String, hint: &str| Answer::Refused { why, hint: hint.to_owned() };
    if mark != file_system {
        return Ok(refused(
            format!("this file system is marked as {mark}, and not as {file_system}"),
            "it is a copy or a restored backup: make sure that the other one has no controller, \
             then write its own id into .hostkit/fs-id",
        ));
    }
    let Some(meta) = root.metadata("home").context("looking at the home")? else {
        return Ok(refused(
            "this file system was a controller's, and its folder `home` is gone".to_owned(),
            "restore it from a backup; hostkit does not start an empty Jenkins in its place",
        ));
    };
    if !meta.is_dir() {
        return Ok(refused(
            "`home` on the file system is not a folder".to_owned(),
            "hostkit follows no symbolic link there: move the home itself to this place",
        ));
    }
    if meta.uid() != owner.uid {
        return Ok(refused(
            format!(
                "the home belongs to user {} here, and `{user}` is user {}",
                meta.uid(),
                owner.uid
            ),
            "give the user the same number in every image; a chown of the whole home takes hours",
        ));
    }
    Ok(Answer::Done { changed: false })
}

/// Makes the home on an empty file system. The mark comes last: what is marked is whole.
fn initialise(root: &Root, file_system: &str, owner: Owner) -> anyhow::Result<Answer> {
    if let Some(found) = foreign(root).context("listing the file system")? {
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
    root.make_dir(".hostkit", 0o700, me()).context("making .hostkit")?;
    root.make_dir("home", 0o750, owner).context("making the home")?;
    let mark = format!("{file_system}\n");
    root.write(MARK, mark.as_bytes(), 0o600, me()).context("marking the file system")?;
    Ok(Answer::Done { changed: true })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn my_name() -> String {
        User::from_uid(geteuid()).unwrap().expect("every test machine knows its user").name
    }

    fn prepare_here(mount_point: &Utf8Path, file_system: &str) -> Answer {
        let request = Request::Prepare {
            mount_point: mount_point.to_owned(),
            file_system: file_system.to_owned(),
            user: my_name(),
        };
        answer(&request, Ground::Any)
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

    #[test]
    fn what_is_no_network_file_system_is_not_even_read() {
        let (_directory, root) = empty();
        let request = Request::ReadMark { mount_point: root };
        let Answer::Refused { why, .. } = answer(&request, Ground::Nfs) else { panic!() };
        assert!(why.contains("no network file system"), "{why}");
    }

    #[test]
    fn no_link_on_the_file_system_is_followed() {
        let (_elsewhere, elsewhere) = empty();
        let before = fs::metadata(&elsewhere).unwrap();
        for name in ["home", ".hostkit"] {
            let (_directory, root) = empty();
            std::os::unix::fs::symlink(&elsewhere, root.join(name)).unwrap();
            let Answer::Refused { hint, .. } = prepare_here(&root, "fs-1") else { panic!() };
            assert!(hint.contains("symbolic link"), "{name}: {hint}");
        }
        let (_directory, root) = empty();
        prepare_here(&root, "fs-1");
        fs::remove_dir(root.join("home")).unwrap();
        std::os::unix::fs::symlink(&elsewhere, root.join("home")).unwrap();
        assert!(matches!(prepare_here(&root, "fs-1"), Answer::Refused { .. }));
        let after = fs::metadata(&elsewhere).unwrap();
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
        assert_eq!((before.uid(), before.mode()), (after.uid(), after.mode()));
    }

    #[test]
    fn a_record_is_left_on_the_own_file_system_only() {
        let (_directory, root) = empty();
        let leave = |file_system: &str| {
            let request = Request::Record {
                mount_point: root.clone(),
                file_system: file_system.to_owned(),
                name: "i-1.json".to_owned(),
                text: "{}".to_owned(),
            };
            answer(&request, Ground::Any)
        };
        assert!(matches!(leave("fs-1"), Answer::Refused { .. }), "nobody has marked it");
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
        prepare_here(&root, "fs-1");
        assert!(matches!(leave("fs-2"), Answer::Refused { .. }));
        assert!(!root.join(".hostkit/boots").exists());
        assert_eq!(leave("fs-1"), Answer::Done { changed: true });
    }
}
