//! Everything that machines did to one file system, in memory and, if wanted, in a file.
//!
//! One record for each export; all machines' gates write to it. Times count from its beginning on
//! one monotonic clock, so those of different machines can be compared: a call has its time before
//! the server has the call, an answer before the machine has the answer.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::change::{Change, End, Machine, Trip, Version, What};
use super::decode::call::Step;
use super::decode::number::Status;
use super::names::{Names, Path};

/// What entries may take up in memory, about: some million of them.
const MAX_BYTES: usize = 512 << 20;
/// How much is read of a watched file.
const MAX_CONTENT: usize = 64 * 1024;
/// Sessions whose slots are remembered.
const MAX_SESSIONS: usize = 1024;
/// The slots that are remembered of each: Linux uses 64.
const MAX_SLOTS: usize = 1024;

/// The record of one file system. Cheap to clone: it stays one.
#[derive(Clone, Debug)]
pub struct Record(Arc<Mutex<Inner>>);

/// What the record could not see. A verdict is only as good as this is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Blind {
    /// Messages, or parts of them, that were not understood.
    pub unread: u64,
    /// Why the first of them was not.
    pub why: Option<&'static str>,
    /// Entries that were left out because the record is full.
    pub left_out: u64,
    /// Files that have no path because there are too many.
    pub forgotten: u64,
}

impl Blind {
    /// Whether anything may have escaped.
    pub fn is_blind(&self) -> bool {
        *self != Self::default()
    }
}

/// Which entries are wanted: all, but for what is said here.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Those of this instance.
    pub machine: Option<String>,
    /// Those that touch this folder or file, or anything in it.
    pub below: Option<String>,
    /// Those whose call is not earlier.
    pub from: Option<Duration>,
    /// Those whose call is earlier.
    pub until: Option<Duration>,
}

impl Selection {
    fn has(&self, machine: &str, called: Duration, is_below: impl Fn(&str) -> bool) -> bool {
        self.machine.as_deref().is_none_or(|wanted| wanted == machine)
            && self.from.is_none_or(|from| from <= called)
            && self.until.is_none_or(|until| called < until)
            && self.below.as_deref().is_none_or(is_below)
    }
}

/// What is behind the lock.
#[derive(Debug)]
pub(super) struct Inner {
    began: Instant,
    trips: Vec<Trip>,
    changes: Vec<Change>,
    versions: Vec<Version>,
    watched: Option<(String, PathBuf)>,
    pub(super) names: Names,
    kinds: HashSet<Arc<str>>,
    slots: HashMap<[u8; 16], HashMap<u32, u32>>,
    blind: Blind,
    bytes: usize,
    numbers: u64,
    lines: Option<File>,
}

/// Where the entries of a round trip are.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    trip: Option<usize>,
    first_change: usize,
    changes: usize,
}

/// One line of the file.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
enum Line<'a> {
    Trip(&'a Trip),
    Change(&'a Change),
    Version(&'a Version),
}

impl Default for Record {
    fn default() -> Self {
        Self::since(Instant::now())
    }
}

impl Record {
    /// An empty record whose times count from `began`.
    pub fn since(began: Instant) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            began,
            trips: Vec::new(),
            changes: Vec::new(),
            versions: Vec::new(),
            watched: None,
            names: Names::default(),
            kinds: HashSet::new(),
            slots: HashMap::new(),
            blind: Blind::default(),
            bytes: 0,
            numbers: 0,
            lines: None,
        })))
    }

    /// Writes entries to `file`, too, from now on: JSON lines, each when its answer has come.
    pub fn keep_lines(&self, file: File) {
        self.lock().lines = Some(file);
    }

    /// Keeps every version of one file: `path` as machines name it, `here` as this machine does.
    pub fn watch(&self, path: &str, here: PathBuf) {
        let mut inner = self.lock();
        inner.watched = Some((path.to_owned(), here));
        let now = inner.now();
        inner.keep_version(None, now, now);
    }

    /// The changes that are wanted, in the order of their calls.
    pub fn changes(&self, wanted: &Selection) -> Vec<Change> {
        let has = |change: &&Change| {
            wanted.has(change.machine.id(), change.called, |folder| change.what.is_below(folder))
        };
        self.lock().changes.iter().filter(has).cloned().collect()
    }

    /// The round trips that are wanted, in the order of their calls.
    pub fn trips(&self, wanted: &Selection) -> Vec<Trip> {
        let has = |trip: &&Trip| {
            let path = trip.path.as_ref();
            wanted.has(trip.machine.id(), trip.called, |folder| {
                path.is_some_and(|p| p.is_below(folder))
            })
        };
        self.lock().trips.iter().filter(has).cloned().collect()
    }

    /// The versions of the watched file, the first one as it was when watching began.
    pub fn versions(&self) -> Vec<Version> {
        self.lock().versions.clone()
    }

    /// What it could not see so far.
    pub fn blind(&self) -> Blind {
        let inner = self.lock();
        Blind { forgotten: inner.names.forgotten(), ..inner.blind.clone() }
    }

    /// The time since it began.
    pub fn elapsed(&self) -> Duration {
        self.lock().now()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Something was not understood.
    pub(super) fn unread(&mut self, why: &'static str) {
        self.blind.unread += 1;
        self.blind.why.get_or_insert(why);
    }

    /// Whether this call was seen before; a session's slot has one call at a time.
    pub(super) fn is_again(&mut self, step: Option<&Step>) -> bool {
        let Some(Step::Sequence { session, slot, sequence }) = step else { return false };
        if self.slots.len() == MAX_SESSIONS && !self.slots.contains_key(session) {
            self.slots.clear();
        }
        let slots = self.slots.entry(*session).or_default();
        if slots.len() == MAX_SLOTS && !slots.contains_key(slot) {
            slots.clear();
        }
        slots.insert(*slot, *sequence) == Some(*sequence)
    }

    /// Enters a call.
    pub(super) fn call(
        &mut self,
        machine: &Machine,
        kind: &str,
        path: Option<Path>,
        again: bool,
        whats: Vec<What>,
    ) -> Kept {
        let text = |path: &Path| path.as_str().len();
        let paths = whats.iter().flat_map(What::paths).map(text).sum::<usize>();
        let bytes = size_of::<Trip>()
            + path.as_ref().map_or(0, text)
            + size_of::<Change>() * whats.len()
            + paths;
        let kind = self.kind(kind);
        if self.bytes + bytes > MAX_BYTES {
            self.blind.left_out += 1 + whats.len() as u64;
            return Kept::default();
        }
        self.bytes += bytes;
        self.numbers += 1;
        let (number, called, machine) = (self.numbers, self.now(), machine.clone());
        let (trip, first_change) = (self.trips.len(), self.changes.len());
        let changes = whats.len();
        self.changes.extend(whats.into_iter().map(|what| Change {
            trip: number,
            machine: machine.clone(),
            called,
            end: End::Open,
            what,
        }));
        let (answered, status) = (None, None);
        self.trips.push(Trip { number, machine, kind, path, called, answered, status, again });
        Kept { trip: Some(trip), first_change, changes }
    }

    /// Enters the answer of a call: how the compound ended, and each of its changes.
    pub(super) fn answer(
        &mut self,
        kept: &Kept,
        status: Option<Status>,
        mut end: impl FnMut(usize, Duration) -> End,
    ) {
        let Some(trip) = kept.trip else { return };
        let now = self.now();
        self.trips[trip].answered = Some(now);
        self.trips[trip].status = status;
        for index in 0..kept.changes {
            self.changes[kept.first_change + index].end = end(index, now);
        }
        self.look_at_watched(kept, now);
        self.write_lines(kept);
    }

    /// The connection ended before the answer came.
    pub(super) fn lost(&mut self, kept: &Kept) {
        let at = self.now();
        for index in 0..kept.changes {
            self.changes[kept.first_change + index].end = End::Lost { at };
        }
        self.look_at_watched(kept, at);
        self.write_lines(kept);
    }

    /// One text for all compounds of a kind.
    fn kind(&mut self, kind: &str) -> Arc<str> {
        if let Some(known) = self.kinds.get(kind) {
            return Arc::clone(known);
        }
        let new = Arc::<str>::from(kind);
        self.bytes += kind.len();
        if self.bytes < MAX_BYTES {
            self.kinds.insert(Arc::clone(&new));
        }
        new
    }

    fn look_at_watched(&mut self, kept: &Kept, answered: Duration) {
        let Some((path, _)) = &self.watched else { return };
        let changes = &self.changes[kept.first_change..kept.first_change + kept.changes];
        let touched = changes.iter().find(|change| {
            change.end.may_have_happened()
                && change.what.paths().any(|touched| touched.as_str() == path)
        });
        let Some(Change { machine, called, .. }) = touched else { return };
        let (machine, called) = (Some(machine.clone()), *called);
        self.keep_version(machine, called, answered);
    }

    /// Reads the watched file: the answer has not been handed on yet, so nobody knows of it but
    /// who did it at the same moment.
    fn keep_version(&mut self, machine: Option<Machine>, called: Duration, answered: Duration) {
        let Some((_, here)) = &self.watched else { return };
        let content = std::fs::read(here).ok().map(|mut bytes| {
            bytes.truncate(MAX_CONTENT);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let size = size_of::<Version>() + content.as_ref().map_or(0, String::len);
        if self
            .versions
            .last()
            .is_some_and(|last| last.content == content && last.machine == machine)
        {
            return;
        }
        if self.bytes + size > MAX_BYTES {
            self.blind.left_out += 1;
            return;
        }
        self.bytes += size;
        let version = Version { machine, called, answered, content };
        self.write_line(&Line::Version(&version));
        self.versions.push(version);
    }

    fn write_lines(&mut self, kept: &Kept) {
        if self.lines.is_none() {
            return;
        }
        let Some(trip) = kept.trip else { return };
        self.write_line(&Line::Trip(&self.trips[trip]));
        for change in &self.changes[kept.first_change..kept.first_change + kept.changes] {
            self.write_line(&Line::Change(change));
        }
    }

    /// A disk that is full must not break the guests' connections: the record in memory is whole.
    fn write_line(&self, line: &Line<'_>) {
        let Some(mut file) = self.lines.as_ref() else { return };
        let written = serde_json::to_string(line).map_err(std::io::Error::from);
        let written = written.and_then(|text| file.write_all(format!("{text}\n").as_bytes()));
        if let Err(error) = written {
            tracing::debug!(%error, "a line of the NFS record was not written");
        }
    }
}
