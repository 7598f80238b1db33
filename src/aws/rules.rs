//! What security groups let through, as EC2 tells it.

use std::net::Ipv4Addr;

use aws_config::SdkConfig;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Filter, IpPermission};
use serde::{Deserialize, Serialize};

use super::Failure;

/// Whom a rule is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Peer {
    /// A block of addresses, of either version.
    Block(String),
    /// Whoever is in a security group.
    Group(String),
    /// A list of blocks that is kept elsewhere.
    PrefixList(String),
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// `tcp`, …, or `-1` for all.
    pub protocol: String,
    /// The first and the last port; all where there are none.
    pub ports: Option<(i32, i32)>,
    /// Whom it lets through.
    pub peers: Vec<Peer>,
}

impl Rule {
    /// Whether it is about a port of TCP.
    pub fn is_about(&self, port: u16) -> bool {
        let all = self.protocol == "-1";
        let tcp = matches!(self.protocol.as_str(), "tcp" | "6");
        let within = |(from, to): (i32, i32)| (from..=to).contains(&i32::from(port)) || from == -1;
        all || (tcp && self.ports.is_none_or(within))
    }
}

/// A security group, and all that it lets through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityGroup {
    /// `sg-…`
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its network; may be empty.
    pub vpc: String,
    /// What may come in.
    pub inward: Vec<Rule>,
    /// What may go out.
    pub outward: Vec<Rule>,
}

/// The security groups of these ids, as far as they are there.
pub async fn security_groups(
    config: &SdkConfig,
    ids: &[String],
) -> Result<Vec<SecurityGroup>, Failure> {
    // As a filter: an id that is not there any more is no refusal of all others.
    let named = Filter::builder().name("group-id").set_values(Some(ids.to_vec())).build();
    let answer = Client::new(config).describe_security_groups().filters(named).send().await;
    let answer = answer.map_err(|error| Failure::new("ec2:DescribeSecurityGroups", &error))?;
    let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
    let groups = answer.security_groups().iter().map(|group| SecurityGroup {
        id: text(group.group_id()),
        name: text(group.group_name()),
        vpc: text(group.vpc_id()),
        inward: group.ip_permissions().iter().map(rule).collect(),
        outward: group.ip_permissions_egress().iter().map(rule).collect(),
    });
    // Not everybody who answers for EC2 knows the filter.
    Ok(groups.filter(|group| ids.contains(&group.id)).collect())
}

/// The blocks of a prefix list.
pub async fn prefix_list(config: &SdkConfig, id: &str) -> Result<Vec<String>, Failure> {
    const CALL: &str = "ec2:GetManagedPrefixListEntries";
    let call = Client::new(config).get_managed_prefix_list_entries().prefix_list_id(id);
    let entries = call.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await;
    let entries = entries.map_err(|error| Failure::new(CALL, &error))?;
    Ok(entries.into_iter().filter_map(|entry| entry.cidr).collect())
}

/// The security groups and the address of an instance; nothing if there is no such instance.
pub async fn of_instance(
    config: &SdkConfig,
    id: &str,
) -> Result<Option<(Vec<String>, Option<Ipv4Addr>)>, Failure> {
    let answer = Client::new(config).describe_instances().instance_ids(id).send().await;
    let answer = match answer.map_err(|error| Failure::new("ec2:DescribeInstances", &error)) {
        Err(failure) if failure.code() == Some("InvalidInstanceID.NotFound") => return Ok(None),
        answer => answer?,
    };
    let found = answer.reservations().iter().find_map(|it| it.instances().first());
    Ok(found.map(|instance| {
        let ids = instance.security_groups().iter().filter_map(|it| it.group_id());
        let address = instance.private_ip_address().and_then(|it| it.parse().ok());
        (ids.map(str::to_owned).collect(), address)
    }))
}

fn rule(of: &IpPermission) -> Rule {
    let blocks = of.ip_ranges().iter().filter_map(|it| it.cidr_ip());
    let blocks = blocks.chain(of.ipv6_ranges().iter().filter_map(|it| it.cidr_ipv6()));
    let groups = of.user_id_group_pairs().iter().filter_map(|it| it.group_id());
    let lists = of.prefix_list_ids().iter().filter_map(|it| it.prefix_list_id());
    let blocks = blocks.map(|it| Peer::Block(it.to_owned()));
    let groups = groups.map(|it| Peer::Group(it.to_owned()));
    let lists = lists.map(|it| Peer::PrefixList(it.to_owned()));
    Rule {
        protocol: of.ip_protocol().unwrap_or_default().to_owned(),
        ports: of.from_port().zip(of.to_port()),
        peers: blocks.chain(groups).chain(lists).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_about_the_ports_that_it_names() {
        let rule = |protocol: &str, ports| Rule { protocol: protocol.into(), ports, peers: vec![] };
        assert!(rule("-1", None).is_about(2049));
        assert!(rule("tcp", Some((2049, 2049))).is_about(2049));
        assert!(rule("tcp", Some((0, 65_535))).is_about(2049));
        assert!(rule("tcp", Some((-1, -1))).is_about(2049));
        assert!(!rule("tcp", Some((2048, 2048))).is_about(2049));
        assert!(!rule("udp", Some((2049, 2049))).is_about(2049));
        assert!(!rule("icmp", Some((-1, -1))).is_about(2049));
    }
}
