//! Where the file system can be mounted from here: EFS says, and DNS where EFS cannot be asked.

use std::net::{IpAddr, Ipv4Addr};

use super::context::Context;
use super::home::file_system;
use crate::aws::Failure;
use crate::aws::efs::{self, MountTarget, TargetState};
use crate::error::Fault;

/// What is known of where to mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Here, and how it was found.
    At(Ipv4Addr, String),
    /// A mount target will be there soon.
    Coming(String),
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
pub(super) async fn locate(context: &Context) -> Result<Place, Lost> {
    let (config, id) = (context.config(), file_system(context));
    let known = context.must_know();
    let aws = context.aws().await.map_err(Lost::Final)?;
    match efs::mount_targets(aws, id).await {
        Ok(targets) => {
            let zone = &known.identity.availability_zone_id;
            choose(&targets, zone, config.efs.cross_az, id).map_err(Lost::Final)
        }
        Err(failure) if failure.code() == Some("FileSystemNotFound") => {
            let hint = "check `efs.id`, and that it is in this region";
            Err(Lost::Final(Fault::from(failure).hint(hint)))
        }
        Err(failure) => {
            let region = aws.region().map_or(known.identity.region.as_str(), |it| it.as_ref());
            by_name(region, id, failure).await.map_err(Lost::Passing)
        }
    }
}

/// Whether the file system has a mount target at this address, in whichever zone.
pub(super) async fn is_target(context: &Context, address: &str) -> Result<bool, Fault> {
    let targets = efs::mount_targets(context.aws().await?, file_system(context)).await?;
    Ok(targets.iter().any(|target| target.address.to_string() == address))
}

fn choose(targets: &[MountTarget], zone: &str, cross: bool, id: &str) -> Result<Place, Fault> {
    let usable = |target: &&MountTarget| target.state == TargetState::Available;
    let mut here = targets.iter().filter(|target| target.zone_id == zone);
    if let Some(target) = here.clone().find(usable) {
        return Ok(Place::At(target.address, format!("mount target {}", target.id)));
    }
    if let Some(target) = here.find(|target| target.state == TargetState::Coming) {
        return Ok(Place::Coming(format!("mount target {} is being created", target.id)));
    }
    if let Some(target) = targets.iter().find(usable).filter(|_| cross) {
        let how = format!("mount target {} in {}, across zones", target.id, target.zone_id);
        return Ok(Place::At(target.address, how));
    }
    let zones: Vec<_> = targets.iter().filter(usable).map(|t| t.zone_id.as_str()).collect();
    let others = if zones.is_empty() { "no zone".to_owned() } else { zones.join(", ") };
    Err(Fault::aws(format!("{id} has no mount target in {zone} (it has one in {others})"))
        .hint("create one in this zone, or accept cost and latency with `efs.cross_az = true`"))
}

/// The regional name resolves to the mount target of the zone that asks.
async fn by_name(region: &str, id: &str, failure: Failure) -> anyhow::Result<Place> {
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    // With the last dot, so that no search domain is tried first.
    let name = format!("{id}.efs.{region}.{suffix}.");
    let addresses = tokio::net::lookup_host((name.as_str(), 2049)).await;
    let address = addresses.ok().and_then(|mut all| {
        all.find_map(|address| match address.ip() {
            IpAddr::V4(ip) => Some(ip),
            IpAddr::V6(_) => None,
        })
    });
    match address {
        Some(ip) => Ok(Place::At(ip, format!("DNS, because {failure}"))),
        None => Err(anyhow::anyhow!("{name} does not resolve").context(Fault::from(failure))),
    }
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
        let Ok(Place::At(_, how)) = choose(&both, "euw1-az1", true, "fs-1") else { panic!() };
        assert_eq!(how, "mount target fsmt-near");
        assert!(choose(std::slice::from_ref(&far), "euw1-az1", true, "fs-1").is_ok());
        let error = choose(&[far], "euw1-az1", false, "fs-1").unwrap_err();
        assert!(error.to_string().contains("has one in euw1-az2"), "{error}");
    }

    #[test]
    fn a_mount_target_that_is_being_created_is_waited_for() {
        let coming = [target("fsmt-1", "euw1-az1", TargetState::Coming)];
        assert!(matches!(choose(&coming, "euw1-az1", false, "fs-1"), Ok(Place::Coming(_))));
    }
}
