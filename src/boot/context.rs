//! What the steps of a boot share: the machine, and what earlier steps found out.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use aws_config::SdkConfig;
use camino::Utf8PathBuf;
use tokio::sync::{OnceCell, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::steps::{self, Step};
use super::texts::Texts;
use crate::aws::{self, imds::Imds};
use crate::efs::name::Names;
use crate::efs::probe;
use crate::error::{self, Fault};
use crate::event::{Events, Outcome};
use crate::facts::{Facts, Identity};
use crate::group::Found;
use crate::host::{self, Asg, Aws, HostConfig, Layer, Role};
use crate::keys::PrivateKey;
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
    /// Where SSH answers.
    pub ssh: SocketAddr,
    /// Where the ECS agent answers.
    pub ecs: SocketAddr,
    /// NFS's port.
    pub nfs_port: u16,
    /// How names become addresses.
    pub names: Names,
    /// How long an NFS server may be silent.
    pub probe_patience: Duration,
    /// How long all attempts to mount may take together.
    pub mount_budget: Duration,
    /// No step may take longer, whatever its row says.
    pub step_limit: Duration,
    /// Between two looks at something that takes time.
    pub pause: Duration,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            root: Utf8PathBuf::from("/"),
            runner: Runner::Direct,
            imds: None,
            imds_budget: aws::imds::BUDGET,
            jenkins: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            ssh: SocketAddr::from((Ipv4Addr::LOCALHOST, 22)),
            ecs: SocketAddr::from((Ipv4Addr::LOCALHOST, 51678)),
            nfs_port: crate::efs::NFS_PORT,
            names: Names::System,
            probe_patience: probe::PATIENCE,
            mount_budget: Duration::from_secs(90),
            step_limit: Duration::MAX,
            pause: Duration::from_secs(1),
        }
    }
}

impl Machine {
    /// A path of the machine, written without the first slash.
    pub fn path(&self, path: &str) -> Utf8PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// The time-out of a step whose row says `timeout`.
    pub fn limit(&self, timeout: Duration) -> Duration {
        timeout.min(self.step_limit)
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
    /// The metadata service.
    pub imds: Imds,
    /// What tells it what to be.
    pub texts: Texts,
    /// Where AWS is, as far as the texts can be read.
    pub aws: Aws,
    /// Its group, as far as the texts can be read.
    pub asg: Asg,
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
    pub(super) config: OnceLock<HostConfig>,
    /// How AWS is called, or why it cannot be.
    aws: OnceCell<Result<SdkConfig, Fault>>,
    /// How this host got its name, once it has.
    pub(super) named: OnceCell<Outcome>,
    /// Who waits for this host.
    pub(super) launch: OnceLock<Found>,
    /// The state of this host, once its group takes it away.
    pub(super) taken: watch::Sender<Option<String>>,
    /// Whether an earlier run, since the kernel started, has made this host ready.
    pub(super) was_ready: bool,
    /// Whether a person does a step by hand.
    pub(super) by_hand: bool,
    /// The step that waits for a person, and since when its time-out counts.
    held: Mutex<Option<(&'static str, Instant)>>,
    /// The host key of this agent's pool, as the store has it; `None`: there is none, or the store
    /// cannot be asked.
    pub(super) host_key: OnceLock<Option<PrivateKey>>,
    /// The parameters with the host keys of the pools of build agents, as far as they are there; not
    /// set where the step `keys` has not asked for them.
    pub(super) pool_keys: OnceLock<BTreeMap<String, String>>,
    /// The steps of this host's role.
    pub(super) table: OnceLock<&'static [Step]>,
    /// Whether this boot has written secrets or configuration that Jenkins or the ECS agent has not
    /// read.
    pub(super) news: AtomicBool,
    /// Whether Jenkins reads an older configuration than that of this image.
    pub(super) fell_back: AtomicBool,
    /// The units that this boot has started, and that a host that gives up must stop.
    pub(super) started: Mutex<Vec<&'static str>>,
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
            config: OnceLock::new(),
            aws: OnceCell::new(),
            named: OnceCell::new(),
            launch: OnceLock::new(),
            host_key: OnceLock::new(),
            pool_keys: OnceLock::new(),
            taken: watch::Sender::new(None),
            was_ready: false,
            by_hand: false,
            held: Mutex::new(None),
            table: OnceLock::new(),
            news: AtomicBool::new(false),
            fell_back: AtomicBool::new(false),
            started: Mutex::new(Vec::new()),
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

    /// What this host is told to be. For the steps that come after `config`.
    pub fn config(&self) -> &HostConfig {
        self.config.get().expect("the table puts `config` before every step that asks")
    }

    /// What this host is for, as far as that is known: from what the identity step has read, and
    /// without that from the image alone.
    pub fn role(&self) -> Option<Role> {
        let path = self.config_file.as_str();
        if let Some(known) = self.known() {
            return host::role(&known.texts.layers(path));
        }
        let text = std::fs::read_to_string(path).ok()?;
        host::role(&[Layer { origin: path, text: &text }])
    }

    /// How AWS is called. The first step that asks waits for the credentials of the instance role,
    /// the others wait with it. For the steps that come after `identity`.
    pub async fn aws(&self) -> Result<&SdkConfig, Fault> {
        let known = self.must_know();
        let connect = async || {
            let role = known.imds.role().await.map_err(|error| as_fault(&error))?;
            let region = known.aws.region.as_deref().unwrap_or(&known.identity.region);
            Ok(aws::config(region, known.aws.endpoint_url.as_deref(), &known.imds, &role))
        };
        self.aws.get_or_init(connect).await.as_ref().map_err(Clone::clone)
    }

    /// A step waits for a person: its time-out begins anew.
    pub(super) fn holds(&self, step: &'static str) {
        *self.held.lock().expect("nobody panics with this lock") = Some((step, Instant::now()));
    }

    /// Since when the time-out of a step counts that began then.
    pub(super) fn counts_from(&self, step: &str, began: Instant) -> Instant {
        let held = *self.held.lock().expect("nobody panics with this lock");
        held.filter(|(held, _)| *held == step).map_or(began, |(_, at)| at.max(began))
    }

    /// How long the loop of a step may go on, so that it ends with its own last words and not with
    /// the time-out of its row.
    pub fn time_for(&self, step: &str) -> Duration {
        let table = self.table.get().copied().unwrap_or(steps::FIRST);
        let row = table.iter().find(|row| row.name == step);
        let limit = row.expect("a step asks with its own name").timeout;
        self.machine.limit(limit) * 9 / 10
    }
}

/// The fault in an error's chain, for errors that several steps end with.
pub(super) fn as_fault(error: &anyhow::Error) -> Fault {
    match error::fault(error) {
        Some(fault) => fault.clone(),
        None => Fault::environment(format!("{error:#}")),
    }
}
