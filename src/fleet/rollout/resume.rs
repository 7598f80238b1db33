//! Carries on a rollout whose process ended, wherever that was.

use jiff::{SignedDuration, Timestamp};

use super::ended::Ended;
use super::engine::{PULSE, Setting, Work};
use super::journal::{self, Found, Journal, Scribe};
use super::lock::{self, Lock};
use super::next::failed;
use super::seen::Seen;
use super::{Phase, Way, look, refused};
use crate::aws::ssm;
use crate::error::Fault;

/// So often a process that carries on tries to have the last word.
const CLAIMS: u32 = 5;

/// How a rollout is carried on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    /// Back to what served before, whatever the way it went.
    pub back: bool,
    /// Though its process may still be at work.
    pub take_over: bool,
}

/// Carries on the rollout of a group.
///
/// # Errors
/// Its process seems to be at work; the new image serves already and `back` is asked for; and as
/// [`super::carry_out`].
pub async fn resume(
    setting: &Setting<'_>,
    group: &str,
    how: Resume,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<Ended> {
    let lock = lock::read(setting.config, group).await?;
    let found = journal::read(setting.config, group).await?;
    let found = match (lock, found) {
        (None, None) => return Ok(nothing(format!("nothing was ever rolled out to {group}"))),
        (None, Some(found)) if found.journal.is_over() => {
            let rollout = &found.journal.rollout;
            return Ok(nothing(format!("rollout {rollout} of {group} is over")));
        }
        // Somebody has removed the lock of a rollout that is not over.
        (None, Some(found)) => {
            let lock = Lock::new(&found.journal.rollout, &setting.operator, Timestamp::now());
            lock::take(setting.config, group, &lock).await?;
            found
        }
        (Some(lock), Some(found)) if found.journal.rollout == lock.rollout => {
            refuse_if_at_work(setting, group, &lock, Some(&found), how)?;
            let passed = Lock { operator: setting.operator.clone(), ..lock };
            lock::pass(setting.config, group, &passed).await?;
            found
        }
        // Its process ended before it had done anything at all.
        (Some(lock), _) => {
            refuse_if_at_work(setting, group, &lock, None, how)?;
            let removed = ssm::remove(setting.config, &lock::parameter(group)).await;
            removed.map_err(|it| refused(&it))?;
            return Ok(nothing(format!(
                "rollout {} had changed nothing: the lock is given back",
                lock.rollout
            )));
        }
    };
    Box::pin(carry_on(setting, group, found, how, stop)).await
}

async fn carry_on(
    setting: &Setting<'_>,
    group: &str,
    found: Found,
    how: Resume,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<Ended> {
    let mut found = found;
    for _ in 0..CLAIMS {
        let now = Timestamp::now();
        let seen = Box::pin(look::look(setting.config, &found.journal, &[])).await;
        let Some(seen) = seen.map_err(|it| refused(&it))? else {
            return Err(Fault::step(format!("there is no group {group} any more")).into());
        };
        let journal = revived(&found.journal, &seen, how.back, now)?;
        let mut work = Work::new(setting, Scribe::new(group, found.number), journal).await?;
        if work.claim().await? {
            return work.run(stop).await;
        }
        // The process before was still at work, and does nothing more now: it has seen this word.
        found = journal::read(setting.config, group).await?.unwrap_or(found);
    }
    Err(Fault::step(format!("somebody else keeps writing the journal of {group}"))
        .hint("stop the other process first, with Ctrl-C")
        .into())
}

fn nothing(says: String) -> Ended {
    Ended::Nothing { says }
}

/// A process that writes the journal must not be disturbed.
fn refuse_if_at_work(
    setting: &Setting<'_>,
    group: &str,
    lock: &Lock,
    found: Option<&Found>,
    how: Resume,
) -> Result<(), Fault> {
    let stopped = found.is_some_and(|found| found.journal.stopped || found.journal.stuck.is_some());
    let written = found.and_then(|found| found.written).unwrap_or(lock.since);
    let silent = Timestamp::now().duration_since(written);
    let long = PULSE.saturating_mul(3);
    if how.take_over || stopped || lock.operator.is_dead(&setting.operator.host) || silent > long {
        return Ok(());
    }
    let ago = SignedDuration::from_secs(silent.as_secs().max(0));
    let fault = lock.held(group);
    Err(Fault::step(format!("{fault}; it gave a sign of life {ago:#} ago"))
        .hint("wait for it, or stop it there with Ctrl-C; if it is gone for certain: --take-over"))
}

/// The journal as another process carries it on.
pub(super) fn revived(
    journal: &Journal,
    seen: &Seen,
    back: bool,
    now: Timestamp,
) -> Result<Journal, Fault> {
    let mut next =
        Journal { stopped: false, since: now, term: journal.term + 1, ..journal.clone() };
    if next.stuck.take().is_some() {
        // The way back is tried again from its beginning, unless it is under way.
        let from = &next.order.from;
        let there = next.back.find(&seen.refreshes, &from.template, from.version);
        if there.is_none_or(|refresh| !refresh.status.is_active()) {
            next.back.after = seen.newest();
            next.back.id = None;
            next.phase = Phase::Refresh;
        }
    }
    match (back, next.way, next.phase) {
        (true, Way::Forward, Phase::Promote | Phase::Recorded) => {
            let group = &journal.order.group;
            Err(Fault::usage("the new image serves already, and is proven").hint(format!(
                "carry it on without --back; then `hostkit rollback --asg {group}` goes back"
            )))
        }
        (true, Way::Forward, _) => Ok(failed(&next, seen, now, "somebody asked to go back")),
        _ => Ok(next),
    }
}
