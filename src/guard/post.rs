//! Where the guard stands: the machine, who it is, and what it was told to be.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::Context as _;
use camino::Utf8PathBuf;

use super::envoy::Sender;
use super::notes::Notes;
use crate::error::Fault;
use crate::event::Events;
use crate::facts::Identity;
use crate::host::{self, HostConfig, Role};
use crate::lease::memory::Memory;
use crate::sys::Runner;

/// Where things are on this machine, and how long a second is. Tests have another one.
#[derive(Clone, Debug)]
pub struct Post {
    /// Below which the machine's files are.
    pub root: Utf8PathBuf,
    /// How programs are run.
    pub runner: Runner,
    /// The metadata service, where it is not at its own address.
    pub imds: Option<String>,
    /// Where Jenkins answers.
    pub jenkins: SocketAddr,
    /// Where SSH answers.
    pub ssh: SocketAddr,
    /// What is called a second.
    pub second: Duration,
}

impl Default for Post {
    fn default() -> Self {
        Self {
            root: Utf8PathBuf::from("/"),
            runner: Runner::Direct,
            imds: None,
            jenkins: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            ssh: SocketAddr::from((Ipv4Addr::LOCALHOST, 22)),
            second: Duration::from_secs(1),
        }
    }
}

impl Post {
    /// A path of the machine.
    pub fn path(&self, path: &str) -> Utf8PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Seconds since the kernel started: a clock that nobody sets, and that a new process reads, too.
    pub fn clock(&self) -> f64 {
        let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
        let seconds = text.split(' ').next().and_then(|text| text.parse::<f64>().ok());
        seconds.unwrap_or_default() / self.second.as_secs_f64()
    }

    /// So many seconds.
    pub fn seconds(&self, count: f64) -> Duration {
        self.second.mul_f64(count)
    }
}

/// This host, once its boot knows who and what it is.
#[derive(Debug)]
pub(super) struct Watched {
    /// The machine.
    pub(super) post: Post,
    /// What it was told to be.
    pub(super) config: HostConfig,
    /// What it is for.
    pub(super) role: Role,
    /// Who it is.
    pub(super) identity: Identity,
    /// What the guard remembers.
    pub(super) notes: Notes,
    /// What this host remembers of its lease.
    pub(super) lease: Memory,
    /// Where things are said.
    pub(super) events: Events,
}

impl Watched {
    /// What the boot has left.
    ///
    /// # Errors
    /// The boot has not come so far, or what it left is of another boot.
    pub(super) fn read(post: &Post, events: Events) -> anyhow::Result<Self> {
        let path = post.path("proc/sys/kernel/random/boot_id");
        let boot_id = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        let boot_id = boot_id.trim();
        let identity = Identity::kept(&post.root, boot_id)?;
        let path = post.path(host::EFFECTIVE);
        let text = std::fs::read_to_string(&path).map_err(|error| {
            Fault::environment(format!("this boot does not know yet what this host is: {error}"))
                .hint("hostkit status; journalctl -u hostkit-boot")
        })?;
        let config = host::effective(&text)?;
        let role = config.role.context("nothing tells this host its role")?;
        Ok(Self {
            notes: Notes::new(&post.root, boot_id),
            lease: Memory::new(&post.root, boot_id),
            post: post.clone(),
            config,
            role,
            identity,
            events,
        })
    }

    /// Of which host an envoy is.
    pub(super) fn sender(&self) -> Sender {
        Sender {
            instance_id: self.identity.instance_id.clone(),
            address: self.identity.private_ip,
            region: self.config.aws.region.clone().unwrap_or_else(|| self.identity.region.clone()),
            endpoint_url: self.config.aws.endpoint_url.clone(),
            imds: self.post.imds.clone(),
        }
    }

    /// Whether the last boot ended well.
    pub(super) fn is_ready(&self) -> bool {
        self.boot().is_some_and(|report| report["state"] == "ready")
    }

    /// The report of the last boot.
    pub(super) fn boot(&self) -> Option<serde_json::Value> {
        let text = std::fs::read_to_string(self.post.path("run/hostkit/report.json")).ok()?;
        serde_json::from_str(&text).ok()
    }
}
