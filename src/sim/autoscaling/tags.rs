//! `CreateOrUpdateTags`, `DescribeTags`, `DeleteTags`.

use std::collections::BTreeMap;

use super::{Asked, group, structures, validation};
use crate::sim::account::Account;
use crate::sim::group::Tag;
use crate::sim::http::Reply;
use crate::sim::xml::{leaf, node};

const KIND: &str = "auto-scaling-group";
/// A group has so many at most.
const MOST: usize = 50;

/// The tags that a group is made with.
pub(super) fn listed(asked: &Asked, group: &str) -> Result<BTreeMap<String, Tag>, Reply> {
    let mut tags = BTreeMap::new();
    for one in structures(asked, "Tags") {
        if one.get("ResourceId").is_some_and(|id| id != group) {
            return Err(validation("The tags must be of the group that is made"));
        }
        let (key, tag) = parse(&one)?;
        tags.insert(key, tag);
    }
    Ok(tags)
}

fn parse(one: &Asked) -> Result<(String, Tag), Reply> {
    let key = one.get("Key").filter(|key| !key.is_empty());
    let Some(key) = key else { return Err(validation("A tag must have a key")) };
    if key.starts_with("aws:") {
        return Err(validation("The tag key must not begin with aws:"));
    }
    let propagates = one.get("PropagateAtLaunch").is_some_and(|word| word == "true");
    let value = one.get("Value").cloned().unwrap_or_default();
    Ok((key.clone(), Tag { value, propagates }))
}

/// The groups' names and tags of a request.
fn of_groups(asked: &Asked) -> Result<Vec<(String, Asked)>, Reply> {
    let mut found = Vec::new();
    for one in structures(asked, "Tags") {
        if one.get("ResourceType").is_some_and(|kind| kind != KIND) {
            return Err(validation("The resource type of a tag must be auto-scaling-group"));
        }
        let Some(id) = one.get("ResourceId").cloned() else {
            return Err(validation("A tag must have a resource id"));
        };
        found.push((id, one));
    }
    Ok(found)
}

/// Instances that are launched from now on get what propagates.
pub(super) fn put(account: &mut Account, region: &str, asked: &Asked) -> Result<String, Reply> {
    let mut new = Vec::new();
    for (id, one) in of_groups(asked)? {
        group(account, region, &id)?;
        new.push((id, parse(&one)?));
    }
    for (id, (key, tag)) in new {
        let tags = &mut group(account, region, &id)?.tags;
        if !tags.contains_key(&key) && tags.len() >= MOST {
            return Err(super::error(400, "LimitExceeded", "50 tags are the most"));
        }
        tags.insert(key, tag);
    }
    Ok(String::new())
}

pub(super) fn delete(account: &mut Account, region: &str, asked: &Asked) -> Result<String, Reply> {
    for (id, one) in of_groups(asked)? {
        let tags = &mut group(account, region, &id)?.tags;
        let key = one.get("Key").cloned().unwrap_or_default();
        // With a value, only where it has that.
        if one.get("Value").is_none_or(|it| tags.get(&key).is_some_and(|tag| tag.value == *it)) {
            tags.remove(&key);
        }
    }
    Ok(String::new())
}

/// By filters: all of them must fit.
pub(super) fn describe(
    account: &mut Account,
    region: &str,
    asked: &Asked,
) -> Result<String, Reply> {
    let mut filters = Vec::new();
    for one in structures(asked, "Filters") {
        let name = one.get("Name").cloned().unwrap_or_default();
        if !["auto-scaling-group", "key", "value", "propagate-at-launch"].contains(&name.as_str()) {
            return Err(validation(&format!(
                "Filter type {name} is not correct. Allowed Filter types are: auto-scaling-group key propagate-at-launch value"
            )));
        }
        filters.push((name, super::list(&one, "Values")));
    }
    let fits = |group: &str, key: &str, tag: &Tag| {
        filters.iter().all(|(name, values)| {
            let is = match name.as_str() {
                "auto-scaling-group" => group,
                "key" => key,
                "value" => &tag.value,
                _ => word(tag),
            };
            values.iter().any(|value| value == is)
        })
    };
    let mut members = String::new();
    for (name, group) in &account.region(region).groups {
        let wanted = group.tags.iter().filter(|(key, tag)| fits(name, key, tag));
        members.extend(wanted.map(|(key, tag)| node("member", &shape(name, key, tag))));
    }
    Ok(node("Tags", &members))
}

const fn word(tag: &Tag) -> &'static str {
    if tag.propagates { "true" } else { "false" }
}

/// As answers show it.
pub(super) fn shape(group: &str, key: &str, tag: &Tag) -> String {
    leaf("ResourceId", group)
        + &leaf("ResourceType", KIND)
        + &leaf("Key", key)
        + &leaf("Value", &tag.value)
        + &leaf("PropagateAtLaunch", word(tag))
}
