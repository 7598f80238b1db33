//! `hostkit efs backup`.

use std::process::ExitCode;

use clap::Subcommand;

use crate::error::Fault;
use crate::ui::Format;

/// The verbs of `hostkit efs backup`.
#[derive(Debug, Subcommand)]
pub enum Backup {
    /// Whether the file system is backed up, and how old the newest backup is
    Status,
}

/// Runs a verb.
pub(super) async fn run(_verb: Backup, _format: Format) -> anyhow::Result<ExitCode> {
    Err(Fault::usage("not there yet").into())
}
