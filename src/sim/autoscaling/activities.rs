//! `DescribeScalingActivities`.

use super::{Asked, error, list, named, no_group, number};
use crate::sim::account::Account;
use crate::sim::ec2::shape::time;
use crate::sim::group::Group;
use crate::sim::group::activity::Activity;
use crate::sim::http::Reply;
use crate::sim::xml::{leaf, node};

/// The newest first, in pages; of one group, or of all.
pub(super) fn describe(
    account: &mut Account,
    region: &str,
    asked: &Asked,
) -> Result<String, Reply> {
    let most = number(asked, "MaxRecords", 1, 100)?.unwrap_or(100);
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let ids = list(asked, "ActivityIds");
    let groups = &account.region(region).groups;
    let named = asked.contains_key("AutoScalingGroupName").then(|| named(asked)).transpose()?;
    if named.is_some_and(|name| !groups.contains_key(name) && !super::is_guests(region, name)) {
        return Err(no_group());
    }
    let wanted = groups.values().filter(|group| named.is_none_or(|name| group.name == name));
    let all = wanted.flat_map(|group| group.activities.iter().map(move |one| (one, group)));
    let mut all: Vec<_> =
        all.filter(|(one, _)| ids.is_empty() || ids.contains(&one.id)).rev().collect();
    all.sort_by_key(|(one, _)| std::cmp::Reverse(one.start));
    let from = match asked.get("NextToken").filter(|token| !token.is_empty()) {
        None => 0,
        Some(token) => match all.iter().position(|(one, _)| one.id == *token) {
            Some(at) => at,
            None => return Err(error(400, "InvalidNextToken", "The token is not valid.")),
        },
    };
    let part = all.iter().skip(from).take(most);
    let members: String =
        part.map(|(one, group)| node("member", &shape(one, group, region))).collect();
    let next = all.get(from + most).map(|(one, _)| leaf("NextToken", &one.id));
    Ok(node("Activities", &members) + &next.unwrap_or_default())
}

/// As answers show it.
pub(super) fn shape(activity: &Activity, group: &Group, region: &str) -> String {
    let details = match &activity.place {
        Some((subnet, zone)) => {
            serde_json::json!({ "Subnet ID": subnet, "Availability Zone": zone }).to_string()
        }
        None => "{}".to_owned(),
    };
    let end = activity.end.map(|end| leaf("EndTime", &time(end)));
    let message = activity.message.as_ref().map(|text| leaf("StatusMessage", text));
    leaf("ActivityId", &activity.id)
        + &leaf("AutoScalingGroupName", &group.name)
        + &leaf("Description", &activity.description)
        + &leaf("Cause", &activity.cause)
        + &leaf("StartTime", &time(activity.start))
        + &end.unwrap_or_default()
        + &leaf("StatusCode", activity.status.word())
        + &message.unwrap_or_default()
        + &leaf("Progress", &activity.status.progress().to_string())
        + &leaf("Details", &details)
        + &leaf("AutoScalingGroupARN", &group.arn(region))
}
