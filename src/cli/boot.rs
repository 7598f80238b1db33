//! `hostkit boot`: what systemd runs on an instance.

use std::process::ExitCode;

use camino::Utf8PathBuf;
use clap::{Args, ValueEnum};

use crate::boot::{self, Machine, run, steps};
use crate::error::Fault;
use crate::host::{self, Layer};
use crate::ui::{self, Format};

/// What to boot, or what to show of it.
#[derive(Debug, Args)]
pub struct Boot {
    /// What the image tells this host to be.
    #[arg(long, value_name = "FILE", default_value = crate::host::PATH)]
    config: Utf8PathBuf,
    /// Show the steps and do nothing.
    #[arg(long)]
    plan: bool,
    /// Show the steps as a graph in Graphviz' language and do nothing.
    #[arg(long, conflicts_with = "plan")]
    dot: bool,
    /// Whose steps to show; else those of the role in FILE.
    #[arg(long, value_enum)]
    role: Option<Role>,
}

/// What a host is for.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum Role {
    /// A Jenkins controller.
    Controller,
    /// A build agent.
    Agent,
    /// An ECS container host.
    Ecs,
}

impl Boot {
    /// The steps to show. Where nothing names a role, those of a controller.
    fn table(&self) -> &'static [steps::Step] {
        let role = match self.role {
            Some(Role::Controller) => host::Role::Controller,
            Some(Role::Agent) => host::Role::Agent,
            Some(Role::Ecs) => host::Role::Ecs,
            None => self.role_in_file().unwrap_or(host::Role::Controller),
        };
        steps::table(Some(role))
    }

    fn role_in_file(&self) -> Option<host::Role> {
        let text = std::fs::read_to_string(&self.config).ok()?;
        host::role(&[Layer { origin: self.config.as_str(), text: &text }])
    }
}

pub(super) async fn run(arguments: Boot, format: Format) -> anyhow::Result<ExitCode> {
    if arguments.plan {
        ui::text(&run::plan(arguments.table()));
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.dot {
        ui::text(&run::graph(arguments.table()).dot());
        return Ok(ExitCode::SUCCESS);
    }
    if !nix::unistd::geteuid().is_root() {
        return Err(Fault::environment("only root can boot this host")
            .hint("systemctl start hostkit-boot")
            .into());
    }
    let (events, printer) = ui::start(format);
    let end = boot::boot(Machine::default(), arguments.config, events).await;
    printer.finish().await;
    end.map(|()| ExitCode::SUCCESS)
}
