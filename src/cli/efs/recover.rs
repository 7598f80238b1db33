//! `hostkit efs recover`: brings a home back, or takes that back.

use std::process::ExitCode;
use std::time::Duration;

use camino::Utf8Path;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::recover_failover::agree;
use super::{recover_failover, recover_hang, recover_throughput};
use crate::cli::lease;
use crate::doctor::recover::{self, Ended, Prospect, Setting, Wish, connect};
use crate::error::Fault;
use crate::event::Events;
use crate::lease::order::Order;
use crate::sys::Runner;
use crate::ui::{self, Format};

/// Whose a home is: the user of Jenkins' own package.
const USER: &str = "jenkins";

/// `hostkit efs recover`
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command")]
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
    /// Change how throughput is paid for, where credits are spent and Jenkins crawls
    ///
    /// Prints the steps; does them only with --apply. AWS allows it once in 24 hours.
    Throughput(recover_throughput::Throughput),
    /// Make the read-only copy in another region the home
    ///
    /// Asked of the side that lives, where the other is lost. Prints all steps, and who does each;
    /// does those that AWS has to do only with --apply.
    Failover(recover_failover::Failover),
    /// Free a mount that hangs: from the tunnel to a reboot, step by step
    ///
    /// Prints the steps and the processes that they kill; does them only with --apply.
    Hang(recover_hang::Hang),
}

/// How it ended, for programs.
#[derive(Serialize)]
struct Line<'a> {
    version: u32,
    #[serde(flatten)]
    ended: &'a Ended,
}

/// What would be done, for programs.
#[derive(Serialize)]
struct Plan<'a> {
    version: u32,
    #[serde(flatten)]
    prospect: &'a Prospect,
}

/// Runs it.
pub(super) async fn run(args: Recover, format: Format) -> anyhow::Result<ExitCode> {
    match &args.verb {
        Some(Verb::Throughput(args)) => Box::pin(recover_throughput::run(args, format)).await,
        Some(Verb::Failover(args)) => Box::pin(recover_failover::run(args, format)).await,
        Some(Verb::Hang(hang)) => Box::pin(recover_hang::run(hang, format)).await,
        None => Box::pin(recover_home(args, format)).await,
    }
}

async fn recover_home(args: Recover, format: Format) -> anyhow::Result<ExitCode> {
    root_only()?;
    let (root, runner) = (Utf8Path::new("/"), Runner::Direct);
    let order = Order::find(root).await?;
    let by = lease::operator(root);
    let silent = Events::silent();
    let setting = Setting {
        root,
        runner: &runner,
        order: &order,
        user: USER,
        aws: connect(&order).await,
        by: &by,
        events: &silent,
        second: Duration::from_secs(1),
    };
    let wish = Wish {
        from: args.from,
        undo: args.undo,
        stop_jenkins: args.stop_jenkins,
        accept_missing: args.accept_missing,
        leave_group: args.leave_group,
    };
    let prospect = Box::pin(recover::prepare(&setting, &wish)).await?;
    match format {
        Format::Human => ui::text(&prospect.text()),
        Format::Json => ui::json(&Plan { version: 1, prospect: &prospect }),
    }
    if args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    if !args.yes && (format == Format::Json || !ui::can_ask()) {
        return Err(Fault::usage("nothing is begun without --yes where nobody can be asked")
            .hint("--dry-run only shows what would be done")
            .into());
    }
    agree(args.yes, &order.me.fs_id, format)?;
    let (events, printer) = ui::start(format);
    let setting = Setting { events: &events, ..setting };
    let ended = Box::pin(recover::carry_out(&setting, prospect, !args.no_start)).await;
    drop(events);
    printer.finish().await;
    told(&ended?, format);
    Ok(ExitCode::SUCCESS)
}

fn root_only() -> Result<(), Fault> {
    if nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    Err(Fault::environment("only root can bring a home back").hint("sudo hostkit efs recover …"))
}

fn told(ended: &Ended, format: Format) {
    if format == Format::Json {
        ui::json(&Line { version: 1, ended });
        return;
    }
    ui::text(&match ended {
        Ended::Done { record } => format!("Jenkins serves. The record is {record}.\n"),
        Ended::Moved => "The home is in its place, Jenkins is down, and the group leaves this host \
                         alone.\n  hostkit efs recover   # starts Jenkins, and has the group go on\n"
            .to_owned(),
    });
}
