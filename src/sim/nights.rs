//! What all rehearsals have in common: how long they may take, what each night had to show, and how
//! all of them were.

use std::time::Duration;

use serde::Serialize;

use super::vm::watch::Watch;
use crate::event::Outcome;

/// Longer than all nights can take: each wait has a time-out of its own.
const TIMEOUT: Duration = Duration::from_hours(24);

/// Something that a night must show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub what: String,
    /// Whether it was so.
    pub holds: bool,
    /// What was seen.
    pub seen: String,
}

/// A night that was played.
pub trait Played {
    /// Its name on the command line.
    fn name(&self) -> &'static str;
    /// Whether everything was as it must be.
    fn holds(&self) -> bool;
}

/// All nights.
#[derive(Clone, Debug, Serialize)]
pub struct Ended<T> {
    /// The form of this, as JSON.
    pub version: u32,
    /// One for each, in order.
    pub nights: Vec<T>,
    /// How many machines were booted.
    pub boots: usize,
    /// How long all of it took, in seconds.
    pub seconds: f64,
}

impl<T: Played> Ended<T> {
    /// Whether everything was as it must be.
    pub fn holds(&self) -> bool {
        self.nights.iter().all(Played::holds)
    }

    /// The nights in which something was not as it must be, by their names.
    pub fn wrong(&self) -> Vec<&'static str> {
        self.nights.iter().filter(|night| !night.holds()).map(Played::name).collect()
    }
}

/// Plays all nights, until they are over or somebody asks to stop.
pub(super) async fn watched<T>(
    work: impl Future<Output = anyhow::Result<Ended<T>>>,
) -> anyhow::Result<Ended<T>> {
    Watch::new(TIMEOUT)?.over("all nights were over", Box::pin(work)).await
}

/// How a night ended, for those who watch: with what broke it off, or with what was not so.
pub fn outcome(failed: Option<&str>, holds: bool, checks: &[Check]) -> Outcome {
    match (failed, holds) {
        (Some(why), _) => Outcome::Failed(why.to_owned()),
        (None, false) => {
            let wrong = checks.iter().filter(|check| !check.holds);
            let wrong: Vec<_> =
                wrong.map(|check| format!("{}: {}", check.what, check.seen)).collect();
            Outcome::Failed(wrong.join("; "))
        }
        (None, true) => Outcome::Changed,
    }
}
