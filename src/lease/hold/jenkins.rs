//! Jenkins, as the lease sees it: whether it may still write, and how it is stopped at once.
//!
//! It never starts it.

use std::time::Duration;

use camino::Utf8Path;
use tokio::time::Instant;

use super::{STEP, Shell};
use crate::error::Fault;
use crate::lease::memory::Phase;
use crate::lease::order;
use crate::sys::{Runner, notify, systemd};

const UNIT: &str = "jenkins.service";

/// Its steps write to the home, too.
const BOOT: &str = "hostkit-boot.service";

/// What lets Jenkins' unit start.
const MAY_START: &str = "run/hostkit/may-start";

/// After so many seconds a Jenkins that was killed is one that the kernel cannot let go, because the
/// file system does not answer it. What it has in memory may still arrive there.
const STUCK: u32 = 30;

/// Whether Jenkins' unit is down and none of its processes is left.
pub(super) async fn is_down(shell: &Shell) -> anyhow::Result<bool> {
    down(&shell.place.root, &shell.place.runner).await
}

/// Whether Jenkins' unit on the machine whose files are below `root` is down, and none of its
/// processes is left.
pub async fn down(root: &Utf8Path, runner: &Runner) -> anyhow::Result<bool> {
    let names = ["LoadState", "ActiveState", "ControlGroup"];
    let shown = systemd::show(runner, UNIT, &names).await?;
    let is = |name: &str, values: &[&str]| {
        shown.get(name).is_some_and(|value| values.contains(&value.as_str()))
    };
    if is("LoadState", &["not-found"]) {
        return Ok(true);
    }
    let group = shown.get("ControlGroup").map_or("", String::as_str);
    Ok(is("ActiveState", &["inactive", "failed"]) && !is_populated(root, group))
}

/// Whether a control group has processes. systemd calls a unit failed whose processes it could not
/// kill, and leaves them in their group.
fn is_populated(root: &Utf8Path, group: &str) -> bool {
    if group.is_empty() {
        return false;
    }
    let folder = root.join("sys/fs/cgroup").join(group.trim_start_matches('/'));
    let events = std::fs::read_to_string(folder.join("cgroup.events"));
    match events {
        Ok(events) => events.lines().any(|line| line == "populated 1"),
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

/// The home is somebody else's: stops Jenkins as fast as can be, and sees that it is gone.
pub(super) async fn fence(shell: &mut Shell, generation: u64, why: &str) -> anyhow::Error {
    // Nobody starts it again, first of all.
    forbid(shell, MAY_START);
    let first = kill(shell).await;
    let hint = "Jenkins was killed on this host; `hostkit lease status` tells who has the home";
    shell.tell(Phase::Lost, Some(generation), &format!("the home is lost: {why}"), Some(hint));
    if let Err(error) = first {
        shell.events.log(STEP, format!("{UNIT} could not be killed: {error:#}"));
    }
    // Its own unit would start it again.
    if let Err(error) = systemd::stop_no_block(&shell.place.runner, UNIT).await {
        shell.events.log(STEP, format!("{UNIT} could not be stopped: {error}"));
    }
    let mut until = Instant::now() + shell.seconds(STUCK);
    while !shell.attended(nobody_writes(shell)).await {
        notify::watchdog();
        if Instant::now() > until {
            shell.events.log(STEP, "who writes is killed and not gone: this machine is rebooted");
            if let Err(error) = shell.attended(systemd::reboot_now(&shell.place.runner)).await {
                shell.events.log(STEP, format!("it could not be rebooted: {error}"));
            }
            until = Instant::now() + shell.seconds(STUCK);
        }
        let _ = shell.attended(kill(shell)).await;
        // A boot that is not done may be writing, too.
        let _ = shell.attended(systemd::kill(&shell.place.runner, BOOT, "SIGKILL")).await;
        tokio::time::sleep(shell.place.second.min(Duration::from_secs(1))).await;
    }
    // Last of all: as long as this is there, a process that starts again fences again.
    if let Err(error) = shell.memory.give_up() {
        shell.events.log(STEP, format!("what was lost could not be forgotten: {error}"));
    }
    forbid(shell, order::PATH);
    Fault::step(format!("the home is lost: {why}")).hint(hint).into()
}

/// Whether Jenkins is down and no step of the boot writes to the home.
async fn nobody_writes(shell: &Shell) -> bool {
    matches!(is_down(shell).await, Ok(true)) && matches!(shell.memory.silence(), Ok(Some(_)))
}

async fn kill(shell: &Shell) -> anyhow::Result<()> {
    Ok(systemd::kill(&shell.place.runner, UNIT, "SIGKILL").await?)
}

/// Takes away what a unit asserts.
fn forbid(shell: &Shell, path: &str) {
    match std::fs::remove_file(shell.place.root.join(path)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            shell.events.log(STEP, format!("/{path} could not be removed: {error}"));
        }
        _ => {}
    }
}
