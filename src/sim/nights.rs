//! What all rehearsals end with: what each night had to show, and how all of them were. Pure.

use serde::Serialize;

use crate::event::Outcome;

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
