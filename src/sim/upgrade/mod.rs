//! An upgrade on real machines before there is one on AWS: the library behind
//! `hostkit rehearse upgrade`.
//!
//! A group in a rehearsal account launches a controller from one image; then `hostkit upgrade` is run
//! against the account, as a person would run it, and the group replaces the host by one of another
//! image. [`stage`] is what stands around that, [`watch`] writes down what is seen from outside,
//! [`spans`] tells where the time went, [`play`] is the evening itself. A [`Night`] is what goes wrong
//! meanwhile.
//!
//! The rehearsal never looks through the code that it tries: it has the answers of the account, the
//! pages that hosts serve, and the record of all that they did to the file system.

mod ami;
mod breaks;
mod checks;
mod command;
mod log;
mod play;
mod probe;
mod spans;
mod stage;
mod watch;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::fleet::Line;
use super::nfs::interleave::Verdict;
use super::nights::{self, Check, Played};
use super::vm::options::Acceleration;
use crate::event::Events;

pub use self::spans::{Span, Times, Whose};

/// What goes wrong while a host is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Night {
    /// Nothing.
    Planned,
    /// The new host never comes into service.
    NeverHealthy,
    /// The file system falls silent while the new host boots.
    EfsDies,
    /// EC2 cannot be asked.
    Ec2Down,
    /// The old host stands still when it is to go.
    OldPaused,
    /// EC2 takes the old host back meanwhile.
    Spot,
}

impl Night {
    /// All.
    pub const ALL: [Self; 6] = [
        Self::Planned,
        Self::NeverHealthy,
        Self::EfsDies,
        Self::Ec2Down,
        Self::OldPaused,
        Self::Spot,
    ];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::NeverHealthy => "never-healthy",
            Self::EfsDies => "efs-dies",
            Self::Ec2Down => "ec2-down",
            Self::OldPaused => "old-paused",
            Self::Spot => "spot",
        }
    }

    /// What happens in it.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Planned => "the host is replaced by one of the new image",
            Self::NeverHealthy => "hosts of the new image never come into service",
            Self::EfsDies => "the file system falls silent for 90 s while the new host boots",
            Self::Ec2Down => "EC2 cannot be asked for 60 s from when the old host is to go",
            Self::OldPaused => "the old host stands still when it is to go",
            Self::Spot => "EC2 takes the old host back while its builds are waited for",
        }
    }
}

/// What is to be played, and on what.
#[derive(Clone, Debug)]
pub struct Options {
    /// The image that serves: raw or qcow2, with its manifest beside it. It is never changed.
    pub old: PathBuf,
    /// The image that shall serve.
    pub new: PathBuf,
    /// What hosts are told by their user-data: a file like `host.toml`.
    pub host: Option<PathBuf>,
    /// The Parameter Store's content; made up if absent.
    pub parameters: Option<PathBuf>,
    /// The nights, each in an account of its own.
    pub nights: Vec<Night>,
    /// The steps at whose beginning `hostkit upgrade` is killed, each time to be resumed.
    pub kill_at: Vec<String>,
    /// How long a build runs that is there when the upgrade begins; none if zero.
    pub build: Duration,
    /// How long `hostkit upgrade` lets the new host take to prove itself.
    pub patience: Duration,
    /// How machines are made to run.
    pub acceleration: Acceleration,
    /// What each has of memory, in MiB.
    pub memory_mib: u64,
    /// What each has of processors.
    pub cpus: u8,
    /// How long anything that is waited for may take.
    pub timeout: Duration,
    /// Where consoles and records are kept; nowhere if absent.
    pub keep: Option<PathBuf>,
}

/// How a night was.
#[derive(Clone, Debug, Serialize)]
pub struct Told {
    /// The night.
    pub night: Night,
    /// Whether everything was as it must be.
    pub holds: bool,
    /// All that it had to show.
    pub checks: Vec<Check>,
    /// The exit status of `hostkit upgrade`, if it ended by itself.
    pub code: Option<i32>,
    /// What it ended with, as it says it to programs.
    pub said: Option<serde_json::Value>,
    /// Where the time went, as it was seen from outside.
    pub times: Times,
    /// What all changes of the file system come to.
    pub verdicts: BTreeMap<String, Verdict>,
    /// What happened.
    pub timeline: Vec<Line>,
    /// What broke it off, if anything did.
    pub failed: Option<String>,
}

/// All nights.
pub type Ended = super::nights::Ended<Told>;

impl Played for Told {
    fn name(&self) -> &'static str {
        self.night.name()
    }

    fn holds(&self) -> bool {
        self.holds
    }
}

/// Plays the nights.
///
/// # Errors
/// The stage could not be set, or somebody asked to stop. A night that goes wrong is no error: it
/// is told.
pub async fn run(options: &Options, events: &Events) -> anyhow::Result<Ended> {
    nights::watched(all(options, events)).await
}

async fn all(options: &Options, events: &Events) -> anyhow::Result<Ended> {
    let began = Instant::now();
    let (mut nights, mut boots) = (Vec::new(), 0);
    for night in &options.nights {
        let (told, booted) = one(options, *night, events).await?;
        nights.push(told);
        boots += booted;
    }
    let seconds = began.elapsed().as_secs_f64().round();
    Ok(Ended { version: 1, nights, boots, seconds })
}

async fn one(options: &Options, night: Night, events: &Events) -> anyhow::Result<(Told, usize)> {
    let began = Instant::now();
    events.started(night.name(), format!("{}: {}", night.name(), night.about()));
    let mut play = play::Play::open(options, night, events).await?;
    let failed = Box::pin(play.all()).await.err().map(|error| format!("{error:#}"));
    let (told, boots) = play.tell(failed);
    let outcome = nights::outcome(told.failed.as_deref(), told.holds, &told.checks);
    events.finished(night.name(), outcome, began.elapsed());
    Ok((told, boots))
}
