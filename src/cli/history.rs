//! `hostkit history`: what came before.

use std::process::ExitCode;

use clap::Args;

use crate::boot::{Machine, history, records};
use crate::error::Fault;
use crate::ui::{self, Format};

/// What to list.
#[derive(Debug, Args)]
pub struct History {}

pub(super) async fn run(_args: &History, format: Format) -> anyhow::Result<ExitCode> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Fault::environment("only root can read the records of boots")
            .hint("sudo hostkit history")
            .into());
    }
    let records = records::read(&Machine::default()).await?;
    if let Some(note) = history::note(&records.source) {
        ui::note(&note);
    }
    match format {
        Format::Human => ui::text(&history::render(&records)),
        Format::Json => {
            records.boots.iter().for_each(|boot| ui::json(&history::Line::new(boot)));
        }
    }
    Ok(ExitCode::SUCCESS)
}
