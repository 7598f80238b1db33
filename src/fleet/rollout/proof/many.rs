//! Whether a group of several hosts, of agents or of containers, is what it shall be: all of its hosts
//! are, and well. Pure.

use super::super::{Way, agents, ecs};
use super::decide::{gets_requests, is_wanted};
use super::{AGENTS, Beside, Proven, Seen, Stage, Verdict, Wanted};
use crate::aws::asg::Host;

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

/// See the module.
pub(super) fn decide(seen: &Seen, wanted: &Wanted<'_>) -> Verdict {
    // A group that is watched may grow, shrink and mend itself: what comes is not there yet.
    let comes = |host: &&Host| {
        seen.soaking && host.state.starts_with("Pending") && is_wanted(host, wanted.side)
    };
    let hosts = seen.crew.hosts.iter().filter(|host| !host.is_leaving());
    let hosts: Vec<_> = hosts.filter(|host| !comes(host)).collect();
    let is_well =
        |host: &&&Host| is_wanted(host, wanted.side) && host.is_in_service() && host.healthy;
    let well: Vec<_> = hosts.iter().filter(is_well).copied().collect();
    let desired = usize::try_from(seen.crew.desired).unwrap_or(usize::MAX);
    let all = if seen.soaking { hosts.len() } else { hosts.len().max(desired) };
    if all == 0 {
        return of_none(wanted.way == Way::Back || seen.soaking);
    }
    if well.len() < all {
        let stage = if well.is_empty() { Stage::Boot } else { Stage::Ready };
        let what = format!("{} of {all} hosts are new and in service", well.len());
        return Verdict::Pending(stage, what);
    }
    match gets_requests(seen, &well) {
        Err(obstacle) => obstacle.into(),
        Ok(()) => match (beside(seen, &well), seen.looking < AGENTS && !seen.soaking) {
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
/// put back as soon as the group launches it, and what was proven before stays so.
fn of_none(enough: bool) -> Verdict {
    let none = "the group has no host that could prove anything".to_owned();
    if enough {
        return Verdict::Proven(Proven { warnings: vec![none], ..Proven::default() });
    }
    Verdict::Pending(Stage::Boot, none)
}
