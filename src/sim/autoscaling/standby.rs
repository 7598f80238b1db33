//! `EnterStandby` and `ExitStandby`.

use super::{Asked, activities, engine, flag, group, list, members, named, validation};
use crate::sim::account::Account;
use crate::sim::group::activity::{Activity, Kind, Status};
use crate::sim::group::cause::at;
use crate::sim::http::Reply;
use crate::sim::instance::Lifecycle;
use crate::sim::xml::node;

/// Takes instances out of service for a while. Their group launches others in their place, unless it
/// is to want fewer.
pub(super) fn enter(account: &mut Account, region: &str, asked: &Asked) -> Result<String, Reply> {
    let name = named(asked)?;
    let fewer = flag(asked, "ShouldDecrementDesiredCapacity")?
        .ok_or_else(|| validation("ShouldDecrementDesiredCapacity must be specified"))?;
    let (min, max, desired) = sizes(account, region, name)?;
    let ids = members::serving(account, region, name, &list(asked, "InstanceIds"))?;
    let count = u64::try_from(ids.len()).unwrap_or(u64::MAX);
    if fewer && desired < min + count {
        return Err(validation(&format!(
            "AutoScalingGroup {name} has min-size={min}, max-size={max}, and \
             desired-size={desired}. To place into standby {count} instance, please update the \
             AutoScalingGroup sizes appropriately."
        )));
    }
    let mut told = String::new();
    for (id, number) in ids.iter().zip(0..) {
        let shrinks = fewer.then(|| {
            let before = desired - number;
            format!(", shrinking the capacity from {before} to {}", before - 1)
        });
        let cause = format!(
            "instance {id} was moved to standby in response to a user request{}.",
            shrinks.unwrap_or_default()
        );
        let what = format!("Moving EC2 instance to Standby: {id}");
        told += &moved(account, region, name, id, (what, cause))?;
        if let Some((instance, now)) = account.instance_mut(id) {
            instance.stand_by(now, true);
        }
    }
    if fewer {
        group(account, region, name)?.desired -= count;
    }
    Ok(node("Activities", &told))
}

/// Takes instances back into service; their group wants as many more.
pub(super) fn exit(account: &mut Account, region: &str, asked: &Asked) -> Result<String, Reply> {
    let name = named(asked)?;
    let (_, max, desired) = sizes(account, region, name)?;
    let ids = list(asked, "InstanceIds");
    for id in &ids {
        members::of(account, region, name, id)?;
        let seen = engine::see(account, id);
        if let Some(other) = seen.filter(|it| it.lifecycle != Lifecycle::Standby) {
            let word = other.lifecycle.word();
            return Err(validation(&format!(
                "The instance {id} is in {word} state and cannot exit standby: it is not in Standby."
            )));
        }
    }
    let count = u64::try_from(ids.len()).unwrap_or(u64::MAX);
    if desired + count > max {
        return Err(validation(&format!(
            "AutoScalingGroup {name} has max-size={max} and desired-size={desired}. To take {count} \
             instance out of standby, please update the AutoScalingGroup sizes appropriately."
        )));
    }
    let mut told = String::new();
    for (id, number) in ids.iter().zip(0..) {
        let before = desired + number;
        let cause = format!(
            "instance {id} was moved out of standby in response to a user request, increasing the \
             capacity from {before} to {}.",
            before + 1
        );
        let what = format!("Moving EC2 instance out of Standby: {id}");
        told += &moved(account, region, name, id, (what, cause))?;
        if let Some((instance, now)) = account.instance_mut(id) {
            instance.stand_by(now, false);
        }
    }
    group(account, region, name)?.desired += count;
    Ok(node("Activities", &told))
}

fn sizes(account: &mut Account, region: &str, name: &str) -> Result<(u64, u64, u64), Reply> {
    let group = group(account, region, name)?;
    Ok((group.min, group.max, group.desired))
}

/// Writes it down, and shows it.
fn moved(
    account: &mut Account,
    region: &str,
    name: &str,
    id: &str,
    (what, cause): (String, String),
) -> Result<String, Reply> {
    let now = account.world();
    let cause = format!("{} {cause}", at(now));
    let group = group(account, region, name)?;
    let mut activity = Activity::begin(Kind::Move, what, cause, now).with(id);
    let shown = node("member", &activities::shape(&activity, group, region));
    activity.end(Status::Successful, None, now);
    group.note(activity);
    Ok(shown)
}
