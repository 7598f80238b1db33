//! `CreateCluster`, `DeleteCluster`, `DescribeClusters`, `ListClusters`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{DEFAULT, Tag, failure, last, page, refusal, tags, tags_of};
use crate::sim::account::Account;
use crate::sim::aws_json::{Answer, error, input};
use crate::sim::call::Call;
use crate::sim::cluster::{Cluster, Standing};

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Asked {
    cluster_name: Option<String>,
    cluster: Option<String>,
    clusters: Vec<String>,
    capacity_providers: Vec<String>,
    include: Vec<String>,
    tags: Vec<Tag>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

pub(super) fn create(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: Asked = input(call)?;
    let name = asked.cluster_name.unwrap_or_else(|| DEFAULT.to_owned());
    let part = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    if !(1..=255).contains(&name.len()) || !name.chars().all(part) {
        return Err(refusal::invalid("Identifier is invalid."));
    }
    let now = account.now();
    let region = account.region(&call.region);
    if let Some(provider) =
        asked.capacity_providers.iter().find(|it| !super::provider::is_there(region, it))
    {
        let message = format!("The specified capacity provider {provider} was not found.");
        return Err(refusal::invalid(&message));
    }
    // One that is there is given as it is.
    let cluster = region.clusters.entry(name.clone()).or_insert_with(|| Cluster::new(&name));
    if cluster.inactive {
        *cluster = Cluster::new(&name);
    }
    if cluster.hosts.is_empty() {
        cluster.providers = asked.capacity_providers;
        cluster.tags = tags_of(asked.tags);
    }
    Ok(json!({ "cluster": shape(cluster, &call.region, true, now) }))
}

pub(super) fn delete(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: Asked = input(call)?;
    let now = account.now();
    let cluster = super::cluster(account, call, asked.cluster.as_deref())?;
    if cluster.hosts.values().any(|host| host.standing != Standing::Inactive) {
        let message = "The Cluster cannot be deleted while Container Instances are active or \
            draining.";
        return Err(error("ClusterContainsContainerInstancesException", message));
    }
    cluster.inactive = true;
    Ok(json!({ "cluster": shape(cluster, &call.region, false, now) }))
}

pub(super) fn describe(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: Asked = input(call)?;
    super::at_most(&asked.clusters, 100, "clusters")?;
    let names = if asked.clusters.is_empty() { vec![DEFAULT.to_owned()] } else { asked.clusters };
    let with_tags = asked.include.iter().any(|it| it == "TAGS");
    let now = account.now();
    let region = account.region(&call.region);
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in &names {
        match region.clusters.get(last(name)) {
            Some(cluster) => found.push(shape(cluster, &call.region, with_tags, now)),
            None => missing.push(failure(&Cluster::new(last(name)).arn(&call.region), "MISSING")),
        }
    }
    Ok(json!({ "clusters": found, "failures": missing }))
}

pub(super) fn list(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: Asked = input(call)?;
    let there = account.region(&call.region).clusters.values().filter(|it| !it.inactive);
    let arns = there.map(|cluster| cluster.arn(&call.region)).collect();
    let (page, next) = page::cut(arns, asked.max_results, asked.next_token.as_deref())?;
    let mut output = json!({ "clusterArns": page });
    if let Some(next) = next {
        output["nextToken"] = next.into();
    }
    Ok(output)
}

pub(super) fn shape(
    cluster: &Cluster,
    region: &str,
    with_tags: bool,
    now: std::time::Instant,
) -> Value {
    let hosts = cluster.hosts.values().filter(|host| host.standing != Standing::Inactive);
    let running = cluster.tasks.values().filter(|task| !task.has_stopped(now));
    json!({
        "clusterArn": cluster.arn(region),
        "clusterName": cluster.name,
        "status": if cluster.inactive { "INACTIVE" } else { "ACTIVE" },
        "registeredContainerInstancesCount": hosts.count(),
        "runningTasksCount": running.count(),
        "pendingTasksCount": 0,
        "activeServicesCount": 0,
        "statistics": [],
        "tags": if with_tags { tags(&cluster.tags) } else { json!([]) },
        "settings": [],
        "capacityProviders": cluster.providers,
        "defaultCapacityProviderStrategy": [],
    })
}
