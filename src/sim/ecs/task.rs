//! `StartTask`, `StopTask`, `ListTasks`, `DescribeTasks`.

use std::time::Instant;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{failure, last, page, refusal};
use crate::sim::account::{ACCOUNT_ID, Account};
use crate::sim::aws_json::{Answer, input, seconds};
use crate::sim::call::Call;
use crate::sim::cluster::{Cluster, STOPS, Standing, Task};

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Asked {
    cluster: Option<String>,
    container_instances: Vec<String>,
    container_instance: Option<String>,
    task_definition: Option<String>,
    group: Option<String>,
    started_by: Option<String>,
    task: Option<String>,
    tasks: Vec<String>,
    reason: Option<String>,
    family: Option<String>,
    service_name: Option<String>,
    desired_status: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

/// On the hosts that are named. A group `service:NAME` makes it a task of that service: on AWS only
/// the service itself can.
pub(super) fn start(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: Asked = input(call)?;
    let (now, world) = (account.now(), account.world());
    let cluster = super::cluster(account, call, asked.cluster.as_deref())?;
    let Some(definition) = asked.task_definition.as_deref().map(last) else {
        return Err(refusal::invalid("TaskDefinition cannot be empty."));
    };
    if asked.container_instances.is_empty() {
        return Err(refusal::invalid("Container instances cannot be empty."));
    }
    super::at_most(&asked.container_instances, 10, "containerInstances")?;
    let definition =
        if definition.contains(':') { definition.to_owned() } else { format!("{definition}:1") };
    let service = asked.group.as_deref().and_then(|group| group.strip_prefix("service:"));
    let (mut started, mut missing) = (Vec::new(), Vec::new());
    for name in &asked.container_instances {
        let arn = cluster.arn_of(&call.region, "container-instance", Some(last(name)));
        match super::host(cluster, name).map(|host| (host.id.clone(), host.standing)) {
            Some((host, Standing::Active)) => {
                let id = cluster.start_task(&host, &definition, service, world);
                if let Some(task) = cluster.tasks.get_mut(&id) {
                    task.started_by.clone_from(&asked.started_by);
                }
                started.push(shape(cluster, &id, &call.region, now));
            }
            Some(_) => missing.push(failure(&arn, "INACTIVE")),
            None => missing.push(failure(&arn, "MISSING")),
        }
    }
    Ok(json!({ "tasks": started, "failures": missing }))
}

pub(super) fn stop(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: Asked = input(call)?;
    let (now, due) = (account.now(), account.due(STOPS));
    let cluster = super::cluster(account, call, asked.cluster.as_deref())?;
    let id = last(asked.task.as_deref().unwrap_or_default()).to_owned();
    let Some(task) = cluster.tasks.get_mut(&id) else {
        return Err(refusal::invalid("The referenced task was not found."));
    };
    let reason = asked.reason.unwrap_or_else(|| "Task stopped by user".to_owned());
    task.stop.get_or_insert((due, reason));
    Ok(json!({ "task": shape(cluster, &id, &call.region, now) }))
}

pub(super) fn list(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: Asked = input(call)?;
    let cluster = super::cluster(account, call, asked.cluster.as_deref())?;
    let stopping = match asked.desired_status.as_deref() {
        None | Some("RUNNING") => false,
        Some("STOPPED") => true,
        // Nothing is meant to be pending.
        Some("PENDING") => return Ok(json!({ "taskArns": [] })),
        Some(_) => return Err(refusal::invalid("desiredStatus is RUNNING, PENDING or STOPPED.")),
    };
    if let Some(host) = asked.container_instance.as_deref()
        && super::host(cluster, host).is_none()
    {
        return Err(refusal::invalid("The referenced container instance was not found."));
    }
    let wanted = |task: &&Task| {
        let host = asked.container_instance.as_deref().map(last);
        let family = task.definition.split(':').next();
        task.is_stopping() == stopping
            && host.is_none_or(|host| host == task.host)
            && asked.family.as_deref().is_none_or(|it| family == Some(it))
            && asked
                .service_name
                .as_deref()
                .is_none_or(|it| task.service.as_deref() == Some(last(it)))
            && (asked.started_by.is_none() || asked.started_by == task.started_by)
    };
    let arn = |task: &Task| cluster.arn_of(&call.region, "task", Some(&task.id));
    let arns = cluster.tasks.values().filter(wanted).map(arn).collect();
    let (page, next) = page::cut(arns, asked.max_results, asked.next_token.as_deref())?;
    let mut output = json!({ "taskArns": page });
    if let Some(next) = next {
        output["nextToken"] = next.into();
    }
    Ok(output)
}

pub(super) fn describe(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: Asked = input(call)?;
    let now = account.now();
    let cluster = super::cluster(account, call, asked.cluster.as_deref())?;
    if asked.tasks.is_empty() {
        return Err(refusal::invalid("Tasks cannot be empty."));
    }
    super::at_most(&asked.tasks, 100, "tasks")?;
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in &asked.tasks {
        let id = last(name);
        if cluster.tasks.contains_key(id) {
            found.push(shape(cluster, id, &call.region, now));
        } else {
            missing.push(failure(&cluster.arn_of(&call.region, "task", Some(id)), "MISSING"));
        }
    }
    Ok(json!({ "tasks": found, "failures": missing }))
}

/// A task that is there.
fn shape(cluster: &Cluster, id: &str, region: &str, now: Instant) -> Value {
    let task = &cluster.tasks[id];
    let family = task.definition.split(':').next().unwrap_or_default();
    let group = match &task.service {
        Some(service) => format!("service:{service}"),
        None => format!("family:{family}"),
    };
    let mut shape = json!({
        "taskArn": cluster.arn_of(region, "task", Some(id)),
        "clusterArn": cluster.arn(region),
        "containerInstanceArn": cluster.arn_of(region, "container-instance", Some(&task.host)),
        "taskDefinitionArn":
            format!("arn:aws:ecs:{region}:{ACCOUNT_ID}:task-definition/{}", task.definition),
        "group": group,
        "launchType": "EC2",
        "lastStatus": if task.has_stopped(now) { "STOPPED" } else { "RUNNING" },
        "desiredStatus": if task.is_stopping() { "STOPPED" } else { "RUNNING" },
        "createdAt": seconds(task.started),
        "startedAt": seconds(task.started),
        "containers": [],
        "attachments": [],
        "attributes": [],
        "tags": [],
        "version": 1,
    });
    if let Some(by) = &task.started_by {
        shape["startedBy"] = by.as_str().into();
    }
    if let Some((due, reason)) = &task.stop {
        shape["stoppingAt"] = seconds(due.asked).into();
        shape["stoppedReason"] = reason.as_str().into();
        let of_service = task.service.is_some();
        let code = if of_service { "ServiceSchedulerInitiated" } else { "UserInitiated" };
        shape["stopCode"] = code.into();
    }
    shape
}
