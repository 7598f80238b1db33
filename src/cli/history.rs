//! `hostkit history`: what came before, on a host or in a group.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::aws::Aws;
use super::table::table;
use crate::aws::operator::fault;
use crate::boot::{Machine, history, records};
use crate::error::Fault;
use crate::fleet::rollout::{lock, record, text};
use crate::ui::{self, Format};

/// What to list.
#[derive(Debug, Args)]
pub struct History {
    /// The rollouts of this Auto Scaling group, in place of the boots of this host
    #[arg(long = "asg", value_name = "NAME")]
    group: Option<String>,
    #[command(flatten)]
    aws: Aws,
}

/// `hostkit history`.
pub(super) async fn run(args: &History, format: Format) -> anyhow::Result<ExitCode> {
    match &args.group {
        Some(group) => rollouts(&args.aws, group, format).await,
        None => boots(format).await,
    }
}

async fn boots(format: Format) -> anyhow::Result<ExitCode> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Fault::environment("only root can read the records of boots")
            .hint("sudo hostkit history; hostkit history --asg NAME for the rollouts of a group")
            .into());
    }
    let records = records::read(&Machine::default()).await?;
    if let Some(note) = history::note(&records.source) {
        ui::note(&note);
    }
    match format {
        Format::Human => ui::text(&history::render(&records)),
        Format::Json => {
            history::entries(&records).for_each(|entry| ui::json(&entry));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A rollout, for programs.
#[derive(Serialize)]
struct Line<'a> {
    version: u32,
    rollout: &'a record::Record,
}

async fn rollouts(aws: &Aws, group: &str, format: Format) -> anyhow::Result<ExitCode> {
    let (config, _identity) = aws.sign_in().await?;
    let records = record::all(&config, group).await.map_err(|failure| fault(&failure))?;
    match format {
        Format::Json => {
            for rollout in &records {
                ui::json(&Line { version: 1, rollout });
            }
        }
        Format::Human if records.is_empty() => {
            ui::text(&format!("nothing is recorded of {group}: hostkit never upgraded it"));
        }
        Format::Human => {
            let head = ["BEGUN (UTC)", "ENDED", "FROM -> TO", "DOWN", "TOOK", "BY"];
            ui::text(&table(head, &text::rows(&records)));
        }
    }
    if let Some(lock) = lock::read(&config, group).await? {
        ui::note(&lock.held(group).to_string());
    }
    Ok(ExitCode::SUCCESS)
}
