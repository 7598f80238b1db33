//! How often a step looks at what it waits for.

use std::time::Duration;

use tokio::time::Instant;

/// Of the time that was waited, a look may come so late.
const SHARE: u32 = 10;
/// The first looks come so much sooner than the later ones.
const SOONER: u32 = 20;

/// Looks that become rarer: most of what a boot waits for takes moments, and each look is a process. What
/// comes is noticed at most a tenth later than it came, or a pause.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    longest: Duration,
    began: Instant,
}

impl Pace {
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
        let pace = Pace::new(Duration::from_secs(1));
        let next = |waited: u64| pace.next(Duration::from_millis(waited)).as_millis();
        assert_eq!([0, 400, 700, 5000, 90_000].map(next), [50, 50, 70, 500, 1000]);
    }
}
