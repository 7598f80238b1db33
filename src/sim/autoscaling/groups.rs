//! Groups and launch configurations, described.

use super::{Asked, list, members, shape, structures, validation};
use crate::sim::account::{Account, GROUP, REGION};
use crate::sim::group::Group;
use crate::sim::http::Reply;
use crate::sim::region::Region;
use crate::sim::xml::{leaf, node};

/// So many groups are in one answer at most, and so many if it is not said.
const MOST: usize = 100;
const USUAL: usize = 50;

/// `DescribeAutoScalingGroups`: by names and tags, or all, in pages.
///
/// The group of the guests is there where there are guests, or where it is asked for.
pub(super) fn describe(
    account: &mut Account,
    region: &str,
    asked: &Asked,
) -> Result<String, Reply> {
    let names = list(asked, "AutoScalingGroupNames");
    let filters = structures(asked, "Filters");
    let has_guests = names.is_empty() && account.instances().iter().any(|it| it.launch.is_none());
    let own = region == REGION && (has_guests || names.iter().any(|name| name == GROUP));
    let first = asked.get("NextToken").is_none_or(String::is_empty);
    let own = own && first && filters.is_empty();
    let mut shown = if own { node("member", &members::guests(account)) } else { String::new() };
    let (part, next) = part(account.region(region), asked, &names, &filters)?;
    for name in &part {
        shown += &node("member", &shape::group(account, region, name));
    }
    let token = next.map(|last| leaf("NextToken", &last));
    Ok(node("AutoScalingGroups", &shown) + &token.unwrap_or_default())
}

/// The names of those that are in one answer, and where the next begins.
fn part(
    region: &Region,
    asked: &Asked,
    names: &[String],
    filters: &[Asked],
) -> Result<(Vec<String>, Option<String>), Reply> {
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
        (names.is_empty() || names.contains(&group.name))
            && group.name.as_str() > after
            && filters.iter().all(|filter| fits(group, filter))
    };
    let mut found = region.groups.values().filter(wanted);
    let part: Vec<_> = found.by_ref().take(most).map(|group| group.name.clone()).collect();
    let next = part.last().filter(|_| found.next().is_some()).cloned();
    Ok((part, next))
}

/// `tag-key`, `tag-value`, `tag:KEY`.
fn fits(group: &Group, filter: &Asked) -> bool {
    let values = list(filter, "Values");
    match filter.get("Name").map(String::as_str) {
        Some("tag-key") => group.tags.keys().any(|key| values.contains(key)),
        Some("tag-value") => group.tags.values().any(|tag| values.contains(&tag.value)),
        Some(name) => {
            let tag = name.strip_prefix("tag:").and_then(|key| group.tags.get(key));
            tag.is_some_and(|tag| values.contains(&tag.value))
        }
        None => false,
    }
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
    use crate::sim::group::source::Source;
    use crate::sim::parameters::Parameters;

    #[test]
    fn groups_come_in_pages_and_none_twice() {
        let mut account = Account::new(Parameters::default());
        for name in ["a", "b", "c"] {
            let launches = Some(Source::of("lt-1", "$Latest"));
            let group = Group { name: name.into(), launches, ..Group::default() };
            account.region(REGION).groups.insert(name.into(), group);
        }
        let mut ask = |asked: &[(&str, &str)]| {
            let asked = asked.iter().map(|&(key, value)| (key.to_owned(), value.to_owned()));
            describe(&mut account, REGION, &asked.collect())
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
