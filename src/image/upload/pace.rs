//! When the next put may be sent, and what is learned from each answer. Pure: the time is told.

use std::time::{Duration, Instant};

use super::rate::Rate;
use super::window::Window;
use crate::aws::ebs::Throttle;

/// While nobody knows the snapshot yet, one put asks for it this often.
const ASK: Duration = Duration::from_secs(1);

/// The pace of one upload, over all its threads.
#[derive(Debug)]
pub(super) struct Pace {
    rate: Rate,
    window: Window,
    most: u16,
    deadline: Duration,
    under_way: usize,
    /// Set while the snapshot is not known: nothing is sent before this time, and then one put.
    absent: Option<Instant>,
    counts: Counts,
}

/// What happened so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Puts that did not succeed and were sent again.
    pub(super) retries: u32,
    /// How many of them were throttled.
    pub(super) throttles: u32,
    /// The most puts that were under way at once.
    pub(super) most_under_way: usize,
}

/// A put that is under way. It is handed back with its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    sent: Instant,
    limited: bool,
}

impl Pace {
    /// At most `most` at once and, if there is a limit, `rate` a second; each has so long.
    pub(super) fn new(rate: Option<f64>, most: u16, deadline: Duration, now: Instant) -> Self {
        Self {
            rate: Rate::new(rate, now),
            window: Window::new(most, deadline, now),
            most,
            deadline,
            under_way: 0,
            absent: None,
            counts: Counts::default(),
        }
    }

    /// How many puts one of `threads` may have under way.
    pub(super) fn share(&self, threads: usize) -> usize {
        self.window.size().div_ceil(threads)
    }

    /// What happened so far.
    pub(super) const fn counts(&self) -> Counts {
        self.counts
    }

    /// Lets a put be sent, or says when to ask again.
    pub(super) fn start(&mut self, now: Instant) -> Result<Ticket, Instant> {
        if let Some(until) = self.absent {
            if now < until {
                return Err(until);
            }
            if self.under_way > 0 {
                return Err(now + ASK / 10);
            }
        }
        self.rate.take(now)?;
        self.under_way += 1;
        self.counts.most_under_way = self.counts.most_under_way.max(self.under_way);
        // The window lets two more through for each answer while it doubles: about full is full.
        Ok(Ticket { sent: now, limited: self.under_way * 2 >= self.window.size() })
    }

    /// The put succeeded.
    pub(super) fn acknowledged(&mut self, ticket: Ticket, now: Instant) {
        self.under_way -= 1;
        if self.absent.take().is_some() {
            self.window = Window::new(self.most, self.deadline, now);
        }
        self.rate.acknowledged(now);
        self.window.acknowledged(ticket.limited, ticket.sent, now);
    }

    /// It was throttled.
    pub(super) fn throttled(&mut self, ticket: Ticket, whose: Throttle, now: Instant) {
        self.again();
        self.counts.throttles += 1;
        self.rate.throttled(whose, ticket.sent, now);
    }

    /// It had no answer in time.
    pub(super) fn timed_out(&mut self, ticket: Ticket, now: Instant) {
        self.again();
        self.window.timed_out(ticket.sent, now);
    }

    /// It was lost, or refused in passing.
    pub(super) fn lost(&mut self, ticket: Ticket, now: Instant) {
        self.again();
        self.window.lost(ticket.sent, now);
    }

    /// Nobody knows the snapshot.
    pub(super) fn absent(&mut self, now: Instant) {
        self.again();
        self.absent = Some(now + ASK);
    }

    fn again(&mut self) {
        self.under_way -= 1;
        self.counts.retries += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_that_is_not_known_is_asked_for_by_one_put_a_second() {
        let start = Instant::now();
        let mut pace = Pace::new(None, 256, Duration::from_secs(20), start);
        let first: Vec<_> = (0..16).map(|_| pace.start(start).unwrap()).collect();
        for _ in first {
            pace.absent(start);
        }
        let mut now = start;
        let mut asked = 0;
        while now < start + Duration::from_secs(10) {
            match pace.start(now) {
                Ok(_) => {
                    asked += 1;
                    assert!(pace.start(now).is_err(), "one at a time");
                    pace.absent(now);
                }
                Err(at) => now = at,
            }
        }
        assert_eq!(asked, 9);
        let ticket = pace.start(now).unwrap();
        pace.acknowledged(ticket, now);
        assert!((0..16).all(|_| pace.start(now).is_ok()), "then all go on");
        assert_eq!(pace.counts().retries, 25);
    }
}
