//! Whether a host serves what it should, by all that is said of it. Pure.
//!
//! That a load balancer gets 200 proves little: the setup wizard answers so, too. What counts is what
//! the host says of itself, that the group has it in service, and that its targets are well.

use super::Side;
use crate::aws::asg::Crew;
use crate::aws::elb::Health;
use crate::group::standing::{self, Standing, State};
use crate::host::Role;

/// What is to be proven.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// What shall serve.
    pub side: &'a Side,
    /// What the hosts are.
    pub role: Role,
    /// What the host before said of itself, where it said anything.
    pub before: Option<&'a standing::Proof>,
    /// Hosts that served before, and of which none may be the one that serves now. Empty where they
    /// may.
    pub not: &'a [String],
}

/// What is to be seen.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// The group and its hosts.
    pub crew: &'a Crew,
    /// What the controller says of itself.
    pub standing: Option<&'a Standing>,
    /// How each host in service is, in each target group.
    pub targets: &'a [(String, Health)],
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is not proven yet: what is missing, in a line.
    Pending(String),
    /// It serves: what proves it, in a line.
    Proven(String),
    /// It never will: why, in a line.
    Failed(String),
}

/// Judges.
pub fn judge(expected: &Expected<'_>, evidence: &Evidence<'_>) -> Judgement {
    use Judgement::{Failed, Pending, Proven};
    let hosts = &evidence.crew.hosts;
    let serving: Vec<_> = hosts.iter().filter(|host| host.is_in_service()).collect();
    if serving.len() < evidence.crew.desired as usize {
        let (have, want) = (serving.len(), evidence.crew.desired);
        return Pending(format!("{have} of {want} hosts are in service"));
    }
    if let Some(host) = serving.iter().find(|host| host.version != expected.side.version) {
        return Pending(format!("{} is in service, and of another version", host.id));
    }
    if let Some((id, health)) = evidence.targets.iter().find(|(_, it)| !it.is_healthy()) {
        return Pending(format!("target {id}: {}", health.say()));
    }
    if expected.role != Role::Controller {
        return Proven(format!("{} hosts are in service", serving.len()));
    }
    let Some(host) = serving.first() else {
        return Pending("no host is in service".to_owned());
    };
    let Some(standing) = evidence.standing.filter(|it| it.instance == host.id) else {
        return Pending(format!("{} has not said anything of itself", host.id));
    };
    let Some(proof) = standing.proof.as_ref().filter(|proof| proof.ready) else {
        return Pending(format!("Jenkins on {} is not ready", host.id));
    };
    if standing.state != State::Serving {
        return Pending(format!("{} does not begin builds", host.id));
    }
    if let (Some(wanted), Some(is)) = (&expected.side.jenkins, &proof.jenkins)
        && wanted != is
    {
        return Failed(format!("Jenkins {is} serves on {}, and not {wanted}", host.id));
    }
    let home = expected.before.and_then(|before| before.file_system.as_deref());
    if let (Some(wanted), Some(is)) = (home, proof.file_system.as_deref())
        && wanted != is
    {
        return Failed(format!("{} serves from {is}, and not from {wanted}", host.id));
    }
    Proven(format!("{} serves", host.id))
}
