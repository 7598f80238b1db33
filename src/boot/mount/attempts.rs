//! The attempts to mount one file system: how long, how often, and which of them are news.
//!
//! `mount.nfs` would try for two minutes and then say little, and a unit of systemd is not tried
//! again. So every attempt is short, and told apart from the last.

use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::groups::Groups;
use super::wanted::Wanted;
use crate::boot::context::Context;
use crate::event::Outcome;

/// Why an attempt came to nothing.
#[derive(Debug)]
pub(super) struct Problem {
    /// What went wrong.
    pub error: anyhow::Error,
    /// Whether time heals it.
    pub then: Then,
}

/// What comes after an attempt that came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// The next one, soon.
    Again,
    /// The next one, later each time: the other side has had too many.
    Later,
    /// No other one: it would end alike.
    Never,
}

impl Problem {
    /// The next attempt may succeed.
    pub(super) fn passing(error: impl Into<anyhow::Error>) -> Self {
        Self { error: error.into(), then: Then::Again }
    }

    /// No attempt will succeed.
    pub(super) fn last(error: impl Into<anyhow::Error>) -> Self {
        Self { error: error.into(), then: Then::Never }
    }
}

/// What the attempts to mount one file system share.
#[derive(Debug)]
pub(super) struct Attempts<'a> {
    /// What is to be mounted.
    pub wanted: &'a Wanted,
    /// Whether a mount that had gone stale was taken away already: once is enough to tell.
    pub remounted: bool,
    /// The security groups of both sides, once somebody asked.
    pub groups: OnceCell<Groups>,
    began: Instant,
    budget: Duration,
}

impl<'a> Attempts<'a> {
    fn new(wanted: &'a Wanted, budget: Duration) -> Self {
        let (began, groups) = (Instant::now(), OnceCell::new());
        Self { wanted, remounted: false, groups, began, budget }
    }

    /// Whether so much time has passed that what may be old is better than nothing.
    pub(super) fn is_patient(&self) -> bool {
        self.began.elapsed() >= self.budget / 3
    }
}

/// Attempts to mount `wanted` until it is there, time is up, or it is clear that it will not be.
pub(super) async fn all(
    context: &Context,
    step: &'static str,
    wanted: &Wanted,
) -> anyhow::Result<Outcome> {
    let machine = &context.machine;
    let mut attempts = Attempts::new(wanted, machine.mount_budget);
    let shortest = machine.pause * 2;
    let mut longer = shortest;
    let mut last = String::new();
    loop {
        let problem = match super::attempt(context, step, &mut attempts).await {
            Ok(outcome) => return Ok(outcome),
            Err(problem) => problem,
        };
        let pause = match problem.then {
            Then::Never => return Err(problem.error),
            Then::Again => shortest,
            Then::Later => {
                longer = (longer * 2).min(shortest * 8);
                // Those who were sent away together do not come back together.
                longer.mul_f64(0.5 + fastrand::f64() / 2.0)
            }
        };
        if attempts.began.elapsed() + pause > attempts.budget {
            let budget = attempts.budget;
            let what = format!("mounting {} at {} for {budget:?}", wanted.id, wanted.point);
            return Err(problem.error.context(what));
        }
        // The same news every two seconds is no news.
        let text = format!("{:#}", problem.error);
        if text != last {
            context.events.log(step, &text);
            last = text;
        }
        tokio::time::sleep(pause).await;
    }
}
