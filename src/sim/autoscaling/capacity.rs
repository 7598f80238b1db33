//! `SetDesiredCapacity`.

use super::{Asked, group, named, number, required, validation};
use crate::sim::account::Account;
use crate::sim::group::cause::at;
use crate::sim::http::Reply;

/// Sets how many instances a group wants.
pub(super) fn set(account: &mut Account, region: &str, asked: &Asked) -> Result<String, Reply> {
    let name = named(asked)?;
    required(asked, "DesiredCapacity")?;
    let wanted = number(asked, "DesiredCapacity", 0, 10_000)?.unwrap_or_default();
    let now = account.world();
    let group = group(account, region, name)?;
    let refused = |word: &str, bound: u64| {
        Err(validation(&format!(
            "New SetDesiredCapacity value {wanted} is {word} value {bound} for the \
             AutoScalingGroup."
        )))
    };
    if wanted > group.max {
        return refused("above max", group.max);
    }
    if wanted < group.min {
        return refused("below min", group.min);
    }
    if wanted != group.desired {
        group.asked = Some(format!(
            "{} a user request explicitly set group desired capacity changing the desired capacity \
             from {} to {wanted}.",
            at(now),
            group.desired
        ));
        group.desired = wanted;
        group.trouble = crate::sim::group::Trouble::default();
    }
    Ok(String::new())
}
