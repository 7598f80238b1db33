//! How many puts are under way at once. Pure: the time is told.
//!
//! By Little's law that is rate × latency: 8 are enough beside EBS, 190 from across an ocean, and a
//! slow line must not be asked for more than it carries in the time that a put has. Nobody is asked
//! which it is: the window doubles with every round as long as more is acknowledged a second for
//! it, and settles where that ended; now and then it tries a little more. Puts that need a good part
//! of their time, or find no answer in it, make it smaller.

use std::time::{Duration, Instant};

/// Where it begins.
const FIRST: f64 = 16.0;

/// A round that is worth its larger window is faster than the best by this factor, while the window
/// doubles.
const WORTH: f64 = 1.2;

/// The same for a window that is a trial of half as much more.
const WORTH_A_TRIAL: f64 = 1.1;

/// So many rounds that are not end the doubling.
const PATIENCE: u32 = 2;

/// How long it is left alone before the first trial; twice as long after each that was for nothing.
const SETTLED: Duration = Duration::from_secs(1);

/// The longest that it is left alone.
const LONGEST: Duration = Duration::from_secs(16);

/// A round is not shorter: what is shorter is measured by chance.
const ROUND: Duration = Duration::from_millis(20);

/// The window of one upload.
#[derive(Debug)]
pub(super) struct Window {
    most: f64,
    /// How long a put has.
    deadline: Duration,
    size: f64,
    phase: Phase,
    round: Round,
    best: f64,
    settled: Duration,
    gave_way: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// It doubles every round. `size` was enough for the best one, and so many were worse since.
    Growing { size: f64, worse: u32 },
    /// It stays.
    Settled { until: Instant },
    /// It is half as much more than `size` for a round.
    Trial { size: f64 },
}

#[derive(Debug)]
struct Round {
    since: Instant,
    size: f64,
    count: u32,
    /// Whether the window was ever what kept a put from being sent.
    limited: bool,
    /// The longest that a put took.
    slowest: Duration,
}

impl Window {
    /// A window of at most `most`, for puts that have so long.
    pub(super) fn new(most: u16, deadline: Duration, now: Instant) -> Self {
        let most = f64::from(most.max(1));
        let size = FIRST.min(most);
        Self {
            most,
            deadline,
            size,
            phase: Phase::Growing { size, worse: 0 },
            round: Round::new(size, now),
            best: 0.0,
            settled: SETTLED,
            gave_way: None,
        }
    }

    /// How many may be under way.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 65535")]
    pub(super) const fn size(&self) -> usize {
        self.size as usize
    }

    /// A put that was sent at `sent` was acknowledged. `limited` says whether the window was about
    /// full then.
    pub(super) fn acknowledged(&mut self, limited: bool, sent: Instant, now: Instant) {
        let took = now.saturating_duration_since(sent);
        self.round.count += 1;
        self.round.limited |= limited;
        self.round.slowest = self.round.slowest.max(took);
        if took > self.deadline / 2 {
            return self.give_way(0.75, sent, now);
        }
        if limited && self.is_quick() && matches!(self.phase, Phase::Growing { .. }) {
            self.resize(self.size + 1.0);
        }
        let passed = now.saturating_duration_since(self.round.since);
        if f64::from(self.round.count) >= self.round.size && passed >= ROUND {
            self.judge(f64::from(self.round.count) / passed.as_secs_f64(), now);
            self.round = Round::new(self.size, now);
        }
    }

    /// Whether puts would still be in time if twice as many were under way.
    fn is_quick(&self) -> bool {
        self.round.slowest < self.deadline / 4
    }

    /// Draws the consequences of a round with so many puts a second.
    fn judge(&mut self, rate: f64, now: Instant) {
        // Something else held it up: nothing is known about the window.
        if !self.round.limited {
            return;
        }
        self.phase = match self.phase {
            Phase::Growing { .. } if rate > self.best * WORTH => {
                self.best = rate;
                Phase::Growing { size: self.round.size, worse: 0 }
            }
            Phase::Growing { size, worse } if worse + 1 < PATIENCE => {
                Phase::Growing { size, worse: worse + 1 }
            }
            Phase::Growing { size, .. } => {
                self.resize(size * 1.25);
                Phase::Settled { until: now + self.settled }
            }
            Phase::Settled { until } if now < until || !self.is_quick() => return,
            Phase::Settled { .. } => {
                let size = self.size;
                self.best = rate;
                self.resize(size * 1.5);
                Phase::Trial { size }
            }
            Phase::Trial { .. } if rate > self.best * WORTH_A_TRIAL => {
                self.best = rate;
                self.settled = SETTLED;
                Phase::Growing { size: self.size, worse: 0 }
            }
            Phase::Trial { size } => {
                self.resize(size);
                self.settled = (self.settled * 2).min(LONGEST);
                Phase::Settled { until: now + self.settled }
            }
        };
    }

    /// A put that was sent at `sent` found no answer in time: the line carries less than it is given.
    pub(super) fn timed_out(&mut self, sent: Instant, now: Instant) {
        self.give_way(0.5, sent, now);
    }

    /// A connection broke. That happens; many at once are a sign.
    pub(super) fn lost(&mut self, sent: Instant, now: Instant) {
        self.give_way(0.85, sent, now);
    }

    fn give_way(&mut self, factor: f64, sent: Instant, now: Instant) {
        // It was sent under a window that is gone.
        if self.gave_way.is_some_and(|then| sent < then) {
            return;
        }
        self.gave_way = Some(now);
        self.resize(self.size * factor);
        self.phase = Phase::Settled { until: now + self.settled };
        self.round = Round::new(self.size, now);
    }

    fn resize(&mut self, size: f64) {
        self.size = size.clamp(1.0, self.most);
    }
}

impl Round {
    const fn new(size: f64, now: Instant) -> Self {
        Self { since: now, size, count: 0, limited: false, slowest: Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    /// A line that takes `latency` for a put and carries at most `capacity` of them a second.
    struct Line {
        latency: Duration,
        capacity: f64,
    }

    /// Sends for some seconds over a line; the window at the end, and puts a second in the last
    /// half.
    fn play(window: &mut Window, line: &Line, start: Instant, seconds: u32) -> (usize, f64) {
        let gap = Duration::from_secs_f64(1.0 / line.capacity);
        let (mut now, mut free) = (start, start);
        let (mut under_way, mut late) = (VecDeque::new(), 0);
        let end = start + Duration::from_secs(seconds.into());
        while now < end {
            while under_way.len() < window.size() {
                free = free.max(now) + gap;
                under_way.push_back((now, free + line.latency));
            }
            let (sent, answer) = under_way.pop_front().unwrap();
            now = answer;
            if now - sent > DEADLINE {
                window.timed_out(sent, now);
                continue;
            }
            window.acknowledged(true, sent, now);
            late += u32::from(now > start + (end - start) / 2 && now < end);
        }
        (window.size(), f64::from(late) * 2.0 / f64::from(seconds))
    }

    #[test]
    fn it_finds_what_a_line_needs() {
        let start = Instant::now();
        for (latency, capacity, least, most) in [
            (0, 1500.0, 8, 40),
            (20, 1000.0, 20, 60),
            (200, 800.0, 150, 256),
            (80, 100.0, 8, 40),
            (100, 4.0, 4, 40),
            (50, 1.0, 2, 16),
        ] {
            let mut window = Window::new(256, DEADLINE, start);
            let line = Line { latency: Duration::from_millis(latency), capacity };
            let (size, rate) = play(&mut window, &line, start, 60);
            assert!((least..=most).contains(&size), "{latency} ms, {capacity}/s: {size}");
            assert!(rate > capacity * 0.9, "{latency} ms, {capacity}/s: {rate}");
        }
    }

    #[test]
    fn more_than_it_may_is_never_under_way() {
        let start = Instant::now();
        let mut window = Window::new(64, DEADLINE, start);
        let line = Line { latency: Duration::from_secs(1), capacity: 1000.0 };
        assert_eq!(play(&mut window, &line, start, 30).0, 64);
    }

    #[test]
    fn a_slow_line_is_not_given_more_than_it_carries_in_time() {
        let start = Instant::now();
        let mut window = Window::new(256, DEADLINE, start);
        // Of 16 at once the last one takes 16 seconds.
        play(&mut window, &Line { latency: Duration::ZERO, capacity: 1.0 }, start, 600);
        assert!((2..=9).contains(&window.size()), "{}", window.size());
    }

    #[test]
    fn puts_without_an_answer_make_it_smaller_once_for_each_window() {
        let start = Instant::now();
        let mut window = Window::new(256, DEADLINE, start);
        let later = start + Duration::from_secs(20);
        for _ in 0..16 {
            window.timed_out(start, later);
        }
        assert_eq!(window.size(), 8);
        let mut now = later;
        for _ in 0..20 {
            now += Duration::from_secs(20);
            window.timed_out(now, now);
        }
        assert_eq!(window.size(), 1, "one is always under way");
        window.lost(start, now);
        assert_eq!(window.size(), 1);
    }

    #[test]
    fn a_round_that_something_else_held_up_says_nothing() {
        let start = Instant::now();
        let mut window = Window::new(256, DEADLINE, start);
        for put in 0..1000 {
            let now = start + Duration::from_millis(put);
            window.acknowledged(false, now, now);
        }
        assert_eq!(window.size(), 16);
    }
}
