//! The steps, done one after the other until the mount answers, or is a new one.

use std::time::Duration;

use camino::Utf8Path;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Serialize;

use super::{Hang, Step, look};
use crate::error::Fault;
use crate::event::Events;
use crate::sys::{Cmd, Runner, Tool, journal, systemd};

const STEP: &str = "recover hang";

/// A healthy file system answers in milliseconds.
const ANSWER: Duration = Duration::from_secs(10);

/// The kernel may take its time to let a mount go.
const UNMOUNT: Duration = Duration::from_secs(30);

/// A tunnel is up in seconds, and what waits for it is sent again after a while; in seconds.
const TUNNEL: u32 = 45;

/// Who is killed is gone as soon as the kernel lets go; in seconds.
const DEATH: u32 = 10;

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Freed {
    /// It answers: nothing was to be done.
    Answers,
    /// It answers again, after this step.
    By(Step),
    /// It is mounted anew by the boot that was begun.
    Again,
    /// This host is being restarted.
    Reboots,
}

/// Frees the mount: step by step, and no further than is needed. Reboots only where `reboot` is given.
///
/// # Errors
/// Something of it still hangs, and the host was not to be rebooted.
pub async fn apply(
    root: &Utf8Path,
    runner: &Runner,
    mount_point: &str,
    reboot: bool,
    second: Duration,
    events: &Events,
) -> anyhow::Result<Freed> {
    let hang = look(root, mount_point)?;
    if hang.source.is_some() && answers(runner, mount_point).await {
        return Ok(Freed::Answers);
    }
    if let Err(error) = journal::warn(root, &format!("recover hang: {mount_point} is freed")) {
        tracing::warn!(%error, "the journal was not told");
    }
    for step in hang.steps() {
        if !is_mounted(root, mount_point) && matches!(step, Step::Force | Step::Lazy) {
            continue;
        }
        events.log(STEP, format!("{}: {}", step.title(), hang.command(step)));
        match step {
            Step::Tunnel => {
                report(events, systemd::restart_no_block(runner, WATCHDOG).await);
                if waits_until(runner, mount_point, TUNNEL, second).await {
                    return Ok(Freed::By(step));
                }
            }
            Step::Kill => murder(&hang, events, second).await,
            Step::Force => report(events, unmount(runner, "-f", mount_point).await),
            Step::Lazy => report(events, unmount(runner, "-l", mount_point).await),
            Step::Again => {
                let stuck = stuck(root, mount_point)?;
                if stuck.is_empty() && !is_mounted(root, mount_point) {
                    systemd::restart_no_block(runner, BOOT).await?;
                    return Ok(Freed::Again);
                }
                events.log(STEP, format!("not yet: {}", told(root, mount_point, &stuck)));
            }
            Step::Reboot if reboot => {
                systemd::reboot_now(runner).await?;
                return Ok(Freed::Reboots);
            }
            Step::Reboot => {
                let stuck = stuck(root, mount_point)?;
                return Err(Fault::step(told(root, mount_point, &stuck))
                    .hint("only a reboot ends that: hostkit efs recover hang --apply --reboot")
                    .into());
            }
        }
    }
    Ok(Freed::Again)
}

const WATCHDOG: &str = "amazon-efs-mount-watchdog.service";
const BOOT: &str = "hostkit-boot.service";

fn report(events: &Events, end: Result<(), crate::sys::CmdError>) {
    if let Err(error) = end {
        events.log(STEP, error.to_string());
    }
}

fn is_mounted(root: &Utf8Path, mount_point: &str) -> bool {
    look(root, mount_point).is_ok_and(|hang| hang.source.is_some())
}

/// Those that the kernel does not let go.
fn stuck(root: &Utf8Path, mount_point: &str) -> Result<Vec<String>, Fault> {
    let hang = look(root, mount_point)?;
    let dead = hang.users.iter().filter(|user| !user.spared && user.waiting > 0);
    Ok(dead.map(|user| format!("{} ({})", user.pid, user.name)).collect())
}

fn told(root: &Utf8Path, mount_point: &str, stuck: &[String]) -> String {
    if stuck.is_empty() && is_mounted(root, mount_point) {
        return format!("{mount_point} is still mounted");
    }
    format!("the kernel does not let these go: {}", stuck.join(", "))
}

async fn murder(hang: &Hang, events: &Events, second: Duration) {
    for user in hang.killed() {
        let Ok(pid) = i32::try_from(user.pid) else { continue };
        match kill(Pid::from_raw(pid), Signal::SIGKILL) {
            Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
            Err(error) => events.log(STEP, format!("{pid} could not be killed: {error}")),
        }
    }
    tokio::time::sleep(second * DEATH / 5).await;
}

async fn unmount(
    runner: &Runner,
    how: &str,
    mount_point: &str,
) -> Result<(), crate::sys::CmdError> {
    let command = Cmd::new(Tool::Umount).args([how, mount_point]).timeout(UNMOUNT);
    runner.run(&command).await.map(drop)
}

async fn waits_until(runner: &Runner, mount_point: &str, seconds: u32, second: Duration) -> bool {
    let until = tokio::time::Instant::now() + second * seconds;
    loop {
        if answers(runner, mount_point).await {
            return true;
        }
        if tokio::time::Instant::now() > until {
            return false;
        }
        tokio::time::sleep(second).await;
    }
}

/// Whether the mount answers: a child is asked, which may hang.
async fn answers(runner: &Runner, mount_point: &str) -> bool {
    let question = format!("{}\n", serde_json::json!({ "mount_point": mount_point }));
    let command = Cmd::new(Tool::Hostkit).args(["inner", "pulse"]);
    let output = runner.run(&command.stdin(question).timeout(ANSWER)).await;
    output.is_ok_and(|output| output.text().starts_with("{\"well\""))
}
