//! The lease's own process: waits until the home may be taken, holds it, gives it up.
//!
//! `hostkit lease hold` is all that `hostkit-lease.service` runs. It is small, has one thread, and
//! touches neither the file system of the home (that is the [`clerk`](super::clerk)'s) nor AWS (the
//! [`witness`](super::witness)'s): whatever hangs, its loop goes on and feeds the watchdog. What is to
//! be concluded is decided in [`claim`](super::claim) and [`keep`](super::keep).

mod holder;
mod jenkins;
mod newcomer;
mod release;
mod resume;
#[cfg(test)]
mod tests;

use std::time::Duration;

use camino::Utf8PathBuf;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

pub use jenkins::down as jenkins_is_down;
use newcomer::Taken;

use super::clerk::Desk;
use super::memory::{Memory, Phase, Standing};
use super::order::Order;
use super::record::{Record, State, VERSION};
use crate::error::Fault;
use crate::event::{Events, Milestone};
use crate::sys::{Runner, journal, notify};

const STEP: &str = "lease";

/// What is asked of systemd, again and again, while something takes its time.
const GOES_ON: Duration = Duration::from_secs(20);

/// Where things are, and how patient to be. Tests have another one.
#[derive(Clone, Debug)]
pub struct Place {
    /// Below which the machine's files are.
    pub root: Utf8PathBuf,
    /// How programs are run.
    pub runner: Runner,
    /// What is called a second.
    pub second: Duration,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            root: Utf8PathBuf::from("/"),
            runner: Runner::Direct,
            second: Duration::from_secs(1),
        }
    }
}

/// How it ended, where nothing is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Before the home was this host's.
    Waiting,
    /// The home was given up in order.
    Released,
    /// It was asked to end while something of this host may still write: the home stays held.
    StillHeld,
}

/// Waits for the home and holds it until it is asked to end.
///
/// # Errors
/// The home was lost to somebody else, after Jenkins was stopped; the policy says not to wait; or
/// this machine lacks something.
pub async fn hold(place: Place, events: Events) -> anyhow::Result<Ended> {
    hold_until(place, events, signals()?).await
}

/// As [`hold`], until `asked` is done.
async fn hold_until(place: Place, events: Events, asked: Asked) -> anyhow::Result<Ended> {
    let order = Order::read(&place.root)?;
    let memory = Memory::new(&place.root, &order.me.boot_id);
    if let Some(instance) = &order.me.instance_id {
        journal::name_instance(instance);
    }
    let desk = Desk::new(place.runner.clone(), &order.mount_point, &order.me.fs_id);
    let mut shell =
        Shell { place, order, memory, events, asked, told: None, since: None, age: None };
    let taken = match shell.memory.mine() {
        Some(generation) => resume::resume(&mut shell, desk, generation).await,
        None => newcomer::take(&mut shell, desk).await?,
    };
    let (desk, generation) = match taken {
        Taken::Mine(desk, generation) => (desk, generation),
        Taken::Nothing => return Ok(Ended::Waiting),
        Taken::Lost(generation, why) => {
            return Err(jenkins::fence(&mut shell, generation, &why).await);
        }
    };
    let held = holder::hold(&mut shell, desk, generation).await;
    match held {
        holder::Held::UntilAsked(desk) => release::release(&mut shell, desk, generation).await,
        holder::Held::Lost(why) => Err(jenkins::fence(&mut shell, generation, &why).await),
    }
}

/// What people look for in the journal.
const fn milestone(phase: Phase) -> Option<Milestone> {
    match phase {
        Phase::Held => Some(Milestone::LeaseHeld),
        Phase::Lost => Some(Milestone::LeaseLost),
        Phase::Released => Some(Milestone::LeaseReleased),
        Phase::Waiting | Phase::Refused | Phase::GivenUp => None,
    }
}

/// What the phases share.
struct Shell {
    place: Place,
    order: Order,
    memory: Memory,
    events: Events,
    asked: Asked,
    told: Option<Standing>,
    /// When the home was taken, by this host's clock: for people.
    since: Option<Timestamp>,
    /// How old the claim of a generation was, and when that was asked.
    age: Option<(u64, Duration, Instant)>,
}

impl Shell {
    /// The record of this host for a generation.
    fn record(&self, generation: u64, state: State) -> Record {
        let mut holder = self.order.me.clone();
        holder.since = self.since.or_else(|| Some(Timestamp::now()));
        Record { version: VERSION, generation, state, holder, broken: None }
    }

    /// Tells people how the lease stands, where that is news.
    fn tell(&mut self, phase: Phase, generation: Option<u64>, why: &str, hint: Option<&str>) {
        let same = |told: &Standing| (told.phase, told.why.as_str()) == (phase, why);
        if self.told.as_ref().is_some_and(same) {
            return;
        }
        let line = hint.map_or_else(|| why.to_owned(), |hint| format!("{why}. hint: {hint}"));
        match milestone(phase) {
            Some(milestone) => self.events.milestone(STEP, milestone, &line),
            None => self.events.log(STEP, &line),
        }
        notify::status(&line);
        let hint = hint.map(str::to_owned);
        let (why, since) = (why.to_owned(), Timestamp::now());
        let standing = Standing { version: 1, phase, generation, why, hint, since };
        if let Err(error) = self.memory.tell(&standing) {
            self.events.log(STEP, format!("how it stands could not be written down: {error}"));
        }
        self.told = Some(standing);
    }

    /// Does `work` and tells systemd meanwhile that this process is alive.
    async fn attended<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                end = &mut work => return end,
                () = tokio::time::sleep(self.place.second) => {
                    notify::watchdog();
                    notify::extend(GOES_ON);
                }
            }
        }
    }

    /// So many seconds.
    fn seconds(&self, count: u32) -> Duration {
        self.place.second * count
    }
}

/// Done when this process was asked to end.
type Asked = Shared<BoxFuture<'static, ()>>;

fn signals() -> Result<Asked, Fault> {
    let listen = |kind| {
        signal(kind)
            .map_err(|error| Fault::environment(format!("signals cannot be listened for: {error}")))
    };
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let asked = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    Ok(asked.boxed().shared())
}
