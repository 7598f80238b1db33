//! `hostkit efs recover hang`: what is done about a mount that does not answer.

use std::process::ExitCode;
use std::time::Duration;

use camino::Utf8Path;
use clap::Args;
use serde::Serialize;

use crate::doctor::recover::hang::{self, Freed, Hang as Found};
use crate::error::Fault;
use crate::host::HOME;
use crate::sys::Runner;
use crate::ui::{self, Format};

/// `hostkit efs recover hang`
#[derive(Debug, Args)]
pub(super) struct Hang {
    /// Do it; else it is only shown
    #[arg(long)]
    apply: bool,
    /// Also reboot this host, if nothing else frees it
    #[arg(long, requires = "apply")]
    reboot: bool,
}

/// What there is, or how it ended, for programs.
#[derive(Serialize)]
struct Line<'a> {
    version: u32,
    found: &'a Found,
    freed: Option<&'a Freed>,
}

/// Runs it.
pub(super) async fn run(args: &Hang, format: Format) -> anyhow::Result<ExitCode> {
    let root = Utf8Path::new("/");
    if !nix::unistd::geteuid().is_root() {
        return Err(Fault::environment("only root can see who uses the mount, and free it")
            .hint("sudo hostkit efs recover hang")
            .into());
    }
    let found = hang::look(root, HOME)?;
    if format == Format::Human {
        ui::text(&found.text());
    }
    if !args.apply {
        if format == Format::Json {
            ui::json(&Line { version: 1, found: &found, freed: None });
        }
        return Ok(ExitCode::SUCCESS);
    }
    if found.source.is_none() {
        return Err(Fault::environment(format!("no network file system is mounted at {HOME}"))
            .hint("systemctl restart hostkit-boot mounts it; hostkit efs check tells why it is not")
            .into());
    }
    let (events, printer) = ui::start(format);
    let second = Duration::from_secs(1);
    let freed = hang::apply(root, &Runner::Direct, HOME, args.reboot, second, &events).await;
    drop(events);
    printer.finish().await;
    let freed = freed?;
    if format == Format::Json {
        ui::json(&Line { version: 1, found: &found, freed: Some(&freed) });
        return Ok(ExitCode::SUCCESS);
    }
    ui::text(match freed {
        Freed::Answers => "It answers: nothing was done.\n",
        Freed::By(_) => "It answers again.\n",
        Freed::Again => "This host boots again; hostkit status tells how far it is.\n",
        Freed::Reboots => "This host starts again.\n",
    });
    Ok(ExitCode::SUCCESS)
}
