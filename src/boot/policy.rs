//! What a host does that could not be brought up: `asg.on_failure`.
//!
//! Nothing is done to a host that an earlier run of the same boot has made ready: it may serve, and
//! the guard watches it.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::context::{Context, Machine};
use super::home::MOUNT_POINT;
use super::lifecycle::{self, stop_waiting, waits};
use super::reboots;
use crate::aws::asg::{Hook, Membership, Verdict};
use crate::event::Events;
use crate::group::ledger::{self, Ledger};
use crate::group::{self, Found, Released, Reported, Us};
use crate::host::{Guard, OnFailure, Role, section};
use crate::sys::{notify, systemd};

/// How long a host that gives up tries to say so.
const LAST_WORDS: Duration = Duration::from_mins(2);

/// So often systemd is told that a host which is held has not hung, and for how long it believes that.
const PATIENCE: Duration = Duration::from_mins(20);

/// What is left to do when everything that is to be said of a failed boot has been said.
#[derive(Debug)]
pub(super) enum Sequel {
    /// Nothing.
    Done,
    /// The hook is kept waiting, so that somebody can look.
    Hold(Box<(Us, Hook, Duration)>),
    /// The host starts again.
    Reboot,
}

/// Does what the policy says. Returns what was done, for people, and what is left to do.
pub(super) async fn apply(context: &Context) -> (String, Sequel) {
    let Some(known) = context.known() else {
        return ("nobody could be told".to_owned(), Sequel::Done);
    };
    if context.was_ready {
        let what = "an earlier run made this host ready, so its group was not told";
        return (what.to_owned(), Sequel::Done);
    }
    if let Some(state) = context.taken.borrow().clone() {
        stop_waiting(context);
        return (format!("the host is {state} already, so nobody was told"), Sequel::Done);
    }
    let until = Instant::now() + LAST_WORDS;
    let before = match known.asg.on_failure {
        OnFailure::Abandon => String::new(),
        OnFailure::Hold => return hold(context, until).await,
        OnFailure::Reboot => {
            match reboots::count_one(&context.machine, &known.identity.instance_id) {
                Ok(Some(count)) => {
                    stop_waiting(context);
                    let most = reboots::MOST;
                    return (format!("this host starts again ({count} of {most})"), Sequel::Reboot);
                }
                Ok(None) => format!("it was started again {} times; ", reboots::MOST),
                Err(error) => format!("it cannot be started again: {error:#}; "),
            }
        }
    };
    let told = Box::pin(abandon(context, until)).await;
    (before + &told, Sequel::Done)
}

/// The place of this host, also where that was not found in its time.
async fn place(context: &Context, until: Instant) -> Result<Found, String> {
    match context.launch.get() {
        Some(found) => Ok(found.clone()),
        None => lifecycle::look(context, until)
            .await
            .map_err(|fault| format!("the launch hook could not be found: {fault}")),
    }
}

/// Tells the group that this host will not become ready. Says what came of it.
async fn abandon(context: &Context, until: Instant) -> String {
    match place(context, until).await {
        Err(why) => why,
        Ok(Found::NoGroup) => "there is no launch hook to tell".to_owned(),
        Ok(Found::Hook(hook, member)) if waits(&member) => {
            let name = &hook.name;
            let us = match lifecycle::us(context, lifecycle::LIFECYCLE).await {
                Ok(us) => us,
                Err(fault) => return format!("the launch hook {name} could not be told: {fault}"),
            };
            let told = group::tell(&us, &hook, Verdict::Abandon, until).await;
            stop_waiting(context);
            match told {
                Ok(_) => format!("the launch hook {name} was told to abandon this host"),
                Err(fault) => format!("the launch hook {name} could not be told: {fault}"),
            }
        }
        Ok(Found::Hook(_, member) | Found::NoHook(member)) => {
            unhealthy(context, &member, until).await
        }
    }
}

/// Tells the group that a host which it believes in service does not serve.
async fn unhealthy(context: &Context, member: &Membership, until: Instant) -> String {
    let state = &member.state;
    if !member.is_in_service() {
        return format!("the host is {state} already, so the launch hook was not told");
    }
    if !may_report(context) {
        return format!("the host is {state}, and `guard.report_unhealthy` keeps it there");
    }
    let report = async || {
        let us = lifecycle::us(context, lifecycle::LIFECYCLE).await?;
        group::report_unhealthy(&us, &ledger(context), "the boot failed").await
    };
    let left = until.saturating_duration_since(Instant::now());
    match timeout(left, Box::pin(report())).await {
        Ok(Ok(Reported::Told)) => {
            format!("the host is {state}, so its group was told that it is unhealthy")
        }
        Ok(Ok(Reported::TooOften(next))) => format!(
            "the host is {state}, and its group was told {} times within an hour that a host is \
             unhealthy: not again before {}",
            ledger::MOST,
            next.strftime("%H:%M UTC")
        ),
        Ok(Err(fault)) => format!("the host is {state}, and its group could not be told: {fault}"),
        Err(_elapsed) => format!("the host is {state}, and its group could not be told in time"),
    }
}

fn may_report(context: &Context) -> bool {
    let known = context.must_know();
    let guard: Guard = section(&known.texts.layers(context.config_file.as_str()), "guard");
    guard.report_unhealthy
}

/// Where this host counts how often it has told its group.
fn ledger(context: &Context) -> Ledger {
    let machine = &context.machine;
    let config = context.config.get().filter(|config| config.role == Some(Role::Controller));
    let id = config.and_then(|config| config.efs.id.clone());
    Ledger {
        runner: machine.runner.clone(),
        local: machine.path(ledger::LOCAL),
        home: id.map(|id| (machine.path(MOUNT_POINT), id)),
    }
}

/// Leaves the host as it is.
async fn hold(context: &Context, until: Instant) -> (String, Sequel) {
    let held = "this host is held as it is";
    let (hook, member) = match place(context, until).await {
        Err(why) => return (format!("{held}; {why}"), Sequel::Done),
        Ok(Found::NoGroup) => return (held.to_owned(), Sequel::Done),
        Ok(Found::Hook(hook, member)) => (Some(hook), member),
        Ok(Found::NoHook(member)) => (None, member),
    };
    let Some(hook) = hook.filter(|_| waits(&member)) else {
        let what = format!(
            "{held}; it is {}, and its group may still replace it: suspend ReplaceUnhealthy",
            member.state
        );
        return (what, Sequel::Done);
    };
    let us = match lifecycle::us(context, lifecycle::LIFECYCLE).await {
        // The record of the boot is closed when nobody can say anything more in it.
        Ok(us) => Us { events: Events::silent(), ..us },
        Err(fault) => return (format!("{held}; {fault}"), Sequel::Done),
    };
    stop_waiting(context);
    let waited = lifecycle::waited(context);
    let what = format!(
        "{held}, and {}; end that with `aws autoscaling complete-lifecycle-action`",
        at_most(&hook, waited)
    );
    (what, Sequel::Hold(Box::new((us, hook, waited))))
}

/// How long a hook waits for a host that waits for a person.
fn at_most(hook: &Hook, waited: Duration) -> String {
    let hours = hook.at_most.saturating_sub(waited).as_secs_f64() / 3600.0;
    format!("the launch hook {} is kept waiting for at most {hours:.1} h", hook.name)
}

/// What becomes of a host that waits for a person, by what is known of its group; none where it is in
/// none.
pub(super) fn keeps_waiting(context: &Context) -> Option<String> {
    match context.launch.get()? {
        Found::NoGroup => None,
        Found::Hook(hook, member) if waits(member) => {
            Some(at_most(hook, lifecycle::waited(context)))
        }
        Found::Hook(_, member) | Found::NoHook(member) => {
            let Membership { group, state } = member;
            Some(format!(
                "it is {state}, and its group may still replace it: `aws autoscaling \
                 suspend-processes --auto-scaling-group-name {group} --scaling-processes \
                 ReplaceUnhealthy`, and `resume-processes` afterwards"
            ))
        }
    }
}

impl Sequel {
    /// Does it. What is said now is said to `listener`: the record of the boot is closed.
    pub(super) async fn run(self, machine: &Machine, listener: Events) {
        match self {
            Self::Done => {}
            Self::Reboot => {
                if let Err(error) = systemd::reboot(&machine.runner).await {
                    listener.log(lifecycle::LIFECYCLE, format!("it does not start again: {error}"));
                }
            }
            Self::Hold(held) => {
                let (us, hook, waited) = *held;
                let us = Us { events: listener.clone(), ..us };
                let released = keep_holding(&us, &hook, waited).await;
                let (Released::Finished(state) | Released::Leaving(state)) = released;
                listener.log(us.step, format!("no longer held: this host is {state}"));
            }
        }
    }
}

/// Keeps the hook waiting, and systemd too: it would end a unit that starts for so long.
async fn keep_holding(us: &Us, hook: &Hook, waited: Duration) -> Released {
    // Once now: it may have been a while since the last one.
    let _ = crate::aws::asg::heartbeat(&us.aws, hook, &us.instance_id).await;
    let waiting = group::keep_waiting(us, hook, waited);
    tokio::pin!(waiting);
    loop {
        notify::extend(PATIENCE);
        match timeout(PATIENCE / 4, &mut waiting).await {
            Ok(released) => return released,
            Err(_elapsed) => {}
        }
    }
}
