//! What was found so far.

use std::collections::BTreeMap;

use super::{Many, NAMED, Scan, Weight};

/// Sums, and the heaviest of each kind.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub scan: Scan,
    /// Entries below each entry of the home.
    pub top: BTreeMap<Box<str>, u64>,
}

impl Many {
    /// Adds one.
    pub(super) fn add(&mut self, path: &str, weight: u64) {
        self.count += 1;
        self.weight += weight;
        let least = self.named.last().map_or(0, |last| last.weight);
        if self.named.len() < NAMED || weight > least {
            let at = self.named.partition_point(|it| it.weight >= weight);
            self.named.insert(at, Weight { path: path.to_owned(), weight });
            self.named.truncate(NAMED);
        }
    }
}

impl Many {
    /// Adds those of another.
    pub(super) fn merge(&mut self, other: Self) {
        let (count, weight) = (self.count + other.count, self.weight + other.weight);
        for it in other.named {
            self.add(&it.path, it.weight);
        }
        (self.count, self.weight) = (count, weight);
    }
}

impl Totals {
    /// All of it, with the heaviest of the home's own entries.
    pub(super) fn scan(&self) -> Scan {
        let mut top = Many::default();
        for (name, weight) in &self.top {
            top.add(name, *weight);
        }
        Scan { top: top.named, ..self.scan.clone() }
    }
}
