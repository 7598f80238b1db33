//! Whether what is seen of a group proves that it serves what it shall. Pure: an observation in, a
//! verdict out.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::{Order, Side, Strategy, Way, agents, ecs};
use crate::aws::asg::{Crew, Host};
use crate::aws::ecs::Container;
use crate::aws::elb::Health;
use crate::group::standing::{Agents, Proof, Standing, State};
use crate::host::Role;

/// So long agents have to come back, from the moment in which the new host serves. Fewer than before
/// are a warning then: they are no fault of the image.
pub const AGENTS: Duration = Duration::from_mins(3);

/// What is known of the host that served before anything was done. It stands in the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Before {
    /// Its instance; none where there was none.
    pub instance: Option<String>,
    /// The generation of the lease that it held.
    pub generation: Option<u64>,
    /// The file system of its home.
    pub file_system: Option<String>,
    /// Its build agents.
    pub agents: Option<Agents>,
}

impl Before {
    /// Of what the guard said last, if that was the one of `instance`.
    pub fn of(instance: Option<&str>, standing: Option<&Standing>) -> Self {
        let standing = standing.filter(|standing| Some(standing.instance.as_str()) == instance);
        let proof = standing.and_then(|standing| standing.proof.clone()).unwrap_or_default();
        Self {
            instance: instance.map(str::to_owned),
            generation: proof.generation,
            file_system: proof.file_system,
            agents: proof.agents,
        }
    }
}

/// What must be proven.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// What the hosts are.
    pub role: Role,
    /// What they shall be launched from.
    pub side: &'a Side,
    /// How hosts are replaced.
    pub strategy: Strategy,
    /// Which way it goes: on the way back the host of before may be the one that serves.
    pub way: Way,
    /// What served before.
    pub before: &'a Before,
    /// How long it may take.
    pub patience: Duration,
}

impl<'a> Wanted<'a> {
    /// That of an order.
    pub const fn of(order: &'a Order, way: Way, before: &'a Before) -> Self {
        Self {
            role: order.role,
            side: match way {
                Way::Forward => &order.to,
                Way::Back => &order.from,
            },
            strategy: order.strategy,
            way,
            before,
            patience: Duration::from_secs(order.patience),
        }
    }
}

/// What is seen of a group at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The group and its hosts.
    pub crew: Crew,
    /// What a guard has said last.
    pub standing: Option<Standing>,
    /// How long ago, by AWS's clock; absent where that is not known.
    pub said: Option<Duration>,
    /// The target groups in which all hosts must be well.
    pub target_groups: Vec<String>,
    /// How load balancers find its hosts.
    pub targets: Vec<Target>,
    /// What those say of the hosts that work with them.
    pub beside: Beside,
    /// Since when it is looked at.
    pub looking: Duration,
    /// Since when the new host says that it serves.
    pub serving: Duration,
}

/// What those say of hosts that work with them. What is not known, or nobody's, is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// What the controller of agents says of itself, if it says anything.
    pub controller: Option<Option<Standing>>,
    /// The hosts of the cluster of container hosts.
    pub cluster: Option<Vec<Container>>,
    /// Hosts that were there before.
    pub former: Vec<String>,
}

/// How a load balancer finds a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The target group.
    pub group: String,
    /// The host.
    pub instance: String,
    /// How it is.
    pub health: Health,
}

/// How far a replacement is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The group brings up an instance.
    Boot,
    /// The instance runs, and does not say yet that it serves.
    Ready,
    /// It serves; the rest is looked at.
    Proof,
}

/// What follows from what is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not yet, and what is missing.
    Pending(Stage, String),
    /// It is.
    Proven(Proven),
    /// It never will be.
    Failed(Cause),
}

/// What was proven.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proven {
    /// The hosts that serve.
    pub instances: Vec<String>,
    /// What a controller says of itself.
    pub proof: Option<Proof>,
    /// What somebody should look at nevertheless.
    pub warnings: Vec<String>,
}

/// Why it never will be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Another version of Jenkins answers.
    Version {
        /// What the image has.
        wanted: String,
        /// What answers.
        served: String,
    },
    /// It stands on another home.
    Home {
        /// That of before.
        wanted: String,
        /// That of the new host.
        served: String,
    },
    /// It was launched from another image.
    Image {
        /// What it shall be.
        wanted: String,
        /// What it is.
        served: String,
    },
    /// It holds no newer lease than the host of before.
    Lease {
        /// The generation of before.
        before: u64,
        /// Its own.
        held: u64,
    },
    /// It took too long.
    Late {
        /// How long.
        after: Duration,
        /// What was missing.
        missing: String,
    },
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version { wanted, served } => {
                write!(f, "Jenkins {served} answers, and the image has {wanted}")
            }
            Self::Home { wanted, served } => write!(
                f,
                "the home is on {served}, and was on {wanted}: the new image or its user-data names \
                 another file system"
            ),
            Self::Image { wanted, served } => {
                write!(f, "the new host was launched from {served}, and not from {wanted}")
            }
            Self::Lease { before, held } => write!(
                f,
                "the new host holds the home under generation {held}, and the one before held \
                 {before}: this cannot be the same home"
            ),
            Self::Late { after, missing } => {
                write!(f, "after {} s {missing}", after.as_secs())
            }
        }
    }
}

/// See the module.
pub fn decide(seen: &Seen, wanted: &Wanted<'_>) -> Verdict {
    let verdict = match wanted.role {
        Role::Controller => controller(seen, wanted),
        Role::Agent | Role::Ecs => many(seen, wanted),
    };
    match verdict {
        Verdict::Pending(_, missing) if seen.looking >= wanted.patience => {
            Verdict::Failed(Cause::Late { after: wanted.patience, missing })
        }
        verdict => verdict,
    }
}

/// What keeps something from being proven yet, or for ever.
enum Obstacle {
    NotYet(Stage, String),
    Never(Cause),
}

impl From<Obstacle> for Verdict {
    fn from(obstacle: Obstacle) -> Self {
        match obstacle {
            Obstacle::NotYet(stage, why) => Self::Pending(stage, why),
            Obstacle::Never(cause) => Self::Failed(cause),
        }
    }
}

fn not_yet<T>(stage: Stage, why: impl Into<String>) -> Result<T, Obstacle> {
    Err(Obstacle::NotYet(stage, why.into()))
}

fn controller(seen: &Seen, wanted: &Wanted<'_>) -> Verdict {
    let proven = || -> Result<Proven, Obstacle> {
        let host = newcomer(seen, wanted)?;
        let proof = says(seen, host)?;
        is_the_one(proof, wanted)?;
        holds(proof, host, wanted)?;
        gets_requests(seen, std::slice::from_ref(&host))?;
        let mut warnings = unproven(wanted.before);
        warnings.extend(agents(proof, seen, wanted)?);
        let instances = vec![host.id.clone()];
        Ok(Proven { instances, proof: Some(proof.clone()), warnings })
    };
    proven().map_or_else(Verdict::from, Verdict::Proven)
}

/// Whether a host was launched from what it shall be.
fn is_wanted(host: &Host, side: &Side) -> bool {
    let same_template = host.template.as_ref().is_none_or(|template| *template == side.template);
    same_template && side.version.is_some() && host.version == side.version
}

/// The one host that is to serve.
fn newcomer<'a>(seen: &'a Seen, wanted: &Wanted<'_>) -> Result<&'a Host, Obstacle> {
    let may_stay = wanted.way == Way::Back || wanted.strategy == Strategy::ReplaceRootVolume;
    let is_former = |host: &Host| wanted.before.instance.as_ref() == Some(&host.id);
    let hosts = seen.crew.hosts.iter().filter(|host| !host.is_leaving());
    let (fit, other): (Vec<_>, Vec<_>) =
        hosts.partition(|host| is_wanted(host, wanted.side) && (may_stay || !is_former(host)));
    let Some(host) = fit.first() else {
        let going = seen.crew.hosts.iter().filter(|host| host.is_leaving());
        let there: Vec<_> =
            other.into_iter().chain(going).map(|it| format!("{} is {}", it.id, it.state)).collect();
        let there =
            if there.is_empty() { "the group has no host".to_owned() } else { there.join(", ") };
        return not_yet(Stage::Boot, format!("no host was launched from the new version: {there}"));
    };
    if fit.len() > 1 || !other.is_empty() {
        let more = fit.iter().skip(1).copied().chain(other).map(|it| it.id.as_str());
        let more = more.collect::<Vec<_>>().join(", ");
        return not_yet(Stage::Boot, format!("{} is there, and still {more}", host.id));
    }
    if !host.is_in_service() {
        let stage = if host.state == "Pending" { Stage::Boot } else { Stage::Ready };
        return not_yet(stage, format!("{} is {}", host.id, host.state));
    }
    if !host.healthy {
        return not_yet(Stage::Ready, format!("the group finds {} unhealthy", host.id));
    }
    Ok(host)
}

/// What this host says of itself, once it serves.
fn says<'a>(seen: &'a Seen, host: &Host) -> Result<&'a Proof, Obstacle> {
    let standing = seen.standing.as_ref().filter(|standing| standing.instance == host.id);
    let Some(standing) = standing else {
        return not_yet(Stage::Ready, format!("{} does not say yet that it serves", host.id));
    };
    let why = standing.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    if let Some(said) = seen.said.filter(|said| standing.is_silent(*said)) {
        let silent = format!("{} has said nothing for {} s", host.id, said.as_secs());
        return not_yet(Stage::Ready, silent);
    }
    match standing.state {
        State::Serving => {}
        State::Quiet => return not_yet(Stage::Proof, format!("{} begins no builds{why}", host.id)),
        State::Draining | State::Drained => {
            return not_yet(Stage::Ready, format!("{} goes again{why}", host.id));
        }
    }
    match &standing.proof {
        Some(proof) if proof.ready => Ok(proof),
        Some(_) => not_yet(Stage::Ready, format!("Jenkins on {} is not ready{why}", host.id)),
        None => not_yet(Stage::Ready, format!("{} does not say what it serves{why}", host.id)),
    }
}

/// Whether it serves what it shall, from where it shall.
fn is_the_one(proof: &Proof, wanted: &Wanted<'_>) -> Result<(), Obstacle> {
    let Proof { jenkins, file_system, image, .. } = proof;
    // What the metadata service says of a host that got a new root volume is not known for sure.
    if let Some(served) = image
        && wanted.strategy != Strategy::ReplaceRootVolume
        && *served != wanted.side.image
    {
        let (wanted, served) = (wanted.side.image.clone(), served.clone());
        return Err(Obstacle::Never(Cause::Image { wanted, served }));
    }
    match (&wanted.side.jenkins, jenkins) {
        (Some(wanted), Some(served)) if wanted != served => {
            let (wanted, served) = (wanted.clone(), served.clone());
            return Err(Obstacle::Never(Cause::Version { wanted, served }));
        }
        (Some(_), None) => return not_yet(Stage::Ready, "Jenkins does not say its version"),
        _ => {}
    }
    match (&wanted.before.file_system, file_system) {
        (Some(wanted), Some(served)) if wanted != served => {
            let (wanted, served) = (wanted.clone(), served.clone());
            Err(Obstacle::Never(Cause::Home { wanted, served }))
        }
        (_, None) => {
            not_yet(Stage::Proof, "the host does not say on which file system its home is")
        }
        _ => Ok(()),
    }
}

/// Whether it holds the home, after the host of before.
fn holds(proof: &Proof, host: &Host, wanted: &Wanted<'_>) -> Result<(), Obstacle> {
    let Some(held) = proof.generation else {
        return not_yet(Stage::Proof, format!("{} does not hold the lease of the home", host.id));
    };
    let Some(before) = wanted.before.generation else { return Ok(()) };
    let has_stayed = wanted.way == Way::Back && wanted.before.instance.as_ref() == Some(&host.id);
    if held > before || (has_stayed && held == before) {
        return Ok(());
    }
    // One that gets a new root volume says the old one until it has booted again.
    if wanted.before.instance.as_ref() == Some(&host.id) {
        return not_yet(Stage::Ready, format!("{} has not booted from its new volume", host.id));
    }
    Err(Obstacle::Never(Cause::Lease { before, held }))
}

/// What nobody can compare, since it was not known of the host of before.
fn unproven(before: &Before) -> Vec<String> {
    let home = before.file_system.is_none().then_some(
        "that the home is the one of before is not proven: neither guard nor user-data said which that was",
    );
    let lease = before.generation.is_none().then_some(
        "that the lease is newer than the one of before is not proven: no guard said which that was",
    );
    home.into_iter().chain(lease).map(str::to_owned).collect()
}

/// Whether requests get to the hosts, where a load balancer is in front of them.
fn gets_requests(seen: &Seen, hosts: &[&Host]) -> Result<(), Obstacle> {
    for group in &seen.target_groups {
        for host in hosts {
            let of = |target: &&Target| target.group == *group && target.instance == host.id;
            match seen.targets.iter().find(of) {
                Some(target) if target.health.is_healthy() => {}
                Some(target) => {
                    let health = target.health.say();
                    return not_yet(Stage::Proof, format!("the load balancer finds it {health}"));
                }
                None => return not_yet(Stage::Proof, "the load balancer does not know it yet"),
            }
        }
    }
    Ok(())
}

/// Whether the agents of before are back; or what is to be said of it.
fn agents(proof: &Proof, seen: &Seen, wanted: &Wanted<'_>) -> Result<Vec<String>, Obstacle> {
    let before = wanted.before.agents.map_or(0, |agents| agents.online);
    let now = proof.agents.unwrap_or_default().online;
    if now >= before {
        return Ok(Vec::new());
    }
    let what = match proof.agents {
        Some(agents) => format!("{} of {before} agents are back", agents.online),
        None => format!("nobody knows whether the {before} agents are back"),
    };
    if seen.serving < AGENTS {
        return not_yet(Stage::Proof, what);
    }
    Ok(vec![format!("after {} s {what}", AGENTS.as_secs())])
}

/// What the controller of agents, or the cluster of container hosts, still lacks of the new ones.
fn beside(seen: &Seen, new: &[&Host]) -> Option<String> {
    let Beside { controller, cluster, former } = &seen.beside;
    if let Some(standing) = controller
        && let Some(why) = agents::missing(standing.as_ref(), new.len())
    {
        return Some(why);
    }
    let new: Vec<_> = new.iter().map(|host| host.id.as_str()).collect();
    cluster.as_ref().and_then(|cluster| ecs::missing(cluster, &new, former))
}

/// A group of several hosts: all of them are what they shall be, and well.
fn many(seen: &Seen, wanted: &Wanted<'_>) -> Verdict {
    let hosts: Vec<_> = seen.crew.hosts.iter().filter(|host| !host.is_leaving()).collect();
    let is_well =
        |host: &&&Host| is_wanted(host, wanted.side) && host.is_in_service() && host.healthy;
    let well: Vec<_> = hosts.iter().filter(is_well).copied().collect();
    let all = hosts.len().max(usize::try_from(seen.crew.desired).unwrap_or(usize::MAX));
    if all == 0 {
        return of_none(wanted.way);
    }
    if well.len() < all {
        let stage = if well.is_empty() { Stage::Boot } else { Stage::Ready };
        let what = format!("{} of {all} hosts are new and in service", well.len());
        return Verdict::Pending(stage, what);
    }
    match gets_requests(seen, &well) {
        Err(obstacle) => obstacle.into(),
        Ok(()) => match (beside(seen, &well), seen.looking < AGENTS) {
            (Some(why), true) => Verdict::Pending(Stage::Proof, why),
            // The hosts are in service: what others lack of them is no reason to go back.
            (warning, _) => {
                let instances = well.iter().map(|host| host.id.clone()).collect();
                let warnings = warning.into_iter().collect();
                Verdict::Proven(Proven { instances, warnings, ..Proven::default() })
            }
        },
    }
}

/// A group that was scaled to no host meanwhile proves nothing of a new image; what served before is
/// put back as soon as the group launches it.
fn of_none(way: Way) -> Verdict {
    let none = "the group has no host that could prove anything";
    match way {
        Way::Forward => Verdict::Pending(Stage::Boot, none.to_owned()),
        Way::Back => {
            Verdict::Proven(Proven { warnings: vec![none.to_owned()], ..Proven::default() })
        }
    }
}
