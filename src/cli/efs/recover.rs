//! `hostkit efs recover`.

use std::process::ExitCode;

use clap::Args;

use crate::error::Fault;
use crate::ui::Format;

/// `hostkit efs recover`
#[derive(Debug, Args)]
pub struct Recover {}

/// Runs it.
pub(super) async fn run(_args: Recover, _format: Format) -> anyhow::Result<ExitCode> {
    Err(Fault::usage("not there yet").into())
}
