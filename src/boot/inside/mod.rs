//! What is done on the mounted home: in a child that can be killed, never in the agent itself.
//!
//! `hostkit inner home` reads a [`Request`] from standard input and writes an [`Answer`] to
//! standard output. It answers even when it fails: a refusal, and what may help.

mod aside;
mod gate;
mod kept;
mod moving;
mod plugins;
mod prepare;
mod record;
#[cfg(test)]
mod tests;

use std::io;
use std::time::Duration;

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::error::Fault;
use crate::jenkins::Version;
pub use crate::lease::ground::Ground;
use crate::lease::ground::{self, MARK};
use crate::lease::recovery;
use crate::sys::{Cmd, CmdError, Owner, Root, Runner, Tool};
use prepare::{Tenant, prepare};

/// A healthy file system answers in milliseconds, a throttled one in seconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(45);

/// The first boot of a new image keeps aside what it will change, some calls a job, and copies a
/// hundred megabytes to a file system that may be slow.
const COPY_PATIENCE: Duration = Duration::from_mins(20);

/// What a child may be asked to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Read whose the file system is.
    ReadMark {
        /// Where the file system is mounted.
        mount_point: Utf8PathBuf,
    },
    /// Make the home if the file system is empty, take over that of another Jenkins, or check that
    /// it is the right one and that this image's Jenkins may have it.
    Prepare {
        /// Where the file system is mounted.
        mount_point: Utf8PathBuf,
        /// Its id.
        file_system: String,
        /// Who owns the home.
        user: String,
        /// The Jenkins of the image, where it is known.
        jenkins: Option<Version>,
        /// Whether a home that a newer Jenkins has used will do.
        allow_downgrade: bool,
        /// The id of the image.
        image: String,
        /// What becomes of what this Jenkins had left, where another one has served since.
        former: Former,
    },
    /// Put the image's plugins into the home, and keep aside what was there.
    Plugins {
        /// Where the image has them, if it brings any.
        from: Option<Utf8PathBuf>,
        /// Where the file system is mounted.
        mount_point: Utf8PathBuf,
        /// Who owns the home.
        user: String,
        /// The Jenkins of the image, where it is known.
        jenkins: Option<Version>,
        /// The id of the image.
        image: String,
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
    /// Look whether somebody brings the home back.
    Recovery {
        /// Where the file system is mounted.
        mount_point: Utf8PathBuf,
        /// Its id.
        file_system: String,
    },
    /// Read the records of boots and of recoveries.
    Records {
        /// Where the file system is mounted.
        mount_point: Utf8PathBuf,
    },
}

impl Request {
    /// Whether the home itself is written to: by the holder of the lease only.
    pub const fn changes_the_home(&self) -> bool {
        match self {
            Self::Prepare { .. }
            | Self::Plugins { .. }
            | Self::Script { .. }
            | Self::Keep { .. } => true,
            Self::ReadMark { .. }
            | Self::Kept { .. }
            | Self::Record { .. }
            | Self::Recovery { .. }
            | Self::Records { .. } => false,
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
            | Self::Record { mount_point, .. }
            | Self::Recovery { mount_point, .. }
            | Self::Records { mount_point } => mount_point,
        }
    }
}

/// What becomes of configuration and plugins that were kept aside when the Jenkins of this image left
/// the home to that of another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Former {
    /// Nobody has been asked yet: where there is something, it is only told.
    Tell,
    /// This rollout has them put back.
    PutBack(String),
    /// They stay aside: why.
    Stay(String),
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
        /// What a person should know of it.
        #[serde(default)]
        told: Vec<String>,
    },
    /// The Jenkins of this image has left configuration and plugins, and hosts of another image have
    /// served the home since. Nothing was changed yet.
    Former {
        /// The id of the other image.
        served: String,
        /// When the first of those hosts took it over, by its clock.
        since: Timestamp,
    },
    /// Somebody brings the home back: nothing was changed, and no Jenkins may be started.
    Barred {
        /// Which recovery is under way.
        why: String,
        /// What to do about it.
        hint: String,
    },
    /// The texts of the records.
    Records {
        /// Of boots, the newest first.
        boots: Vec<String>,
        /// Of recoveries: of the one that is under way, and of those that are over, the newest first.
        recoveries: Vec<String>,
    },
    /// It must not be done.
    Refused {
        /// Why.
        why: String,
        /// What to do.
        hint: String,
    },
    /// The server does not know any more what is mounted.
    Stale {
        /// What was being done.
        why: String,
    },
}

impl Answer {
    const fn done(changed: bool) -> Self {
        Self::Done { changed, told: Vec::new() }
    }

    fn refused(why: String, hint: &str) -> Self {
        Self::Refused { why, hint: hint.to_owned() }
    }
}

/// In the chain of an error: the server does not know any more what is mounted.
#[derive(Clone, Debug, Error)]
#[error("stale file handle: {0}")]
pub(super) struct Stale(String);

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
        Answer::Stale { why } => {
            let fault = Fault::step("the file system was replaced below its mount").hint(
                "systemctl restart hostkit-boot mounts it again; if that ends alike, check the \
                 mount target in EFS",
            );
            Err(anyhow::Error::from(Stale(why)).context(fault))
        }
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
        return Ok(Answer::refused(
            format!("no network file system is mounted at {mount_point}"),
            "systemctl list-units --type=mount; what is below the mount is never written",
        ));
    }
    match request {
        Request::ReadMark { .. } => {
            let mark = root.read_text(MARK).context("reading the mark of the file system")?;
            Ok(Answer::Mark(mark.map(|mark| mark.trim().to_owned())))
        }
        Request::Prepare { file_system, user, jenkins, allow_downgrade, image, former, .. } => {
            let (owner, jenkins) = (ground::owner(user)?, jenkins.as_ref());
            let allow_downgrade = *allow_downgrade;
            let tenant =
                Tenant { file_system, user, owner, jenkins, allow_downgrade, image, former };
            prepare(&root, &tenant)
        }
        Request::Plugins { from, user, jenkins, image, .. } => {
            plugins::change(&root, from.as_deref(), ground::owner(user)?, jenkins.clone(), image)
        }
        Request::Kept { file_system, .. } => kept::read(&root, file_system).map(Answer::Text),
        Request::Keep { file_system, text, .. } => {
            let changed = kept::write(&root, file_system, text, Owner::me())?;
            Ok(Answer::Done { changed, told: Vec::new() })
        }
        Request::Script { user, .. } => {
            let changed = kept::script(&root, ground::owner(user)?)?;
            Ok(Answer::Done { changed, told: Vec::new() })
        }
        Request::Record { file_system, name, text, .. } => {
            record::leave(&root, file_system, name, text)
        }
        Request::Recovery { file_system, .. } => {
            let open = recovery::unfinished(&root, file_system);
            let open = open.context("looking for a recovery that is under way")?;
            Ok(open.map_or(Answer::done(false), |(why, hint)| Answer::Barred { why, hint }))
        }
        Request::Records { .. } => record::read(&root),
    }
}

/// An error as an answer, with what is known to help.
fn refusal(error: &anyhow::Error) -> Answer {
    let cause = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    let why = format!("{error:#}");
    if cause.map(io::Error::kind) == Some(io::ErrorKind::StaleNetworkFileHandle) {
        return Answer::Stale { why };
    }
    let own = || crate::error::fault(error).and_then(Fault::hint_text);
    let hint = cause.and_then(ground::advice).or_else(own);
    Answer::refused(why, hint.unwrap_or("look at the file system from another host"))
}
