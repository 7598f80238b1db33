//! `hostkit efs recover`.

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{recover_failover, recover_throughput};
use crate::error::Fault;
use crate::ui::Format;

/// `hostkit efs recover`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Recover {
    #[command(subcommand)]
    verb: Option<Verb>,
}

/// What else goes wrong with a home than that it is lost.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Change how throughput is paid for, where credits are spent and Jenkins crawls
    ///
    /// Prints the steps; does them only with --apply. AWS allows it once in 24 hours.
    Throughput(recover_throughput::Throughput),
    /// Make the read-only copy in another region the home
    ///
    /// Asked of the side that lives, where the other is lost. Prints all steps, and who does each;
    /// does those that AWS has to do only with --apply.
    Failover(recover_failover::Failover),
}

/// Runs it.
pub(super) async fn run(args: Recover, format: Format) -> anyhow::Result<ExitCode> {
    match args.verb {
        Some(Verb::Throughput(args)) => Box::pin(recover_throughput::run(&args, format)).await,
        Some(Verb::Failover(args)) => Box::pin(recover_failover::run(&args, format)).await,
        None => Err(Fault::usage("not there yet").into()),
    }
}
