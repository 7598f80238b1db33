//! `hostkit agents …`: the build agents that Jenkins knows.

use std::process::ExitCode;

use clap::Subcommand;

use crate::boot::{Machine, agents};
use crate::error::Fault;
use crate::ui::{self, Format};

/// The verbs of `hostkit agents`.
#[derive(Debug, Subcommand)]
pub enum Agents {
    /// Look for the agents of the pools, and tell Jenkins if others are there than it knows
    ///
    /// What `hostkit-agents.timer` runs on a controller.
    Refresh,
}

pub(super) async fn run(agents: Agents, format: Format) -> anyhow::Result<ExitCode> {
    let Agents::Refresh = agents;
    if !nix::unistd::geteuid().is_root() {
        return Err(Fault::environment("only root can tell Jenkins about its agents")
            .hint("systemctl start hostkit-agents")
            .into());
    }
    let (events, printer) = ui::start(format);
    let end = agents::refresh(&Machine::default(), &events).await;
    drop(events);
    printer.finish().await;
    end.map(|_| ExitCode::SUCCESS)
}
