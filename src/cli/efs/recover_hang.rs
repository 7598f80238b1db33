//! `hostkit efs recover hang`: what is done about a mount that does not answer.

use std::process::ExitCode;

use clap::Args;

use crate::error::Fault;
use crate::ui::Format;

/// `hostkit efs recover hang`
#[derive(Debug, Args)]
pub(super) struct Hang {
    /// Do it; else it is only shown
    #[arg(long)]
    apply: bool,
    /// Also reboot this host, if nothing else frees it
    #[arg(long, requires = "apply")]
    reboot: bool,
}

/// Runs it.
pub(super) async fn run(_hang: &Hang, _format: Format) -> anyhow::Result<ExitCode> {
    Err(Fault::usage("not there yet").into())
}
