//! `CreateCapacityProvider`, `DescribeCapacityProviders`, `PutClusterCapacityProviders`.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{failure, last, refusal};
use crate::sim::account::{ACCOUNT_ID, Account};
use crate::sim::aws_json::{Answer, input};
use crate::sim::call::Call;
use crate::sim::cluster::CapacityProvider;
use crate::sim::region::Region;

/// AWS's own, which no group is behind.
const FARGATE: [&str; 2] = ["FARGATE", "FARGATE_SPOT"];

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Asked {
    name: Option<String>,
    auto_scaling_group_provider: Option<Group>,
    cluster: Option<String>,
    capacity_providers: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Group {
    auto_scaling_group_arn: String,
    managed_draining: Option<String>,
    managed_termination_protection: Option<String>,
}

pub(super) fn is_there(region: &Region, name: &str) -> bool {
    FARGATE.contains(&name) || region.capacity_providers.contains_key(name)
}

pub(super) fn create(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: Asked = input(call)?;
    let name = asked.name.unwrap_or_default();
    let forbidden = ["aws", "ecs", "fargate"].iter().any(|it| name.to_lowercase().starts_with(it));
    if name.is_empty() || forbidden {
        return Err(refusal::invalid("The specified capacity provider name is invalid."));
    }
    let Some(group) = asked.auto_scaling_group_provider else {
        return Err(refusal::invalid("The Auto Scaling group provider must be specified."));
    };
    let managed_draining = match group.managed_draining.as_deref() {
        // New ones have it.
        None | Some("ENABLED") => true,
        Some("DISABLED") => false,
        Some(_) => return Err(refusal::invalid("managedDraining is ENABLED or DISABLED.")),
    };
    let termination_protection = match group.managed_termination_protection.as_deref() {
        None | Some("DISABLED") => false,
        Some("ENABLED") => true,
        Some(_) => {
            return Err(refusal::invalid("managedTerminationProtection is ENABLED or DISABLED."));
        }
    };
    let group = last(&group.auto_scaling_group_arn).to_owned();
    let region = account.region(&call.region);
    if region.capacity_providers.contains_key(&name) {
        return Err(refusal::invalid("The specified capacity provider already exists."));
    }
    let provider =
        CapacityProvider { name: name.clone(), group, managed_draining, termination_protection };
    let output = json!({ "capacityProvider": shape(&provider, &call.region) });
    region.capacity_providers.insert(name, provider);
    Ok(output)
}

pub(super) fn describe(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: Asked = input(call)?;
    super::at_most(&asked.capacity_providers, 100, "capacityProviders")?;
    let all = &account.region(&call.region).capacity_providers;
    if asked.capacity_providers.is_empty() {
        let own = all.values().map(|provider| shape(provider, &call.region));
        let found: Vec<_> =
            FARGATE.map(|name| fargate(name, &call.region)).into_iter().chain(own).collect();
        return Ok(json!({ "capacityProviders": found, "failures": [] }));
    }
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for asked in &asked.capacity_providers {
        let name = last(asked);
        if FARGATE.contains(&name) {
            found.push(fargate(name, &call.region));
        } else if let Some(provider) = all.get(name) {
            found.push(shape(provider, &call.region));
        } else {
            missing.push(failure(&arn(name, &call.region), "MISSING"));
        }
    }
    Ok(json!({ "capacityProviders": found, "failures": missing }))
}

pub(super) fn put(account: &mut Account, call: &Call<'_>) -> Answer {
    let asked: Asked = input(call)?;
    let region = account.region(&call.region);
    if let Some(absent) = asked.capacity_providers.iter().find(|it| !is_there(region, last(it))) {
        let message = format!("The specified capacity provider {absent} was not found.");
        return Err(refusal::invalid(&message));
    }
    let now = account.now();
    let cluster = super::cluster(account, call, asked.cluster.as_deref())?;
    cluster.providers = asked.capacity_providers.iter().map(|it| last(it).to_owned()).collect();
    Ok(json!({ "cluster": super::cluster::shape(cluster, &call.region, false, now) }))
}

fn arn(name: &str, region: &str) -> String {
    format!("arn:aws:ecs:{region}:{ACCOUNT_ID}:capacity-provider/{name}")
}

fn fargate(name: &str, region: &str) -> Value {
    json!({ "capacityProviderArn": arn(name, region), "name": name, "status": "ACTIVE" })
}

fn shape(provider: &CapacityProvider, region: &str) -> Value {
    // The middle of the ARN is another thing's: a name has one group.
    let group = format!(
        "arn:aws:autoscaling:{region}:{ACCOUNT_ID}:autoScalingGroup:\
         00000000-0000-4000-8000-000000000000:autoScalingGroupName/{}",
        provider.group
    );
    json!({
        "capacityProviderArn": arn(&provider.name, region),
        "name": provider.name,
        "status": "ACTIVE",
        "autoScalingGroupProvider": {
            "autoScalingGroupArn": group,
            "managedScaling": { "status": "DISABLED" },
            "managedTerminationProtection":
                if provider.termination_protection { "ENABLED" } else { "DISABLED" },
            "managedDraining": if provider.managed_draining { "ENABLED" } else { "DISABLED" },
        },
    })
}
