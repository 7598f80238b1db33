//! Carries a rollout out: looks, asks what is next, and does it, until it is over.
//!
//! All that is decided is in [`super::next`], [`super::back`] and [`super::reaction`]. This process may
//! end at any point: what it was to do next is decided anew by the one that carries on.

use std::pin::Pin;
use std::time::Duration;

use aws_config::SdkConfig;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::ended::{Ended, Stopped};
use super::journal::{Journal, Scribe, Unwritten};
use super::lock::{self, Lock, Operator};
use super::look::{look, target_groups};
use super::next::{Act, End, Next, next};
use super::reaction::{Reaction, is_lost, phase_name, react};
use super::seen::Seen;
use super::telling::Teller;
use super::{Order, act, journal, neighbours, refused, telling, timeline, words};
use crate::aws::{Failure, ssm};
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
/// stop: then it stops where that is safe.
///
/// # Errors
/// Somebody else holds the lock; AWS says nothing any more or does not know who asks: then the journal
/// has all that is needed to carry on.
pub async fn carry_out(
    setting: &Setting<'_>,
    order: Order,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<Ended> {
    if order.from.version.is_none() {
        return Err(Fault::step(format!("{} names no version of its template", order.group)).into());
    }
    let now = Timestamp::now();
    let rollout = telling::id(now);
    let group = order.group.clone();
    setting.events.started("lock", "taking the lock of the group");
    let begun = Instant::now();
    lock::take(setting.config, &group, &Lock::new(&rollout, &setting.operator, now)).await?;
    let mut work = match Box::pin(prepare(setting, Journal::new(&rollout, order, now))).await {
        Ok(work) => work,
        Err(error) => {
            // Nothing is changed, and nothing stands in the journal that could be carried on.
            let _ = ssm::remove(setting.config, &lock::parameter(&group)).await;
            return Err(error);
        }
    };
    setting.events.finished("lock", crate::event::Outcome::Changed, begun.elapsed());
    work.write().await?;
    Box::pin(work.run(stop)).await
}

/// What is read between the lock and the first word of the journal.
async fn prepare<'a>(setting: &'a Setting<'a>, journal: Journal) -> anyhow::Result<Work<'a>> {
    let group = journal.order.group.clone();
    let others = neighbours::apart(setting.config, &journal.order).await;
    lock::apart(setting.config, &group, &others.map_err(|it| refused(&it))?).await?;
    let last = journal::number(setting.config, &group).await?;
    Work::new(setting, Scribe::new(&group, last), journal).await
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
}

impl<'a> Work<'a> {
    pub(super) async fn new(
        setting: &'a Setting<'a>,
        scribe: Scribe,
        journal: Journal,
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
        })
    }

    /// Goes on until it is over, or somebody asks to stop.
    pub(super) async fn run(&mut self, stop: impl Future<Output = ()>) -> anyhow::Result<Ended> {
        let mut stop = std::pin::pin!(stop);
        loop {
            let begun = Instant::now();
            let Some(seen) = Box::pin(self.look()).await? else { continue };
            let now = Timestamp::now();
            timeline::observe(&mut self.journal, &seen, now);
            self.teller.tell(&self.journal);
            if self.teller.stands(&self.journal, &seen) {
                self.pause = self.setting.pace.first;
            }
            match next(&self.journal, &seen, now) {
                Next::Note(noted) => self.note(*noted).await?,
                Next::Act(act) => self.perform(&seen, &act).await?,
                Next::End(end) => return Ok(self.over(end, &seen, now)),
                Next::Wait(what) => {
                    self.teller.waits(&what);
                    self.beat(now).await?;
                    if self.rest(stop.as_mut()).await {
                        return self.put_down(&seen).await;
                    }
                    continue;
                }
            }
            self.journal.own += begun.elapsed().as_secs_f64();
            self.pause = self.setting.pace.first;
            if asked(stop.as_mut()).await && !self.journal.is_over() {
                return self.put_down(&seen).await;
            }
        }
    }

    /// Looks. None where that has to be tried again.
    async fn look(&mut self) -> anyhow::Result<Option<Seen>> {
        match Box::pin(look(self.setting.config, &self.journal, &self.targets)).await {
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
        self.pause(self.setting.pace.patient).await;
        Ok(())
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
    pub(super) async fn write(&mut self) -> anyhow::Result<()> {
        loop {
            match self.scribe.write(self.setting.config, &mut self.journal).await {
                Ok(()) => return Ok(()),
                Err(Unwritten::Refused(failure)) => self.bear(&failure).await?,
                Err(Unwritten::Fenced(why)) => {
                    let group = self.group();
                    return Err(Fault::step(format!(
                        "somebody else writes the journal of {group}: {why}; this process does \
                         nothing more"
                    ))
                    .hint("`hostkit upgrade` on the other side tells how it goes on")
                    .into());
                }
            }
        }
    }

    /// Writes the first word of a process that carries on. Says no where the one before has written in
    /// between.
    pub(super) async fn claim(&mut self) -> anyhow::Result<bool> {
        loop {
            match self.scribe.write(self.setting.config, &mut self.journal).await {
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
        let failure = match act::perform(self.setting.config, &self.journal, what, who).await {
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
                self.pause(self.setting.pace.patient).await;
                Ok(())
            }
        }
    }

    async fn pause(&mut self, longest: Duration) {
        tokio::time::sleep(self.pause.min(longest)).await;
        self.pause = (self.pause * 3 / 2).min(longest);
    }

    /// Pauses. Whether somebody asked to stop.
    async fn rest(&mut self, stop: Pin<&mut impl Future<Output = ()>>) -> bool {
        tokio::select! {
            biased;
            () = stop => true,
            () = self.pause(self.setting.pace.longest) => false,
        }
    }

    /// Stops where it is, so that another process may carry on at once.
    async fn put_down(&mut self, seen: &Seen) -> anyhow::Result<Ended> {
        self.journal.stopped = true;
        self.write().await?;
        self.teller.stopped();
        Ok(Ended::Stopped(Stopped {
            rollout: self.journal.rollout.clone(),
            group: self.group().to_owned(),
            way: self.journal.way,
            phase: self.journal.phase,
            stands: words::stands(&self.journal, seen),
            commands: words::ways_on(&self.journal),
        }))
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

/// Whether somebody has asked to stop already.
async fn asked(stop: Pin<&mut impl Future<Output = ()>>) -> bool {
    tokio::select! {
        biased;
        () = stop => true,
        () = std::future::ready(()) => false,
    }
}
