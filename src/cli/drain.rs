//! `hostkit drain`: takes this host down in order.

use std::process::ExitCode;

use clap::Args;

use crate::error::Fault;
use crate::guard::Post;
use crate::guard::byhand::{self, Ended};
use crate::ui::{self, Format};

/// How to drain, or what to show of it.
#[derive(Debug, Args)]
pub struct Drain {
    /// Show the stages and their times, and do nothing
    #[arg(long)]
    plan: bool,
    /// Also where the group would replace this host then
    #[arg(long, conflicts_with = "plan")]
    force: bool,
    /// Take back a drain that a person has begun, as long as Jenkins runs
    #[arg(long, conflicts_with_all = ["plan", "force"])]
    cancel: bool,
}

pub(super) async fn run(arguments: Drain, format: Format) -> anyhow::Result<ExitCode> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Fault::environment("only root can drain this host")
            .hint("sudo hostkit drain")
            .into());
    }
    let post = Post::default();
    if arguments.plan {
        ui::text(&byhand::plan(&post)?);
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.cancel {
        let serves = byhand::cancel(&post).await?;
        ui::note(if serves {
            "the drain is taken back"
        } else {
            "the drain is taken back; `systemctl restart hostkit-boot` has this host serve again"
        });
        return Ok(ExitCode::SUCCESS);
    }
    let (events, printer) = ui::start(format);
    let end = byhand::drain(&post, arguments.force, super::stop_signal(), events).await;
    printer.finish().await;
    match end? {
        Ended::Drained(failed) if failed.is_empty() => Ok(ExitCode::SUCCESS),
        Ended::Drained(failed) => {
            let names: Vec<_> = failed.iter().map(|stage| stage.name()).collect();
            let what = format!("this host is drained, and this was given up: {}", names.join(", "));
            Err(Fault::step(what).hint("the lines above tell why").into())
        }
        Ended::TakenBack => {
            ui::note("the drain is taken back");
            Err(Fault::interrupted().into())
        }
        Ended::LeftToGuard => {
            ui::note("it was too late to take the drain back: hostkit-guard.service carries it on");
            Err(Fault::interrupted().into())
        }
    }
}
