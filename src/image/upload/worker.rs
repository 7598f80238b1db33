//! One thread that sends: puts under way, puts to repeat, and what to make of each end.
//!
//! This is the one place where a put is tried again. A refusal that is final ends the upload at
//! once; all else is sent again after a pause, until nothing at all gets through for too long.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::Stalled;
use super::crew::Shared;
use super::pace::Ticket;
use super::plan::Content;
use crate::aws::Failure;
use crate::aws::ebs::{Meaning, Putter, Trouble};
use crate::aws::operator;
use crate::error::Fault;

/// The pause before a put is sent for the second time; it doubles with each.
const PAUSE: Duration = Duration::from_millis(100);

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(10);

/// How long a thread that has nothing to send waits before it looks again, at most.
const LOOK: Duration = Duration::from_millis(250);

/// Sends until there is nothing left, something is final, or `stopped` says so.
pub(super) fn run(shared: &Shared, putter: &Putter, mut stopped: watch::Receiver<bool>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            let fault = Fault::environment("a thread of the upload cannot wait for events");
            return shared.fail(anyhow::Error::from(error).context(fault));
        }
    };
    runtime.block_on(async {
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stop| *stop) => {}
            end = send(shared, putter) => if let Err(failure) = end {
                shared.fail(failure);
            }
        }
    });
    // A look-up of a name may still be under way, and nobody waits for it.
    runtime.shutdown_background();
}

/// A put that came to its end.
struct End {
    nth: usize,
    attempt: u32,
    ticket: Ticket,
    why: Result<(), Why>,
}

/// Why a put did not succeed.
enum Why {
    Disk(io::Error),
    Trouble(Trouble),
}

/// What is sent next, and not before when.
#[derive(Default)]
struct Again(BTreeMap<(Instant, usize), u32>);

impl Again {
    fn due(&mut self, now: Instant) -> Option<(usize, u32)> {
        let entry = self.0.first_entry().filter(|entry| entry.key().0 <= now)?;
        let ((_, nth), attempt) = entry.remove_entry();
        Some((nth, attempt))
    }

    fn next(&self) -> Option<Instant> {
        self.0.first_key_value().map(|((at, _), _)| *at)
    }
}

async fn send(shared: &Shared, putter: &Putter) -> anyhow::Result<()> {
    let mut under_way = FuturesUnordered::new();
    let mut again = Again::default();
    let mut next = shared.next();
    loop {
        let wait = loop {
            let now = Instant::now();
            if under_way.len() >= shared.pace().share(shared.threads) {
                break now + LOOK;
            }
            if next.is_none() && again.next().is_none_or(|at| at > now) {
                break again.next().unwrap_or(now + LOOK);
            }
            let ticket = match shared.pace().start(now) {
                Ok(ticket) => ticket,
                Err(at) => break at,
            };
            let (nth, attempt) = match (again.due(now), next) {
                (Some(due), _) => due,
                (None, Some(nth)) => {
                    next = shared.next();
                    (nth, 0)
                }
                (None, None) => unreachable!("there was something to send"),
            };
            under_way.push(put(shared, putter, nth, attempt, ticket));
        };
        if under_way.is_empty() && again.0.is_empty() && next.is_none() {
            return Ok(());
        }
        tokio::select! {
            Some(end) = under_way.next() => settle(shared, &mut again, end)?,
            () = tokio::time::sleep_until(wait.into()) => {}
        }
    }
}

/// Puts the nth block of the plan.
fn put<'a>(
    shared: &'a Shared,
    putter: &'a Putter,
    nth: usize,
    attempt: u32,
    ticket: Ticket,
) -> impl Future<Output = End> + use<'a> {
    let put = shared.plan.puts()[nth];
    let (body, trace) = shared.disk.body(put);
    async move {
        let answer = putter.put(&shared.snapshot, put.index, shared.plan.hash(nth), body).await;
        let why = answer.map_err(|trouble| match trace.disk_error() {
            Some(error) => Why::Disk(error),
            None => Why::Trouble(trouble),
        });
        End { nth, attempt, ticket, why }
    }
}

/// Takes note of an end: the block is there, or is sent again, or the upload has failed.
fn settle(shared: &Shared, again: &mut Again, end: End) -> anyhow::Result<()> {
    let now = Instant::now();
    let End { nth, attempt, ticket, why } = end;
    let trouble = match why {
        Ok(()) => {
            shared.pace().acknowledged(ticket, now);
            return shared.acknowledged(nth, now);
        }
        Err(Why::Disk(error)) => {
            let fault = Fault::environment("the disk cannot be read while it is sent");
            return Err(anyhow::Error::from(error).context(fault));
        }
        Err(Why::Trouble(trouble)) => trouble,
    };
    match trouble.meaning {
        Meaning::NoSuchSnapshot if now < shared.unknown_until => shared.pace().absent(now),
        Meaning::NoSuchSnapshot => return Err(gone(shared, trouble.failure)),
        Meaning::Throttled(whose) => shared.pace().throttled(ticket, whose, now),
        Meaning::TimedOut => shared.pace().timed_out(ticket, now),
        Meaning::Passing => shared.pace().lost(ticket, now),
        Meaning::Final => return Err(refused(shared, nth, trouble.failure)),
    }
    if shared.is_stuck(now) {
        let fault =
            Fault::aws("no block was acknowledged for too long, and the upload was stopped");
        return Err(anyhow::Error::from(trouble.failure)
            .context(Stalled)
            .context(fault.hint("what was sent is remembered: `--resume` sends the rest")));
    }
    shared.say(
        || match trouble.meaning {
            Meaning::NoSuchSnapshot => {
                "the snapshot is new, and AWS does not know it everywhere yet: waiting".to_owned()
            }
            _ => format!("trying again: {}", trouble.failure),
        },
        now,
    );
    again.0.insert((now + pause(attempt), nth), attempt + 1);
    Ok(())
}

/// How long to wait before an attempt: it doubles, and half of it is chance, so that those who
/// failed together do not come back together.
pub(super) fn pause(attempt: u32) -> Duration {
    use std::hash::{BuildHasher as _, RandomState};
    let whole = PAUSE.saturating_mul(1 << attempt.min(16)).min(LONGEST);
    let chance = u32::try_from(RandomState::new().hash_one(attempt) % 1000).unwrap_or_default();
    whole / 2 + whole / 2 * chance / 1000
}

fn gone(shared: &Shared, failure: Failure) -> anyhow::Error {
    let text = format!("the snapshot {} is not there any more", shared.snapshot);
    let hint = "AWS gives up a snapshot that nothing is put into for long; begin anew, without \
                --resume";
    anyhow::Error::from(failure).context(Fault::aws(text).hint(hint))
}

/// A put that AWS will never take. The block is looked at again: if it is not what its digest says,
/// the disk has changed.
fn refused(shared: &Shared, nth: usize, failure: Failure) -> anyhow::Error {
    let put = shared.plan.puts()[nth];
    let has_changed = put.content == Content::Disk
        && shared
            .disk
            .block(put.index)
            .is_ok_and(|now| Sha256::digest(now).as_slice() != shared.plan.hash(nth));
    if has_changed {
        let text = format!("the disk changed while it was sent: block {}", put.index);
        let hint = "nothing else may write to it: bake again, and leave the disk alone";
        return anyhow::Error::from(failure).context(Fault::environment(text).hint(hint));
    }
    operator::fault(&failure).into()
}
