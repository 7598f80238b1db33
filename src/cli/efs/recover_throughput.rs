//! `hostkit efs recover throughput`: another way to pay for it, where credits are spent.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::backup::Of;
use super::recover_failover::agree;
use crate::aws::efs_change::Mode;
use crate::aws::operator::region;
use crate::doctor::recover::steps::Steps;
use crate::doctor::recover::throughput::{Ended, apply, prepare};
use crate::ui::{self, Format};

/// How throughput is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Word {
    /// By what is read and written.
    Elastic,
    /// By the hour, as much as is ordered: with --mibps.
    Provisioned,
    /// By size, with credits.
    Bursting,
}

/// `hostkit efs recover throughput`
#[derive(Debug, Args)]
pub(super) struct Throughput {
    /// How it is to be paid for
    #[arg(long, value_enum, value_name = "MODE", default_value = "elastic")]
    mode: Word,
    /// So many MiB/s: provisioned
    #[arg(long, value_name = "MIBPS", value_parser = clap::value_parser!(u32).range(1..=3414))]
    #[arg(required_if_eq("mode", "provisioned"))]
    mibps: Option<u32>,
    /// Do it; else it is only shown
    #[arg(long)]
    apply: bool,
    /// Do not ask
    #[arg(long, requires = "apply")]
    yes: bool,
    #[command(flatten)]
    of: Of,
}

#[derive(Serialize)]
struct Line<'a> {
    version: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<&'a Steps>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended: Option<&'a Ended>,
}

/// Runs it.
pub(super) async fn run(args: &Throughput, format: Format) -> anyhow::Result<ExitCode> {
    let mode = match (args.mode, args.mibps) {
        (Word::Provisioned, Some(mibps)) => Mode::Provisioned(mibps.into()),
        (Word::Bursting, None) => Mode::Bursting,
        (Word::Elastic | Word::Provisioned, None) => Mode::Elastic,
        (Word::Elastic | Word::Bursting, Some(_)) => {
            let what = "--mibps is of --mode provisioned";
            return Err(crate::error::Fault::usage(what).into());
        }
    };
    let (file_system, config) = args.of.find().await?;
    let change = prepare(&config, &file_system, mode).await?;
    let steps = change.steps(region(&config));
    match format {
        Format::Human => ui::text(&steps.text()),
        Format::Json => ui::json(&Line { version: 1, steps: Some(&steps), ended: None }),
    }
    if !args.apply || change.is_done() {
        return Ok(ExitCode::SUCCESS);
    }
    agree(args.yes, &file_system, format)?;
    let (events, printer) = ui::start(format);
    let ended = Box::pin(apply(&config, &change, &events)).await;
    drop(events);
    printer.finish().await;
    let ended = ended?;
    match format {
        Format::Human => ui::text(&format!("{} is {} now", ended.file_system, ended.mode)),
        Format::Json => ui::json(&Line { version: 1, steps: None, ended: Some(&ended) }),
    }
    Ok(ExitCode::SUCCESS)
}
