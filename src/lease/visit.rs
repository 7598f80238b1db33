//! A person's visit to a lease: looks at it, and breaks it.
//!
//! The thin shell of [`Status`] and [`super::broken`]. Like the holder, it never touches the file
//! system itself: the clerk does, with a deadline, so that a dead mount is told and not shared.

#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;

use super::broken::{Breakable, Course, Wish};
use super::claim::{Head, Observed};
use super::clerk::{Answer, Desk, Request, Shown};
use super::ground::Ground;
use super::order::Order;
use super::outlook::{Ahead, Foresight, Outlook, newcomer};
use super::record::{Holder, Record};
use super::stand::Stand;
use super::status::{Status, is_holder};
use super::witness;
use super::word::Word;
use crate::error::Fault;
use crate::sys::Runner;

/// A healthy file system answers in milliseconds. Nobody looks at a dead one for longer than this.
const PATIENCE: Duration = Duration::from_secs(8);

/// One visit.
#[derive(Debug)]
pub struct Visit<'a> {
    order: &'a Order,
    runner: Runner,
    desk: Desk,
    /// Whether AWS is left alone.
    is_offline: bool,
    /// How long one request to the clerk may take.
    patience: Duration,
}

/// How a break ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// This claim was made, and the head says so; and who had the home before, if that is known.
    Broken(Box<Record>, Option<Box<Holder>>),
    /// It was made earlier, and now the head says so, too.
    Finished(Box<Record>),
    /// All was done already.
    Nothing(Box<Record>),
}

impl<'a> Visit<'a> {
    /// To the lease of this host.
    pub fn new(order: &'a Order, runner: Runner) -> Self {
        let desk = Desk::new(runner.clone(), &order.mount_point, &order.me.fs_id);
        Self { order, runner, desk, is_offline: false, patience: PATIENCE }
    }

    /// The same, and AWS is not asked.
    #[must_use]
    pub const fn offline(mut self, is_offline: bool) -> Self {
        self.is_offline = is_offline;
        self
    }

    /// The same, on whatever is good enough where it is mounted.
    #[must_use]
    pub fn on(mut self, ground: Ground) -> Self {
        self.desk = self.desk.on(ground);
        self
    }

    /// Not patient.
    #[cfg(test)]
    const fn in_a_hurry(mut self) -> Self {
        self.patience = Duration::from_millis(200);
        self
    }

    /// What stands on the file system.
    pub async fn shown(&mut self) -> Result<Shown, Fault> {
        match self.desk.ask(&Request::Show, self.patience).await {
            Answer::Shown(shown) => Ok(*shown),
            other => Err(refusal("the lease cannot be looked at", &other)),
        }
    }

    /// How the lease stands.
    pub async fn status(&mut self) -> Result<Status, Fault> {
        let shown = self.shown().await?;
        let stand = Stand::of(&shown, &self.order.me.fs_id);
        let me = newcomer(&self.order.me, is_holder(&stand, &self.order.me));
        let mut ahead = Foresight::new(me, self.order.manner(), &shown);
        let outlook = self.foresee(&mut ahead, &shown).await;
        Ok(Status::new(self.order, &shown, ahead.heard(), outlook, Timestamp::now()))
    }

    async fn foresee(&mut self, ahead: &mut Foresight, shown: &Shown) -> Outlook {
        let mut answer = Observed::Head(shown.head.clone());
        loop {
            answer = match ahead.next(answer) {
                Ahead::Ask(holder, generation) => {
                    Observed::Word(self.word(&holder, generation).await)
                }
                Ahead::Read(generation) => Observed::Claim(self.claim_of(generation).await),
                Ahead::Seen(outlook) => return outlook,
            };
        }
    }

    async fn claim_of(&mut self, generation: u64) -> Option<Head> {
        match self.desk.ask(&Request::ReadClaim(generation), self.patience).await {
            Answer::Claim(claim) => claim,
            _ => None,
        }
    }

    /// What AWS says of the holder of a generation.
    async fn word(&mut self, holder: &Holder, generation: u64) -> Word {
        if self.is_offline {
            return Word::Silent("--offline was given".to_owned());
        }
        let word = witness::ask(&self.runner, self.order, holder).await;
        match word {
            Word::NotFound { age: None } => {
                let age = self.desk.ask(&Request::Age(generation), self.patience).await;
                Word::NotFound { age: if let Answer::Age(age) = age { Some(age) } else { None } }
            }
            word => word,
        }
    }

    /// Breaks the lease.
    ///
    /// # Errors
    /// It must not be broken, or has moved on, or the file system did not do it.
    pub async fn break_it(&mut self, wish: &Wish) -> Result<End, Fault> {
        let shown = self.shown().await?;
        match Course::find(self.order, &shown, wish)? {
            Course::Nothing(record) => Ok(End::Nothing(record)),
            Course::Finish(record) => {
                self.make_head(&record).await?;
                Ok(End::Finished(record))
            }
            Course::Break(breakable) => self.carry_out(&breakable, wish).await,
        }
    }

    async fn carry_out(&mut self, breakable: &Breakable, wish: &Wish) -> Result<End, Fault> {
        let suspect = breakable.suspect(&self.order.me).cloned();
        let word = match &suspect {
            Some(holder) => Some(self.word(holder, breakable.generation).await),
            None => None,
        };
        let evidence = breakable.evidence(&self.order.me, word.as_ref());
        let now = Timestamp::now();
        let record = Box::new(breakable.claim(self.order, wish, evidence, word.as_ref(), now)?);
        match self.desk.ask(&Request::Claim(record.clone()), self.patience).await {
            Answer::Claimed => {}
            Answer::Taken => {
                return Err(Fault::step(format!(
                    "generation {} was claimed by another host just now: nothing was broken",
                    record.generation
                ))
                .hint("look again with `hostkit lease status`"));
            }
            other => {
                let fault = refusal("the break was not written, or nobody knows whether", &other);
                return Err(fault);
            }
        }
        if self.desk.ask(&Request::Announce, self.patience).await != Answer::Done {
            self.make_head(&record).await?;
        }
        Ok(End::Broken(record, suspect.map(Box::new)))
    }

    /// Has the head say what the claim says. It is this or a later claim that is the last one
    /// anyway: whoever holds a later one puts the head right.
    async fn make_head(&mut self, record: &Record) -> Result<(), Fault> {
        match self.desk.ask(&Request::Replace(Box::new(record.clone())), self.patience).await {
            Answer::Done => Ok(()),
            Answer::Failed { why, hint } => Err(Fault::step(format!(
                "generation {} is claimed, and the head does not say so: {why}",
                record.generation
            ))
            .hint(format!("{hint}; then the same command again, which does the rest"))),
            other => Err(refusal("the head was not made", &other)),
        }
    }
}

impl End {
    /// The claim that breaks it.
    pub const fn record(&self) -> &Record {
        match self {
            Self::Broken(record, _) | Self::Finished(record) | Self::Nothing(record) => record,
        }
    }
}

/// What the clerk did not do.
fn refusal(what: &str, answer: &Answer) -> Fault {
    match answer {
        Answer::Failed { why, hint } => Fault::step(format!("{what}: {why}")).hint(hint),
        other => Fault::step(format!("{what}: the clerk said something else: {other:?}")),
    }
}
