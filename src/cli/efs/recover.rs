//! `hostkit efs recover`: brings a home back, or takes that back.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::recover_hang;
use crate::error::Fault;
use crate::ui::Format;

/// `hostkit efs recover`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Recover {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// What the home is brought back from: a folder `aws-backup-restore_…` at the top of the file
    /// system, a set that an upgrade kept aside, or the path of a folder on the file system
    ///
    /// Without it, a recovery that was begun is carried on; and if none was, what there is to choose
    /// from is shown.
    #[arg(long, value_name = "NAME", conflicts_with = "undo")]
    from: Option<String>,
    /// Take the last recovery back, from wherever it stands: the home of before is moved in again
    #[arg(long)]
    undo: bool,
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Stop Jenkins first, if it runs; else a running Jenkins is refused
    #[arg(long)]
    stop_jenkins: bool,
    /// Go on though this is missing or broken in what is to be moved in, by its path; once for each
    #[arg(long, value_name = "PATH", conflicts_with = "undo")]
    accept_missing: Vec<String>,
    /// Do not suspend what the Auto Scaling group does by itself: somebody has seen to it
    #[arg(long)]
    leave_group: bool,
    /// Do not start Jenkins at the end
    #[arg(long)]
    no_start: bool,
}

/// What else goes wrong with a home than that it is lost.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Free a mount that hangs: from the tunnel to a reboot, step by step
    ///
    /// Prints the steps and the processes that they kill; does them only with --apply.
    Hang(recover_hang::Hang),
}

/// Runs it.
pub(super) async fn run(args: Recover, format: Format) -> anyhow::Result<ExitCode> {
    match args.verb {
        Some(Verb::Hang(hang)) => Box::pin(recover_hang::run(&hang, format)).await,
        None => Err(Fault::usage("not there yet").into()),
    }
}
