//! By which way packets to the mount target leave.

use std::net::{IpAddr, Ipv4Addr};

use serde::{Deserialize, Serialize};

use super::goal::{self, Goal, goals};
use crate::doctor::efs::host::role;
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Look, Verdict};
use crate::sys::route;

/// An address that nobody has: the way there is the way out.
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// What was seen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// The way to each address, that of this host's mount target first.
    pub ways: Vec<(Goal, Result<Way, String>)>,
    /// The way out, to where there is no other.
    pub outside: Option<Way>,
    /// The blocks of addresses of this host's VPC; none where the metadata service did not tell.
    pub blocks: Vec<String>,
}

/// A way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// Through which device.
    pub device: String,
    /// Whether there is no card behind the device: a bridge, a tunnel.
    pub is_virtual: bool,
    /// The address that packets come from.
    pub source: Option<IpAddr>,
    /// The router that takes them first; nothing in the same subnet.
    pub router: Option<IpAddr>,
    /// Whether the address is this host's own.
    pub own: bool,
}

/// Looks.
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let goals = goals(scene.asked, scene.observed)?;
    let way = |goal: Goal| {
        let way = route::to(goal.address).map_err(|error| error.to_string());
        (goal, way.map(|way| of(scene, way)))
    };
    let ways = goals.into_iter().map(way).collect();
    let outside = route::to(OUTSIDE.into()).ok().map(|way| of(scene, way));
    Ok(Seen { ways, outside, blocks: blocks(scene).await })
}

fn of(scene: &Scene<'_>, way: route::Way) -> Way {
    let folder = scene.path("/sys/class/net").join(&way.device);
    let is_virtual = folder.exists() && !folder.join("device").exists();
    let route::Way { device, source, gateway: router, own } = way;
    Way { device, is_virtual, source, router, own }
}

/// The blocks of the VPC, one a line.
async fn blocks(scene: &Scene<'_>) -> Vec<String> {
    let identity = role::identity(scene.observed);
    let (Some(imds), Some(mac)) = (scene.imds, identity.and_then(|it| it.mac.as_deref())) else {
        return Vec::new();
    };
    let mac = mac.trim_end_matches('/');
    let path = format!("/latest/meta-data/network/interfaces/macs/{mac}/vpc-ipv4-cidr-blocks");
    let text = imds.get(&path, |_| {}).await.ok().flatten().unwrap_or_default();
    let good = |line: &&str| block(line).is_some();
    text.lines().map(str::trim).filter(good).take(64).map(str::to_owned).collect()
}

/// The first address and the length of a block: `10.0.0.0/16`.
fn block(text: &str) -> Option<(Ipv4Addr, u32)> {
    let (first, length) = text.split_once('/')?;
    Some((first.parse().ok()?, length.parse().ok().filter(|length| *length <= 32)?))
}

/// Whether an address is in one of the blocks; nothing where that cannot be told.
fn is_inside(address: IpAddr, blocks: &[String]) -> Option<bool> {
    let IpAddr::V4(address) = address else { return None };
    let mut known = blocks.iter().filter_map(|text| block(text)).peekable();
    known.peek()?;
    Some(known.any(|(first, length)| {
        let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
        u32::from(first) & mask == u32::from(address) & mask
    }))
}

/// Says what it means.
pub fn judge(seen: &Seen, case: &Case<'_>) -> Finding {
    let Some((goal, way)) = seen.ways.iter().find(|(goal, _)| goal.ours).or(seen.ways.first())
    else {
        return Finding::new(Id::Route.name(), Verdict::Skip, "no address was looked at");
    };
    let finding = match way {
        Err(why) => none(goal, why, case),
        Ok(way) => one(seen, goal, way, case),
    };
    let finding = seen.ways.iter().fold(finding, |finding, (goal, way)| {
        let way = way.as_ref().map_or_else(Clone::clone, shown);
        finding.shown_by(format!("{}: {way}", goal.shown()))
    });
    if seen.blocks.is_empty() {
        return finding;
    }
    let vpc = goal::vpc(case).unwrap_or("this host's VPC");
    finding.shown_by(format!("{vpc}: {}", seen.blocks.join(", ")))
}

fn none(goal: &Goal, why: &str, case: &Case<'_>) -> Finding {
    let says = format!("there is no route to {}: {why}", goal.shown());
    Finding::new(Id::Route.name(), Verdict::Fail, says)
        .mended_by("ip route   # a host on AWS has a default route, by DHCP")
        .mended_by("networkctl reconfigure --all 2>/dev/null || systemctl restart networking")
        .mended_by(tables(case))
}

/// What is so where the kernel has a way.
fn one(seen: &Seen, goal: &Goal, way: &Way, case: &Case<'_>) -> Finding {
    let of = |verdict, says| Finding::new(Id::Route.name(), verdict, says);
    let place = goal.shown();
    let device = &way.device;
    if way.own {
        return of(Verdict::Fail, format!("{place} is an address of this host itself ({device})"))
            .mended_by(format!(
                "ip address show to {}   # who gave it to {device}?",
                goal.address
            ));
    }
    let inside = is_inside(goal.address, &seen.blocks);
    let elsewhere = seen.outside.as_ref().is_some_and(|outside| outside.device != *device);
    if way.is_virtual && elsewhere {
        // A tunnel may lead there; in the network of this host nothing leads but its card.
        let verdict = if inside == Some(true) { Verdict::Fail } else { Verdict::Warn };
        let says = format!(
            "packets to {place} do not leave this host: they go to {device}, whose network has the \
             same addresses"
        );
        return of(verdict, says).mended_by(format!("ip route show dev {device}")).mended_by(
            format!(
                "move the network of {device} elsewhere; Docker's: `default-address-pools` in \
                 /etc/docker/daemon.json"
            ),
        );
    }
    let vpcs = (goal::target(case, goal).map(|it| it.vpc.as_str()), host_vpc(case));
    let other_vpc =
        matches!(vpcs, (Some(theirs), Some(ours)) if !theirs.is_empty() && theirs != ours);
    if other_vpc || inside == Some(false) {
        let theirs = vpcs.0.filter(|_| other_vpc).unwrap_or("another network");
        let says = format!(
            "{place} is not in this host's VPC but in {theirs}: packets leave by {device} and need \
             a peering or a transit gateway"
        );
        return of(Verdict::Warn, says)
            .mended_by("a route is needed in the tables of both subnets, there and back:")
            .mended_by(tables(case));
    }
    of(Verdict::Pass, format!("packets to {place} {}", shown(way)))
}

fn host_vpc<'a>(case: &Case<'a>) -> Option<&'a str> {
    role::identity(case.observed)?.vpc.as_deref()
}

/// The line that shows the routes of this host's subnet.
fn tables(case: &Case<'_>) -> String {
    let subnet = role::identity(case.observed).and_then(|it| it.subnet.as_deref());
    format!(
        "aws ec2 describe-route-tables --filters Name=association.subnet-id,Values={} --region {}",
        subnet.unwrap_or("SUBNET-OF-THIS-HOST"),
        case.asked.region
    )
}

fn shown(way: &Way) -> String {
    let source = way.source.map(|source| format!(" from {source}")).unwrap_or_default();
    let router = match way.router {
        Some(router) => format!(", to the router {router}"),
        None => ", in the same subnet".to_owned(),
    };
    format!("leave by {}{source}{router}", way.device)
}

#[cfg(test)]
mod tests {
    use super::super::sample::{OURS, Sample, shown};
    use super::*;

    fn way(device: &str, router: Option<[u8; 4]>) -> Way {
        Way {
            device: device.to_owned(),
            is_virtual: !device.starts_with("ens"),
            source: Some(Ipv4Addr::new(10, 0, 1, 15).into()),
            router: router.map(|router| Ipv4Addr::from(router).into()),
            own: false,
        }
    }

    fn seen(sample: &Sample, ours: Result<Way, String>, blocks: &[&str]) -> Seen {
        let goals = goals(&sample.asked, &sample.observed).unwrap();
        let outside = Some(way("ens5", Some([10, 0, 1, 1])));
        let other = Ok(way("ens5", Some([10, 0, 1, 1])));
        let ways = goals.into_iter().zip([ours, other]).collect();
        Seen { ways, outside, blocks: blocks.iter().map(|it| (*it).to_owned()).collect() }
    }

    #[test]
    fn every_wrong_way_has_its_own_line() {
        let sample = Sample::default();
        let vpc = ["10.0.0.0/16", "100.64.0.0/10"];
        let mut itself = way("lo", None);
        itself.own = true;
        let unreachable = "Network is unreachable (os error 101)".to_owned();
        let mut peered = Sample::default();
        let mut targets = peered.observed.targets.seen().unwrap().targets.clone();
        targets[1].vpc = "vpc-0eeeeeeeeeeeeeeee".to_owned();
        peered = peered.with_targets(targets);
        let mut text = String::new();
        for (sample, way, blocks) in [
            (&sample, Ok(way("ens5", None)), &vpc[..]),
            (&sample, Ok(way("ens5", None)), &[]),
            (&sample, Err(unreachable), &vpc),
            (&sample, Ok(itself), &vpc),
            (&sample, Ok(way("docker0", None)), &vpc),
            (&sample, Ok(way("wg0", None)), &[]),
            (&sample, Ok(way("ens5", Some([10, 0, 1, 1]))), &["172.31.0.0/16"]),
            (&peered, Ok(way("ens5", Some([10, 0, 1, 1]))), &[]),
        ] {
            text += &shown(&judge(&seen(sample, way, blocks), &sample.case()));
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn blocks_are_read_as_what_they_are() {
        let blocks = |all: &[&str]| all.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let ours = IpAddr::from(OURS);
        assert_eq!(is_inside(ours, &blocks(&["10.0.0.0/16"])), Some(true));
        assert_eq!(is_inside(ours, &blocks(&["10.1.0.0/16", "10.0.1.100/32"])), Some(true));
        assert_eq!(is_inside(ours, &blocks(&["0.0.0.0/0"])), Some(true));
        assert_eq!(is_inside(ours, &blocks(&["10.0.0.0/24"])), Some(false));
        assert_eq!(is_inside(ours, &blocks(&["<html>", "10.0.0.0/33"])), None);
        assert_eq!(is_inside("::1".parse().unwrap(), &blocks(&["10.0.0.0/16"])), None);
    }

    #[tokio::test]
    async fn the_kernel_is_asked() {
        let sample = Sample::on([Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 9)]);
        let seen = look(&sample.scene(2049)).await.unwrap();
        let (_, way) = &seen.ways[0];
        assert!(way.as_ref().is_ok_and(|way| way.own && way.device == "lo"), "{seen:?}");
        assert_eq!(judge(&seen, &sample.case()).verdict, Verdict::Fail);
    }
}
