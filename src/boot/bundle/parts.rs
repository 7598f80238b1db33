//! What is in a bundle, as a table.

use std::time::Duration;

use jiff::Timestamp;

use crate::boot::analyze::Analysis;
use crate::boot::context::Machine;
use crate::boot::plan::Plan;
use crate::boot::records;
use crate::boot::status::Status;
use crate::sys::{Cmd, Tool};

/// A program of this host answers within so long, or the part is left out.
const PATIENCE: Duration = Duration::from_secs(15);

/// A file is not read further, in bytes.
const LONGEST: u64 = 4 << 20;

/// Lines of the journal of each unit.
const LINES: &str = "--lines=3000";

/// The units that hostkit starts, or is.
const UNITS: &[&str] = &[
    "hostkit-boot.service",
    "hostkit-lease.service",
    "hostkit-guard.service",
    "hostkit-logs.service",
    "jenkins.service",
    "ecs.service",
    "docker.service",
    "ssh.service",
    "var-lib-jenkins.mount",
    "systemd-networkd.service",
    "amazon-efs-mount-watchdog.service",
];

/// Files that are copied, but for their secrets: name and path.
const FILES: &[(&str, &str)] = &[
    ("host/identity.json", "run/hostkit/identity.json"),
    ("host/effective.toml", "run/hostkit/host.toml"),
    ("host/image.toml", "etc/hostkit/host.toml"),
    ("host/report.json", "run/hostkit/report.json"),
    ("lease/standing.json", "run/hostkit/lease/standing.json"),
    ("lease/order.json", "run/hostkit/lease/order.json"),
    ("system/mountinfo.txt", "proc/self/mountinfo"),
    ("system/os-release.txt", "etc/os-release"),
    ("system/kernel.txt", "proc/version"),
    ("system/command-line.txt", "proc/cmdline"),
    ("system/uptime.txt", "proc/uptime"),
    ("system/load.txt", "proc/loadavg"),
    ("system/memory.txt", "proc/meminfo"),
    ("system/pressure-memory.txt", "proc/pressure/memory"),
    ("system/pressure-io.txt", "proc/pressure/io"),
    ("system/clock.txt", "sys/devices/system/clocksource/clocksource0/current_clocksource"),
    ("network/interfaces.txt", "proc/net/dev"),
    ("network/routes.txt", "proc/net/route"),
    ("network/neighbours.txt", "proc/net/arp"),
    ("network/addresses6.txt", "proc/net/if_inet6"),
    ("network/addresses.txt", "proc/net/fib_trie"),
    ("network/connections.txt", "proc/net/tcp"),
    ("network/resolv.conf", "etc/resolv.conf"),
    ("network/hosts", "etc/hosts"),
    ("network/nfs-servers.txt", "proc/fs/nfsfs/servers"),
    ("network/nfs-volumes.txt", "proc/fs/nfsfs/volumes"),
];

/// A part of a bundle.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) source: Source,
}

/// Where it comes from.
#[derive(Debug)]
pub(super) enum Source {
    /// How the last boot went, for people.
    Status,
    /// Where its time went.
    Analysis,
    /// The same as a picture.
    Picture,
    /// What would run, with which values and from where.
    Plan,
    /// The records of this host's own boots. Those on the home are not read.
    Records,
    /// A file.
    File(&'static str),
    /// A program.
    Program(Cmd),
}

/// All parts, the most telling first.
pub(super) fn all(_machine: &Machine) -> Vec<Part> {
    let part = |name: &str, source| Part { name: name.to_owned(), source };
    let mut parts = vec![
        part("status.txt", Source::Status),
        part("analysis.txt", Source::Analysis),
        part("analysis.svg", Source::Picture),
        part("plan.txt", Source::Plan),
        part("boots.json", Source::Records),
    ];
    for unit in UNITS {
        let journal = Cmd::new(Tool::Journalctl)
            .args(["--boot", "--quiet", "--no-pager", "--output=short-iso-precise", LINES])
            .arg(format!("--unit={unit}"));
        parts.push(part(&format!("journal/{unit}.txt"), Source::Program(journal)));
        let show = Cmd::new(Tool::Systemctl).args(["show", unit]);
        parts.push(part(&format!("units/{unit}.txt"), Source::Program(show)));
    }
    let kernel = Cmd::new(Tool::Journalctl).args([
        "--boot",
        "--quiet",
        "--no-pager",
        "--dmesg",
        "--priority=warning",
        LINES,
    ]);
    parts.push(part("journal/kernel-warnings.txt", Source::Program(kernel)));
    let failed =
        Cmd::new(Tool::Systemctl).args(["list-units", "--failed", "--no-pager", "--plain"]);
    parts.push(part("units/failed.txt", Source::Program(failed)));
    let jobs = Cmd::new(Tool::Systemctl).args(["list-jobs", "--no-pager"]);
    parts.push(part("units/jobs.txt", Source::Program(jobs)));
    parts.extend(FILES.iter().map(|(name, path)| part(name, Source::File(path))));
    parts
}

impl Source {
    pub(super) async fn read(&self, machine: &Machine) -> Result<String, String> {
        let status = || Status::read(machine).map_err(|error| format!("{error:#}"));
        match self {
            Self::Status => Ok(status()?.render()),
            Self::Analysis => Ok(Analysis::new(&status()?, Timestamp::now()).text()),
            Self::Picture => Ok(Analysis::new(&status()?, Timestamp::now()).svg()),
            Self::Plan => Ok(plan(machine).await),
            Self::Records => records::of_host(machine).map_err(|error| format!("{error:#}")),
            Self::File(path) => file(machine, path),
            Self::Program(command) => {
                let command = command.clone().timeout(PATIENCE);
                let output = machine.runner.run(&command).await;
                output.map(|output| output.text()).map_err(|error| error.to_string())
            }
        }
    }
}

async fn plan(machine: &Machine) -> String {
    let path = machine.path(crate::host::PATH);
    Plan::of(machine, &path).await.render()
}

fn file(machine: &Machine, path: &str) -> Result<String, String> {
    use std::io::Read as _;
    let file = std::fs::File::open(machine.root.join(path)).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
