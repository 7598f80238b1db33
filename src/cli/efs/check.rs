//! `hostkit efs check`.

use std::process::ExitCode;

use clap::Args;

use crate::error::Fault;
use crate::ui::Format;

/// `hostkit efs check`
#[derive(Debug, Args)]
pub struct Check {}

/// Runs it.
pub(super) async fn run(_args: Check, _format: Format) -> anyhow::Result<ExitCode> {
    Err(Fault::usage("not there yet").into())
}
