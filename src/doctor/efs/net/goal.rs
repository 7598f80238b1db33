//! The addresses that are tried: of the mount targets that EFS tells, else what the names resolve
//! to, else what host.toml remembers. The one that this host is to mount comes first.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::aws::efs::{Target, TargetState};
use crate::doctor::efs::host::role;
use crate::doctor::efs::scene::{Asked, Case};
use crate::doctor::efs::table::Observed;
use crate::doctor::{Gap, Look};

/// An address at which the file system should answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Goal {
    /// The address.
    pub address: IpAddr,
    /// From where it is known.
    pub known: Known,
    /// Whether it is the one that this host is to mount.
    pub ours: bool,
}

/// From where an address is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Known {
    /// EFS tells it: the mount target, and its zone, which may be empty.
    Target(String, String),
    /// A name has it.
    Name(String),
    /// host.toml has it, for this zone.
    HostToml(String),
}

impl Goal {
    /// As it is shown: `10.0.1.100 (fsmt-… in euw1-az1)`.
    pub fn shown(&self) -> String {
        let known = match &self.known {
            Known::Target(id, zone) if zone.is_empty() => id.clone(),
            Known::Target(id, zone) => format!("{id} in {zone}"),
            Known::Name(name) => format!("by the name {name}"),
            Known::HostToml(zone) => format!("as host.toml has it for {zone}"),
        };
        format!("{} ({known})", self.address)
    }
}

/// What is to be tried.
///
/// # Errors
/// No address is known.
pub fn goals(asked: &Asked, observed: &Observed) -> Look<Vec<Goal>> {
    let told = observed.targets.seen().map(|seen| told(seen.best(), &seen.targets));
    let mut goals = match told {
        Some(goals) if !goals.is_empty() => goals,
        _ => guessed(asked, observed),
    };
    // The sort is stable: beside that the order is EFS's.
    goals.sort_by_key(|goal| !goal.ours);
    if goals.is_empty() {
        let why = "no address of the file system is known".to_owned();
        return Err(Gap { needs: String::new(), denied: false, why });
    }
    Ok(goals)
}

fn told(best: Option<&Target>, targets: &[Target]) -> Vec<Goal> {
    let usable = |target: &&Target| target.state() == TargetState::Available;
    // One that is not available is tried only if it is the one that counts.
    let tried = targets.iter().filter(|target| usable(target) || Some(*target) == best);
    tried
        .filter_map(|target| {
            let four = target.address.map(IpAddr::from);
            let zone = if target.zone_id.is_empty() { &target.zone } else { &target.zone_id };
            Some(Goal {
                address: four.or(target.address6.map(IpAddr::from))?,
                known: Known::Target(target.id.clone(), zone.clone()),
                ours: Some(target) == best,
            })
        })
        .collect()
}

fn guessed(asked: &Asked, observed: &Observed) -> Vec<Goal> {
    if let Some(seen) = observed.names.seen()
        && let Some((name, address)) = seen.address()
    {
        let known = Known::Name(name.trim_end_matches('.').to_owned());
        return vec![Goal { address, known, ours: true }];
    }
    let Some(here) = &asked.host else { return Vec::new() };
    let zone = role::identity(observed).and_then(|identity| identity.zone_id.as_deref());
    let all = &here.efs.addresses;
    // Without a zone nobody knows which is ours: the first decides.
    let ours = zone.filter(|zone| all.contains_key(*zone));
    let ours = ours.or(all.keys().next().map(String::as_str));
    let goal = |(zone, address): (&String, &std::net::Ipv4Addr)| Goal {
        address: (*address).into(),
        known: Known::HostToml(zone.clone()),
        ours: ours == Some(zone),
    };
    all.iter().map(goal).collect()
}

/// The mount target of an address, where EFS told of it.
pub fn target<'a>(case: &Case<'a>, goal: &Goal) -> Option<&'a Target> {
    let Known::Target(id, _) = &goal.known else { return None };
    case.observed.targets.seen()?.targets.iter().find(|target| target.id == *id)
}

/// The network of this host, or of a mount target: `vpc-…`.
pub fn vpc<'a>(case: &Case<'a>) -> Option<&'a str> {
    let host = role::identity(case.observed).and_then(|identity| identity.vpc.as_deref());
    let theirs = || {
        let targets = &case.observed.targets.seen()?.targets;
        targets.iter().map(|target| target.vpc.as_str()).find(|vpc| !vpc.is_empty())
    };
    host.or_else(theirs)
}

/// The line that shows the mount targets as AWS has them.
pub fn describe_targets(asked: &Asked) -> String {
    format!(
        "aws efs describe-mount-targets --file-system-id {} --region {}",
        asked.file_system, asked.region
    )
}

/// The name that clients know the file system by, without the last dot.
pub fn name(asked: &Asked, observed: &Observed) -> String {
    let names = super::names::names(asked, observed);
    names[0].trim_end_matches('.').to_owned()
}
