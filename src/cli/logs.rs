//! `hostkit logs`: where a host's journal goes.

use std::process::ExitCode;

use clap::Subcommand;

use super::stop_signal;
use crate::error::Fault;
use crate::logs::{self, Place};
use crate::ui::{self, Format};

/// What to do with it.
#[derive(Debug, Subcommand)]
pub enum Logs {
    /// Ship the journal of this host to the CloudWatch log group that `logs.group` names
    ///
    /// What hostkit-logs.service runs.
    Ship,
}

pub(super) async fn run(verb: &Logs, format: Format) -> anyhow::Result<ExitCode> {
    let Logs::Ship = verb;
    if !nix::unistd::geteuid().is_root() {
        return Err(Fault::environment("only root can ship the journal of this host")
            .hint("systemctl start hostkit-logs")
            .into());
    }
    let (events, printer) = match format {
        Format::Human => ui::lines(),
        Format::Json => ui::start(format),
    };
    let end = logs::ship(Place::default(), events, stop_signal()).await;
    printer.finish().await;
    end.map(|()| ExitCode::SUCCESS)
}
