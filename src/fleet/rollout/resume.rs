//! Carries on a rollout whose process ended, wherever that was.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::ended::Ended;
use super::engine::{PULSE, Setting, Work};
use super::forward::failed;
use super::journal::{self, Found, Journal};
use super::lock::{self, Lock};
use super::scribe::Scribe;
use super::seen::Seen;
use super::stop::{self, Asked, Stop};
use super::{Builds, Order, Phase, Strategy, Way, crowd, look, refused, soak};
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
    /// What is to be otherwise from now on.
    pub amended: Amended,
}

/// What of an order somebody may want otherwise when it is carried on; all else was decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amended {
    /// What builds are worth.
    pub builds: Option<Builds>,
    /// How long builds are waited for.
    pub builds_patience: Option<Duration>,
    /// How long a replacement may take until it is proven.
    pub patience: Option<Duration>,
    /// How long what is proven must go on serving before it counts.
    pub soak: Option<Duration>,
}

impl Resume {
    /// # Errors
    /// A soak is asked for while nobody looks after the host. A rollout that goes back has none.
    fn refuse(self, journal: &Journal) -> Result<(), Fault> {
        let goes_back = self.back || journal.way == Way::Back;
        let soaks = self.amended.soak.is_some_and(|soak| !soak.is_zero());
        let is_unattended = journal.order.strategy == Strategy::ReplaceRootVolume;
        if soaks && is_unattended && !goes_back && !journal.is_over() {
            return Err(soak::unattended());
        }
        Ok(())
    }
}

impl Amended {
    /// The order as it is carried on, in a group that wants so many hosts.
    fn applied(self, order: Order, desired: u32) -> Order {
        let before = order.builds_patience;
        let builds_patience = self.builds_patience.map_or(before, |it| it.as_secs());
        let old = crowd::each(order.role, order.patience, before, desired);
        let each = self.patience.map_or(old, |it| it.as_secs());
        let same = self.patience.is_none() && builds_patience == before;
        let patience = if same {
            order.patience
        } else {
            crowd::patience(order.role, each, builds_patience, desired)
        };
        let soak = self.soak.map_or(order.soak, |it| it.as_secs());
        let builds = self.builds.unwrap_or(order.builds);
        Order { builds, builds_patience, patience, soak, ..order }
    }
}

/// Carries on the rollout of a group.
///
/// # Errors
/// Its process seems to be at work; the new image serves already and `back` is asked for; somebody asks
/// to stop before anything was done; and as [`super::carry_out`].
pub async fn resume(
    setting: &Setting<'_>,
    group: &str,
    how: Resume,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<Ended> {
    let stop = stop::stop(stop);
    let taken = match stop::ended(&stop, Box::pin(take(setting, group, how, &stop))).await {
        Ok(Err(error)) if !error.is::<Asked>() => return Err(error),
        Ok(Ok(taken)) => taken,
        Ok(Err(_)) | Err(Asked) => {
            let hint = "nothing was done: the same command carries it on";
            return Err(Fault::interrupted().hint(hint).into());
        }
    };
    match taken {
        Taken::Nothing(says) => Ok(Ended::Nothing { says }),
        Taken::Work(mut work) => Box::pin(work.run()).await,
    }
}

/// What there was to be carried on.
enum Taken<'a> {
    /// Nothing: in a line.
    Nothing(String),
    /// A rollout, which nobody else carries on any more.
    Work(Box<Work<'a>>),
}

async fn take<'a>(
    setting: &'a Setting<'a>,
    group: &str,
    how: Resume,
    stop: &Stop<'a>,
) -> anyhow::Result<Taken<'a>> {
    let lock = lock::read(setting.config, group).await?;
    let found = match &lock {
        None => journal::read(setting.config, group).await?,
        // What another process has left as its last word is nothing of this rollout's.
        Some(lock) => {
            let its = |journal: &Journal| journal.rollout == lock.rollout;
            journal::newest(setting.config, group, its).await?
        }
    };
    if let Some(found) = &found {
        how.refuse(&found.journal)?;
    }
    let found = match (lock, found) {
        (None, None) => {
            return Ok(Taken::Nothing(format!("nothing was ever rolled out to {group}")));
        }
        (None, Some(found)) if found.journal.is_over() => {
            let rollout = &found.journal.rollout;
            return Ok(Taken::Nothing(format!("rollout {rollout} of {group} is over")));
        }
        // Somebody has removed the lock of a rollout that is not over.
        (None, Some(found)) => {
            refuse_if_at_work(setting, group, None, Some(&found), how)?;
            let lock = Lock::new(&found.journal.rollout, &setting.operator, Timestamp::now());
            lock::take(setting.config, group, &lock).await?;
            found
        }
        (Some(lock), Some(found)) => {
            refuse_if_at_work(setting, group, Some(&lock), Some(&found), how)?;
            let passed = Lock { operator: setting.operator.clone(), ..lock };
            lock::pass(setting.config, group, &passed).await?;
            found
        }
        // Its process ended before it had done anything at all.
        (Some(lock), None) => {
            refuse_if_at_work(setting, group, Some(&lock), None, how)?;
            lock::give_back(setting.config, group, &lock.rollout).await?;
            let rollout = &lock.rollout;
            let mut says = format!("rollout {rollout} had changed nothing: the lock is given back");
            if let Some(unfinished) = journal::last(setting.config, group).await?.unfinished {
                says += &format!("; {}: --resume carries that on", unfinished.says(group));
            }
            return Ok(Taken::Nothing(says));
        }
    };
    Box::pin(claim(setting, group, found, how, stop)).await
}

/// Has the last word in the journal.
async fn claim<'a>(
    setting: &'a Setting<'a>,
    group: &str,
    found: Found,
    how: Resume,
    stop: &Stop<'a>,
) -> anyhow::Result<Taken<'a>> {
    let mut found = found;
    let mut ours: Vec<String> = Vec::new();
    let rollout = found.journal.rollout.clone();
    for _ in 0..CLAIMS {
        let now = Timestamp::now();
        let seen = Box::pin(look::look(setting.config, &found.journal, &[])).await;
        let Some(seen) = seen.map_err(|it| refused(&it))? else {
            return Err(Fault::step(format!("there is no group {group} any more")).into());
        };
        let mut journal = revived(&found.journal, &seen, how.back, now)?;
        journal = soak::carried_on(journal, &found.journal, found.written, now);
        journal.order = how.amended.applied(journal.order, seen.crew.desired);
        let scribe = Scribe::new(group, found.number);
        let mut work = Work::new(setting, scribe, journal, stop.clone()).await?;
        if work.claim().await? {
            return Ok(Taken::Work(Box::new(work)));
        }
        // The process before was still at work. What it wrote is carried on, and not what this one has
        // made of what was there before.
        ours.push(work.writer().to_owned());
        let others = |journal: &Journal| !ours.contains(&journal.writer);
        let newer = journal::newest(setting.config, group, others).await?;
        found = newer.unwrap_or(found);
        if found.journal.rollout != rollout || found.journal.is_over() {
            break;
        }
    }
    Err(Fault::step(format!("somebody else keeps writing the journal of {group}"))
        .hint("stop the other process first, with Ctrl-C; then the same command")
        .into())
}

/// A process that writes the journal must not be disturbed.
fn refuse_if_at_work(
    setting: &Setting<'_>,
    group: &str,
    lock: Option<&Lock>,
    found: Option<&Found>,
    how: Resume,
) -> Result<(), Fault> {
    let stopped = found.is_some_and(|found| found.journal.stopped || found.journal.stuck.is_some());
    let written = found.and_then(|found| found.written).or(lock.map(|lock| lock.since));
    let silent = written.map_or(SignedDuration::MAX, |at| Timestamp::now().duration_since(at));
    let dead = lock.is_some_and(|lock| lock.operator.is_dead(&setting.operator));
    let long = PULSE.saturating_mul(3);
    if how.take_over || stopped || dead || silent > long {
        return Ok(());
    }
    let ago = SignedDuration::from_secs(silent.as_secs().max(0));
    let at_work = match lock {
        Some(lock) => lock.held(group).to_string(),
        None => format!("somebody carries a rollout of {group} on, though its lock is gone"),
    };
    Err(Fault::step(format!("{at_work}; it gave a sign of life {ago:#} ago"))
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
    // Nobody has watched it in between: it is watched anew.
    next.faltered = None;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Role;

    fn order(role: Role) -> Order {
        let text = include_str!("fixtures/journal-1.json");
        let journal: Journal = serde_json::from_str(text).unwrap();
        let patience = crowd::patience(role, 600, 600, 3);
        Order { role, patience, ..journal.order }
    }

    #[test]
    fn who_carries_on_may_have_more_patience_and_builds_may_be_worth_less() {
        for role in [Role::Controller, Role::Agent] {
            let old = order(role);
            assert_eq!(Amended::default().applied(old.clone(), 3), old);
            let patience = Some(Duration::from_hours(1));
            let more = Amended { patience, ..Amended::default() }.applied(old.clone(), 3);
            let patience = crowd::patience(role, 3600, 600, 3);
            assert_eq!(more, Order { patience, ..old.clone() });
            let amended = Amended {
                builds: Some(Builds::WaitThenForce),
                builds_patience: Some(Duration::from_mins(1)),
                patience: None,
                soak: Some(Duration::from_mins(5)),
            };
            let patience = crowd::patience(role, 600, 60, 3);
            let builds = Builds::WaitThenForce;
            let wanted = Order { builds, builds_patience: 60, patience, soak: 300, ..old.clone() };
            assert_eq!(amended.applied(old, 3), wanted);
        }
    }

    #[test]
    fn nobody_watches_long_a_host_that_nobody_looks_after() {
        let text = include_str!("fixtures/journal-1.json");
        let mut journal: Journal = serde_json::from_str(text).unwrap();
        (journal.way, journal.phase) = (Way::Forward, Phase::Quiet);
        let asks = |soak, back| {
            let soak = Some(Duration::from_secs(soak));
            Resume { back, amended: Amended { soak, ..Amended::default() }, ..Resume::default() }
        };
        assert!(asks(60, false).refuse(&journal).is_ok());
        journal.order.strategy = Strategy::ReplaceRootVolume;
        let fault = asks(60, false).refuse(&journal).unwrap_err();
        assert!(fault.to_string().contains("replace-root-volume"), "{fault}");
        assert!(asks(0, false).refuse(&journal).is_ok());
        assert!(Resume::default().refuse(&journal).is_ok());
        assert!(asks(60, true).refuse(&journal).is_ok(), "it goes back");
    }
}
