//! Mounts the home: finds it, probes it, and has systemd mount it.
//!
//! `mount.nfs` would try for two minutes and then say little, so every attempt here is short, and
//! told apart from the last. The mount itself is a transient unit of systemd: this service needs
//! no right to mount, and the mount does not end with it.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use super::context::{Context, Machine};
use super::home::{MOUNT_POINT, file_system};
use super::inside::{self, Answer, Request};
use super::locate::{Lost, Place, is_target, locate};
use super::probe::probe;
use crate::error::Fault;
use crate::event::Outcome;
use crate::sys::mountinfo::{self, Mount};
use crate::sys::{Cmd, Tool, systemd};

const STEP: &str = "efs";

/// What AWS recommends for EFS; `retry=0` because the attempts are ours.
const OPTIONS: &str = "nfsvers=4.1,rsize=1048576,wsize=1048576,hard,timeo=600,retrans=2,\
    noresvport,_netdev,retry=0";

const ATTEMPT: Duration = Duration::from_secs(30);

pub(super) async fn run(context: Arc<Context>) -> anyhow::Result<Outcome> {
    let machine = &context.machine;
    let until = Instant::now() + machine.mount_budget;
    let mut last = String::new();
    loop {
        let problem = match attempt(&context).await {
            Ok(outcome) => return Ok(outcome),
            Err(Problem::Final(error)) => return Err(error),
            Err(Problem::Passing(error)) => error,
        };
        let pause = machine.pause * 2;
        if Instant::now() + pause > until {
            let seconds = machine.mount_budget.as_secs();
            return Err(problem.context(format!("mounting the home for {seconds} s")));
        }
        // The same news every two seconds is no news.
        let text = format!("{problem:#}");
        if text != last {
            context.events.log(STEP, &text);
            last = text;
        }
        tokio::time::sleep(pause).await;
    }
}

enum Problem {
    /// Trying again may help.
    Passing(anyhow::Error),
    /// It will not.
    Final(anyhow::Error),
}

async fn attempt(context: &Context) -> Result<Outcome, Problem> {
    let machine = &context.machine;
    if let Some(mount) = mounted(machine).map_err(Problem::Final)? {
        return recognise(context, &mount).await.map(|()| Outcome::Unchanged);
    }
    let (address, how) = match locate(context).await {
        Ok(Place::At(address, how)) => (address, how),
        Ok(Place::Coming(what)) => return Err(Problem::Passing(anyhow::anyhow!(what))),
        Err(Lost::Passing(error)) => return Err(Problem::Passing(error)),
        Err(Lost::Final(fault)) => return Err(Problem::Final(fault.into())),
    };
    let server = SocketAddr::from((address, machine.nfs_port));
    probe(server).await.map_err(|obstacle| {
        let hint = obstacle.hint();
        Problem::Passing(anyhow::anyhow!(Fault::step(format!("{how}: {obstacle}")).hint(hint)))
    })?;
    context.events.log(STEP, format!("{how}: {server} speaks NFSv4"));
    name_this_client(context, &context.must_know().identity.instance_id);
    mount(machine, address, MOUNT_POINT).await?;
    // What counts is what the kernel says: all that follows is written there.
    if mounted(machine).map_err(Problem::Final)?.is_none_or(|mount| !is_nfs(&mount)) {
        let what = format!("systemd has mounted {address}:/, and {MOUNT_POINT} has no such mount");
        return Err(Problem::Passing(
            Fault::step(what).hint("systemctl list-units --type=mount --all").into(),
        ));
    }
    Ok(Outcome::Changed)
}

fn mounted(machine: &Machine) -> anyhow::Result<Option<Mount>> {
    let mounts = mountinfo::read(&machine.root).context("reading the table of mounts")?;
    Ok(mountinfo::at(&mounts, MOUNT_POINT).cloned())
}

fn is_nfs(mount: &Mount) -> bool {
    mount.kind.starts_with("nfs")
}

/// Whether what is mounted already is the right file system: by its own mark, and where it has
/// none by its address. A controller that serves must not depend on what EFS says today.
async fn recognise(context: &Context, mount: &Mount) -> Result<(), Problem> {
    let file_system = file_system(context);
    if is_nfs(mount) {
        let mount_point = context.machine.path(MOUNT_POINT);
        let request = Request::ReadMark { mount_point };
        let answer = inside::ask(&context.machine.runner, &request).await;
        let Answer::Mark(mark) = answer.map_err(Problem::Passing)? else {
            return Err(Problem::Final(anyhow::anyhow!("the child answered something else")));
        };
        if mark.as_deref() == Some(file_system) {
            return Ok(());
        }
        let address = mount.source.split(':').next().unwrap_or_default();
        let is_target = is_target(context, address).await;
        // What its mark says of it is the business of the step that looks into the home.
        if is_target.map_err(|fault| Problem::Passing(fault.into()))? {
            return Ok(());
        }
    }
    // Trying again would not cure it.
    Err(Problem::Final(
        Fault::step(format!(
            "{MOUNT_POINT} has {} ({}) mounted, and not {file_system}",
            mount.source, mount.kind
        ))
        .hint(format!("stop what uses it and run `umount {MOUNT_POINT}`"))
        .into(),
    ))
}

/// Two hosts that call themselves alike look to the server like one that rebooted, and take away
/// each other's locks. The kernel's own choice is the host name.
fn name_this_client(context: &Context, instance_id: &str) {
    let path = context.machine.path("sys/fs/nfs/net/nfs_client/identifier");
    let already = std::fs::read_to_string(&path).is_ok_and(|now| now.trim() == instance_id);
    if already {
        return;
    }
    // Not created: where the kernel does not offer it there is nothing to write.
    let written = std::fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, instance_id.as_bytes()));
    if let Err(error) = written {
        context.events.log(STEP, format!("the NFS client has no name of its own: {error}"));
    }
}

async fn mount(machine: &Machine, address: Ipv4Addr, point: &str) -> Result<(), Problem> {
    let mut options = OPTIONS.to_owned();
    if machine.nfs_port != 2049 {
        let _ = write!(options, ",port={}", machine.nfs_port);
    }
    let command = Cmd::new(Tool::SystemdMount)
        .args(["--no-ask-password", "--collect", "--quiet", "--fsck=no", "--type=nfs4"])
        .arg(format!("--options={options}"))
        .arg(format!("--property=TimeoutSec={}", ATTEMPT.as_secs()))
        .args([format!("{address}:/"), point.to_owned()])
        .timeout(ATTEMPT * 2);
    let Err(error) = machine.runner.run(&command).await else { return Ok(()) };
    // systemd-mount only says that the unit failed; `mount.nfs` says why, to the journal.
    let unit = format!("{}.mount", point.trim_start_matches('/').replace('/', "-"));
    let said = systemd::last_lines(&machine.runner, &unit, 6).await;
    let error = anyhow::Error::from(error);
    let error = if said.is_empty() {
        error
    } else {
        anyhow::anyhow!(said.clone()).context(error.to_string())
    };
    Err(judge(&said, error))
}

/// What `mount.nfs` says, sorted by whether time heals it.
fn judge(said: &str, error: anyhow::Error) -> Problem {
    let with = |hint: &str, error: anyhow::Error| {
        error.context(Fault::step("the server answers, but mounting was refused").hint(hint))
    };
    if said.contains("access denied by server") {
        Problem::Final(with(
            "the file system policy refuses this host: allow `elasticfilesystem:ClientMount`",
            error,
        ))
    } else if said.contains("bad option") || said.contains("helper program") {
        Problem::Final(with("install the NFS client (`nfs-common`) in the image", error))
    } else if said.contains("mount point") && said.contains("does not exist") {
        Problem::Final(with("the image must have the mount point", error))
    } else {
        Problem::Passing(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_that_refuses_is_final_and_a_broken_connection_is_not() {
        let any = || anyhow::anyhow!("systemd-mount ended with 1");
        let denied = "mount.nfs4: access denied by server while mounting 10.0.0.1:/";
        assert!(matches!(judge(denied, any()), Problem::Final(_)));
        assert!(matches!(
            judge("mount.nfs4: Connection reset by peer", any()),
            Problem::Passing(_)
        ));
    }
}
