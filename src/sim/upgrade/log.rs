//! What was seen of each instance, and when, on the clock of the story.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Something that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// EC2 says this of it, in its word.
    State(&'static str),
    /// Its group has it here, in its word.
    Lifecycle(String),
    /// It has asked its metadata service: the agent, or what comes before it, runs.
    Metadata,
    /// It has come to the file system.
    Files,
    /// It has the tag `hostkit:drain` with this value, or not any more.
    Drain(Option<String>),
    /// Its guard says how it stands, and how many builds run.
    Standing(String, Option<u64>),
    /// It holds the home.
    Holds,
    /// It has released the home.
    Released,
    /// It serves this version.
    Serves(String),
    /// It does not serve any more.
    Silent,
    /// The load balancer says this of it.
    Target(&'static str),
    /// The [`NIGHT`] breaks something.
    Breaks,
    /// That is as it was.
    Mends,
}

/// What stands in the place of an instance where the night itself does something.
pub(super) const NIGHT: &str = "night";

/// What was seen of one instance at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// Since the story began.
    pub(super) at: Duration,
    /// Which.
    pub(super) instance: String,
    /// What.
    pub(super) sight: Sight,
}

/// All moments so far. Cheap to clone: it stays one.
#[derive(Clone, Debug, Default)]
pub(super) struct Log(Arc<Mutex<Vec<Moment>>>);

impl Log {
    /// Something was seen.
    pub(super) fn saw(&self, at: Duration, instance: &str, sight: Sight) {
        let moment = Moment { at, instance: instance.to_owned(), sight };
        let mut all = self.lock();
        // What comes late is put where it belongs.
        let place = all.partition_point(|other| other.at <= at);
        all.insert(place, moment);
    }

    /// All, in order.
    pub(super) fn all(&self) -> Vec<Moment> {
        self.lock().clone()
    }

    /// When something was first seen of an instance, from a moment on.
    pub(super) fn first(
        &self,
        instance: &str,
        from: Duration,
        wanted: impl Fn(&Sight) -> bool,
    ) -> Option<Duration> {
        first(&self.lock(), instance, from, wanted)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Moment>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As [`Log::first`].
pub(super) fn first(
    moments: &[Moment],
    instance: &str,
    from: Duration,
    wanted: impl Fn(&Sight) -> bool,
) -> Option<Duration> {
    let fits = |one: &&Moment| one.instance == instance && one.at >= from && wanted(&one.sight);
    moments.iter().find(fits).map(|one| one.at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_in_order_whenever_they_come() {
        let log = Log::default();
        let at = Duration::from_secs;
        log.saw(at(3), "i-1", Sight::Silent);
        log.saw(at(1), "i-1", Sight::Holds);
        log.saw(at(2), "i-2", Sight::Holds);
        let times: Vec<_> = log.all().iter().map(|one| one.at.as_secs()).collect();
        assert_eq!(times, [1, 2, 3]);
        let holds = |sight: &Sight| *sight == Sight::Holds;
        assert_eq!(log.first("i-2", at(0), holds), Some(at(2)));
        assert_eq!(log.first("i-1", at(2), holds), None);
    }
}
