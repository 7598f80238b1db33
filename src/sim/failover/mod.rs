//! Bad nights of a controller, played on real machines: the library behind
//! `hostkit rehearse failover`.
//!
//! Each night of [`Night`] is a scene with one or two hosts on one file system; what each must show
//! is a list of [`Check`]s, and one that all have in common: the hosts never wrote the home at the
//! same time. The rehearsal sees its hosts from outside (the record on the file system, what their
//! units say, what they do to the file system), never through the code that it tries.

mod copy;
mod nights;
mod play;
mod verdict;
mod wire;

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;

use self::play::Play;
use super::fleet::{Fleet, Line, Options as Fleeting};
use super::nfs::interleave::Verdict;
use super::nights::{self as ends, Played};
use crate::event::Events;

pub use super::nights::Check;

/// A scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Night {
    /// EC2 cannot be asked.
    Blind,
    /// The holder stands still for a while.
    Paused,
    /// An operator breaks the lease of a holder that stands still.
    Broken,
    /// The holder is stopped in good order.
    Drained,
    /// The holder's machine dies.
    Killed,
    /// Two hosts begin at once.
    Race,
    /// The file system is a copy.
    Restored,
}

impl Night {
    /// All, in the order in which one leaves what the next one needs.
    pub const ALL: [Self; 7] = [
        Self::Blind,
        Self::Paused,
        Self::Broken,
        Self::Drained,
        Self::Killed,
        Self::Race,
        Self::Restored,
    ];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Blind => "blind",
            Self::Paused => "paused",
            Self::Broken => "broken",
            Self::Drained => "drained",
            Self::Killed => "killed",
            Self::Race => "race",
            Self::Restored => "restored",
        }
    }

    /// What happens in it.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Blind => "a holder runs, another host comes, and EC2 cannot be asked",
            Self::Paused => "the holder stands still for 20 s, and goes on",
            Self::Broken => "the holder stands still, an operator breaks its lease, it goes on",
            Self::Drained => "the holder is stopped in good order",
            Self::Killed => "the holder's machine dies",
            Self::Race => "two hosts begin at the same moment on a new file system",
            Self::Restored => "the file system is a copy of another one",
        }
    }
}

/// What is to be played, and on what.
#[derive(Clone, Debug)]
pub struct Options {
    /// The machines.
    pub fleet: Fleeting,
    /// The nights, in the order of [`Night::ALL`].
    pub nights: Vec<Night>,
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
    /// What was measured, in seconds.
    pub seconds: BTreeMap<&'static str, f64>,
    /// What all changes of each file system, of this night and those before it, come to.
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
    ends::watched(all(options, events)).await
}

async fn all(options: &Options, events: &Events) -> anyhow::Result<Ended> {
    let began = Instant::now();
    let fleet = Fleet::open(options.fleet.clone(), events).await?;
    let mut play = Play::new(fleet);
    let mut nights = Vec::new();
    for night in &options.nights {
        nights.push(one(&mut play, *night, events).await);
    }
    play.end().await;
    let seconds = began.elapsed().as_secs_f64().round();
    Ok(Ended { version: 1, nights, boots: play.boots(), seconds })
}

async fn one(play: &mut Play, night: Night, events: &Events) -> Told {
    let began = Instant::now();
    events.started(night.name(), format!("{}: {}", night.name(), night.about()));
    play.begin();
    let end = Box::pin(nights::play(play, night)).await;
    let failed = end.err().map(|error| format!("{error:#}"));
    let told = play.tell(night, failed);
    let outcome = ends::outcome(told.failed.as_deref(), told.holds, &told.checks);
    events.finished(night.name(), outcome, began.elapsed());
    if !told.holds {
        // What a night leaves that went wrong is no ground for another one.
        play.start_afresh().await;
    }
    told
}
