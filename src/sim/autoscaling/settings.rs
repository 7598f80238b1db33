//! What a request says of a group, when it is made and when it is changed.

use super::{Asked, flag, list, number, source, structure, validation};
use crate::sim::group::{Group, Maintenance};
use crate::sim::http::Reply;
use crate::sim::region::Region;

const MOST: u64 = 10_000;
/// Ways to check health that AWS knows.
const CHECKS: [&str; 4] = ["EC2", "ELB", "EBS", "VPC_LATTICE"];
/// What AWS can do with a group that is not played here. Refused where it is said.
const NOT_MODELLED: [&str; 7] = [
    "InstanceId",
    "LoadBalancerNames",
    "PlacementGroup",
    "DesiredCapacityType",
    "AvailabilityZoneDistribution",
    "AvailabilityZoneImpairmentPolicy",
    "CapacityReservationSpecification",
];

/// Changes what is said; everything else stays.
pub(super) fn apply(group: &mut Group, region: &Region, asked: &Asked) -> Result<(), Reply> {
    let odd = |name: &&&str| {
        asked.keys().any(|key| key == **name || key.starts_with(&format!("{name}.")))
    };
    if let Some(name) = NOT_MODELLED.iter().find(odd) {
        let message = format!("{name} is not modelled by the rehearsal account");
        return Err(validation(&message));
    }
    if let Some(source) = source::parse(region, asked)? {
        (group.launches, group.configuration) = (Some(source), None);
    }
    if let Some(name) = asked.get("LaunchConfigurationName") {
        if !region.launch_configurations.contains_key(name) {
            return Err(validation("Launch configuration name not found - null"));
        }
        (group.launches, group.configuration) = (None, Some(name.clone()));
    }
    sizes(group, asked)?;
    places(group, region, asked)?;
    health(group, asked)?;
    replacement(group, asked)?;
    if let Some(protects) = flag(asked, "NewInstancesProtectedFromScaleIn")? {
        group.protects = protects;
    }
    let policies = list(asked, "TerminationPolicies");
    if !policies.is_empty() {
        group.termination = policies;
    }
    if let Some(role) = asked.get("ServiceLinkedRoleARN") {
        group.role = Some(role.clone());
    }
    group.cooldown = number(asked, "DefaultCooldown", 0, MOST)?.unwrap_or(group.cooldown);
    Ok(())
}

fn sizes(group: &mut Group, asked: &Asked) -> Result<(), Reply> {
    group.min = number(asked, "MinSize", 0, MOST)?.unwrap_or(group.min);
    group.max = number(asked, "MaxSize", 0, MOST)?.unwrap_or(group.max);
    let (min, max) = (group.min, group.max);
    if min > max {
        let message =
            format!("Max bound, {max}, must be greater than or equal to min bound, {min}");
        return Err(validation(&message));
    }
    match number(asked, "DesiredCapacity", 0, MOST)? {
        None => group.desired = group.desired.clamp(min, max),
        Some(desired) if (min..=max).contains(&desired) => group.desired = desired,
        Some(desired) => {
            return Err(validation(&format!(
                "Desired capacity:{desired} must be between the specified min size:{min} and max \
                 size:{max}"
            )));
        }
    }
    Ok(())
}

fn places(group: &mut Group, region: &Region, asked: &Asked) -> Result<(), Reply> {
    let zones = list(asked, "AvailabilityZones");
    if let Some(text) = asked.get("VPCZoneIdentifier").filter(|text| !text.is_empty()) {
        let subnets: Vec<_> = text.split(',').map(|id| id.trim().to_owned()).collect();
        let mut found: Vec<String> = Vec::new();
        for id in &subnets {
            let Some(subnet) = region.subnets.get(id) else {
                return Err(validation(&format!("The subnet ID '{id}' does not exist")));
            };
            if !found.contains(&subnet.zone) {
                found.push(subnet.zone.clone());
            }
        }
        if zones.iter().any(|zone| !found.contains(zone)) {
            let message = "The availability zones of the specified subnets and the Auto Scaling \
                           group do not match";
            return Err(validation(message));
        }
        (group.zones, group.subnets) = (found, subnets);
    } else if !zones.is_empty() {
        let known = |zone: &String| region.subnets.values().any(|subnet| subnet.zone == *zone);
        if !zones.iter().all(known) {
            return Err(validation(&format!("Invalid availability zones: [{}]", zones.join(","))));
        }
        (group.zones, group.subnets) = (zones, Vec::new());
    }
    Ok(())
}

fn health(group: &mut Group, asked: &Asked) -> Result<(), Reply> {
    if let Some(kinds) = asked.get("HealthCheckType") {
        if let Some(wrong) = kinds.split(',').map(str::trim).find(|kind| !CHECKS.contains(kind)) {
            let message =
                format!("Valid Health Check Types are EC2, ELB, EBS, VPC_LATTICE, not {wrong}");
            return Err(validation(&message));
        }
        group.habits.health_check_type.clone_from(kinds);
    }
    group.grace = number(asked, "HealthCheckGracePeriod", 0, MOST)?.unwrap_or(group.grace);
    if let Some(text) = asked.get("DefaultInstanceWarmup") {
        group.warmup = match text.parse::<i64>() {
            Ok(-1) => None,
            Ok(seconds @ 0..=10_000) => u64::try_from(seconds).ok(),
            _ => return Err(validation("DefaultInstanceWarmup must be between -1 and 10000")),
        };
    }
    Ok(())
}

/// How instances are replaced, and what becomes of some that are to go.
fn replacement(group: &mut Group, asked: &Asked) -> Result<(), Reply> {
    if let Some(policy) = structure(asked, "InstanceMaintenancePolicy") {
        group.maintenance = maintenance(&policy)?;
    }
    group.rebalances = flag(asked, "CapacityRebalance")?.unwrap_or(group.rebalances);
    group.lifetime = match number(asked, "MaxInstanceLifetime", 0, 31_536_000)? {
        None => group.lifetime,
        Some(0) => None,
        Some(seconds @ 86_400..) => Some(seconds),
        Some(_) => {
            return Err(validation("MaxInstanceLifetime must be 0 or at least 86400 seconds"));
        }
    };
    let abandoned = "InstanceLifecyclePolicy.RetentionTriggers.TerminateHookAbandon";
    match asked.get(abandoned).map(String::as_str) {
        None => {}
        Some("retain") => group.retains = true,
        Some("terminate") => group.retains = false,
        Some(other) => {
            let message = format!("TerminateHookAbandon is retain or terminate, not {other}");
            return Err(validation(&message));
        }
    }
    match asked.get("DeletionProtection").map(String::as_str) {
        None => {}
        Some(word @ ("none" | "prevent-force-deletion" | "prevent-all-deletion")) => {
            group.deletion_protection = Some(word.to_owned());
        }
        Some(other) => {
            return Err(validation(&format!("{other} is no way of deletion protection")));
        }
    }
    Ok(())
}

fn maintenance(policy: &Asked) -> Result<Option<Maintenance>, Reply> {
    let percent = |name: &str| policy.get(name).and_then(|text| text.parse::<i64>().ok());
    match (percent("MinHealthyPercentage"), percent("MaxHealthyPercentage")) {
        (Some(-1), Some(-1)) => Ok(None),
        (Some(least @ 0..=100), Some(most @ 100..=200)) if most - least <= 100 => {
            Ok(Some(Maintenance { least, most }))
        }
        (Some(0..=100), Some(100..=200)) => Err(validation(
            "The difference between MinHealthyPercentage and MaxHealthyPercentage cannot be \
             greater than 100",
        )),
        _ => Err(validation(
            "Both MinHealthyPercentage, from 0 to 100, and MaxHealthyPercentage, from 100 to 200, \
             must be specified, or -1 for both",
        )),
    }
}
