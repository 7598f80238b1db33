//! Groups and launch configurations, described.

use super::{Asked, list, members, validation};
use crate::sim::account::{Account, GROUP, REGION};
use crate::sim::group::Group;
use crate::sim::http::Reply;
use crate::sim::region::Region;
use crate::sim::xml::{leaf, node};

/// So many groups are in one answer at most, and so many if it is not said.
const MOST: usize = 100;
const USUAL: usize = 50;

/// `DescribeAutoScalingGroups`: by names, or all, in pages.
///
/// The group of the guests is there where there are guests, or where it is asked for.
pub(super) fn describe(
    account: &mut Account,
    region: &str,
    asked: &Asked,
) -> Result<String, Reply> {
    let names = list(asked, "AutoScalingGroupNames");
    let has_guests = names.is_empty() && account.instances().iter().any(|it| it.launch.is_none());
    let own = region == REGION && (has_guests || names.iter().any(|name| name == GROUP));
    let own = own && asked.get("NextToken").is_none_or(String::is_empty);
    let own = if own { node("member", &members::group(account)) } else { String::new() };
    others(account.region(region), asked, &names, &own)
}

fn others(region: &Region, asked: &Asked, names: &[String], own: &str) -> Result<String, Reply> {
    let most = match asked.get("MaxRecords").map(|text| text.parse::<usize>()) {
        None => USUAL,
        Some(Ok(most)) if (1..=MOST).contains(&most) => most,
        Some(_) => {
            let message = "The value for parameter MaxRecords must be between 1 and 100 inclusive.";
            return Err(validation(message));
        }
    };
    let after = asked.get("NextToken").map_or("", String::as_str);
    let wanted = |group: &&Group| {
        (names.is_empty() || names.contains(&group.name)) && group.name.as_str() > after
    };
    let mut found = region.groups.values().filter(wanted);
    let part: Vec<_> = found.by_ref().take(most).collect();
    let next = part.last().filter(|_| found.next().is_some());
    let members: String = part.iter().map(|group| node("member", &shape(group))).collect();
    let token = next.map(|last| leaf("NextToken", &last.name));
    Ok(node("AutoScalingGroups", &(own.to_owned() + &members)) + &token.unwrap_or_default())
}

fn shape(group: &Group) -> String {
    let template =
        |(id, version): &(String, String)| leaf("LaunchTemplateId", id) + &leaf("Version", version);
    let launches = match (&group.template, group.overrides.as_slice()) {
        (None, _) => String::new(),
        (Some(own), []) => node("LaunchTemplate", &template(own)),
        (Some(own), overrides) => {
            let one = |it| node("member", &node("LaunchTemplateSpecification", &template(it)));
            let overrides = node("Overrides", &overrides.iter().map(one).collect::<String>());
            let own = node("LaunchTemplateSpecification", &template(own));
            node("MixedInstancesPolicy", &node("LaunchTemplate", &(own + &overrides)))
        }
    };
    let configuration = group.configuration.as_ref();
    let configuration = configuration.map(|name| leaf("LaunchConfigurationName", name));
    let id = group.template.as_ref().map_or("", |(id, _)| id);
    let instances = group.instances.iter().map(|(instance, version)| {
        let own = (id.to_owned(), version.clone());
        let inner = leaf("InstanceId", instance)
            + &leaf("LifecycleState", "InService")
            + &leaf("HealthStatus", "Healthy")
            + &node("LaunchTemplate", &template(&own));
        node("member", &inner)
    });
    leaf("AutoScalingGroupName", &group.name)
        + &launches
        + &configuration.unwrap_or_default()
        + &leaf("MinSize", "1")
        + &leaf("MaxSize", "1")
        + &leaf("DesiredCapacity", "1")
        + &node("Instances", &instances.collect::<String>())
}

/// `DescribeLaunchConfigurations`: by names, or all. One that is not there is left out.
pub(super) fn describe_configurations(region: &Region, asked: &Asked) -> String {
    let names = list(asked, "LaunchConfigurationNames");
    let all = region.launch_configurations.iter();
    let wanted = all.filter(|(name, _)| names.is_empty() || names.contains(name));
    let members = wanted.map(|(name, image)| {
        node("member", &(leaf("LaunchConfigurationName", name) + &leaf("ImageId", image)))
    });
    node("LaunchConfigurations", &members.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_come_in_pages_and_none_twice() {
        let mut region = Region::default();
        for name in ["a", "b", "c"] {
            let template = Some(("lt-1".to_owned(), "$Latest".to_owned()));
            let group = Group { name: name.into(), template, ..Group::default() };
            region.groups.insert(name.into(), group);
        }
        let ask = |asked: &[(&str, &str)]| {
            let asked = asked.iter().map(|&(key, value)| (key.to_owned(), value.to_owned()));
            let asked = asked.collect();
            others(&region, &asked, &list(&asked, "AutoScalingGroupNames"), "")
        };
        let first = ask(&[("MaxRecords", "2")]).unwrap();
        assert!(first.contains("<NextToken>b</NextToken>"), "{first}");
        let rest = ask(&[("MaxRecords", "2"), ("NextToken", "b")]).unwrap();
        assert_eq!(rest.matches("<AutoScalingGroupName>").count(), 1);
        assert!(!rest.contains("NextToken"), "{rest}");
        let one = ask(&[("AutoScalingGroupNames.member.1", "b")]).unwrap();
        assert!(one.contains("<AutoScalingGroupName>b<"), "{one}");
        assert_eq!(ask(&[("MaxRecords", "101")]).unwrap_err().status, 400);
    }
}
