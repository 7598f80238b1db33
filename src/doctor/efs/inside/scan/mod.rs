//! What makes a home large and slow: one look at every folder of it, by many threads, within a time.
//!
//! Reads no file, and asks for the size of none but those whose size tells something. On EFS each
//! question is a round trip, so what counts is how many are asked together; in memory is only what
//! is still to be looked at, and of that not more than [`queue::MOST`].

mod folder;
mod queue;
#[cfg(test)]
mod tests;
mod totals;

use std::sync::Arc;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use super::Notebook;
use crate::sys::Root;
use folder::Walk;

/// So many folders are looked at together.
const TOGETHER: usize = 16;

/// A folder whose listing gets no further for so long hangs.
const HUNG: Duration = Duration::from_secs(5);

/// How often it is looked whether all is done.
const GLANCE: Duration = Duration::from_millis(200);

/// Of each kind so many are named, the largest.
pub(super) const NAMED: usize = 12;

/// A folder with more entries is slow to list, and slow to make files in.
pub const HUGE: u64 = 10_000;

/// A job that keeps more builds makes Jenkins slow to start.
pub const MANY_BUILDS: u64 = 1000;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Scan {
    /// How many files there are, as far as was looked.
    pub files: u64,
    /// How many folders.
    pub folders: u64,
    /// How many links, pipes and the like: none was followed.
    pub others: u64,
    /// How long it took, in milliseconds.
    pub took: u64,
    /// What is at the top of the home, and how many entries each has below it: the largest.
    pub top: Vec<Weight>,
    /// Workspaces of builds.
    pub workspaces: Many,
    /// Caches of tools and of git.
    pub caches: Many,
    /// Folders with more than [`HUGE`] entries.
    pub huge: Many,
    /// Jobs that keep more than [`MANY_BUILDS`] builds.
    pub builds: Many,
    /// Files of XML without a byte, outside of workspaces and caches.
    pub empty: Many,
    /// Packs that git has not finished: `tmp_pack_…`; their weight is in bytes.
    pub packs: Many,
    /// How many entries are below `fingerprints`.
    pub fingerprints: u64,
    /// What was not looked at because time was up.
    pub late: Many,
    /// What could not be read, with the reason.
    pub failed: Many,
    /// What is being listed and gets no further.
    pub hanging: Vec<String>,
}

/// Things of a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Many {
    /// How many.
    pub count: u64,
    /// What they weigh together: entries, where nothing else is said.
    pub weight: u64,
    /// The heaviest of them.
    pub named: Vec<Weight>,
}

/// Something, and what it weighs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Weight {
    /// From the home.
    pub path: String,
    /// How many entries it has, where nothing else is said.
    pub weight: u64,
}

impl Scan {
    /// Whether all of it was looked at.
    pub fn is_whole(&self) -> bool {
        self.late.count == 0 && self.failed.count == 0 && self.hanging.is_empty()
    }
}

/// Looks at everything below a folder, within a time. Threads that hang are left behind.
pub fn scan(root: &Root, home: &Utf8Path, within: Duration, notes: &Arc<Notebook>) -> Scan {
    let began = Instant::now();
    let walk = Arc::new(Walk::new(root, home, began + within, notes));
    for _ in 0..TOGETHER {
        let walk = Arc::clone(&walk);
        // Never joined: it may hang for ever, and ends with this process.
        std::thread::spawn(move || walk.work());
    }
    loop {
        let hung = notes.longer_than(HUNG);
        let is_late = began.elapsed() > within + GLANCE;
        if walk.queue.wait(GLANCE, hung.len()) || is_late {
            break;
        }
    }
    let hanging = notes.longer_than(HUNG.min(within));
    let mut found = walk.found(hanging);
    found.took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    found
}
