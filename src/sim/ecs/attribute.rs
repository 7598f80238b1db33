//! `PutAttributes`, and what attributes can be.

use serde::Deserialize;
use serde_json::{Value, json};

use super::refusal;
use crate::sim::account::Account;
use crate::sim::aws_json::{Answer, error, input};
use crate::sim::call::Call;
use crate::sim::cluster::Host;
use crate::sim::http::Reply;

/// How many of its own a host can have, and how many one call can set.
const LIMIT: usize = 10;

/// As it is sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Attribute {
    pub(super) name: String,
    pub(super) value: Option<String>,
    target_type: Option<String>,
    target_id: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Asked {
    cluster: Option<String>,
    attributes: Vec<Attribute>,
}

pub(super) fn check(attributes: &[Attribute]) -> Result<(), Reply> {
    for one in attributes {
        let part = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        let value = |c: char| part(c) || "@:\\ ".contains(c);
        let named = (1..=128).contains(&one.name.len()) && one.name.chars().all(part);
        let text = one.value.as_deref().unwrap_or_default();
        if !named || text.len() > 128 || !text.chars().all(value) || text.trim() != text {
            return Err(refusal::invalid("The specified attribute is invalid."));
        }
    }
    Ok(())
}

pub(super) fn put(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: Asked = input(call)?;
    if asked.attributes.is_empty() {
        return Err(refusal::invalid("attributes cannot be empty."));
    }
    super::at_most(&asked.attributes, LIMIT, "attributes")?;
    check(&asked.attributes)?;
    let cluster = super::cluster(account, call, asked.cluster.as_deref())?;
    let mut said = Vec::new();
    for one in asked.attributes {
        let target = one.target_id.as_deref().unwrap_or_default();
        if !target.starts_with("arn:") && one.target_type.as_deref() != Some("container-instance") {
            return Err(refusal::invalid("The target type must be specified."));
        }
        let Some(host) = super::host(cluster, target) else {
            let message = format!("The referenced target {target} was not found.");
            return Err(error("TargetNotFoundException", &message));
        };
        host.attributes.insert(one.name.clone(), one.value.clone());
        if own(host) > LIMIT {
            host.attributes.remove(&one.name);
            let message = "Attributes limit exceeded.";
            return Err(error("AttributeLimitExceededException", message));
        }
        host.version += 1;
        let mut shown = json!({
            "name": one.name, "targetType": "container-instance", "targetId": target,
        });
        if let Some(value) = one.value {
            shown["value"] = value.into();
        }
        said.push(shown);
    }
    Ok(json!({ "attributes": said }))
}

/// Those that are not ECS's.
fn own(host: &Host) -> usize {
    let ecs = |name: &&String| name.starts_with("ecs.") || name.starts_with("com.amazonaws.ecs.");
    host.attributes.keys().filter(|name| !ecs(name)).count()
}

pub(super) fn shape(host: &Host) -> Value {
    let one = |(name, value): (&String, &Option<String>)| match value {
        Some(value) => json!({ "name": name, "value": value }),
        None => json!({ "name": name }),
    };
    host.attributes.iter().map(one).collect()
}
