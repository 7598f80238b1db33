//! ECS in one region: clusters with their hosts and tasks, and capacity providers.
//!
//! Plain state. Nothing is scheduled: a task is where somebody has put it, and that it is of a
//! service shows only when its host drains. No container runs.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::account::ACCOUNT_ID;
use super::random;
use super::region::{Due, Tags};

/// The cluster that is there in every region, beside `default`: that of the machines of
/// `hostkit vm`.
pub const CLUSTER: &str = "hostkit-vm";

/// Since its agent last asked where to connect, so long a host counts as connected.
pub const CONNECTED_FOR: Duration = Duration::from_secs(30);

/// How long a task takes to stop on AWS: its containers' time to end by themselves.
pub const STOPS: Duration = Duration::from_secs(30);

/// How long ECS tells of a task that has stopped.
const REMEMBERED: Duration = Duration::from_hours(1);

/// See the module.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// Whether it was deleted.
    pub inactive: bool,
    /// The names of its capacity providers.
    pub providers: Vec<String>,
    /// Its hosts, by the last part of their ARNs.
    pub hosts: BTreeMap<String, Host>,
    /// The tasks, by the last part of their ARNs.
    pub tasks: BTreeMap<String, Task>,
    /// Its tags.
    pub tags: Tags,
}

/// A container instance.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Host {
    /// The last part of its ARN.
    pub id: String,
    /// The EC2 instance.
    pub instance: String,
    /// Whether it takes tasks.
    pub standing: Standing,
    /// Its attributes; some have no value.
    pub attributes: BTreeMap<String, Option<String>>,
    /// Its tags.
    pub tags: Tags,
    /// Its resources, as they were registered.
    pub resources: serde_json::Value,
    /// The versions of its agent and of Docker, as they were registered.
    pub versions: serde_json::Value,
    /// When it was registered.
    pub registered: Timestamp,
    /// How often it has changed.
    pub version: u64,
    /// When its agent was last heard of; moments of another process mean nothing.
    #[serde(skip)]
    pub heard: Option<Instant>,
    /// Whether its connection is cut whatever its agent does.
    pub cut: bool,
}

/// Whether a host takes tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Standing {
    /// It does.
    Active,
    /// It does not, and those of services go.
    Draining,
    /// It is no host of the cluster any more.
    Inactive,
}

impl Standing {
    /// AWS's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Draining => "DRAINING",
            Self::Inactive => "INACTIVE",
        }
    }
}

impl Host {
    /// Whether ECS is in touch with its agent.
    pub fn connected(&self, now: Instant) -> bool {
        let recent = |at: Instant| now.saturating_duration_since(at) < CONNECTED_FOR;
        !self.cut && self.standing != Standing::Inactive && self.heard.is_some_and(recent)
    }
}

/// A task.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Task {
    /// The last part of its ARN.
    pub id: String,
    /// The host that it is on, the last part of its ARN.
    pub host: String,
    /// What it is made of: `family:revision`.
    pub definition: String,
    /// The service, if it is of one.
    pub service: Option<String>,
    /// Who started it, in that one's words.
    pub started_by: Option<String>,
    /// When it was started.
    pub started: Timestamp,
    /// Set once it is to stop: when it has stopped, and why.
    pub stop: Option<(Due, String)>,
}

impl Task {
    /// Whether it is to stop.
    pub const fn is_stopping(&self) -> bool {
        self.stop.is_some()
    }

    /// Whether it has stopped.
    pub fn has_stopped(&self, now: Instant) -> bool {
        self.stop.as_ref().is_some_and(|(due, _)| due.at <= now)
    }
}

/// A capacity provider that has an Auto Scaling Group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CapacityProvider {
    /// Its name.
    pub name: String,
    /// The name of the group.
    pub group: String,
    /// Whether ECS drains hosts that the group terminates.
    pub managed_draining: bool,
    /// Whether ECS protects hosts with tasks from scale-in.
    pub termination_protection: bool,
}

impl Cluster {
    /// An empty one.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Its ARN in a region.
    pub fn arn(&self, region: &str) -> String {
        self.arn_of(region, "cluster", None)
    }

    /// The ARN of something in it.
    pub fn arn_of(&self, region: &str, kind: &str, id: Option<&str>) -> String {
        let id = id.map(|id| format!("/{id}")).unwrap_or_default();
        format!("arn:aws:ecs:{region}:{ACCOUNT_ID}:{kind}/{}{id}", self.name)
    }

    /// Puts a task onto a host; its id.
    pub fn start_task(
        &mut self,
        host: &str,
        definition: &str,
        service: Option<&str>,
        started: Timestamp,
    ) -> String {
        let id = random::hex(32);
        let task = Task {
            id: id.clone(),
            host: host.to_owned(),
            definition: definition.to_owned(),
            service: service.map(str::to_owned),
            started_by: None,
            started,
            stop: None,
        };
        self.tasks.insert(id.clone(), task);
        id
    }

    /// Has the tasks of services on a host that drains stop, so that they are gone at `due`.
    pub fn move_away(&mut self, host: &str, due: Due) {
        let here = self.tasks.values_mut().filter(|task| task.host == host);
        for task in here.filter(|task| task.service.is_some() && task.stop.is_none()) {
            task.stop = Some((due, "Service scheduler moved it".to_owned()));
        }
    }

    /// How many tasks of a host have not stopped.
    pub fn running_on(&self, host: &str, now: Instant) -> usize {
        let here = self.tasks.values().filter(|task| task.host == host);
        here.filter(|task| !task.has_stopped(now)).count()
    }

    /// Forgets what stopped long ago, and hosts whose instance is gone.
    pub fn settle(&mut self, now: Instant, is_gone: impl Fn(&str) -> bool) {
        self.tasks.retain(|_, task| {
            let stopped = task.stop.as_ref().map(|(due, _)| due.at);
            stopped.is_none_or(|at| now.saturating_duration_since(at) < REMEMBERED)
        });
        for host in self.hosts.values_mut() {
            if is_gone(&host.instance) {
                host.standing = Standing::Inactive;
            }
        }
    }
}
