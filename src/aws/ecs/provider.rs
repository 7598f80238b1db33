//! Capacity providers: whether ECS itself drains the hosts of a group.

use aws_config::SdkConfig;
use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::{CapacityProvider, ManagedDraining};

use super::super::Failure;
use super::name_of;

/// The hook that ECS puts onto a group whose hosts it drains: it holds an instance that is to be
/// terminated until the tasks are gone.
pub const MANAGED_HOOK: &str = "ecs-managed-draining-termination-hook";

/// The capacity provider of the cluster by which ECS drains the hosts of `group` before the group
/// terminates them; `None` where nobody but the host itself does it.
pub async fn managed_draining(
    config: &SdkConfig,
    cluster: &str,
    group: &str,
) -> Result<Option<String>, Failure> {
    let answer = Client::new(config)
        .describe_clusters()
        .clusters(cluster)
        .send()
        .await
        .map_err(|error| Failure::new("ecs:DescribeClusters", &error))?;
    let names: Vec<_> = answer
        .clusters()
        .iter()
        .flat_map(|cluster| cluster.capacity_providers().to_vec())
        // AWS's own, which no group is behind.
        .filter(|name| !name.starts_with("FARGATE"))
        .collect();
    if names.is_empty() {
        return Ok(None);
    }
    let answer = Client::new(config)
        .describe_capacity_providers()
        .set_capacity_providers(Some(names))
        .send()
        .await
        .map_err(|error| Failure::new("ecs:DescribeCapacityProviders", &error))?;
    let ours = answer.capacity_providers().iter().find(|provider| drains(provider, group));
    Ok(ours.and_then(|provider| provider.name().map(str::to_owned)))
}

fn drains(provider: &CapacityProvider, group: &str) -> bool {
    provider.auto_scaling_group_provider().is_some_and(|it| {
        it.managed_draining() == Some(&ManagedDraining::Enabled)
            && name_of(it.auto_scaling_group_arn()) == group
    })
}
