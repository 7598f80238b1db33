//! How many puts a second: a token bucket whose rate gives way when AWS throttles. Pure: the time
//! is told.

use std::time::{Duration, Instant};

use crate::aws::ebs::Throttle;

/// How long the bucket fills, in seconds: a thread that was kept from running for so long makes up
/// for it, and in no second more than a twentieth is put on top.
const FULL: f64 = 0.05;

/// How much faster it gets every second after it gave way, in puts a second.
const GROWTH: f64 = 25.0;

/// It never gets slower than this, in puts a second.
const SLOWEST: f64 = 2.0;

/// Where it begins if it is throttled before anything was acknowledged.
const UNMEASURED: f64 = 100.0;

/// The rate of one upload.
#[derive(Debug)]
pub(super) struct Rate {
    /// As fast as it may ever be.
    ceiling: Option<f64>,
    /// As fast as it is now. None is without limit.
    now: Option<f64>,
    tokens: f64,
    filled: Instant,
    gave_way: Option<Instant>,
    pulse: Pulse,
}

/// How fast puts are acknowledged.
#[derive(Debug)]
struct Pulse {
    since: Instant,
    count: u32,
    last: Option<f64>,
}

impl Rate {
    pub(super) const fn new(ceiling: Option<f64>, now: Instant) -> Self {
        let pulse = Pulse { since: now, count: 0, last: None };
        Self { ceiling, now: ceiling, tokens: 1.0, filled: now, gave_way: None, pulse }
    }

    /// Takes a token, or says when there is one.
    pub(super) fn take(&mut self, now: Instant) -> Result<(), Instant> {
        let Some(mut rate) = self.now else { return Ok(()) };
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = now;
        if self.gave_way.is_some() {
            rate = (rate + GROWTH * passed).min(self.ceiling.unwrap_or(f64::INFINITY));
            self.now = Some(rate);
        }
        self.tokens = (self.tokens + rate * passed).min((rate * FULL).max(1.0));
        if self.tokens < 1.0 {
            // What rounding leaves out must not be waited for again and again.
            let wait = Duration::from_secs_f64((1.0 - self.tokens) / rate);
            return Err(now + wait + Duration::from_micros(1));
        }
        self.tokens -= 1.0;
        Ok(())
    }

    /// A put was acknowledged.
    pub(super) fn acknowledged(&mut self, now: Instant) {
        let pulse = &mut self.pulse;
        pulse.count += 1;
        let passed = now.saturating_duration_since(pulse.since).as_secs_f64();
        if passed >= 0.5 {
            let last = Some(f64::from(pulse.count) / passed);
            *pulse = Pulse { since: now, count: 0, last };
        }
    }

    /// A put that was sent at `sent` was throttled. What was sent before the rate last gave way says
    /// nothing about the new one.
    pub(super) fn throttled(&mut self, whose: Throttle, sent: Instant, now: Instant) {
        if self.gave_way.is_some_and(|then| sent < then) {
            return;
        }
        let factor = match whose {
            // The limit is known, and nobody else writes to this snapshot.
            Throttle::Snapshot => 0.9,
            Throttle::Account => 0.7,
            Throttle::Dependency => 0.5,
        };
        let measured = self.measured(now);
        let rate = self.now.map_or(measured, |rate| rate.min(measured.max(rate / 2.0)));
        self.now = Some((rate * factor).max(SLOWEST));
        self.gave_way = Some(now);
        self.tokens = 0.0;
        self.filled = now;
    }

    /// How many puts a second were acknowledged of late.
    fn measured(&self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.pulse.since).as_secs_f64();
        let current = || (passed > 0.05).then(|| f64::from(self.pulse.count) / passed);
        self.pulse.last.or_else(current).filter(|rate| *rate > 0.0).unwrap_or(UNMEASURED)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    /// Takes whenever it may for some seconds; `pause` is how late it comes.
    fn taken(rate: &mut Rate, start: Instant, seconds: u64, pause: Duration) -> u32 {
        let (mut now, end) = (start, start + Duration::from_secs(seconds));
        let mut count = 0;
        while now < end {
            match rate.take(now) {
                Ok(()) => count += 1,
                Err(at) => now = at + pause,
            }
        }
        count
    }

    proptest! {
        #[test]
        fn it_is_never_faster_than_its_ceiling_and_hardly_slower(
            ceiling in 50.0..2000.0f64, late in 0u64..20,
        ) {
            let start = Instant::now();
            let mut rate = Rate::new(Some(ceiling), start);
            let count = f64::from(taken(&mut rate, start, 10, MILLISECOND * u32::try_from(late).unwrap()));
            prop_assert!(count <= ceiling * 10.0 + ceiling * FULL + 2.0, "{count}");
            prop_assert!(count >= ceiling * 9.8 - 2.0, "{count} of {}", ceiling * 10.0);
        }
    }

    #[test]
    fn without_a_limit_nothing_waits_until_it_is_throttled() {
        let start = Instant::now();
        let mut rate = Rate::new(None, start);
        assert!((0..100_000).all(|_| rate.take(start).is_ok()));
        for put in 0..600 {
            rate.acknowledged(start + MILLISECOND * put);
        }
        let now = start + MILLISECOND * 600;
        rate.throttled(Throttle::Account, now, now);
        let second = taken(&mut rate, now, 1, Duration::ZERO);
        assert!((690..730).contains(&second), "{second}");
    }

    #[test]
    fn it_gives_way_once_for_all_that_was_under_way_and_comes_back() {
        let start = Instant::now();
        let mut rate = Rate::new(Some(950.0), start);
        for put in 0..2000 {
            rate.acknowledged(start + MILLISECOND * put);
        }
        let now = start + MILLISECOND * 2000;
        for _ in 0..50 {
            rate.throttled(Throttle::Snapshot, now - MILLISECOND * 5, now);
        }
        assert!((rate.now.unwrap() - 855.0).abs() < 2.0, "{:?}", rate.now);
        let first = taken(&mut rate, now, 1, Duration::ZERO);
        assert!((860..885).contains(&first), "{first}");
        let later = now + Duration::from_secs(10);
        taken(&mut rate, now + Duration::from_secs(1), 9, Duration::ZERO);
        assert_eq!(rate.now, Some(950.0));
        assert!(taken(&mut rate, later, 1, Duration::ZERO) <= 950 + 48);
    }

    #[test]
    fn it_never_stands_still() {
        let mut now = Instant::now();
        let mut rate = Rate::new(Some(950.0), now);
        for _ in 0..100 {
            now += MILLISECOND;
            rate.throttled(Throttle::Dependency, now, now);
        }
        assert!(taken(&mut rate, now, 5, Duration::ZERO) >= 10);
    }
}
