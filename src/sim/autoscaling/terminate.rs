//! `TerminateInstanceInAutoScalingGroup`.

use super::{Asked, activities, engine, flag, group, members, required, validation};
use crate::sim::account::{Account, GROUP};
use crate::sim::group::cause::Cause;
use crate::sim::http::Reply;
use crate::sim::xml::{leaf, node};

/// Lets an instance go. Its group launches another one, unless it is to want fewer.
pub(super) fn terminate(
    account: &mut Account,
    region: &str,
    asked: &Asked,
) -> Result<String, Reply> {
    let id = required(asked, "InstanceId")?;
    let fewer = flag(asked, "ShouldDecrementDesiredCapacity")?
        .ok_or_else(|| validation("ShouldDecrementDesiredCapacity must be specified"))?;
    let name = members::known(account, region, id)?;
    if name == GROUP && account.instance(id).is_some_and(|instance| instance.member.is_none()) {
        account.let_go(id);
        return Ok(node("Activity", &of_a_guest()));
    }
    let there = group(account, region, &name)?;
    let (min, max, desired) = (there.min, there.max, there.desired);
    if fewer && desired <= min {
        return Err(validation(&format!(
            "Currently, desiredSize equals minSize ({desired}). Terminating instance without \
             replacement will violate group's min size constraint. Either set \
             shouldDecrementDesiredCapacity flag to false or lower group's min size. (max size: \
             {max})"
        )));
    }
    let cause = Cause::Request(fewer.then(|| (desired, desired - 1)));
    let Some(activity) = engine::release(account, region, &name, id, &cause) else {
        let message = format!("The instance {id} is already being terminated");
        return Err(super::error(400, "ScalingActivityInProgress", &message));
    };
    let there = group(account, region, &name)?;
    if fewer {
        there.desired -= 1;
    }
    let begun = there.activities.iter().find(|one| one.id == activity);
    let shown = begun.map(|begun| activities::shape(begun, there, region)).unwrap_or_default();
    Ok(node("Activity", &shown))
}

fn of_a_guest() -> String {
    leaf("ActivityId", &crate::sim::random::uuid())
        + &leaf("AutoScalingGroupName", GROUP)
        + &leaf("Cause", "an instance was taken out of service in response to a user request")
        + &leaf("StartTime", &jiff::Timestamp::now().to_string())
        + &leaf("StatusCode", "InProgress")
        + &leaf("Progress", "0")
}
