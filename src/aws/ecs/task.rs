//! Tasks: what runs on a host.

use aws_config::SdkConfig;
use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::{DesiredStatus, Task as Sdk};

use super::super::Failure;
use super::{AT_ONCE, name_of};

/// A task that has not stopped yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its ARN.
    pub arn: String,
    /// What it is made of: `family:revision`.
    pub definition: String,
    /// The service that it is of. A draining host loses only such tasks; others go on until they
    /// end by themselves or somebody stops them.
    pub service: Option<String>,
    /// Whether it is on its way out.
    pub stopping: bool,
}

/// The tasks that a host has.
pub async fn tasks(config: &SdkConfig, cluster: &str, arn: &str) -> Result<Vec<Task>, Failure> {
    let mut arns = list(config, cluster, arn, DesiredStatus::Running).await?;
    // Those that were told to stop still run; those that have stopped are listed for an hour.
    arns.extend(list(config, cluster, arn, DesiredStatus::Stopped).await?);
    let mut found = Vec::new();
    for some in arns.chunks(AT_ONCE) {
        let answer = Client::new(config)
            .describe_tasks()
            .cluster(cluster)
            .set_tasks(Some(some.to_vec()))
            .send()
            .await
            .map_err(|error| Failure::new("ecs:DescribeTasks", &error))?;
        found.extend(answer.tasks().iter().filter_map(ours));
    }
    Ok(found)
}

async fn list(
    config: &SdkConfig,
    cluster: &str,
    arn: &str,
    wanted: DesiredStatus,
) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    let mut next = None;
    loop {
        let answer = Client::new(config)
            .list_tasks()
            .cluster(cluster)
            .container_instance(arn)
            .desired_status(wanted.clone())
            .set_next_token(next)
            .send()
            .await
            .map_err(|error| Failure::new("ecs:ListTasks", &error))?;
        found.extend_from_slice(answer.task_arns());
        next = answer.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
        if next.is_none() {
            return Ok(found);
        }
    }
}

fn ours(sdk: &Sdk) -> Option<Task> {
    if sdk.last_status() == Some("STOPPED") {
        return None;
    }
    Some(Task {
        arn: sdk.task_arn()?.to_owned(),
        definition: name_of(sdk.task_definition_arn().unwrap_or("unknown")).to_owned(),
        service: sdk.group().and_then(|it| it.strip_prefix("service:")).map(str::to_owned),
        stopping: sdk.desired_status() == Some("STOPPED"),
    })
}
