//! The boot agent: what a host does between power-on and serving.
//!
//! A const table of steps for each role ([`steps`]) becomes a graph ([`graph`], pure) of shared futures
//! ([`run`]); each job has a file of its own. Everything may run twice and says `unchanged` then.
//! Nothing here touches the mounted home in this process: a dead NFS server would hang it for
//! ever. Such work is done by a child with a deadline ([`inside`]).

mod authorize;
mod config;
pub mod context;
mod ecs;
pub mod graph;
mod home;
mod identity;
pub mod inside;
mod jenkins;
mod keys;
mod lease;
mod lifecycle;
mod login;
mod mount;
mod permission;
mod plugins;
mod public_key;
mod ready;
mod recorder;
mod render;
pub mod run;
mod service;
mod sshd;
pub mod status;
pub mod steps;
#[cfg(test)]
mod tests;
mod texts;

use std::sync::Arc;
#[cfg(test)]
use std::time::Duration;

use camino::Utf8PathBuf;

use context::Context;
pub use context::Machine;
pub use mount::name::Names;

use crate::error::Fault;
use crate::event::{Events, Outcome};
use crate::facts::Facts;
use crate::sys::console;
use run::Ended;
use status::State;

/// How long giving up may take: stopping what was started, the record on the home, and telling the group.
#[cfg(test)]
const GIVING_UP: Duration = Duration::from_secs(30 + 55 + 120);

/// Boots this host to the end, whichever it is.
///
/// When a required step failed, the launch hook is told to abandon the instance and the cause is
/// left where somebody may still find it.
pub async fn boot(machine: Machine, config: Utf8PathBuf, events: Events) -> anyhow::Result<()> {
    let facts = Facts::read(&machine.root)?;
    let root = machine.root.clone();
    permission::withdraw(&machine)?;
    let recorder = recorder::start(&machine, &facts, events)?;
    let context = Arc::new(Context::new(machine, facts, config, recorder.events()));
    let first = run::all(steps::FIRST, Vec::new(), &context).await;
    let role = context.role();
    let table = *context.table.get_or_init(|| steps::table(role));
    let ended = run::all(table, first, &context).await;
    let failure = ended.iter().find_map(failure_of);
    let end = match failure {
        None => {
            console::say(&root, "hostkit: this host is ready\n");
            Ok(())
        }
        Some((step, cause)) => Err(Box::pin(give_up(&context, step, cause)).await),
    };
    let state = if end.is_ok() { State::Ready } else { State::Failed };
    let instance = context.known().map(|known| known.identity.instance_id.clone());
    drop(context);
    recorder.finish(state, instance).await;
    end
}

fn failure_of(ended: &Ended) -> Option<(&'static str, &str)> {
    match &ended.outcome {
        Outcome::Failed(cause) if ended.step.required => Some((ended.step.name, cause)),
        _ => None,
    }
}

async fn give_up(context: &Arc<Context>, step: &str, cause: &str) -> anyhow::Error {
    // First of all: nobody may write to the home, or run tasks, when another host takes over.
    permission::give_up(context, step).await;
    let screen = format!(
        "\n==== hostkit: this host did not boot: `{step}` failed ====\n{cause}\n\
         ==== more: journalctl -u hostkit-boot; hostkit status ====\n"
    );
    console::say(&context.machine.root, &screen);
    if let Err(error) = home::record(context, step, cause).await {
        context.events.log(step, format!("the cause was not recorded on the home: {error:#}"));
    }
    // The last thing that this host does: its group now terminates it.
    let told = Box::pin(lifecycle::abandon(context)).await;
    let (what, hint) = split_hint(cause);
    let what_failed = format!("the boot failed at `{step}`; {told}");
    let fault = match step {
        // Whoever wrote the configuration must act.
        steps::CONFIG_STEP => Fault::recipe(what_failed),
        _ => Fault::step(what_failed),
    };
    anyhow::anyhow!(what).context(match hint {
        Some(hint) => fault.hint(hint),
        None => fault,
    })
}

/// A failed step's text ends with its hint; the error of the whole run shows it as its own.
fn split_hint(cause: &str) -> (String, Option<String>) {
    match cause.rsplit_once("\n  hint: ") {
        Some((what, hint)) => (what.to_owned(), Some(hint.trim().to_owned())),
        None => (cause.to_owned(), None),
    }
}
