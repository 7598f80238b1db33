//! Tags: those that a thing is made with, and `CreateTags`, `DeleteTags`, `DescribeTags`.

use std::collections::BTreeMap;

use super::Call;
use super::filter::Filters;
use super::id::Kind;
use super::page::Page;
use super::query::Query;
use super::refusal::{Answer, Refusal};
use super::shape::{self, set, some};
use crate::sim::region::Tags;
use crate::sim::xml::leaf;

/// The tags that one thing may have, besides AWS's own.
const LIMIT: usize = 50;
/// The characters of a key, and of a value.
const KEY_LIMIT: usize = 128;
const VALUE_LIMIT: usize = 256;
/// The things that one request may tag.
const RESOURCES_LIMIT: usize = 1000;
/// Keys that only AWS gives.
const RESERVED: &str = "aws:";

/// The tags of what a request makes, by the kind of the thing.
#[derive(Debug, Default)]
pub struct Specified(pub BTreeMap<String, Tags>);

impl Specified {
    /// Takes `TagSpecification.N` from a request that makes things of these kinds.
    pub fn of(query: &mut Query, kinds: &[Kind]) -> Answer<Self> {
        let mut all = BTreeMap::new();
        for mut specification in query.structures("TagSpecification") {
            let word = specification.required("ResourceType")?;
            let Some(kind) = kinds.iter().find(|kind| kind.word() == word) else {
                return Err(Refusal::value(format!(
                    "'{word}' is not a valid taggable resource type for this operation."
                )));
            };
            let tags = given(&mut specification)?;
            specification.done()?;
            if all.insert(kind.word().to_owned(), tags).is_some() {
                let message = format!("Duplicate resource type '{word}' in tag specifications");
                return Err(Refusal::value(message));
            }
        }
        Ok(Self(all))
    }

    /// The tags for things of one kind.
    pub fn for_kind(&self, kind: Kind) -> Tags {
        self.0.get(kind.word()).cloned().unwrap_or_default()
    }
}

/// `Tag.N` with keys and values, each checked.
fn given(query: &mut Query) -> Answer<Tags> {
    let mut tags = Tags::new();
    for mut tag in query.structures("Tag") {
        let key = tag.required("Key")?;
        let value = tag.text("Value").unwrap_or_default();
        tag.done()?;
        check(&key, &value)?;
        if tags.insert(key.clone(), value).is_some() {
            return Err(Refusal::value(format!("Duplicate tag key '{key}' specified.")));
        }
    }
    check_count(&tags)?;
    Ok(tags)
}

fn check(key: &str, value: &str) -> Answer<()> {
    if key.get(..RESERVED.len()).is_some_and(|start| start.eq_ignore_ascii_case(RESERVED)) {
        return Err(Refusal::value(format!(
            "Value ( {key} ) for parameter key is invalid. Tag keys starting with 'aws:' are \
             reserved for internal use"
        )));
    }
    for (what, text, limit) in [("keys", key, KEY_LIMIT), ("values", value, VALUE_LIMIT)] {
        if text.chars().count() > limit {
            let what = format!("Tag {what} must be between 0 and {limit} characters long");
            return Err(Refusal::value(what));
        }
    }
    Ok(())
}

fn check_count(tags: &Tags) -> Answer<()> {
    if tags.keys().filter(|key| !key.starts_with(RESERVED)).count() <= LIMIT {
        return Ok(());
    }
    let message = format!("The maximum number of Tags for a resource has been reached: {LIMIT}");
    Err(Refusal::new("TagLimitExceeded", message))
}

/// All or none.
pub fn create(call: &mut Call<'_>, mut query: Query) -> Answer {
    let ids = resources(&mut query)?;
    let tags = given(&mut query)?;
    if tags.is_empty() {
        return Err(Refusal::missing("Tag"));
    }
    let dry_run = query.finish()?;
    for id in &ids {
        let mut after = tags_mut(call, id)?.clone();
        after.extend(tags.clone());
        check_count(&after)?;
    }
    dry_run.end()?;
    for id in &ids {
        tags_mut(call, id)?.extend(tags.clone());
    }
    Ok(shape::done())
}

/// Without keys: all but AWS's own. A key with a value goes only where it has that value.
pub fn delete(call: &mut Call<'_>, mut query: Query) -> Answer {
    let ids = resources(&mut query)?;
    let mut keys = Vec::new();
    for mut tag in query.structures("Tag") {
        keys.push((tag.required("Key")?, tag.text("Value")));
        tag.done()?;
    }
    let dry_run = query.finish()?;
    for id in &ids {
        tags_mut(call, id)?;
    }
    for (key, _) in &keys {
        check(key, "")?;
    }
    dry_run.end()?;
    for id in &ids {
        tags_mut(call, id)?.retain(|key, value| {
            let named = |(one, wanted): &(String, Option<String>)| {
                one == key && wanted.as_ref().is_none_or(|wanted| wanted == value)
            };
            let goes = keys.is_empty() || keys.iter().any(named);
            key.starts_with(RESERVED) || !goes
        });
    }
    Ok(shape::done())
}

fn resources(query: &mut Query) -> Answer<Vec<String>> {
    let ids = query.list("ResourceId");
    if ids.is_empty() {
        return Err(Refusal::missing("ResourceIdSet"));
    }
    if ids.len() > RESOURCES_LIMIT {
        return Err(Refusal::value(format!("More than {RESOURCES_LIMIT} resources were given")));
    }
    Ok(ids)
}

fn tags_mut<'a>(call: &'a mut Call<'_>, id: &str) -> Answer<&'a mut Tags> {
    let Some(kind) = Kind::of(id) else {
        return Err(Refusal::new("InvalidID", format!("The ID '{id}' is not valid")));
    };
    kind.check(id)?;
    let region = call.region.clone();
    let found = if kind == Kind::Instance {
        let instance = call.account.instance_mut(id).map(|(instance, _)| instance);
        instance.map(|instance| &mut instance.tags)
    } else {
        call.account.region(&region).tags_mut(id)
    };
    found.ok_or_else(|| kind.not_found(&[id]))
}

/// What an answer may be filtered by.
const FILTERS: &[&str] = &["key", "resource-id", "resource-type", "value"];

/// All tags of all things in the region.
pub fn describe(call: &mut Call<'_>, mut query: Query) -> Answer {
    let filters = Filters::of(&mut query, FILTERS)?;
    let page = Page::of(&mut query, &(5..=1000), &call.fingerprint)?;
    query.finish()?.end()?;
    let mut all: BTreeMap<String, (String, String, String)> = BTreeMap::new();
    let mut add = |id: &str, tags: &Tags| {
        for (key, value) in tags {
            all.insert(format!("{id}/{key}"), (id.to_owned(), key.clone(), value.clone()));
        }
    };
    for instance in call.account.instances() {
        add(&instance.id, &instance.tags);
    }
    for (id, tags) in call.here().all_tags() {
        add(id, tags);
    }
    let passing = all.into_iter().filter(|(_, (id, key, value))| {
        let own = Tags::from([(key.clone(), value.clone())]);
        filters.pass(&own, |name| {
            vec![match name {
                "key" => key.clone(),
                "resource-id" => id.clone(),
                "resource-type" => word(id).to_owned(),
                _ => value.clone(),
            }]
        })
    });
    let (part, next) = page.cut(passing);
    let items = part.into_iter().map(|(id, key, value)| {
        leaf("resourceId", &id)
            + &leaf("resourceType", word(&id))
            + &leaf("key", &key)
            + &leaf("value", &value)
    });
    Ok(set("tagSet", items) + &some("nextToken", next.as_deref()))
}

fn word(id: &str) -> &'static str {
    Kind::of(id).map_or("", Kind::word)
}
