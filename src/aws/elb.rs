//! Elastic Load Balancing, version 2: the target groups, and the health of a target in them.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_elasticloadbalancingv2::Client;
use aws_sdk_elasticloadbalancingv2::types::{
    TargetDescription, TargetGroup as Described, TargetHealth, TargetHealthDescription,
    TargetTypeEnum,
};

use super::Failure;

/// A target group, as far as a target must know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetGroup {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// What its targets are.
    pub kind: Kind,
    /// Where its targets are asked whether they are well, for people: `HTTP 8080/login`.
    pub check: String,
    /// Whether a load balancer uses it.
    pub used: bool,
    /// The ARNs of those that do.
    pub balancers: Vec<String>,
}

/// What the targets of a group are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Instances, by their id.
    Instance,
    /// Addresses.
    Address,
    /// Something that a host cannot be.
    Other,
}

/// How a target is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// `initial`, `healthy`, `unhealthy`, `unused`, `draining`, `unavailable`, …
    pub state: String,
    /// A code, such as `Target.FailedHealthChecks`; empty where all is well.
    pub reason: String,
    /// What it means.
    pub description: String,
}

impl Health {
    /// Whether no load balancer sends it anything: since none uses the group, or none has the zone.
    pub fn is_unused(&self) -> bool {
        self.state == "unused" && self.reason == "Target.NotInUse"
    }

    /// What is said of something that is no target.
    pub fn not_registered() -> Self {
        Self {
            state: "unused".to_owned(),
            reason: "Target.NotRegistered".to_owned(),
            description: String::new(),
        }
    }

    /// Whether requests are sent to it, and answered well.
    pub fn is_healthy(&self) -> bool {
        self.state == "healthy"
    }

    /// In one line.
    pub fn say(&self) -> String {
        let mut text = self.state.clone();
        for (part, between) in [(&self.reason, ", "), (&self.description, ": ")] {
            if !part.is_empty() {
                text = text + between + part;
            }
        }
        text
    }
}

/// The target groups with these ARNs. One that is not there is an error.
pub async fn target_groups(
    config: &SdkConfig,
    arns: &[String],
) -> Result<Vec<TargetGroup>, Failure> {
    let answer = Client::new(config)
        .describe_target_groups()
        .set_target_group_arns(Some(arns.to_vec()))
        .send()
        .await
        .map_err(|error| Failure::new("elasticloadbalancing:DescribeTargetGroups", &error))?;
    Ok(answer.target_groups().iter().map(target_group).collect())
}

fn target_group(group: &Described) -> TargetGroup {
    let kind = match group.target_type() {
        Some(TargetTypeEnum::Instance) | None => Kind::Instance,
        Some(TargetTypeEnum::Ip) => Kind::Address,
        Some(_) => Kind::Other,
    };
    let protocol = group.health_check_protocol().map_or("", |protocol| protocol.as_str());
    let port = match group.health_check_port() {
        None | Some("traffic-port") => {
            group.port().map(|port| port.to_string()).unwrap_or_default()
        }
        Some(port) => port.to_owned(),
    };
    TargetGroup {
        arn: group.target_group_arn().unwrap_or_default().to_owned(),
        name: group.target_group_name().unwrap_or_default().to_owned(),
        kind,
        check: format!("{protocol} {port}{}", group.health_check_path().unwrap_or_default()),
        used: !group.load_balancer_arns().is_empty(),
        balancers: group.load_balancer_arns().to_vec(),
    }
}

/// How a target is, in one group.
pub async fn health(config: &SdkConfig, group: &str, target: &str) -> Result<Health, Failure> {
    let answer = Client::new(config)
        .describe_target_health()
        .target_group_arn(group)
        .targets(description(target))
        .send()
        .await
        .map_err(|error| Failure::new("elasticloadbalancing:DescribeTargetHealth", &error))?;
    let of = |one: &&TargetHealthDescription| one.target().and_then(|it| it.id()) == Some(target);
    let told =
        answer.target_health_descriptions().iter().find(of).and_then(|it| it.target_health());
    Ok(read(told))
}

/// How the targets of a group are, all of them, by their ids. Of one that is there on several ports the
/// best counts: requests get to it.
pub async fn all_health(
    config: &SdkConfig,
    group: &str,
) -> Result<BTreeMap<String, Health>, Failure> {
    let answer = Client::new(config)
        .describe_target_health()
        .target_group_arn(group)
        .send()
        .await
        .map_err(|error| Failure::new("elasticloadbalancing:DescribeTargetHealth", &error))?;
    Ok(by_id(answer.target_health_descriptions()))
}

fn by_id(told: &[TargetHealthDescription]) -> BTreeMap<String, Health> {
    let mut all = BTreeMap::new();
    for one in told {
        let Some(id) = one.target().and_then(|it| it.id()) else { continue };
        let health = read(one.target_health());
        if health.is_healthy() || !all.contains_key(id) {
            all.insert(id.to_owned(), health);
        }
    }
    all
}

fn read(told: Option<&TargetHealth>) -> Health {
    Health {
        state: told.and_then(|it| it.state()).map_or("unknown", |state| state.as_str()).to_owned(),
        reason: told.and_then(|it| it.reason()).map_or("", |reason| reason.as_str()).to_owned(),
        description: told.and_then(|it| it.description()).unwrap_or_default().to_owned(),
    }
}

/// Makes something a target. It may be one already.
pub async fn register(config: &SdkConfig, group: &str, target: &str) -> Result<(), Failure> {
    Client::new(config)
        .register_targets()
        .target_group_arn(group)
        .targets(description(target))
        .send()
        .await
        .map(drop)
        .map_err(|error| Failure::new("elasticloadbalancing:RegisterTargets", &error))
}

/// No further requests are sent to a target; those under way are let end. It need not be one.
pub async fn deregister(config: &SdkConfig, group: &str, target: &str) -> Result<(), Failure> {
    Client::new(config)
        .deregister_targets()
        .target_group_arn(group)
        .targets(description(target))
        .send()
        .await
        .map(drop)
        .map_err(|error| Failure::new("elasticloadbalancing:DeregisterTargets", &error))
}

/// On the port of the group.
fn description(target: &str) -> TargetDescription {
    TargetDescription::builder().id(target).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_target_on_several_ports_the_best_counts() {
        let one = |id: &str, state: &str| {
            TargetHealthDescription::builder()
                .target(description(id))
                .target_health(TargetHealth::builder().state(state.into()).build())
                .build()
        };
        let told = [
            one("i-1", "draining"),
            one("i-1", "healthy"),
            one("i-1", "unhealthy"),
            one("i-2", "initial"),
        ];
        let all = by_id(&told);
        let states: Vec<_> = all.values().map(|health| health.state.as_str()).collect();
        assert_eq!(states, ["healthy", "initial"]);
        assert!(!Health::not_registered().is_unused(), "a group that is used, without this one");
    }

    #[test]
    fn what_is_wrong_with_a_target_is_said_in_one_line() {
        let health = Health {
            state: "unhealthy".to_owned(),
            reason: "Target.ResponseCodeMismatch".to_owned(),
            description: "Health checks failed with these codes: [503]".to_owned(),
        };
        assert_eq!(
            health.say(),
            "unhealthy, Target.ResponseCodeMismatch: Health checks failed with these codes: [503]"
        );
        let well = Health {
            state: "healthy".to_owned(),
            reason: String::new(),
            description: String::new(),
        };
        assert!(well.is_healthy() && well.say() == "healthy");
    }
}
