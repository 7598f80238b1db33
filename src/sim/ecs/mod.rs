//! ECS, JSON 1.1: clusters, the hosts that register there, and tasks that are put onto them.
//!
//! Nothing is scheduled and no container runs. A host is connected as long as its agent asks where
//! to connect: the connection itself is not modelled.

mod attribute;
mod cluster;
mod host;
mod page;
mod provider;
mod refusal;
mod register;
mod task;
#[cfg(test)]
mod tests;

use serde::Deserialize;
use serde_json::{Value, json};

use self::refusal::invalid;
use super::account::Account;
use super::aws_json;
use super::call::Call;
use super::cluster::{Cluster, Host};
use super::http::Reply;
use super::instance::State;
use super::region::Tags;

/// What the header of every request begins with.
pub const TARGET: &str = "AmazonEC2ContainerServiceV20141113.";

/// What is meant where no cluster is named.
const DEFAULT: &str = "default";

/// Answers one signed request.
pub fn answer(account: &mut Account, call: &Call<'_>) -> Reply {
    settle(account, &call.region);
    let result = match call.action.as_str() {
        "CreateCluster" => cluster::create(account, call),
        "DeleteCluster" => cluster::delete(account, call),
        "DescribeClusters" => cluster::describe(account, call),
        "ListClusters" => cluster::list(account, call),
        "CreateCapacityProvider" => provider::create(account, call),
        "DescribeCapacityProviders" => provider::describe(account, call),
        "PutClusterCapacityProviders" => provider::put(account, call),
        "RegisterContainerInstance" => register::register(account, call),
        "DeregisterContainerInstance" => register::deregister(account, call),
        "DiscoverPollEndpoint" => register::discover(account, call),
        "DescribeContainerInstances" => host::describe(account, call),
        "ListContainerInstances" => host::list(account, call),
        "UpdateContainerInstancesState" => host::update(account, call),
        "PutAttributes" => attribute::put(account, call),
        "StartTask" => task::start(account, call),
        "StopTask" => task::stop(account, call),
        "ListTasks" => task::list(account, call),
        "DescribeTasks" => task::describe(account, call),
        _ => Err(aws_json::unknown()),
    };
    aws_json::reply(result)
}

/// As it is sent.
#[derive(Clone, Debug, Deserialize)]
struct Tag {
    key: String,
    #[serde(default)]
    value: String,
}

/// Lets happen what is due.
fn settle(account: &mut Account, region: &str) {
    let now = account.now();
    let gone = |account: &Account, id: &str| {
        account.instance(id).is_none_or(|instance| instance.state() == State::Terminated)
    };
    let instances: Vec<String> = account
        .region(region)
        .clusters
        .values()
        .flat_map(|cluster| cluster.hosts.values().map(|host| host.instance.clone()))
        .collect();
    let gone: Vec<_> = instances.into_iter().filter(|id| gone(account, id)).collect();
    for cluster in account.region(region).clusters.values_mut() {
        cluster.settle(now, |id| gone.iter().any(|other| other == id));
    }
}

/// The cluster that is named by its name or its ARN, or is meant where none is.
fn cluster<'a>(
    account: &'a mut Account,
    call: &Call<'_>,
    asked: Option<&str>,
) -> Result<&'a mut Cluster, Reply> {
    let name = last(asked.unwrap_or(DEFAULT));
    let found = account.region(&call.region).clusters.get_mut(name);
    found.filter(|cluster| !cluster.inactive).ok_or_else(refusal::no_cluster)
}

/// The host of an ARN or an id.
fn host<'a>(cluster: &'a mut Cluster, asked: &str) -> Option<&'a mut Host> {
    cluster.hosts.get_mut(last(asked))
}

/// Of an ARN, the last part; of anything else, all.
fn last(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

fn tags(tags: &Tags) -> Value {
    tags.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
}

fn tags_of(asked: Vec<Tag>) -> Tags {
    asked.into_iter().map(|tag| (tag.key, tag.value)).collect()
}

/// Something that was asked for and is not there.
fn failure(arn: &str, reason: &str) -> Value {
    json!({ "arn": arn, "reason": reason })
}

/// A list that may not be longer.
fn at_most<T>(list: &[T], limit: usize, name: &str) -> Result<(), Reply> {
    if list.len() <= limit {
        return Ok(());
    }
    Err(invalid(&format!("{name} can have at most {limit} items.")))
}
