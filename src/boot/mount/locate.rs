//! Where a file system can be mounted from here.
//!
//! EFS is asked first: it alone knows the zones of the mount targets and which of them are still
//! being made. Where it cannot be asked, the DNS name tells the target of this zone. Where both
//! have been silent for a third of the time, the addresses in host.toml are taken: what they say
//! may be old, and what is at an address is looked at before anything is mounted.

use std::net::Ipv4Addr;

use super::attempts::Attempts;
use crate::aws::efs::{self, MountTarget, TargetState};
use crate::boot::context::Context;
use crate::efs::name;
use crate::error::Fault;

/// What is known of where to mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Here.
    At(At),
    /// A mount target will be there soon.
    Coming(String),
}

/// An address at which a file system can be mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct At {
    /// The address.
    pub address: Ipv4Addr,
    /// How it was found.
    pub how: String,
    /// The mount target, where it is known.
    pub target: Option<String>,
    /// What a person must know of it: it lies in another zone.
    pub price: Option<String>,
}

/// Why no place was found.
#[derive(Debug)]
pub(super) enum Lost {
    /// A moment later it may be found.
    Passing(anyhow::Error),
    /// It will not be.
    Final(Fault),
}

/// Finds the mount target of this availability zone, or another one where that is allowed.
pub(super) async fn locate(context: &Context, attempts: &Attempts<'_>) -> Result<Place, Lost> {
    let wanted = attempts.wanted;
    let zone = &context.must_know().identity.availability_zone_id;
    let aws = match context.aws().await {
        Ok(aws) => aws,
        Err(fault) => return without_efs(context, attempts, fault).await,
    };
    match efs::mount_targets(aws, &wanted.id).await {
        Ok(targets) => match choose(&targets, zone, wanted.cross_az) {
            Some(place) => Ok(place),
            None => elsewhere(context, attempts, &targets).await,
        },
        Err(failure) if failure.code() == Some("FileSystemNotFound") => {
            let hint = format!("check `{}.id`, and that it is in this region", wanted.section);
            Err(Lost::Final(Fault::from(failure).hint(hint)))
        }
        Err(failure) => without_efs(context, attempts, failure.into()).await,
    }
}

/// Whether the file system has a mount target at this address, in whichever zone.
pub(super) async fn is_target(context: &Context, id: &str, address: &str) -> Result<bool, Fault> {
    let targets = efs::mount_targets(context.aws().await?, id).await?;
    Ok(targets.iter().any(|target| target.address.to_string() == address))
}

/// The target of the own zone, the one that is being made there, or one elsewhere if that will do.
fn choose(targets: &[MountTarget], zone: &str, cross: bool) -> Option<Place> {
    let mut here = targets.iter().filter(|target| target.zone_id == zone);
    if let Some(target) = here.clone().find(is_usable) {
        return Some(Place::At(at(target, None)));
    }
    if let Some(target) = here.find(|target| target.state == TargetState::Coming) {
        return Some(Place::Coming(format!("mount target {} is being created", target.id)));
    }
    targets.iter().filter(|_| cross).find(is_usable).map(|target| across(target, zone))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as iterators hand it over")]
fn is_usable(target: &&MountTarget) -> bool {
    target.state == TargetState::Available
}

fn at(target: &MountTarget, price: Option<String>) -> At {
    let how = format!("mount target {} in {}", target.id, target.zone_id);
    At { address: target.address, how, target: Some(target.id.clone()), price }
}

fn across(target: &MountTarget, zone: &str) -> Place {
    let price = format!(
        "{} is in {} and this host in {zone}: AWS bills all traffic between zones, in both \
         directions, and every call takes about a millisecond longer",
        target.id, target.zone_id
    );
    Place::At(at(target, Some(price)))
}

/// There is none in this zone. A One Zone file system has only one, and no other can be made.
async fn elsewhere(
    context: &Context,
    attempts: &Attempts<'_>,
    targets: &[MountTarget],
) -> Result<Place, Lost> {
    let (wanted, zone) = (attempts.wanted, &context.must_know().identity.availability_zone_id);
    let aws = context.aws().await.map_err(Lost::Final)?;
    let only = match targets {
        [] => None,
        _ => match efs::file_system(aws, &wanted.id).await {
            Ok(file_system) => file_system.zone,
            Err(failure) if failure.is_passing() => {
                return Err(Lost::Passing(Fault::from(failure).into()));
            }
            // Whether it is one cannot be found out: then it counts as none.
            Err(_denied) => None,
        },
    };
    if only.is_some() {
        if let Some(target) = targets.iter().find(is_usable) {
            return Ok(across(target, zone));
        }
        if let Some(target) = targets.iter().find(|target| target.state == TargetState::Coming) {
            return Ok(Place::Coming(format!("mount target {} is being created", target.id)));
        }
    }
    let zones: Vec<_> =
        targets.iter().filter(is_usable).map(|target| target.zone_id.as_str()).collect();
    let others = if zones.is_empty() { "none".to_owned() } else { zones.join(", ") };
    let what = format!(
        "{} has no mount target in this host's zone {zone}; zones that have one: {others}",
        wanted.id
    );
    Err(Lost::Final(Fault::aws(what).hint(format!(
        "create one in this zone, or accept cost and latency with `{}.cross_az = true`",
        wanted.section
    ))))
}

/// By its name, and later by what host.toml remembers.
async fn without_efs(
    context: &Context,
    attempts: &Attempts<'_>,
    fault: Fault,
) -> Result<Place, Lost> {
    let (known, wanted) = (context.must_know(), attempts.wanted);
    let identity = &known.identity;
    let region = known.aws.region.as_deref().unwrap_or(&identity.region);
    let suffix = &identity.partition.dns_suffix;
    let names = name::of(&wanted.id, region, &identity.availability_zone, suffix);
    for name in &names {
        if let Some(address) = context.machine.names.address(name).await {
            let how = format!("DNS name {name} (EFS was not to be asked: {fault})");
            return Ok(Place::At(At { address, how, target: None, price: None }));
        }
    }
    if attempts.is_patient() {
        let zone = &identity.availability_zone_id;
        let own = wanted.addresses.get_key_value(zone);
        let other = wanted.addresses.iter().next().filter(|_| wanted.cross_az);
        if let Some((zone, &address)) = own.or(other) {
            let how = format!("`efs.addresses.{zone}`, because neither EFS nor DNS answers");
            return Ok(Place::At(At { address, how, target: None, price: None }));
        }
    }
    let silent = anyhow::anyhow!("{} does not resolve", names[0]);
    Err(Lost::Passing(silent.context(fault)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(id: &str, zone: &str, state: TargetState) -> MountTarget {
        MountTarget {
            id: id.to_owned(),
            address: Ipv4Addr::new(10, 0, 2, 100),
            zone_id: zone.to_owned(),
            state,
        }
    }

    #[test]
    fn the_own_zone_comes_first_and_another_only_when_allowed() {
        let far = target("fsmt-far", "euw1-az2", TargetState::Available);
        let near = target("fsmt-near", "euw1-az1", TargetState::Available);
        let both = [far.clone(), near];
        let Some(Place::At(at)) = choose(&both, "euw1-az1", true) else { panic!() };
        assert_eq!((at.target.as_deref(), at.price), (Some("fsmt-near"), None));
        let far = std::slice::from_ref(&far);
        let Some(Place::At(at)) = choose(far, "euw1-az1", true) else { panic!() };
        assert!(at.price.unwrap().contains("bills all traffic"));
        assert_eq!(choose(far, "euw1-az1", false), None);
    }

    #[test]
    fn a_mount_target_that_is_being_created_is_waited_for() {
        let coming = [
            target("fsmt-1", "euw1-az1", TargetState::Coming),
            target("fsmt-2", "euw1-az2", TargetState::Available),
        ];
        assert!(matches!(choose(&coming, "euw1-az1", true), Some(Place::Coming(_))));
        let gone = [target("fsmt-1", "euw1-az1", TargetState::Gone)];
        assert_eq!(choose(&gone, "euw1-az1", true), None);
    }
}
