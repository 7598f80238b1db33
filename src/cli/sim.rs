//! `hostkit sim`: the rehearsal account as a server.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::machines::Machines;
use crate::error::Fault;
use crate::sim::cloud::{Cloud, Options};
use crate::sim::hosts::{self, Script};
use crate::sim::parameters::{self, Parameters};
use crate::sys::{Cmd, Runner, Tool};
use crate::ui::{self, Format};

/// Serves a simulated AWS account on this machine
///
/// EC2, EBS direct, Systems Manager's parameters and STS, over AWS's own protocols, on 127.0.0.1.
/// Prints what has to be in the environment of a program that is to use it, and goes on until
/// Ctrl-C; or runs a command in that environment, and ends with it.
#[derive(Debug, Args)]
#[command(after_help = "Example: what the AWS CLI sees in an account that nobody pays for:\n  \
    hostkit sim -- aws ec2 describe-images --owners self")]
pub struct Sim {
    /// The port; 0 chooses a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Keep the account in a folder, or go on with the one in it
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// How many times faster than on AWS images and snapshots get ready
    #[arg(long, value_name = "N", default_value_t = 20.0, value_parser = parse_speed)]
    speed: f64,
    /// What is to go wrong (TOML)
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// Record every request in a file, a line of JSON each
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// The Parameter Store's content (TOML); empty by default
    #[arg(long, value_name = "FILE")]
    parameters: Option<PathBuf>,
    /// What the hosts of Auto Scaling Groups do instead of having machines (TOML)
    #[arg(long, value_name = "FILE", conflicts_with = "machines")]
    hosts: Option<PathBuf>,
    #[command(flatten)]
    machines: Machines,
    /// A command to run with the account
    #[arg(last = true, value_name = "CMD")]
    command: Vec<String>,
}

fn parse_speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "that is not a number".to_owned())?;
    if speed.is_finite() && speed > 0.0 { Ok(speed) } else { Err("it must be above 0".to_owned()) }
}

/// What a program is told of the account.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Opened<'a> {
    version: u32,
    url: &'a str,
    region: &'a str,
    access_key_id: &'a str,
    secret_access_key: &'a str,
}

/// Runs it; the command's exit status becomes ours.
pub async fn run(args: Sim, format: Format) -> anyhow::Result<ExitCode> {
    let hosts = args.hosts.as_deref().map(Script::load).transpose()?;
    let (options, machines, command) = args.options()?;
    let cloud = Cloud::open(options)?;
    let _players = hosts.map(|script| hosts::play(&cloud, script));
    // The command has standard output for itself.
    let (events, printer) = ui::lines();
    let machines = machines.open(&cloud, &events).await;
    drop(events);
    let status = match machines {
        Ok(_machines) => serve(&cloud, command, format).await,
        Err(error) => Err(error),
    };
    cloud.close()?;
    printer.finish().await;
    Ok(ExitCode::from(u8::try_from(status?).unwrap_or(1)))
}

async fn serve(cloud: &Cloud, command: Vec<String>, format: Format) -> anyhow::Result<i32> {
    if command.is_empty() {
        announce(cloud, format);
        super::stop_signal().await;
        return Ok(0);
    }
    tokio::select! {
        status = follow(cloud, command) => status,
        () = super::stop_signal() => Err(Fault::interrupted().into()),
    }
}

impl Sim {
    fn options(self) -> anyhow::Result<(Options, Machines, Vec<String>)> {
        let parameters = self.parameters.as_deref().map(parameters::load).transpose()?;
        let options = Options {
            port: self.port,
            state: self.state,
            speed: self.speed,
            faults: self.faults,
            record: self.record,
            parameters: parameters.unwrap_or_else(Parameters::default),
        };
        Ok((options, self.machines, self.command))
    }
}

fn announce(cloud: &Cloud, format: Format) {
    match format {
        Format::Json => ui::json(&Opened {
            version: 1,
            url: &cloud.url,
            region: crate::sim::account::REGION,
            access_key_id: &cloud.credentials.access_key,
            secret_access_key: &cloud.credentials.secret_key,
        }),
        Format::Human => {
            let environment = cloud.environment();
            let lines = environment.iter().map(|(name, value)| format!("export {name}={value}\n"));
            ui::text(&lines.collect::<String>());
        }
    }
}

/// Runs a command in our own environment and that of the account.
async fn follow(cloud: &Cloud, command: Vec<String>) -> anyhow::Result<i32> {
    let mut shell = Cmd::new(Tool::Shell)
        .args(["-c", "exec \"$@\"", "sh"])
        .args(command)
        .timeout(Duration::MAX);
    let ours = std::env::vars().filter(|(name, _)| !name.starts_with("AWS_"));
    shell.env.extend(ours);
    let account = cloud.environment().into_iter();
    shell.env.extend(account.map(|(name, value)| (name.to_owned(), value)));
    let status = Runner::Direct.attach(&shell).await.context("running the command")?;
    Ok(status.unwrap_or(1))
}
