//! Which mount targets there are, and whether this zone has one.

use futures::future::join_all;
use serde::{Deserialize, Serialize};

use super::exists;
use crate::aws::efs::{self, Target, TargetState};
use crate::doctor::efs::host::role::{self, Identity};
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::{Id, Observed};
use crate::doctor::{Finding, Look, Verdict};

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    /// All mount targets, with their security groups where those could be read.
    pub targets: Vec<Target>,
    /// The id of the zone that this host is in; nothing from outside, or where the metadata service
    /// did not tell.
    pub zone_id: Option<String>,
}

impl Seen {
    /// The mount target of the zone that this host is in.
    pub fn here(&self) -> Option<&Target> {
        let zone = self.zone_id.as_deref()?;
        self.targets.iter().find(|target| target.zone_id == zone)
    }

    /// The one that this host is to mount: that of its zone, else the first that can be used. From
    /// outside, the first that can be used.
    pub fn best(&self) -> Option<&Target> {
        let usable = |target: &&Target| target.state() == TargetState::Available;
        self.here().or_else(|| self.targets.iter().find(usable)).or_else(|| self.targets.first())
    }
}

/// Looks.
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let aws = scene.aws()?;
    let mut targets = efs::targets(aws, &scene.asked.file_system).await?;
    // Those of one that is being made cannot be read, those of others perhaps not: the check that
    // needs them says why.
    let groups = join_all(targets.iter().map(|target| efs::security_groups(aws, &target.id))).await;
    for (target, groups) in targets.iter_mut().zip(groups) {
        target.security_groups = groups.ok();
    }
    targets.sort_by(|one, other| (&one.zone, &one.id).cmp(&(&other.zone, &other.id)));
    let zone_id = role::identity(scene.observed).and_then(|host| zone_of(host, &targets));
    Ok(Seen { targets, zone_id })
}

/// The id of the zone of a host: as the metadata service says, else by the zone's name. Names are
/// those of an account: it must be the same.
fn zone_of(host: &Identity, targets: &[Target]) -> Option<String> {
    let by_name = || {
        let found = targets.iter().find(|target| target.zone == host.zone && !host.zone.is_empty());
        found.map(|target| target.zone_id.clone())
    };
    host.zone_id.clone().or_else(by_name).filter(|zone| !zone.is_empty())
}

/// Says what it means.
pub fn judge(seen: &Seen, case: &Case<'_>) -> Finding {
    let id = &case.asked.file_system;
    let finding = match (case.here(), &seen.zone_id, seen.here()) {
        _ if seen.targets.is_empty() => fail(format!("{id} has no mount target")),
        (None, ..) => return say(Verdict::Pass, listed(seen)),
        (Some(_), Some(_), Some(target)) => return here(seen, target, case),
        (Some(_), None, _) => {
            let says = "whether this zone has a mount target cannot be told: the metadata service \
                        does not say which it is";
            return shown(say(Verdict::Skip, says.to_owned()), seen);
        }
        (Some(_), Some(zone), None) if one_zone(case.observed).is_some() => {
            let only = one_zone(case.observed).unwrap_or_default();
            let says = format!(
                "{id} is in {only} only, and this host in {zone}: traffic between them is paid for, \
                 and slower"
            );
            let finding = shown(say(Verdict::Warn, says), seen);
            return finding.mended_by(format!(
                "a One Zone file system has one mount target only: have the Auto Scaling group \
                 launch in {only}"
            ));
        }
        (Some(host), Some(zone), None) if host.efs.cross_az => {
            let says = format!(
                "{id} has no mount target in this zone {zone}; with `efs.cross_az` another zone's \
                 does: traffic is paid for, and slower"
            );
            say(Verdict::Warn, says)
        }
        (Some(_), Some(zone), None) => {
            fail(format!("{id} has no mount target in this host's zone {zone}"))
        }
    };
    mended(shown(finding, seen), seen, case)
}

/// There is one in this host's zone.
fn here(seen: &Seen, target: &Target, case: &Case<'_>) -> Finding {
    let vpc = role::identity(case.observed).and_then(|host| host.vpc.as_deref());
    match vpc {
        Some(vpc) if !target.vpc.is_empty() && vpc != target.vpc => {
            let says = format!(
                "this host is in {vpc}, and the mount targets are in {}: its names do not resolve \
                 here, and only a peering lets packets through",
                target.vpc
            );
            let finding = shown(say(Verdict::Warn, says), seen);
            finding.mended_by(format!(
                "a file system has mount targets in one VPC only: launch the host in {}, or route \
                 between both and name the targets in host.toml: `[efs.addresses]`",
                target.vpc
            ))
        }
        _ => say(Verdict::Pass, format!("this zone has {}", line(target))),
    }
}

/// How to get one where this host is.
fn mended(finding: Finding, seen: &Seen, case: &Case<'_>) -> Finding {
    let host = role::identity(case.observed);
    let vpc = seen.targets.iter().map(|target| target.vpc.as_str()).find(|vpc| !vpc.is_empty());
    let own = host.and_then(|host| host.vpc.as_deref());
    if let (Some(own), Some(vpc)) = (own, vpc)
        && own != vpc
    {
        return finding.mended_by(format!(
            "this host is in {own}, and mount targets can be in {vpc} only: launch the host there"
        ));
    }
    let subnet = host.and_then(|host| host.subnet.as_deref()).unwrap_or("SUBNET_OF_THIS_ZONE");
    let groups = seen.targets.iter().find_map(|target| target.security_groups.as_deref());
    let groups = groups.filter(|groups| !groups.is_empty());
    let with = groups.map_or_else(String::new, |it| format!(" --security-groups {}", it.join(" ")));
    let finding = finding.mended_by(format!(
        "aws efs create-mount-target --file-system-id {} --subnet-id {subnet}{with} --region {}",
        case.asked.file_system, case.asked.region
    ));
    let finding = match groups {
        Some(_) => finding,
        None => finding.mended_by(
            "without --security-groups it gets the default group of the VPC: let that, or one that \
             you name, allow TCP 2049 from the group of this host",
        ),
    };
    match case.here() {
        Some(host) if !host.efs.cross_az && !seen.targets.is_empty() => finding.mended_by(
            "or accept the cost and the latency of another zone: `[efs] cross_az = true` in host.toml",
        ),
        _ => finding,
    }
}

/// The zone of a One Zone file system.
fn one_zone(observed: &Observed) -> Option<String> {
    let exists::Seen { file_system, .. } = observed.exists.seen()?;
    let found = file_system.as_ref()?;
    found.zone.clone().or_else(|| found.zone_id.clone())
}

/// All, for whoever looks from outside.
fn listed(seen: &Seen) -> String {
    let lines: Vec<_> = seen.targets.iter().map(line).collect();
    format!("{} mount target(s): {}", lines.len(), lines.join("; "))
}

fn shown(finding: Finding, seen: &Seen) -> Finding {
    seen.targets.iter().fold(finding, |finding, target| finding.shown_by(line(target)))
}

/// A mount target, in a line.
pub(super) fn line(target: &Target) -> String {
    let zone = match (target.zone.as_str(), target.zone_id.as_str()) {
        ("", "") => "an unknown zone",
        ("", id) => id,
        (name, _) => name,
    };
    let address = match (target.address, target.address6) {
        (Some(address), _) => format!("at {address}"),
        (None, Some(address)) => format!("at {address}"),
        (None, None) => "without an address".to_owned(),
    };
    let groups = match &target.security_groups {
        Some(groups) if !groups.is_empty() => format!(", {}", groups.join(" ")),
        _ => String::new(),
    };
    format!("{} {address} in {zone} ({}), {}{groups}", target.id, target.subnet, target.state)
}

fn fail(says: String) -> Finding {
    say(Verdict::Fail, says)
}

fn say(verdict: Verdict, says: String) -> Finding {
    Finding::new(Id::Targets.name(), verdict, says)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::efs::api::sample::{asked, case, file_system, host, observed, target};
    use crate::doctor::efs::observed::Cell;
    use crate::doctor::efs::scene::Here;
    use crate::doctor::render;
    use crate::host::Efs;

    fn seen(letters: &str, zone: Option<&str>) -> Seen {
        Seen { targets: letters.chars().map(target).collect(), zone_id: zone.map(str::to_owned) }
    }

    #[test]
    fn the_one_of_this_zone_is_what_is_mounted() {
        let (asked, observed) = (asked(Some(host())), observed());
        let finding = judge(&seen("ab", Some("euw1-az1")), &case(&asked, &observed));
        assert_eq!(finding.verdict, Verdict::Pass);
        assert_eq!(
            finding.says,
            "this zone has fsmt-0a at 10.0.1.9 in eu-west-1a (subnet-0a), available, \
             sg-0aaaaaaaaaaaaaaaa"
        );
        let both = seen("ab", Some("euw1-az2"));
        assert_eq!(both.best().map(|it| it.id.as_str()), Some("fsmt-0b"));
        let mut none = seen("ab", Some("euw1-az3"));
        none.targets[0].state = "deleting".into();
        assert_eq!(none.best().map(|it| it.id.as_str()), Some("fsmt-0b"));
    }

    #[test]
    fn from_outside_all_are_listed() {
        let asked = asked(None);
        let finding = judge(&seen("abc", None), &case(&asked, &Observed::default()));
        assert_eq!(finding.verdict, Verdict::Pass);
        assert!(finding.says.starts_with("3 mount target(s): fsmt-0a at 10.0.1.9"), "{finding:?}");
    }

    #[test]
    fn whatever_is_wrong_is_told_with_what_mends_it() {
        let (out, on_host, observed) = (asked(None), asked(Some(host())), observed());
        let far = Here { efs: Efs { cross_az: true, ..Efs::default() }, ..host() };
        let far = asked(Some(far));
        let mut one_zone = file_system();
        one_zone.zone = Some("eu-west-1b".into());
        let one_zone = Observed {
            exists: Cell::of(exists::Seen { file_system: Some(one_zone), others: Vec::new() }),
            ..Observed::default()
        };
        let mut abroad = seen("ab", Some("euw1-az1"));
        let mut other = seen("b", Some("euw1-az1"));
        for target in abroad.targets.iter_mut().chain(&mut other.targets) {
            target.vpc = "vpc-0bbbbbbbbbbbbbbbb".into();
        }
        let mut unread = seen("b", Some("euw1-az1"));
        unread.targets[0].security_groups = None;
        let findings = [
            judge(&seen("", None), &case(&out, &Observed::default())),
            judge(&seen("", Some("euw1-az1")), &case(&on_host, &observed)),
            judge(&seen("b", Some("euw1-az1")), &case(&on_host, &observed)),
            judge(&unread, &case(&on_host, &observed)),
            judge(&other, &case(&on_host, &observed)),
            judge(&seen("b", Some("euw1-az1")), &case(&far, &observed)),
            judge(&seen("b", Some("euw1-az1")), &case(&on_host, &one_zone)),
            judge(&abroad, &case(&on_host, &observed)),
            judge(&seen("ab", None), &case(&on_host, &Observed::default())),
        ];
        insta::assert_snapshot!(render(&findings));
    }

    #[test]
    fn a_zone_is_known_by_its_name_where_the_id_is_not_told() {
        let old = Identity { zone_id: None, ..Identity::sample() };
        assert_eq!(zone_of(&old, &[target('b'), target('a')]).as_deref(), Some("euw1-az1"));
        assert_eq!(zone_of(&old, &[target('b')]), None);
    }
}
