//! What a child is doing, and what it has done: so that one that hangs can say in what.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::trouble::Trouble;

/// Something that was done, and how long it took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What.
    pub what: String,
    /// In microseconds.
    pub micros: u64,
}

impl Step {
    /// For people: `statfs 12.3 ms`.
    pub fn told(&self) -> String {
        format!("{} {}", self.what, milliseconds(self.micros))
    }

    /// Several, for people.
    pub fn list(steps: &[Self]) -> String {
        steps.iter().map(Self::told).collect::<Vec<_>>().join(", ")
    }
}

/// Microseconds, for people.
pub(super) fn milliseconds(micros: u64) -> String {
    format!("{}.{} ms", micros / 1000, micros % 1000 / 100)
}

/// That something does not end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hang {
    /// What the child was doing; empty where it could not even say that.
    pub doing: String,
    /// What it had done before.
    pub done: Vec<Step>,
    /// After how long it was given up, in milliseconds.
    pub after: u64,
    /// What is left of the child, if the kernel held on to it when it was killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Left>,
}

/// A child that was killed and is not gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Its process id.
    pub pid: u32,
    /// Its state, as `/proc/PID/stat` has it: `D` where it waits in the kernel.
    pub state: char,
}

/// What a child is doing. Shared by the threads that work and the one that answers.
#[derive(Debug, Default)]
pub struct Notebook(Mutex<Notes>);

#[derive(Debug, Default)]
struct Notes {
    doing: HashMap<ThreadId, (Instant, String)>,
    done: Vec<Step>,
}

impl Notebook {
    /// Notes what this thread does next.
    pub fn doing(&self, what: impl Into<String>) {
        self.notes().doing.insert(std::thread::current().id(), (Instant::now(), what.into()));
    }

    /// Notes that this thread does nothing more.
    pub fn rests(&self) {
        self.notes().doing.remove(&std::thread::current().id());
    }

    /// Does a step of several whose times count.
    ///
    /// # Errors
    /// It failed: in what, and how.
    pub fn step<T>(&self, what: &str, work: impl FnOnce() -> io::Result<T>) -> Result<T, Trouble> {
        self.doing(what);
        let began = Instant::now();
        let end = work();
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.notes().done.push(Step { what: what.to_owned(), micros });
        end.map_err(|error| Trouble::new(what, &error))
    }

    /// What was done with [`Notebook::step`].
    pub fn done(&self) -> Vec<Step> {
        self.notes().done.clone()
    }

    /// That it has not ended after so long. Of several things that are being done the oldest is it.
    pub(super) fn hang(&self, after: Duration) -> Hang {
        let notes = self.notes();
        let oldest = notes.doing.values().min_by_key(|(since, _)| *since);
        let doing = oldest.map(|(_, what)| what.clone()).unwrap_or_default();
        let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        Hang { doing, done: notes.done.clone(), after, left: None }
    }

    /// What has been going on for longer than this.
    pub(super) fn longer_than(&self, limit: Duration) -> Vec<String> {
        let notes = self.notes();
        let long = notes.doing.values().filter(|(since, _)| since.elapsed() > limit);
        long.map(|(_, what)| what.clone()).collect()
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
