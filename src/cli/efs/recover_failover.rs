//! `hostkit efs recover failover`: the copy in another region becomes the home.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::backup::file_system;
use crate::cli::aws::Aws;
use crate::doctor::recover::failover::{Ended, Wish, apply, prepare};
use crate::doctor::recover::steps::Steps;
use crate::error::Fault;
use crate::ui::{self, Format};

/// `hostkit efs recover failover`
#[derive(Debug, Args)]
pub(super) struct Failover {
    /// The copy, which becomes the home; --region is its region
    #[arg(long, value_name = "FS-ID", value_parser = file_system)]
    file_system: String,
    /// Make it mountable in this subnet; may be given several times
    #[arg(long = "subnet", value_name = "SUBNET")]
    subnets: Vec<String>,
    /// A security group of the mount targets; may be given several times
    #[arg(long = "security-group", value_name = "GROUP", requires = "subnets")]
    groups: Vec<String>,
    /// Do what hostkit can do; else it is only shown
    #[arg(long)]
    apply: bool,
    /// Do not ask
    #[arg(long, requires = "apply")]
    yes: bool,
    /// Go on though clients have the old home mounted
    #[arg(long, requires = "apply")]
    though_in_use: bool,
    #[command(flatten)]
    aws: Aws,
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
pub(super) async fn run(args: &Failover, format: Format) -> anyhow::Result<ExitCode> {
    let config = args.aws.config().await?;
    let wish = Wish {
        copy: args.file_system.clone(),
        subnets: args.subnets.clone(),
        groups: args.groups.clone(),
    };
    let situation = Box::pin(prepare(&config, wish)).await?;
    let steps = situation.steps();
    match format {
        Format::Human => ui::text(&steps.text()),
        Format::Json => ui::json(&Line { version: 1, steps: Some(&steps), ended: None }),
    }
    if !args.apply || !steps.can_be_applied() {
        return Ok(ExitCode::SUCCESS);
    }
    agree(args.yes, &args.file_system, format)?;
    let (events, printer) = ui::start(format);
    let ended = Box::pin(apply(&config, &situation, args.though_in_use, &events)).await;
    drop(events);
    printer.finish().await;
    let ended = ended?;
    match format {
        Format::Human => ui::text(&ended.text()),
        Format::Json => ui::json(&Line { version: 1, steps: None, ended: Some(&ended) }),
    }
    Ok(ExitCode::SUCCESS)
}

/// Nothing is begun that nobody agreed to.
pub(super) fn agree(yes: bool, file_system: &str, format: Format) -> anyhow::Result<()> {
    if yes {
        return Ok(());
    }
    if format == Format::Json || !ui::can_ask() {
        let what = "nothing is begun without --yes where nobody can be asked";
        return Err(Fault::usage(what).hint("without --apply it is only shown").into());
    }
    let question = format!("\nType the id of the file system to begin ({file_system}):");
    match ui::ask(&question, file_system) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Fault::usage("that is not its id: nothing was begun").into()),
        Err(error) => Err(Fault::environment(format!("no answer can be read: {error}")).into()),
    }
}
