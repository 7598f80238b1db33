//! Whether a security group of the mount target lets this host's in on TCP 2049, and whether one of
//! this host's lets it out.
//!
//! Security groups remember connections: what may go one way may be answered. Network ACLs, which do
//! not, are not looked at, and every finding that passes says so.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::aws::efs;
use crate::aws::rules::{self, Peer, SecurityGroup};
use crate::doctor::efs::host::role;
use crate::doctor::efs::scene::{Case, Scene};
use crate::doctor::efs::table::Id;
use crate::doctor::{Finding, Gap, Look, Verdict};

/// NFS.
const PORT: u16 = 2049;

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The mount target that is meant.
    pub target: String,
    /// Its address.
    pub target_address: Option<Ipv4Addr>,
    /// Its subnet.
    pub target_subnet: String,
    /// The ids of its security groups.
    pub theirs: Vec<String>,
    /// The ids of this host's; none from outside.
    pub ours: Vec<String>,
    /// This host's address; nothing from outside.
    pub address: Option<Ipv4Addr>,
    /// All of these that are there, with their rules.
    pub groups: Vec<SecurityGroup>,
    /// The prefix lists that their rules about NFS name: their blocks, or nothing where they may not
    /// be read.
    pub lists: BTreeMap<String, Option<Vec<String>>>,
}

impl Seen {
    fn of<'a>(&'a self, ids: &'a [String]) -> impl Iterator<Item = &'a SecurityGroup> {
        self.groups.iter().filter(|group| ids.contains(&group.id))
    }
}

/// Looks.
pub async fn look(scene: &Scene<'_>) -> Look<Seen> {
    let Some(target) = scene.observed.targets.seen().and_then(|seen| seen.best()) else {
        let why = "there is no mount target that is known".to_owned();
        return Err(Gap { needs: String::new(), denied: false, why });
    };
    let aws = scene.aws()?;
    let theirs = match &target.security_groups {
        Some(groups) => groups.clone(),
        // Asked again for why it was not answered.
        None => efs::security_groups(aws, &target.id).await?,
    };
    let mut seen = Seen {
        target: target.id.clone(),
        target_address: target.address,
        target_subnet: target.subnet.clone(),
        theirs,
        ..Seen::default()
    };
    if let Some(own) = role::identity(scene.observed).filter(|_| scene.asked.host.is_some()) {
        seen.address = Some(own.private_ip);
        seen.ours.clone_from(&own.security_groups);
        if seen.ours.is_empty()
            && let Some((groups, _)) = rules::of_instance(aws, &own.instance_id).await?
        {
            seen.ours = groups;
        }
    }
    let ids: Vec<_> = seen.theirs.iter().chain(&seen.ours).cloned().collect();
    seen.groups = rules::security_groups(aws, &ids).await?;
    for list in lists(&seen.groups) {
        let blocks = rules::prefix_list(aws, &list).await.ok();
        seen.lists.insert(list, blocks);
    }
    Ok(seen)
}

/// The prefix lists of all rules that are about NFS.
fn lists(groups: &[SecurityGroup]) -> BTreeSet<String> {
    let rules = groups.iter().flat_map(|group| group.inward.iter().chain(&group.outward));
    let peers = rules.filter(|rule| rule.is_about(PORT)).flat_map(|rule| &rule.peers);
    let list = |peer: &Peer| if let Peer::PrefixList(id) = peer { Some(id.clone()) } else { None };
    peers.filter_map(list).collect()
}

/// Whether packets get through one side.
enum Passage {
    /// By this rule.
    Open(String),
    /// Nothing lets them through.
    Closed,
    /// Perhaps, by this list, which could not be read.
    Perhaps(String),
}

/// Says what it means.
pub fn judge(seen: &Seen, case: &Case<'_>) -> Finding {
    if seen.theirs.iter().all(|id| seen.groups.iter().all(|group| group.id != *id)) {
        let says = format!(
            "the security groups of {} are not there, or of another account: {}",
            seen.target,
            seen.theirs.join(" ")
        );
        return say(Verdict::Skip, says);
    }
    if case.here().is_none() {
        return from_outside(seen, case);
    }
    if seen.ours.is_empty() {
        let says = "whether this host may reach the mount target cannot be told: which security \
                    groups it has is not known";
        return shown(say(Verdict::Skip, says), seen);
    }
    let inward = passage(seen, &seen.theirs, &seen.ours, seen.address, |group| &group.inward);
    let outward =
        passage(seen, &seen.ours, &seen.theirs, seen.target_address, |group| &group.outward);
    let (ours, theirs, region) = (seen.ours.join(" "), seen.theirs.join(" "), &case.asked.region);
    let open = |direction: &str, group: &str, peer: &str| {
        format!(
            "aws ec2 authorize-security-group-{direction} --group-id {group} --ip-permissions \
             'IpProtocol=tcp,FromPort={PORT},ToPort={PORT},UserIdGroupPairs=[{{GroupId={peer}}}]' \
             --region {region}"
        )
    };
    match (inward, outward) {
        (Passage::Open(by), Passage::Open(out)) => {
            let says = format!(
                "{by} lets this host in on TCP {PORT}, {out} lets it out; network ACLs were not \
                 looked at"
            );
            say(Verdict::Pass, says)
        }
        (Passage::Closed, _) => {
            let says = format!(
                "no security group of {} ({theirs}) lets this host ({ours}) in on TCP {PORT}",
                seen.target
            );
            shown(say(Verdict::Fail, says), seen).mended_by(format!(
                "aws ec2 authorize-security-group-ingress --group-id {} --protocol tcp --port \
                 {PORT} --source-group {} --region {region}",
                seen.theirs[0], seen.ours[0]
            ))
        }
        (_, Passage::Closed) => {
            let says = format!(
                "no security group of this host ({ours}) lets it out to {} on TCP {PORT}",
                seen.target
            );
            let fix = open("egress", &seen.ours[0], &seen.theirs[0]);
            shown(say(Verdict::Fail, says), seen).mended_by(fix)
        }
        (Passage::Perhaps(list), _) | (_, Passage::Perhaps(list)) => {
            let says = format!(
                "whether TCP {PORT} is let through cannot be told: {list} may have this address, and \
                 reading it needs ec2:GetManagedPrefixListEntries"
            );
            shown(say(Verdict::Skip, says), seen)
        }
    }
}

/// What lets packets pass at groups of one side that come from, or go to, the other.
fn passage(
    seen: &Seen,
    at: &[String],
    peers: &[String],
    address: Option<Ipv4Addr>,
    rules: impl Fn(&SecurityGroup) -> &Vec<rules::Rule>,
) -> Passage {
    let mut perhaps = None;
    for group in seen.of(at) {
        for peer in rules(group).iter().filter(|rule| rule.is_about(PORT)).flat_map(|it| &it.peers)
        {
            let open = |whom: &str| Passage::Open(format!("{} (by {whom})", group.id));
            match peer {
                Peer::Group(id) if peers.contains(id) => return open(id),
                Peer::Block(block) if has(block, address) => return open(block),
                Peer::Group(_) | Peer::Block(_) => {}
                Peer::PrefixList(id) => match seen.lists.get(id) {
                    Some(Some(blocks)) if blocks.iter().any(|block| has(block, address)) => {
                        return open(id);
                    }
                    Some(Some(_)) => {}
                    None | Some(None) => perhaps = Some(id.clone()),
                },
            }
        }
    }
    perhaps.map_or(Passage::Closed, Passage::Perhaps)
}

/// Whether an address is in a block; blocks of version 6 have none that is looked for.
fn has(block: &str, address: Option<Ipv4Addr>) -> bool {
    let read = |text: &str| {
        let (first, length) = text.split_once('/')?;
        let (first, length) = (first.parse::<Ipv4Addr>().ok()?, length.parse::<u32>().ok()?);
        (length <= 32).then_some((first, length))
    };
    let (Some((first, length)), Some(address)) = (read(block), address) else { return false };
    let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
    (first.to_bits() & mask) == (address.to_bits() & mask)
}

/// Whom the mount target lets in at all.
fn from_outside(seen: &Seen, case: &Case<'_>) -> Finding {
    let rules = seen.of(&seen.theirs).flat_map(|group| &group.inward);
    let peers: BTreeSet<_> =
        rules.filter(|rule| rule.is_about(PORT)).flat_map(|rule| &rule.peers).map(name).collect();
    if peers.is_empty() {
        let says = format!(
            "no security group of {} ({}) lets anybody in on TCP {PORT}",
            seen.target,
            seen.theirs.join(" ")
        );
        return shown(say(Verdict::Fail, says), seen).mended_by(format!(
            "aws ec2 authorize-security-group-ingress --group-id {} --protocol tcp --port {PORT} \
             --source-group GROUP_OF_THE_HOSTS --region {}",
            seen.theirs.first().map_or("GROUP", String::as_str),
            case.asked.region
        ));
    }
    let peers: Vec<_> = peers.into_iter().collect();
    let says = format!(
        "{} lets in on TCP {PORT}: {}; network ACLs were not looked at",
        seen.target,
        peers.join(", ")
    );
    say(Verdict::Pass, says)
}

fn name(peer: &Peer) -> &str {
    match peer {
        Peer::Block(it) | Peer::Group(it) | Peer::PrefixList(it) => it,
    }
}

/// All rules, and what was not looked at.
fn shown(mut finding: Finding, seen: &Seen) -> Finding {
    for group in seen.of(&seen.theirs) {
        finding = finding.shown_by(format!(
            "{} of {} in: {}",
            group.id,
            seen.target,
            told(&group.inward)
        ));
    }
    for group in seen.of(&seen.ours) {
        finding =
            finding.shown_by(format!("{} of this host out: {}", group.id, told(&group.outward)));
    }
    let gone = seen.theirs.iter().chain(&seen.ours);
    for id in gone.filter(|id| seen.groups.iter().all(|group| group.id != **id)) {
        finding = finding.shown_by(format!("{id} could not be read"));
    }
    finding.shown_by(format!("the network ACLs of {} were not looked at", seen.target_subnet))
}

/// Rules, in a line.
fn told(rules: &[rules::Rule]) -> String {
    let one = |rule: &rules::Rule| {
        let ports = match rule.ports {
            _ if rule.protocol == "-1" => "everything".to_owned(),
            None => rule.protocol.clone(),
            Some((from, to)) if from == to => format!("{} {from}", rule.protocol),
            Some((from, to)) => format!("{} {from}-{to}", rule.protocol),
        };
        let peers: Vec<_> = rule.peers.iter().map(name).collect();
        format!("{ports} ({})", peers.join(" "))
    };
    let all: Vec<_> = rules.iter().map(one).collect();
    if all.is_empty() { "nothing".to_owned() } else { all.join(", ") }
}

fn say(verdict: Verdict, says: impl Into<String>) -> Finding {
    Finding::new(Id::Groups.name(), verdict, says)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::aws::rules::Rule;
    use crate::doctor::efs::api::sample::{asked, case, host};
    use crate::doctor::efs::table::Observed;
    use crate::doctor::render;

    const OURS: &str = "sg-0bbbbbbbbbbbbbbbb";
    const THEIRS: &str = "sg-0aaaaaaaaaaaaaaaa";

    fn rule(protocol: &str, port: i32, peer: Peer) -> Rule {
        let ports = (protocol != "-1").then_some((port, port));
        Rule { protocol: protocol.into(), ports, peers: vec![peer] }
    }

    fn all_out() -> Rule {
        rule("-1", 0, Peer::Block("0.0.0.0/0".into()))
    }

    /// A mount target that lets this in, and a host that lets that out.
    fn seen(inward: Vec<Rule>, outward: Vec<Rule>) -> Seen {
        let group = |id: &str, inward, outward| SecurityGroup {
            id: id.into(),
            inward,
            outward,
            ..SecurityGroup::default()
        };
        Seen {
            target: "fsmt-0a".into(),
            target_address: Some([10, 0, 1, 9].into()),
            target_subnet: "subnet-0a".into(),
            theirs: vec![THEIRS.into()],
            ours: vec![OURS.into()],
            address: Some([10, 0, 1, 15].into()),
            groups: vec![group(THEIRS, inward, vec![]), group(OURS, vec![], outward)],
            lists: BTreeMap::new(),
        }
    }

    fn judged(seen: &Seen) -> Finding {
        let asked = asked(Some(host()));
        judge(seen, &case(&asked, &Observed::default()))
    }

    #[test]
    fn a_group_a_block_or_a_list_lets_a_host_in() {
        let peers = [
            Peer::Group(OURS.into()),
            Peer::Block("10.0.0.0/16".into()),
            Peer::Block("10.0.1.15/32".into()),
            Peer::PrefixList("pl-1".into()),
        ];
        for peer in peers {
            let mut seen = seen(vec![rule("tcp", 2049, peer)], vec![all_out()]);
            seen.lists
                .insert("pl-1".into(), Some(vec!["192.168.0.0/16".into(), "10.0.1.0/24".into()]));
            let finding = judged(&seen);
            assert_eq!(finding.verdict, Verdict::Pass, "{finding:?}");
            assert!(finding.says.contains("network ACLs were not looked at"), "{finding:?}");
        }
    }

    #[test]
    fn whatever_is_closed_is_told_with_the_line_that_opens_it() {
        let ours = || Peer::Group(OURS.into());
        let list = || vec![rule("tcp", 2049, Peer::PrefixList("pl-1".into()))];
        let mut unread = seen(list(), vec![all_out()]);
        unread.lists.insert("pl-1".into(), None);
        let mut elsewhere = seen(list(), vec![all_out()]);
        elsewhere.lists.insert("pl-1".into(), Some(vec!["10.9.0.0/16".into()]));
        let mut unknown = seen(vec![rule("tcp", 2049, ours())], vec![all_out()]);
        unknown.ours.clear();
        let mut gone = seen(vec![], vec![]);
        gone.groups.clear();
        let findings = [
            judged(&seen(vec![], vec![all_out()])),
            judged(&seen(
                vec![
                    rule("tcp", 22, ours()),
                    rule("udp", 2049, ours()),
                    rule("tcp", 2049, Peer::Group(THEIRS.into())),
                    rule("tcp", 2049, Peer::Block("10.0.2.0/24".into())),
                    rule("tcp", 2049, Peer::Block("::/0".into())),
                ],
                vec![all_out()],
            )),
            judged(&seen(
                vec![rule("tcp", 2049, ours())],
                vec![rule("tcp", 443, Peer::Block("0.0.0.0/0".into()))],
            )),
            judged(&elsewhere),
            judged(&unread),
            judged(&unknown),
            judged(&gone),
        ];
        insta::assert_snapshot!(render(&findings));
    }

    #[test]
    fn from_outside_it_is_told_whom_the_mount_target_lets_in() {
        let asked = asked(None);
        let judged = |seen: &Seen| judge(seen, &case(&asked, &Observed::default()));
        let open = judged(&seen(vec![rule("tcp", 2049, Peer::Group(OURS.into()))], vec![]));
        assert_eq!(open.verdict, Verdict::Pass);
        assert!(
            open.says.starts_with("fsmt-0a lets in on TCP 2049: sg-0bbbbbbbbbbbbbbbb"),
            "{open:?}"
        );
        let closed = judged(&seen(vec![rule("tcp", 22, Peer::Group(OURS.into()))], vec![]));
        assert_eq!(closed.verdict, Verdict::Fail);
        assert!(closed.fix[0].contains("--group-id sg-0aaaaaaaaaaaaaaaa"), "{closed:?}");
    }

    #[test]
    fn a_block_that_is_none_has_nobody() {
        let address = Some(Ipv4Addr::new(10, 0, 0, 1));
        for block in ["", "10.0.0.1", "10.0.0.0/33", "x/8", "::/0", "10.0.0.0/-1"] {
            assert!(!has(block, address), "{block}");
        }
        assert!(has("0.0.0.0/0", address) && has("10.0.0.1/32", address));
        assert!(!has("0.0.0.0/0", None));
    }

    proptest! {
        /// As counting tells it: an address is in a block if it is not before its first and not after
        /// its last.
        #[test]
        fn a_block_has_what_lies_in_it(first: u32, length in 0_u32..=32, address: u32) {
            let size = 1_u64 << (32 - length);
            let start = u64::from(first) / size * size;
            let within = (start..start + size).contains(&u64::from(address));
            let block = format!("{}/{length}", Ipv4Addr::from_bits(first));
            prop_assert_eq!(has(&block, Some(Ipv4Addr::from_bits(address))), within);
        }
    }
}
