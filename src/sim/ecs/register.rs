//! What the agent of a host asks: `RegisterContainerInstance`, `DiscoverPollEndpoint`,
//! `DeregisterContainerInstance`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::attribute::{self, Attribute};
use super::{Tag, last, refusal, tags_of};
use crate::sim::account::Account;
use crate::sim::aws_json::{Answer, input};
use crate::sim::call::{Call, Caller};
use crate::sim::cluster::{Host, Standing};
use crate::sim::http::Reply;
use crate::sim::random;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Asked {
    cluster: Option<String>,
    container_instance: Option<String>,
    container_instance_arn: Option<String>,
    instance_identity_document: Option<String>,
    total_resources: Option<Value>,
    version_info: Option<Value>,
    attributes: Vec<Attribute>,
    tags: Vec<Tag>,
    force: bool,
}

pub(super) fn register(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: Asked = input(call)?;
    let instance = instance(account, call, asked.instance_identity_document.as_deref())?;
    attribute::check(&asked.attributes)?;
    let (now, world) = (account.now(), account.world());
    let cluster = super::cluster(account, call, asked.cluster.as_deref())?;
    let known = match asked.container_instance_arn.as_deref().filter(|arn| !arn.is_empty()) {
        None => None,
        Some(arn) => Some(known(cluster.hosts.get(last(arn)), &instance)?),
    };
    let resources = asked.total_resources.unwrap_or_else(|| json!([]));
    let versions = asked.version_info.unwrap_or_else(|| json!({}));
    let given = asked.attributes.into_iter().map(|one| (one.name, one.value));
    let host = match known {
        // The same host again. What it was registered with stays.
        Some(mut host) => {
            for (name, value) in given {
                host.attributes.entry(name).or_insert(value);
            }
            Host { resources, versions, version: host.version + 1, heard: Some(now), ..host }
        }
        None => Host {
            id: random::hex(32),
            instance,
            standing: Standing::Active,
            attributes: given.collect(),
            tags: tags_of(asked.tags),
            resources,
            versions,
            registered: world,
            version: 1,
            heard: Some(now),
            cut: false,
        },
    };
    let id = host.id.clone();
    cluster.hosts.insert(id.clone(), host);
    let shape = super::host::shape(cluster, &id, &call.region, true, now);
    Ok(json!({ "containerInstance": shape }))
}

/// The host that an agent says it is, if it is.
fn known(host: Option<&Host>, instance: &str) -> Result<Host, Reply> {
    match host {
        Some(host) if host.instance == instance && host.standing != Standing::Inactive => {
            Ok(host.clone())
        }
        Some(host) if host.instance != instance => Err(refusal::invalid(
            "Arguments on this idempotent request are inconsistent with arguments used in previous \
             request(s).",
        )),
        _ => Err(refusal::client("The specified container instance is inactive or unknown.")),
    }
}

/// The instance that the document is of. A host can only register itself.
fn instance(account: &Account, call: &Call<'_>, document: Option<&str>) -> Result<String, Reply> {
    let invalid = || refusal::invalid("Instance identity document is not valid.");
    let document: Value =
        serde_json::from_str(document.unwrap_or_default()).map_err(|_| invalid())?;
    let id = document["instanceId"].as_str().ok_or_else(invalid)?;
    let own = match &call.caller {
        Caller::Instance(caller) => caller == id,
        Caller::Operator => true,
    };
    if own && account.instance(id).is_some() { Ok(id.to_owned()) } else { Err(invalid()) }
}

/// That it asks means that its agent lives.
pub(super) fn discover(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: Asked = input(call)?;
    let now = account.now();
    let cluster = super::cluster(account, call, asked.cluster.as_deref())?;
    if let Some(host) = asked.container_instance.as_deref().and_then(|it| super::host(cluster, it))
    {
        host.heard = Some(now);
    }
    let region = &call.region;
    Ok(json!({
        "endpoint": format!("https://ecs-a-1.{region}.amazonaws.com/"),
        "telemetryEndpoint": format!("https://ecs-t-1.{region}.amazonaws.com/"),
    }))
}

pub(super) fn deregister(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: Asked = input(call)?;
    let now = account.now();
    let cluster = super::cluster(account, call, asked.cluster.as_deref())?;
    let id = last(asked.container_instance.as_deref().unwrap_or_default()).to_owned();
    if !cluster.hosts.contains_key(&id) {
        return Err(refusal::client("The referenced container instance was not found."));
    }
    if cluster.running_on(&id, now) > 0 && !asked.force {
        return Err(refusal::invalid("Found running tasks on the instance."));
    }
    if let Some(host) = cluster.hosts.get_mut(&id) {
        host.standing = Standing::Inactive;
    }
    let shape = super::host::shape(cluster, &id, &call.region, false, now);
    Ok(json!({ "containerInstance": shape }))
}
