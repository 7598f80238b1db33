//! Container instances: what a cluster calls its hosts.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::{
    Attribute, ContainerInstance as Sdk, ContainerInstanceStatus, TargetType,
};

use super::super::Failure;

/// How many attributes one call may set.
const ATTRIBUTES_AT_ONCE: usize = 10;

/// A host as ECS has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerInstance {
    /// Its ARN.
    pub arn: String,
    /// Whether it takes tasks.
    pub state: State,
    /// Why it is so, in ECS's words, where it says.
    pub reason: Option<String>,
    /// Whether ECS is in touch with its agent.
    pub connected: bool,
    /// How many tasks run there, those that begin and those that end included.
    pub tasks: u32,
    /// What tasks are placed by; the value of some is empty.
    pub attributes: BTreeMap<String, String>,
}

/// Whether a host takes tasks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It does.
    Active,
    /// It gets none, and those of services are moved away.
    Draining,
    /// Not yet.
    Registering,
    /// Not any more, or never: ECS's word for it.
    Other(String),
}

impl State {
    /// ECS's word for it.
    pub fn word(&self) -> &str {
        match self {
            Self::Active => "ACTIVE",
            Self::Draining => "DRAINING",
            Self::Registering => "REGISTERING",
            Self::Other(word) => word,
        }
    }

    fn of(word: &str) -> Self {
        match word {
            "ACTIVE" => Self::Active,
            "DRAINING" => Self::Draining,
            "REGISTERING" => Self::Registering,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// What ECS knows of a host; `None` where the cluster has none of that ARN.
pub async fn look(
    config: &SdkConfig,
    cluster: &str,
    arn: &str,
) -> Result<Option<ContainerInstance>, Failure> {
    let answer = Client::new(config)
        .describe_container_instances()
        .cluster(cluster)
        .container_instances(arn)
        .send()
        .await
        .map_err(|error| Failure::new("ecs:DescribeContainerInstances", &error))?;
    Ok(answer.container_instances().iter().find_map(ours))
}

/// The ARN of the host that is this EC2 instance; `None` where the cluster has none that is.
pub async fn find(
    config: &SdkConfig,
    cluster: &str,
    instance_id: &str,
) -> Result<Option<String>, Failure> {
    let answer = Client::new(config)
        .list_container_instances()
        .cluster(cluster)
        .filter(format!("ec2InstanceId == {instance_id}"))
        .send()
        .await
        .map_err(|error| Failure::new("ecs:ListContainerInstances", &error))?;
    Ok(answer.container_instance_arns().first().cloned())
}

/// Has ECS place tasks on the host, or move them away. `state` is `Active` or `Draining`, the only
/// two that can be asked for. Returns what became of it; `None` where the cluster has no such host.
pub async fn set_state(
    config: &SdkConfig,
    cluster: &str,
    arn: &str,
    state: &State,
) -> Result<Option<ContainerInstance>, Failure> {
    let answer = Client::new(config)
        .update_container_instances_state()
        .cluster(cluster)
        .container_instances(arn)
        .status(ContainerInstanceStatus::from(state.word()))
        .send()
        .await
        .map_err(|error| Failure::new("ecs:UpdateContainerInstancesState", &error))?;
    Ok(answer.container_instances().iter().find_map(ours))
}

/// Has the cluster forget a host, also where it has tasks.
pub async fn forget(config: &SdkConfig, cluster: &str, arn: &str) -> Result<(), Failure> {
    Client::new(config)
        .deregister_container_instance()
        .cluster(cluster)
        .container_instance(arn)
        .force(true)
        .send()
        .await
        .map(drop)
        .map_err(|error| Failure::new("ecs:DeregisterContainerInstance", &error))
}

/// Sets attributes of a host; others that it has stay.
pub async fn put_attributes(
    config: &SdkConfig,
    cluster: &str,
    arn: &str,
    attributes: &BTreeMap<String, String>,
) -> Result<(), Failure> {
    let all: Vec<_> = attributes
        .iter()
        .map(|(name, value)| {
            Attribute::builder()
                .name(name)
                .value(value)
                .target_type(TargetType::ContainerInstance)
                .target_id(arn)
                .build()
                .expect("the name, all that it needs, is there")
        })
        .collect();
    for some in all.chunks(ATTRIBUTES_AT_ONCE) {
        Client::new(config)
            .put_attributes()
            .cluster(cluster)
            .set_attributes(Some(some.to_vec()))
            .send()
            .await
            .map_err(|error| Failure::new("ecs:PutAttributes", &error))?;
    }
    Ok(())
}

fn ours(sdk: &Sdk) -> Option<ContainerInstance> {
    let count = sdk.running_tasks_count().saturating_add(sdk.pending_tasks_count());
    let value = |it: &Attribute| it.value().unwrap_or_default().to_owned();
    Some(ContainerInstance {
        arn: sdk.container_instance_arn()?.to_owned(),
        state: State::of(sdk.status().unwrap_or_default()),
        reason: sdk.status_reason().filter(|it| !it.is_empty()).map(str::to_owned),
        connected: sdk.agent_connected(),
        tasks: u32::try_from(count).unwrap_or(0),
        attributes: sdk.attributes().iter().map(|it| (it.name().to_owned(), value(it))).collect(),
    })
}
