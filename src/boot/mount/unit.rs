//! Has systemd mount: a transient unit over D-Bus, so this service needs no right to mount, the mount
//! does not end with it, and no daemon is reloaded.

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use super::attempts::Problem;
use super::trouble::Trouble;
use super::wanted::Wanted;
use crate::boot::cadence::Cadence;
use crate::boot::context::Machine;
use crate::error::Fault;
use crate::sys::{Cmd, CmdError, Tool, mountinfo, systemd};

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(30);

/// Those who use what is mounted stop before it is unmounted, where they are on this host.
const USERS: [&str; 2] = ["docker.service", "ecs.service"];

/// What `mount.efs` is installed as.
const HELPERS: [&str; 2] = ["sbin/mount.efs", "usr/sbin/mount.efs"];

/// Refuses what needs amazon-efs-utils where that is not installed.
pub(super) fn check(machine: &Machine, wanted: &Wanted) -> Result<(), Fault> {
    if !wanted.needs_utils() || HELPERS.iter().any(|path| machine.path(path).exists()) {
        return Ok(());
    }
    let section = wanted.section;
    let what = format!(
        "`{section}.tls`, `{section}.iam` and `{section}.access_point` need amazon-efs-utils, and \
         this image has no mount.efs"
    );
    Err(Fault::environment(what).hint(
        "add the package amazon-efs-utils to the recipe (Debian and Ubuntu: build it as AWS \
         describes), or mount plain NFS from a network that only this host reaches",
    ))
}

/// Mounts, and waits until systemd has done it or says that it cannot.
pub(super) async fn mount(
    machine: &Machine,
    wanted: &Wanted,
    address: Ipv4Addr,
) -> Result<(), Problem> {
    let options = wanted.options(address, machine.nfs_port);
    let mounted = if wanted.needs_utils() {
        with_helper(machine, wanted, &options).await
    } else {
        plain(machine, wanted, &format!("{address}:/"), &options).await
    };
    let Err(error) = mounted else { return Ok(()) };
    // systemd only says that the unit failed; the unit's journal says why.
    let unit = systemd::mount_unit(&wanted.point);
    let said = systemd::last_lines(&machine.runner, &unit, 6).await;
    let error = match said.as_str() {
        "" => error,
        said => anyhow::anyhow!(said.to_owned()).context(error.to_string()),
    };
    Err(Trouble::of(&said).problem(error, wanted))
}

async fn plain(
    machine: &Machine,
    wanted: &Wanted,
    what: &str,
    options: &str,
) -> anyhow::Result<()> {
    let mut command = Cmd::new(Tool::SystemdMount)
        .args(["--no-ask-password", "--collect", "--quiet", "--fsck=no", "--type=nfs4"])
        .arg(format!("--options={options}"))
        .arg(format!("--property=TimeoutSec={}", ATTEMPT.as_secs()));
    if wanted.section == "mount" {
        command = command.arg(format!("--property=Before={}", USERS.join(" ")));
    }
    let command = command.args([what, &wanted.point]).timeout(ATTEMPT * 2);
    machine.runner.run(&command).await?;
    Ok(())
}

/// `systemd-mount` takes the name of a file system that it does not know for a path, so its call is
/// made here. It is answered before the mount is there.
async fn with_helper(machine: &Machine, wanted: &Wanted, options: &str) -> anyhow::Result<()> {
    let unit = systemd::mount_unit(&wanted.point);
    let micros = (ATTEMPT * 2).as_micros().to_string();
    let what = format!("{}:/", wanted.id);
    let mut properties = vec![
        vec!["What", "s", &what],
        vec!["Type", "s", "efs"],
        vec!["Options", "s", options],
        vec!["CollectMode", "s", "inactive-or-failed"],
        vec!["TimeoutUSec", "t", &micros],
    ];
    if wanted.section == "mount" {
        properties.push([&["Before", "as", "2"][..], &USERS].concat());
    }
    let count = properties.len().to_string();
    let call = Cmd::new(Tool::Busctl)
        .args(["--quiet", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1"])
        .args(["org.freedesktop.systemd1.Manager", "StartTransientUnit", "ssa(sv)a(sa(sv))"])
        .args([&unit, "replace", &count])
        .args(properties.concat())
        .arg("0")
        .timeout(ATTEMPT);
    machine.runner.run(&call).await?;
    let until = Instant::now() + ATTEMPT * 2;
    let cadence = Cadence::new(machine.pause);
    loop {
        if is_mounted(machine, &wanted.point)? {
            return Ok(());
        }
        let shown = systemd::show(&machine.runner, &unit, &["ActiveState", "Job"]).await?;
        let has_job = shown.get("Job").is_some_and(|job| !["", "0"].contains(&job.as_str()));
        let works = has_job || shown.get("ActiveState").is_some_and(|it| it == "activating");
        if !works || Instant::now() > until {
            // It may have come in this moment.
            anyhow::ensure!(is_mounted(machine, &wanted.point)?, "{unit} did not mount {what}");
            return Ok(());
        }
        cadence.pause().await;
    }
}

fn is_mounted(machine: &Machine, point: &str) -> anyhow::Result<bool> {
    let mounts = mountinfo::read(&machine.root).context("reading the table of mounts")?;
    Ok(mountinfo::at(&mounts, point).is_some())
}

/// Takes a mount away that nobody can use any more, without asking its server. Those who have files
/// of it open keep them, and systemd stops what is bound to it.
pub(super) async fn forget(machine: &Machine, point: &str) -> Result<(), CmdError> {
    let command = Cmd::new(Tool::SystemdRun)
        .args(["--no-ask-password", "--quiet", "--wait", "--collect"])
        .args(["umount", "--lazy", "--no-canonicalize", point])
        .timeout(ATTEMPT);
    machine.runner.run(&command).await.map(drop)
}
