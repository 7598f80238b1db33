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
use super::locate::{Place, locate};
use super::probe::probe;
use crate::error::Fault;
use crate::event::Outcome;
use crate::sys::{Cmd, Tool, mountinfo, systemd};

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
            return Err(keep_hint(problem.context(format!("mounting the home for {seconds} s"))));
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

/// A plain context hides the hint of the fault below it.
fn keep_hint(error: anyhow::Error) -> anyhow::Error {
    let hint = error.chain().find_map(|cause| cause.downcast_ref::<Fault>()?.hint_text());
    match hint.map(str::to_owned) {
        Some(hint) => error.context(Fault::step("the home could not be mounted").hint(hint)),
        None => error,
    }
}

enum Problem {
    /// Trying again may help.
    Passing(anyhow::Error),
    /// It will not.
    Final(anyhow::Error),
}

async fn attempt(context: &Context) -> Result<Outcome, Problem> {
    let known = context.must_know();
    let machine = &context.machine;
    let point = &known.config.efs.mount_point;
    let (address, how) = match locate(known).await.map_err(Problem::Final)? {
        Place::At(address, how) => (address, how),
        Place::Coming(what) => return Err(Problem::Passing(anyhow::anyhow!(what))),
    };
    let source = format!("{address}:/");
    if is_mounted(machine, point, &source).map_err(Problem::Final)? {
        return Ok(Outcome::Unchanged);
    }
    let server = SocketAddr::from((address, machine.nfs_port));
    probe(server).await.map_err(|obstacle| {
        let hint = obstacle.hint();
        Problem::Passing(anyhow::anyhow!(Fault::step(format!("{how}: {obstacle}")).hint(hint)))
    })?;
    context.events.log(STEP, format!("{how}: {server} speaks NFSv4"));
    name_this_client(context, &known.identity.instance_id);
    mount(machine, address, point).await?;
    // What counts is what the kernel says: all that follows is written there.
    if !is_mounted(machine, point, &source).map_err(Problem::Final)? {
        let what = format!("systemd has mounted {source}, and {point} has nothing mounted");
        return Err(Problem::Passing(
            Fault::step(what).hint("systemctl list-units --type=mount --all").into(),
        ));
    }
    Ok(Outcome::Changed)
}

/// Whether the right thing is mounted. Another one there is nothing that trying again would cure.
fn is_mounted(machine: &Machine, point: &str, source: &str) -> anyhow::Result<bool> {
    let mounts = mountinfo::read(&machine.root).context("reading the table of mounts")?;
    match mountinfo::at(&mounts, point) {
        None => Ok(false),
        Some(mount) if mount.source == source && mount.kind.starts_with("nfs") => Ok(true),
        Some(other) => Err(Fault::step(format!(
            "{point} has {} ({}) mounted, and not {source}",
            other.source, other.kind
        ))
        .hint(format!("stop what uses it and run `umount {point}`"))
        .into()),
    }
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

    #[test]
    fn the_hint_of_the_obstacle_survives_the_last_attempt() {
        let fault = Fault::step("10.0.0.1:2049 refused the connection").hint("check it");
        let error = keep_hint(anyhow::Error::from(fault).context("mounting the home for 90 s"));
        let text = crate::error::render(&error);
        assert!(
            text.contains("refused the connection") && text.contains("hint: check it"),
            "{text}"
        );
    }
}
