//! The boot agent: what a host does between power-on and serving.
//!
//! A const table of steps for each role ([`steps`]) becomes a graph ([`graph`], pure) of shared futures
//! ([`run`]); each job has a file of its own. Everything may run twice and says `unchanged` then.
//! Nothing here touches the mounted home in this process: a dead NFS server would hang it for
//! ever. Such work is done by a child with a deadline ([`inside`]).

pub mod about;
pub mod agents;
pub mod analyze;
mod authorize;
mod barred;
pub mod bundle;
mod cadence;
mod config;
pub mod context;
mod credentials;
mod ecs;
pub mod graph;
pub mod history;
pub mod home;
mod host_key;
mod hostname;
mod identity;
pub mod inside;
mod jenkins;
mod keys;
mod lease;
mod lifecycle;
pub mod live;
mod login;
mod mount;
pub mod only;
mod permission;
pub mod plan;
mod plugins;
mod policy;
mod ready;
mod reboots;
mod recorder;
pub mod records;
pub mod recoveries;
pub mod refresh;
mod render;
pub mod run;
mod secrets;
mod service;
mod shipping;
mod site;
mod sshd;
mod start_limits;
pub mod status;
pub mod steps;
mod target;
#[cfg(test)]
mod tests;
mod texts;
mod timer;
mod way_back;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use camino::Utf8PathBuf;

pub use crate::efs::name::Names;
use context::Context;
pub use context::Machine;

use crate::error::Fault;
use crate::event::{Events, Milestone, Outcome};
use crate::facts::Facts;
use crate::lease::barred::Barred;
use crate::sys::console;
use about::About;
use policy::Sequel;
use recorder::Recorder;
use records::Place;
use run::Ended;
use status::{State, Status};

/// Under which name a boot as a whole says things.
const BOOT: &str = "boot";

/// How long giving up may take: stopping what was started, the record on the home, and telling the group.
#[cfg(test)]
const GIVING_UP: Duration = Duration::from_secs(30 + 55 + 120);

/// Boots this host to the end, whichever it is.
///
/// When a required step failed, the cause is left where somebody may still find it, and what
/// `asg.on_failure` says is done: a host that is held ends its boot only when it is let go.
pub async fn boot(machine: Machine, config: Utf8PathBuf, events: Events) -> anyhow::Result<()> {
    let facts = Facts::read(&machine.root)?;
    permission::withdraw(&machine)?;
    Barred::end(&machine.root).context("taking back that a boot waits")?;
    let was_ready = was_ready(&machine, &facts);
    let recorder = recorder::start(&machine, &facts, events.clone())?;
    let mut context = Context::new(machine.clone(), facts, config, recorder.events());
    context.was_ready = was_ready;
    let context = Arc::new(context);
    let what = format!("hostkit {} boots this host", env!("CARGO_PKG_VERSION"));
    context.events.milestone(BOOT, Milestone::BootStarted, what);
    let (end, sequel) = match run_table(&context).await {
        None => {
            console::say(&machine.root, "hostkit: this host is ready\n");
            reboots::forget(&machine);
            (Ok(()), Sequel::Done)
        }
        Some((step, cause)) => {
            let (error, sequel) = Box::pin(give_up(&context, &recorder, step, &cause)).await;
            (Err(error), sequel)
        }
    };
    let (state, milestone) = match &end {
        Ok(()) => (State::Ready, Milestone::BootReady),
        Err(_) => (State::Failed, Milestone::BootFailed),
    };
    let (about, place) = (About::of(&context), Place::of(&context));
    drop(context);
    let status = recorder.finish(state, about).await;
    events.milestone(BOOT, milestone, status.headline());
    if state == State::Ready {
        place.keep(&status, &events).await;
    }
    if let (Err(error), Sequel::Hold(_)) = (&end, &sequel) {
        // It is told again at the end, which may be days from now.
        events.log(lifecycle::LIFECYCLE, error.to_string());
    }
    Box::pin(sequel.run(&machine, events)).await;
    end
}

/// Whether an earlier run, since the kernel started, has made this host ready.
fn was_ready(machine: &Machine, facts: &Facts) -> bool {
    let last = Status::read(machine);
    last.is_ok_and(|last| last.state == State::Ready && last.boot_id == facts.boot_id)
}

/// Runs the steps of this host's role; returns the required one that failed, and why.
async fn run_table(context: &Arc<Context>) -> Option<(&'static str, String)> {
    let first = run::all(steps::FIRST, Vec::new(), context).await;
    let role = context.role();
    let table = *context.table.get_or_init(|| steps::table(role));
    tokio::select! {
        ended = run::all(table, first, context) => {
            let failure = ended.iter().find_map(failure_of);
            failure.map(|(step, cause)| (step, cause.to_owned()))
        }
        // Whatever was under way is of no use any more.
        state = lifecycle::taken_away(context) => {
            let cause = format!("the group takes this host away while it boots: it is {state}");
            let outcome = Outcome::Failed(cause.clone());
            context.events.finished(lifecycle::LIFECYCLE, outcome, Duration::ZERO);
            Some((lifecycle::LIFECYCLE, cause))
        }
    }
}

fn failure_of(ended: &Ended) -> Option<(&'static str, &str)> {
    match &ended.outcome {
        Outcome::Failed(cause) if ended.step.required => Some((ended.step.name, cause)),
        _ => None,
    }
}

async fn give_up(
    context: &Arc<Context>,
    recorder: &Recorder,
    step: &'static str,
    cause: &str,
) -> (anyhow::Error, Sequel) {
    // First of all: nobody may write to the home, or run tasks, when another host takes over.
    permission::give_up(context, step).await;
    let screen = format!(
        "\n==== hostkit: this host did not boot: `{step}` failed ====\n{cause}\n\
         ==== more: journalctl -u hostkit-boot; hostkit status ====\n"
    );
    console::say(&context.machine.root, &screen);
    let status = recorder.so_far(State::Failed, About::of(context)).await;
    Place::of(context).keep(&status, &context.events).await;
    // The last thing that this host does: its group may terminate it now.
    let (told, sequel) = Box::pin(policy::apply(context)).await;
    if !matches!(sequel, Sequel::Done) {
        console::say(&context.machine.root, &format!("hostkit: {told}\n"));
    }
    let (what, hint) = split_hint(cause);
    let what_failed = format!("the boot failed at `{step}`; {told}");
    let fault = match step {
        // Whoever wrote the configuration must act.
        steps::CONFIG_STEP => Fault::recipe(what_failed),
        _ => Fault::step(what_failed),
    };
    let error = anyhow::anyhow!(what).context(match hint {
        Some(hint) => fault.hint(hint),
        None => fault,
    });
    (error, sequel)
}

/// A failed step's text ends with its hint; the error of the whole run shows it as its own.
fn split_hint(cause: &str) -> (String, Option<String>) {
    match cause.rsplit_once("\n  hint: ") {
        Some((what, hint)) => (what.to_owned(), Some(hint.trim().to_owned())),
        None => (cause.to_owned(), None),
    }
}
