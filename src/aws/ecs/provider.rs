//! Capacity providers: whether ECS itself drains the hosts of a group.

use aws_config::SdkConfig;
use aws_sdk_ecs::Client;
use aws_sdk_ecs::types::{CapacityProvider, ManagedDraining, ManagedTerminationProtection};

use super::super::Failure;
use super::name_of;

/// The hook that ECS puts onto a group whose hosts it drains: it holds an instance that is to be
/// terminated until the tasks are gone.
pub const MANAGED_HOOK: &str = "ecs-managed-draining-termination-hook";

/// A capacity provider that has an Auto Scaling group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    /// Its name.
    pub name: String,
    /// Whether ECS drains hosts that the group terminates: managed draining.
    pub drains: bool,
    /// Whether ECS protects hosts with tasks from scale-in: managed termination protection.
    pub protects: bool,
}

/// The capacity provider of the cluster by which ECS drains the hosts of `group` before the group
/// terminates them; `None` where nobody but the host itself does it.
pub async fn managed_draining(
    config: &SdkConfig,
    cluster: &str,
    group: &str,
) -> Result<Option<String>, Failure> {
    let found = provider(config, cluster, group).await?;
    Ok(found.filter(|provider| provider.drains).map(|provider| provider.name))
}

/// The capacity provider of the cluster that has this group, if one has.
pub async fn provider(
    config: &SdkConfig,
    cluster: &str,
    group: &str,
) -> Result<Option<Provider>, Failure> {
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
    Ok(answer.capacity_providers().iter().find_map(|provider| ours(provider, group)))
}

fn ours(provider: &CapacityProvider, group: &str) -> Option<Provider> {
    let of_group = provider.auto_scaling_group_provider()?;
    (name_of(of_group.auto_scaling_group_arn()) == group).then(|| Provider {
        name: provider.name().unwrap_or_default().to_owned(),
        drains: of_group.managed_draining() == Some(&ManagedDraining::Enabled),
        protects: of_group.managed_termination_protection()
            == Some(&ManagedTerminationProtection::Enabled),
    })
}
