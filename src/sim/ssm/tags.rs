//! `AddTagsToResource`, `RemoveTagsFromResource`, `ListTagsForResource`, for parameters.

use serde::Deserialize;
use serde_json::json;

use super::refusal::{invalid, validation};
use super::{needed, plain, store};
use crate::sim::account::Account;
use crate::sim::aws_json::{Answer, error, input};
use crate::sim::call::Call;
use crate::sim::http::Reply;
use crate::sim::parameter_store::Stored;
use crate::sim::region::Tags;

const TAGS_LIMIT: usize = 50;

/// As it is sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Tag {
    key: String,
    value: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Asked {
    resource_type: Option<String>,
    resource_id: Option<String>,
    tags: Option<Vec<Tag>>,
    tag_keys: Option<Vec<String>>,
}

pub(super) fn add(account: &mut Account, call: &Call<'_>) -> Answer {
    let mut asked: Asked = input(call)?;
    let tags = checked(&needed(asked.tags.take(), "tags")?)?;
    let stored = resource(account, call, &asked)?;
    let mut all = stored.tags.clone();
    all.extend(tags);
    if all.len() > TAGS_LIMIT {
        return Err(error("TooManyTagsError", "A resource can have at most 50 tags."));
    }
    stored.tags = all;
    Ok(json!({}))
}

pub(super) fn remove(account: &mut Account, call: &Call<'_>) -> Answer {
    let mut asked: Asked = input(call)?;
    let keys = needed(asked.tag_keys.take(), "tagKeys")?;
    let stored = resource(account, call, &asked)?;
    stored.tags.retain(|key, _| !keys.contains(key));
    Ok(json!({}))
}

pub(super) fn list(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: Asked = input(call)?;
    let stored = resource(account, call, &asked)?;
    let tags = stored.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value }));
    Ok(json!({ "TagList": tags.collect::<Vec<_>>() }))
}

/// Tags that may be put on something.
pub(super) fn checked(tags: &[Tag]) -> Result<Tags, Reply> {
    for Tag { key, value } in tags {
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(validation(&format!(
                "Value '{key}' at 'tags' failed to satisfy constraint: Member must have length \
                 from 1 to 128"
            )));
        }
        if key.starts_with("aws:") {
            return Err(invalid("Tag keys that begin with aws: are reserved."));
        }
    }
    let all: Tags = tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect();
    if all.len() > TAGS_LIMIT {
        return Err(error("TooManyTagsError", "A resource can have at most 50 tags."));
    }
    Ok(all)
}

fn resource<'a>(
    account: &'a mut Account,
    call: &Call<'_>,
    asked: &Asked,
) -> Result<&'a mut Stored, Reply> {
    if needed(asked.resource_type.as_deref(), "resourceType")? != "Parameter" {
        return Err(error("InvalidResourceType", "The resource type is not valid."));
    }
    let id = needed(asked.resource_id.as_deref(), "resourceId")?;
    store(account, call)
        .get_mut(plain(call, id))
        .ok_or_else(|| error("InvalidResourceId", "The resource ID is not valid."))
}
