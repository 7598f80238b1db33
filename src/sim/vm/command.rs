//! What is done in the guest, over SSH, as the login user.
//!
//! The key is the instance's EC2 key pair: that it lets us in shows that the image installs it.

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::Context as _;

use super::options::Session;
use super::run_dir::RunDir;
use crate::event::Events;
use crate::sim::timeline::{Milestone, Recorder};
use crate::sys::cmd::quote;
use crate::sys::{Cmd, CmdError, Output, Runner, Tool};

/// The key pair's file in the run folder.
pub const KEY: &str = "login";
/// The login user of hostkit's images.
const USER: &str = "admin";
/// What ssh itself ends with when it does not get in.
const SSH_FAILED: i32 = 255;
/// Key exchange takes seconds under emulation.
const LOGIN_TIMEOUT: Duration = Duration::from_mins(1);
/// A shell that reads a script as root.
const AS_ROOT: &str = "sudo sh -s";
/// What tells one boot of the guest from another.
const BOOT_ID: &str = "cat /proc/sys/kernel/random/boot_id";
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
        let attempt = ssh(run_dir, port)?.args(["--", "true"]).timeout(LOGIN_TIMEOUT);
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

/// Has the guest start again in order, and waits until it lets in.
pub async fn reboot(
    runner: &Runner,
    run_dir: &RunDir,
    port: u16,
    recorder: &Recorder,
) -> anyhow::Result<()> {
    log_in(runner, run_dir, port, recorder).await?;
    let boot_id = async || -> anyhow::Result<String> {
        let ask = ssh(run_dir, port)?.args(["--", BOOT_ID]).timeout(LOGIN_TIMEOUT);
        Ok(runner.run(&ask).await?.text())
    };
    let before = boot_id().await.context("asking which boot this is")?;
    // The connection may end before the command does.
    let order = ssh(run_dir, port)?.args(["--", "sudo systemctl reboot"]).timeout(LOGIN_TIMEOUT);
    let _ = runner.run(&order).await;
    while boot_id().await.map_or(true, |now| now.is_empty() || now == before) {
        tokio::time::sleep(PAUSE).await;
    }
    recorder.mark(Milestone::Rebooted);
    Ok(())
}

/// How a session ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The exit status.
    pub status: i32,
    /// What it printed, where that is kept.
    pub said: String,
}

/// Does what `session` says.
pub async fn run(
    runner: &Runner,
    run_dir: &RunDir,
    port: u16,
    session: &Session,
    events: &Events,
) -> anyhow::Result<Answer> {
    let ssh = || ssh(run_dir, port).map(|ssh| ssh.timeout(COMMAND_TIMEOUT));
    let ended = match session {
        Session::None => return Ok(Answer::default()),
        Session::Attached(words) => attach(runner, &ssh()?.arg("--").arg(line(words))).await,
        // Without a terminal it reads its commands from our input.
        Session::Shell if std::io::stdin().is_terminal() => attach(runner, &ssh()?.arg("-t")).await,
        Session::Shell => attach(runner, &ssh()?).await,
        Session::Followed(words) => {
            let command = ssh()?.arg("--").arg(line(words));
            answer(runner.run_with(&command, |line| events.log("command", line)).await)
        }
        Session::Script(script) => {
            let command = ssh()?.args(["--", AS_ROOT]).stdin(script.as_str());
            answer(runner.run(&command).await)
        }
    };
    ended.context("running a command in the guest")
}

/// Runs a script for `sh` as root until it ends, and hands on each line that it prints. The
/// connection stays however long the guest is silent: it may be paused.
pub async fn follow(
    runner: &Runner,
    run_dir: &RunDir,
    port: u16,
    script: &str,
    line: impl FnMut(&str),
) -> anyhow::Result<()> {
    let command = ssh_with(run_dir, port, &["ServerAliveInterval=0"])?
        .args(["--", AS_ROOT])
        .stdin(script)
        .timeout(COMMAND_TIMEOUT);
    let ended = runner.run_with(&command, line).await;
    ended.map(drop).context("following a script in the guest")
}

/// One word is a line for the guest's shell; several are a program and its arguments.
fn line(words: &[String]) -> String {
    match words {
        [line] => line.clone(),
        words => words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" "),
    }
}

async fn attach(runner: &Runner, command: &Cmd) -> Result<Answer, CmdError> {
    let status = runner.attach(command).await?;
    Ok(Answer { status: status.unwrap_or(SSH_FAILED), said: String::new() })
}

fn answer(end: Result<Output, CmdError>) -> Result<Answer, CmdError> {
    match end {
        Ok(output) => Ok(Answer { status: 0, said: output.text() }),
        Err(CmdError::Failed { code: Some(status), .. }) => {
            Ok(Answer { status, said: String::new() })
        }
        Err(error) => Err(error),
    }
}

fn ssh(run_dir: &RunDir, port: u16) -> anyhow::Result<Cmd> {
    ssh_with(run_dir, port, &[])
}

/// Of an option that is said twice the first counts.
fn ssh_with(run_dir: &RunDir, port: u16, options: &[&str]) -> anyhow::Result<Cmd> {
    let key = run_dir.argument(KEY)?;
    let mut ssh = Cmd::new(Tool::Ssh).args(["-F", "none", "-q", "-i", &key]);
    // The guest's host key is as new as the guest: there is nothing to compare it with.
    for option in options {
        ssh = ssh.args(["-o", option]);
    }
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
    Ok(ssh.args(["-p".to_owned(), port.to_string(), format!("{USER}@127.0.0.1")]))
}
