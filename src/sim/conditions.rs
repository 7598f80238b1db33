//! How fast, and how consistent, the simulated AWS is.

use std::time::Duration;

use jiff::SignedDuration;

/// How long a snapshot takes from `CompleteSnapshot` (or `CreateSnapshot`) to `completed` on AWS.
pub const SNAPSHOT: Duration = Duration::from_secs(20);
/// How long an image takes from `RegisterImage` or `CreateImage` to `available` on AWS, beside its
/// snapshots.
pub const IMAGE: Duration = Duration::from_secs(30);
/// How long a copy of an image or a snapshot takes on AWS.
pub const COPY: Duration = Duration::from_mins(1);

/// The conditions of the whole account.
#[derive(Clone, Debug, PartialEq)]
pub struct Conditions {
    /// How many times faster than AWS all is that takes time.
    pub speed: f64,
    /// How many blocks a second can be put into one snapshot.
    pub puts_per_second: u32,
    /// For how long after `StartSnapshot` the snapshot's blocks cannot be put, in AWS's time.
    pub appears_after: Duration,
    /// How many times faster than AWS a snapshot is given up that nobody writes. Not [`Self::speed`]:
    /// those who write are no faster here.
    pub impatience: f64,
    /// How many snapshots of a region can be written at a time.
    pub pending_snapshots: usize,
    /// For how long descriptions do not tell of a new thing, in AWS's time.
    pub unseen_for: Duration,
    /// For how long after its launch load balancers find no instance well, in AWS's time.
    pub unwell_for: Duration,
    /// How far the clock of AWS is ahead of this machine's.
    pub clock_ahead: SignedDuration,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            speed: 20.0,
            puts_per_second: 1000,
            appears_after: Duration::from_secs(1),
            impatience: 1.0,
            pending_snapshots: 100,
            unseen_for: Duration::ZERO,
            unwell_for: Duration::ZERO,
            clock_ahead: SignedDuration::ZERO,
        }
    }
}

impl Conditions {
    /// How long something takes here that takes so long on AWS.
    pub fn takes(&self, on_aws: Duration) -> Duration {
        Duration::try_from_secs_f64(on_aws.as_secs_f64() / self.speed).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_time_takes_less_of_it() {
        let conditions = Conditions::default();
        assert_eq!(conditions.takes(SNAPSHOT), Duration::from_secs(1));
        let hurried = Conditions { speed: 1e6, ..conditions };
        assert_eq!(hurried.takes(COPY), Duration::from_micros(60));
    }
}
