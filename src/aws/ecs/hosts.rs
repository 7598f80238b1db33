//! The hosts of a whole cluster, as somebody sees them who is none of them.

use aws_config::SdkConfig;
use aws_sdk_ecs::Client;

use super::super::Failure;
use super::{AT_ONCE, find, name_of};

/// A host of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// The EC2 instance: `i-…`
    pub instance: String,
    /// `ACTIVE`, `DRAINING`, …
    pub state: String,
    /// Whether ECS is in touch with its agent.
    pub connected: bool,
}

/// All hosts of a cluster.
pub async fn containers(config: &SdkConfig, cluster: &str) -> Result<Vec<Container>, Failure> {
    let client = Client::new(config);
    let mut arns = Vec::new();
    let mut pages = client.list_container_instances().cluster(cluster).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Failure::new("ecs:ListContainerInstances", &error))?;
        arns.extend_from_slice(page.container_instance_arns());
    }
    let mut found = Vec::new();
    for some in arns.chunks(AT_ONCE) {
        let call = client.describe_container_instances().cluster(cluster);
        let answer = call.set_container_instances(Some(some.to_vec())).send().await;
        let answer =
            answer.map_err(|error| Failure::new("ecs:DescribeContainerInstances", &error))?;
        found.extend(answer.container_instances().iter().map(|it| Container {
            instance: it.ec2_instance_id().unwrap_or_default().to_owned(),
            state: it.status().unwrap_or_default().to_owned(),
            connected: it.agent_connected(),
        }));
    }
    Ok(found)
}

/// The name of the cluster that has this EC2 instance, if one has.
pub async fn cluster_of(config: &SdkConfig, instance: &str) -> Result<Option<String>, Failure> {
    let mut pages = Client::new(config).list_clusters().into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Failure::new("ecs:ListClusters", &error))?;
        for arn in page.cluster_arns() {
            if find(config, arn, instance).await?.is_some() {
                return Ok(Some(name_of(arn).to_owned()));
            }
        }
    }
    Ok(None)
}
