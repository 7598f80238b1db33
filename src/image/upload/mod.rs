//! A disk into an EBS snapshot: only the blocks that its parent has not.
//!
//! [`begin`] makes the snapshot, early, while the disk is still being packed: AWS knows it everywhere
//! only after a minute or two. [`upload`] is the rest: [`plan`] says which blocks are put; `crew` puts
//! them, as fast as `pace` lets it; `acked` remembers which are there, so that an upload which was
//! interrupted sends the others; then the snapshot is complete, and AWS compares the checksum over
//! all of them. [`parent`] reads what a snapshot of an earlier image has.
//!
//! Nothing is hashed here: the digests are those of the disk's [`Table`], and AWS verifies them.
//! Whether a snapshot becomes usable is for its maker to wait for, and what is left of one that
//! failed is for its maker to remove.

mod acked;
mod body;
mod crew;
mod pace;
pub mod parent;
pub mod plan;
mod rate;
mod window;
mod worker;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use aws_config::SdkConfig;
use camino::Utf8Path;
use serde::Serialize;

use self::acked::Acked;
use self::crew::Crew;
use self::plan::{Ground, Plan};
use super::blocks::{BLOCK, Table};
use crate::aws::Failure;
use crate::aws::ebs::{self, Status};
use crate::aws::operator;
use crate::error::Fault;
use crate::event::{Events, Unit};

pub use crate::aws::ebs::{Begun, Encryption, Order};

/// A little less than the 1000 puts a second that AWS lets anybody make to one snapshot.
pub const RATE: f64 = 950.0;

/// How often progress is told.
const TELL: Duration = Duration::from_millis(200);

/// What is uploaded, and where to.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// The disk. It must not change meanwhile.
    pub disk: &'a Utf8Path,
    /// The digests of its blocks.
    pub table: &'a Table,
    /// The snapshot.
    pub begun: &'a Begun,
    /// What the snapshot's parent has. Without it, a snapshot that has a parent gets every block.
    pub parent: Option<&'a Table>,
    /// The file that remembers which blocks are there; see [`forget`].
    pub record: &'a Utf8Path,
}

/// AWS has acknowledged nothing for too long. What it has acknowledged is remembered: the snapshot
/// must not be removed because of it.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("AWS cannot be reached, or takes nothing")]
pub struct Stalled;

/// How it is done.
#[derive(Clone, Debug)]
pub struct Options {
    /// The most puts a second; no limit if absent.
    pub rate: Option<f64>,
    /// The most puts under way at once.
    pub under_way: u16,
    /// The threads that send.
    pub threads: usize,
    /// When a put without an answer is given up and sent again.
    pub deadline: Duration,
    /// When the whole is given up, if no block at all was acknowledged for so long.
    pub patience: Duration,
    /// How long after its beginning a snapshot may be unknown to AWS itself.
    pub unknown: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            rate: Some(RATE),
            under_way: 256,
            threads: 2,
            deadline: Duration::from_secs(20),
            patience: Duration::from_mins(5),
            unknown: Duration::from_mins(2),
        }
    }
}

/// What an upload came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sent {
    /// The snapshot.
    pub snapshot: String,
    /// How many blocks were put over all runs: those that differ from what was there.
    pub blocks: u32,
    /// How many of them are zeros.
    pub zeros: u32,
    /// How many an earlier run had put.
    pub before: u32,
    /// What this run put, in bytes.
    pub bytes: u64,
    /// How long that took.
    pub seconds: f64,
    /// How many puts did not succeed and were sent again.
    pub retries: u32,
    /// How many of them were throttled.
    pub throttles: u32,
    /// The most puts that were under way at once.
    pub most_under_way: usize,
}

/// The size of a volume for a disk, in GiB: not less than one for its parent's.
pub fn volume_gib(table: &Table, parent: Option<&Table>) -> u32 {
    let blocks = table.len().max(parent.map_or(0, Table::len));
    u32::try_from(blocks.div_ceil((1 << 30) / BLOCK)).expect("no disk has 2^32 GiB").max(1)
}

/// Makes the snapshot that blocks are put into. The same order twice gives the same snapshot.
pub async fn begin(config: &SdkConfig, order: &Order) -> anyhow::Result<Begun> {
    let begun = ebs::start(config, order).await.map_err(|failure| refused(&failure, order))?;
    if begun.status == Status::Error {
        let text = format!("the snapshot {} was given up by AWS", begun.snapshot);
        return Err(Fault::aws(text).hint("begin anew, without --resume").into());
    }
    Ok(begun)
}

/// What to do about a snapshot that cannot be begun.
fn refused(failure: &Failure, order: &Order) -> anyhow::Error {
    let hint = match failure.code() {
        Some("ConcurrentLimitExceededException" | "ServiceQuotaExceededException") => {
            "an account has at most 100 snapshots pending: `hostkit gc` finds those that were left"
        }
        Some("ConflictException") => "another build uses the same client token: begin anew",
        Some("ValidationException" | "ResourceNotFoundException" | "AccessDeniedException")
            if order.parent.is_some() =>
        {
            "the parent must be a completed snapshot of this account, in this region, with a key \
             that may be used; --no-parent sends every block"
        }
        _ => return operator::fault(failure).into(),
    };
    anyhow::Error::from(Fault::aws(failure.to_string()).hint(hint))
}

/// Puts the blocks of a disk into its snapshot, and completes it. `step` is what progress is told of.
///
/// Dropping the future stops it at once; what was acknowledged is remembered, and the next call with
/// the same job goes on from there.
///
/// # Errors
/// AWS refused, or acknowledged nothing for too long; the disk cannot be read or has changed.
pub async fn upload(
    config: &SdkConfig,
    job: &Job<'_>,
    options: &Options,
    events: &Events,
    step: &str,
) -> anyhow::Result<Sent> {
    let started = Instant::now();
    let plan = Arc::new(Plan::new(job.table, &ground(job)));
    let (snapshot, blocks) = (job.begun.snapshot.clone(), plan.len());
    let mut sent = Sent { snapshot, blocks, zeros: plan.zeros(), ..Sent::default() };
    if job.begun.status == Status::Completed {
        sent.before = blocks;
        return Ok(sent);
    }
    let acked = Acked::open(job.record, &sent.snapshot, &plan)?;
    sent.before = acked.known();
    let unsure = acked.may_be_complete();
    let crew = Crew::start(config, job, &plan, acked, options, events, step)?;
    let counts = tell_until(crew, &sent, events, step).await?;
    complete(config, &sent.snapshot, &plan, options.patience, unsure).await?;
    sent.bytes = u64::from(blocks - sent.before) * BLOCK as u64;
    sent.seconds = started.elapsed().as_secs_f64();
    sent.retries = counts.retries;
    sent.throttles = counts.throttles;
    sent.most_under_way = counts.most_under_way;
    Ok(sent)
}

/// What is there before anything is put.
fn ground<'a>(job: &Job<'a>) -> Ground<'a> {
    match (&job.begun.parent, job.parent) {
        (Some(_), Some(table)) => Ground::Parent { table, encrypted: job.begun.encrypted },
        (Some(_), None) => Ground::Unknown,
        (None, _) if job.begun.encrypted => Ground::Unknown,
        (None, _) => Ground::Zeros,
    }
}

/// Waits for the crew, and says now and then how far it is.
async fn tell_until(
    mut crew: Crew,
    sent: &Sent,
    events: &Events,
    step: &str,
) -> anyhow::Result<pace::Counts> {
    let bytes = |blocks: u32| u64::from(blocks) * BLOCK as u64;
    let tell = |put: u32| {
        events.progress(step, bytes(sent.before + put), Some(bytes(sent.blocks)), Unit::Bytes);
    };
    let mut ticks = tokio::time::interval(TELL);
    loop {
        tokio::select! {
            end = crew.end() => {
                tell(crew.put());
                return end;
            }
            _ = ticks.tick() => tell(crew.put()),
        }
    }
}

/// Says that all blocks are there, until there is an answer. `unsure` is whether that was said before
/// and the answer may have been lost: a snapshot that is complete cannot be completed, and whoever
/// waits for it learns whether it is.
async fn complete(
    config: &SdkConfig,
    snapshot: &str,
    plan: &Plan,
    patience: Duration,
    mut unsure: bool,
) -> anyhow::Result<()> {
    let (began, mut attempt) = (Instant::now(), 0);
    let status = loop {
        match ebs::complete(config, snapshot, plan.len(), &plan.linear()).await {
            Ok(status) => break status,
            Err(failure) if unsure && failure.code() == Some("ValidationException") => {
                tracing::debug!(%failure, "the snapshot is taken for completed before");
                return Ok(());
            }
            Err(failure) if failure.is_passing() && began.elapsed() < patience => {
                unsure |= !failure.is_throttled();
                tokio::time::sleep(worker::pause(attempt)).await;
                attempt += 1;
            }
            Err(failure) => {
                return Err(operator::fault(&failure)).context("completing the snapshot");
            }
        }
    };
    if status == Status::Error {
        let text = format!("AWS could not complete the snapshot {snapshot}");
        return Err(Fault::aws(text).hint("begin anew, without --resume").into());
    }
    Ok(())
}

/// Removes what remembers the blocks of an upload: its snapshot is usable, or gone.
pub fn forget(record: &Utf8Path) -> anyhow::Result<()> {
    match std::fs::remove_file(record) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("removing {record}"))
        }
        _ => Ok(()),
    }
}

/// Asks AWS what differs between the snapshot's parent and it: the places of blocks that were put and
/// are not among them, or the reverse. Both snapshots must be completed.
pub async fn verify(config: &SdkConfig, job: &Job<'_>) -> anyhow::Result<Vec<u32>> {
    let plan = Plan::new(job.table, &ground(job));
    let planned = plan.puts().iter().map(|put| put.index);
    let theirs = match &job.begun.parent {
        Some(parent) => ebs::changed(config, parent, &job.begun.snapshot).await,
        None => ebs::present(config, &job.begun.snapshot).await,
    };
    let theirs: BTreeSet<u32> = theirs.map_err(|it| operator::fault(&it))?.into_iter().collect();
    let ours: BTreeSet<u32> = planned.collect();
    Ok(ours.symmetric_difference(&theirs).copied().collect())
}
