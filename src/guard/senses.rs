//! What the guard looks at while a host serves, and how often. Each look has a deadline of its own.

use camino::Utf8PathBuf;
use jiff::{SignedDuration, Timestamp};

use super::health::Part;
use super::jenkins;
use super::metrics::Numbers;
use super::post::Watched;
use super::pulse::Pulse;
use super::resources;
use super::watch::STEP;
use super::wish::{Interruption, Maintenance, Signs, Tag};
use crate::aws::imds::Imds;
use crate::group::standing::Agents;
use crate::host::{EcsAgent, HOME, Role};
use crate::lease::memory::Phase;
use crate::sys::certificate;

/// Certificates are to be good for so long.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);
/// Those of amazon-efs-utils live for hours and are made again by its watchdog.
const EFS_SOON: SignedDuration = SignedDuration::from_mins(5);

/// Where amazon-efs-utils keeps the certificate of each mount.
const EFS_STATE: &str = "run/efs";

/// So many questions in a row must have no answer before the metadata service is said not to answer.
const SILENT: u32 = 5;

/// What can be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sense {
    /// The state that the group wants.
    TargetState,
    /// Whether EC2 takes a spot instance back.
    Interruption,
    /// The instance tag.
    Tag,
    /// What this host is for.
    Service,
    /// The lease, disks, memory.
    Machine,
    /// Mounted file systems.
    Mounts,
    /// Whether EC2 thinks that it will.
    Rebalance,
    /// What EC2 has planned.
    Maintenance,
    /// When certificates end.
    Certificates,
}

/// The guard wakes so often, in seconds: a person who sets the tag waits for the answer.
pub(super) const TICK: f64 = 2.0;
/// The same while this host was asked to be quiet: what comes next is that it goes.
pub(super) const ATTENTIVE: f64 = 1.0;

/// How often, in seconds. Multiples of a tick, so that one waking does for several.
pub(super) const SENSES: &[(Sense, f64)] = &[
    (Sense::TargetState, 4.0),
    (Sense::Interruption, 4.0),
    (Sense::Tag, TICK),
    (Sense::Service, 16.0),
    (Sense::Rebalance, 20.0),
    (Sense::Machine, 32.0),
    (Sense::Mounts, 60.0),
    (Sense::Maintenance, 60.0),
    (Sense::Certificates, 3600.0),
];

/// What the guard sees with.
#[derive(Debug)]
pub(super) struct Eyes {
    metadata: Imds,
    pulse: Pulse,
    /// Questions in a row that had no answer.
    silent: u32,
    pub(super) signs: Signs,
    pub(super) numbers: Numbers,
    /// The version of Jenkins that answered at the last look.
    pub(super) jenkins: Option<String>,
    /// Its build agents, at the last look.
    pub(super) agents: Option<Agents>,
}

impl Eyes {
    pub(super) fn new(host: &Watched, metadata: Imds) -> Self {
        let numbers =
            Numbers { role: format!("{:?}", host.role).to_lowercase(), ..Numbers::default() };
        let pulse = Pulse::new(host.post.runner.clone());
        let signs = Signs::default();
        Self { metadata, pulse, silent: 0, signs, numbers, jenkins: None, agents: None }
    }

    /// Looks. What is wrong with parts of the host is returned, and what is well.
    pub(super) async fn look(
        &mut self,
        host: &Watched,
        sense: Sense,
    ) -> Vec<(Part, Option<String>)> {
        match sense {
            Sense::TargetState => {
                let asked = self.ask("meta-data/autoscaling/target-lifecycle-state").await;
                if let Ok(state) = asked {
                    self.signs.target_state = state.map(|state| state.trim().to_owned());
                }
                vec![(Part::Metadata, self.silence())]
            }
            Sense::Interruption => self.interruption().await,
            Sense::Tag => {
                if let Ok(tag) = self.ask("meta-data/tags/instance/hostkit:drain").await {
                    self.signs.tag = tag.as_deref().and_then(Tag::read);
                }
                Vec::new()
            }
            Sense::Rebalance => {
                let asked = self.ask("meta-data/events/recommendations/rebalance").await;
                if let Ok(notice) = asked {
                    if self.signs.rebalance.is_none() && notice.is_some() {
                        host.events.log(STEP, "EC2 recommends to leave this machine");
                    }
                    self.signs.rebalance = notice;
                }
                Vec::new()
            }
            Sense::Maintenance => {
                if let Ok(text) = self.ask("meta-data/events/maintenance/scheduled").await {
                    self.signs.maintenance = Maintenance::read(text.as_deref().unwrap_or("[]"));
                }
                let first = self.signs.maintenance.first();
                vec![(Part::Maintenance, first.map(Maintenance::say))]
            }
            Sense::Service => self.service(host).await,
            Sense::Machine => self.machine(host),
            Sense::Mounts => self.mounts(host).await,
            Sense::Certificates => vec![(Part::Certificates, self.certificates(host))],
        }
    }

    /// The group of this host, as the instance's own tags tell.
    pub(super) async fn group(&mut self) -> Option<String> {
        let asked = self.ask("meta-data/tags/instance/aws:autoscaling:groupName").await;
        asked.ok().flatten().map(|group| group.trim().to_owned()).filter(|it| !it.is_empty())
    }

    async fn ask(&mut self, path: &str) -> Result<Option<String>, ()> {
        match self.metadata.get(&format!("/latest/{path}"), |_| {}).await {
            Ok(answer) => {
                self.silent = 0;
                Ok(answer)
            }
            Err(error) => {
                tracing::debug!(path, %error, "the metadata service");
                self.silent += 1;
                self.numbers.metadata_failures += 1;
                Err(())
            }
        }
    }

    fn silence(&self) -> Option<String> {
        let what = "the metadata service does not answer: that this host is to go is not noticed";
        (self.silent >= SILENT).then(|| what.to_owned())
    }

    async fn interruption(&mut self) -> Vec<(Part, Option<String>)> {
        if let Ok(action) = self.ask("meta-data/spot/instance-action").await {
            self.signs.interruption = action.as_deref().and_then(Interruption::read);
        }
        Vec::new()
    }

    async fn service(&mut self, host: &Watched) -> Vec<(Part, Option<String>)> {
        match host.role {
            Role::Controller => {
                let served = jenkins::serves(host).await;
                self.numbers.jenkins = served.as_ref().ok().map(|it| it.took.as_secs_f64());
                if served.is_ok() {
                    self.count(host).await;
                } else {
                    (self.numbers.builds, self.agents) = (None, None);
                }
                self.jenkins = served.as_ref().ok().map(|it| it.version.clone());
                vec![(Part::Jenkins, served.err())]
            }
            Role::Agent => {
                let patience = host.post.seconds(5.0);
                let connect = tokio::net::TcpStream::connect(host.post.ssh);
                let problem = match tokio::time::timeout(patience, connect).await {
                    Ok(Ok(_stream)) => None,
                    Ok(Err(error)) => Some(format!("SSH does not answer: {error}")),
                    Err(_elapsed) => Some("SSH does not answer".to_owned()),
                };
                vec![(Part::Ssh, problem)]
            }
            Role::Ecs if host.config.ecs.agent == EcsAgent::Optional => Vec::new(),
            Role::Ecs => {
                // By its control group: to start a program every few seconds costs more than all else.
                let path = host.post.path("sys/fs/cgroup/system.slice/ecs.service/cgroup.events");
                let events = std::fs::read_to_string(path).unwrap_or_default();
                let runs = events.lines().any(|line| line == "populated 1");
                vec![(Part::EcsAgent, (!runs).then(|| "the ECS agent does not run".to_owned()))]
            }
        }
    }

    /// Counts what Jenkins builds, and where it could.
    pub(super) async fn count(&mut self, host: &Watched) {
        let computers = jenkins::computers(host).await.ok();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        self.numbers.builds = computers.as_ref().map(|it| count(it.builds.len()));
        self.agents =
            computers.map(|it| Agents { known: count(it.agents), online: count(it.agents_online) });
    }

    fn machine(&mut self, host: &Watched) -> Vec<(Part, Option<String>)> {
        self.numbers.rooms = resources::rooms(&host.post.root);
        self.numbers.memory = resources::memory(&host.post.root);
        let mut found = vec![
            (Part::Disk, resources::full(&self.numbers.rooms)),
            (Part::Memory, resources::scarce(&self.numbers.memory)),
        ];
        if host.role == Role::Controller {
            self.numbers.generation = host.lease.mine();
            // What its holder has to say of the file system comes with a hint.
            let problem = match host.lease.standing() {
                Some(it) if it.phase == Phase::Held && it.hint.is_none() => None,
                Some(standing) => Some(standing.why),
                None => Some("this host does not hold the home".to_owned()),
            };
            found.push((Part::Lease, problem));
        }
        found
    }

    async fn mounts(&mut self, host: &Watched) -> Vec<(Part, Option<String>)> {
        let mut mounts: Vec<Utf8PathBuf> = Vec::new();
        if host.role == Role::Controller {
            mounts.push(host.post.path(HOME));
        }
        let needed = host.config.mount.iter().filter(|mount| !mount.optional);
        mounts.extend(needed.map(|mount| host.post.path(&mount.path)));
        if mounts.is_empty() {
            return Vec::new();
        }
        let felt = self.pulse.feel(&mounts).await;
        let problem = felt.iter().find_map(|felt| felt.as_ref().err().cloned());
        let took = felt.into_iter().map(|felt| felt.ok().map(|took| took.as_secs_f64()));
        self.numbers.mounts = mounts.into_iter().map(Utf8PathBuf::into_string).zip(took).collect();
        vec![(Part::Mount, problem)]
    }

    fn certificates(&mut self, host: &Watched) -> Option<String> {
        let now = Timestamp::now();
        let own = host.config.guard.certificates.iter().map(|path| (host.post.path(path), SOON));
        let files: Vec<_> = own.chain(efs_certificates(host)).collect();
        let mut problem = None;
        self.numbers.certificates.clear();
        for (path, soon) in files {
            let read = std::fs::read_to_string(&path).ok();
            let Some(end) = read.as_deref().and_then(certificate::ends) else {
                problem.get_or_insert(format!("{path} has no certificate that can be read"));
                continue;
            };
            self.numbers.certificates.push((path.to_string(), end.as_second()));
            if end.duration_since(now) < soon {
                problem.get_or_insert(format!("{path} ends {end}"));
            }
        }
        problem
    }
}

/// The client certificates with which amazon-efs-utils mounts.
fn efs_certificates(host: &Watched) -> Vec<(Utf8PathBuf, SignedDuration)> {
    let Ok(entries) = host.post.path(EFS_STATE).read_dir_utf8() else { return Vec::new() };
    let folders = entries.filter_map(Result::ok).map(|entry| entry.path().join("certificate.pem"));
    folders.filter(|path| path.is_file()).map(|path| (path, EFS_SOON)).collect()
}
