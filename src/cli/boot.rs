//! `hostkit boot`: what systemd runs on an instance.

use std::process::ExitCode;

use camino::Utf8PathBuf;
use clap::Args;

use crate::boot::{self, Machine, run, steps};
use crate::error::Fault;
use crate::ui::{self, Format};

/// What to boot, or what to show of it.
#[derive(Debug, Args)]
pub struct Boot {
    /// What the image tells this host to be.
    #[arg(long, value_name = "FILE", default_value = crate::host::PATH)]
    config: Utf8PathBuf,
    /// Show the steps and do nothing.
    #[arg(long)]
    plan: bool,
    /// Show the steps as a graph in Graphviz' language and do nothing.
    #[arg(long, conflicts_with = "plan")]
    dot: bool,
}

pub(super) async fn run(arguments: Boot, format: Format) -> anyhow::Result<ExitCode> {
    if arguments.plan {
        ui::text(&run::plan(steps::CONTROLLER));
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.dot {
        ui::text(&run::graph(steps::CONTROLLER).dot());
        return Ok(ExitCode::SUCCESS);
    }
    if !nix::unistd::geteuid().is_root() {
        return Err(Fault::environment("only root can boot this host")
            .hint("systemctl start hostkit-boot")
            .into());
    }
    let (events, printer) = ui::start(format);
    let end = boot::boot(Machine::default(), arguments.config, events).await;
    printer.finish().await;
    end.map(|()| ExitCode::SUCCESS)
}
