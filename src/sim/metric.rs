//! What CloudWatch knows in a region: numbers that somebody put there, by metric and minute.
//!
//! Nothing here measures anything: a file system that nobody gave numbers has none, as one has on AWS
//! that nobody has mounted.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Metrics of EFS.
pub const EFS: &str = "AWS/EFS";

/// A metric: its namespace, its name, and its dimensions as `name=value`, sorted, by commas.
type Name = (String, String, String);

/// See the module.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Metrics {
    #[serde(with = "super::region::pairs")]
    all: BTreeMap<Name, BTreeMap<i64, f64>>,
}

impl Metrics {
    /// Puts a number there for the minute of a moment.
    pub fn put(
        &mut self,
        namespace: &str,
        metric: &str,
        of: &[(&str, &str)],
        at: Timestamp,
        value: f64,
    ) {
        let mut of: Vec<_> = of.iter().map(|(name, value)| format!("{name}={value}")).collect();
        of.sort();
        let name = (namespace.to_owned(), metric.to_owned(), of.join(","));
        let minute = at.as_second().div_euclid(60) * 60;
        self.all.entry(name).or_default().insert(minute, value);
    }

    /// A file system's metric is the same for each minute of an hour that ends now.
    pub fn steady(&mut self, file_system: &str, metric: &str, now: Timestamp, value: f64) {
        for minute in 0..60 {
            let at = now - SignedDuration::from_mins(minute);
            self.put(EFS, metric, &[("FileSystemId", file_system)], at, value);
        }
    }

    /// The numbers of a metric from `from` on and before `until`, put together by periods, the oldest
    /// first: when each period began, and all that was put in it.
    pub fn periods(
        &self,
        name: &Name,
        from: i64,
        until: i64,
        seconds: i64,
    ) -> Vec<(i64, Vec<f64>)> {
        let mut periods: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
        for (at, value) in self.all.get(name).into_iter().flat_map(|it| it.range(from..until)) {
            periods.entry(at.div_euclid(seconds) * seconds).or_default().push(*value);
        }
        periods.into_iter().collect()
    }
}
