//! Running a command in the guest, over SSH, as the login user.
//!
//! The key is the instance's EC2 key pair: that it lets us in shows that the image installs it.

use std::time::Duration;

use anyhow::Context as _;

use super::run_dir::RunDir;
use crate::event::Events;
use crate::sim::timeline::{Milestone, Recorder};
use crate::sys::cmd::quote;
use crate::sys::{Cmd, CmdError, Runner, Tool};

/// The key pair's file in the run folder.
pub const KEY: &str = "login";
/// The login user of hostkit's images.
const USER: &str = "admin";
/// What ssh itself ends with when it does not get in.
const SSH_FAILED: i32 = 255;
/// Key exchange takes seconds under emulation.
const LOGIN_TIMEOUT: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_millis(500);
/// The overall time-out is what ends a command.
const COMMAND_TIMEOUT: Duration = Duration::from_hours(24);

/// Waits until the guest lets us in.
pub async fn log_in(
    runner: &Runner,
    run_dir: &RunDir,
    port: u16,
    recorder: &Recorder,
) -> anyhow::Result<()> {
    loop {
        let attempt = ssh(run_dir, port)?.arg("true").timeout(LOGIN_TIMEOUT);
        match runner.run(&attempt).await {
            Ok(_) => {
                recorder.mark(Milestone::Login);
                return Ok(());
            }
            Err(CmdError::Missing(fault)) => return Err(fault.into()),
            Err(error) => tracing::debug!(%error, "not let in yet"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Runs `words` and returns the exit status.
pub async fn run(
    runner: &Runner,
    run_dir: &RunDir,
    port: u16,
    words: &[String],
    events: Option<&Events>,
) -> anyhow::Result<i32> {
    // One word is a line for the guest's shell; several are a program and its arguments.
    let line = match words {
        [line] => line.clone(),
        words => words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" "),
    };
    let command = ssh(run_dir, port)?.arg(line).timeout(COMMAND_TIMEOUT);
    let status = match events {
        None => runner.attach(&command).await.map(|status| status.unwrap_or(SSH_FAILED)),
        Some(events) => match runner.run_with(&command, |line| events.log("command", line)).await {
            Ok(_) => Ok(0),
            Err(CmdError::Failed { code: Some(code), .. }) => Ok(code),
            Err(error) => Err(error),
        },
    };
    status.context("running a command in the guest")
}

fn ssh(run_dir: &RunDir, port: u16) -> anyhow::Result<Cmd> {
    let key = run_dir.argument(KEY)?;
    let mut ssh = Cmd::new(Tool::Ssh).args(["-F", "none", "-q", "-i", &key]);
    // The guest's host key is as new as the guest: there is nothing to compare it with.
    for option in [
        "BatchMode=yes",
        "IdentitiesOnly=yes",
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "ConnectTimeout=30",
        "ServerAliveInterval=15",
    ] {
        ssh = ssh.args(["-o", option]);
    }
    Ok(ssh.args(["-p".to_owned(), port.to_string(), format!("{USER}@127.0.0.1"), "--".to_owned()]))
}
