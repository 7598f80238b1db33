//! Carries a rollout out: looks, asks what is next, and does it, until it is over.
//!
//! All that is decided is in [`super::next`], [`super::back`] and [`super::reaction`]. This process may
//! end at any point: what it was to do next is decided anew by the one that carries on.

use std::time::Duration;

use aws_config::SdkConfig;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::ended::{Ended, Stopped};
use super::journal::Journal;
use super::lock::{self, Lock, Operator};
use super::look::{look, target_groups};
use super::next::{Act, End, Next, next};
use super::reaction::{Reaction, is_lost, phase_name, react};
use super::scribe::{Scribe, Unwritten};
use super::seen::Seen;
use super::stop::{self, Asked, GRACE, Stop, is_asked};
use super::telling::Teller;
use super::{Order, act, journal, neighbours, refused, soak, telling, timeline, words};
use crate::aws::Failure;
use crate::error::Fault;
use crate::event::Events;

/// What passes (throttling, 5xx, no answer) is borne so long without any answer that is better.
const BEAR: Duration = Duration::from_mins(15);
/// While it waits, the journal is written so often: a sign of life, and a look whether it is still
/// this process that carries the rollout on.
pub(super) const PULSE: SignedDuration = SignedDuration::from_secs(60);
/// Nothing is done on the word of a journal that was written longer ago: this machine may have slept,
/// and another one may carry on.
const FRESH: SignedDuration = SignedDuration::from_secs(20);

/// How often it is looked.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// The first pause, after something was seen to happen. Each is half as long again as the last.
    pub first: Duration,
    /// The longest pause while something is waited for.
    pub longest: Duration,
    /// The longest pause while AWS does not answer.
    pub patient: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(500),
            longest: Duration::from_secs(2),
            patient: Duration::from_secs(5),
        }
    }
}

/// Who carries out, on what, and who is told.
#[derive(Clone, Debug)]
pub struct Setting<'a> {
    /// How AWS is called.
    pub config: &'a SdkConfig,
    /// Who does.
    pub operator: Operator,
    /// Who is told.
    pub events: &'a Events,
    /// How often it is looked.
    pub pace: Pace,
}

/// Carries out what was agreed to, from the lock to the record. `stop` ends when somebody asks to
/// stop: then it stops where that is safe, and soon, also while AWS says nothing.
///
/// # Errors
/// Somebody else holds the lock, or a rollout is not over; AWS says nothing any more or does not know who
/// asks: then the journal has all that is needed to carry on.
pub async fn carry_out(
    setting: &Setting<'_>,
    order: Order,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<Ended> {
    if order.from.version.is_none() {
        return Err(Fault::step(format!("{} names no version of its template", order.group)).into());
    }
    let stop = stop::stop(stop);
    let now = Timestamp::now();
    let rollout = telling::id(now);
    let group = order.group.clone();
    setting.events.started("lock", "taking the lock of the group");
    let taken = Instant::now();
    let begun = begin(setting, Journal::new(&rollout, order, now), &stop);
    let mut work = match stop::ended(&stop, Box::pin(begun)).await {
        Ok(Ok(work)) if !is_asked(&stop) => work,
        ended => {
            // Nothing is changed, and nothing stands in the journal that could be carried on.
            call_off(setting, &group, &rollout).await;
            return Err(match ended {
                Ok(Err(error)) => error,
                _ => Fault::interrupted().hint("nothing was changed").into(),
            });
        }
    };
    setting.events.finished("lock", crate::event::Outcome::Changed, taken.elapsed());
    Box::pin(work.run()).await
}

/// Takes the lock, and looks whether it may be begun. The lock stays where it may not.
async fn begin<'a>(
    setting: &'a Setting<'a>,
    journal: Journal,
    stop: &Stop<'a>,
) -> anyhow::Result<Work<'a>> {
    let group = journal.order.group.clone();
    let lock = Lock::new(&journal.rollout, &setting.operator, journal.begun);
    lock::take(setting.config, &group, &lock).await?;
    let others = neighbours::apart(setting.config, &journal.order).await;
    lock::apart(setting.config, &others.map_err(|it| refused(&it))?).await?;
    let last = journal::last(setting.config, &group).await?;
    if let Some(unfinished) = last.unfinished {
        return Err(unfinished.refused(&group).into());
    }
    let journal = Journal { term: last.term, ..journal };
    Work::new(setting, Scribe::new(&group, last.number), journal, stop.clone()).await
}

/// Gives the lock back of a rollout that was not begun.
async fn call_off(setting: &Setting<'_>, group: &str, rollout: &str) {
    let given = lock::give_back(setting.config, group, rollout);
    if !matches!(tokio::time::timeout(GRACE, given).await, Ok(Ok(()))) {
        let says = format!(
            "whether the lock was given back is not known: `hostkit upgrade --asg {group} --resume` \
             gives it back"
        );
        setting.events.log("lock", says);
    }
}

/// A rollout that is being carried out.
pub(super) struct Work<'a> {
    setting: &'a Setting<'a>,
    scribe: Scribe,
    pub(super) journal: Journal,
    targets: Vec<String>,
    teller: Teller<'a>,
    pause: Duration,
    trouble: Option<Instant>,
    /// When it was last looked.
    looked: Timestamp,
    stop: Stop<'a>,
}

impl<'a> Work<'a> {
    pub(super) async fn new(
        setting: &'a Setting<'a>,
        scribe: Scribe,
        journal: Journal,
        stop: Stop<'a>,
    ) -> anyhow::Result<Self> {
        let targets = target_groups(setting.config, &journal.order.group).await;
        Ok(Self {
            setting,
            scribe,
            journal,
            targets: targets.map_err(|it| refused(&it))?,
            teller: Teller::new(setting.events),
            pause: setting.pace.first,
            trouble: None,
            looked: Timestamp::now(),
            stop,
        })
    }

    /// Who writes its journal.
    pub(super) fn writer(&self) -> &str {
        self.scribe.name()
    }

    /// Goes on until it is over, or somebody asks to stop.
    pub(super) async fn run(&mut self) -> anyhow::Result<Ended> {
        let mut seen = None;
        match Box::pin(self.course(&mut seen)).await {
            Err(error) if error.is::<Asked>() => self.put_down(seen.as_ref()).await,
            end => end,
        }
    }

    /// Goes on until it is over. `last` is what was seen last.
    ///
    /// # Errors
    /// [`Asked`], where somebody asks to stop.
    async fn course(&mut self, last: &mut Option<Seen>) -> anyhow::Result<Ended> {
        if !self.scribe.has_written() {
            self.write().await?;
        }
        loop {
            let begun = Instant::now();
            let Some(seen) = Box::pin(self.look()).await? else { continue };
            let seen = last.insert(seen);
            let now = Timestamp::now();
            let gap = now.duration_since(std::mem::replace(&mut self.looked, now));
            if gap > soak::GAP && soak::is_on(&self.journal) {
                // This machine has slept, or AWS has said nothing: nobody has watched it.
                self.journal = soak::anew(&self.journal, now);
            }
            timeline::observe(&mut self.journal, seen, now);
            self.teller.tell(&self.journal);
            if self.teller.stands(&self.journal, seen) {
                self.pause = self.setting.pace.first;
            }
            match next(&self.journal, seen, now) {
                Next::Note(noted) => self.note(*noted).await?,
                Next::Act(act) => self.perform(seen, &act).await?,
                Next::End(end) => return Ok(self.over(end, seen, now)),
                Next::Wait(what) => {
                    self.teller.waits(&what);
                    self.beat(now).await?;
                    self.pause(self.longest()).await?;
                    continue;
                }
            }
            self.journal.own += begun.elapsed().as_secs_f64();
            self.pause = self.setting.pace.first;
            // What is over is recorded, which takes two calls.
            if is_asked(&self.stop) && !self.journal.is_over() {
                return Err(Asked.into());
            }
        }
    }

    /// Looks. None where that has to be tried again.
    async fn look(&mut self) -> anyhow::Result<Option<Seen>> {
        let look = Box::pin(look(self.setting.config, &self.journal, &self.targets));
        match stop::ended(&self.stop, look).await? {
            Ok(Some(seen)) => {
                self.trouble = None;
                Ok(Some(seen))
            }
            Ok(None) => Err(Fault::step(format!("there is no group {} any more", self.group()))
                .hint("its journal and its lock are in Parameter Store")
                .into()),
            Err(failure) => self.bear(&failure).await.map(|()| None),
        }
    }

    /// Bears what passes, for a while.
    async fn bear(&mut self, failure: &Failure) -> anyhow::Result<()> {
        let since = *self.trouble.get_or_insert_with(Instant::now);
        if is_lost(failure) || !failure.is_passing() || since.elapsed() > BEAR {
            return Err(self.leave(failure));
        }
        self.teller.waits(&failure.to_string());
        self.pause(self.setting.pace.patient).await
    }

    /// Why this process does nothing more, and how another one carries on.
    fn leave(&self, failure: &Failure) -> anyhow::Error {
        let (group, phase) = (self.group(), phase_name(self.journal.phase));
        let fault = refused(failure);
        let mut hint = format!(
            "the rollout is at `{phase}`, and nothing is lost: `hostkit upgrade --asg {group} \
             --resume` carries it on, and with --back goes back"
        );
        if let Some(more) = fault.hint_text() {
            hint = format!("{more}; {hint}");
        }
        Fault::aws(fault.to_string()).hint(hint).into()
    }

    fn group(&self) -> &str {
        &self.journal.order.group
    }

    async fn note(&mut self, noted: Journal) -> anyhow::Result<()> {
        self.journal = noted;
        self.teller.tell(&self.journal);
        self.write().await
    }

    /// Writes the journal, however long that takes.
    async fn write(&mut self) -> anyhow::Result<()> {
        loop {
            match self.try_to_write().await? {
                Ok(()) => return Ok(()),
                Err(Unwritten::Refused(failure)) => self.bear(&failure).await?,
                Err(Unwritten::Fenced(why)) => return Err(self.fenced(&why)),
            }
        }
    }

    async fn try_to_write(&mut self) -> Result<Result<(), Unwritten>, Asked> {
        let written = Box::pin(self.scribe.write(self.setting.config, &mut self.journal));
        stop::ended(&self.stop, written).await
    }

    fn fenced(&self, why: &str) -> anyhow::Error {
        let group = self.group();
        Fault::step(format!(
            "somebody else writes the journal of {group}: {why}; this process does nothing more"
        ))
        .hint("`hostkit upgrade` on the other side tells how it goes on")
        .into()
    }

    /// Writes the first word of a process that carries on. Says no where the one before has written in
    /// between.
    pub(super) async fn claim(&mut self) -> anyhow::Result<bool> {
        loop {
            match self.try_to_write().await? {
                Ok(()) => return Ok(true),
                Err(Unwritten::Refused(failure)) => self.bear(&failure).await?,
                Err(Unwritten::Fenced(_)) => return Ok(false),
            }
        }
    }

    /// A sign of life while there is nothing to do.
    async fn beat(&mut self, now: Timestamp) -> anyhow::Result<()> {
        if self.scribe.silent_for(now) < PULSE {
            return Ok(());
        }
        self.write().await
    }

    async fn perform(&mut self, seen: &Seen, what: &Act) -> anyhow::Result<()> {
        if self.scribe.silent_for(Timestamp::now()).abs() > FRESH {
            self.write().await?;
        }
        let who = &self.setting.operator.who;
        let done = Box::pin(act::perform(self.setting.config, &self.journal, what, who));
        let failure = match stop::ended(&self.stop, done).await? {
            Ok(None) => return Ok(()),
            Ok(Some(noted)) => return self.note(*noted).await,
            Err(failure) => failure,
        };
        match react(&self.journal, seen, what, &failure, Timestamp::now()) {
            Reaction::Note(noted) => self.note(*noted).await,
            Reaction::Leave => Err(self.leave(&failure)),
            Reaction::Again if failure.is_passing() => self.bear(&failure).await,
            Reaction::Again => {
                self.teller.waits(&failure.to_string());
                self.pause(self.setting.pace.patient).await
            }
        }
    }

    /// The longest pause while something is waited for, or what is proven is watched.
    fn longest(&self) -> Duration {
        let pace = self.setting.pace;
        if soak::is_on(&self.journal) { pace.patient } else { pace.longest }
    }

    /// Pauses, ever longer.
    async fn pause(&mut self, longest: Duration) -> anyhow::Result<()> {
        stop::pause(&self.stop, self.pause.min(longest)).await?;
        self.pause = (self.pause * 3 / 2).min(longest);
        Ok(())
    }

    /// Stops where it is, so that another process may carry on at once.
    async fn put_down(&mut self, seen: Option<&Seen>) -> anyhow::Result<Ended> {
        self.journal.stopped = true;
        let heard = match tokio::time::timeout(GRACE, self.last_word()).await {
            Ok(Err(Unwritten::Fenced(why))) => return Err(self.fenced(&why)),
            Ok(Err(Unwritten::Refused(_))) | Err(_) => false,
            Ok(Ok(())) => true,
        };
        self.teller.stopped();
        Ok(Ended::Stopped(Stopped {
            rollout: self.journal.rollout.clone(),
            group: self.group().to_owned(),
            way: self.journal.way,
            phase: self.journal.phase,
            stands: words::put_down(&self.journal, seen, heard),
            commands: words::ways_on(&self.journal),
        }))
    }

    /// Says that nobody is at work any more. What passes is borne, by whoever waits for this.
    async fn last_word(&mut self) -> Result<(), Unwritten> {
        loop {
            let written = Box::pin(self.scribe.write(self.setting.config, &mut self.journal));
            match written.await {
                Err(Unwritten::Refused(failure)) if failure.is_passing() => {
                    tokio::time::sleep(self.setting.pace.first).await;
                }
                end => return end,
            }
        }
    }

    fn over(&self, end: End, seen: &Seen, now: Timestamp) -> Ended {
        self.teller.over(&self.journal);
        let who = &self.setting.operator.who;
        match end {
            End::Done => Ended::Done(words::summary(&self.journal, who, now)),
            End::Back => Ended::Back(words::summary(&self.journal, who, now)),
            End::Stuck => Ended::Stuck(words::stuck(&self.journal, seen)),
        }
    }
}
