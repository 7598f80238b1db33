//! The threads that send, and what they share.
//!
//! hostkit's own runtime has one thread, which children are tied to. Sending is work for more than
//! one (TLS, copies into the kernel), so each thread here has a runtime and connections of its own,
//! and takes the next block from a common list.

use std::fs::File;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use aws_config::SdkConfig;
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use super::acked::Acked;
use super::body::Disk;
use super::pace::{Counts, Pace};
use super::plan::Plan;
use super::{Job, Options, worker};
use crate::aws::ebs::Putter;
use crate::error::Fault;
use crate::event::Events;

/// Not more than one line about retries in this time.
const SAY: Duration = Duration::from_secs(5);

/// The threads of one upload. Dropping it stops them, and waits until they have.
#[derive(Debug)]
pub(super) struct Crew {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    stop: watch::Sender<bool>,
    ends: mpsc::Receiver<()>,
}

/// What the threads have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) snapshot: String,
    pub(super) plan: Arc<Plan>,
    pub(super) disk: Arc<Disk>,
    pub(super) acked: Acked,
    pub(super) threads: usize,
    /// Until when a snapshot that nobody knows may be a new one.
    pub(super) unknown_until: Instant,
    patience: Duration,
    next: AtomicUsize,
    put: AtomicU32,
    pace: Mutex<Pace>,
    course: Mutex<Course>,
    events: Events,
    step: String,
}

#[derive(Debug)]
struct Course {
    /// When a block was last acknowledged, or the upload began.
    advanced: Instant,
    /// When a retry was last told of.
    said: Option<Instant>,
    /// Why all must stop.
    failure: Option<anyhow::Error>,
}

impl Crew {
    /// Starts to send what was not acknowledged before.
    pub(super) fn start(
        config: &SdkConfig,
        job: &Job<'_>,
        plan: &Arc<Plan>,
        acked: Acked,
        options: &Options,
        events: &Events,
        step: &str,
    ) -> anyhow::Result<Self> {
        let fault = || Fault::environment(format!("the disk {} cannot be read", job.disk));
        let disk = File::open(job.disk).and_then(Disk::new).with_context(fault)?;
        let now = Instant::now();
        let threads = options.threads.max(1);
        let pace = Pace::new(options.rate, options.under_way, options.deadline, now);
        let shared = Arc::new(Shared {
            snapshot: job.begun.snapshot.clone(),
            plan: Arc::clone(plan),
            disk: Arc::new(disk),
            threads,
            unknown_until: now + left(options.unknown, acked.begun()),
            acked,
            patience: options.patience,
            next: AtomicUsize::new(0),
            put: AtomicU32::new(0),
            pace: Mutex::new(pace),
            course: Mutex::new(Course { advanced: now, said: None, failure: None }),
            events: events.clone(),
            step: step.to_owned(),
        });
        let (stop, stopped) = watch::channel(false);
        let (end, ends) = mpsc::channel(threads);
        let mut crew = Self { shared, threads: Vec::new(), stop, ends };
        for number in 0..threads {
            let shared = Arc::clone(&crew.shared);
            let putter = Putter::new(config, options.deadline);
            let (stopped, end) = (stopped.clone(), end.clone());
            let thread = std::thread::Builder::new().name(format!("upload-{number}"));
            let work = move || {
                worker::run(&shared, &putter, stopped);
                let _ = end.blocking_send(());
            };
            let fault = || Fault::environment("no thread can be started");
            crew.threads.push(thread.spawn(work).with_context(fault)?);
        }
        Ok(crew)
    }

    /// How many blocks were acknowledged in this run.
    pub(super) fn put(&self) -> u32 {
        self.shared.put.load(Ordering::Relaxed)
    }

    /// Waits until all is sent, or one thread says why it cannot be. It may be dropped and called
    /// again.
    pub(super) async fn end(&mut self) -> anyhow::Result<Counts> {
        while self.ends.recv().await.is_some() {
            if let Some(failure) = self.shared.course().failure.take() {
                return Err(failure);
            }
        }
        anyhow::ensure!(self.shared.is_done(), "a thread of the upload ended before its work");
        Ok(self.shared.pace().counts())
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// What is left of the time in which a snapshot may be unknown.
fn left(whole: Duration, begun: Timestamp) -> Duration {
    let passed = Timestamp::now().duration_since(begun).unsigned_abs();
    whole.saturating_sub(passed)
}

impl Shared {
    /// The next block of the plan that nobody has sent yet: its number.
    pub(super) fn next(&self) -> Option<usize> {
        loop {
            let nth = self.next.fetch_add(1, Ordering::Relaxed);
            if nth >= self.plan.puts().len() {
                return None;
            }
            if !self.acked.before(nth) {
                return Some(nth);
            }
        }
    }

    /// The nth block of the plan is there.
    pub(super) fn acknowledged(&self, nth: usize, now: Instant) -> anyhow::Result<()> {
        let written = self.acked.add(self.plan.puts()[nth].index);
        written.context(Fault::environment("the record of sent blocks cannot be written"))?;
        self.put.fetch_add(1, Ordering::Relaxed);
        self.course().advanced = now;
        Ok(())
    }

    /// Stops all threads, and says why. The first reason counts.
    pub(super) fn fail(&self, failure: anyhow::Error) {
        self.course().failure.get_or_insert(failure);
    }

    /// Whether nothing at all was acknowledged for too long.
    pub(super) fn is_stuck(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.course().advanced) >= self.patience
    }

    /// Tells of something that is tried again, if nothing was told a moment ago.
    pub(super) fn say(&self, line: impl FnOnce() -> String, now: Instant) {
        let mut course = self.course();
        if course.said.is_none_or(|then| now.saturating_duration_since(then) >= SAY) {
            course.said = Some(now);
            self.events.log(&self.step, line());
        }
    }

    pub(super) fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().expect("nobody panics with it")
    }

    fn course(&self) -> MutexGuard<'_, Course> {
        self.course.lock().expect("nobody panics with it")
    }

    fn is_done(&self) -> bool {
        self.acked.known() + self.put.load(Ordering::Relaxed) == self.plan.len()
    }
}
