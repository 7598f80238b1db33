//! Security groups: made, described, deleted.

use super::rules;
use crate::sim::account::ACCOUNT_ID;
use crate::sim::ec2::Call;
use crate::sim::ec2::filter::Filters;
use crate::sim::ec2::id::Kind;
use crate::sim::ec2::page::Page;
use crate::sim::ec2::query::Query;
use crate::sim::ec2::refusal::{Answer, Refusal};
use crate::sim::ec2::shape::{self, set, some};
use crate::sim::ec2::tags::Specified;
use crate::sim::instance::State;
use crate::sim::region::Region;
use crate::sim::security_group::{Peer, Rule, SecurityGroup};
use crate::sim::xml::leaf;

/// `CreateSecurityGroup`.
pub fn create(call: &mut Call<'_>, mut query: Query) -> Answer {
    let name = query.required("GroupName")?;
    let description = query.required("GroupDescription")?;
    let vpc = query.text("VpcId");
    let tags = Specified::of(&mut query, &[Kind::SecurityGroup])?.for_kind(Kind::SecurityGroup);
    let dry_run = query.finish()?;
    for (what, text) in [("groupName", &name), ("groupDescription", &description)] {
        let fits =
            |byte: u8| byte.is_ascii_alphanumeric() || b" ._-:/()#,@[]+=&;{}!$*".contains(&byte);
        if text.len() > 255 || !text.bytes().all(fits) {
            return Err(Refusal::value(format!(
                "Invalid value '{text}' for {what}. Valid characters are a-z, A-Z, 0-9, spaces, and \
                 ._-:/()#,@[]+=&;{{}}!$*"
            )));
        }
    }
    if name.starts_with("sg-") || name == "default" {
        return Err(Refusal::value(format!("Invalid group name '{name}'")));
    }
    let region = call.here();
    let vpc = match vpc {
        None => region.vpcs.keys().next().cloned().unwrap_or_default(),
        Some(vpc) => {
            Kind::Vpc.check_all(std::slice::from_ref(&vpc), |id| region.vpcs.contains_key(id))?;
            vpc
        }
    };
    if region.security_groups.values().any(|group| group.name == name && group.vpc == vpc) {
        let message = format!("The security group '{name}' already exists for VPC '{vpc}'");
        return Err(Refusal::new("InvalidGroup.Duplicate", message));
    }
    dry_run.end()?;
    let id = Kind::SecurityGroup.fresh();
    let answer = shape::done() + &leaf("groupId", &id) + &shape::tags(&tags);
    let group = SecurityGroup {
        id: id.clone(),
        name,
        description,
        vpc,
        rules: vec![Rule::all_out()],
        tags,
    };
    call.here().security_groups.insert(id, group);
    Ok(answer)
}

/// The group that a request means, by id or, in the default network, by name.
pub fn named(query: &mut Query, region: &Region) -> Answer {
    let (id, name) = (query.text("GroupId"), query.text("GroupName"));
    match (id, name) {
        (Some(id), _) => {
            let known = |id: &str| region.security_groups.contains_key(id);
            Kind::SecurityGroup.check_all(std::slice::from_ref(&id), known)?;
            Ok(id)
        }
        (None, Some(name)) => by_name(region, &name),
        (None, None) => Err(Refusal::missing("GroupId")),
    }
}

/// The group of a name in the default network.
pub fn by_name(region: &Region, name: &str) -> Answer {
    let found = region.security_groups.values().find(|group| group.name == name);
    found.map(|group| group.id.clone()).ok_or_else(|| Kind::SecurityGroup.not_found(&[name]))
}

/// `DeleteSecurityGroup`: not as long as anything is in it, or lets it through.
pub fn delete(call: &mut Call<'_>, mut query: Query) -> Answer {
    let id = named(&mut query, call.here())?;
    let dry_run = query.finish()?;
    let used = call.account.instances().iter().any(|instance| {
        let launch = instance.launch.as_ref();
        instance.state() != State::Terminated
            && launch.is_some_and(|launch| launch.groups.contains(&id))
    });
    let region = call.here();
    let group = &region.security_groups[&id];
    if group.name == "default" {
        let message =
            format!("the specified group: \"{id}\" name: \"default\" cannot be deleted by a user");
        return Err(Refusal::new("CannotDelete", message));
    }
    let mut others = region.security_groups.values().filter(|other| other.id != id);
    let refers = |rule: &Rule| rule.peer == Peer::Group(id.clone());
    if used || others.any(|other| other.rules.iter().any(refers)) {
        let message = format!("resource {id} has a dependent object");
        return Err(Refusal::new("DependencyViolation", message));
    }
    dry_run.end()?;
    region.security_groups.remove(&id);
    Ok(shape::done() + &leaf("groupId", &id))
}

/// What an answer may be filtered by.
const FILTERS: &[&str] = &[
    "description",
    "egress.ip-permission.cidr",
    "egress.ip-permission.from-port",
    "egress.ip-permission.group-id",
    "egress.ip-permission.ipv6-cidr",
    "egress.ip-permission.prefix-list-id",
    "egress.ip-permission.protocol",
    "egress.ip-permission.to-port",
    "group-id",
    "group-name",
    "ip-permission.cidr",
    "ip-permission.from-port",
    "ip-permission.group-id",
    "ip-permission.ipv6-cidr",
    "ip-permission.prefix-list-id",
    "ip-permission.protocol",
    "ip-permission.to-port",
    "owner-id",
    "tag-key",
    "vpc-id",
];

/// `DescribeSecurityGroups`.
pub fn describe(call: &mut Call<'_>, mut query: Query) -> Answer {
    let (ids, names) = (query.list("GroupId"), query.list("GroupName"));
    let filters = Filters::of(&mut query, FILTERS)?;
    let page = Page::of(&mut query, &(5..=1000), &call.fingerprint)?;
    let dry_run = query.finish()?;
    let region_name = call.region.clone();
    let region = call.here();
    Kind::SecurityGroup.check_all(&ids, |id| region.security_groups.contains_key(id))?;
    names.iter().try_for_each(|name| by_name(region, name).map(drop))?;
    dry_run.end()?;
    let wanted = region.security_groups.iter().filter(|(id, group)| {
        let all = ids.is_empty() && names.is_empty();
        (all || ids.contains(id) || names.contains(&group.name))
            && filters.pass(&group.tags, |filter| values(group, filter))
    });
    let (part, next) = page.cut(wanted.map(|(id, group)| (id.clone(), group)));
    let items = part.into_iter().map(|group| {
        leaf("ownerId", ACCOUNT_ID)
            + &leaf("groupId", &group.id)
            + &leaf("groupName", &group.name)
            + &leaf("groupDescription", &group.description)
            + &leaf("vpcId", &group.vpc)
            + &leaf(
                "securityGroupArn",
                &format!("arn:aws:ec2:{region_name}:{ACCOUNT_ID}:security-group/{}", group.id),
            )
            + &rules::permissions("ipPermissions", group, false)
            + &rules::permissions("ipPermissionsEgress", group, true)
            + &shape::tags(&group.tags)
    });
    Ok(set("securityGroupInfo", items) + &some("nextToken", next.as_deref()))
}

/// What a group has under the name of a filter.
fn values(group: &SecurityGroup, filter: &str) -> Vec<String> {
    let (egress, field) = match filter.strip_prefix("egress.") {
        Some(field) => (true, field),
        None => (false, filter),
    };
    if let Some(field) = field.strip_prefix("ip-permission.") {
        let rules = group.rules.iter().filter(|rule| rule.egress == egress);
        return rules.filter_map(|rule| rules::value(rule, field)).collect();
    }
    vec![match filter {
        "description" => group.description.clone(),
        "group-name" => group.name.clone(),
        "owner-id" => ACCOUNT_ID.to_owned(),
        "vpc-id" => group.vpc.clone(),
        _ => group.id.clone(),
    }]
}
