//! What the steps of a boot share: the machine, and what earlier steps found out.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use aws_config::SdkConfig;
use camino::Utf8PathBuf;
use tokio::task::JoinSet;

use super::lifecycle::Launch;
use crate::aws::imds::{self, Imds};
use crate::event::Events;
use crate::facts::{Facts, Identity};
use crate::host::HostConfig;
use crate::sys::Runner;

/// Where things are on this machine, and how patient to be. Tests have another one.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Below which the machine's files are.
    pub root: Utf8PathBuf,
    /// How programs are run.
    pub runner: Runner,
    /// The metadata service, where it is not at its own address.
    pub imds: Option<String>,
    /// How long the metadata service may be silent.
    pub imds_budget: Duration,
    /// Where Jenkins answers.
    pub jenkins: SocketAddr,
    /// NFS's port.
    pub nfs_port: u16,
    /// How long all attempts to mount may take together.
    pub mount_budget: Duration,
    /// Between two looks at something that takes time.
    pub pause: Duration,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            root: Utf8PathBuf::from("/"),
            runner: Runner::Direct,
            imds: None,
            imds_budget: imds::BUDGET,
            jenkins: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            nfs_port: 2049,
            mount_budget: Duration::from_secs(90),
            pause: Duration::from_secs(1),
        }
    }
}

impl Machine {
    /// A path of the machine, written without the first slash.
    pub fn path(&self, path: &str) -> Utf8PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// A path below `/run/hostkit`.
    pub fn run(&self, path: &str) -> Utf8PathBuf {
        self.root.join("run/hostkit").join(path)
    }
}

/// What is known once the identity is.
#[derive(Debug)]
pub struct Known {
    /// Who the instance is.
    pub identity: Identity,
    /// What it is told to be.
    pub config: HostConfig,
    /// The metadata service.
    pub imds: Imds,
    /// How AWS is called.
    pub aws: SdkConfig,
}

/// What the steps share.
#[derive(Debug)]
pub struct Context {
    /// The machine.
    pub machine: Machine,
    /// What its kernel says.
    pub facts: Facts,
    /// The image's `host.toml`.
    pub config_file: Utf8PathBuf,
    /// Where steps say things.
    pub events: Events,
    pub(super) known: OnceLock<Known>,
    pub(super) launch: OnceLock<Launch>,
    /// Whether this boot has asked for the start of Jenkins.
    pub(super) started_jenkins: AtomicBool,
    /// Tasks that live while the boot does.
    pub(super) background: Mutex<JoinSet<()>>,
}

impl Context {
    /// Nothing is known yet.
    pub fn new(machine: Machine, facts: Facts, config_file: Utf8PathBuf, events: Events) -> Self {
        Self {
            machine,
            facts,
            config_file,
            events,
            known: OnceLock::new(),
            launch: OnceLock::new(),
            started_jenkins: AtomicBool::new(false),
            background: Mutex::new(JoinSet::new()),
        }
    }

    /// What the identity step found, if it has.
    pub fn known(&self) -> Option<&Known> {
        self.known.get()
    }

    /// What the identity step found. For the steps that come after it.
    pub fn must_know(&self) -> &Known {
        self.known.get().expect("the table puts `identity` before every step that asks")
    }
}
