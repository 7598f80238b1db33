//! How often a step looks at what it waits for.

use std::time::Duration;

use tokio::time::Instant;

/// The next look is after this part of what was waited already.
const SHARE: u32 = 10;
/// And after this part of the longest pause at least.
const SOONER: u32 = 20;

/// Looks that become rarer: most of what a boot waits for takes moments, and a look may be a process. What
/// comes is noticed late by a tenth of the time that it took: by a twentieth of the longest pause at least, and
/// by that pause at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cadence {
    longest: Duration,
    began: Instant,
}

impl Cadence {
    /// From now on, with pauses of at most `longest`.
    pub(super) fn new(longest: Duration) -> Self {
        Self { longest, began: Instant::now() }
    }

    /// Waits until the next look.
    pub(super) async fn pause(&self) {
        tokio::time::sleep(self.next(self.began.elapsed())).await;
    }

    fn next(&self, waited: Duration) -> Duration {
        (waited / SHARE).clamp(self.longest / SOONER, self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_moments_is_seen_at_once_and_what_takes_long_is_not_asked_for_often() {
        let cadence = Cadence::new(Duration::from_secs(1));
        let next = |waited: u64| cadence.next(Duration::from_millis(waited)).as_millis();
        assert_eq!([0, 400, 700, 5000, 90_000].map(next), [50, 50, 70, 500, 1000]);
    }
}
