//! `DescribeContainerInstances`, `ListContainerInstances`, `UpdateContainerInstancesState`.

use std::time::Instant;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{attribute, failure, last, page, refusal, tags};
use crate::sim::account::Account;
use crate::sim::aws_json::{Answer, input, seconds};
use crate::sim::call::Call;
use crate::sim::cluster::{Cluster, Host, STOPS, Standing};
use crate::sim::http::Reply;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Asked {
    cluster: Option<String>,
    container_instances: Vec<String>,
    include: Vec<String>,
    status: Option<String>,
    filter: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

pub(super) fn describe(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: Asked = input(call)?;
    let now = account.now();
    let cluster = super::cluster(account, call, asked.cluster.as_deref())?;
    if asked.container_instances.is_empty() {
        return Err(refusal::invalid("Container instances cannot be empty."));
    }
    super::at_most(&asked.container_instances, 100, "containerInstances")?;
    let with_tags = asked.include.iter().any(|it| it == "TAGS");
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in &asked.container_instances {
        let id = last(name);
        if cluster.hosts.contains_key(id) {
            found.push(shape(cluster, id, &call.region, with_tags, now));
        } else {
            let arn = cluster.arn_of(&call.region, "container-instance", Some(id));
            missing.push(failure(&arn, "MISSING"));
        }
    }
    Ok(json!({ "containerInstances": found, "failures": missing }))
}

pub(super) fn list(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: Asked = input(call)?;
    let now = account.now();
    let cluster = super::cluster(account, call, asked.cluster.as_deref())?;
    let filter = asked.filter.as_deref().filter(|it| !it.is_empty());
    let filter = filter.map(Filter::parse).transpose()?;
    let wanted = |host: &&Host| {
        let standing = match asked.status.as_deref() {
            None => host.standing != Standing::Inactive,
            Some(word) => host.standing.word() == word,
        };
        standing && filter.as_ref().is_none_or(|filter| filter.fits(host, now))
    };
    let arn = |host: &Host| cluster.arn_of(&call.region, "container-instance", Some(&host.id));
    let arns = cluster.hosts.values().filter(wanted).map(arn).collect();
    let (page, next) = page::cut(arns, asked.max_results, asked.next_token.as_deref())?;
    let mut output = json!({ "containerInstanceArns": page });
    if let Some(next) = next {
        output["nextToken"] = next.into();
    }
    Ok(output)
}

/// One comparison of the cluster query language.
struct Filter<'a> {
    subject: &'a str,
    equal: bool,
    value: &'a str,
}

impl<'a> Filter<'a> {
    fn parse(text: &'a str) -> Result<Self, Reply> {
        let wrong = || refusal::invalid("Invalid filter.");
        let (subject, equal, value) = match (text.split_once("=="), text.split_once("!=")) {
            (Some((subject, value)), None) => (subject, true, value),
            (None, Some((subject, value))) => (subject, false, value),
            _ => return Err(wrong()),
        };
        let (subject, value) = (subject.trim(), value.trim().trim_matches('"'));
        let known = ["ec2InstanceId", "agentConnected"].contains(&subject)
            || subject.starts_with("attribute:");
        let single = !value.is_empty() && !value.contains(' ');
        if known && single { Ok(Self { subject, equal, value }) } else { Err(wrong()) }
    }

    fn fits(&self, host: &Host, now: Instant) -> bool {
        let is = match self.subject {
            "ec2InstanceId" => host.instance == self.value,
            "agentConnected" => host.connected(now).to_string() == self.value,
            attribute => {
                let name = attribute.trim_start_matches("attribute:");
                let value = host.attributes.get(name).and_then(Option::as_deref);
                value == Some(self.value)
            }
        };
        is == self.equal
    }
}

pub(super) fn update(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: Asked = input(call)?;
    let (now, due) = (account.now(), account.due(STOPS));
    let cluster = super::cluster(account, call, asked.cluster.as_deref())?;
    let standing = match asked.status.as_deref() {
        Some("ACTIVE") => Standing::Active,
        Some("DRAINING") => Standing::Draining,
        _ => {
            return Err(refusal::invalid(
                "Container instance status should be ACTIVE or DRAINING.",
            ));
        }
    };
    if asked.container_instances.is_empty() {
        return Err(refusal::invalid("Container instances cannot be empty."));
    }
    super::at_most(&asked.container_instances, 10, "containerInstances")?;
    let (mut changed, mut missing) = (Vec::new(), Vec::new());
    for name in &asked.container_instances {
        let id = last(name).to_owned();
        let arn = cluster.arn_of(&call.region, "container-instance", Some(&id));
        match cluster.hosts.get_mut(&id) {
            None => missing.push(failure(&arn, "MISSING")),
            Some(host) if host.standing == Standing::Inactive => {
                missing.push(failure(&arn, "INACTIVE"));
            }
            Some(host) => {
                host.standing = standing;
                host.version += 1;
                if standing == Standing::Draining {
                    cluster.move_away(&id, due);
                }
                changed.push(shape(cluster, &id, &call.region, false, now));
            }
        }
    }
    Ok(json!({ "containerInstances": changed, "failures": missing }))
}

/// A host that is there.
pub(super) fn shape(
    cluster: &Cluster,
    id: &str,
    region: &str,
    with_tags: bool,
    now: Instant,
) -> Value {
    let host = &cluster.hosts[id];
    json!({
        "containerInstanceArn": cluster.arn_of(region, "container-instance", Some(id)),
        "ec2InstanceId": host.instance,
        "version": host.version,
        "versionInfo": host.versions,
        "registeredResources": host.resources,
        // No task has a size here.
        "remainingResources": host.resources,
        "status": host.standing.word(),
        "agentConnected": host.connected(now),
        "runningTasksCount": cluster.running_on(id, now),
        "pendingTasksCount": 0,
        "attributes": attribute::shape(host),
        "registeredAt": seconds(host.registered),
        "attachments": [],
        "tags": if with_tags { tags(&host.tags) } else { json!([]) },
    })
}
