//! What the numbers of an hour come to.

use super::Seen;
use crate::aws::cloudwatch::Point;

const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * KIB;
const GIB: f64 = 1024.0 * MIB;
const TIB: f64 = 1024.0 * GIB;
/// Less credit than this is gone in three minutes of a burst: it counts as none.
const SPENT: f64 = 16.0 * GIB;
/// Credits that last longer than this are nobody's worry tonight, in hours.
const WORRY: f64 = 24.0;
/// So much of what is permitted is all of it.
const FULL: f64 = 0.9;
/// So close to the limit of operations is at it, in percent.
pub(super) const LIMIT: f64 = 95.0;
/// What is told of clients and throughput is told of so many minutes.
const LATELY: usize = 10;

/// How it goes, of late.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Load {
    /// The credit now, in bytes.
    pub(super) credits: Option<f64>,
    /// How much of it went in an hour, in bytes.
    spent: Option<f64>,
    /// What is permitted, in bytes a second.
    permitted: Option<f64>,
    /// What is used, in bytes a second: of the last minutes.
    used: Option<f64>,
    /// The closest that it came to the limit of operations, in percent.
    pub(super) limit: Option<f64>,
    /// How many clients there are: the most of the last minutes.
    pub(super) clients: Option<u64>,
}

impl Load {
    /// Nothing if there is no number at all.
    pub(super) fn of(seen: &Seen) -> Option<Self> {
        let all = [&seen.credits, &seen.permitted, &seen.metered, &seen.limit, &seen.clients];
        if all.iter().all(|points| points.is_empty()) {
            return None;
        }
        let last = |points: &[Point]| points.last().map(|point| point.value);
        let lately = |points: &[Point]| {
            let points: Vec<f64> = points.iter().rev().take(LATELY).map(|it| it.value).collect();
            (!points.is_empty()).then_some(points)
        };
        let most = |points: &[Point]| points.iter().map(|it| it.value).reduce(f64::max);
        #[expect(clippy::cast_precision_loss, reason = "ten minutes")]
        let used = lately(&seen.metered).map(|it| it.iter().sum::<f64>() / it.len() as f64 / 60.0);
        let clients = lately(&seen.clients).and_then(|it| it.into_iter().reduce(f64::max));
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a few clients"
        )]
        let clients = clients.map(|it| it.max(0.0).round() as u64);
        Some(Self {
            credits: last(&seen.credits),
            spent: hourly(&seen.credits),
            permitted: last(&seen.permitted),
            used,
            limit: most(&seen.limit),
            clients,
        })
    }

    /// What a file system of this size may go at without credits, in bytes a second.
    pub(super) fn baseline(size: u64) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let of_size = size as f64 / TIB * 50.0 * MIB;
        of_size.max(MIB)
    }

    pub(super) fn is_spent(&self, mode: &str) -> bool {
        mode == "bursting" && self.credits.is_some_and(|credits| credits < SPENT)
    }

    /// In how many hours the credits will be spent, if that is soon.
    pub(super) fn credits_last(&self, mode: &str) -> Option<u64> {
        let (credits, spent) = (self.credits?, self.spent.filter(|spent| *spent > 0.0)?);
        let hours = credits / spent;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "hours of a day"
        )]
        (mode == "bursting" && hours < WORRY).then_some(hours as u64)
    }

    pub(super) fn is_full(&self) -> bool {
        let (Some(used), Some(permitted)) = (self.used, self.permitted) else { return false };
        permitted > 0.0 && used >= FULL * permitted
    }

    /// In one line.
    pub(super) fn says(&self, mode: &str) -> String {
        let mut parts =
            vec![if mode.is_empty() { "throughput".to_owned() } else { mode.to_owned() }];
        if let Some(used) = self.used {
            let of = self.permitted.map(|it| format!(" of {}", rate(it))).unwrap_or_default();
            parts.push(format!("{}{of}", rate(used)));
        }
        if let Some(credits) = self.credits.filter(|_| mode == "bursting") {
            parts.push(format!("credits for {:.1} GiB", credits / GIB));
        }
        if let Some(limit) = self.limit {
            parts.push(format!("at most {limit:.0} % of the operations that it can do"));
        }
        if let Some(clients) = self.clients {
            let word = if clients == 1 { "client" } else { "clients" };
            parts.push(format!("{clients} {word}"));
        }
        parts.join(", ")
    }
}

/// How much less there is at the end, for an hour.
fn hourly(points: &[Point]) -> Option<f64> {
    let (first, last) = (points.first()?, points.last()?);
    let hours = last.at.duration_since(first.at).as_secs_f64() / 3600.0;
    // Of a few minutes nothing can be told.
    (hours > 0.25).then(|| (first.value - last.value) / hours)
}

/// Bytes a second, as people read them.
pub(super) fn rate(bytes: f64) -> String {
    if bytes >= MIB {
        format!("{:.1} MiB/s", bytes / MIB)
    } else {
        format!("{:.1} KiB/s", bytes / KIB)
    }
}
