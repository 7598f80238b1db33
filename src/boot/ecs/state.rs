//! What an ECS agent has left on the disk: kept only if it is this instance's.
//!
//! The agent's state says which container instance it is. In an image that was made from a host
//! that had been in a cluster, or on a disk that came from one, it says that of another: the agent
//! then insists on being that one and is refused. A mark beside the state says whose it is.

use std::sync::Arc;

use anyhow::Context as _;

use super::{AGENT, NO_AGENT};
use crate::boot::context::Context;
use crate::event::Outcome;
use crate::sys::{Root, atomic};

/// Where the agent keeps what it knows.
const DATA: &str = "var/lib/ecs/data";
/// Whose that is.
const MARK: &str = "var/lib/ecs/hostkit-instance";

const STEP: &str = "state";

pub(in crate::boot) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let Some(agent) = AGENT.look(&context).await? else {
        return Ok(Outcome::Skipped(NO_AGENT.to_owned()));
    };
    let id = context.must_know().identity.instance_id.as_str();
    let root = Root::strict(&context.machine.root).context("opening the root")?;
    let owner = root.read_text(MARK).with_context(|| format!("reading /{MARK}"))?;
    let owner = owner.as_deref().map(str::trim);
    if owner == Some(id) {
        return Ok(Outcome::Unchanged);
    }
    if !agent.is_down() {
        // It has its files open, and whatever it is registered as, it is.
        let what = format!("{} is left as it is while the ECS agent runs", said(owner));
        context.events.log(STEP, &what);
        return Ok(Outcome::Skipped(what));
    }
    if is_there(&root)? {
        root.empty_dir(DATA).with_context(|| format!("emptying /{DATA}"))?;
        context.events.log(STEP, format!("{} was removed: this is {id}", said(owner)));
    }
    let mark = context.machine.path(MARK);
    let folder = mark.parent().expect("the mark is in a folder");
    atomic::make_directory(folder, 0o755).with_context(|| format!("making {folder}"))?;
    atomic::write(&mark, format!("{id}\n").as_bytes(), 0o644)
        .with_context(|| format!("writing {mark}"))?;
    Ok(Outcome::Changed)
}

fn said(owner: Option<&str>) -> String {
    match owner {
        // It is the content of a file that anybody may have written.
        Some(other) => format!("the ECS state of {} in /{DATA}", other.escape_debug()),
        None => format!("the ECS state of nobody knows whom in /{DATA}"),
    }
}

fn is_there(root: &Root) -> anyhow::Result<bool> {
    match root.list(DATA) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        listed => Ok(!listed.with_context(|| format!("looking into /{DATA}"))?.is_empty()),
    }
}
