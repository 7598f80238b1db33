//! What happened, to whom, and when: one clock for all hosts of a rehearsal.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::Serialize;

use crate::event::Events;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Line {
    /// Seconds since the rehearsal began.
    pub at: f64,
    /// The host, `A` and so on; or what it happened to.
    pub who: String,
    /// What.
    pub what: String,
}

/// Writes it down. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Story {
    events: Events,
    began: Instant,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    lines: Vec<Line>,
    /// Instances and file systems, and what they are called here.
    names: Vec<(String, String)>,
}

impl Story {
    /// The clock starts now.
    pub fn new(events: Events) -> Self {
        Self { events, began: Instant::now(), inner: Arc::default() }
    }

    /// From now on `id` is called `name` in all that is told.
    pub fn name(&self, id: &str, name: &str) {
        self.lock().names.push((id.to_owned(), name.to_owned()));
    }

    /// What an id is called.
    pub fn called(&self, id: &str) -> String {
        let inner = self.lock();
        let found = inner.names.iter().find(|(known, _)| known == id);
        found.map_or_else(|| id.to_owned(), |(_, name)| name.clone())
    }

    /// Something happened.
    pub fn tell(&self, who: &str, what: &str) {
        let at = self.seconds(Instant::now());
        let mut inner = self.lock();
        let mut what = what.to_owned();
        for (id, name) in &inner.names {
            what = what.replace(id, name);
        }
        self.events.log("night", format!("{at:7.1} s  {who:<3} {what}"));
        inner.lines.push(Line { at, who: who.to_owned(), what });
    }

    /// A moment on this clock, in seconds.
    pub fn seconds(&self, moment: Instant) -> f64 {
        let seconds = moment.saturating_duration_since(self.began).as_secs_f64();
        (seconds * 1000.0).round() / 1000.0
    }

    /// The moment from which times count.
    pub const fn began(&self) -> Instant {
        self.began
    }

    /// How many lines there are.
    pub fn length(&self) -> usize {
        self.lock().lines.len()
    }

    /// The lines from one on.
    pub fn since(&self, length: usize) -> Vec<Line> {
        self.lock().lines[length..].to_vec()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_names_that_people_can_keep_apart() {
        let story = Story::new(Events::silent());
        story.name("i-0123456789abcdef0", "A");
        story.tell("B", "waiting: EC2 says that i-0123456789abcdef0 is running");
        let lines = story.since(0);
        assert_eq!(lines[0].what, "waiting: EC2 says that A is running");
        assert_eq!((lines[0].who.as_str(), story.length()), ("B", 1));
        assert_eq!(
            (story.called("i-0123456789abcdef0"), story.called("i-1")),
            ("A".into(), "i-1".into())
        );
    }
}
