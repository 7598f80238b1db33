//! Security groups: one without any rule to begin with, and SSH from one place where it is needed.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{IpPermission, IpRange, Ipv6Range, ResourceType};

use super::{Failure, tag};

/// Makes a group in a VPC that lets nothing in. Returns its id.
pub async fn create(
    config: &SdkConfig,
    name: &str,
    vpc: &str,
    tags: &BTreeMap<String, String>,
) -> Result<String, Failure> {
    const CALL: &str = "ec2:CreateSecurityGroup";
    let call = Client::new(config)
        .create_security_group()
        .group_name(name)
        .description("hostkit: an instance that builds an image")
        .vpc_id(vpc)
        .tag_specifications(tag::of(ResourceType::SecurityGroup, tags));
    let answer = call.send().await.map_err(|error| Failure::new(CALL, &error))?;
    answer
        .group_id
        .ok_or_else(|| Failure::Unreadable { call: CALL, cause: "the group has no id".to_owned() })
}

/// Lets SSH in from a block of addresses, where it listens on this port.
pub async fn allow_ssh(config: &SdkConfig, id: &str, cidr: &str, port: u16) -> Result<(), Failure> {
    let note = "hostkit: SSH while an image is built";
    let rule =
        IpPermission::builder().ip_protocol("tcp").from_port(port.into()).to_port(port.into());
    let rule = if cidr.contains(':') {
        rule.ipv6_ranges(Ipv6Range::builder().cidr_ipv6(cidr).description(note).build())
    } else {
        rule.ip_ranges(IpRange::builder().cidr_ip(cidr).description(note).build())
    };
    let call = Client::new(config).authorize_security_group_ingress().group_id(id);
    let answer = call.ip_permissions(rule.build()).send().await;
    match answer.map_err(|error| Failure::new("ec2:AuthorizeSecurityGroupIngress", &error)) {
        Err(failure) if failure.code() == Some("InvalidPermission.Duplicate") => Ok(()),
        end => end.map(drop),
    }
}
