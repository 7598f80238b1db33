//! The rules of security groups: authorised and revoked, inward and outward.

use super::group::named;
use crate::sim::account::ACCOUNT_ID;
use crate::sim::ec2::Call;
use crate::sim::ec2::id::Kind;
use crate::sim::ec2::query::Query;
use crate::sim::ec2::refusal::{Answer, Refusal};
use crate::sim::ec2::shape::{self, flag, set, some};
use crate::sim::random;
use crate::sim::region::{Region, Tags};
use crate::sim::security_group::{Peer, Rule, SecurityGroup};
use crate::sim::xml::leaf;

/// `AuthorizeSecurityGroupIngress`, and `…Egress`. All or none.
pub fn authorise(call: &mut Call<'_>, mut query: Query, egress: bool) -> Answer {
    let id = named(&mut query, call.here())?;
    let rules = asked(&mut query, call.here(), egress)?;
    let dry_run = query.finish()?;
    if rules.is_empty() {
        return Err(Refusal::missing("IpPermissions"));
    }
    let group = group(call, &id);
    if let Some(rule) = rules.iter().find(|rule| group.rules.iter().any(|one| one.is_same(rule))) {
        let message = format!("the specified rule \"{}\" already exists", words(rule));
        return Err(Refusal::new("InvalidPermission.Duplicate", message));
    }
    dry_run.end()?;
    let items: Vec<String> = rules.iter().map(|rule| shape_of(rule, &id)).collect();
    group.rules.extend(rules);
    Ok(shape::done() + &set("securityGroupRuleSet", items))
}

/// `RevokeSecurityGroupIngress`, and `…Egress`: by what a rule lets through, or by its id.
pub fn revoke(call: &mut Call<'_>, mut query: Query, egress: bool) -> Answer {
    let id = named(&mut query, call.here())?;
    let ids = query.list("SecurityGroupRuleId");
    let rules = asked(&mut query, call.here(), egress)?;
    let dry_run = query.finish()?;
    let group = group(call, &id);
    let there = |rule: &Rule| group.rules.iter().any(|one| one.is_same(rule));
    if let Some(rule) = rules.iter().find(|rule| !there(rule)) {
        let message =
            format!("The specified rule does not exist in this security group: {}", words(rule));
        return Err(Refusal::new("InvalidPermission.NotFound", message));
    }
    if let Some(rule) = ids.iter().find(|id| group.rules.iter().all(|one| one.id != **id)) {
        return Err(Refusal::new(
            "InvalidSecurityGroupRuleId.NotFound",
            format!("The security group rule ID '{rule}' does not exist"),
        ));
    }
    dry_run.end()?;
    group
        .rules
        .retain(|one| !(ids.contains(&one.id) || rules.iter().any(|rule| one.is_same(rule))));
    Ok(shape::done())
}

fn group<'a>(call: &'a mut Call<'_>, id: &str) -> &'a mut SecurityGroup {
    call.here().security_groups.get_mut(id).expect("it was found before")
}

/// The rules that a request has, one a peer.
fn asked(query: &mut Query, region: &Region, egress: bool) -> Answer<Vec<Rule>> {
    let mut rules = Vec::new();
    for mut permission in query.structures("IpPermissions") {
        let protocol = permission.required("IpProtocol")?;
        let mut ports = |field: &str| port(&mut permission, field);
        let (from, to) = (ports("FromPort")?, ports("ToPort")?);
        let mut peers = Vec::new();
        let plain = [
            ("IpRanges", "CidrIp", Peer::Ipv4 as fn(String) -> Peer),
            ("Ipv6Ranges", "CidrIpv6", Peer::Ipv6),
            ("PrefixListIds", "PrefixListId", Peer::PrefixList),
        ];
        for (field, inner, peer) in plain {
            for mut one in permission.structures(field) {
                peers.push((peer(one.required(inner)?), one.text("Description")));
                one.done()?;
            }
        }
        for mut one in permission.structures("Groups") {
            let id = named(&mut one, region)?;
            let _account = one.text("UserId");
            peers.push((Peer::Group(id), one.text("Description")));
            one.done()?;
        }
        permission.done()?;
        for (peer, description) in peers {
            rules.push(rule(egress, &protocol, (from, to), peer, description)?);
        }
    }
    // The older form: one rule, in the request itself.
    if let Some(protocol) = query.text("IpProtocol") {
        let ports = (port(query, "FromPort")?, port(query, "ToPort")?);
        let peer = Peer::Ipv4(query.required("CidrIp")?);
        rules.push(rule(egress, &protocol, ports, peer, None)?);
    }
    Ok(rules)
}

fn port(query: &mut Query, field: &str) -> Answer<Option<i32>> {
    let Some(text) = query.text(field) else { return Ok(None) };
    let port = text.parse::<i32>().ok().filter(|port| (-1..=65_535).contains(port));
    let name = query.name(field);
    port.map(Some).ok_or_else(|| Refusal::value(format!("Invalid value '{text}' for {name}")))
}

fn rule(
    egress: bool,
    protocol: &str,
    (from, to): (Option<i32>, Option<i32>),
    peer: Peer,
    description: Option<String>,
) -> Answer<Rule> {
    let protocol = match protocol {
        "6" => "tcp",
        "17" => "udp",
        "1" => "icmp",
        other => other,
    };
    let all = protocol == "-1";
    let named = matches!(protocol, "tcp" | "udp" | "icmp" | "icmpv6" | "-1");
    if !named && protocol.parse::<u8>().is_err() {
        return Err(Refusal::value(format!("Invalid value '{protocol}' for IP protocol.")));
    }
    if matches!(protocol, "tcp" | "udp") {
        match (from, to) {
            (Some(from), Some(to)) if (0..=to).contains(&from) => {}
            _ => {
                let message = "Invalid value for portRange. Must specify both from and to ports \
                               with TCP/UDP.";
                return Err(Refusal::value(message));
            }
        }
    }
    check_peer(&peer)?;
    Ok(Rule {
        id: format!("sgr-0{}", random::hex(16)),
        egress,
        protocol: protocol.to_owned(),
        from: from.filter(|_| !all),
        to: to.filter(|_| !all),
        peer,
        description,
        tags: Tags::new(),
    })
}

fn check_peer(peer: &Peer) -> Answer<()> {
    let (text, fits) = match peer {
        Peer::Ipv4(cidr) => (cidr, is_cidr::<std::net::Ipv4Addr>(cidr, 32)),
        Peer::Ipv6(cidr) => (cidr, is_cidr::<std::net::Ipv6Addr>(cidr, 128)),
        Peer::PrefixList(id) => (id, id.starts_with("pl-")),
        Peer::Group(id) => (id, Kind::SecurityGroup.check(id).is_ok()),
    };
    if fits {
        return Ok(());
    }
    Err(Refusal::value(format!("CIDR block {text} is malformed")))
}

fn is_cidr<A: std::str::FromStr>(text: &str, most: u8) -> bool {
    text.split_once('/').is_some_and(|(address, bits)| {
        address.parse::<A>().is_ok() && bits.parse::<u8>().is_ok_and(|bits| bits <= most)
    })
}

/// As AWS says a rule in an error.
fn words(rule: &Rule) -> String {
    let peer = match &rule.peer {
        Peer::Ipv4(peer) | Peer::Ipv6(peer) | Peer::Group(peer) | Peer::PrefixList(peer) => peer,
    };
    let protocol =
        if rule.protocol == "-1" { "ALL".to_owned() } else { rule.protocol.to_uppercase() };
    match (rule.from, rule.to) {
        (Some(from), Some(to)) => {
            format!("peer: {peer}, {protocol}, from port: {from}, to port: {to}, ALLOW")
        }
        _ => format!("peer: {peer}, {protocol}, ALLOW"),
    }
}

fn shape_of(rule: &Rule, group: &str) -> String {
    let port = |name: &str, port: Option<i32>| leaf(name, &port.unwrap_or(-1).to_string());
    let peer = match &rule.peer {
        Peer::Ipv4(cidr) => leaf("cidrIpv4", cidr),
        Peer::Ipv6(cidr) => leaf("cidrIpv6", cidr),
        Peer::PrefixList(id) => leaf("prefixListId", id),
        Peer::Group(id) => {
            let inner = leaf("groupId", id) + &leaf("userId", ACCOUNT_ID);
            crate::sim::xml::node("referencedGroupInfo", &inner)
        }
    };
    leaf("securityGroupRuleId", &rule.id)
        + &leaf("groupId", group)
        + &leaf("groupOwnerId", ACCOUNT_ID)
        + &flag("isEgress", rule.egress)
        + &leaf("ipProtocol", &rule.protocol)
        + &port("fromPort", rule.from)
        + &port("toPort", rule.to)
        + &peer
        + &some("description", rule.description.as_deref())
}

/// The rules of one direction, as a group's description shows them: those that differ only in the
/// peer are one permission.
pub fn permissions(name: &str, group: &SecurityGroup, egress: bool) -> String {
    let mut kinds: Vec<(&str, Option<i32>, Option<i32>)> = Vec::new();
    for rule in group.rules.iter().filter(|rule| rule.egress == egress) {
        let kind = (rule.protocol.as_str(), rule.from, rule.to);
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let items = kinds.into_iter().map(|kind| {
        let rules = group.rules.iter().filter(|rule| {
            rule.egress == egress && (rule.protocol.as_str(), rule.from, rule.to) == kind
        });
        let port =
            |name: &str, port: Option<i32>| some(name, port.map(|one| one.to_string()).as_deref());
        leaf("ipProtocol", kind.0)
            + &port("fromPort", kind.1)
            + &port("toPort", kind.2)
            + &peers(&rules.collect::<Vec<_>>())
    });
    set(name, items.collect::<Vec<_>>())
}

fn peers(rules: &[&Rule]) -> String {
    let of = |pick: fn(&Peer) -> Option<String>| {
        let picked = rules.iter().filter_map(move |rule| {
            Some(pick(&rule.peer)? + &some("description", rule.description.as_deref()))
        });
        picked.collect::<Vec<String>>()
    };
    let groups = of(|peer| match peer {
        Peer::Group(id) => Some(leaf("userId", ACCOUNT_ID) + &leaf("groupId", id)),
        _ => None,
    });
    let ipv4 = of(|peer| match peer {
        Peer::Ipv4(cidr) => Some(leaf("cidrIp", cidr)),
        _ => None,
    });
    let ipv6 = of(|peer| match peer {
        Peer::Ipv6(cidr) => Some(leaf("cidrIpv6", cidr)),
        _ => None,
    });
    let lists = of(|peer| match peer {
        Peer::PrefixList(id) => Some(leaf("prefixListId", id)),
        _ => None,
    });
    set("groups", groups)
        + &set("ipRanges", ipv4)
        + &set("ipv6Ranges", ipv6)
        + &set("prefixListIds", lists)
}

/// What a rule has under the name of a filter of groups.
pub fn value(rule: &Rule, field: &str) -> Option<String> {
    match (field, &rule.peer) {
        ("cidr", Peer::Ipv4(peer))
        | ("ipv6-cidr", Peer::Ipv6(peer))
        | ("group-id", Peer::Group(peer))
        | ("prefix-list-id", Peer::PrefixList(peer)) => Some(peer.clone()),
        ("protocol", _) => Some(rule.protocol.clone()),
        ("from-port", _) => rule.from.map(|port| port.to_string()),
        ("to-port", _) => rule.to.map(|port| port.to_string()),
        _ => None,
    }
}
