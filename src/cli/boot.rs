//! `hostkit boot`: what systemd runs on an instance.

use std::process::ExitCode;

use camino::Utf8PathBuf;
use clap::{Args, ValueEnum};

use crate::boot::plan::Plan;
use crate::boot::{self, Machine, run, steps};
use crate::error::{Blame, Fault};
use crate::host::{self, Layer};
use crate::ui::{self, Format};

/// What to boot, or what to show of it.
#[derive(Debug, Args)]
pub struct Boot {
    /// What the image tells this host to be.
    #[arg(long, value_name = "FILE", default_value = crate::host::PATH)]
    config: Utf8PathBuf,
    /// Show what would run, with which values and where each came from, and do nothing. On an
    /// instance its metadata service is asked.
    #[arg(long)]
    plan: bool,
    /// Show the steps as a graph in Graphviz' language and do nothing.
    #[arg(long, conflicts_with = "plan")]
    dot: bool,
    /// With --plan or --dot: whose steps to show, and nothing of this machine.
    #[arg(long, value_enum)]
    role: Option<Role>,
    /// Do one step again, with what it needs. What comes before must have succeeded in this boot;
    /// nobody is told if it fails.
    #[arg(long, value_name = "STEP", conflicts_with_all = ["plan", "dot", "role"])]
    only: Option<String>,
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

impl From<Role> for host::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Controller => Self::Controller,
            Role::Agent => Self::Agent,
            Role::Ecs => Self::Ecs,
        }
    }
}

impl Boot {
    /// The steps to show. Where nothing names a role, those of a controller.
    fn table(&self) -> &'static [steps::Step] {
        let role = self.role.map(host::Role::from).or_else(|| self.role_in_file());
        steps::table(Some(role.unwrap_or(host::Role::Controller)))
    }

    fn role_in_file(&self) -> Option<host::Role> {
        let text = std::fs::read_to_string(&self.config).ok()?;
        host::role(&[Layer { origin: self.config.as_str(), text: &text }])
    }
}

pub(super) async fn run(arguments: Boot, format: Format) -> anyhow::Result<ExitCode> {
    if arguments.plan {
        return Ok(plan(&arguments, format).await);
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
    let Boot { config, only, .. } = arguments;
    let end = match only {
        None => boot::boot(Machine::default(), config, events).await,
        Some(step) => boot::only::only(Machine::default(), config, events, &step).await,
    };
    printer.finish().await;
    end.map(|()| ExitCode::SUCCESS)
}

async fn plan(arguments: &Boot, format: Format) -> ExitCode {
    let plan = match arguments.role {
        Some(role) => Plan::of_role(role.into()),
        None => Plan::of(&Machine::default(), &arguments.config).await,
    };
    match format {
        Format::Human => ui::text(&plan.render()),
        Format::Json => ui::json(&plan),
    }
    let good = plan.problems.is_empty();
    if good { ExitCode::SUCCESS } else { ExitCode::from(Blame::Recipe.exit_code()) }
}
