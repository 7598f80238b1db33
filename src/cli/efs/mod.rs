//! `hostkit efs`: the storage under Jenkins, looked at and brought back.

mod backup;
mod check;
mod recover;
mod recover_failover;
mod recover_hang;
mod recover_throughput;

use std::process::ExitCode;

use clap::Subcommand;

use crate::ui::Format;

/// The verbs of `hostkit efs`.
#[derive(Debug, Subcommand)]
pub enum Efs {
    /// Find what is wrong with the storage under Jenkins, and the line that mends it
    ///
    /// Changes nothing, and never hangs. Ends with 5 if something is wrong.
    Check(check::Check),
    /// Bring a home back: from a backup, a replica or a copy
    Recover(recover::Recover),
    /// Look at backups of the home, make one, or have one restored
    #[command(subcommand)]
    Backup(backup::Backup),
}

/// Runs a verb.
pub async fn run(verb: Efs, format: Format) -> anyhow::Result<ExitCode> {
    match verb {
        Efs::Check(args) => Box::pin(check::run(args, format)).await,
        Efs::Recover(args) => Box::pin(recover::run(args, format)).await,
        Efs::Backup(verb) => Box::pin(backup::run(verb, format)).await,
    }
}
