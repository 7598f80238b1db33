//! The command line: types for the parser, and one file per verb that calls one function each.

pub mod agents;
pub mod analyze;
pub mod apply;
pub mod asg;
pub mod aws;
pub mod bake;
pub mod bake_ami;
pub mod bake_instance;
pub mod boot;
pub mod cache;
pub mod check;
pub mod docs;
pub mod drain;
pub mod efs;
pub mod gc;
pub mod guard;
pub mod history;
pub mod iam;
pub mod images;
pub mod init;
pub mod inner;
pub mod keys;
pub mod lease;
pub mod lock;
pub mod logs;
#[cfg(feature = "sim")]
pub mod machines;
pub mod plan;
pub mod publish;
pub mod recipes;
mod reference;
pub mod regions;
#[cfg(feature = "sim")]
pub mod rehearse;
pub mod rollback;
pub mod shell;
#[cfg(feature = "sim")]
pub mod sim;
pub mod status;
pub mod support_bundle;
mod table;
#[cfg(feature = "sim")]
pub mod test;
pub mod upgrade;
#[cfg(feature = "sim")]
pub mod vm;
pub mod which;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::ui::Format;

/// Bakes and boots machine images of highly available Jenkins controllers on AWS.
#[derive(Debug, Parser)]
#[command(name = "hostkit", version, max_term_width = 80, disable_help_subcommand = true)]
#[command(after_help = "Exit codes: 0 ok, 1 a bug, 2 usage, 3 recipe or configuration,\n\
    4 environment, 5 a step or check failed, 6 AWS refused or timed out, 130 interrupted.")]
pub struct Cli {
    /// Talk to people (`human`) or to programs (`json`, an object a line).
    #[arg(long, global = true, value_enum, default_value_t, env = "HOSTKIT_FORMAT")]
    #[arg(hide_possible_values = true, hide_env_values = true, display_order = 100)]
    pub format: Format,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bake a recipe into an image
    Bake(Box<bake::Args>),
    /// Show what a recipe comes to, without doing it
    Plan(plan::Args),
    /// Copy an image to regions, share it, and move what points to it
    Publish(publish::Args),
    /// List images, show one, show what differs between two, or remove old ones
    #[command(subcommand)]
    Images(images::Images),
    /// Put a new image in service: proven, or the old one back
    Upgrade(Box<upgrade::Upgrade>),
    /// Put back what served before, as it is recorded
    Rollback(Box<rollback::Rollback>),
    /// Remove from AWS what builds left that were killed
    Gc(gc::Gc),
    /// Look at an Auto Scaling group
    #[command(subcommand)]
    Asg(asg::Asg),
    /// Find what is wrong with the storage under Jenkins, and bring a home back
    #[command(subcommand)]
    Efs(efs::Efs),
    /// Print the least policy for what hostkit does on AWS
    Iam(iam::Iam),
    /// Show or reduce what bakes keep for the next one
    #[command(subcommand)]
    Cache(cache::Cache),
    /// Boot an image and run its tests
    #[cfg(feature = "sim")]
    Test(test::Run),
    /// Open a shell in the tree of a recipe, or in a booted image
    Shell(shell::Shell),
    /// Begin a project: a recipe that extends a shipped one
    Init(init::Args),
    /// List the recipes that can be baked
    Recipes(recipes::Args),
    /// Look for everything that is wrong with recipes, offline
    Check(check::Args),
    /// Apply a plan to this machine or to a tree, or check it against one
    ///
    /// Ends with 10 when a check finds a difference.
    Apply(apply::Args),
    /// Boot an image in a simulated AWS account, on this machine.
    #[cfg(feature = "sim")]
    Vm(vm::Vm),
    /// Serve a simulated AWS account on this machine
    ///
    /// Ends with Ctrl-C, or with the command that is given.
    #[cfg(feature = "sim")]
    Sim(sim::Sim),
    /// Play bad nights on virtual machines before they come
    #[cfg(feature = "sim")]
    #[command(subcommand)]
    Rehearse(rehearse::Rehearse),
    /// Boot this host: make it what it is to be.
    Boot(boot::Boot),
    /// Show how the last boot of this host went.
    ///
    /// Ends with 0 when it is ready, 5 when it failed, 11 while it runs.
    Status,
    /// Take this host down in order: builds end, Jenkins stops, the home is released
    ///
    /// What hostkit-guard.service does by itself when the group terminates this host, or EC2 takes a
    /// spot instance back.
    Drain(drain::Drain),
    /// Watch this host, and drain it when it goes
    ///
    /// What hostkit-guard.service runs.
    Guard,
    /// Show where the time of a boot went, and draw it
    Analyze(analyze::Analyze),
    /// List the boots of this host and of all that had its home before, or the rollouts of a group
    History(history::History),
    /// Gather what somebody needs who was not there, without secrets
    SupportBundle(support_bundle::SupportBundle),
    /// Ship the journal of this host
    #[command(subcommand)]
    Logs(logs::Logs),
    /// Show who holds the home of this host, or declare the holder dead
    #[command(subcommand)]
    Lease(lease::Lease),
    /// Make, show and exchange the keys of controllers and build agents
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Tell Jenkins which build agents there are
    #[command(subcommand)]
    Agents(agents::Agents),
    /// Write what is generated: schemas, the reference, man pages, completions
    #[command(subcommand)]
    Docs(docs::Docs),
    /// Parts of hostkit that run as processes of their own.
    #[command(subcommand, hide = true)]
    Inner(inner::Inner),
}

impl Command {
    /// Whether what this process and its children write gets into trees, whoever calls it.
    pub const fn makes_trees(&self) -> bool {
        matches!(self, Self::Bake(_) | Self::Shell(_) | Self::Apply(_))
    }

    /// Whether this process mounts trees, and so needs a mount namespace of its own before it has
    /// threads.
    pub const fn mounts(&self) -> bool {
        matches!(self, Self::Bake(_) | Self::Shell(_))
    }
}

/// Ends when a person presses Ctrl-C or goes away, or a service manager asks to stop.
async fn stop_signal() {
    asked_to_stop(1).await;
}

/// As [`stop_signal`], when that has happened so many times. It listens from now on, and not from when it
/// is waited for.
fn asked_to_stop(times: u32) -> impl Future<Output = ()> {
    use futures::FutureExt as _;
    use tokio::signal::unix::{SignalKind, signal};
    // A wrapper that passes a Ctrl-C on, which its child got as well, makes two of one.
    const SAME: std::time::Duration = std::time::Duration::from_millis(300);
    let listen = |kind| signal(kind).expect("signals can be listened to");
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let mut all = kinds.map(listen);
    async move {
        for time in 1..=times {
            futures::future::select_all(all.iter_mut().map(|it| Box::pin(it.recv()))).await;
            if time < times {
                tokio::time::sleep(SAME).await;
                for it in &mut all {
                    while it.recv().now_or_never().is_some() {}
                }
            }
        }
    }
}

/// Runs one command to its end.
pub async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let format = cli.format;
    match cli.command {
        Command::Bake(args) => Box::pin(bake::run(*args, format)).await,
        Command::Apply(args) => apply::run(args, format).await,
        Command::Plan(args) => plan::run(&args, format),
        Command::Publish(args) => Box::pin(publish::run(args, format)).await,
        Command::Images(verb) => Box::pin(images::run(&verb, format)).await,
        Command::Upgrade(args) => Box::pin(upgrade::run(*args, format)).await,
        Command::Rollback(args) => Box::pin(rollback::run(*args, format)).await,
        Command::Gc(args) => Box::pin(gc::run(&args, format)).await,
        Command::Asg(verb) => Box::pin(asg::run(&verb, format)).await,
        Command::Efs(verb) => Box::pin(efs::run(verb, format)).await,
        Command::Iam(args) => iam::run(&args, format),
        Command::Cache(command) => cache::run(&command, format),
        Command::Init(args) => init::run(&args, format),
        Command::Recipes(args) => recipes::run(&args, format),
        Command::Check(args) => check::run(&args, format).await,
        Command::Docs(command) => docs::run(command),
        #[cfg(feature = "sim")]
        Command::Test(args) => Box::pin(test::run(args, format)).await,
        Command::Shell(args) => Box::pin(shell::run(args, format)).await,
        #[cfg(feature = "sim")]
        Command::Vm(args) => Box::pin(vm::run(args, format)).await,
        #[cfg(feature = "sim")]
        Command::Sim(args) => Box::pin(sim::run(args, format)).await,
        #[cfg(feature = "sim")]
        Command::Rehearse(verb) => Box::pin(rehearse::run(verb, format)).await,
        Command::Boot(arguments) => boot::run(arguments, format).await,
        Command::Keys(verb) => Box::pin(keys::run(verb, format)).await,
        Command::Drain(arguments) => Box::pin(drain::run(arguments, format)).await,
        Command::Guard => Box::pin(guard::run(format)).await,
        Command::Status => status::run(format).await,
        Command::Analyze(args) => analyze::run(args, format).await,
        Command::History(args) => Box::pin(history::run(&args, format)).await,
        Command::SupportBundle(args) => Box::pin(support_bundle::run(args, format)).await,
        Command::Logs(verb) => Box::pin(logs::run(&verb, format)).await,
        Command::Lease(verb) => Box::pin(lease::run(verb, format)).await,
        Command::Agents(verb) => Box::pin(agents::run(verb, format)).await,
        Command::Inner(command) => Ok(inner::run(&command)),
    }
}
