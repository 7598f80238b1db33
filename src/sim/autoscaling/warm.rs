//! `PutWarmPool`, `DescribeWarmPool`, `DeleteWarmPool`.

use super::{Asked, engine, error, flag, group, named, number, shape, validation};
use crate::sim::account::Account;
use crate::sim::group::WarmPool;
use crate::sim::group::cause::Cause;
use crate::sim::group::member::PoolState;
use crate::sim::http::Reply;
use crate::sim::xml::node;

/// Makes the pool or changes it. It is filled at once.
pub(super) fn put(account: &mut Account, region: &str, asked: &Asked) -> Result<String, Reply> {
    let group = group(account, region, named(asked)?)?;
    if group.steering.is_some() {
        let message = "An instance refresh is already in progress for the AutoScalingGroup.";
        return Err(error(400, "InstanceRefreshInProgress", message));
    }
    if group.launches.as_ref().is_some_and(|source| source.mixed) {
        let message = "You can't add a warm pool to an Auto Scaling group that has a mixed instances \
                       policy.";
        return Err(validation(message));
    }
    let before = group.warm_pool.unwrap_or_default();
    let prepared = match asked.get("MaxGroupPreparedCapacity").map(String::as_str) {
        None => before.prepared,
        Some("-1") => None,
        Some(_) => number(asked, "MaxGroupPreparedCapacity", 0, 10_000)?,
    };
    if prepared.is_some_and(|most| most < group.desired) {
        let message =
            "MaxGroupPreparedCapacity must be at least the desired capacity of the group.";
        return Err(validation(message));
    }
    let state = match asked.get("PoolState") {
        None => before.state,
        Some(word) => PoolState::of(word)
            .ok_or_else(|| validation(&format!("{word} is no state of a warm pool")))?,
    };
    let least = number(asked, "MinSize", 0, 10_000)?.unwrap_or(before.least);
    let reuses = flag(asked, "InstanceReusePolicy.ReuseOnScaleIn")?.or(before.reuses);
    group.warm_pool = Some(WarmPool { least, prepared, state, reuses, deleting: false });
    Ok(String::new())
}

pub(super) fn describe(
    account: &mut Account,
    region: &str,
    asked: &Asked,
) -> Result<String, Reply> {
    let name = named(asked)?;
    let configuration = match &group(account, region, name)?.warm_pool {
        Some(pool) => node("WarmPoolConfiguration", &shape::pool(pool)),
        None => String::new(),
    };
    let mut instances = String::new();
    for seen in engine::members(account, region, name) {
        if seen.warm.is_some() {
            instances += &node("member", &shape::instance(account, region, &seen));
        }
    }
    Ok(configuration + &node("Instances", &instances))
}

/// Empties the pool, then it is gone; with force at once, whatever hooks say.
pub(super) fn delete(account: &mut Account, region: &str, asked: &Asked) -> Result<String, Reply> {
    let name = named(asked)?;
    let force = flag(asked, "ForceDelete")?.unwrap_or_default();
    let group = group(account, region, name)?;
    let Some(pool) = &mut group.warm_pool else {
        return Err(validation(&format!("No warm pool found for the AutoScalingGroup {name}")));
    };
    pool.deleting = true;
    if force {
        for seen in engine::members(account, region, name) {
            if seen.warm.is_none() {
                continue;
            }
            engine::release(account, region, name, &seen.id, &Cause::WarmPoolShrinks);
            if let Some((instance, now)) = account.instance_mut(&seen.id) {
                instance.depart(now);
            }
        }
    }
    Ok(String::new())
}
