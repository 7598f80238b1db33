//! A shell in a tree, for a person: in a finished one that is thrown away afterwards, or in one as
//! a step that failed left it.

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::Context as _;

use super::hygiene::Terms;
use super::tree::{self, Built, ThrowAway};
use super::workspace::Workspace;
use super::{Clock, Places, preflight};
use crate::event::Events;
use crate::plan::Plan;
use crate::plan::lock::Image;
use crate::secret::Secrets;
use crate::sys::{Cmd, Runner, Tool};

/// A person takes the time that they need.
const PATIENCE: Duration = Duration::from_hours(24 * 7);

/// How long the screen is given to show what was said before the shell takes it.
const FLUSH: Duration = Duration::from_millis(300);

/// What the tree's own shell does: become a better one if there is one.
const BECOME: &str = "if command -v bash >/dev/null; then exec bash -i; fi; exec sh -i";

/// A finished tree that may be written to and is not kept. It goes with the value.
#[derive(Debug)]
pub struct Tree {
    // In the order in which they go.
    throw_away: ThrowAway,
    _built: Built,
    _work: Workspace,
}

impl Tree {
    /// Builds the tree of `plan`, from the cache as far as it is there.
    pub async fn build(
        plan: &Plan,
        locked: Option<&Image>,
        places: &Places,
        secrets: &Secrets,
        events: &Events,
    ) -> anyhow::Result<Self> {
        let terms = Terms::of(plan)?.mount_points(plan.immutable.clone());
        preflight::check(places).await?;
        let work = Workspace::create(&places.cache)?;
        let job = tree::Job { plan, terms: &terms, locked, places, secrets, work: &work, events };
        let built = tree::build(&job, &mut Clock::new(events)).await?;
        let throw_away = built.throw_away(work.path())?;
        Ok(Self { throw_away, _built: built, _work: work })
    }

    /// Opens a shell in it; returns the shell's exit status.
    pub async fn open(&self) -> anyhow::Result<i32> {
        open(&self.throw_away.host.runner).await
    }
}

/// Opens a shell in the tree of a step that failed, if a person is there to use it.
pub(super) async fn after_failure(runner: &Runner, events: &Events) {
    const STEP: &str = "shell";
    if !std::io::stdin().is_terminal() {
        events.log(STEP, "no shell is opened: the input is no terminal");
        return;
    }
    events.log(STEP, "a shell in the tree as the step left it; the bake fails when it ends");
    tokio::time::sleep(FLUSH).await;
    if let Err(error) = open(runner).await {
        events.log(STEP, format!("no shell could be opened: {error:#}"));
    }
}

async fn open(runner: &Runner) -> anyhow::Result<i32> {
    let terminal = std::env::var("TERM").unwrap_or_else(|_| "dumb".to_owned());
    // Without a terminal the shell reads its commands from our input, as shells do.
    let cmd = Cmd::new(Tool::Shell).env("TERM", terminal).timeout(PATIENCE);
    let cmd = if std::io::stdin().is_terminal() { cmd.args(["-c", BECOME]) } else { cmd };
    let status = runner.attach(&cmd).await.context("opening a shell in the tree")?;
    Ok(status.unwrap_or(1))
}
